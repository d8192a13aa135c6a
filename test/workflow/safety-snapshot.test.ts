// Snapshot B in its three ways – on the time-skipping server.
import { CancelledFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/index.ts';
import { FAILURE } from '../../src/contract/messages.ts';
import { type RollbackRequest, rollbackInputSchema } from '../../src/contract/rollback.ts';
import { stepsOfRollback } from '../../src/domain/steps.ts';
import { hanging, permanent, REQUEST, runRollback, type Running } from '../support/rollback-run.ts';
import { plan, SNAPSHOT_B } from '../support/stub-activities.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

const WARM_UP = 's-bp1wwwwwwwwwwwwwwwww';
const request = (over: Partial<RollbackRequest>): RollbackRequest => {
  const { sync: _, ...rest } = REQUEST;
  return { ...rest, ...over };
};

function run(over: Partial<Activities>, asked: RollbackRequest, during?: (running: Running) => Promise<void>) {
  const steps = stepsOfRollback(rollbackInputSchema.parse(asked), true);
  return runRollback(
    env,
    {
      planRollback: async () => plan({ steps, paths: [] }),
      createSafetySnapshot: async ({ purpose }) => ({
        snapshotId: purpose === 'warm-up-snapshot' ? WARM_UP : SNAPSHOT_B,
      }),
      ...over,
    },
    asked,
    during,
  );
}

const untilReset = (calls: readonly string[]) => calls.slice(0, calls.indexOf('resetDisk'));

describe('warm', () => {
  test('takes a first snapshot while the instance runs, stops, and takes B after the stop', async () => {
    const { result, calls } = await run({}, request({ snapshotMode: 'warm' }));
    expect(untilReset(calls)).toEqual([
      'planRollback',
      'createSafetySnapshot',
      'awaitSnapshotCut',
      'awaitSnapshotAccomplished',
      'stopInstance',
      'awaitInstanceStopped',
      'createSafetySnapshot',
      'awaitSnapshotAccomplished',
      'checkGate',
    ]);
    expect(result).toMatchObject({
      outcome: 'completed',
      safetySnapshotId: SNAPSHOT_B,
      ledger: [
        { purpose: 'warm-up-snapshot', id: WARM_UP, state: 'released' },
        { purpose: 'safety-snapshot', id: SNAPSHOT_B, state: 'kept' },
      ],
    });
    expect(calls.indexOf('deleteWarmUpSnapshot')).toBeGreaterThan(calls.indexOf('startInstance'));
  });

  test('releases the first snapshot also when it is cancelled before the reset', async () => {
    const wait = hanging();
    const { failure, calls } = await run(
      { awaitInstanceStopped: wait.activity },
      request({ snapshotMode: 'warm' }),
      async ({ handle }) => {
        await wait.started;
        await handle.cancel();
      },
    );
    expect(failure).toBeInstanceOf(CancelledFailure);
    expect(calls).toContain('deleteWarmUpSnapshot');
    expect(calls).not.toContain('resetDisk');
  });

  test('lists a first snapshot that cannot be released', async () => {
    const { result } = await run(
      { deleteWarmUpSnapshot: permanent('Broken', 'somebody uses it') },
      request({ snapshotMode: 'warm' }),
    );
    expect(result?.outcome).toBe('completed-with-leftovers');
    expect(result?.leftovers[0]).toContain(WARM_UP);
  });
});

describe('hot', () => {
  test('takes B while the instance runs, waits for its end, and stops then', async () => {
    const { calls } = await run({}, request({ snapshotMode: 'hot' }));
    expect(untilReset(calls)).toEqual([
      'planRollback',
      'createSafetySnapshot',
      'awaitSnapshotCut',
      'awaitSnapshotAccomplished',
      'stopInstance',
      'awaitInstanceStopped',
      'checkGate',
    ]);
  });

  test('freezes the file systems for the cut only, and says so', async () => {
    const { result, calls } = await run({}, request({ snapshotMode: 'hot', freezeFileSystems: true }));
    expect(untilReset(calls)).toEqual([
      'planRollback',
      'freezeFileSystems',
      'createSafetySnapshot',
      'awaitSnapshotCut',
      'thawFileSystems',
      'awaitSnapshotAccomplished',
      'stopInstance',
      'awaitInstanceStopped',
      'checkGate',
    ]);
    expect(result?.steps.find(({ id }) => id === 'takeSafetySnapshot')?.detail).toContain('frozen for its moment');
  });

  test('says when the guest had to thaw them by itself', async () => {
    const { result } = await run(
      { thawFileSystems: async () => ({ fileSystems: 1, frozenMs: 60_000, byDeadMan: true }) },
      request({ snapshotMode: 'hot', freezeFileSystems: true }),
    );
    expect(result?.steps.find(({ id }) => id === 'takeSafetySnapshot')?.detail).toContain('thawed by themselves');
  });

  test.each<[string, Partial<Activities>]>([
    ['the snapshot is refused', { createSafetySnapshot: permanent('Broken', 'quota') }],
    ['the freeze has failed half-way', { freezeFileSystems: permanent('Broken', 'busy') }],
  ])('thaws when %s', async (_, broken) => {
    const { failure, calls } = await run(broken, request({ snapshotMode: 'hot', freezeFileSystems: true }));
    expect(failure).toMatchObject({ type: FAILURE.failedBeforeReset });
    expect(calls).toContain('thawFileSystems');
    expect(calls).not.toContain('stopInstance');
  });

  test('thaws when it is cancelled in between', async () => {
    const wait = hanging();
    const { failure, calls } = await run(
      { awaitSnapshotCut: wait.activity },
      request({ snapshotMode: 'hot', freezeFileSystems: true }),
      async ({ handle }) => {
        await wait.started;
        await handle.cancel();
      },
    );
    expect(failure).toBeInstanceOf(CancelledFailure);
    expect(calls).toContain('thawFileSystems');
  });
});

test('B is locked when asked, and a lock that is refused puts things back', async () => {
  const days: number[] = [];
  const good = await run(
    {
      lockSafetySnapshot: async (input) => {
        days.push(input.days);
        return { sent: true, expiresAt: '2026-12-01T00:00:00Z' };
      },
    },
    request({ lockSafetySnapshotDays: 7 }),
  );
  expect(good.result?.outcome).toBe('completed');
  expect(days).toEqual([7]);
  const bad = await run({ lockSafetySnapshot: permanent('Broken', 'no') }, request({ lockSafetySnapshotDays: 7 }));
  expect(bad.failure).toMatchObject({ type: FAILURE.failedBeforeReset });
  expect(bad.calls).not.toContain('resetDisk');
});

test('a snapshot B that a lost reply hid is found by its tag and listed', async () => {
  const { failure, status } = await run(
    {
      createSafetySnapshot: permanent('Broken', 'no answer'),
      findSafetySnapshot: async () => ({ snapshotId: SNAPSHOT_B }),
    },
    request({}),
  );
  expect(failure).toMatchObject({ type: FAILURE.failedBeforeReset });
  expect(status.ledger).toMatchObject([{ purpose: 'safety-snapshot', id: SNAPSHOT_B, state: 'kept' }]);
});

test('freezing makes no sense in mode cold and is refused', () => {
  const parsed = rollbackInputSchema.safeParse(request({ freezeFileSystems: true }));
  expect(parsed.error?.issues.map(({ path }) => path)).toEqual([['freezeFileSystems']]);
});
