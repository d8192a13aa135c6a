/** The scripts that only look: what a run has in the guest, and what uses a disk there. On real disks, through a whole copy. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { whyNoLoopDevices } from '../support/loop-devices.ts';
import { bootGuest, findingOf, type Guest, serialOf } from './scripts/guest.ts';

const SIZE = 256 * 1024 ** 2;
const ORIGINAL = 'd-looksoriginal000001';
const RECOVERY = 'd-looksrecovery000001';
const RUN = 'run-looks';
const kind = whyNoLoopDevices() === undefined ? 'loop' : 'vm';

let guest: Guest;
const link = (diskId: string) => `/dev/disk/by-id/virtio-${serialOf(diskId)}`;

beforeAll(async () => {
  guest = await bootGuest(kind);
  await guest.plane.createDisk(ORIGINAL, SIZE);
  await guest.attach(ORIGINAL);
  await guest.sh(`until [ -b ${link(ORIGINAL)} ]; do sleep 0.1; done
    mkfs.ext4 -q ${link(ORIGINAL)}; mkdir -p /srv/looks; mount ${link(ORIGINAL)} /srv/looks
    mkdir /srv/looks/dir; echo newer >/srv/looks/dir/file; sync`);
  await guest.plane.snapshotDisks([{ diskId: ORIGINAL, snapshotId: 's-looks' }]);
  await guest.sh('rm /srv/looks/dir/file');
  await guest.plane.createDisk(RECOVERY, SIZE, 's-looks');
  await guest.attach(RECOVERY);
  await guest.sh(`until [ -b ${link(RECOVERY)} ]; do sleep 0.1; done`);
}, 240_000);

afterAll(async () => {
  await guest?.close();
});

const state = () => guest.ok('run-state', { run: RUN });
const uses = async (diskId: string) => (await guest.ok('disk-use', { serial: serialOf(diskId) })).uses;

it('sees what the run does as it goes', async () => {
  expect(await state()).toEqual({ mounts: [], verification: 'none', verified: false });
  expect(await uses(RECOVERY)).toEqual([]);
  expect(await uses(ORIGINAL)).toEqual(['mounted at /srv/looks']);

  const { fileSystems } = await guest.ok(
    'find-device',
    findingOf(RUN, { original: ORIGINAL, recovery: RECOVERY, size: SIZE }, ['/srv/looks/dir']),
  );
  const { mounts } = await guest.ok('mount', { run: RUN, fileSystems });
  const at = `/run/ecs-rollback/${RUN}/mnt/p0`;
  expect(await state()).toEqual({ mounts: [at], verification: 'none', verified: false });
  expect(await uses(RECOVERY)).toEqual([`mounted at ${at}`]);

  await guest.startCopy({ run: RUN, mounts, conflictPolicy: 'newer-wins' });
  expect(await guest.ended(RUN, 'copy')).toMatchObject({ state: 'done' });
  expect(await state()).toMatchObject({ verification: 'none' });
  await guest.ok('verify-start', { run: RUN });
  expect(await guest.ended(RUN, 'verify')).toMatchObject({ state: 'done' });
  expect(await state()).toEqual({ mounts: [at], verification: 'ended', verified: true });
  // What another run has is none of this one's.
  expect(await guest.ok('run-state', { run: 'run-other' })).toEqual({
    mounts: [],
    verification: 'none',
    verified: false,
  });
});

it('believes a verdict only as it stands', async () => {
  const verify = `/run/ecs-rollback/${RUN}/verify`;
  await guest.sh(`sed -i 's/"verified":true/"verified":false/' ${verify}/verdict`);
  expect(await state()).toMatchObject({ verification: 'ended', verified: false });
  await guest.sh(`sed -i '1s/.*/failed/' ${verify}/result`);
  expect(await state()).toMatchObject({ verification: 'failed', verified: false });
  await guest.sh(`rm ${verify}/result`);
  expect(await state()).toMatchObject({ verification: 'failed', verified: false });
});

it('sees mounts that are not the run’s', async () => {
  await guest.ok('unmount', { run: RUN });
  expect(await state()).toEqual({ mounts: [], verification: 'none', verified: false });
  expect(await uses(RECOVERY)).toEqual([]);
  await guest.sh(`mkdir -p '/mnt/somebody here'; mount -o ro ${link(RECOVERY)} '/mnt/somebody here'`);
  expect(await uses(RECOVERY)).toEqual(['mounted at /mnt/somebody here']);
  await guest.sh(`umount '/mnt/somebody here'`);
  expect(await uses(RECOVERY)).toEqual([]);
  expect(await guest.ok('disk-use', { serial: 'nosuchdisk0000000' })).toEqual({ uses: [] });
});
