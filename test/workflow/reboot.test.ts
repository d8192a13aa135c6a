// A reboot of the guest while the recovery disk is attached may have mounted it in the original's place.
import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/index.ts';
import { ACTIVITY_FAILURE, UPDATE } from '../../src/contract/messages.ts';
import { ASKING, REQUEST, type Running, runRollback } from '../support/rollback-run.ts';
import { plan, stubActivities } from '../support/stub-activities.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

const refusal = (code: string) =>
  ApplicationFailure.nonRetryable(`refused: ${code}`, ACTIVITY_FAILURE.guestRefused, { code });
const { activities: healthy } = stubActivities();
type InputOf<N extends keyof Activities> = Parameters<Activities[N]>[0];
const needsOperator = (running: Running, step: string) =>
  running.until(({ waitingFor }) => waitingFor?.kind === 'operator' && waitingFor.step === step);
const retry = { decision: 'retry', by: 'ada', reason: 'looked' };

/** A guest whose boot changes when told: every step that belongs to another boot is refused, as the scripts do. */
function guest() {
  let boot = 'b';
  const asked: Array<string | undefined> = [];
  const inBoot =
    <I extends { bootId?: string }, R>(then: (input: I) => Promise<R>) =>
    async (input: I): Promise<R> => {
      asked.push(input.bootId);
      if (input.bootId !== undefined && input.bootId !== boot) throw refusal('GuestRebooted');
      return then(input);
    };
  return {
    asked,
    reboot: () => {
      boot = `${boot}b`;
    },
    over: {
      findRecoveryDevice: inBoot(async (input: InputOf<'findRecoveryDevice'>) => ({
        ...(await healthy.findRecoveryDevice(input)),
        bootId: boot,
      })),
      mountRecoveryDisk: inBoot(async (input: InputOf<'mountRecoveryDisk'>) => healthy.mountRecoveryDisk(input)),
      startCopy: inBoot(async (input: InputOf<'startCopy'>) => healthy.startCopy(input)),
      awaitCopy: inBoot(async (input: InputOf<'awaitCopy'>) => healthy.awaitCopy(input)),
      startVerification: inBoot(async (input: InputOf<'startVerification'>) => healthy.startVerification(input)),
      awaitVerification: inBoot(async (input: InputOf<'awaitVerification'>) => healthy.awaitVerification(input)),
    },
  };
}

test('the disks before the attach are listed for a disk without a serial, when asked, and forgotten after a reboot', async () => {
  const { over, reboot } = guest();
  const seen: unknown[] = [];
  const findRecoveryDevice = async (input: InputOf<'findRecoveryDevice'>) => {
    seen.push(input.disksBefore);
    if (seen.length === 1) reboot();
    return over.findRecoveryDevice(input);
  };
  const planRollback = async () => {
    const { disk, ...rest } = plan();
    return { ...rest, ...(disk === undefined ? {} : { disk: { ...disk, serial: '' } }) };
  };
  const asking = { ...ASKING, sync: { paths: ['/data/uploads'], withoutSerial: 'compare' as const } };
  const { result, calls } = await runRollback(
    env,
    { ...over, planRollback, findRecoveryDevice },
    asking,
    async (running) => {
      await needsOperator(running, 'connect');
      await running.update(UPDATE.resolve, retry);
    },
  );
  expect(result).toMatchObject({ outcome: 'completed' });
  expect(calls.indexOf('listDisks')).toBeLessThan(calls.indexOf('attachRecoveryDisk'));
  expect(calls.filter((call) => call === 'listDisks')).toHaveLength(1);
  expect(seen).toEqual([['vda', 'vdb'], undefined]);
  expect((await runRollback(env, {}, REQUEST)).calls).not.toContain('listDisks');
});

test('without one, every step in the guest belongs to the boot before the attach', async () => {
  const { over, asked } = guest();
  const { result } = await runRollback(env, over, REQUEST);
  expect(result).toMatchObject({ outcome: 'completed' });
  expect(asked).toEqual(['b', 'b', 'b', 'b', 'b', 'b']);
});

test('before the disks are found: the run asks, and the next try takes the boot that is', async () => {
  const { over, reboot, asked } = guest();
  const attachRecoveryDisk = async (input: InputOf<'attachRecoveryDisk'>) => {
    reboot();
    return healthy.attachRecoveryDisk(input);
  };
  const { result } = await runRollback(env, { ...over, attachRecoveryDisk }, ASKING, async (running) => {
    const { waitingFor } = await needsOperator(running, 'connect');
    expect(waitingFor).toMatchObject({ problem: expect.stringContaining('GuestRebooted') });
    await running.update(UPDATE.resolve, retry);
  });
  expect(result).toMatchObject({ outcome: 'completed' });
  expect(asked.slice(0, 3)).toEqual(['b', undefined, 'bb']);
});

test('in the middle of the copy: nothing goes on, and the next try finds and mounts anew', async () => {
  const { over, reboot } = guest();
  let copies = 0;
  const awaitCopy = async (input: InputOf<'awaitCopy'>) => {
    copies += 1;
    if (copies === 1) reboot();
    return over.awaitCopy(input);
  };
  const { result, calls } = await runRollback(env, { ...over, awaitCopy }, ASKING, async (running) => {
    await needsOperator(running, 'copyBack');
    await running.update(UPDATE.resolve, retry);
  });
  expect(result).toMatchObject({ outcome: 'completed' });
  const first = calls.indexOf('awaitCopy');
  expect(calls.slice(first, first + 6)).toEqual([
    'awaitCopy',
    'awaitAgentOnline',
    'findRecoveryDevice',
    'mountRecoveryDisk',
    'startCopy',
    'awaitCopy',
  ]);
});

test('the recovery disk in the original’s place is not detached before the guest was asked', async () => {
  const unmounts: Array<string | undefined> = [];
  const { result, calls } = await runRollback(env, {
    findRecoveryDevice: async () => {
      throw refusal('OriginalDisplaced');
    },
    unmountRecoveryDisk: async ({ recoverySerial }) => {
      unmounts.push(recoverySerial);
      throw refusal('RecoveryDiskMounted');
    },
  });
  expect(result).toMatchObject({
    outcome: 'rolled-back-not-synced',
    leftovers: [expect.stringContaining('RecoveryDiskMounted')],
  });
  expect(unmounts).toEqual([expect.stringMatching(/./)]);
  expect(calls).not.toContain('detachRecoveryDisk');
});

test('a reboot between the unmount and the detach: what the guest may have written to the recovery disk is not deleted', async () => {
  const displaced = async () => {
    throw refusal('OriginalDisplaced');
  };
  const left = await runRollback(env, { confirmOriginalInPlace: displaced });
  expect(left.result).toMatchObject({
    outcome: 'completed-with-leftovers',
    leftovers: [expect.stringContaining('OriginalDisplaced')],
  });
  expect(left.calls).not.toContain('deleteRecoveryDisk');

  let looks = 0;
  const mended = async () => ((looks += 1) === 1 ? displaced() : undefined);
  const { result, calls } = await runRollback(env, { confirmOriginalInPlace: mended }, ASKING, async (running) => {
    await needsOperator(running, 'releaseRecoveryDisk');
    await running.update(UPDATE.resolve, retry);
  });
  expect(result).toMatchObject({ outcome: 'completed', leftovers: [] });
  expect(calls.filter((call) => call === 'confirmOriginalInPlace')).toHaveLength(2);
  expect(calls.filter((call) => call === 'deleteRecoveryDisk')).toHaveLength(1);
});
