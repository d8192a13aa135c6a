/** Runs a rollback with stand-ins for the activities to its end, on the time-skipping server, while a test acts on it. */
import { randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import { WorkflowFailedError, type WorkflowHandle, WorkflowUpdateFailedError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import type { Activities } from '../../src/activities/index.ts';
import { leaseWorkflowId } from '../../src/contract/ids.ts';
import type { FailureReport, RollbackRequest, RollbackResult, RunStatus } from '../../src/contract/rollback.ts';
import { latch } from './latch.ts';
import { withWorker } from './spare-workers.ts';
import { DISK, INSTANCE, REGION, SNAPSHOT_A, stubActivities } from './stub-activities.ts';

/** Ends by itself whatever fails; the default of the product is to ask. */
export const REQUEST: RollbackRequest = {
  regionId: REGION,
  diskId: DISK,
  snapshotId: SNAPSHOT_A,
  sync: { paths: ['/data/uploads'] },
  onFailureAfterReset: 'abort',
};
export const ASKING: RollbackRequest = { ...REQUEST, onFailureAfterReset: 'ask' };

export interface Running {
  readonly handle: WorkflowHandle;
  readonly taskQueue: string;
  status(): Promise<RunStatus>;
  /** The first status for which `holds`; rejects after ten seconds. */
  until(holds: (status: RunStatus) => boolean): Promise<RunStatus>;
  /** The new status, or the sentence with which the update was refused. */
  update(name: string, argument: object): Promise<RunStatus | string>;
}

export interface Ended {
  readonly result: RollbackResult | undefined;
  readonly failure: unknown;
  readonly calls: readonly string[];
  readonly status: RunStatus;
}

export async function runRollback(
  env: TestWorkflowEnvironment,
  over: Partial<Activities> = {},
  request: object = REQUEST,
  during: (running: Running) => Promise<void> = async () => {},
  workflowType = 'rollbackDisk',
): Promise<Ended> {
  const { activities, calls } = stubActivities(over);
  return withWorker(env, activities, async (taskQueue) => {
    const handle = await env.client.workflow.start(workflowType, {
      taskQueue,
      workflowId: `rollback-${randomUUID()}`,
      args: [request],
    });
    try {
      await during(running(handle, taskQueue));
      const ended = await handle.result().then(
        (result: RollbackResult) => ({ result, failure: undefined }),
        (error: unknown) => ({
          result: undefined,
          failure: error instanceof WorkflowFailedError ? error.cause : error,
        }),
      );
      return { ...ended, calls, status: await handle.query<RunStatus>('status') };
    } finally {
      // A failed expectation must not leave the run behind for the next test, nor its lease, which this server does not end
      // with its holder.
      if ((await handle.describe()).status.name === 'RUNNING') await handle.terminate();
      await env.client.workflow
        .getHandle(leaseWorkflowId(INSTANCE))
        .terminate()
        .catch(() => undefined);
    }
  });
}

function running(handle: WorkflowHandle, taskQueue: string): Running {
  const status = () => handle.query<RunStatus>('status');
  return {
    handle,
    taskQueue,
    status,
    async until(holds) {
      const deadline = Date.now() + 10_000;
      for (;;) {
        const seen = await status();
        if (holds(seen)) return seen;
        if (Date.now() > deadline) throw new Error(`never so; last: ${JSON.stringify(seen, null, 1)}`);
        await new Promise((resolve) => setTimeout(resolve, 30));
      }
    },
    async update(name, argument) {
      try {
        return await handle.executeUpdate<RunStatus, [object]>(name, { args: [argument] });
      } catch (error) {
        if (error instanceof WorkflowUpdateFailedError) return (error.cause as Error).message;
        throw error;
      }
    },
  };
}

export const reportOf = (failure: unknown): FailureReport =>
  (failure as ApplicationFailure).details?.[0] as FailureReport;

export const permanent =
  (type: string, message = 'no') =>
  async (): Promise<never> => {
    throw ApplicationFailure.nonRetryable(message, type);
  };

/** Fails for good the first `times` times, then does as the healthy stand-in would. */
export function failing<T>(times: number, healthy: T, message = 'no'): { activity: () => Promise<T>; tries(): number } {
  let tries = 0;
  return {
    activity: async () => {
      tries += 1;
      if (tries <= times) throw ApplicationFailure.nonRetryable(message, 'Broken');
      return healthy;
    },
    tries: () => tries,
  };
}

/** Hangs until cancelled, as a wait does, and says when it has begun. */
export function hanging() {
  const { opened: started, open: begun } = latch();
  const activity = async (): Promise<never> => {
    begun();
    const beat = setInterval(() => Context.current().heartbeat(), 50);
    try {
      return await Context.current().cancelled;
    } finally {
      clearInterval(beat);
    }
  };
  return { activity, started };
}
