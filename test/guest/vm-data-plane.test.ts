/**
 * The `vm` data plane with real QEMU guests: what runs inside, and the bytes on the disks before and after every step.
 * One guest is used by the tests in their order; times are generous because guests may be emulated.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ensureSystemPackages } from '../../local/system-packages.ts';
import { AgentUnavailable, type DataPlane, type ExecRequest } from '../../simulator/data-plane/port.ts';
import { createVmDataPlane } from '../../simulator/data-plane/vm/vm.ts';

const GIB = 1024 ** 3;
const SYSTEM = { diskId: 'd-system00000000000001', serial: 'system00000000000001' };
const DATA = { diskId: 'd-data0000000000000001', serial: 'data0000000000000001' };
const SECOND = { diskId: 'd-data0000000000000002', serial: 'data0000000000000002' };
const CLONE = { diskId: 'd-clone000000000000001', serial: 'clone000000000000001' };
const DATA_LINK = `/dev/disk/by-id/virtio-${DATA.serial}`;
const never = new AbortController().signal;
const log = (line: string): void => console.error(line);

let top: string;
let stateDir: string;
let plane: DataPlane;

beforeAll(async () => {
  await ensureSystemPackages('vm', log);
  top = await fs.mkdtemp(join(tmpdir(), 'vm-data-plane-'));
  // Deeper than the 107 bytes that a Unix socket's path may have.
  stateDir = join(top, 'a-folder-with-a-long-name-'.repeat(6));
  plane = await createVmDataPlane({ stateDir, log });
});

afterAll(async () => {
  await plane?.close();
  if (top !== undefined) await fs.rm(top, { recursive: true, force: true });
});

async function boot(instanceId: string, disks: Array<typeof SYSTEM>): Promise<void> {
  await plane.startInstance(instanceId, disks);
  const limit = Date.now() + 90_000;
  while (!(await plane.agentAnswers(instanceId))) {
    if (Date.now() > limit || !plane.isRunning(instanceId)) throw new Error('the agent does not answer');
  }
}

async function exec(script: string, options: Partial<ExecRequest> = {}, signal = never) {
  const result = await plane.exec(
    'i-1',
    { script: Buffer.from(script), timeoutMs: 90_000, workingDir: '/root', user: 'root', ...options },
    signal,
  );
  return { ...result, text: result.output.toString('utf8').trim() };
}

/** Runs a script that has to succeed, and answers its output. */
async function sh(script: string): Promise<string> {
  const result = await exec(`#!/bin/bash\nset -euo pipefail\n${script}`);
  expect(result, script).toMatchObject({ exitCode: 0, timedOut: false });
  return result.text;
}

const waitFor = (path: string): string =>
  `for i in {1..300}; do [ ! -b ${path} ] || break; sleep 0.1; done; [ -b ${path} ]\n`;

async function bytesUsed(kind: string, id: string): Promise<number> {
  return (await fs.stat(join(stateDir, kind, `${id}.img`))).blocks * 512;
}

describe('vm data plane', () => {
  it('boots a new system disk and answers by its agent', async () => {
    await plane.createSystemDisk(SYSTEM.diskId, 20 * GIB);
    await plane.createDisk(DATA.diskId, GIB);
    await plane.createDisk(SECOND.diskId, GIB);
    expect(await plane.agentAnswers('i-1')).toBe(false);
    await expect(exec('true')).rejects.toThrow(AgentUnavailable);
    const started = Date.now();
    await boot('i-1', [SYSTEM]);
    log(`boot to agent: ${Date.now() - started} ms`);
    expect(plane.isRunning('i-1')).toBe(true);
    expect(
      await sh(
        'findmnt -no SOURCE /; lsblk -bdno SIZE,SERIAL /dev/vda; id -u; ip_up=$(< /sys/class/net/lo/flags); echo $ip_up',
      ),
    ).toBe(`/dev/vda1\n${20 * GIB} ${SYSTEM.serial}\n0\n0x9`);
    // Else whatever makes a UUID waits for it.
    expect(await sh('dmesg | grep -o "random: crng init done"')).toBe('random: crng init done');
  });

  it('runs a script as a file: its interpreter, user, folder, exit status, both outputs in order', async () => {
    const started = Date.now();
    const asRoot = await exec('#!/usr/bin/awk -f\nBEGIN { print "awk ran"; exit 7 }');
    log(`script round trip: ${Date.now() - started} ms`);
    expect(asRoot).toMatchObject({ exitCode: 7, text: 'awk ran', timedOut: false });
    const other = await exec('echo one; echo two >&2; echo three; pwd; id -un; id -Gn; echo $HOME', {
      user: 'games',
      workingDir: '/var/tmp',
    });
    expect(other).toMatchObject({ exitCode: 0, text: 'one\ntwo\nthree\n/var/tmp\ngames\ngames\n/usr/games' });
    expect(await exec('kill -SEGV $$')).toMatchObject({ exitCode: 139, timedOut: false });
    const binary = await exec('#!/bin/bash\nhead -c 3000000 /dev/zero; printf "\\377\\376"');
    expect(binary.output.length).toBe(3_000_002);
    expect(binary.output.subarray(-2)).toEqual(Buffer.from([0xff, 0xfe]));
    expect(await exec('true', { user: 'nobody-of-that-name' })).toMatchObject({ exitCode: 125 });
  });

  it('runs several scripts at once', async () => {
    const meet = (mine: number): string =>
      `#!/bin/bash\ntouch /run/met-${mine}\nfor i in {1..300}; do [ -e /run/met-1 -a -e /run/met-2 -a -e /run/met-3 ] && exit 0; sleep 0.1; done; exit 1`;
    const results = await Promise.all([1, 2, 3].map((mine) => exec(meet(mine))));
    expect(results.map((result) => result.exitCode)).toEqual([0, 0, 0]);
  });

  it('ends a script at its time limit with its children, and leaves a detached child alone', async () => {
    const detaching = await exec('setsid sleep 7001 >/dev/null 2>&1 </dev/null & setsid sleep 7002 & echo gone on');
    expect(detaching).toMatchObject({ exitCode: 0, text: 'gone on' });
    const late = await exec('trap "" TERM; echo begun; sleep 7003 & sleep 7004', { timeoutMs: 4_000 });
    expect(late).toMatchObject({ exitCode: 137, timedOut: true, text: 'begun' });
    const aborting = new AbortController();
    const sleeping = exec('sleep 7005', {}, aborting.signal);
    await sh('until pgrep -fx "sleep 7005"; do sleep 0.1; done');
    aborting.abort();
    expect(await sleeping).toMatchObject({ exitCode: 143, timedOut: false, text: '' });
    expect(await sh('ps -eo args= | grep "^sleep 70" | sort; pkill sleep; ls /run/ecs-exec | wc -l')).toBe(
      'sleep 7001\nsleep 7002\n1',
    );
  });

  it('receives a file with its mode and owner, and overwrites only when asked', async () => {
    const file = { path: '/srv/new folder/it.bin', mode: '0640', owner: 'games', group: 'mail', overwrite: false };
    const content = Buffer.from([0, 1, 2, 0xff, 10]);
    expect(await plane.sendFile('i-1', { ...file, content })).toEqual({ exitCode: 0, message: '' });
    expect(await sh('stat -c "%a %U %G %s" "/srv/new folder/it.bin"; sha256sum <"/srv/new folder/it.bin"')).toBe(
      `640 games mail 5\n${createHash('sha256').update(content).digest('hex')}  -`,
    );
    const again = await plane.sendFile('i-1', { ...file, content: Buffer.from('other') });
    expect(again.exitCode).toBe(17);
    expect(again.message).toContain('exists already');
    expect(await plane.sendFile('i-1', { ...file, overwrite: true, content: Buffer.from('other') })).toMatchObject({
      exitCode: 0,
    });
    expect(await sh('cat "/srv/new folder/it.bin"; ls "/srv/new folder" | wc -l')).toBe('other1');
    expect(
      (await plane.sendFile('i-1', { ...file, overwrite: true, owner: 'no-such-user', content })).exitCode,
    ).not.toBe(0);
  });

  it('plugs a disk in by its serial while the guest runs, and refuses a serial that would be cut', async () => {
    await expect(plane.attachDisk('i-1', { diskId: DATA.diskId, serial: `${DATA.serial}x` })).rejects.toThrow(/serial/);
    await plane.attachDisk('i-1', DATA);
    await plane.attachDisk('i-1', DATA);
    await plane.attachDisk('i-1', SECOND);
    const second = `/dev/disk/by-id/virtio-${SECOND.serial}`;
    await sh(`${waitFor(DATA_LINK)}${waitFor(second)}
      echo 'type=linux' | sfdisk -q --label gpt ${DATA_LINK}
      ${waitFor(`${DATA_LINK}-part1`)}
      mkfs.xfs -q ${DATA_LINK}-part1
      mkfs.ext4 -q ${second}
      mkdir -p /mnt/data /mnt/second
      mount ${DATA_LINK}-part1 /mnt/data
      mount ${second} /mnt/second
      uuid=$(blkid -s UUID -o value ${DATA_LINK}-part1)
      echo "UUID=$uuid /mnt/data xfs defaults 0 0" >/etc/fstab
      head -c 5000000 /dev/urandom >/mnt/data/big
      echo good >/mnt/data/state
      echo good >/etc/state
      sync`);
  });

  it('takes the snapshots of all disks at one moment of a writing guest', async () => {
    // Both counters are on their disks before the next number: at any moment they differ by one at most.
    // Synchronous mounts and shell built-ins only: many rounds fit into the time of one copy.
    await sh(`cat >/root/writer <<'END'
#!/bin/bash
mount -o remount,sync /mnt/data
mount -o remount,sync /mnt/second
for ((n = 1; ; n++)); do
  for disk in data second; do printf '%08d\\n' $n 1<>/mnt/$disk/counter; done
done
END
      chmod +x /root/writer; setsid /root/writer >/dev/null 2>&1 </dev/null &
      for i in {1..200}; do [ "$(cat /mnt/second/counter 2>/dev/null || echo 0)" -gt 20 ] && break; sleep 0.1; done`);
    const started = Date.now();
    await plane.snapshotDisks([
      { diskId: DATA.diskId, snapshotId: 's-data' },
      { diskId: SYSTEM.diskId, snapshotId: 's-system' },
      { diskId: SECOND.diskId, snapshotId: 's-second' },
    ]);
    log(`snapshot of three disks: ${Date.now() - started} ms`);
    const [before, after] = (
      await sh(`cat /mnt/data/counter | tee /run/then
        while cmp -s /run/then /mnt/data/counter; do sleep 0.1; done; cat /mnt/data/counter
        pkill writer; mount -o remount,async /mnt/data; mount -o remount,async /mnt/second`)
    )
      .split('\n')
      .map(Number);
    expect(after).toBeGreaterThan(before ?? Number.NaN);
    expect(await bytesUsed('snapshots', 's-system')).toBeLessThan(0.3 * GIB);
    expect(await bytesUsed('disks', SYSTEM.diskId)).toBeLessThan(0.3 * GIB);

    await plane.createDisk(CLONE.diskId, GIB, 's-data');
    const other = { diskId: 'd-clone000000000000002', serial: 'clone000000000000002' };
    await plane.createDisk(other.diskId, 2 * GIB, 's-second');
    await plane.attachDisk('i-1', CLONE);
    await plane.attachDisk('i-1', other);
    const read =
      await sh(`data=/dev/disk/by-id/virtio-${CLONE.serial}-part1 second=/dev/disk/by-id/virtio-${other.serial}
      ${waitFor('$data')}${waitFor('$second')}
      mkdir -p /mnt/a /mnt/b
      mount -o ro,nouuid $data /mnt/a
      mount -o ro $second /mnt/b
      cat /mnt/a/counter /mnt/b/counter /mnt/a/state
      cmp /mnt/a/big /mnt/data/big
      umount /mnt/a /mnt/b
      lsblk -bdno SIZE $second`);
    const [data = Number.NaN, second = Number.NaN] = read.split('\n').map(Number);
    expect(data).toBeGreaterThan(20);
    expect(data - second === 0 || data - second === 1).toBe(true);
    expect(read.split('\n').slice(2)).toEqual(['good', String(2 * GIB)]);
    await plane.detachDisk('i-1', CLONE);
    await plane.detachDisk('i-1', CLONE);
    await plane.detachDisk('i-1', other);
    expect(
      await sh(
        `for i in {1..100}; do [ -e /dev/disk/by-id/virtio-${CLONE.serial} ] || break; sleep 0.1; done; lsblk -dno SERIAL`,
      ),
    ).toBe([SYSTEM, DATA, SECOND].map((disk) => disk.serial).join('\n'));
    await plane.deleteDisk(CLONE.diskId);
    await plane.deleteDisk(CLONE.diskId);
    expect(existsSync(join(stateDir, 'disks', `${CLONE.diskId}.img`))).toBe(false);
    await expect(plane.deleteDisk(DATA.diskId)).rejects.toThrow(/i-1 runs with it/);
  });

  it('shows a running guest the new size of its disk', async () => {
    await plane.resizeDisk(DATA.diskId, 2 * GIB);
    await expect(plane.resizeDisk(DATA.diskId, GIB)).rejects.toThrow(/cannot shrink/);
    const size =
      await sh(`for i in {1..50}; do [ "$(lsblk -bdno SIZE ${DATA_LINK})" = ${2 * GIB} ] && break; sleep 0.1; done
      growpart $(readlink -f ${DATA_LINK}) 1 >/dev/null; xfs_growfs /mnt/data >/dev/null; df -B1 --output=size /mnt/data | tail -1`);
    expect(Number(size)).toBeGreaterThan(1.9 * GIB);
  });

  it('puts back the bytes of data disk and system disk, after a shutdown that lost nothing', async () => {
    await sh('echo bad >/mnt/data/state; rm /mnt/data/big; echo bad >/etc/state; echo late >/mnt/second/late');
    await expect(plane.resetDisk(DATA.diskId, 's-data', 2 * GIB)).rejects.toThrow(/i-1 runs with it/);
    const started = Date.now();
    await plane.stopInstance('i-1', { force: false });
    log(`shutdown: ${Date.now() - started} ms`);
    expect(plane.isRunning('i-1')).toBe(false);
    await plane.resetDisk(DATA.diskId, 's-data', 2 * GIB);
    await plane.resetDisk(SYSTEM.diskId, 's-system', 20 * GIB);
    await boot('i-1', [SYSTEM, DATA, SECOND]);
    // fstab of the snapshot mounts the data disk; what was written unsynced before the shutdown is on the other one.
    expect(
      await sh(`cat /mnt/data/state /etc/state; stat -c %s /mnt/data/big; lsblk -bdno SIZE ${DATA_LINK}
        mount /dev/disk/by-id/virtio-${SECOND.serial} /mnt/second; cat /mnt/second/late`),
    ).toBe(`good\ngood\n5000000\n${2 * GIB}\nlate`);
  });

  it('reboots from inside, and pulls the plug when forced', async () => {
    await sh('echo kept >/root/kept; touch /run/before-reboot');
    await exec('setsid sh -c "sleep 0.5; reboot" >/dev/null 2>&1 </dev/null &');
    const limit = Date.now() + 110_000;
    for (;;) {
      const result = await exec('[ ! -e /run/before-reboot ] && cat /root/kept', { timeoutMs: 5_000 }).catch(
        () => undefined,
      );
      if (result?.text === 'kept') break;
      if (Date.now() > limit) throw new Error('the guest did not come back');
      await sleep(300);
    }
    await plane.stopInstance('i-1', { force: true });
    expect(plane.isRunning('i-1')).toBe(false);
    await plane.stopInstance('i-1', { force: true });
  });

  it('names guest and reason when a guest cannot start', async () => {
    await expect(plane.startInstance('i-2', [{ diskId: 'd-absent', serial: 'absent' }])).rejects.toThrow(
      /guest i-2 .*d-absent/,
    );
    expect(plane.isRunning('i-2')).toBe(false);
  });

  it('leaves no guest behind when its process is killed, and its disks go on in the next one', async () => {
    const otherState = join(top, 'killed');
    const program = `
      import { createVmDataPlane } from ${JSON.stringify(fileURLToPath(new URL('../../simulator/data-plane/vm/vm.ts', import.meta.url)))};
      const plane = await createVmDataPlane({ stateDir: ${JSON.stringify(otherState)}, log: console.error });
      await plane.createSystemDisk('d-1', ${GIB});
      await plane.startInstance('i-1', [{ diskId: 'd-1', serial: '1' }]);
      console.log('running');
      setInterval(() => undefined, 1000);`;
    const file = join(top, 'parent.mts');
    await fs.writeFile(file, program);
    const parent = spawn(process.execPath, ['--import', 'tsx', file], { stdio: ['ignore', 'pipe', 'inherit'] });
    for await (const line of createInterface({ input: parent.stdout })) if (line === 'running') break;
    const pid = Number(await fs.readFile(join(otherState, 'instances/i-1/qemu.pid'), 'utf8'));
    const command = await fs.readFile(`/proc/${pid}/cmdline`, 'utf8');
    expect(command).toContain('qemu-system-x86_64');
    await expect(createVmDataPlane({ stateDir: otherState, log })).rejects.toThrow(`in use by process ${parent.pid}`);
    const gone = once(parent, 'exit');
    parent.kill('SIGKILL');
    const killed = Date.now();
    while ((await fs.readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')) === command) {
      expect(Date.now() - killed).toBeLessThan(60_000);
      await sleep(20);
    }
    log(`guest gone ${Date.now() - killed} ms after its process was killed`);
    await gone;
    const next = await createVmDataPlane({ stateDir: otherState, log });
    try {
      await next.createSystemDisk('d-1', GIB);
      await next.startInstance('i-1', [{ diskId: 'd-1', serial: '1' }]);
      expect(next.isRunning('i-1')).toBe(true);
    } finally {
      await next.close();
    }
    expect(next.isRunning('i-1')).toBe(false);
  });
});
