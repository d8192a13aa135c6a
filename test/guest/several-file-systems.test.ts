/**
 * A disk with more on it than what is brought back from: all of it is compared before the recovery disk is released, or named.
 * On loop devices, which need root; without root in an emulated guest, slowly.
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import type { CopyStartInput, MountResult } from '../../src/guest/scripts.ts';
import { whyNoLoopDevices } from '../support/loop-devices.ts';
import { bootGuest, codeOf, findingOf, type Guest, serialOf } from './scripts/guest.ts';

const SIZE = 400 * 1024 ** 2;
const [ORIGINAL, RECOVERY] = ['d-severaloriginal001', 'd-severalrecovery001'] as const;
const RUN = 'run-several';
const link = (diskId: string) => `/dev/disk/by-id/virtio-${serialOf(diskId)}`;
const part = (n: number) => `${link(ORIGINAL)}-part${n}`;
/** The folders, by the number of the partition that is mounted there. */
const MOUNTED = [1, 2, 3];
const place = (n: number) => `/srv/several/${n}`;
const mountAll = `for n in ${MOUNTED.join(' ')}; do
  until [ -b ${link(ORIGINAL)}-part$n ]; do sleep 0.1; done
  mkdir -p /srv/several/$n; mount ${link(ORIGINAL)}-part$n /srv/several/$n; done`;

let guest: Guest;
let base: NonNullable<CopyStartInput['base']>;

const finding = (paths: readonly string[]) =>
  findingOf(RUN, { original: ORIGINAL, recovery: RECOVERY, size: SIZE }, paths);

const find = (paths: readonly string[]) => guest.ok('find-device', finding(paths));

beforeAll(async () => {
  guest = await bootGuest(whyNoLoopDevices() === undefined ? 'loop' : 'vm');
  await guest.plane.createDisk(ORIGINAL, SIZE);
  await guest.attach(ORIGINAL);
  const parts = ['40M,L', '40M,L', '40M,L', '40M,L', '20M,S', ',L'].map((each) => `,${each}\\n`).join('');
  await guest.sh(`until [ -b ${link(ORIGINAL)} ]; do sleep 0.1; done
    printf '${parts}' | sfdisk -q -X gpt ${link(ORIGINAL)}; udevadm settle; until [ -b ${part(6)} ]; do sleep 0.1; done
    for n in 1 2 3 4; do mkfs.ext4 -q ${link(ORIGINAL)}-part$n; done; mkswap ${part(5)}
    ${mountAll}
    for n in ${MOUNTED.join(' ')}; do mkdir /srv/several/$n/dir; echo A >/srv/several/$n/dir/as-in-a; done
    sleep 0.1; for n in ${MOUNTED.join(' ')}; do echo A >/srv/several/$n/newest-in-a; done; sync`);
  await guest.plane.snapshotDisks([{ diskId: ORIGINAL, snapshotId: 's-several-a' }]);
  await guest.sh(
    `cd /srv/several; for n in ${MOUNTED.join(' ')}; do echo "of B" >$n/dir/new-$n; done; echo "of B" >1/beside; sync`,
  );
  await guest.plane.snapshotDisks([{ diskId: ORIGINAL, snapshotId: 's-several-b' }]);
  await guest.sh('umount /srv/several/*');
  await guest.detach(ORIGINAL);
  await guest.plane.resetDisk(ORIGINAL, 's-several-a', SIZE);
  await guest.attach(ORIGINAL);
  // One is mounted twice, and one cannot be written to: they are compared all the same, and once.
  await guest.sh(`${mountAll}
    mkdir -p /srv/several-bind; mount --bind ${place(2)}/dir /srv/several-bind; mount -o remount,ro ${place(3)}`);
  const [bootId = '', bootedAt = ''] = (
    await guest.sh('sleep 0.1; cat /proc/sys/kernel/random/boot_id; date +%s.%N; sleep 0.1')
  ).split('\n');
  base = { bootId, bootedAt };
  await guest.plane.createDisk(RECOVERY, SIZE, 's-several-b');
  await guest.attach(RECOVERY);
}, 240_000);

afterAll(() => guest?.close());
afterEach(async () => {
  await guest.run('unmount', { run: RUN });
  await guest.ok('discard', { run: RUN, dryRun: false });
});

async function copyAndVerify(mounts: MountResult['mounts'], over: Partial<CopyStartInput> = {}) {
  await guest.startCopy({ run: RUN, mounts, conflictPolicy: 'newer-wins', ...over });
  expect(await guest.ended(RUN, 'copy')).toMatchObject({ state: 'done' });
  await guest.ok('verify-start', { run: RUN });
  expect(await guest.ended(RUN, 'verify')).toMatchObject({ state: 'done' });
  return guest.ok('verify-result', { run: RUN });
}

it('is compared where nothing was selected, and named where it cannot be', async () => {
  const { fileSystems } = await find([`${place(1)}/dir`]);
  expect(fileSystems).toMatchObject([{ partition: 1, originalMount: place(1), paths: ['dir'] }]);
  const { mounts } = await guest.ok('mount', { run: RUN, fileSystems });
  expect(mounts).toMatchObject([{ partition: 1 }]);
  // Twice is fine.
  expect(await find([`${place(1)}/dir`])).toMatchObject({ fileSystems });
  expect(await guest.ok('mount', { run: RUN, fileSystems })).toEqual({ mounts });
  const all = (await guest.sh(`findmnt -rno TARGET,OPTIONS | grep ^/run/ecs-rollback/ | sort`)).trim().split('\n');
  expect(all.map((line) => line.split(' ')[0])).toEqual([1, 2, 3].map((n) => `/run/ecs-rollback/${RUN}/mnt/p${n}`));
  for (const line of all) expect(line).toMatch(/ ro,nosuid,nodev,noexec/);

  const verdict = await copyAndVerify(mounts);
  expect(verdict).toMatchObject({ verified: true, filesSelected: 2, filesCopied: 1 });
  expect(verdict.notBroughtBack).toEqual({
    entries: 3,
    bytes: 15,
    folders: expect.arrayContaining(
      [place(1), `${place(2)}/dir`, `${place(3)}/dir`].map((folder) => ({ folder, entries: 1, bytes: 5 })),
    ),
    notCompared: [
      'partition 4 of the recovery disk has ext4, which the guest has not mounted',
      'partition 5 of the recovery disk is swap space',
      'partition 6 of the recovery disk has no file system that is known',
    ],
  });
  expect(await guest.sh(`cat ${place(1)}/dir/new-1; ls ${place(2)}/dir ${place(3)}/dir | grep new || true`)).toBe(
    'of B\n',
  );
  const { entries } = await guest.ok('report', { run: RUN, page: 1, actions: ['left'] });
  expect(entries.map(({ verdict, path }) => `${verdict} ${path}`)).toEqual([
    `only-in-B ${place(1)}/beside`,
    ...[2, 3].map((n) => `only-in-B ${place(n)}/dir/new-${n}`),
    ...(verdict.notBroughtBack?.notCompared ?? []).map((sentence) => `not-compared ${sentence}`),
  ]);
  expect(await guest.ok('unmount', { run: RUN })).toEqual({ unmounted: 3 });
  expect(await guest.sh('grep -c /run/ecs-rollback/ /proc/self/mountinfo || true')).toBe('0\n');
});

it('is compared where something could have been chosen and was not', async () => {
  const { fileSystems } = await find([`${place(1)}/dir`, `${place(2)}/dir`]);
  const { mounts } = await guest.ok('mount', { run: RUN, fileSystems });
  const chosen = mounts.filter(({ partition }) => partition === 1);
  const verdict = await copyAndVerify(chosen);
  expect(verdict).toMatchObject({ verified: true, filesSelected: 2 });
  expect(verdict.notBroughtBack?.folders.map(({ folder, entries }) => `${entries} in ${folder}`).toSorted()).toEqual([
    `1 in ${place(1)}`,
    ...[2, 3].map((n) => `1 in ${place(n)}/dir`),
  ]);
});

it('is all brought back, what has changed since A, when no path is named', async () => {
  const { fileSystems } = await find([]);
  const { mounts } = await guest.ok('mount', { run: RUN, fileSystems });
  expect(mounts.map(({ originalMount, paths }) => JSON.stringify([originalMount, paths])).toSorted()).toEqual(
    [1, 2].map((n) => JSON.stringify([place(n), ['']])),
  );
  await guest.sh(`rm -f ${place(1)}/dir/new-1; echo live >${place(2)}/dir/as-in-a`);
  const verdict = await copyAndVerify(mounts, { conflictPolicy: 'take-b', sinceA: true, base });
  expect(verdict).toMatchObject({ verified: true, filesCopied: 3 });
  expect(await guest.sh(`cat ${place(1)}/dir/new-1 ${place(2)}/dir/new-2 ${place(2)}/dir/as-in-a`)).toBe(
    'of B\nof B\nlive\n',
  );
  // What cannot be written to is missed.
  expect(verdict.notBroughtBack?.folders).toContainEqual({ folder: `${place(3)}/dir`, entries: 1, bytes: 5 });
});

it('is named when it has no twin, which only a path on it refuses', async () => {
  await guest.sh(`mkfs.ext4 -q -F ${link(RECOVERY)}-part2`);
  expect(codeOf(await guest.run('find-device', finding([place(2)])))).toBe('refused LayoutMismatch');
  for (const paths of [[place(1)], []]) {
    const { fileSystems } = await find(paths);
    expect(fileSystems).toMatchObject([{ originalMount: place(1), paths: [''] }]);
    await guest.ok('mount', { run: RUN, fileSystems });
    expect(await guest.sh(`cat /run/ecs-rollback/${RUN}/not-compared`)).toMatch(
      /^partition 2: the original's at \/srv\/several\/2 is ext4 \S+, 40 MiB from sector \d+, the recovery disk's is ext4/m,
    );
    await guest.ok('unmount', { run: RUN });
  }
  await guest.sh(`umount /srv/several-bind ${place(1)} ${place(2)}`);
  expect(codeOf(await guest.run('find-device', finding([])))).toBe('refused NothingMounted');
});
