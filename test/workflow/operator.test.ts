// People around a run: approvals, decisions after the reset, pause – on the time-skipping server.
import { CancelledFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/index.ts';
import { ACTIVITY_FAILURE, FAILURE, UPDATE } from '../../src/contract/messages.ts';
import { type RollbackRequest, rollbackInputSchema } from '../../src/contract/rollback.ts';
import { latch } from '../support/latch.ts';
import {
  ASKING,
  failing,
  hanging,
  permanent,
  REQUEST,
  reportOf,
  type Running,
  runRollback,
} from '../support/rollback-run.ts';
import { INSTANCE, PLAN_HASH, plan, SNAPSHOT_B } from '../support/stub-activities.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

const run = (over: Partial<Activities>, request: RollbackRequest, during?: (running: Running) => Promise<void>) =>
  runRollback(env, over, request, during);

const OTHER_HASH = 'b'.repeat(64);
const awaitsApproval = (running: Running) => running.until(({ phase }) => phase === 'awaiting-approval');
const needsOperator = (running: Running) => running.until(({ phase }) => phase === 'needs-operator');
const approve = (by: string, planHash = PLAN_HASH) => ({ planHash, by, reason: 'looked at it' });
const decide = (decision: string, by = 'ada') => ({ decision, by, reason: 'because' });

describe('approval', () => {
  const asking = (over: object): RollbackRequest => ({
    ...REQUEST,
    requestedBy: 'ada',
    approval: { timeoutSeconds: 7200, remindEverySeconds: 600, ...over },
  });

  test('nothing is changed before the quorum is there; who, when and why are in the result', async () => {
    const { result, calls } = await run({}, asking({ quorum: 2 }), async (running) => {
      const waiting = await awaitsApproval(running);
      expect(waiting.waitingFor).toMatchObject({ kind: 'approval', planHash: PLAN_HASH, quorum: 2, approvals: [] });
      expect(waiting.cancelPreview).toMatch(/nothing has been changed yet/);
      expect(await running.update(UPDATE.approve, approve('bob'))).toMatchObject({
        phase: 'awaiting-approval',
        approvals: [{ by: 'bob', reason: 'looked at it', planHash: PLAN_HASH }],
      });
      expect(await running.update(UPDATE.approve, approve('bob'))).toMatch(/bob has approved already/);
      await running.update(UPDATE.approve, approve('eve'));
    });
    expect(result).toMatchObject({ outcome: 'completed', approvals: [{ by: 'bob' }, { by: 'eve' }] });
    expect(Date.parse(result?.approvals?.[0]?.at ?? '')).toBeGreaterThan(0);
    // Looked at once more after the approval, before the first effect.
    expect(calls.slice(0, 3)).toEqual(['planRollback', 'planRollback', 'stopInstance']);
  });

  test('is bound to the plan: another hash is refused', async () => {
    await run({}, asking({}), async (running) => {
      await awaitsApproval(running);
      expect(await running.update(UPDATE.approve, approve('bob', OTHER_HASH))).toMatch(
        /waits for approval of plan aaaa/,
      );
      expect(await running.update(UPDATE.approve, { planHash: PLAN_HASH, by: ' ' })).toMatch(/by is empty/);
      expect((await running.status()).approvals).toEqual([]);
      await running.update(UPDATE.approve, approve('bob'));
    });
  });

  test('the requester cannot approve when told so, and may otherwise', async () => {
    await run({}, asking({ requesterMayApprove: false }), async (running) => {
      await awaitsApproval(running);
      expect(await running.update(UPDATE.approve, approve('ada'))).toMatch(/ada started this run/);
      await running.update(UPDATE.approve, approve('bob'));
    });
    const { result } = await run({}, asking({}), async (running) => {
      await awaitsApproval(running);
      await running.update(UPDATE.approve, approve('ada'));
    });
    expect(result?.approvals).toMatchObject([{ by: 'ada' }]);
  });

  test('a requester who must not approve has to be named', () => {
    const { requestedBy: _, ...nameless } = asking({ requesterMayApprove: false });
    const parsed = rollbackInputSchema.safeParse(nameless);
    expect(parsed.error?.issues.map(({ path }) => path)).toEqual([['requestedBy']]);
  });

  test('a rejection ends the run; nothing was changed', async () => {
    const { failure, calls, status } = await run({}, asking({}), async (running) => {
      await awaitsApproval(running);
      await running.update(UPDATE.reject, { planHash: PLAN_HASH, by: 'bob', reason: 'wrong disk' });
    });
    expect(failure).toMatchObject({ type: FAILURE.notApproved });
    expect((failure as Error).message).toContain('rejected by bob: wrong disk');
    expect(calls).toEqual(['planRollback']);
    expect(status.phase).toBe('refused');
  });

  test('without it in time the run ends as refused, after its reminders', async () => {
    let history = async (): Promise<{ timers: number }> => ({ timers: 0 });
    const { failure, calls } = await run({}, asking({ quorum: 2 }), async (running) => {
      await awaitsApproval(running);
      await running.update(UPDATE.approve, approve('bob'));
      history = async () => {
        const { events } = await running.handle.fetchHistory();
        return { timers: (events ?? []).filter((event) => event.timerFiredEventAttributes).length };
      };
    });
    expect(failure).toMatchObject({ type: FAILURE.notApproved });
    expect((failure as Error).message).toContain('not approved by 2 within 7200 seconds');
    // Two hours, a reminder every ten minutes.
    expect((await history()).timers).toBe(12);
    expect(calls).toEqual(['planRollback']);
  });

  test('lapses when the world has drifted since, and has to be given again for the new plan', async () => {
    let looks = 0;
    const planRollback = async () => {
      looks += 1;
      return plan({ hash: looks === 1 ? PLAN_HASH : OTHER_HASH });
    };
    const { result } = await run({ planRollback }, asking({}), async (running) => {
      await awaitsApproval(running);
      await running.update(UPDATE.approve, approve('bob'));
      await running.until(
        ({ waitingFor, approvals }) =>
          waitingFor?.kind === 'approval' && waitingFor.planHash === OTHER_HASH && approvals.length === 0,
      );
      await running.update(UPDATE.approve, approve('bob', OTHER_HASH));
    });
    expect(result).toMatchObject({ outcome: 'completed', approvals: [{ by: 'bob', planHash: OTHER_HASH }] });
  });

  test('a cancel while it waits changes nothing', async () => {
    const { failure, calls, status } = await run({}, asking({}), async (running) => {
      await awaitsApproval(running);
      await running.handle.cancel();
    });
    expect(failure).toBeInstanceOf(CancelledFailure);
    expect(calls).toEqual(['planRollback']);
    expect(status).toMatchObject({ phase: 'cancelled', headline: 'Cancelled: nothing was changed.' });
  });
});

describe('a plan that was read before', () => {
  test('is refused when what is there now is not what was planned', async () => {
    const { failure, calls } = await run({}, { ...REQUEST, expectedPlanHash: OTHER_HASH });
    expect(failure).toMatchObject({ type: FAILURE.planDrifted });
    expect(calls).toEqual(['planRollback']);
  });

  test('is carried out when nothing has changed', async () => {
    const { result } = await run({}, { ...REQUEST, expectedPlanHash: PLAN_HASH });
    expect(result?.outcome).toBe('completed');
  });
});

describe('a step that fails for good after the reset', () => {
  test('waits for a decision, and retry does the step again', async () => {
    const attach = failing(1, { sent: true }, 'no slot left');
    const { result } = await run({ attachRecoveryDisk: attach.activity }, ASKING, async (running) => {
      const seen = await needsOperator(running);
      expect(seen.waitingFor).toMatchObject({
        kind: 'operator',
        step: 'attachRecoveryDisk',
        problem: 'no slot left',
        choices: ['retry', 'skip', 'undo', 'abort'],
      });
      expect(seen.headline).toContain('NEEDS AN OPERATOR');
      expect(seen.cancelPreview).toMatch(/release the recovery disk/);
      expect(await running.update(UPDATE.resolve, decide('force'))).toMatch(/force is no choice/);
      await running.update(UPDATE.resolve, decide('retry'));
    });
    expect(attach.tries()).toBe(2);
    expect(result?.outcome).toBe('completed');
  });

  test('is skipped only when its outcome is observed', async () => {
    let holds = false;
    const asked: string[] = [];
    const { result } = await run(
      {
        attachRecoveryDisk: permanent('Broken', 'no slot left'),
        observeStep: async ({ step }) => {
          asked.push(step);
          return { holds, seen: holds ? 'In_use on the instance' : 'disk is Available' };
        },
      },
      ASKING,
      async (running) => {
        await needsOperator(running);
        await running.update(UPDATE.resolve, decide('skip'));
        const again = await running.until(({ waitingFor }) => waitingFor?.kind === 'operator' && !!waitingFor.note);
        expect(again.waitingFor).toMatchObject({ note: 'skip was not followed: disk is Available' });
        holds = true;
        await running.update(UPDATE.resolve, decide('skip'));
      },
    );
    expect(asked).toEqual(['attachRecoveryDisk', 'attachRecoveryDisk']);
    expect(result?.outcome).toBe('completed');
    expect(result?.steps.find(({ id }) => id === 'attachRecoveryDisk')?.state).toBe('skipped');
  });

  test('abort ends it as rolled back but not synced, with nothing left', async () => {
    const { result, calls } = await run(
      { findRecoveryDevice: permanent(ACTIVITY_FAILURE.guestRefused, 'two disks match') },
      ASKING,
      async (running) => {
        expect((await needsOperator(running)).waitingFor).toMatchObject({ choices: ['retry', 'undo', 'abort'] });
        await running.update(UPDATE.resolve, decide('abort'));
      },
    );
    expect(result).toMatchObject({ outcome: 'rolled-back-not-synced', leftovers: [] });
    expect(result?.summary).toContain('two disks match');
    expect(calls).toContain('deleteRecoveryDisk');
  });

  test('undo rolls back onto B in a run of its own, with its own gate and snapshot, under the same lease', async () => {
    const resets: string[] = [];
    const { result, calls } = await run(
      {
        findRecoveryDevice: permanent(ACTIVITY_FAILURE.guestRefused, 'two disks match'),
        resetDisk: async ({ targetSnapshotId }) => {
          resets.push(targetSnapshotId);
          return { sent: true };
        },
      },
      ASKING,
      async (running) => {
        await needsOperator(running);
        await running.update(UPDATE.resolve, decide('undo'));
      },
    );
    expect(result).toMatchObject({
      outcome: 'undone',
      undo: { workflowId: expect.stringMatching(/^undo\/rollback-/) },
    });
    expect(resets).toHaveLength(2);
    expect(resets[1]).toBe(SNAPSHOT_B);
    // Released first; then stop, B, gate, reset, start, once more.
    const second = calls.slice(calls.indexOf('awaitRecoveryDiskGone') + 1);
    expect(second).toEqual([
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
    ]);
  });

  test('an unattended policy decides without anyone: abort, undo', async () => {
    const broken = { mountRecoveryDisk: permanent(ACTIVITY_FAILURE.guestRefused, 'no such file system') };
    const aborted = await run(broken, { ...REQUEST, onFailureAfterReset: 'abort' });
    expect(aborted.result?.outcome).toBe('rolled-back-not-synced');
    const undone = await run(broken, { ...REQUEST, onFailureAfterReset: 'undo' });
    expect(undone.result?.outcome).toBe('undone');
  });

  test('a start that fails waits, too; a cancel then ends the run with the disk at A and nothing left', async () => {
    const { failure, calls, status } = await run(
      { startInstance: permanent(ACTIVITY_FAILURE.quota, 'no stock') },
      ASKING,
      async (running) => {
        expect((await needsOperator(running)).waitingFor).toMatchObject({ step: 'startInstance', problem: 'no stock' });
        await running.handle.cancel();
      },
    );
    expect(failure).toBeInstanceOf(CancelledFailure);
    expect(status).toMatchObject({ phase: 'cancelled', resetHappened: 'yes' });
    expect(status.headline).toContain(`${INSTANCE} was not started`);
    expect(calls).toContain('deleteRecoveryDisk');
  });

  test('a ResetDisk whose outcome is unknown is asked about, and a retry says that it was sent before', async () => {
    const sent: Array<boolean | undefined> = [];
    const { result } = await run(
      {
        resetDisk: async ({ sentBefore }) => {
          sent.push(sentBefore);
          if (sent.length === 1) return permanent(ACTIVITY_FAILURE.denied, 'no permission')();
          return { sent: true };
        },
      },
      ASKING,
      async (running) => {
        const seen = await needsOperator(running);
        expect(seen).toMatchObject({ resetHappened: 'maybe', waitingFor: { step: 'resetDisk' } });
        await running.update(UPDATE.resolve, decide('retry'));
      },
    );
    expect(sent).toEqual([false, true]);
    expect(result?.outcome).toBe('completed');
  });

  test('what cannot be released is asked about before it is left over', async () => {
    const unmount = failing(1, { unmounted: 1 }, 'busy: bash 42');
    const { result } = await run({ unmountRecoveryDisk: unmount.activity }, ASKING, async (running) => {
      expect((await needsOperator(running)).waitingFor).toMatchObject({
        step: 'releaseRecoveryDisk',
        choices: ['retry', 'abort'],
      });
      await running.update(UPDATE.resolve, decide('retry'));
    });
    expect(result).toMatchObject({ outcome: 'completed', leftovers: [] });
  });

  test('nobody can decide when nothing is asked', async () => {
    const wait = hanging();
    await run({ awaitCopy: wait.activity }, ASKING, async (running) => {
      await wait.started;
      expect(await running.update(UPDATE.resolve, decide('retry'))).toMatch(/not waiting for a decision/);
      expect(await running.update(UPDATE.approve, approve('bob'))).toMatch(/not waiting for approval/);
      await running.handle.cancel();
    });
  });
});

describe('an instance that does not stop', () => {
  const timeout = (times: number) => {
    let tries = 0;
    return async () => {
      tries += 1;
      return tries <= times ? permanent('Timeout', 'still Stopping')() : { stoppedMode: 'KeepCharging' };
    };
  };

  test('is asked about: force cuts its power', async () => {
    const forced: boolean[] = [];
    const { result } = await run(
      {
        awaitInstanceStopped: timeout(1),
        stopInstance: async ({ force }) => {
          forced.push(force);
          return { sent: true };
        },
      },
      ASKING,
      async (running) => {
        expect((await needsOperator(running)).waitingFor).toMatchObject({
          step: 'stopInstance',
          choices: ['retry', 'force', 'abort'],
        });
        await running.update(UPDATE.resolve, decide('force'));
      },
    );
    expect(forced).toEqual([false, true]);
    expect(result?.outcome).toBe('completed');
  });

  test('abort puts things back, without a reset', async () => {
    const { failure, calls } = await run({ awaitInstanceStopped: timeout(9) }, ASKING, async (running) => {
      await needsOperator(running);
      await running.update(UPDATE.resolve, decide('abort'));
    });
    expect(failure).toMatchObject({ type: FAILURE.failedBeforeReset });
    expect(reportOf(failure).resetHappened).toBe('no');
    expect(calls).not.toContain('resetDisk');
    expect(calls.slice(-2)).toEqual(['startInstance', 'awaitInstanceRunning']);
  });
});

describe('pause', () => {
  test('holds at the next safe point, and resume goes on', async () => {
    const { opened: held, open: finish } = latch();
    const { result } = await run(
      {
        awaitSnapshotAccomplished: async () => {
          await held;
          return { createdAt: '2026-11-22T02:01:00Z', sizeGiB: 20 };
        },
      },
      REQUEST,
      async (running) => {
        await running.until(({ phase }) => phase === 'snapshotting');
        expect(await running.update(UPDATE.resume, { by: 'ada' })).toMatch(/not paused/);
        expect(await running.update(UPDATE.pause, { by: 'ada', reason: 'call with the customer' })).toMatchObject({
          phase: 'snapshotting',
          pauseAhead: true,
        });
        finish();
        const paused = await running.until(({ phase }) => phase === 'paused');
        expect(paused).toMatchObject({
          waitingFor: { kind: 'pause', by: 'ada', reason: 'call with the customer' },
          resetHappened: 'no',
        });
        expect(paused.steps.find(({ id }) => id === 'gate')?.state).toBe('pending');
        expect(await running.update(UPDATE.pause, { by: 'bob' })).toMatch(/already paused by ada/);
        await running.update(UPDATE.resume, { by: 'bob' });
      },
    );
    expect(result?.outcome).toBe('completed');
  });

  test('a cancel goes past it and puts things back', async () => {
    const { opened: held, open: finish } = latch();
    const { failure, calls } = await run(
      {
        awaitInstanceStopped: async () => {
          await held;
          return { stoppedMode: 'KeepCharging' };
        },
      },
      REQUEST,
      async (running) => {
        await running.until(({ phase }) => phase === 'stopping');
        await running.update(UPDATE.pause, { by: 'ada' });
        finish();
        const paused = await running.until(({ phase }) => phase === 'paused');
        expect(paused.cancelPreview).toMatch(/Start the instance again/);
        await running.handle.cancel();
      },
    );
    expect(failure).toBeInstanceOf(CancelledFailure);
    expect(calls).not.toContain('resetDisk');
    expect(calls.slice(-2)).toEqual(['startInstance', 'awaitInstanceRunning']);
  });
});
