/** Workers on the time-skipping server that stay for the next run of their file: to make one costs as much as a whole run. */
import { randomUUID } from 'node:crypto';
import { Context } from '@temporalio/activity';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { Worker } from '@temporalio/worker';
import type { Activities } from '../../src/activities/index.ts';
import { workflowBundle } from './built.ts';

interface SpareWorker {
  readonly taskQueue: string;
  /** Those of the work at hand. */
  activities: Activities;
}

const spare = new WeakMap<TestWorkflowEnvironment, SpareWorker[]>();

/** A worker with these activities, for this work alone. The environment's `teardown` ends it. */
export async function withWorker<T>(
  env: TestWorkflowEnvironment,
  activities: Activities,
  work: (taskQueue: string) => Promise<T>,
): Promise<T> {
  const worker = spare.get(env)?.pop() ?? (await newWorker(env, activities));
  worker.activities = activities;
  try {
    return await work(worker.taskQueue);
  } finally {
    spare.set(env, [...(spare.get(env) ?? []), worker]);
  }
}

async function newWorker(env: TestWorkflowEnvironment, activities: Activities): Promise<SpareWorker> {
  const spareWorker: SpareWorker = { taskQueue: `test-${randomUUID()}`, activities };
  const worker = await Worker.create({
    connection: env.nativeConnection,
    taskQueue: spareWorker.taskQueue,
    activities: {
      default: (...args: unknown[]) => {
        const { activityType } = Context.current().info;
        const activity: unknown = Reflect.get(spareWorker.activities, activityType);
        if (typeof activity !== 'function') throw new Error(`no activity ${activityType} in this test`);
        return activity.apply(spareWorker.activities, args);
      },
    },
    maxHeartbeatThrottleInterval: '100ms',
    ...(await workflowBundle()),
  });
  const ended = worker.run();
  const teardown = env.teardown.bind(env);
  env.teardown = async () => {
    worker.shutdown();
    await ended;
    await teardown();
  };
  return spareWorker;
}
