/** The `loop` data plane against this very kernel: bytes on its disks, what a guest sees of them, and that nothing leaks. */
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, readFile, readdir, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { createLoopDataPlane } from '../../simulator/data-plane/loop/loop.ts';
import { AgentUnavailable } from '../../simulator/data-plane/port.ts';
import type { DataPlane, ExecResult } from '../../simulator/data-plane/port.ts';
import { whyNoLoopDevices } from '../support/loop-devices.ts';

const GIB = 2 ** 30;
const INSTANCE = 'i-loop';
const SYSTEM = { diskId: 'd-system', serial: 'system' };
const DATA = { diskId: 'd-bp1data0000000000000', serial: 'bp1data0000000000000' };
const CLONE = { diskId: 'd-bp1clone000000000000', serial: 'bp1clone000000000000' };

async function commandLine(pid: string): Promise<string> {
  return (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ').trim();
}

async function countProcesses(command: string): Promise<number> {
  const lines = await Promise.all((await readdir('/proc')).filter((name) => /^\d+$/.test(name)).map(commandLine));
  return lines.filter((line) => line === command).length;
}

/** What the kernel knows whose name or source has `stateDir` in it: loop devices, processes, mounts of any process. */
async function traces(stateDir: string): Promise<string[]> {
  const found: string[] = [];
  for (const device of await readdir('/sys/block')) {
    const file = await readFile(`/sys/block/${device}/loop/backing_file`, 'utf8').catch(() => '');
    if (file.includes(stateDir)) found.push(`${device} on ${file.trim()}`);
  }
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    const command = await commandLine(pid);
    if (command.includes(stateDir)) found.push(`process ${pid}: ${command}`);
    const mounts = await readFile(`/proc/${pid}/mountinfo`, 'utf8').catch(() => '');
    if (mounts.includes(stateDir)) found.push(`mounts of process ${pid}`);
  }
  return found;
}

describe('loop data plane on a host that cannot run it', () => {
  afterEach(() => {
    vi.restoreAllMocks();
  });

  it('refuses another user than root in one line that names the way out', async () => {
    vi.spyOn(process, 'getuid').mockReturnValue(1000);
    const refused = createLoopDataPlane({ stateDir: join(tmpdir(), 'never-made'), log: () => undefined });
    await expect(refused).rejects.toThrow(
      /^data plane loop: it needs (root, and this is user 1000|Linux).*--data-plane vm[^\n]*$/,
    );
    expect(existsSync(join(tmpdir(), 'never-made'))).toBe(false);
  });
});

const reason = whyNoLoopDevices();

describe.skipIf(reason !== undefined)(`loop data plane${reason === undefined ? '' : ` (skipped: ${reason})`}`, () => {
  let stateDir = '';
  let plane: DataPlane;
  /** A command line of this test process alone, to be counted over the whole machine. */
  const nap = `sleep 302.${process.pid}`;
  const logged: string[] = [];

  const run = (
    script: string,
    options: { timeoutMs?: number; user?: string; signal?: AbortSignal } = {},
  ): Promise<ExecResult> =>
    plane.exec(
      INSTANCE,
      {
        script: Buffer.from(`#!/bin/bash\n${script}\n`),
        timeoutMs: options.timeoutMs ?? 60_000,
        workingDir: options.user === undefined ? '/root' : '/tmp',
        user: options.user ?? 'root',
      },
      options.signal ?? new AbortController().signal,
    );
  /** Output of a script that must succeed, without the last line feed. */
  const out = async (script: string): Promise<string> => {
    const { exitCode, output } = await run(`set -e\n${script}`);
    const text = output.toString().trimEnd();
    expect(exitCode, `${script}\n${text}`).toBe(0);
    return text;
  };
  const boot = (): Promise<void> => plane.startInstance(INSTANCE, [SYSTEM, DATA]);
  const partitionAndMount = (serial: string, mkfs: string, mountPoint: string): Promise<string> =>
    out(`
      device=/dev/disk/by-id/virtio-${serial}
      printf 'label: gpt\\n,,L\\n' | sfdisk -q "$device"
      udevadm settle
      ${mkfs} "$device-part1"
      udevadm settle
      mkdir -p ${mountPoint}
      echo "UUID=$(blkid -s UUID -o value "$device-part1") ${mountPoint} auto defaults,nofail 0 2" >>/etc/fstab
      mount ${mountPoint}`);

  beforeAll(async () => {
    stateDir = await mkdtemp(join(tmpdir(), 'loop-data-plane-'));
    plane = await createLoopDataPlane({ stateDir, log: (line) => logged.push(line) });
    await plane.createSystemDisk(SYSTEM.diskId, GIB);
    await plane.createDisk(DATA.diskId, GIB);
    await boot();
  });

  afterAll(async () => {
    await plane?.close();
    expect(await traces(stateDir)).toEqual([]);
    await rm(stateDir, { recursive: true, force: true });
  });

  it('boots a guest of its own: host name, processes, root disk', async () => {
    expect(plane.isRunning(INSTANCE)).toBe(true);
    expect(await plane.agentAnswers(INSTANCE)).toBe(true);
    expect(await out('hostname')).toBe(INSTANCE);
    expect(await out('findmnt -no SOURCE,FSTYPE /')).toMatch(/^\/dev\/vda1\s+ext4$/);
    expect(Number(await out('ps -e -o pid= | wc -l'))).toBeLessThan(10);
    expect(await out(`ls ${stateDir} 2>&1 || echo absent`)).toMatch(/absent$/);
  });

  it('shows its disks to lsblk, blkid, udevadm and /dev/disk by serial, and no other device of the host', async () => {
    await partitionAndMount(DATA.serial, 'mkfs.ext4 -q', '/data');
    const [uuid, partUuid] = (
      await out('blkid -s UUID -o value /dev/vdb1; blkid -s PARTUUID -o value /dev/vdb1')
    ).split('\n');
    const listed = JSON.parse(
      await out('lsblk --json -o NAME,SERIAL,FSTYPE,UUID,PARTUUID,PKNAME,MOUNTPOINTS'),
    ) as unknown;
    expect(listed).toEqual({
      blockdevices: [
        expect.objectContaining({ name: 'vda', serial: SYSTEM.serial }),
        expect.objectContaining({
          name: 'vdb',
          serial: DATA.serial,
          children: [
            {
              name: 'vdb1',
              serial: null,
              fstype: 'ext4',
              uuid,
              partuuid: partUuid,
              pkname: 'vdb',
              mountpoints: ['/data'],
            },
          ],
        }),
      ],
    });
    expect(await out('findmnt -no SOURCE /data')).toBe('/dev/vdb1');
    expect(await out(`readlink -f /dev/disk/by-id/virtio-${DATA.serial}-part1 /dev/disk/by-uuid/${uuid}`)).toBe(
      '/dev/vdb1\n/dev/vdb1',
    );
    expect(await out('udevadm info --query=property --name=/dev/vdb1')).toContain(`ID_FS_UUID=${uuid}`);
    expect(await out("awk 'NR > 2 { print $4 }' /proc/partitions | sort | tr '\\n' ' '")).toBe('vda vda1 vdb vdb1');
  });

  it('never shows half a record of a disk while udev writes it again', async () => {
    const looks = await out(`
      (for i in {1..15}; do : >/run/udev/refresh.$i; sleep 0.05; done) &
      while kill -0 $! 2>/dev/null; do lsblk -dno SERIAL /dev/vda; done | sort -u`);
    expect(looks).toBe(SYSTEM.serial);
  });

  it('runs the script as a file: its first line, user, folder, exit status, signal, order of output', async () => {
    const request = { timeoutMs: 10_000, workingDir: '/var/tmp', user: 'nobody' };
    const script = Buffer.from('#!/usr/bin/awk -f\nBEGIN { "id -un; pwd" | getline u; print u; exit 3 }\n');
    const asNobody = await plane.exec(INSTANCE, { ...request, script }, new AbortController().signal);
    expect({ ...asNobody, output: asNobody.output.toString() }).toEqual({
      exitCode: 3,
      output: 'nobody\n',
      timedOut: false,
    });
    expect((await run('pwd; echo one; echo two >&2; echo three')).output.toString()).toBe('/root\none\ntwo\nthree\n');
    expect((await run('kill -SEGV $$')).exitCode).toBe(128 + 11);
    expect((await run('id -un; id -gn', { user: 'daemon' })).output.toString()).toBe('daemon\ndaemon\n');
    expect((await run('true', { user: 'nobody-of-that-name' })).exitCode).not.toBe(0);
  });

  it('kills the process group at the timeout and on abort, and spares what was detached by setsid', async () => {
    const late = await run('setsid sleep 300.25 >/dev/null 2>&1 & sleep 300.5 & echo begun; wait', {
      timeoutMs: 2_000,
    });
    expect(late).toMatchObject({ timedOut: true, exitCode: 128 + 9 });
    expect(late.output.toString()).toBe('begun\n');
    expect(await out('pgrep -fx "sleep 300.25" | wc -l; pgrep -fx "sleep 300.5" | wc -l || :')).toBe('1\n0');
    const abort = new AbortController();
    const aborted = run('sleep 301', { signal: abort.signal });
    await out('until pgrep -fx "sleep 301"; do sleep 0.05; done');
    abort.abort();
    expect(await aborted).toMatchObject({ timedOut: false, exitCode: 128 + 9 });
    expect(await out('pgrep -fx "sleep 301" | wc -l || :; pkill -fx "sleep 300.25"')).toBe('0');
  });

  it('sends a file with mode and owner, and overwrites only when told', async () => {
    const file = { path: '/etc/app/app.conf', mode: '0640', owner: 'daemon', group: 'nogroup', overwrite: false };
    expect(await plane.sendFile(INSTANCE, { ...file, content: Buffer.from('one\0two') })).toEqual({
      exitCode: 0,
      message: '',
    });
    expect(await out('stat -c "%a %U %G %s" /etc/app/app.conf')).toBe('640 daemon nogroup 7');
    const again = await plane.sendFile(INSTANCE, { ...file, content: Buffer.from('three') });
    expect(again.exitCode).not.toBe(0);
    expect(again.message).toContain('exists');
    await plane.sendFile(INSTANCE, { ...file, content: Buffer.from('three'), overwrite: true });
    expect(await out('cat /etc/app/app.conf')).toBe('three');
  });

  for (const [fsType, mkfs, cloneOptions] of [
    ['ext4', 'mkfs.ext4 -q', 'ro,nodev,nosuid,noexec'],
    ['xfs', 'mkfs.xfs -q', 'ro,nodev,nosuid,noexec,nouuid'],
  ] as const) {
    it(`keeps ${fsType} bytes through snapshot, reset, clone, hot plug and a restart`, async () => {
      const disk = { diskId: `d-${fsType}`, serial: fsType };
      const clone = { diskId: `d-${fsType}-clone`, serial: `${fsType}-clone` };
      const [a, b] = [`s-${fsType}-a`, `s-${fsType}-b`];
      await plane.createDisk(disk.diskId, GIB);
      await plane.attachDisk(INSTANCE, disk);
      await partitionAndMount(disk.serial, mkfs, `/${fsType}`);
      await out(`cd /${fsType}; for i in $(seq 200); do echo "old $i" >f$i; done; sync`);
      const sum = `cd /${fsType}; cat f* | sha256sum`;
      const before = await out(sum);
      await plane.snapshotDisks([{ diskId: disk.diskId, snapshotId: a }]);
      await out(`cd /${fsType}; for i in $(seq 200); do echo "new $i" >f$i; done; sync`);
      const damaged = await out(sum);
      expect(damaged).not.toBe(before);

      await plane.stopInstance(INSTANCE, { force: false });
      expect(plane.isRunning(INSTANCE)).toBe(false);
      await plane.snapshotDisks([{ diskId: disk.diskId, snapshotId: b }]);
      await plane.resetDisk(disk.diskId, a, GIB);
      await plane.createDisk(clone.diskId, 2 * GIB, b);
      await plane.startInstance(INSTANCE, [SYSTEM, DATA, disk]);
      expect(await out(sum)).toBe(before);

      await plane.attachDisk(INSTANCE, clone);
      const device = `/dev/disk/by-id/virtio-${clone.serial}-part1`;
      expect(await out(`blockdev --getsize64 /dev/disk/by-id/virtio-${clone.serial}`)).toBe(String(2 * GIB));
      // What the fact is about: without `nouuid` the kernel refuses a second XFS of the same UUID.
      if (fsType === 'xfs')
        expect((await run(`mkdir -p /run/plain; mount -o ro ${device} /run/plain`)).exitCode).toBe(32);
      await out(`mkdir -p /run/clone; mount -o ${cloneOptions} ${device} /run/clone`);
      expect(await out('cd /run/clone; cat f* | sha256sum')).toBe(damaged);
      await out(`umount /run/clone`);
      await plane.detachDisk(INSTANCE, clone);
      expect(await out(`ls /dev/disk/by-id | grep -c ${clone.serial} || :`)).toBe('0');
      expect(await traces(`${stateDir}/disks/${clone.diskId}.img`)).toEqual([]);
      await out(`umount /${fsType}; sed -i '\\|/${fsType} |d' /etc/fstab`);
      await plane.detachDisk(INSTANCE, disk);
      for (const { diskId } of [disk, clone]) await plane.deleteDisk(diskId);
    });
  }

  it('takes crash-consistent snapshots while the guest writes, all disks at one moment', async () => {
    await plane.createDisk(CLONE.diskId, GIB);
    await plane.attachDisk(INSTANCE, CLONE);
    await partitionAndMount(CLONE.serial, 'mkfs.ext4 -q', '/second');
    // Always first /data, then /second: in one moment's bytes the first is at most one ahead, and never behind.
    await out(`cat >/root/writer <<'END'
      n=0
      while :; do
        n=$((n + 1))
        for d in /data /second; do echo $n >$d/n.new; sync $d/n.new; mv $d/n.new $d/n; sync -f $d/n; done
      done
END
      setsid sh /root/writer >/dev/null 2>&1 &`);
    await out('until [ -s /second/n ]; do sleep 0.05; done');
    await plane.snapshotDisks([
      { diskId: DATA.diskId, snapshotId: 's-data' },
      { diskId: CLONE.diskId, snapshotId: 's-second' },
    ]);
    // The writer goes on.
    await out('then=$(cat /data/n); until [ "$(cat /data/n)" -gt "$then" ]; do sleep 0.05; done');
    await out(
      'pkill -f /root/writer; while pgrep -f /root/writer; do sleep 0.05; done; until umount /second; do sleep 0.05; done; sed -i "\\|/second |d" /etc/fstab',
    );
    await plane.detachDisk(INSTANCE, CLONE);
    for (const [name, snapshotId] of [
      ['one', 's-data'],
      ['two', 's-second'],
    ] as const) {
      await plane.createDisk(`d-${name}`, GIB, snapshotId);
      await plane.attachDisk(INSTANCE, { diskId: `d-${name}`, serial: name });
      await out(`mkdir -p /run/${name}; mount -o ro /dev/disk/by-id/virtio-${name}-part1 /run/${name}`);
    }
    const [first = 0, second = 0] = (await out('cat /run/one/n /run/two/n')).split('\n').map(Number);
    expect(first).toBeGreaterThan(0);
    expect(first - second).toBeGreaterThanOrEqual(0);
    expect(first - second).toBeLessThanOrEqual(1);
    await out('umount /run/one /run/two');
    for (const name of ['one', 'two']) await plane.detachDisk(INSTANCE, { diskId: `d-${name}`, serial: name });
  });

  it('keeps disks and snapshots sparse', async () => {
    await plane.snapshotDisks([{ diskId: DATA.diskId, snapshotId: 's-sparse' }]);
    for (const file of [`disks/${DATA.diskId}.img`, 'snapshots/s-sparse.img']) {
      const { size, blocks } = await stat(join(stateDir, file));
      expect(size).toBe(GIB);
      expect(blocks * 512, file).toBeLessThan(GIB / 8);
    }
  });

  it('reverts the system disk, changes below /usr included', async () => {
    await out('echo kept >/root/state; sync');
    await plane.stopInstance(INSTANCE, { force: false });
    await plane.snapshotDisks([{ diskId: SYSTEM.diskId, snapshotId: 's-system' }]);
    await boot();
    await out('echo broken >/root/state; rm /usr/bin/tac; echo /dev/nowhere /x ext4 defaults 0 0 >/etc/fstab; sync');
    await plane.stopInstance(INSTANCE, { force: false });
    await boot();
    expect(await out('cat /root/state; [ ! -e /usr/bin/tac ]; findmnt /data || echo unmounted')).toBe(
      'broken\nunmounted',
    );
    await plane.stopInstance(INSTANCE, { force: false });
    await plane.resetDisk(SYSTEM.diskId, 's-system', GIB);
    await boot();
    expect(await out('cat /root/state; echo ok | tac; findmnt -no SOURCE /data')).toBe('kept\nok\n/dev/vdb1');
    expect(existsSync('/usr/bin/tac')).toBe(true);
  });

  it('loses at a power cut what was not synced, and keeps what was', async () => {
    // A `sync` of anybody on this kernel in between, such as another test's guest, saves what was to be lost.
    for (let tries = 1; ; tries += 1) {
      await out(`echo synced ${tries} >/data/synced; sync -f /data; echo not >/data/unsynced-${tries}`);
      await plane.stopInstance(INSTANCE, { force: true });
      await boot();
      const left = await out(`cat /data/synced; [ -s /data/unsynced-${tries} ] || echo lost`);
      if (left === `synced ${tries}` && tries < 5) continue;
      expect(left).toBe(`synced ${tries}\nlost`);
      break;
    }
  });

  it('stops in an orderly way: processes get TERM, unsynced data is kept', async () => {
    await out(`cat >/root/server <<'END'
trap 'echo clean >/data/ended; exit' TERM
: >/run/server-ready
while :; do sleep 0.1; done
END
      setsid bash /root/server >/dev/null 2>&1 &
      until [ -e /run/server-ready ]; do sleep 0.05; done; echo unsynced >/data/unsynced`);
    const bootId = await out('cat /proc/sys/kernel/random/boot_id');
    const bootedAt = Number(await out("sed -n 's/^btime //p' /proc/stat; sleep 1"));
    expect(Math.abs(bootedAt - Date.now() / 1000)).toBeLessThan(600);
    await plane.stopInstance(INSTANCE, { force: false });
    await boot();
    expect(await out('cat /data/ended /data/unsynced')).toBe('clean\nunsynced');
    expect(await out('cat /proc/sys/kernel/random/boot_id')).not.toBe(bootId);
    expect(Number(await out("sed -n 's/^btime //p' /proc/stat"))).toBeGreaterThan(bootedAt);
  });

  it('grows an attached disk under the guest', async () => {
    await plane.resizeDisk(DATA.diskId, 2 * GIB);
    expect(await out('blockdev --getsize64 /dev/vdb; cat /sys/block/vdb/size')).toBe(`${2 * GIB}\n${(2 * GIB) / 512}`);
  });

  it('answers EIO from a mounted disk that was pulled, and writes nothing to it any more', async () => {
    await plane.createDisk('d-pulled', GIB);
    await plane.attachDisk(INSTANCE, { diskId: 'd-pulled', serial: 'pulled' });
    await partitionAndMount('pulled', 'mkfs.ext4 -q', '/pulled');
    await out('echo x >/pulled/x; sync -f /pulled');
    await plane.detachDisk(INSTANCE, { diskId: 'd-pulled', serial: 'pulled' });
    const write = await run('echo y >/pulled/y');
    expect(write.exitCode).not.toBe(0);
    expect(write.output.toString()).toContain('Input/output error');
    expect(
      await out('ls /dev/disk/by-id | grep -c pulled || :; umount /pulled; sed -i "\\|/pulled |d" /etc/fstab'),
    ).toBe('0');
    const image = join(stateDir, 'disks/d-pulled.img');
    await vi.waitFor(async () => expect(await traces(image)).toEqual([]), { timeout: 30_000, interval: 100 });
  });

  it('says that the agent is not there when the instance is off', async () => {
    await plane.stopInstance(INSTANCE, { force: true });
    expect(await plane.agentAnswers(INSTANCE)).toBe(false);
    await expect(run('true')).rejects.toBeInstanceOf(AgentUnavailable);
    await boot();
  });

  it('leaves nothing mounted, attached or running after close', async () => {
    expect(await traces(stateDir)).not.toEqual([]);
    await out(`setsid ${nap} >/dev/null 2>&1 &`);
    await vi.waitFor(async () => expect(await countProcesses(nap)).toBe(1), 30_000);
    await plane.close();
    expect(await traces(stateDir)).toEqual([]);
    expect(await countProcesses(nap)).toBe(0);
  });

  it('leaves nothing after SIGKILL, and a new simulator of that folder finds the disks as they were', async () => {
    const module = new URL('../../simulator/data-plane/loop/loop.ts', import.meta.url).href;
    const code = `
      const { createLoopDataPlane } = await import(${JSON.stringify(module)});
      const plane = await createLoopDataPlane({ stateDir: ${JSON.stringify(stateDir)}, log: console.error });
      await plane.startInstance('${INSTANCE}', ${JSON.stringify([SYSTEM, DATA])});
      await plane.createDisk('d-raw', 1 << 26);
      await plane.attachDisk('${INSTANCE}', { diskId: 'd-raw', serial: 'raw' });
      const script = Buffer.from('echo before >/data/killed; sync -f /data; setsid ${nap} >/dev/null 2>&1 & ${nap}');
      void plane.exec('${INSTANCE}', { script, timeoutMs: 60000, workingDir: '/', user: 'root' }, new AbortController().signal);
      const look = { script: Buffer.from('while [ ! -s /data/killed ]; do sleep 0.05; done'), timeoutMs: 60000, workingDir: '/', user: 'root' };
      await plane.exec('${INSTANCE}', look, new AbortController().signal);
      console.log('ready');
      setInterval(() => undefined, 1000);`;
    const simulator = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '--eval', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    const gone = new Promise((resolve) => simulator.once('exit', resolve));
    try {
      await new Promise<void>((resolve, reject) => {
        simulator.stdout.once('data', () => resolve());
        simulator.once('exit', (status) => reject(new Error(`the simulator ended with ${status}`)));
      });
      await vi.waitFor(async () => expect(await countProcesses(nap)).toBe(2), 30_000);
      expect(await traces(join(stateDir, 'disks/d-raw.img'))).toHaveLength(1);
    } finally {
      simulator.kill('SIGKILL');
      await gone;
    }
    plane = await createLoopDataPlane({ stateDir, log: (line) => logged.push(line) });
    expect(await traces(stateDir), 'opening waits for it').toEqual([]);
    expect(await countProcesses(nap)).toBe(0);
    await boot();
    expect(await out('cat /data/killed')).toBe('before');
  });
});
