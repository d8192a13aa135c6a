/**
 * Freeze and thaw on real file systems: writes really wait, a snapshot taken meanwhile is clean, and the dead man thaws when
 * nothing else of ours is left. On loop devices, which need root; without root in an emulated guest.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { whyNoLoopDevices } from '../support/loop-devices.ts';
import { bootGuest, codeOf, type Guest, serialOf } from './scripts/guest.ts';

const SIZE = 512 * 1024 ** 2;
const DISK = 'd-freezeoriginal00001';
const COPY = 'd-freezecopy000000001';
const SERIAL = serialOf(DISK);
const kind = whyNoLoopDevices() === undefined ? 'loop' : 'vm';

let guest: Guest;

beforeAll(async () => {
  guest = await bootGuest(kind);
  await guest.plane.createDisk(DISK, SIZE);
  await guest.attach(DISK);
  const link = `/dev/disk/by-id/virtio-${SERIAL}`;
  await guest.sh(`until [ -b ${link} ]; do sleep 0.1; done
    printf ',200M,L\\n,,L\\n' | sfdisk -q -X gpt ${link}; udevadm settle
    until [ -b ${link}-part2 ]; do sleep 0.1; done
    mkfs.ext4 -q ${link}-part1; mkfs.xfs -q ${link}-part2
    mkdir -p '/srv/one disk'; mount ${link}-part1 '/srv/one disk'
    mkdir '/srv/one disk/inner'; mount ${link}-part2 '/srv/one disk/inner'`);
}, 240_000);

afterAll(async () => {
  await guest?.close();
});

afterEach(async () => {
  // One test's failure is not the next one's, and nothing frozen stays behind on the machine.
  await guest.sh(`fsfreeze -u '/srv/one disk/inner' || true; fsfreeze -u '/srv/one disk' || true; sleep 1
    pkill -KILL -f freeze/dead-man.sh || true; rm -rf /run/ecs-rollback`);
});

const freeze = (run: string, seconds = 60) => guest.ok('freeze', { run, originalSerial: SERIAL, seconds });
const FROZEN = ['/srv/one disk/inner', '/srv/one disk'];
/** Starts a write that its own shell waits for; `written` tells whether it went through. */
const write = (name: string) =>
  guest.sh(`for at in '/srv/one disk' '/srv/one disk/inner'; do
    setsid sh -c 'echo x >"$0/${name}" && sync -f "$0" && touch "/run/${name}-$(basename "$0" | tr -d " ")"' "$at" </dev/null >/dev/null 2>&1 &
    done`);
const written = async (name: string) =>
  (await guest.sh(`ls /run | grep '^${name}-' || true`)).trim().split('\n').filter(Boolean).sort();
const deadMen = async () => Number((await guest.sh('pgrep -f -c freeze/dead-man.sh || true')).trim());
/** Until the processes of an earlier moment have gone. */
async function until(holds: () => Promise<boolean>, seconds: number): Promise<void> {
  const end = Date.now() + seconds * 1000;
  while (!(await holds())) {
    if (Date.now() > end) throw new Error('did not come about');
    await sleep(100);
  }
}

it('freezes every file system of the disk: writes wait, a snapshot is clean, the thaw lets them through', async () => {
  await guest.sh(`echo before >'/srv/one disk/file'; echo before >'/srv/one disk/inner/file'`);
  expect(await freeze('run-1')).toEqual({ fileSystems: FROZEN, alreadyFrozen: false });
  await write('w1');
  await sleep(1_500);
  expect(await written('w1')).toEqual([]);
  expect(await guest.sh(`cat '/srv/one disk/file'`)).toBe('before\n');

  await guest.plane.snapshotDisks([{ diskId: DISK, snapshotId: 's-frozen' }]);
  expect(await written('w1')).toEqual([]);
  const thawed = await guest.ok('thaw', { run: 'run-1' });
  expect(thawed).toMatchObject({ fileSystems: 2, byDeadMan: false });
  expect(thawed.frozenMs).toBeGreaterThanOrEqual(1_500);
  await until(async () => (await written('w1')).length === 2, 10);
  await until(async () => (await deadMen()) === 0, 5);

  // Clean: the journal of the copy has nothing to replay, and the newest file is in it without replaying.
  await guest.plane.createDisk(COPY, SIZE, 's-frozen');
  await guest.attach(COPY);
  const link = `/dev/disk/by-id/virtio-${serialOf(COPY)}`;
  const seen = await guest.sh(`until [ -b ${link}-part2 ]; do sleep 0.1; done
    dumpe2fs -h ${link}-part1 2>/dev/null | grep -c needs_recovery || true
    mkdir -p /mnt/c1 /mnt/c2
    mount -o ro,noload ${link}-part1 /mnt/c1; mount -o ro,nouuid,norecovery ${link}-part2 /mnt/c2
    cat /mnt/c1/file /mnt/c2/file; ls /mnt/c1 /mnt/c2 | grep -c w1 || true
    umount /mnt/c1 /mnt/c2`);
  await guest.detach(COPY);
  expect(seen.trim().split('\n')).toEqual(['0', 'before', 'before', '0']);
});

it('is harmless a second time, and so is the thaw', async () => {
  await freeze('run-2');
  expect(await freeze('run-2')).toEqual({ fileSystems: FROZEN, alreadyFrozen: true });
  expect(await deadMen()).toBe(1);
  const first = await guest.ok('thaw', { run: 'run-2' });
  expect(await guest.ok('thaw', { run: 'run-2' })).toEqual(first);
  expect(await guest.ok('thaw', { run: 'run-never' })).toEqual({ fileSystems: 0, frozenMs: 0, byDeadMan: false });
  // A freeze after the thaw is a new one.
  expect(await freeze('run-2')).toEqual({ fileSystems: FROZEN, alreadyFrozen: false });
  expect(await guest.ok('thaw', { run: 'run-2' })).toMatchObject({ fileSystems: 2, byDeadMan: false });
});

it('the dead man thaws when everybody else of ours is dead, and the thaw tells', async () => {
  // An emulated guest needs some seconds for a single look.
  const seconds = kind === 'vm' ? 30 : 4;
  await freeze('run-3', seconds);
  await write('w3');
  // Whatever came from the agent is gone with its session; the dead man has one of its own.
  expect(await guest.sh(`pid=$(pgrep -f freeze/dead-man.sh); ps -o sid= -p "$pid" | tr -d ' '; echo "$pid"`)).toMatch(
    /^(\d+)\n\1\n$/,
  );
  await guest.sh('pkill -TERM -f freeze/dead-man.sh; pkill -HUP -f freeze/dead-man.sh; true');
  await sleep(1_500);
  expect(await written('w3')).toEqual([]);
  await until(async () => (await written('w3')).length === 2, seconds + 10);
  const told = await guest.ok('thaw', { run: 'run-3' });
  expect(told).toMatchObject({ fileSystems: 2, byDeadMan: true });
  expect(told.frozenMs).toBeGreaterThanOrEqual((seconds - 1) * 1_000);
  expect(told.frozenMs).toBeLessThan((seconds + 6) * 1_000);
});

it('the dead man thaws although the folder of the run is gone', async () => {
  await freeze('run-4', 3);
  await guest.sh('rm -rf /run/ecs-rollback');
  await write('w4');
  await until(async () => (await written('w4')).length === 2, 10);
});

it('leaves what another has frozen, and thaws what it had frozen itself', async () => {
  await guest.sh(`fsfreeze -f '/srv/one disk'`);
  expect(codeOf(await guest.run('freeze', { run: 'run-5', originalSerial: SERIAL, seconds: 60 }))).toBe(
    'failed FreezeFailed',
  );
  await write('w5');
  await until(async () => (await written('w5')).length === 1, 10);
  expect(await written('w5')).toEqual(['w5-inner']);
  await sleep(1_000);
  expect(await guest.ok('thaw', { run: 'run-5' })).toMatchObject({ byDeadMan: false });
  expect(await written('w5')).toEqual(['w5-inner']);
  await guest.sh(`fsfreeze -u '/srv/one disk'`);
  await until(async () => (await written('w5')).length === 2, 10);
});

it('says when nothing of the disk is mounted writable', async () => {
  await guest.sh(`umount '/srv/one disk/inner'; mount -o remount,ro '/srv/one disk'`);
  expect(await freeze('run-6')).toEqual({ fileSystems: [], alreadyFrozen: false });
  expect(await guest.ok('thaw', { run: 'run-6' })).toEqual({ fileSystems: 0, frozenMs: 0, byDeadMan: false });
  await guest.sh(`mount -o remount,rw '/srv/one disk'
    mount /dev/disk/by-id/virtio-${SERIAL}-part2 '/srv/one disk/inner'`);
});

it.each([
  [
    'a mount of the system',
    `mkdir -p /opt; mount --bind '/srv/one disk' /opt`,
    'umount /opt',
    'refused SystemFileSystem',
  ],
  [
    'an unreachable mount',
    `mount -t tmpfs none '/srv/one disk/inner'`,
    `umount '/srv/one disk/inner'`,
    'refused UnsupportedLayout',
  ],
])('refuses %s', async (_, before, after, code) => {
  await guest.sh(before);
  try {
    expect(codeOf(await guest.run('freeze', { run: 'run-7', originalSerial: SERIAL, seconds: 60 }))).toBe(code);
    expect(await deadMen()).toBe(0);
  } finally {
    await guest.sh(after);
  }
});

it.each([
  [{ seconds: 121 }, 'refused InvalidInput'],
  [{ seconds: 0 }, 'refused InvalidInput'],
  [{ originalSerial: 'nosuchdisk00000000' }, 'failed DeviceNotFound'],
])('refuses %j', async (over, code) => {
  expect(codeOf(await guest.run('freeze', { run: 'run-8', originalSerial: SERIAL, seconds: 5, ...over }))).toBe(code);
});
