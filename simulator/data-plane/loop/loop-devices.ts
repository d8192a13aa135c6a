/**
 * Loop devices that cannot outlive their users. Each is held open by this process and marked for clearing at the last
 * close, so that the kernel takes it back when the simulator lets go of it or dies and no guest has it mounted.
 */
import { open, readFile, readdir } from 'node:fs/promises';
import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { runTool } from './run-tool.ts';

export interface DeviceNumber {
  readonly major: number;
  readonly minor: number;
}

export interface KernelPartition extends DeviceNumber {
  readonly number: number;
  /** Real folder of the partition in sysfs. */
  readonly sysfs: string;
}

async function attribute(path: string): Promise<string> {
  return (await readFile(path, 'utf8')).trim();
}

async function deviceNumber(sysfs: string): Promise<DeviceNumber> {
  const [major = 0, minor = 0] = (await attribute(`${sysfs}/dev`)).split(':').map(Number);
  return { major, minor };
}

/** Loop devices whose backing file is, or was, below `folder`. */
export async function loopsBelow(folder: string): Promise<string[]> {
  const found: string[] = [];
  for (const name of await readdir('/sys/block')) {
    if (!name.startsWith('loop')) continue;
    const file = await attribute(`/sys/block/${name}/loop/backing_file`).catch(() => '');
    if (file.startsWith(`${folder}/`)) found.push(`/dev/${name}`);
  }
  return found;
}

/** Waits until no loop device has a backing file below `folder` (or is `folder` itself, with `exact`). */
export async function waitForNoLoops(folder: string, timeoutMs: number): Promise<boolean> {
  const end = Date.now() + timeoutMs;
  while ((await loopsBelow(folder)).length > 0) {
    if (Date.now() > end) return false;
    await sleep(20);
  }
  return true;
}

export class LoopDevice {
  readonly path: string;
  readonly sysfs: string;
  readonly number: DeviceNumber;
  private readonly file: string;
  private handle: FileHandle | undefined;

  private constructor(path: string, file: string, number: DeviceNumber, handle: FileHandle) {
    this.path = path;
    this.file = file;
    this.sysfs = `/sys/devices/virtual/block/${basename(path)}`;
    this.number = number;
    this.handle = handle;
  }

  /**
   * `--partscan` because the kernel refuses partitions on a loop device without it. Buffered, not direct I/O: what the
   * guest's kernel has written to the device is then what a reader of the file sees.
   */
  static async attach(file: string): Promise<LoopDevice> {
    const path = (await runTool('losetup', ['--find', '--show', '--partscan', file])).trim();
    const handle = await open(path, 'r').catch(async (error: unknown) => {
      await runTool('losetup', ['--detach', path]);
      throw error;
    });
    try {
      // With a holder, this does not clear: it marks for clearing at the last close.
      await runTool('losetup', ['--detach', path]);
      const device = new LoopDevice(path, file, await deviceNumber(`/sys/block/${basename(path)}`), handle);
      await device.readPartitions();
      return device;
    } catch (error) {
      await handle.close();
      throw error;
    }
  }

  /**
   * Lets the kernel's partitions follow the table on the disk; a kernel without partition parsers needs it told. Only
   * when they differ: `partx --update` takes an idle partition away for a moment, and a guest's mkfs would notice.
   */
  async readPartitions(): Promise<KernelPartition[]> {
    const known = await this.partitions();
    const inKernel: string[] = [];
    for (const { number, sysfs } of known) {
      const extent = await Promise.all([attribute(`${sysfs}/start`), attribute(`${sysfs}/size`)]);
      inKernel.push([number, ...extent].join(' '));
    }
    // No table, or none that is understood, is an error to partx and no partition to us.
    const columns = ['--raw', '--noheadings', '--output', 'NR,START,SECTORS'];
    const onDisk = (await runTool('partx', [...columns, this.path]).catch(() => ''))
      .split('\n')
      .filter((line) => line !== '');
    if (onDisk.toSorted().join() === inKernel.toSorted().join()) return known;
    // Fails for a partition in use, which the kernel then keeps as it is.
    await runTool('partx', [onDisk.length > 0 ? '--update' : '--delete', this.path]).catch(() => '');
    return this.partitions();
  }

  /** Partitions as the kernel has them now. */
  async partitions(): Promise<KernelPartition[]> {
    const name = basename(this.path);
    const found: KernelPartition[] = [];
    for (const entry of await readdir(this.sysfs)) {
      if (!entry.startsWith(`${name}p`)) continue;
      const sysfs = `${this.sysfs}/${entry}`;
      try {
        const number = await deviceNumber(sysfs);
        found.push({ ...number, number: Number(await attribute(`${sysfs}/partition`)), sysfs });
      } catch {
        // Gone between the listing and the look.
      }
    }
    return found.sort((a, b) => a.number - b.number);
  }

  /** Lets the kernel see that the file has grown. */
  async growWithFile(): Promise<void> {
    await runTool('losetup', ['--set-capacity', this.path]);
  }

  /** Writes and discards done so far, and writes under way: equal twice and 0 under way means nothing moved between. */
  async writes(): Promise<{ done: number; underWay: number }> {
    const counters = (await attribute(`${this.sysfs}/stat`)).split(/\s+/).map(Number);
    const underWay = Number((await attribute(`${this.sysfs}/inflight`)).split(/\s+/)[1] ?? 0);
    return { done: (counters[4] ?? 0) + (counters[11] ?? 0), underWay };
  }

  /** Lets go. The device is gone once no guest uses it; whether that was so within `timeoutMs`. */
  async release(timeoutMs: number): Promise<boolean> {
    await this.handle?.close();
    this.handle = undefined;
    const end = Date.now() + timeoutMs;
    for (;;) {
      const file = await attribute(`${this.sysfs}/loop/backing_file`).catch(() => '');
      // The number may be another's by now.
      if (file !== this.file && file !== `${this.file} (deleted)`) return true;
      if (Date.now() > end) return false;
      await sleep(10);
    }
  }
}
