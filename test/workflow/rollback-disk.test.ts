// Order and reaction of the rollback, with stand-ins for the activities, on the time-skipping server.
import { randomUUID } from 'node:crypto';
import type { WorkflowFailedError } from '@temporalio/client';
import { ApplicationFailure, CancelledFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/index.ts';
import { ACTIVITY_FAILURE, FAILURE } from '../../src/contract/messages.ts';
import type { RollbackRequest } from '../../src/contract/rollback.ts';
import { latch } from '../support/latch.ts';
import { hanging, permanent, REQUEST, reportOf, type Running, runRollback } from '../support/rollback-run.ts';
import { withWorker } from '../support/spare-workers.ts';
import {
  DISK,
  INSTANCE,
  plan,
  RECOVERY_DISK,
  REGION,
  SNAPSHOT_A,
  SNAPSHOT_B,
  stubActivities,
} from '../support/stub-activities.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

const run = (
  over: Partial<Activities> = {},
  request: RollbackRequest = REQUEST,
  during?: (running: Running) => Promise<void>,
) => runRollback(env, over, request, during);

describe('a rollback that goes well', () => {
  test('does the eight steps in the order of the design, each effect once', async () => {
    const { result, calls } = await run();
    const beside = ['createRecoveryDisk', 'awaitRecoveryDiskAvailable'];
    expect(calls.filter((call) => !beside.includes(call))).toEqual([
      'planRollback',
      'stopInstance',
      'awaitInstanceStopped',
      'createSafetySnapshot',
      'awaitSnapshotAccomplished',
      'checkGate',
      'resetDisk',
      'awaitResetEnded',
      'startInstance',
      'awaitInstanceRunning',
      'awaitAgentOnline',
      'awaitGuestReady',
      'attachRecoveryDisk',
      'awaitRecoveryDiskAttached',
      'awaitAgentOnline',
      'findRecoveryDevice',
      'mountRecoveryDisk',
      'startCopy',
      'awaitCopy',
      'startVerification',
      'awaitVerification',
      'unmountRecoveryDisk',
      'detachRecoveryDisk',
      'awaitRecoveryDiskDetached',
      'confirmOriginalInPlace',
      'deleteRecoveryDisk',
      'awaitRecoveryDiskGone',
    ]);
    expect(calls.indexOf('createRecoveryDisk')).toBeGreaterThan(calls.indexOf('checkGate'));
    expect(calls.filter((call) => beside.includes(call))).toEqual(beside);
    expect(result).toMatchObject({
      outcome: 'completed',
      safetySnapshotId: SNAPSHOT_B,
      leftovers: [],
      receipt: { verified: true },
    });
    expect(result?.steps.filter((step) => step.number !== undefined).map((step) => step.number)).toEqual([
      1, 2, 3, 4, 5, 6, 7, 8,
    ]);
    expect(result?.steps.every((step) => step.state === 'done')).toBe(true);
    expect(result?.ledger.map(({ id, state }) => [id, state])).toEqual([
      [SNAPSHOT_B, 'kept'],
      [RECOVERY_DISK, 'released'],
    ]);
  });

  test('that was found stopped neither stops nor starts the instance', async () => {
    const { calls, result } = await run(
      {
        planRollback: async () =>
          plan({ wasRunning: false, steps: ['plan', 'takeSafetySnapshot', 'gate', 'resetDisk'] }),
      },
      { regionId: REGION, diskId: DISK, snapshotId: SNAPSHOT_A, onFailureAfterReset: 'abort' },
    );
    expect(calls).toEqual([
      'planRollback',
      'createSafetySnapshot',
      'awaitSnapshotAccomplished',
      'checkGate',
      'resetDisk',
      'awaitResetEnded',
    ]);
    expect(result?.outcome).toBe('completed');
  });

  test('retries a throttled call after the hint of the service and goes on', async () => {
    let tries = 0;
    const { result, calls } = await run({
      attachRecoveryDisk: async () => {
        tries += 1;
        if (tries < 4) {
          throw ApplicationFailure.create({
            message: 'AttachDisk throttled',
            type: ACTIVITY_FAILURE.throttled,
            nextRetryDelay: '1 minute',
          });
        }
        return { sent: true };
      },
    });
    expect(calls.filter((call) => call === 'attachRecoveryDisk')).toHaveLength(4);
    expect(result?.outcome).toBe('completed');
  });

  test('starts a copy that lost its process again', async () => {
    let looks = 0;
    const { result, calls } = await run({
      awaitCopy: async () => {
        looks += 1;
        if (looks === 1) throw ApplicationFailure.nonRetryable('lost its process', ACTIVITY_FAILURE.guest);
        return { state: 'done', stage: 'done', filesDone: 3, filesTotal: 3, bytesDone: 1, bytesTotal: 1, message: '' };
      },
    });
    expect(calls.filter((call) => call === 'startCopy')).toHaveLength(2);
    expect(result?.outcome).toBe('completed');
  });
});

describe('before the reset', () => {
  test('a dry run only looks', async () => {
    const { result, calls } = await run({}, { ...REQUEST, dryRun: true });
    expect(calls).toEqual(['planRollback']);
    expect(result?.outcome).toBe('planned');
  });

  test('cancel while the plan is read ends the run; nothing was changed', async () => {
    const wait = hanging();
    const { failure, calls, status } = await run({ planRollback: wait.activity }, REQUEST, async (running) => {
      await wait.started;
      await running.handle.cancel();
    });
    expect(failure).toBeInstanceOf(CancelledFailure);
    expect(calls).toEqual(['planRollback']);
    expect(status).toMatchObject({ phase: 'cancelled', headline: 'Cancelled: nothing was changed.' });
  });

  test('a plan with a blocker refuses and changes nothing', async () => {
    const blocked = plan({
      findings: [{ severity: 'blocker', code: 'DiskNotAttached', fact: 'the disk is attached to nothing' }],
    });
    const { failure, calls, status } = await run({ planRollback: async () => blocked });
    expect(calls).toEqual(['planRollback', 'leaseHolder']);
    expect(failure).toMatchObject({ type: FAILURE.refused });
    expect(reportOf(failure).summary).toContain('the disk is attached to nothing');
    expect(status.phase).toBe('refused');
  });

  test('invalid input is refused with every field that is wrong', async () => {
    const failure = await withWorker(env, stubActivities().activities, (taskQueue) =>
      env.client.workflow
        .execute('rollbackDisk', {
          taskQueue,
          workflowId: `rollback-${randomUUID()}`,
          args: [{ regionId: REGION, diskId: 'disk-1', snapshotId: SNAPSHOT_A, colour: 'red' }],
        })
        .catch((error: WorkflowFailedError) => error.cause),
    );
    expect(failure).toMatchObject({ type: FAILURE.invalidInput });
    expect((failure as Error).message).toMatch(/diskId is not the id of a disk/);
    expect((failure as Error).message).toMatch(/colour/);
  });

  test('a failed snapshot B puts the instance back and never resets', async () => {
    const { failure, calls } = await run({
      awaitSnapshotAccomplished: permanent(ACTIVITY_FAILURE.snapshotFailed, 'snapshot B has failed'),
    });
    expect(failure).toMatchObject({ type: FAILURE.failedBeforeReset });
    expect(reportOf(failure)).toMatchObject({ resetHappened: 'no', failureKind: ACTIVITY_FAILURE.snapshotFailed });
    expect(calls).not.toContain('resetDisk');
    expect(calls.slice(-2)).toEqual(['startInstance', 'awaitInstanceRunning']);
  });

  test('an instance is started again although what became of snapshot B cannot be seen', async () => {
    const { failure, calls } = await run({
      createSafetySnapshot: permanent(ACTIVITY_FAILURE.denied),
      findSafetySnapshot: permanent(ACTIVITY_FAILURE.denied, 'you may not look'),
    });
    expect(failure).toMatchObject({ type: FAILURE.failedBeforeReset });
    expect(calls.slice(-2)).toEqual(['startInstance', 'awaitInstanceRunning']);
    expect(reportOf(failure).leftovers).toEqual([expect.stringContaining('you may not look')]);
  });

  test('a closed gate puts the instance back and never resets', async () => {
    const { failure, calls } = await run({ checkGate: permanent(ACTIVITY_FAILURE.gateClosed, 'gate is closed') });
    expect(failure).toMatchObject({ type: FAILURE.failedBeforeReset });
    expect(calls).not.toContain('resetDisk');
    expect(calls).toContain('startInstance');
  });

  test('a guest that does not go down is forced off only when that was asked for', async () => {
    const forced: boolean[] = [];
    const never = async () => {
      throw ApplicationFailure.nonRetryable('still Stopping', 'Timeout');
    };
    const polite = await run({ awaitInstanceStopped: never });
    expect(polite.failure).toMatchObject({ type: FAILURE.failedBeforeReset });
    let looks = 0;
    const rough = await run(
      {
        stopInstance: async ({ force }) => {
          forced.push(force);
          return { sent: true };
        },
        awaitInstanceStopped: async () => {
          looks += 1;
          return looks === 1 ? never() : { stoppedMode: 'KeepCharging' };
        },
      },
      { ...REQUEST, forceStop: true },
    );
    expect(rough.result?.outcome).toBe('completed');
    expect(forced).toEqual([false, true]);
  });

  test('cancel while snapshot B is made starts the instance again and keeps B', async () => {
    const wait = hanging();
    const { failure, calls, status } = await run(
      { awaitSnapshotAccomplished: wait.activity },
      REQUEST,
      async (running) => {
        await wait.started;
        const before = await running.status();
        expect(before.cancelPreview).toMatch(/Start the instance again.*stays as it is.*B.*is kept/);
        await running.handle.cancel();
      },
    );
    expect(failure).toBeInstanceOf(CancelledFailure);
    expect(calls).not.toContain('resetDisk');
    expect(calls.slice(-2)).toEqual(['startInstance', 'awaitInstanceRunning']);
    expect(status).toMatchObject({ phase: 'cancelled', resetHappened: 'no' });
    expect(status.ledger).toMatchObject([{ id: SNAPSHOT_B, state: 'kept' }]);
  });

  test('a ResetDisk that is refused outright puts everything back', async () => {
    const { failure, calls } = await run({ resetDisk: permanent(ACTIVITY_FAILURE.resetRefused, 'refused') });
    expect(failure).toMatchObject({ type: FAILURE.failedBeforeReset });
    expect(reportOf(failure).resetHappened).toBe('no');
    expect(calls).toContain('deleteRecoveryDisk');
    expect(calls).toContain('startInstance');
    expect(calls).not.toContain('attachRecoveryDisk');
  });
});

test.each([
  ['startInstance', 'awaitInstanceRunning'],
  ['attachRecoveryDisk', 'awaitRecoveryDiskAttached'],
  ['detachRecoveryDisk', 'awaitRecoveryDiskDetached'],
  ['deleteRecoveryDisk', 'awaitRecoveryDiskGone'],
] as const)('%s is sent again when it was accepted and came to nothing', async (send, wait) => {
  let looks = 0;
  const vainTwice = async () => {
    looks += 1;
    if (looks <= 2) throw ApplicationFailure.nonRetryable('as before', ACTIVITY_FAILURE.cameToNothing);
  };
  const { result, calls } = await run({ [wait]: vainTwice });
  expect(result).toMatchObject({ outcome: 'completed', leftovers: [] });
  expect(calls.filter((call) => call === send)).toHaveLength(3);
});

test('what comes to nothing three times is not sent any more', async () => {
  const vain = permanent(ACTIVITY_FAILURE.cameToNothing, 'as before');
  const { result, calls } = await run({ awaitRecoveryDiskGone: vain });
  expect(calls.filter((call) => call === 'deleteRecoveryDisk')).toHaveLength(3);
  expect(result).toMatchObject({ outcome: 'completed-with-leftovers' });
});

describe('after the reset', () => {
  test('cancel during the copy releases the recovery disk and ends as cancelled', async () => {
    const wait = hanging();
    const { failure, calls, status } = await run({ awaitCopy: wait.activity }, REQUEST, async (running) => {
      await wait.started;
      expect((await running.status()).cancelPreview).toMatch(/release the recovery disk/);
      await running.handle.cancel();
    });
    expect(failure).toBeInstanceOf(CancelledFailure);
    expect(calls.slice(-6)).toEqual([
      'unmountRecoveryDisk',
      'detachRecoveryDisk',
      'awaitRecoveryDiskDetached',
      'confirmOriginalInPlace',
      'deleteRecoveryDisk',
      'awaitRecoveryDiskGone',
    ]);
    expect(status).toMatchObject({ phase: 'cancelled', resetHappened: 'yes' });
  });

  test('cancel during the reset lets it end, starts the instance and brings nothing back', async () => {
    const { opened: held, open: release } = latch();
    const { opened: started, open: begun } = latch();
    const { failure, calls } = await run(
      {
        awaitResetEnded: async () => {
          begun();
          await held;
          return { diskSizeGiB: 20 };
        },
      },
      REQUEST,
      async (running) => {
        await started;
        await running.handle.cancel();
        release();
      },
    );
    expect(failure).toBeInstanceOf(CancelledFailure);
    expect(calls).toContain('startInstance');
    expect(calls).not.toContain('attachRecoveryDisk');
    expect(calls).toContain('deleteRecoveryDisk');
  });

  test('a recovery disk that cannot be made leaves the disk at A and says so', async () => {
    const { result, calls } = await run({
      createRecoveryDisk: permanent(ACTIVITY_FAILURE.quota, 'disk quota used up'),
    });
    expect(result?.outcome).toBe('rolled-back-not-synced');
    expect(result?.summary).toContain('disk quota used up');
    expect(calls).toContain('startInstance');
    expect(calls).not.toContain('deleteRecoveryDisk');
  });

  test('a copy that does not compare equal is not called completed', async () => {
    const { result } = await run({
      awaitVerification: async () => ({
        filesSelected: 3,
        bytesSelected: 30,
        filesCopied: 3,
        bytesCopied: 30,
        filesKeptLive: 0,
        verified: false,
        xattrsCompared: true,
        digest: 'abc',
        mismatches: ['uploads/a'],
      }),
    });
    expect(result?.outcome).toBe('rolled-back-not-synced');
    expect(result?.summary).toContain('uploads/a');
    expect(result?.leftovers).toEqual([]);
  });

  test('what cannot be unmounted is neither detached nor deleted, and is listed', async () => {
    const { result, calls } = await run({
      unmountRecoveryDisk: permanent(ACTIVITY_FAILURE.guestRefused, 'busy: bash 42'),
    });
    expect(calls).not.toContain('detachRecoveryDisk');
    expect(calls).not.toContain('deleteRecoveryDisk');
    expect(result).toMatchObject({
      outcome: 'completed-with-leftovers',
      ledger: [{}, { id: RECOVERY_DISK, state: 'left-over' }],
    });
    expect(result?.leftovers[0]).toContain('busy: bash 42');
  });

  test('an instance that does not start ends as a failure after the reset, with nothing billable left', async () => {
    const { failure, calls } = await run({ startInstance: permanent(ACTIVITY_FAILURE.quota, 'no stock') });
    expect(failure).toMatchObject({ type: FAILURE.failedAfterReset });
    expect(reportOf(failure)).toMatchObject({ resetHappened: 'yes' });
    expect(reportOf(failure).summary).toContain(INSTANCE);
    expect(calls).toContain('deleteRecoveryDisk');
  });
});
