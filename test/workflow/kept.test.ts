// What a run has kept in the guest is put back, or removed, under the lease of the instance – on the time-skipping server.
import { randomUUID } from 'node:crypto';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/index.ts';
import { leaseActivities } from '../../src/activities/lease.ts';
import { leaseWorkflowId } from '../../src/contract/ids.ts';
import type { HandleKeptInput } from '../../src/contract/report.ts';
import { hanging, REQUEST, type Running, runRollback } from '../support/rollback-run.ts';
import { INSTANCE, REGION } from '../support/stub-activities.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

/** The answer, or why there is none; by the worker of a run that is open. */
const handle = ({ taskQueue }: Running, over: Partial<HandleKeptInput>): Promise<unknown> =>
  env.client.workflow
    .execute('handleKept', {
      taskQueue,
      workflowId: `kept/${randomUUID()}`,
      args: [
        { regionId: REGION, instanceId: INSTANCE, run: 'r-1', workflowId: 'rollback-d', action: 'restore', ...over },
      ],
    })
    .catch((error: { cause?: Error }) => error.cause?.message);
const holder = async () => {
  const { raw, status } = await env.client.workflow.getHandle(leaseWorkflowId(INSTANCE)).describe();
  return status.name === 'RUNNING' ? raw.workflowExecutionInfo?.parentExecution?.workflowId : undefined;
};

test('holds the lease while it works, and not after', async () => {
  const seen: unknown[] = [];
  const activities: Partial<Activities> = {
    restoreKept: async (input) => {
      seen.push(input, await holder());
      return { files: 1, bytes: 2, directories: 0, already: 0, paths: [], problems: [], problemCount: 0 };
    },
  };
  // A run that waits for approval holds no lease.
  await runRollback(env, activities, { ...REQUEST, approval: { quorum: 1 } }, async (running) => {
    await running.until(({ phase }) => phase === 'awaiting-approval');
    expect(await handle(running, { path: '/data/a', requestedBy: 'ada' })).toMatchObject({ files: 1 });
    expect(seen).toEqual([
      { regionId: REGION, instanceId: INSTANCE, run: 'r-1', path: '/data/a', dryRun: false },
      expect.stringMatching(/^kept\//),
    ]);
    expect(await holder()).toBeUndefined();
    expect(await handle(running, { action: 'discard' })).toMatchObject({ report: true });
    expect(await handle(running, { path: 'data' })).toMatch(/path is not an absolute path/);
    await running.handle.cancel();
  });
});

test('changes nothing while a run works on the instance, and names it; to look needs no lease', async () => {
  const wait = hanging();
  const over = { ...leaseActivities({ leasePollMs: 50 }), awaitInstanceStopped: wait.activity };
  const { calls } = await runRollback(env, over, REQUEST, async (running) => {
    await wait.started;
    expect(await handle(running, {})).toContain(`${INSTANCE} is in the hands of run ${running.handle.workflowId}`);
    expect(await handle(running, { action: 'discard', dryRun: true })).toMatchObject({ report: true });
    await running.handle.cancel();
  });
  expect(calls).not.toContain('restoreKept');
});
