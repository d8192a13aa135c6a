// What a copy would delete is shown, and somebody decides, before anything is deleted – on the time-skipping server.
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/index.ts';
import { UPDATE } from '../../src/contract/messages.ts';
import { type RollbackRequest, rollbackInputSchema } from '../../src/contract/rollback.ts';
import { ASKING, type Running, runRollback } from '../support/rollback-run.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

const DELETIONS = { entries: 3, bytes: 8_000, digest: 'd'.repeat(64) };
const sync = { paths: ['/data/uploads'], delete: true };
const request: RollbackRequest = { ...ASKING, sync };

type Start = Parameters<Activities['startCopy']>[0];

/** A guest that holds a copy as `copy-start` does; `digests`: of each plan it makes. */
function guest(digests = [DELETIONS.digest]) {
  const starts: Start[] = [];
  let plans = 0;
  const activities: Partial<Activities> = {
    startCopy: async (start) => {
      if (starts.length === 0 || start.again !== starts.at(-1)?.again) plans += 1;
      starts.push(start);
      return { alreadyRunning: false };
    },
    awaitCopy: async () => {
      const start = starts.at(-1);
      const digest = digests[Math.min(plans, digests.length) - 1] ?? '';
      const held =
        start?.planOnly === true || (start?.delete === true && ![digest, 'all'].includes(start.deletions ?? ''));
      const counters = {
        stage: 'done',
        filesDone: 1,
        filesTotal: 1,
        bytesDone: 1,
        bytesTotal: 1,
        message: '',
      } as const;
      return held
        ? { state: 'held', ...counters, deletions: { ...DELETIONS, digest } }
        : { state: 'done', ...counters };
    },
  };
  return { starts, activities };
}
const asked = (running: Running) => running.until(({ phase }) => phase === 'needs-operator');
const say = (running: Running, decision: string) =>
  running.update(UPDATE.resolve, { decision, by: 'ada', reason: 'looked at the list' });

test('nothing is written before somebody has seen what would be deleted; then the digest of it goes to the guest', async () => {
  const { starts, activities } = guest();
  const { result } = await runRollback(env, activities, request, async (running) => {
    const { waitingFor } = await asked(running);
    expect(waitingFor).toMatchObject({
      kind: 'operator',
      step: 'copyBack',
      problem: '3 paths, 8,000 bytes were deleted from A to B and would be deleted live',
      choices: ['delete', 'keep'],
      deletions: DELETIONS,
    });
    expect(starts).toMatchObject([{ delete: true, planOnly: true }]);
    expect(await say(running, 'retry')).toMatch(/retry is no choice/);
    await say(running, 'delete');
  });
  expect(result?.outcome).toBe('completed');
  expect(starts.slice(1)).toMatchObject([{ delete: true, deletions: DELETIONS.digest }]);
  expect(starts[1]).not.toHaveProperty('planOnly');
});

test('keep brings everything back and deletes nothing', async () => {
  const { starts, activities } = guest();
  const { result } = await runRollback(env, activities, request, async (running) => {
    await asked(running);
    await say(running, 'keep');
  });
  expect(result?.outcome).toBe('completed');
  expect(starts.slice(1)).toMatchObject([{ delete: false }]);
});

test('deleteUnseen asks nobody', async () => {
  const { starts, activities } = guest();
  const unseen = { ...request, onFailureAfterReset: 'abort', sync: { ...sync, deleteUnseen: true } };
  const { result } = await runRollback(env, activities, unseen);
  expect(result?.outcome).toBe('completed');
  expect(starts).toMatchObject([{ delete: true, deletions: 'all' }]);
});

test('what a hook stops is stopped only after the decision; other deletions than those are asked about again', async () => {
  const { starts, activities } = guest([DELETIONS.digest, 'e'.repeat(64)]);
  const order: string[] = [];
  const hooks = { beforeCopy: { command: '/usr/local/bin/stop' } };
  const { result } = await runRollback(
    env,
    {
      ...activities,
      runHook: async ({ at, attempt }) => {
        order.push(at);
        return { state: 'done', exitCode: 0, timedOut: false, outputBytes: 0, outputFile: `/${attempt}` };
      },
    },
    { ...request, hooks },
    async (running) => {
      await asked(running);
      expect(order).toEqual([]);
      await say(running, 'delete');
      await running.until(
        ({ waitingFor }) => waitingFor?.kind === 'operator' && waitingFor.deletions?.digest === 'e'.repeat(64),
      );
      expect(order).toEqual(['beforeCopy']);
      await say(running, 'delete');
    },
  );
  expect(result?.outcome).toBe('completed');
  expect(starts.map(({ deletions, again }) => [deletions?.[0], again])).toEqual([
    [undefined, undefined],
    ['d', true],
    ['e', true],
  ]);
});

test('where nobody would decide, the request says so itself', () => {
  const problems = (over: object) =>
    rollbackInputSchema.safeParse({ ...request, ...over }).error?.issues.map(({ path }) => path.join('.')) ?? [];
  expect(problems({})).toEqual([]);
  expect(problems({ onFailureAfterReset: 'undo' })).toEqual(['sync.delete']);
  expect(problems({ onFailureAfterReset: 'undo', sync: { ...sync, deleteUnseen: true } })).toEqual([]);
  expect(problems({ sync: { paths: ['/data'], deleteUnseen: true } })).toEqual(['sync.deleteUnseen']);
});
