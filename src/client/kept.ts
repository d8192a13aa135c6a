/** What runs keep in their guests, while they go on and after their ends. */
import { randomUUID } from 'node:crypto';
import type { Client } from '@temporalio/client';
import { keptWorkflowId, reportWorkflowId } from '../contract/ids.ts';
import { WORKFLOW_TYPE } from '../contract/messages.ts';
import {
  type Discarded,
  type HandleKeptInput,
  handleKeptSchema,
  type ReadReportInput,
  type ReportPage,
  type ReportRequest,
  readReportSchema,
  type Restored,
  reportRequestSchema,
} from '../contract/report.ts';
import { ClientError, parse, RunFailedError, runFailed } from './errors.ts';
import type * as TemporalSdk from './temporal-sdk.ts';
import type { RunView } from './types.ts';

/** What this needs of the client that it is a part of. */
export interface KeptServer {
  readonly sdk: typeof TemporalSdk;
  readonly temporal: Client;
  readonly taskQueue: string;
  call<T>(body: () => Promise<T>, options?: { workflowId?: string; deadlineMs?: number }): Promise<T>;
  requireWorker(): Promise<void>;
  view(id: string): Promise<RunView>;
  /** Under which the run has named what it made. */
  originalRunId(run: RunView): Promise<string>;
}

/** A script in the guest, with the agent's own delays. */
const LOOK_DEADLINE_MS = 120_000;
/** Many files may have to be moved. */
const WORK_DEADLINE_MS = 3_600_000;

/** Of `restore` and `discard`. */
export interface KeptOptions {
  /** Only say what would be done. */
  readonly dryRun?: boolean;
  readonly requestedBy?: string;
}

export class Kept {
  private readonly server: KeptServer;

  constructor(server: KeptServer) {
    this.server = server;
  }

  /** One page of what a run's comparison has found. Rejects with `refused` where the run keeps no report, or its guest does not answer. */
  async report(id: string, request: ReportRequest = {}): Promise<ReportPage & { readonly workflowId: string }> {
    const wanted = parse(reportRequestSchema, request);
    const view = await this.server.view(id);
    const { workflowId } = view;
    const input: ReadReportInput = parse(readReportSchema, { ...(await this.whereOf(view)), ...wanted });
    const page = await this.ask<ReportPage>(
      view,
      WORKFLOW_TYPE.report,
      reportWorkflowId(workflowId, randomUUID().slice(0, 8)),
      input,
    );
    return { workflowId, ...page };
  }

  /**
   * Puts back what a run has kept aside, all of it or what is at or below `path`. Rejects with `refused` when nothing is
   * kept, or while a run works on the instance.
   */
  restore(id: string, options: KeptOptions & { readonly path?: string } = {}): Promise<Restored> {
    return this.handle(id, { ...options, action: 'restore' });
  }

  /** Removes all that a run keeps in its guest: what it has kept aside, and its report. */
  discard(id: string, options: KeptOptions = {}): Promise<Discarded> {
    return this.handle(id, { ...options, action: 'discard' });
  }

  private async handle<R>(
    id: string,
    request: KeptOptions & Pick<HandleKeptInput, 'action'> & { readonly path?: string },
  ): Promise<R> {
    const view = await this.server.view(id);
    const { workflowId } = view;
    const input = parse(handleKeptSchema, { ...(await this.whereOf(view)), workflowId, ...request });
    const looks = `${keptWorkflowId(workflowId)}/${randomUUID().slice(0, 8)}`;
    const askId = input.dryRun ? looks : keptWorkflowId(workflowId);
    return this.ask<R>(view, WORKFLOW_TYPE.kept, askId, input, WORK_DEADLINE_MS);
  }

  private async whereOf(view: RunView) {
    const { workflowId, status, result, failure } = view;
    const plan = result?.plan ?? failure?.report?.plan;
    const regionId = plan?.regionId ?? status?.regionId ?? view.regionId;
    const instanceId = plan?.instance?.id ?? status?.instanceId ?? view.instanceId;
    if (regionId === undefined || instanceId === undefined) {
      throw new ClientError(
        'refused',
        `${workflowId} has come to no instance: there is nothing that it could keep there`,
        {
          workflowId,
        },
      );
    }
    return { regionId, instanceId, run: await this.server.originalRunId(view) };
  }

  private async ask<R>(
    { workflowId }: RunView,
    type: string,
    askId: string,
    input: object,
    deadlineMs = LOOK_DEADLINE_MS,
  ): Promise<R> {
    const { server } = this;
    await server.requireWorker();
    const asked = async () => {
      try {
        return (await server.temporal.workflow.execute(type, {
          workflowId: askId,
          taskQueue: server.taskQueue,
          args: [input],
          staticSummary: `About ${workflowId}`,
        })) as R;
      } catch (error) {
        if (error instanceof server.sdk.WorkflowExecutionAlreadyStartedError) {
          const why = `what ${workflowId} has kept is being put back or removed already (${askId}): wait for its end`;
          throw new ClientError('conflict', why, { cause: error, workflowId: askId });
        }
        const failed = error instanceof server.sdk.WorkflowFailedError ? runFailed(askId, error) : error;
        if (!(failed instanceof RunFailedError)) throw failed;
        throw new ClientError('refused', `${workflowId}: ${failed.message}`, { cause: failed, workflowId });
      }
    };
    return server.call(asked, { workflowId, deadlineMs });
  }
}
