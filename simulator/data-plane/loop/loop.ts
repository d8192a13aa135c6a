/**
 * The `loop` data plane: guests are namespaces on this kernel, disks are loop devices over raw sparse files. About ten
 * times faster than `vm` on file work, for root on Linux only, and only when asked for.
 *
 * What differs from a real machine: no boot loader, no udev race at boot, no LVM; XFS file systems with one UUID collide
 * across all guests of this kernel; an ext4 grows online only where the host allows CAP_SYS_RESOURCE; `fstab` entries
 * that cannot be mounted do not stop the boot. A guest shares the host's network, and is no security border.
 */
import { access, mkdir, rename, rm } from 'node:fs/promises';
import { resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { AgentUnavailable } from '../port.ts';
import type { AttachedDisk, DataPlane, DataPlaneOptions, ExecRequest, ExecResult, FileToSend } from '../port.ts';
import { copySparse, exists, growTo, makeHole, makeWhole, temporaryName } from './images.ts';
import { loopsBelow, waitForNoLoops } from './loop-devices.ts';
import type { LoopDevice } from './loop-devices.ts';
import { Machine } from './machine.ts';
import type { DiskImage } from './machine.ts';
import { runTool } from './run-tool.ts';
import { makeSystemDisk, makeSystemTree } from './system-tree.ts';

const INSTEAD = 'use --data-plane vm, which needs no privilege';
/** How long the kernel may go on writing back for frozen guests before a snapshot is given up. */
const QUIET_TIMEOUT_MS = 120_000;

const TOOLS: ReadonlyArray<readonly [program: string, debianPackage: string]> = [
  ['bash', 'bash'],
  ['blkid', 'util-linux'],
  ['cp', 'coreutils'],
  ['losetup', 'mount'],
  ['mke2fs', 'e2fsprogs'],
  ['mknod', 'coreutils'],
  ['mount', 'mount'],
  ['nsenter', 'util-linux'],
  ['partx', 'util-linux'],
  ['pivot_root', 'util-linux'],
  ['setpriv', 'util-linux'],
  ['sfdisk', 'fdisk'],
  ['unshare', 'util-linux'],
  ['xfs_io', 'xfsprogs'],
];

/** Throws an error of one line that names what this host lacks, and the way out. */
async function checkHost(): Promise<void> {
  if (process.platform !== 'linux') {
    throw new Error(`data plane loop: it needs Linux, and this is ${process.platform}; ${INSTEAD}`);
  }
  if (process.getuid?.() !== 0) {
    throw new Error(`data plane loop: it needs root, and this is user ${process.getuid?.()}; ${INSTEAD}`);
  }
  try {
    await access('/dev/loop-control');
  } catch {
    throw new Error(`data plane loop: /dev/loop-control is missing, so this host has no loop devices; ${INSTEAD}`);
  }
  const missing: string[] = [];
  for (const [program, debianPackage] of TOOLS) {
    await runTool('sh', ['-c', 'command -v "$1"', 'sh', program]).catch(() =>
      missing.push(`${program} (${debianPackage})`),
    );
  }
  if (missing.length > 0) {
    throw new Error(`data plane loop: missing here: ${missing.join(', ')}; install the packages named, or ${INSTEAD}`);
  }
  const namespaces = ['--mount', '--pid', '--uts', '--ipc', '--fork', 'mount', '-t', 'tmpfs', 'probe', '/mnt'];
  await runTool('unshare', namespaces).catch(() => {
    throw new Error(`data plane loop: root may not make mount namespaces here (CAP_SYS_ADMIN is missing); ${INSTEAD}`);
  });
}

class LoopDataPlane implements DataPlane {
  readonly kind = 'loop';
  private readonly stateDir: string;
  private readonly log: (line: string) => void;
  private systemTree: Promise<string> | undefined;
  private readonly machines = new Map<string, Machine>();

  constructor(options: DataPlaneOptions) {
    this.stateDir = resolve(options.stateDir);
    this.log = options.log;
  }

  /** Lets go of what a simulator that was killed has left on this folder, and waits until the kernel has written it. */
  async recover(): Promise<void> {
    await mkdir(this.disksFolder, { recursive: true, mode: 0o700 });
    await mkdir(`${this.stateDir}/snapshots`, { recursive: true, mode: 0o700 });
    for (const device of await loopsBelow(this.disksFolder)) {
      await runTool('losetup', ['--detach', device]).catch(() => '');
    }
    if (!(await waitForNoLoops(this.disksFolder, 30_000))) {
      const left = (await loopsBelow(this.disksFolder)).join(', ');
      throw new Error(
        `data plane loop: ${left} still use images of ${this.stateDir}; end the other simulator of that folder, or unmount them`,
      );
    }
    await rm(`${this.stateDir}/instances`, { recursive: true, force: true });
    for (const folder of ['disks', 'snapshots']) {
      await runTool('find', [`${this.stateDir}/${folder}`, '-name', '*.tmp-*', '-delete']);
    }
  }

  private get disksFolder(): string {
    return `${this.stateDir}/disks`;
  }

  private disk(diskId: string): string {
    return `${this.disksFolder}/${diskId}.img`;
  }

  private withImage(disk: AttachedDisk): DiskImage {
    return { ...disk, image: this.disk(disk.diskId) };
  }

  private snapshot(snapshotId: string): string {
    return `${this.stateDir}/snapshots/${snapshotId}.img`;
  }

  async createDisk(diskId: string, sizeBytes: number, fromSnapshotId?: string): Promise<void> {
    if (await exists(this.disk(diskId))) return;
    await makeWhole(this.disk(diskId), (file) =>
      fromSnapshotId === undefined
        ? makeHole(file, sizeBytes)
        : copySparse(this.snapshot(fromSnapshotId), file, sizeBytes),
    );
  }

  async createDiskFromImage(diskId: string, sizeBytes: number, image: string): Promise<void> {
    if (await exists(this.disk(diskId))) return;
    await makeWhole(this.disk(diskId), (file) => copySparse(image, file, sizeBytes));
  }

  async createSystemDisk(diskId: string, sizeBytes: number): Promise<void> {
    if (await exists(this.disk(diskId))) return;
    this.systemTree ??= this.makeTree();
    const tree = await this.systemTree;
    await makeWhole(this.disk(diskId), (file) => makeSystemDisk(file, sizeBytes, tree));
  }

  private async makeTree(): Promise<string> {
    const tree = `${this.stateDir}/system-tree`;
    await rm(tree, { recursive: true, force: true });
    await makeWhole(tree, makeSystemTree);
    return tree;
  }

  async deleteDisk(diskId: string): Promise<void> {
    await rm(this.disk(diskId), { force: true });
  }

  async resizeDisk(diskId: string, sizeBytes: number): Promise<void> {
    await growTo(this.disk(diskId), sizeBytes);
    for (const machine of this.machines.values()) await machine.diskGrew(diskId);
  }

  /**
   * The copies hold what the guests' kernels had written to the devices at one moment: crash-consistent, as the cloud's
   * snapshots are. What was only in a guest's page cache is not in them. The guests' processes stand still; the kernel
   * does not, so a copy counts only if the devices' own counters say that nothing was written while it was made.
   */
  async snapshotDisks(pairs: ReadonlyArray<{ diskId: string; snapshotId: string }>): Promise<void> {
    const wanted: Array<{ diskId: string; snapshotId: string }> = [];
    for (const pair of pairs) if (!(await exists(this.snapshot(pair.snapshotId)))) wanted.push(pair);
    const machines = [...this.machines.values()].filter((machine) => wanted.some(({ diskId }) => machine.has(diskId)));
    const devices = machines.flatMap((machine) => wanted.flatMap(({ diskId }) => machine.loopOf(diskId) ?? []));
    let copying = (): Promise<void> => this.copyWhileQuiet(wanted, devices);
    for (const machine of machines) {
      const inner = copying;
      copying = () => machine.whileFrozen(inner);
    }
    await copying();
  }

  private async copyWhileQuiet(
    pairs: ReadonlyArray<{ diskId: string; snapshotId: string }>,
    devices: readonly LoopDevice[],
  ): Promise<void> {
    const copies = pairs.map(({ diskId, snapshotId }) => {
      const to = this.snapshot(snapshotId);
      return { from: this.disk(diskId), temporary: temporaryName(to), to };
    });
    const look = (): Promise<ReadonlyArray<{ done: number; underWay: number }>> =>
      Promise.all(devices.map((device) => device.writes()));
    const end = Date.now() + QUIET_TIMEOUT_MS;
    try {
      for (;;) {
        const before = await look();
        if (before.every(({ underWay }) => underWay === 0)) {
          for (const { from, temporary } of copies) await copySparse(from, temporary);
          const after = await look();
          if (after.every(({ done, underWay }, index) => underWay === 0 && done === before[index]?.done)) break;
        }
        if (Date.now() > end) {
          const seconds = QUIET_TIMEOUT_MS / 1000;
          throw new Error(`the kernel has gone on writing for ${seconds} s, so there is no copy of one moment`);
        }
        await sleep(20);
      }
      for (const { temporary, to } of copies) await rename(temporary, to);
    } finally {
      for (const { temporary } of copies) await rm(temporary, { force: true });
    }
  }

  async deleteSnapshot(snapshotId: string): Promise<void> {
    await rm(this.snapshot(snapshotId), { force: true });
  }

  async resetDisk(diskId: string, snapshotId: string, sizeBytes: number): Promise<void> {
    await makeWhole(this.disk(diskId), (file) => copySparse(this.snapshot(snapshotId), file, sizeBytes));
  }

  async startInstance(instanceId: string, disks: readonly AttachedDisk[]): Promise<void> {
    const known = this.machines.get(instanceId);
    if (known?.ended === false) return known.start(disks.map((disk) => this.withImage(disk)));
    // One that ended by itself may still be on its way down.
    await known?.stop({ force: true });
    const folder = `${this.stateDir}/instances/${instanceId}`;
    const machine = new Machine(instanceId, folder, this.log);
    this.machines.set(instanceId, machine);
    try {
      await machine.start(disks.map((disk) => this.withImage(disk)));
    } catch (error) {
      if (this.machines.get(instanceId) === machine) this.machines.delete(instanceId);
      throw error;
    }
  }

  async stopInstance(instanceId: string, options: { force: boolean }): Promise<void> {
    const machine = this.machines.get(instanceId);
    if (machine === undefined) return;
    await machine.stop(options);
    if (this.machines.get(instanceId) === machine) this.machines.delete(instanceId);
  }

  isRunning(instanceId: string): boolean {
    return this.machines.get(instanceId)?.running ?? false;
  }

  async attachDisk(instanceId: string, disk: AttachedDisk): Promise<void> {
    await this.machines.get(instanceId)?.attach(this.withImage(disk));
  }

  async detachDisk(instanceId: string, disk: AttachedDisk): Promise<void> {
    await this.machines.get(instanceId)?.detach(disk.diskId);
  }

  async agentAnswers(instanceId: string): Promise<boolean> {
    return (await this.machines.get(instanceId)?.agentAnswers()) ?? false;
  }

  async exec(instanceId: string, request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    return this.runningMachine(instanceId).exec(request, signal);
  }

  async sendFile(instanceId: string, file: FileToSend): Promise<{ exitCode: number; message: string }> {
    return this.runningMachine(instanceId).sendFile(file);
  }

  async close(): Promise<void> {
    await Promise.all([...this.machines.values()].map((machine) => machine.stop({ force: false })));
    this.machines.clear();
  }

  private runningMachine(instanceId: string): Machine {
    const machine = this.machines.get(instanceId);
    if (machine?.running !== true) throw new AgentUnavailable(`${instanceId} is not running`);
    return machine;
  }
}

/**
 * Opens the data plane on `stateDir`, which belongs to it alone. Throws an error of one line for the user where the host
 * cannot run it: not Linux, not root, no loop devices, no namespaces, a program missing.
 */
export async function createLoopDataPlane(options: DataPlaneOptions): Promise<DataPlane> {
  await checkHost();
  const dataPlane = new LoopDataPlane(options);
  await dataPlane.recover();
  return dataPlane;
}
