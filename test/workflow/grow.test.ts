// A rollback past an expansion: the disk gets its size back before the start, its file systems theirs after it.
import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ACTIVITY_FAILURE } from '../../src/contract/messages.ts';
import type { StepId } from '../../src/contract/rollback.ts';
import { REQUEST, runRollback } from '../support/rollback-run.ts';
import { plan } from '../support/stub-activities.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

const steps: StepId[] = plan().steps.flatMap((step) =>
  step === 'startInstance' ? (['restoreDiskSize', step, 'growFileSystems'] as const) : [step],
);
const planRollback = async () => plan({ steps });
const ofGrowth = (calls: readonly string[]) =>
  calls.filter((call) =>
    /^(resetDisk|startInstance|restoreDiskSize|awaitDiskSize|growFileSystems|attach.*)$/.test(call),
  );

test('the disk is resized only where the service took its size back, before the start', async () => {
  const asked: unknown[] = [];
  const { result, calls } = await runRollback(env, {
    planRollback,
    restoreDiskSize: async ({ sizeGiB }) => {
      asked.push(sizeGiB);
      return { sent: true, seenGiB: 10 };
    },
    growFileSystems: async () => ({
      grown: [{ what: 'partition', name: '/dev/vdb1', fromBytes: 1, toBytes: 2 }],
      left: [],
    }),
  });
  expect(result).toMatchObject({ outcome: 'completed' });
  expect(asked).toEqual([20]);
  expect(ofGrowth(calls)).toEqual([
    'resetDisk',
    'restoreDiskSize',
    'awaitDiskSize',
    'startInstance',
    'growFileSystems',
    'attachRecoveryDisk',
  ]);
  expect(result?.steps.filter(({ id }) => /Size|grow/.test(id)).map(({ detail }) => detail)).toEqual([
    'resized from 10 to 20 GiB',
    'grown: /dev/vdb1',
  ]);
});

test('nothing of it runs when the plan has no such step, and no resize is waited for that was not sent', async () => {
  expect(ofGrowth((await runRollback(env)).calls)).toEqual(['resetDisk', 'startInstance', 'attachRecoveryDisk']);
  const { calls } = await runRollback(env, { planRollback });
  expect(calls).toContain('restoreDiskSize');
  expect(calls).not.toContain('awaitDiskSize');
});

test('what cannot be grown is listed, and keeps no data from being brought back', async () => {
  const left = await runRollback(env, {
    planRollback,
    growFileSystems: async () => ({ grown: [], left: ['volume group shop has 2 logical volumes'] }),
  });
  expect(left.result).toMatchObject({
    outcome: 'completed-with-leftovers',
    leftovers: [expect.stringContaining('volume group shop has 2 logical volumes')],
    receipt: { verified: true },
  });
  const failed = await runRollback(env, {
    planRollback,
    growFileSystems: async () => {
      throw ApplicationFailure.nonRetryable('no such disk', ACTIVITY_FAILURE.guestRefused);
    },
  });
  expect(failed.result).toMatchObject({
    outcome: 'completed-with-leftovers',
    leftovers: [expect.stringContaining('no such disk')],
    receipt: { verified: true },
  });
});

test('a disk that cannot be resized is left smaller by nobody’s silence: the run fails after the reset', async () => {
  const { failure, calls } = await runRollback(
    env,
    {
      planRollback,
      restoreDiskSize: async () => {
        throw ApplicationFailure.nonRetryable('no quota', ACTIVITY_FAILURE.quota);
      },
    },
    REQUEST,
  );
  expect((failure as Error).message).toContain('no quota');
  expect(calls).not.toContain('startInstance');
});
