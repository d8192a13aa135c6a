/** Sweeps: started by hand, looked at, and run by a schedule of Temporal's. One at a time in a region. */
import type { Client } from '@temporalio/client';
import { sweepWorkflowId } from '../contract/ids.ts';
import { SEARCH_ATTRIBUTES, WORKFLOW_TYPE } from '../contract/messages.ts';
import { type SweepInput, type SweepRequest, type SweepResult, sweepInputSchema } from '../contract/sweep.ts';
import { ClientError, parse, RunFailedError, runFailed } from './errors.ts';
import { canonical, executionOf, retryingActivities } from './executions.ts';
import type * as TemporalSdk from './temporal-sdk.ts';
import type { Execution, RetryingActivity } from './types.ts';

export interface SweepView {
  readonly workflowId: string;
  readonly runId: string;
  readonly execution: Execution;
  readonly startedAt: string;
  readonly retrying?: readonly RetryingActivity[];
  readonly result?: SweepResult;
  /** `type` is a value of `ACTIVITY_FAILURE` or `FAILURE`, when the sweep failed by one of ours. */
  readonly failure?: { readonly type?: string; readonly message: string };
}

export interface SweepHandle {
  readonly workflowId: string;
  readonly runId: string;
  /** True when an open sweep with the same choices was found, and nothing was started. */
  readonly alreadyRunning: boolean;
  view(): Promise<SweepView>;
  cancel(): Promise<void>;
}

/** What runs sweeps by itself. */
export interface SweepSchedule {
  readonly scheduleId: string;
  readonly everySeconds: number;
  readonly input: SweepInput;
  readonly paused: boolean;
  /** ISO 8601; absent while it is paused. */
  readonly nextAt?: string;
}

/** What this needs of the client that it is a part of. */
export interface SweepServer {
  readonly sdk: typeof TemporalSdk;
  readonly temporal: Client;
  readonly taskQueue: string;
  call<T>(body: () => Promise<T>, options?: { workflowId?: string }): Promise<T>;
  requireWorker(): Promise<void>;
  inputOf(workflowId: string, runId: string): Promise<unknown>;
}

export class Sweeps {
  private readonly server: SweepServer;

  constructor(server: SweepServer) {
    this.server = server;
  }

  /** Starts a sweep of the region, or attaches to the open one with the same choices; `conflict` when they are others. */
  async start(request: SweepRequest): Promise<SweepHandle> {
    const { server } = this;
    const input = parse(sweepInputSchema, request);
    const workflowId = sweepWorkflowId(input.regionId);
    await server.requireWorker();
    const attributes = regionAttribute(server, input);
    try {
      const started = await server.call(() =>
        server.temporal.workflow.start(WORKFLOW_TYPE.sweep, {
          workflowId,
          taskQueue: server.taskQueue,
          args: [input],
          workflowIdConflictPolicy: 'FAIL',
          workflowIdReusePolicy: 'ALLOW_DUPLICATE',
          staticSummary: summaryOf(input),
          typedSearchAttributes: attributes,
        }),
      );
      return this.handle(workflowId, started.firstExecutionRunId, false);
    } catch (error) {
      if (!(error instanceof server.sdk.WorkflowExecutionAlreadyStartedError)) throw error;
      const { runId } = await server.call(() => server.temporal.workflow.getHandle(workflowId).describe());
      if (canonical(await server.inputOf(workflowId, runId)) === canonical(input)) {
        return this.handle(workflowId, runId, true);
      }
      throw new ClientError(
        'conflict',
        `${workflowId} is already running with other choices (run ${runId}), and a region takes one sweep at a time: wait for its end`,
        { cause: error, workflowId },
      );
    }
  }

  /** Makes or changes the schedule of the region's sweeps. The first one runs after `everySeconds` at the latest. */
  async schedule(request: SweepRequest, everySeconds: number): Promise<SweepSchedule> {
    const { server } = this;
    const input = parse(sweepInputSchema, request);
    const scheduleId = sweepWorkflowId(input.regionId);
    const options = {
      spec: { intervals: [{ every: everySeconds * 1_000 }] },
      action: {
        type: 'startWorkflow' as const,
        workflowType: WORKFLOW_TYPE.sweep,
        // Temporal adds the time, so that a scheduled sweep never stands in the way of one by hand.
        workflowId: scheduleId,
        taskQueue: server.taskQueue,
        args: [input],
        staticSummary: summaryOf(input),
        typedSearchAttributes: regionAttribute(server, input),
      },
      policies: { overlap: server.sdk.ScheduleOverlapPolicy.SKIP, catchupWindow: '1h' as const },
      // Whoever says how often means that it runs.
      state: { paused: false },
    };
    const handle = server.temporal.schedule.getHandle(scheduleId);
    await server.call(async () => {
      try {
        await server.temporal.schedule.create({ scheduleId, ...options });
      } catch (error) {
        if (!(error instanceof server.sdk.ScheduleAlreadyRunning)) throw error;
        await handle.update(() => options);
      }
    });
    const made = await this.scheduled(input.regionId);
    if (made === undefined) throw new ClientError('server', `the schedule ${scheduleId} was made and is not there`);
    return made;
  }

  /** Undefined where nothing sweeps the region by itself. */
  async scheduled(regionId: string): Promise<SweepSchedule | undefined> {
    const { server } = this;
    const scheduleId = sweepWorkflowId(regionId);
    const found = await server.call(async () => {
      try {
        return await server.temporal.schedule.getHandle(scheduleId).describe();
      } catch (error) {
        if (error instanceof server.sdk.ScheduleNotFoundError) return undefined;
        throw error;
      }
    });
    if (found === undefined) return undefined;
    const { paused } = found.state;
    const next = found.info.nextActionTimes[0];
    return {
      scheduleId,
      everySeconds: Math.round((found.spec.intervals?.[0]?.every ?? 0) / 1_000),
      input: parse(sweepInputSchema, found.action.args?.[0]),
      paused,
      ...(paused || next === undefined ? {} : { nextAt: next.toISOString() }),
    };
  }

  /** False when there was none. */
  async unschedule(regionId: string): Promise<boolean> {
    const { server } = this;
    return server.call(async () => {
      try {
        await server.temporal.schedule.getHandle(sweepWorkflowId(regionId)).delete();
        return true;
      } catch (error) {
        if (error instanceof server.sdk.ScheduleNotFoundError) return false;
        throw error;
      }
    });
  }

  private handle(workflowId: string, runId: string, alreadyRunning: boolean): SweepHandle {
    const handle = this.server.temporal.workflow.getHandle(workflowId, runId);
    return {
      workflowId,
      runId,
      alreadyRunning,
      view: () => this.viewOf(workflowId, runId),
      cancel: async () => {
        await this.server.call(() => handle.cancel());
      },
    };
  }

  private async viewOf(workflowId: string, runId: string): Promise<SweepView> {
    const { server } = this;
    const handle = server.temporal.workflow.getHandle(workflowId, runId);
    const found = await server.call(() => handle.describe(), { workflowId });
    const retrying = retryingActivities(found);
    const view = {
      workflowId,
      runId,
      execution: executionOf(found),
      startedAt: found.startTime.toISOString(),
      ...(retrying.length === 0 ? {} : { retrying }),
    };
    if (view.execution === 'running') return view;
    try {
      return { ...view, result: (await server.call(() => handle.result())) as SweepResult };
    } catch (error) {
      const failed = error instanceof server.sdk.WorkflowFailedError ? runFailed(workflowId, error) : error;
      if (!(failed instanceof RunFailedError)) throw failed;
      const { failureType, message } = failed;
      return { ...view, failure: { message, ...(failureType === undefined ? {} : { type: failureType }) } };
    }
  }
}

const summaryOf = (input: SweepInput): string =>
  `Sweep ${input.regionId}: ${input.delete ? 'delete' : 'show'} what ended runs have left`;

function regionAttribute({ sdk }: SweepServer, { regionId }: SweepInput) {
  const { defineSearchAttributeKey, SearchAttributeType } = sdk;
  return [{ key: defineSearchAttributeKey(SEARCH_ATTRIBUTES.region, SearchAttributeType.KEYWORD), value: regionId }];
}
