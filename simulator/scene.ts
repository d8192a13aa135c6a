/** Scenes: instances and disks that exist before the first API call, as RunInstances would have left them. */
import { type Region, serialOf } from './engine/region.ts';
import { ensurePackageDisk } from './guest-image/package-disk.ts';
import { type DiskState, GiB, type InstanceState, isoSeconds, type Scene } from './state/model.ts';

/** `lvm`: ext4 on a logical volume. */
export const SCENE_FILE_SYSTEMS = ['ext4', 'xfs', 'lvm'] as const;
export type SceneFileSystem = (typeof SCENE_FILE_SYSTEMS)[number];

export interface SceneOptions {
  readonly fileSystem: SceneFileSystem;
  readonly name: string;
  readonly dataSizeGiB: number;
  readonly category: string;
  readonly osType: 'linux' | 'windows';
  /** `false`: the data disk stays blank. */
  readonly format: boolean;
  /** Debian packages on a third disk, unpacked below `packagesMount`. */
  readonly packages: readonly string[];
}

export const defaultScene: SceneOptions = {
  osType: 'linux',
  fileSystem: 'ext4',
  name: 'web-1',
  dataSizeGiB: 20,
  category: 'cloud_essd',
  format: true,
  packages: [],
};

export const mountPoint = '/data';
const packagesMount = '/opt/packages';

function newDisk(region: Region, kind: 'system' | 'data', category: string, sizeGiB: number, name: string): DiskState {
  const now = isoSeconds(Date.now());
  return {
    id: region.newId('d'),
    seq: region.nextSeq(),
    name,
    description: '',
    kind,
    category,
    performanceLevel: category === 'cloud_essd' ? 'PL1' : '',
    sizeGiB,
    deviceSizeGiB: sizeGiB,
    zoneId: `${region.world.regionId}-h`,
    status: 'In_use',
    attachment: null,
    everAttached: true,
    portable: true,
    deleteWithInstance: kind === 'system',
    deleteAutoSnapshot: false,
    hasSerial: true,
    encrypted: false,
    kmsKeyId: '',
    autoSnapshotPolicyId: '',
    burstingEnabled: false,
    provisionedIops: null,
    multiAttach: false,
    sourceSnapshotId: '',
    createdAt: now,
    attachedAt: now,
    detachedAt: '',
    locks: [],
    tags: {},
    hydratingUntil: 0,
    resetting: false,
    stale: null,
  };
}

/** Partitions and mounts the data disk in the guest; may run twice. */
const formatScript = (serial: string, fileSystem: SceneFileSystem): string => `#!/bin/sh
set -eu
for block in /sys/block/*; do
  found=$(cat "$block/serial" 2>/dev/null || cat "$block/device/serial" 2>/dev/null || true)
  [ "$found" = '${serial}' ] && disk=/dev/\${block##*/}
done
[ -n "\${disk:-}" ] || { echo 'no disk with serial ${serial}'; exit 1; }
part="\${disk}1"
if [ ! -b "$part" ]; then
  printf 'label: gpt\\n,,L\\n' | sfdisk -q --no-reread --no-tell-kernel "$disk"
  partx -u "$disk" 2>/dev/null || partx -a "$disk"
  for _ in 1 2 3 4 5 6 7 8 9 10; do [ -b "$part" ] && break; sleep 0.3; done
fi
${
  fileSystem === 'lvm'
    ? `[ -n "$(blkid -s TYPE -o value "$part")" ] || {
  pvcreate -q "$part"
  vgcreate -q shop "$part"
  lvcreate -q -y -n data -l 100%FREE shop
}
vgchange -q -ay shop
part=/dev/shop/data`
    : ''
}
[ -n "$(blkid -s TYPE -o value "$part")" ] || ${
  fileSystem === 'xfs' ? 'mkfs.xfs -q -f' : 'mkfs.ext4 -q -F -E lazy_itable_init=1,lazy_journal_init=1'
} "$part"
uuid=$(blkid -p -s UUID -o value "$part")
[ -n "$uuid" ] || { echo "no file system on $part"; exit 1; }
mkdir -p ${mountPoint}
grep -q "$uuid" /etc/fstab 2>/dev/null || printf 'UUID=%s ${mountPoint} ${fileSystem === 'xfs' ? 'xfs' : 'ext4'} defaults,nofail 0 2\\n' "$uuid" >>/etc/fstab
mountpoint -q ${mountPoint} || mount ${mountPoint}
mountpoint -q ${mountPoint}
sync
`;

/** Mounts the disk of packages, now and at every boot; may run twice. */
const mountPackagesScript = (serial: string): string => `#!/bin/sh
set -eu
for block in /sys/block/*; do
  found=$(cat "$block/serial" 2>/dev/null || cat "$block/device/serial" 2>/dev/null || true)
  [ "$found" = '${serial}' ] && disk=/dev/\${block##*/}
done
uuid=$(blkid -p -s UUID -o value "$disk")
mkdir -p ${packagesMount}
grep -q "$uuid" /etc/fstab 2>/dev/null || printf 'UUID=%s ${packagesMount} ext4 ro,nofail 0 2\\n' "$uuid" >>/etc/fstab
mountpoint -q ${packagesMount} || mount ${packagesMount}
mountpoint -q ${packagesMount}
`;

/** Makes one instance with a system disk and a data disk, boots it and waits for its agent. */
export async function createScene(region: Region, options: SceneOptions): Promise<Scene> {
  const now = isoSeconds(Date.now());
  const instance: InstanceState = {
    id: region.newId('i'),
    seq: region.nextSeq(),
    name: options.name,
    description: '',
    hostName: options.name,
    status: 'Pending',
    stoppedMode: 'Not-applicable',
    zoneId: `${region.world.regionId}-h`,
    instanceType: 'ecs.g7.large',
    cpu: 2,
    memoryMiB: 8192,
    osType: options.osType,
    osName: options.osType === 'windows' ? 'Windows Server 2022 Datacenter 64 bit' : 'Debian 12 64 bit',
    keyPairName: '',
    autoReleaseTime: '',
    createdAt: now,
    startedAt: '',
    locks: [],
    tags: {},
    bootedAt: 0,
    lastHeartbeat: '',
    agentOffline: false,
    agentInstalled: true,
    invocationCount: 0,
    lastInvokedAt: '',
  };
  // The least that the service gives each of them.
  const systemSizeGiB = options.osType === 'windows' ? 40 : 20;
  const system = newDisk(region, 'system', 'cloud_essd', systemSizeGiB, `${options.name}-system`);
  const data = newDisk(region, 'data', options.category, options.dataSizeGiB, `${options.name}-data`);
  system.attachment = { instanceId: instance.id, device: '/dev/xvda', attachedAt: now };
  data.attachment = { instanceId: instance.id, device: '/dev/xvdb', attachedAt: now };
  await region.dataPlane.createSystemDisk(system.id, system.sizeGiB * GiB);
  await region.dataPlane.createDisk(data.id, data.sizeGiB * GiB);
  region.world.instances[instance.id] = instance;
  region.world.disks[system.id] = system;
  region.world.disks[data.id] = data;
  const packages = await withPackages(region, options, instance.id, now);
  const scene: Scene = {
    instanceId: instance.id,
    systemDiskId: system.id,
    dataDiskId: data.id,
    mountPoint,
    fileSystem: options.fileSystem,
    zoneId: instance.zoneId,
    ...(packages === undefined ? {} : { packagesDiskId: packages.id, packagesMount }),
  };
  await region.boot(instance.id);
  // As if booted some time ago: whoever gets a scene can use its agent at once.
  region.becomeRunning(instance, region.clock.now() - region.seconds('agentAfterBoot'));
  await agentReady(region, instance);
  if (options.format && region.dataPlane.kind !== 'none') {
    region.log(`formatting ${data.id} with ${options.fileSystem}, mounted at ${mountPoint}`);
    await setUp(region, instance.id, formatScript(serialOf(data.id), options.fileSystem));
  }
  if (packages !== undefined && region.dataPlane.kind !== 'none') {
    await setUp(region, instance.id, mountPackagesScript(serialOf(packages.id)));
  }
  await region.store.save();
  return scene;
}

/** Resolves when the guest's agent answers; rejects after five minutes, which no machine should need. */
async function agentReady(region: Region, instance: InstanceState): Promise<void> {
  const end = Date.now() + 300_000;
  while (!region.agentOnline(instance)) {
    if (Date.now() > end) throw new Error(`the agent of ${instance.id} has not answered for five minutes`);
    region.closed.throwIfAborted();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
}

async function withPackages(
  region: Region,
  { packages, name }: SceneOptions,
  instanceId: string,
  attachedAt: string,
): Promise<DiskState | undefined> {
  if (packages.length === 0) return undefined;
  const disk = newDisk(region, 'data', 'cloud_essd', 20, `${name}-packages`);
  disk.attachment = { instanceId, device: '/dev/xvdc', attachedAt };
  if (region.dataPlane.kind === 'none') await region.dataPlane.createDisk(disk.id, disk.sizeGiB * GiB);
  else {
    const image = await ensurePackageDisk(packages, region.log);
    await region.dataPlane.createDiskFromImage(disk.id, disk.sizeGiB * GiB, image);
  }
  region.world.disks[disk.id] = disk;
  return disk;
}

async function setUp(region: Region, instanceId: string, script: string): Promise<void> {
  const done = await region.dataPlane.exec(
    instanceId,
    { script: Buffer.from(script), timeoutMs: 300_000, workingDir: '/', user: 'root' },
    region.closed,
  );
  if (done.exitCode !== 0) {
    throw new Error(`the scene's file systems could not be made: ${done.output.toString().trim().slice(-400)}`);
  }
}
