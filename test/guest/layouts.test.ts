/** The matrix of layouts: partitions, whole disks, and what needs a new identity beside the original. And a copy whose agent is killed. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { LAYOUTS, type Layout } from './scripts/layouts.ts';
import { placeOf, SIZE, stories } from './scripts/stories.ts';

// One guest for all: the next one would have to boot, and its emulator to learn the same programs again.
const here = stories(LAYOUTS);

it('a copy goes on when the agent is killed in the middle of it, and the next one finds it', async () => {
  const { guest } = here;
  const { root, original, finding } = placeOf(LAYOUTS[0] as Layout);
  const [run, recovery] = ['run-agent', 'd-agent'];
  await guest.sh(`mkdir ${root}/slow; head -c 8M /dev/urandom >${root}/slow/file; sync`);
  await guest.plane.snapshotDisks([{ diskId: original, snapshotId: 's-agent' }]);
  await guest.sh(`rm ${root}/slow/file`);
  await guest.plane.createDisk(recovery, SIZE, 's-agent');
  await guest.attach(recovery);
  const { fileSystems } = await guest.ok('find-device', finding(run, recovery, [`${root}/slow`]));
  const { mounts } = await guest.ok('mount', { run, fileSystems });
  await guest.startCopy({ run, mounts, conflictPolicy: 'newer-wins', throttle: { mibPerSecond: 1 } });
  const job = () => guest.sh(`cat /run/ecs-rollback/${run}/copy/pid; pidof qemu-ga`);
  const before = (await job()).split('\n');
  await guest.sh('(sleep 1.5; kill -9 $(pidof qemu-ga)) </dev/null >/dev/null 2>&1 &');
  // The guest's init starts it again. What is asked of the old one would be lost, and so would the end of a script.
  await sleep(3_000);
  const after = (await job()).split('\n');
  expect(after[0]).toBe(before[0]);
  expect(after[1]).not.toBe(before[1]);
  expect(await guest.ok('copy-status', { run })).toMatchObject({ state: 'running' });
  expect(await guest.ended(run, 'copy')).toMatchObject({ state: 'done' });
  await guest.ok('verify-start', { run });
  expect(await guest.ended(run, 'verify')).toMatchObject({ state: 'done' });
  expect(await guest.ok('verify-result', { run })).toMatchObject({ verified: true, filesCopied: 1 });
  expect(await guest.sh(`cmp ${mounts[0]?.recoveryMount}/slow/file ${root}/slow/file && echo same`)).toBe('same\n');
  expect(await guest.ok('unmount', { run })).toEqual({ unmounted: 1 });
  await guest.detach(recovery);
});
