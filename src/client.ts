/**
 * Typed API for other programs: plan, start, watch, decide for and cancel runs without knowing Temporal's client. The starter is built
 * on it, so a runbook can do all that the command line does. Heavy packages are loaded on connect, because `--help` and a
 * refused flag must answer at once.
 */
import { randomUUID } from 'node:crypto';
import type { Client, Connection, WorkflowExecutionDescription, WorkflowExecutionInfo } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import { connectError, firstFailure } from './client/connecting.ts';
import {
  ClientError,
  GRPC,
  grpcCode,
  grpcError,
  messageOf,
  otherInput,
  parse,
  RunFailedError,
  runFailed,
} from './client/errors.ts';
import { canonical, executionOf, retryingActivities } from './client/executions.ts';
import { Kept } from './client/kept.ts';
import { Sweeps } from './client/sweeps.ts';
import { detailsMarkdown, searchAttributeCommand, summaryLine } from './client/texts.ts';
import type * as TemporalSdk from './client/temporal-sdk.ts';
import type { ConnectOptions, ListOptions, RunHandle, RunSummary, RunView } from './client/types.ts';
import { undoRequest } from './client/undo.ts';
import {
  DEFAULT_TASK_QUEUE,
  diskIdSchema,
  planWorkflowId,
  rollbackWorkflowId,
  syncWorkflowId,
} from './contract/ids.ts';
import {
  type ChoiceRequest,
  choiceSchema,
  type LookRequest,
  type LookResult,
  lookSchema,
} from './contract/selection.ts';
import { SEARCH_ATTRIBUTES, STATUS_QUERY, UPDATE, WORKFLOW_TYPE } from './contract/messages.ts';
import {
  type ApprovalRequest,
  approvalSchema,
  type PauseRequest,
  pauseSchema,
  type ResolutionRequest,
  resolutionSchema,
} from './contract/operator.ts';
import type {
  CopyProgress,
  RollbackInput,
  RollbackRequest,
  RollbackResult,
  RunStatus,
  SyncInput,
  SyncRequest,
} from './contract/rollback.ts';
import { copyProgressSchema, rollbackInputSchema, syncInputSchema } from './contract/rollback.ts';
import { probeTcp } from './temporal-address.ts';

export { ClientError, type ClientErrorKind, otherInput, RunFailedError } from './client/errors.ts';
export type { SweepHandle, SweepSchedule, SweepView } from './client/sweeps.ts';
export { resetOf, safetySnapshotOf } from './client/undo.ts';
export { searchAttributeCommand, summaryLine } from './client/texts.ts';
export type {
  ConnectOptions,
  Execution,
  ListOptions,
  RetryingActivity,
  RunHandle,
  RunSummary,
  RunView,
} from './client/types.ts';

const DEFAULT_ADDRESS = 'localhost:7233';
const RPC_DEADLINE_MS = 10_000;
const QUERY_DEADLINE_MS = 5_000;
/** A busy worker may take seconds to replay a long run before it can answer. */
const UPDATE_DEADLINE_MS = 15_000;
/** A script in the guest, with the agent's own delays. */
const LOOK_DEADLINE_MS = 60_000;

// Of temporal.api.enums.v1.TaskQueueType.
const WORKFLOW_TASK_QUEUE = 1;

/** A connected client. Close it when done; it holds a socket open. */
export class RollbackClient {
  readonly address: string;
  readonly namespace: string;
  readonly taskQueue: string;
  /** What ended runs have left behind. */
  readonly sweeps: Sweeps;
  /** What runs keep in their guests. */
  readonly kept: Kept;
  private readonly sdk: typeof TemporalSdk;
  private readonly connection: Connection;
  private readonly temporal: Client;

  private constructor(parts: {
    sdk: typeof TemporalSdk;
    connection: Connection;
    temporal: Client;
    address: string;
    namespace: string;
    taskQueue: string;
  }) {
    this.sdk = parts.sdk;
    this.connection = parts.connection;
    this.temporal = parts.temporal;
    this.address = parts.address;
    this.namespace = parts.namespace;
    this.taskQueue = parts.taskQueue;
    this.sweeps = new Sweeps({
      sdk: parts.sdk,
      temporal: parts.temporal,
      taskQueue: parts.taskQueue,
      call: (body, options) => this.call(body, options),
      requireWorker: () => this.requireWorker(),
      inputOf: (workflowId, runId) => this.inputOf(workflowId, runId),
    });
    this.kept = new Kept({
      sdk: parts.sdk,
      temporal: parts.temporal,
      taskQueue: parts.taskQueue,
      call: (body, options) => this.call(body, options),
      requireWorker: () => this.requireWorker(),
      view: (id) => this.view(id),
      originalRunId: async ({ workflowId, runId }) =>
        (await this.startOf(workflowId, runId))?.originalExecutionRunId || runId,
    });
  }

  /** Connects as Temporal's own tools do: options, then TEMPORAL_* variables, then the profile of temporal.toml. */
  static async connect(options: ConnectOptions = {}): Promise<RollbackClient> {
    const { temporalSettings } = await import('./temporal-settings.ts');
    let config: ReturnType<typeof temporalSettings>;
    try {
      config = temporalSettings(options.profile);
    } catch (cause) {
      throw new ClientError('config', messageOf(cause), { cause });
    }
    const address = options.address ?? config.connectionOptions.address ?? DEFAULT_ADDRESS;
    const namespace = options.namespace ?? config.namespace ?? 'default';
    const timeoutMs = options.connectTimeoutMs ?? 3_000;
    const sdk = await import('./client/temporal-sdk.ts');
    const connection = sdk.Connection.lazy({
      ...config.connectionOptions,
      address,
      connectTimeout: timeoutMs,
    });
    try {
      await firstFailure(connection.ensureConnected(), probeTcp(address, timeoutMs));
    } catch (cause) {
      await connection.close().catch(() => undefined);
      throw connectError(address, cause);
    }
    return new RollbackClient({
      sdk,
      connection,
      temporal: new sdk.Client({ connection, namespace }),
      address,
      namespace,
      taskQueue: options.taskQueue ?? (process.env.ECS_ROLLBACK_TASK_QUEUE || DEFAULT_TASK_QUEUE),
    });
  }

  async close(): Promise<void> {
    await this.connection.close();
  }

  /** A read-only run that reports what a rollback would do; blockers are findings of the plan, not errors. */
  async plan(request: RollbackRequest, options: { workflowId?: string } = {}): Promise<RunHandle> {
    const input = parse(rollbackInputSchema, { ...request, dryRun: true });
    const workflowId = options.workflowId ?? planWorkflowId(input.diskId, randomUUID().slice(0, 8));
    return this.launch('rollback', workflowId, input);
  }

  /** What `sync` with the same request would do; read-only. */
  async planSync(request: SyncRequest, options: { workflowId?: string } = {}): Promise<RunHandle> {
    const input = parse(syncInputSchema, { ...request, dryRun: true });
    const workflowId = options.workflowId ?? planWorkflowId(input.diskId, randomUUID().slice(0, 8));
    return this.launch('sync', workflowId, input);
  }

  /**
   * Starts a rollback, or attaches to the open one of the same disk when its input is the same. Its id is the lock: a
   * second rollback of a disk with another input is refused with `conflict`.
   */
  async start(request: RollbackRequest, options: { workflowId?: string } = {}): Promise<RunHandle> {
    const input = parse(rollbackInputSchema, request);
    return this.launch('rollback', options.workflowId ?? rollbackWorkflowId(input.diskId), input);
  }

  /** Brings files back from any finished snapshot of the disk, without a reset. */
  async sync(request: SyncRequest, options: { workflowId?: string } = {}): Promise<RunHandle> {
    const input = parse(syncInputSchema, request);
    return this.launch('sync', options.workflowId ?? syncWorkflowId(input.diskId), input);
  }

  /** The open run in the way of starting `input` as `workflowId`, if there is one. */
  async findOpen(
    workflowId: string,
    input: RollbackInput | SyncInput,
  ): Promise<{ runId: string; sameInput: boolean } | undefined> {
    let found: WorkflowExecutionDescription;
    try {
      found = await this.call(() => this.temporal.workflow.getHandle(workflowId).describe());
    } catch (error) {
      if (error instanceof ClientError && error.kind === 'notFound') return undefined;
      throw error;
    }
    if (executionOf(found) !== 'running') return undefined;
    const running = await this.inputOf(workflowId, found.runId);
    return { runId: found.runId, sameInput: sameWork(running, input) };
  }

  /**
   * Rejects with `noWorker` unless a worker polls the task queue. A worker that is just starting gets `graceMs`
   * (default 2,000) to show up.
   */
  async requireWorker(graceMs = 2_000): Promise<void> {
    const giveUpAt = Date.now() + graceMs;
    for (;;) {
      if (await this.workerPolls()) return;
      if (Date.now() >= giveUpAt) {
        throw new ClientError(
          'noWorker',
          `no worker polls the task queue "${this.taskQueue}" of namespace "${this.namespace}" at ${this.address}: ` +
            'start one with `npm run worker` (or `ecs-rollback-worker`) and run this again',
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 400));
    }
  }

  async workerPolls(): Promise<boolean> {
    const { pollers } = await this.call(() =>
      this.connection.workflowService.describeTaskQueue({
        namespace: this.namespace,
        taskQueue: { name: this.taskQueue },
        taskQueueType: WORKFLOW_TASK_QUEUE,
      }),
    );
    return (pollers ?? []).length > 0;
  }

  /** A handle on a run by workflow id, or by disk id (its open run, else its last one). */
  async attach(id: string): Promise<RunHandle> {
    const found = await this.describe(id);
    return this.handle(found.workflowId, found.runId, true);
  }

  /** Everything known of a run, by workflow id or disk id; the latest with that id. */
  async view(id: string): Promise<RunView> {
    return this.viewOf(await this.describe(id));
  }

  /** The run's own answer to the `status` query. Needs a worker. */
  async status(id: string): Promise<RunStatus> {
    const view = await this.view(id);
    if (view.status !== undefined) return view.status;
    throw unanswered(view);
  }

  /** Newest first. */
  async list(options: ListOptions = {}): Promise<RunSummary[]> {
    const clauses = [`WorkflowType IN ('${WORKFLOW_TYPE.rollback}', '${WORKFLOW_TYPE.sync}')`];
    if (options.running === true) clauses.push("ExecutionStatus = 'Running'");
    if (options.diskId !== undefined) {
      clauses.push(`${SEARCH_ATTRIBUTES.disk} = '${parse(diskIdSchema, options.diskId)}'`);
    }
    const limit = options.limit ?? 20;
    return this.call(async () => {
      const runs: RunSummary[] = [];
      for await (const info of this.temporal.workflow.list({ query: clauses.join(' AND ') })) {
        const summary = this.summaryOf(info);
        if (summary.kind === 'plan' && options.includePlans !== true) continue;
        runs.push(summary);
        if (runs.length >= limit) break;
      }
      return runs;
    });
  }

  /** Asks a run to put things back and end. Resolves to what it looked like when asked; an ended run is left alone. */
  async cancel(id: string): Promise<RunView> {
    const view = await this.view(id);
    if (view.execution === 'running') {
      await this.call(() => this.temporal.workflow.getHandle(view.workflowId, view.runId).cancel());
    }
    return view;
  }

  /** One more person lets the run pass. What it waits for now is in the answer; `refused` when it does not take it. */
  async approve(id: string, request: ApprovalRequest): Promise<RunView> {
    return this.tell(id, UPDATE.approve, parse(approvalSchema, request));
  }

  /** Ends a run that waits for approval; nothing was changed. */
  async reject(id: string, request: ApprovalRequest): Promise<RunView> {
    return this.tell(id, UPDATE.reject, parse(approvalSchema, request));
  }

  /** Decides for a run that needs an operator. */
  async resolve(id: string, request: ResolutionRequest): Promise<RunView> {
    return this.tell(id, UPDATE.resolve, parse(resolutionSchema, request));
  }

  /** Stops a run at its next safe point, until `resume`. */
  async pause(id: string, request: PauseRequest): Promise<RunView> {
    return this.tell(id, UPDATE.pause, parse(pauseSchema, request));
  }

  /** Says what to bring back to a run that waits for it with the copy mounted. */
  async select(id: string, request: ChoiceRequest): Promise<RunView> {
    return this.tell(id, UPDATE.select, parse(choiceSchema, request));
  }

  /** Looks into the copy of a run that waits for a selection. Changes nothing. */
  async look(id: string, request: LookRequest): Promise<LookResult> {
    const { view } = await this.waitingForSelection(id);
    return this.update<LookResult>(view, UPDATE.look, parse(lookSchema, request), LOOK_DEADLINE_MS);
  }

  /** What a run that waits for a selection was started for. */
  async offered(id: string): Promise<readonly string[]> {
    return (await this.waitingForSelection(id)).paths;
  }

  private async waitingForSelection(id: string): Promise<{ view: RunView; paths: readonly string[] }> {
    const view = await this.view(id);
    const { workflowId, status, execution } = view;
    if (execution === 'running' && status === undefined) throw unanswered(view);
    if (execution === 'running' && status?.waitingFor?.kind === 'selection') {
      return { view, paths: status.waitingFor.paths };
    }
    const why = `${workflowId} does not wait for a selection: there is no copy to look into`;
    throw new ClientError('refused', why, { workflowId });
  }

  async resume(id: string, request: PauseRequest): Promise<RunView> {
    return this.tell(id, UPDATE.resume, parse(pauseSchema, request));
  }

  /**
   * The request whose rollback undoes a run that has ended: `plan` it, then `start` it. Rejects with `refused` and the
   * reason when there is nothing to undo.
   */
  async undoRequest(id: string): Promise<RollbackRequest> {
    // Of a disk its last rollback, whatever was brought back to it since.
    const view = await this.view(diskIdSchema.safeParse(id).success ? rollbackWorkflowId(id) : id);
    return undoRequest(view, await this.requestOf(view));
  }

  /** What a run was started with; undefined when this version does not understand it. */
  async requestOf(run: RunSummary): Promise<RollbackInput | SyncInput | undefined> {
    const input = await this.inputOf(run.workflowId, run.runId);
    const schemas = run.kind === 'sync' ? [syncInputSchema] : [rollbackInputSchema, syncInputSchema];
    for (const schema of schemas) {
      const parsed = schema.safeParse(input);
      if (parsed.success) return parsed.data;
    }
    return undefined;
  }

  /** Sends one update to an open run that a worker answers for. Resolves to the run as it is after it. */
  private async tell(id: string, update: string, argument: unknown): Promise<RunView> {
    const view = await this.view(id);
    return { ...view, status: await this.update<RunStatus>(view, update, argument) };
  }

  private async update<R>(
    view: RunView,
    update: string,
    argument: unknown,
    deadlineMs = UPDATE_DEADLINE_MS,
  ): Promise<R> {
    const { workflowId, runId } = view;
    if (view.execution !== 'running') throw endedAlready(view, update);
    // Without a worker the update would be kept for one that starts later, when nobody expects it any more.
    if (view.status === undefined) throw unanswered(view);
    const handle = this.temporal.workflow.getHandle(workflowId, runId);
    const send = async () => {
      try {
        return await handle.executeUpdate<R, [unknown]>(update, { args: [argument] });
      } catch (error) {
        throw this.updateError(error, view, update);
      }
    };
    try {
      return await this.call(send, { workflowId, deadlineMs });
    } catch (error) {
      if (!(error instanceof ClientError) || error.kind !== 'notFound') throw error;
      // It was there a moment ago.
      throw endedAlready(await this.viewOf(await this.describeExactly(workflowId, runId)), update);
    }
  }

  private updateError(error: unknown, { workflowId }: RunView, update: string): unknown {
    if (error instanceof this.sdk.WorkflowUpdateFailedError) {
      const why = messageOf(error.cause ?? error);
      return new ClientError('refused', `${workflowId} refuses to ${update}: ${why}`, { cause: error, workflowId });
    }
    if (error instanceof this.sdk.WorkflowUpdateRPCTimeoutOrCancelledError) {
      return new ClientError(
        'noWorker',
        `${workflowId} did not answer to ${update} within ${UPDATE_DEADLINE_MS / 1000} s; it may still take it: look with \`status\``,
        { cause: error, workflowId },
      );
    }
    return error;
  }

  private async launch(
    kind: 'rollback' | 'sync',
    workflowId: string,
    input: RollbackInput | SyncInput,
  ): Promise<RunHandle> {
    await this.requireWorker();
    const { defineSearchAttributeKey, SearchAttributeType } = this.sdk;
    const keyword = (name: string, value: string) => ({
      key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD),
      value,
    });
    const typedSearchAttributes = [
      keyword(SEARCH_ATTRIBUTES.region, input.regionId),
      keyword(SEARCH_ATTRIBUTES.disk, input.diskId),
      keyword(SEARCH_ATTRIBUTES.phase, 'planning'),
      ...(input.instanceId === undefined ? [] : [keyword(SEARCH_ATTRIBUTES.instance, input.instanceId)]),
    ];
    // Twice: the run in the way may end between the refusal and the look at it.
    for (let attempt = 1; ; attempt += 1) {
      try {
        const started = await this.call(() =>
          this.temporal.workflow.start(WORKFLOW_TYPE[kind], {
            workflowId,
            taskQueue: this.taskQueue,
            args: [input],
            workflowIdConflictPolicy: 'FAIL',
            workflowIdReusePolicy: 'ALLOW_DUPLICATE',
            typedSearchAttributes,
            staticSummary: summaryLine(kind, input),
            staticDetails: detailsMarkdown(kind, input),
          }),
        );
        return this.handle(workflowId, started.firstExecutionRunId, false);
      } catch (error) {
        if (!(error instanceof this.sdk.WorkflowExecutionAlreadyStartedError)) throw error;
        const open = await this.findOpen(workflowId, input);
        if (open?.sameInput === true) return this.handle(workflowId, open.runId, true);
        if (open !== undefined) throw otherInput(workflowId, open.runId);
        if (attempt === 2) throw this.translate(error);
      }
    }
  }

  private handle(workflowId: string, runId: string, alreadyRunning: boolean): RunHandle {
    const view = async () => this.viewOf(await this.describeExactly(workflowId, runId));
    return {
      workflowId,
      runId,
      alreadyRunning,
      result: () => this.resultOf(workflowId, runId),
      view,
      status: async () => {
        const seen = await view();
        if (seen.status !== undefined) return seen.status;
        throw unanswered(seen);
      },
      cancel: async () => {
        await this.call(() => this.temporal.workflow.getHandle(workflowId, runId).cancel());
      },
    };
  }

  private async decoded(payloads: Payload[] | null | undefined): Promise<unknown[]> {
    return this.sdk.decodeArrayFromPayloads(this.temporal.options.loadedDataConverter, payloads);
  }

  private async resultOf(workflowId: string, runId: string): Promise<RollbackResult> {
    try {
      return (await this.temporal.workflow.getHandle(workflowId, runId).result()) as RollbackResult;
    } catch (error) {
      if (error instanceof this.sdk.WorkflowFailedError) throw runFailed(workflowId, error);
      throw this.translate(error, workflowId);
    }
  }

  private async describe(id: string): Promise<WorkflowExecutionDescription> {
    if (!diskIdSchema.safeParse(id).success) return this.describeExactly(id);
    const found: WorkflowExecutionDescription[] = [];
    for (const workflowId of [rollbackWorkflowId(id), syncWorkflowId(id)]) {
      try {
        found.push(await this.describeExactly(workflowId));
      } catch (error) {
        if (!(error instanceof ClientError && error.kind === 'notFound')) throw error;
      }
    }
    const open = found.find((run) => executionOf(run) === 'running');
    const last = found.sort((a, b) => b.startTime.getTime() - a.startTime.getTime())[0];
    const chosen = open ?? last;
    if (chosen !== undefined) return chosen;
    throw new ClientError(
      'notFound',
      `no run of disk ${id} in namespace "${this.namespace}" at ${this.address}: see \`list\` for the runs there are`,
    );
  }

  private describeExactly(workflowId: string, runId?: string): Promise<WorkflowExecutionDescription> {
    return this.call(() => this.temporal.workflow.getHandle(workflowId, runId).describe(), { workflowId });
  }

  private async viewOf(found: WorkflowExecutionDescription): Promise<RunView> {
    const summary = this.summaryOf(found);
    const status = await this.queryStatus(summary.workflowId, summary.runId);
    if (summary.execution !== 'running') {
      return { ...summary, ...status, ...(await this.ending(summary.workflowId, summary.runId)) };
    }
    const retrying = retryingActivities(found);
    const copyProgress = await this.copyProgressOf(found);
    return {
      ...summary,
      ...status,
      ...(retrying.length === 0 ? {} : { retrying }),
      ...(copyProgress === undefined ? {} : { copyProgress }),
    };
  }

  private async copyProgressOf(found: WorkflowExecutionDescription): Promise<CopyProgress | undefined> {
    for (const pending of found.raw.pendingActivities ?? []) {
      const [beat] = await this.decoded(pending.heartbeatDetails?.payloads);
      const progress = copyProgressSchema.safeParse(beat);
      if (progress.success) return progress.data;
    }
    return undefined;
  }

  private async ending(workflowId: string, runId: string): Promise<Pick<RunView, 'result' | 'failure'>> {
    try {
      return { result: await this.call(() => this.resultOf(workflowId, runId)) };
    } catch (error) {
      if (!(error instanceof RunFailedError)) throw error;
      return {
        failure: {
          message: error.message,
          ...(error.failureType === undefined ? {} : { type: error.failureType }),
          ...(error.report === undefined ? {} : { report: error.report }),
        },
      };
    }
  }

  private async queryStatus(workflowId: string, runId: string): Promise<Pick<RunView, 'status' | 'statusUnavailable'>> {
    const handle = this.temporal.workflow.getHandle(workflowId, runId);
    try {
      return {
        status: await this.call(() => handle.query<RunStatus>(STATUS_QUERY), { deadlineMs: QUERY_DEADLINE_MS }),
      };
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      if (error instanceof ClientError && error.kind === 'denied') throw error;
      const code = grpcCode(error instanceof ClientError ? error.cause : error);
      const silent = code === GRPC.deadlineExceeded || code === GRPC.failedPrecondition;
      return {
        statusUnavailable: silent
          ? `no worker answers on the task queue "${this.taskQueue}": start one with \`npm run worker\` (or \`ecs-rollback-worker\`)`
          : messageOf(error),
      };
    }
  }

  private summaryOf(info: WorkflowExecutionInfo | WorkflowExecutionDescription): RunSummary {
    const attribute = (name: string): string | undefined => {
      const found = info.typedSearchAttributes.getAll().find((pair) => pair.key.name === name);
      return typeof found?.value === 'string' ? found.value : undefined;
    };
    const optional = {
      phase: attribute(SEARCH_ATTRIBUTES.phase),
      regionId: attribute(SEARCH_ATTRIBUTES.region),
      diskId: attribute(SEARCH_ATTRIBUTES.disk),
      instanceId: attribute(SEARCH_ATTRIBUTES.instance),
      closedAt: info.closeTime?.toISOString(),
    };
    const known = Object.fromEntries(Object.entries(optional).filter(([, value]) => value !== undefined));
    const kind = info.type === WORKFLOW_TYPE.sync ? 'sync' : 'rollback';
    return {
      workflowId: info.workflowId,
      runId: info.runId,
      kind: info.workflowId.startsWith('plan-') ? 'plan' : kind,
      execution: executionOf(info),
      startedAt: info.startTime.toISOString(),
      ...known,
    };
  }

  private async inputOf(workflowId: string, runId: string): Promise<unknown> {
    const [input] = await this.decoded((await this.startOf(workflowId, runId))?.input?.payloads);
    return input;
  }

  /** The first event of a run. */
  private async startOf(workflowId: string, runId: string) {
    const { history } = await this.call(() =>
      this.connection.workflowService.getWorkflowExecutionHistory({
        namespace: this.namespace,
        execution: { workflowId, runId },
        maximumPageSize: 1,
      }),
    );
    return history?.events?.[0]?.workflowExecutionStartedEventAttributes;
  }

  /** Runs one call to the server under a deadline, and rejects with a `ClientError` for what the server refuses. */
  private async call<T>(
    body: () => Promise<T>,
    options: { workflowId?: string; deadlineMs?: number } = {},
  ): Promise<T> {
    try {
      return await this.connection.withDeadline(Date.now() + (options.deadlineMs ?? RPC_DEADLINE_MS), body);
    } catch (error) {
      throw this.translate(error, options.workflowId);
    }
  }

  private translate(error: unknown, workflowId?: string): Error {
    if (error instanceof ClientError || error instanceof RunFailedError) return error;
    const { sdk } = this;
    if (error instanceof sdk.WorkflowExecutionAlreadyStartedError) return error;
    const where = `namespace "${this.namespace}" at ${this.address}`;
    if (error instanceof sdk.WorkflowNotFoundError) {
      const id = workflowId ?? error.workflowId;
      return new ClientError('notFound', `no run "${id}" in ${where}: see \`list\` for the runs there are`, {
        cause: error,
        workflowId: id,
      });
    }
    const text = messageOf(grpcError(error) ?? error);
    const code = grpcCode(error);
    if (error instanceof sdk.NamespaceNotFoundError || (code === GRPC.notFound && /namespace/i.test(text))) {
      return new ClientError(
        'unreachable',
        `Temporal at ${this.address} has no namespace "${this.namespace}": set TEMPORAL_NAMESPACE, ` +
          `or create it with \`temporal operator namespace create --namespace ${this.namespace}\``,
        { cause: error },
      );
    }
    if (code === GRPC.unauthenticated || code === GRPC.permissionDenied) {
      return new ClientError(
        'denied',
        `Temporal at ${this.address} refuses the credentials (${text}): check TEMPORAL_API_KEY or the TLS client certificate`,
        { cause: error },
      );
    }
    if (code === GRPC.unavailable || code === GRPC.deadlineExceeded) {
      return new ClientError('unreachable', `Temporal at ${this.address} does not answer (${text})`, { cause: error });
    }
    if (code === GRPC.invalidArgument && /search attribute/i.test(text)) {
      return new ClientError(
        'searchAttributes',
        `${where} does not know a search attribute (${text}): create them with \`${searchAttributeCommand(this)}\``,
        { cause: error },
      );
    }
    if (code === undefined) return error instanceof Error ? error : new Error(String(error));
    return new ClientError('server', `Temporal at ${this.address} answered: ${text}`, { cause: error });
  }
}

/** Who asks, and which plan was read before, do not make two requests different. */
function sameWork(running: unknown, input: RollbackInput | SyncInput): boolean {
  const work = (value: unknown) =>
    canonical({ ...(value as object), requestedBy: undefined, expectedPlanHash: undefined });
  return work(running) === work(input);
}

const unanswered = ({ workflowId, statusUnavailable }: RunView): ClientError =>
  new ClientError('noWorker', `${workflowId}: ${statusUnavailable ?? 'no status'}`, { workflowId });

function endedAlready({ workflowId, execution }: RunSummary, update: string): ClientError {
  return new ClientError('refused', `${workflowId} has ended already (${execution}): nothing to ${update}`, {
    workflowId,
  });
}
