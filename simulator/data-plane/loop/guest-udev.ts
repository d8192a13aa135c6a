/**
 * Plays kernel and udev for the disks of one `loop` guest: device nodes vdX, links below /dev/disk, the guest's view of
 * /sys/block and its kin, /proc/partitions, and the records in /run/udev/data that lsblk reads. Works from outside,
 * through /proc/PID/root of the guest's process 1; all the folders written to are tmpfs of that guest.
 */
import { watch } from 'node:fs';
import type { FSWatcher } from 'node:fs';
import { lstat, mkdir, readFile, readdir, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { dirname, relative } from 'node:path';
import type { DeviceNumber, LoopDevice } from './loop-devices.ts';
import { runTool } from './run-tool.ts';

interface Disk {
  readonly serial: string;
  readonly loop: LoopDevice;
}

/** One device the guest has: a whole disk, or a partition of it. */
interface Device extends DeviceNumber {
  readonly name: string;
  readonly disk: string;
  /** 0 for the whole disk. */
  readonly partition: number;
  /** Its real folder in sysfs, named after the loop device. */
  readonly sysfs: string;
  readonly serial: string;
}

/** A write to a node is followed by more; the table is looked at when they pause. */
const PAUSE_MS = 60;
/** The kernel tells nobody here when a guest's own partx or BLKRRPART changes the partitions. */
const POLL_MS = 300;

const HIDDEN_ATTRIBUTES = new Set([
  'loop',
  'uevent',
  'subsystem',
  'power',
  'bdi',
  'mq',
  'trace',
  'integrity',
  'device',
]);

function numberText(device: DeviceNumber): string {
  return `${device.major}:${device.minor}`;
}

export class GuestUdev {
  private readonly root: string;
  private readonly log: (line: string) => void;
  private readonly disks = new Map<string, Disk>();
  private readonly published = new Map<string, Device>();
  private readonly links = new Map<string, string>();
  private readonly watchers = new Map<string, FSWatcher>();
  private queue: Promise<void> = Promise.resolve();
  private pause: NodeJS.Timeout | undefined;
  private readonly poll: NodeJS.Timeout;
  private closed = false;

  constructor(root: string, log: (line: string) => void) {
    this.root = root;
    this.log = log;
    this.watch('/run/udev', (_, file) => {
      if (file?.startsWith('refresh.') === true) this.answer(file);
    });
    this.poll = setInterval(() => void this.noticePartitions(), POLL_MS);
    this.poll.unref();
  }

  /** Plugs a disk in as `name` (such as `vdb`), with no serial when that is empty; resolves when its nodes and links are there. */
  async add(name: string, serial: string, loop: LoopDevice): Promise<void> {
    this.disks.set(name, { serial, loop });
    await this.refresh();
  }

  /** Takes the disk's nodes, links and records away. */
  async remove(name: string): Promise<void> {
    this.disks.delete(name);
    await this.refresh();
  }

  /** Reads all tables and superblocks again and makes the guest see them. One at a time; resolves when it is done. */
  refresh(): Promise<void> {
    const done = this.queue.then(() => this.publish());
    this.queue = done.catch((error: unknown) => {
      if (!this.closed) this.log(`guest udev: ${error instanceof Error ? error.message : String(error)}`);
    });
    return done;
  }

  async close(): Promise<void> {
    this.closed = true;
    clearInterval(this.poll);
    clearTimeout(this.pause);
    for (const watcher of this.watchers.values()) watcher.close();
    this.watchers.clear();
    await this.queue;
  }

  private watch(path: string, onEvent: (event: string, file: string | null) => void): void {
    if (this.watchers.has(path) || this.closed) return;
    try {
      const watcher = watch(this.root + path, { persistent: false }, onEvent);
      watcher.on('error', () => this.unwatch(path));
      this.watchers.set(path, watcher);
    } catch (error) {
      // Out of inotify watches: the poll and `udevadm settle` still notice changes, only later.
      this.log(`guest udev: cannot watch ${path}: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  private unwatch(path: string): void {
    this.watchers.get(path)?.close();
    this.watchers.delete(path);
  }

  private answer(file: string): void {
    void this.refresh()
      .catch(() => undefined)
      .then(() => rm(`${this.root}/run/udev/${file}`, { force: true }))
      .catch(() => undefined);
  }

  private refreshSoon(): void {
    clearTimeout(this.pause);
    this.pause = setTimeout(() => void this.refresh().catch(() => undefined), PAUSE_MS);
    this.pause.unref();
  }

  private async noticePartitions(): Promise<void> {
    try {
      for (const [name, disk] of this.disks) {
        const now = (await disk.loop.partitions()).map((part) => `${part.number} ${numberText(part)}`);
        const known = [...this.published.values()]
          .filter((device) => device.disk === name && device.partition > 0)
          .map((device) => `${device.partition} ${numberText(device)}`);
        if (now.join() !== known.join()) return this.refreshSoon();
      }
    } catch {
      // The device went away under the look; its removal refreshes by itself.
    }
  }

  private async publish(): Promise<void> {
    if (this.closed) return;
    const wanted = new Map<string, Device>();
    for (const [name, { serial, loop }] of this.disks) {
      wanted.set(name, { ...loop.number, name, disk: name, partition: 0, sysfs: loop.sysfs, serial });
      for (const part of await loop.readPartitions()) {
        const { major, minor, sysfs } = part;
        const own = `${name}${part.number}`;
        wanted.set(own, { major, minor, name: own, disk: name, partition: part.number, sysfs, serial });
      }
    }
    const same = (a: Device | undefined, b: Device | undefined): boolean =>
      a !== undefined && b !== undefined && numberText(a) === numberText(b) && a.sysfs === b.sysfs;
    // Partitions before their disk.
    for (const device of [...this.published.values()].sort((a, b) => b.partition - a.partition)) {
      if (!same(device, wanted.get(device.name))) await this.withdraw(device);
    }
    const links = new Map<string, string>();
    for (const device of wanted.values()) {
      if (!this.published.has(device.name)) await this.announce(device);
      // In order of attachment: of two disks with one UUID the later one gets the link, as udev was seen to do.
      for (const link of await this.record(device)) links.set(link, device.name);
    }
    await this.setLinks(links);
    await this.listPartitions();
  }

  private sysfsFolder(device: Device): string {
    const disk = `${this.root}/sys/block/${device.disk}`;
    return device.partition === 0 ? disk : `${disk}/${device.name}`;
  }

  private async announce(device: Device): Promise<void> {
    const folder = this.sysfsFolder(device);
    await mkdir(folder, { recursive: true });
    for (const entry of await readdir(device.sysfs)) {
      if (HIDDEN_ATTRIBUTES.has(entry) || entry.startsWith('loop')) continue;
      await symlink(`${device.sysfs}/${entry}`, `${folder}/${entry}`);
    }
    const type = device.partition === 0 ? 'disk' : 'partition';
    const partition = device.partition === 0 ? '' : `PARTN=${device.partition}\n`;
    await writeFile(
      `${folder}/uevent`,
      `MAJOR=${device.major}\nMINOR=${device.minor}\nDEVNAME=${device.name}\nDEVTYPE=${type}\n${partition}`,
    );
    await symlink('/sys/class/block', `${folder}/subsystem`);
    if (device.partition === 0) {
      await mkdir(`${folder}/device`);
      if (device.serial !== '') await writeFile(`${folder}/serial`, device.serial);
    }
    const path = device.partition === 0 ? device.disk : `${device.disk}/${device.name}`;
    await symlink(`../../block/${path}`, `${this.root}/sys/class/block/${device.name}`);
    await symlink(`../../block/${path}`, `${this.root}/sys/dev/block/${numberText(device)}`);

    const node = `${this.root}/dev/${device.name}`;
    if ((await lstat(node).catch(() => undefined)) === undefined) {
      await runTool('mknod', ['-m', '660', node, 'b', String(device.major), String(device.minor)]);
    }
    this.watch(`/dev/${device.name}`, () => this.refreshSoon());
    this.published.set(device.name, device);
  }

  private async withdraw(device: Device): Promise<void> {
    this.published.delete(device.name);
    this.unwatch(`/dev/${device.name}`);
    for (const path of [
      `${this.root}/dev/${device.name}`,
      `${this.root}/run/udev/data/b${numberText(device)}`,
      `${this.root}/sys/class/block/${device.name}`,
      `${this.root}/sys/dev/block/${numberText(device)}`,
    ]) {
      await rm(path, { force: true });
    }
    // Holds links into the real sysfs, which rm removes and does not follow.
    await rm(this.sysfsFolder(device), { recursive: true, force: true });
  }

  /** Writes the udev record of a device; returns its links, relative to /dev. */
  private async record(device: Device): Promise<string[]> {
    const probed = await runTool('blkid', ['-p', '-o', 'udev', `${this.root}/dev/${device.name}`]).catch(() => '');
    const properties = new Map(
      probed
        .split('\n')
        .filter((line) => line.includes('='))
        .map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const),
    );
    const part = device.partition === 0 ? '' : `-part${device.partition}`;
    const links = device.serial === '' ? [] : [`disk/by-id/virtio-${device.serial}${part}`];
    const add = (folder: string, property: string): void => {
      const value = properties.get(property);
      if (value !== undefined && value !== '') links.push(`disk/${folder}/${value}`);
    };
    add('by-uuid', 'ID_FS_UUID_ENC');
    add('by-label', 'ID_FS_LABEL_ENC');
    add('by-partuuid', 'ID_PART_ENTRY_UUID');
    const text = [
      ...links.map((link) => `S:${link}`),
      'I:1',
      ...(device.serial === '' ? [] : [`E:ID_SERIAL=${device.serial}`]),
      ...[...properties].map(([key, value]) => `E:${key}=${value}`),
      'G:systemd',
      'V:1',
      '',
    ].join('\n');
    // Whoever reads it in this moment sees the one or the other, as with udev.
    const file = `${this.root}/run/udev/data/b${numberText(device)}`;
    await writeFile(`${file}.new`, text);
    await rename(`${file}.new`, file);
    return links;
  }

  private async setLinks(wanted: ReadonlyMap<string, string>): Promise<void> {
    for (const [link, target] of this.links) {
      if (wanted.get(link) === target) continue;
      await rm(`${this.root}/dev/${link}`, { force: true });
      this.links.delete(link);
    }
    for (const [link, target] of wanted) {
      if (this.links.has(link)) continue;
      const path = `${this.root}/dev/${link}`;
      await mkdir(dirname(path), { recursive: true });
      await rm(path, { force: true });
      await symlink(relative(dirname(`/dev/${link}`), `/dev/${target}`), path);
      this.links.set(link, target);
    }
  }

  private async listPartitions(): Promise<void> {
    const lines = ['major minor  #blocks  name', ''];
    for (const device of this.published.values()) {
      const sectors = Number((await readFile(`${device.sysfs}/size`, 'utf8')).trim());
      const columns = [String(device.major).padStart(4), String(device.minor).padStart(8)];
      lines.push(`${columns.join(' ')} ${String(sectors / 2).padStart(10)} ${device.name}`);
    }
    // In place: the file is bind-mounted on /proc/partitions.
    await writeFile(`${this.root}/run/simulator/partitions`, `${lines.join('\n')}\n`);
  }
}
