// Hooks: at their points, in their order, each started once; what a failure means is the request's to say.
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/index.ts';
import type { HookPoint } from '../../src/contract/hooks.ts';
import { FAILURE, UPDATE } from '../../src/contract/messages.ts';
import type { RollbackRequest } from '../../src/contract/rollback.ts';
import { ASKING, permanent, REQUEST, runRollback } from '../support/rollback-run.ts';
import { stubActivities } from '../support/stub-activities.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

const { activities: healthy } = stubActivities();
type Hooks = NonNullable<RollbackRequest['hooks']>;

/** Runs with hooks whose exit statuses are given by point, one after the other; 0 where none is left. */
async function withHooks(
  hooks: Hooks,
  statuses: Partial<Record<HookPoint, number[]>> = {},
  {
    over = {},
    request = REQUEST,
    during,
  }: { over?: Partial<Activities>; request?: RollbackRequest; during?: Parameters<typeof runRollback>[3] } = {},
) {
  const started: string[] = [];
  const left = structuredClone(statuses);
  const runHook: Activities['runHook'] = async (input) => {
    started.push(`${input.at}-${input.attempt}`);
    const exitCode = left[input.at]?.shift() ?? 0;
    return { ...(await healthy.runHook(input)), exitCode };
  };
  const ended = await runRollback(env, { ...over, runHook }, { ...request, hooks }, during);
  return { ...ended, started };
}

const hook = { command: '/opt/hook', args: ['a b'] };
const all = { beforeStop: hook, afterStart: hook, beforeCopy: hook, afterCopy: hook, healthCheck: hook };

test('each runs at its point, and the result tells how it ended', async () => {
  const { result, calls, started } = await withHooks(all);
  expect(result).toMatchObject({ outcome: 'completed' });
  expect(started).toEqual(['beforeStop-1', 'afterStart-2', 'beforeCopy-3', 'afterCopy-4', 'healthCheck-5']);
  expect(result?.hooks?.map(({ at, exitCode }) => [at, exitCode])).toEqual([
    ['beforeStop', 0],
    ['afterStart', 0],
    ['beforeCopy', 0],
    ['afterCopy', 0],
    ['healthCheck', 0],
  ]);
  const around = calls.flatMap((call, index) => (call === 'runHook' ? [[calls[index - 1], calls[index + 1]]] : []));
  expect(around).toEqual([
    ['planRollback', 'stopInstance'],
    ['awaitGuestReady', 'attachRecoveryDisk'],
    ['mountRecoveryDisk', 'startCopy'],
    ['awaitVerification', 'runHook'],
    ['runHook', 'unmountRecoveryDisk'],
  ]);
});

test('without paths the health check follows the start', async () => {
  const { sync: _, ...only } = REQUEST;
  const { started, calls } = await withHooks(all, {}, { request: only });
  expect(started).toEqual(['beforeStop-1', 'afterStart-2', 'healthCheck-3']);
  expect(calls.slice(calls.indexOf('startInstance'))).toEqual([
    'startInstance',
    'awaitInstanceRunning',
    'awaitAgentOnline',
    'awaitGuestReady',
    'runHook',
    'runHook',
  ]);
});

test('a failed beforeStop puts back: nothing was stopped or reset', async () => {
  const { failure, calls } = await withHooks(all, { beforeStop: [3] });
  expect(failure).toMatchObject({ type: FAILURE.failedBeforeReset });
  expect((failure as Error).message).toMatch(
    /hook beforeStop ended with status 3; its 2 bytes of output are in \/var\/log/,
  );
  expect(calls.filter((call) => /^(stop|start|create|reset)/.test(call))).toEqual([]);
});

test('what beforeCopy has stopped is started again when the copy fails', async () => {
  const { result, started } = await withHooks(all, {}, { over: { awaitVerification: permanent('Broken', 'differs') } });
  expect(result).toMatchObject({ outcome: 'rolled-back-not-synced', leftovers: [] });
  expect(started.slice(2)).toEqual(['beforeCopy-3', 'afterCopy-4']);
});

test('a failed one goes on when told so, and asks when told so', async () => {
  const goesOn = await withHooks({ healthCheck: { ...hook, onFailure: 'continue' } }, { healthCheck: [1] });
  expect(goesOn.result).toMatchObject({ outcome: 'completed', hooks: [{ at: 'healthCheck', exitCode: 1 }] });
  const asks = await withHooks(
    { healthCheck: { ...hook, onFailure: 'ask' } },
    { healthCheck: [1, 1] },
    {
      request: ASKING,
      async during(running) {
        for (const decision of ['retry', 'skip']) {
          const { waitingFor } = await running.until(({ phase }) => phase === 'needs-operator');
          expect(waitingFor).toMatchObject({ step: 'copyBack', problem: expect.stringContaining('hook healthCheck') });
          await running.update(UPDATE.resolve, { decision, by: 'ada', reason: 'looked' });
        }
      },
    },
  );
  expect(asks.result).toMatchObject({ outcome: 'completed' });
  expect(asks.started).toEqual(['healthCheck-1', 'healthCheck-2']);
});
