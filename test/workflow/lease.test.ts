// One run at a time per instance: the lease – on the time-skipping server.
import { randomUUID } from 'node:crypto';
import { CancelledFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { leaseActivities } from '../../src/activities/lease.ts';
import { leaseWorkflowId } from '../../src/contract/ids.ts';
import { ACTIVITY_FAILURE, FAILURE } from '../../src/contract/messages.ts';
import { hanging, REQUEST, reportOf, runRollback } from '../support/rollback-run.ts';
import { INSTANCE } from '../support/stub-activities.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

const holderOf = async () => {
  const { raw, status } = await env.client.workflow.getHandle(leaseWorkflowId(INSTANCE)).describe();
  return status.name === 'RUNNING' ? (raw.workflowExecutionInfo?.parentExecution?.workflowId ?? null) : null;
};
/** The worker's own, so that a run asks the server. */
const realLease = leaseActivities({ leasePollMs: 50 });

test('is held from before the first effect to the end, and free after it', async () => {
  const seen: Array<string | null> = [];
  const look = async () => {
    seen.push(await holderOf());
    return { sent: true };
  };
  let workflowId = '';
  await runRollback(env, { stopInstance: look, deleteRecoveryDisk: look }, REQUEST, async ({ handle }) => {
    ({ workflowId } = handle);
  });
  expect(seen).toEqual([workflowId, workflowId]);
  expect(await holderOf()).toBeNull();
});

test('a second run fails at once, names the holder and changes nothing', async () => {
  const wait = hanging();
  await runRollback(env, { awaitInstanceStopped: wait.activity }, REQUEST, async ({ handle }) => {
    await wait.started;
    const second = await runRollback(env, realLease);
    expect(second.failure).toMatchObject({ type: FAILURE.leaseHeld });
    expect(reportOf(second.failure).summary).toContain(handle.workflowId);
    expect(second.calls).toEqual(['planRollback', 'leaseHolder']);
    expect(second.status.phase).toBe('refused');
    await handle.cancel();
  });
});

test('a second run waits when asked to, looks again, and goes on when the first has ended', async () => {
  const wait = hanging();
  await runRollback(env, { awaitInstanceStopped: wait.activity }, REQUEST, async (first) => {
    await wait.started;
    const second = await runRollback(env, realLease, { ...REQUEST, onLeaseHeld: 'wait' }, async (running) => {
      const waiting = await running.until(({ phase }) => phase === 'waiting-for-lease');
      expect(waiting.waitingFor).toMatchObject({ kind: 'lease', holder: first.handle.workflowId });
      expect(waiting.cancelPreview).toMatch(/nothing has been changed yet/);
      await first.handle.cancel();
    });
    expect(second.result?.outcome).toBe('completed');
    expect(second.calls.slice(0, 5)).toEqual([
      'planRollback',
      'leaseHolder',
      'awaitLeaseFree',
      'planRollback',
      'stopInstance',
    ]);
  });
});

test('a lease that was ended by hand closes the gate', async () => {
  const { failure, calls } = await runRollback(env, {
    // Early, so that the run surely has heard of it at the gate.
    stopInstance: async () => {
      await env.client.workflow.getHandle(leaseWorkflowId(INSTANCE)).signal('release');
      return { sent: true };
    },
  });
  expect(failure).toMatchObject({ type: FAILURE.failedBeforeReset });
  expect(reportOf(failure)).toMatchObject({ failureKind: ACTIVITY_FAILURE.gateClosed, resetHappened: 'no' });
  expect(calls).not.toContain('resetDisk');
  expect(calls).toContain('startInstance');
});

test('a cancel while it is waited for changes nothing', async () => {
  const wait = hanging();
  await runRollback(env, { awaitInstanceStopped: wait.activity }, REQUEST, async (first) => {
    await wait.started;
    const second = await runRollback(
      env,
      { ...realLease, awaitLeaseFree: hanging().activity },
      { ...REQUEST, onLeaseHeld: 'wait' },
      async (running) => {
        await running.until(({ phase }) => phase === 'waiting-for-lease');
        await running.handle.cancel();
      },
    );
    expect(second.failure).toBeInstanceOf(CancelledFailure);
    expect(second.calls).toEqual(['planRollback', 'leaseHolder', 'awaitLeaseFree']);
    await first.handle.cancel();
  });
});

test('no client can pass by it by claiming to be an undo', async () => {
  const wait = hanging();
  await runRollback(env, { awaitInstanceStopped: wait.activity }, REQUEST, async ({ handle }) => {
    await wait.started;
    const second = await runRollback(env, realLease, {
      ...REQUEST,
      undoes: { workflowId: handle.workflowId, runId: randomUUID(), insideRun: true },
    });
    expect(second.failure).toMatchObject({ type: FAILURE.leaseHeld });
    await handle.cancel();
  });
});
