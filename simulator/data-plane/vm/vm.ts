/**
 * The `vm` data plane: an instance is a QEMU guest, a disk a raw sparse file plugged in as virtio-blk with its serial, a
 * snapshot a copy of that file of one moment. Needs Linux on x86-64 and QEMU, and no privilege.
 */
import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { ensureGuestImage } from '../../guest-image/build.ts';
import { IMAGE_BYTES } from '../../guest-image/recipe.ts';
import { findCommand } from '../../guest-image/run-command.ts';
import { AgentUnavailable, type DataPlane, type DataPlaneOptions } from '../port.ts';
import { chooseAccelerator } from './accelerator.ts';
import { DiskFiles } from './disk-files.ts';
import { KeyedLock } from './keyed-lock.ts';
import { checkSerial, Machine } from './machine.ts';

const AGENT_PING_MS = 1_500;

/** Package of Debian that brings each program the data plane runs on the host. */
const HOST_PROGRAMS = {
  'qemu-system-x86_64': 'qemu-system-x86',
  setpriv: 'util-linux',
  cp: 'coreutils',
} as const;

/**
 * Opens the data plane on `options.stateDir`: builds the guest image when the cache lacks it, ends guests that an
 * earlier process left. Throws one line that names what is missing.
 */
export async function createVmDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(
      `data plane vm needs Linux on x86-64, this is ${process.platform} on ${process.arch}; use --data-plane none`,
    );
  }
  const lacking = Object.entries(HOST_PROGRAMS).filter(([program]) => findCommand(program) === undefined);
  if (lacking.length > 0) {
    throw new Error(
      `data plane vm needs ${lacking.map(([program]) => program).join(', ')}; as root: apt-get install -y --no-install-recommends ${lacking.map(([, name]) => name).join(' ')}`,
    );
  }
  const { stateDir, log } = options;
  await fs.mkdir(stateDir, { recursive: true });
  await takeOwnership(stateDir);
  const instances = join(stateDir, 'instances');
  await endLeftGuests(instances, log);
  const disks = await DiskFiles.open(join(stateDir, 'disks'));
  const snapshots = await DiskFiles.open(join(stateDir, 'snapshots'));
  const image = await ensureGuestImage(log);
  const accelerator = await chooseAccelerator(image, log);

  const machines = new Map<string, Machine>();
  const lock = new KeyedLock();
  const running = (instanceId: string): Machine | undefined => {
    const machine = machines.get(instanceId);
    return machine?.isRunning === true ? machine : undefined;
  };
  const userOf = (diskId: string): Machine | undefined =>
    [...machines.values()].find((machine) => machine.isRunning && machine.hasDisk(diskId));
  const withAgent = (instanceId: string): Machine => {
    const machine = running(instanceId);
    if (machine === undefined) throw new AgentUnavailable(`guest ${instanceId} is not running`);
    return machine;
  };
  const refuseIfInUse = (diskId: string, what: string): void => {
    const machine = userOf(diskId);
    if (machine !== undefined)
      throw new Error(`disk ${diskId} cannot be ${what}: guest ${machine.instanceId} runs with it`);
  };

  return {
    kind: 'vm',

    createDisk: (diskId, sizeBytes, fromSnapshotId) =>
      lock.run([diskId, ...(fromSnapshotId === undefined ? [] : [fromSnapshotId])], async () => {
        if (disks.exists(diskId)) return;
        if (fromSnapshotId === undefined) return disks.createEmpty(diskId, sizeBytes);
        await (await disks.prepareCopy(diskId, snapshots.path(fromSnapshotId), sizeBytes)).publish();
      }),

    createDiskFromImage: (diskId, sizeBytes, file) =>
      lock.run([diskId], async () => {
        if (!disks.exists(diskId)) await (await disks.prepareCopy(diskId, file, sizeBytes)).publish();
      }),

    createSystemDisk: (diskId, sizeBytes) =>
      lock.run([diskId], async () => {
        if (sizeBytes < IMAGE_BYTES)
          throw new Error(`system disk ${diskId}: ${sizeBytes} bytes are less than the image's ${IMAGE_BYTES}`);
        if (!disks.exists(diskId)) await (await disks.prepareCopy(diskId, image.systemDisk, sizeBytes)).publish();
      }),

    deleteDisk: (diskId) =>
      lock.run([diskId], async () => {
        refuseIfInUse(diskId, 'deleted');
        await disks.remove(diskId);
      }),

    resizeDisk: (diskId, sizeBytes) =>
      lock.run([diskId], async () => {
        await disks.grow(diskId, sizeBytes);
        await userOf(diskId)?.resize(diskId, sizeBytes);
      }),

    snapshotDisks: (pairs) =>
      lock.run(
        pairs.flatMap((pair) => [pair.diskId, pair.snapshotId]),
        async () => {
          const missing = pairs.filter((pair) => !snapshots.exists(pair.snapshotId));
          const users = new Set(missing.map((pair) => userOf(pair.diskId)).filter((user) => user !== undefined));
          const copies: Array<Awaited<ReturnType<DiskFiles['prepareCopy']>>> = [];
          try {
            for (const user of users) await user.pause();
            for (const pair of missing)
              copies.push(await snapshots.prepareCopy(pair.snapshotId, disks.path(pair.diskId)));
          } catch (error) {
            for (const copy of copies) await copy.discard();
            throw error;
          } finally {
            for (const user of users) await user.resume();
          }
          for (const copy of copies) await copy.publish();
        },
      ),

    deleteSnapshot: (snapshotId) => lock.run([snapshotId], () => snapshots.remove(snapshotId)),

    resetDisk: (diskId, snapshotId, sizeBytes) =>
      lock.run([diskId, snapshotId], async () => {
        refuseIfInUse(diskId, 'reset');
        await (await disks.prepareCopy(diskId, snapshots.path(snapshotId), sizeBytes)).publish();
      }),

    startInstance: (instanceId, attached) =>
      lock.run([instanceId, ...attached.map((disk) => disk.diskId)], async () => {
        if (running(instanceId) !== undefined) return;
        if (attached.length === 0) throw new Error(`guest ${instanceId} has no system disk`);
        const machine = await Machine.start({
          instanceId,
          folder: join(instances, instanceId),
          image,
          accelerator,
          selinux: options.selinux === true,
          disks: attached.map((disk) => ({ ...disk, path: disks.path(disk.diskId) })),
        });
        machines.set(instanceId, machine);
      }),

    stopInstance: async (instanceId, { force }) => {
      const machine = running(instanceId);
      if (machine === undefined) return;
      await (force ? machine.powerOff() : machine.shutDown(log));
      machines.delete(instanceId);
    },

    isRunning: (instanceId) => running(instanceId) !== undefined,

    attachDisk: (instanceId, disk) =>
      lock.run([instanceId, disk.diskId], async () => {
        checkSerial(disk);
        await running(instanceId)?.attach(disk, disks.path(disk.diskId));
      }),

    detachDisk: (instanceId, disk) =>
      lock.run([instanceId, disk.diskId], async () => {
        await running(instanceId)?.detach(disk.diskId);
      }),

    agentAnswers: async (instanceId) => (await running(instanceId)?.agentAnswers(AGENT_PING_MS)) ?? false,
    exec: async (instanceId, request, signal) => withAgent(instanceId).exec(request, signal),
    sendFile: async (instanceId, file) => withAgent(instanceId).sendFile(file),

    close: async () => {
      await Promise.all([...machines.values()].map((machine) => machine.powerOff()));
      machines.clear();
      await fs.rm(join(stateDir, OWNER_FILE), { force: true });
    },
  };
}

const OWNER_FILE = 'data-plane.pid';

/** Two processes on the same disks would destroy them. */
async function takeOwnership(stateDir: string): Promise<void> {
  const file = join(stateDir, OWNER_FILE);
  const [pid = '', started] = (await fs.readFile(file, 'utf8').catch(() => '')).split(' ');
  if (pid !== '' && Number(pid) !== process.pid && (await startTime(Number(pid))) === started) {
    throw new Error(`state folder ${stateDir} is in use by process ${pid}; stop it, or use another --state folder`);
  }
  await fs.writeFile(file, `${process.pid} ${await startTime(process.pid)}`);
}

/**
 * When a process started (clock ticks since boot): tells it from a later one with the same number. Undefined when there is
 * none, or one that has ended and whose parent has not yet asked how.
 */
async function startTime(pid: number): Promise<string | undefined> {
  const stat = await fs.readFile(`/proc/${pid}/stat`, 'utf8').catch(() => undefined);
  const [state, ...rest] = stat?.slice(stat.lastIndexOf(')') + 2).split(' ') ?? [];
  return state === 'Z' || state === 'X' ? undefined : rest[18];
}

/** The parent-death signal makes this rare; it is not certain when the parent dies in the moment of starting a guest. */
async function endLeftGuests(instances: string, log: (line: string) => void): Promise<void> {
  if (!existsSync(instances)) return;
  for (const instanceId of await fs.readdir(instances)) {
    const file = join(instances, instanceId, 'qemu.pid');
    const pid = Number(await fs.readFile(file, 'utf8').catch(() => '0'));
    const folder = await fs.readlink(`/proc/${pid}/cwd`).catch(() => '');
    if (pid > 0 && folder === (await fs.realpath(join(instances, instanceId)))) {
      log(`ending guest ${instanceId}, left by an earlier process`);
      process.kill(pid, 'SIGKILL');
      while (existsSync(`/proc/${pid}/cwd`) && (await fs.readlink(`/proc/${pid}/cwd`).catch(() => '')) !== '')
        await sleep(20);
    }
    await fs.rm(file, { force: true });
  }
}
