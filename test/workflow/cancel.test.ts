// A cancel while any one activity of the story is under way: the run ends well, wherever it comes – on the time-skipping server.
import { CancelledFailure } from '@temporalio/common';
import { Context } from '@temporalio/activity';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/index.ts';
import { latch } from '../support/latch.ts';
import { REQUEST, runRollback } from '../support/rollback-run.ts';
import { stubActivities } from '../support/stub-activities.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

type Name = keyof Activities;

/** Cancels the run while this activity is under way: it ends with that, or, when it `hears` nothing of it, as ever. */
async function cancelDuring(name: Name, hears: boolean) {
  const { opened: started, open: begun } = latch();
  const { opened: released, open: go } = latch();
  const healthy = stubActivities().activities[name] as (input: never) => Promise<unknown>;
  const activity = async (input: never): Promise<unknown> => {
    begun();
    if (!hears) {
      await released;
      return healthy(input);
    }
    const beat = setInterval(() => Context.current().heartbeat(), 50);
    try {
      return await Context.current().cancelled;
    } finally {
      clearInterval(beat);
    }
  };
  let preview = '';
  const ended = await runRollback(env, { [name]: activity }, REQUEST, async (running) => {
    await started;
    preview = (await running.status()).cancelPreview;
    await running.handle.cancel();
    go();
  });
  return { ...ended, preview };
}

const BEFORE_ANY_CHANGE: readonly Name[] = ['planRollback'];
const BEFORE_THE_RESET: readonly Name[] = [
  'stopInstance',
  'awaitInstanceStopped',
  'createSafetySnapshot',
  'awaitSnapshotAccomplished',
  'checkGate',
];
/** No way back: these come to their end first. */
const UNCANCELLABLE: readonly Name[] = [
  'resetDisk',
  'awaitResetEnded',
  'createRecoveryDisk',
  'awaitRecoveryDiskAvailable',
  'startInstance',
  'awaitInstanceRunning',
  'awaitGuestReady',
];
const WHILE_BRINGING_BACK: readonly Name[] = [
  'attachRecoveryDisk',
  'awaitRecoveryDiskAttached',
  'findRecoveryDevice',
  'mountRecoveryDisk',
  'startCopy',
  'awaitCopy',
  'startVerification',
  'awaitVerification',
];
const WHILE_RELEASING: readonly Name[] = [
  'unmountRecoveryDisk',
  'detachRecoveryDisk',
  'awaitRecoveryDiskDetached',
  'deleteRecoveryDisk',
  'awaitRecoveryDiskGone',
];

test.each(BEFORE_ANY_CHANGE)('during %s: nothing was changed', async (name) => {
  const { failure, calls, preview } = await cancelDuring(name, true);
  expect(preview).toBe('End the run; nothing has been changed yet.');
  expect(failure).toBeInstanceOf(CancelledFailure);
  expect(calls).toEqual([name]);
});

test.each(BEFORE_THE_RESET)('during %s: the instance is started again, without a reset', async (name) => {
  const { failure, calls, status, preview } = await cancelDuring(name, true);
  expect(preview).toMatch(/^Start the instance again and end the run; the disk stays as it is/);
  expect(failure).toBeInstanceOf(CancelledFailure);
  expect(calls).not.toContain('resetDisk');
  expect(calls.slice(-2)).toEqual(['startInstance', 'awaitInstanceRunning']);
  expect(status).toMatchObject({ phase: 'cancelled', resetHappened: 'no' });
});

test.each([
  ...UNCANCELLABLE.map((name) => [name, false] as const),
  ...WHILE_BRINGING_BACK.map((name) => [name, true] as const),
])('during %s: one reset, the instance runs, the recovery disk is gone', async (name, hears) => {
  const { failure, calls, status, preview } = await cancelDuring(name, hears);
  expect(preview).toMatch(/nothing is brought back|^Stop bringing data back.*leave the disk at snapshot A/);
  expect(failure).toBeInstanceOf(CancelledFailure);
  expect(calls.filter((call) => call === 'resetDisk')).toHaveLength(1);
  expect(calls).toContain('awaitInstanceRunning');
  expect(calls.at(-1)).toBe('awaitRecoveryDiskGone');
  // What is mounted is not detached; what was never attached is not unmounted.
  if (!hears) expect(calls).not.toContain('attachRecoveryDisk');
  expect(status).toMatchObject({ phase: 'cancelled', resetHappened: 'yes' });
});

test.each(WHILE_RELEASING)('during %s: all is done already, and ends as ever', async (name) => {
  const { result, calls } = await cancelDuring(name, false);
  expect(result).toMatchObject({ outcome: 'completed', leftovers: [] });
  expect(calls.at(-1)).toBe('awaitRecoveryDiskGone');
});
