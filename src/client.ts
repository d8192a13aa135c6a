/**
 * Typed API for other programs: plan, start, watch and cancel runs without knowing Temporal's client. The starter is built
 * on it, so a runbook can do all that the command line does. Heavy packages are loaded on connect, because `--help` and a
 * refused flag must answer at once.
 */
import { randomUUID } from 'node:crypto';
import { connect as connectTcp } from 'node:net';
import type * as TemporalClient from '@temporalio/client';
import type { Client, Connection, WorkflowExecutionDescription, WorkflowExecutionInfo } from '@temporalio/client';
import type { Payload } from '@temporalio/common';
import {
  DEFAULT_TASK_QUEUE,
  diskIdSchema,
  planWorkflowId,
  rollbackWorkflowId,
  syncWorkflowId,
} from './contract/ids.ts';
import { SEARCH_ATTRIBUTES, STATUS_QUERY, WORKFLOW_TYPE } from './contract/messages.ts';
import type {
  CopyProgress,
  FailureReport,
  RollbackInput,
  RollbackRequest,
  RollbackResult,
  RunStatus,
  SyncInput,
  SyncRequest,
} from './contract/rollback.ts';
import { copyProgressSchema, rollbackInputSchema, syncInputSchema } from './contract/rollback.ts';

/**
 * - `config`: the Temporal profile or environment cannot be used.
 * - `unreachable`: no Temporal server answers, or it has no such namespace.
 * - `noWorker`: the server answers, but nothing polls the task queue.
 * - `searchAttributes`: the server does not know the attributes a run is found by.
 * - `denied`: Temporal refuses the credentials.
 * - `notFound`: no such run.
 * - `conflict`: a run with this id and another input is open.
 * - `invalidInput`: the request does not parse.
 * - `server`: Temporal answered with an error of another kind.
 */
export type ClientErrorKind =
  | 'config'
  | 'unreachable'
  | 'noWorker'
  | 'searchAttributes'
  | 'denied'
  | 'notFound'
  | 'conflict'
  | 'invalidInput'
  | 'server';

/** Every rejection of this API but `RunFailedError`. The message is one line with the fact and the fix. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly kind: ClientErrorKind;
  /** The run in the way (`conflict`) or asked for (`notFound`). */
  readonly workflowId: string | undefined;

  constructor(kind: ClientErrorKind, message: string, extra: { cause?: unknown; workflowId?: string } = {}) {
    super(message, extra.cause === undefined ? {} : { cause: extra.cause });
    this.kind = kind;
    this.workflowId = extra.workflowId;
  }
}

export type Execution = 'running' | 'completed' | 'failed' | 'cancelled' | 'terminated' | 'timed-out' | 'unknown';

/** A run ended other than by completing. `report` is absent when the run was cancelled, terminated or timed out. */
export class RunFailedError extends Error {
  override readonly name = 'RunFailedError';
  readonly workflowId: string;
  readonly execution: Exclude<Execution, 'running' | 'completed'>;
  /** A value of `FAILURE`, when the run itself chose to fail. */
  readonly failureType: string | undefined;
  readonly report: FailureReport | undefined;

  constructor(fields: {
    workflowId: string;
    execution: Exclude<Execution, 'running' | 'completed'>;
    message: string;
    failureType?: string | undefined;
    report?: FailureReport | undefined;
    cause?: unknown;
  }) {
    super(fields.message, fields.cause === undefined ? {} : { cause: fields.cause });
    this.workflowId = fields.workflowId;
    this.execution = fields.execution;
    this.failureType = fields.failureType;
    this.report = fields.report;
  }
}

export interface ConnectOptions {
  /** `host:port`; over TEMPORAL_ADDRESS and the profile. */
  readonly address?: string;
  readonly namespace?: string;
  /** A profile of temporal.toml; over TEMPORAL_PROFILE. */
  readonly profile?: string;
  /** Over ECS_ROLLBACK_TASK_QUEUE, which the worker reads, too. */
  readonly taskQueue?: string;
  /** Default 3,000. */
  readonly connectTimeoutMs?: number;
}

/** One line of `list`. */
export interface RunSummary {
  readonly workflowId: string;
  readonly runId: string;
  readonly kind: 'rollback' | 'sync' | 'plan';
  readonly execution: Execution;
  readonly phase?: string;
  readonly regionId?: string;
  readonly diskId?: string;
  readonly instanceId?: string;
  readonly startedAt: string;
  readonly closedAt?: string;
}

/** All that can be known of one run. `status` needs a worker; `result` and `failure` of an ended run do not. */
export interface RunView extends RunSummary {
  readonly status?: RunStatus;
  /** Why `status` is absent. */
  readonly statusUnavailable?: string;
  readonly result?: RollbackResult;
  readonly failure?: { readonly type?: string; readonly message: string; readonly report?: FailureReport };
  /** Activities of an open run whose last attempt failed; absent when there are none. */
  readonly retrying?: readonly RetryingActivity[];
  /** While data is being copied back or compared. */
  readonly copyProgress?: CopyProgress;
}

export interface RetryingActivity {
  readonly activity: string;
  /** Of the attempt that is under way or due. */
  readonly attempt: number;
  /** A value of `ACTIVITY_FAILURE` when the last failure was one of ours. */
  readonly failureKind?: string;
  readonly message: string;
}

export interface RunHandle {
  readonly workflowId: string;
  readonly runId: string;
  /** True when an open run with the same input was found and attached to, and nothing was started. */
  readonly alreadyRunning: boolean;
  /** Waits for the end. Rejects with `RunFailedError` unless the run completes. */
  result(): Promise<RollbackResult>;
  view(): Promise<RunView>;
  status(): Promise<RunStatus>;
  cancel(): Promise<void>;
}

export interface ListOptions {
  readonly diskId?: string;
  /** Open runs only. */
  readonly running?: boolean;
  /** Plans too; they are runs of their own and read-only. */
  readonly includePlans?: boolean;
  /** Default 20. */
  readonly limit?: number;
}

type TemporalClientModule = typeof TemporalClient;

const DEFAULT_ADDRESS = 'localhost:7233';
const RPC_DEADLINE_MS = 10_000;
const QUERY_DEADLINE_MS = 5_000;
/** The UI and `temporal workflow list` refuse longer summaries. */
const STATIC_SUMMARY_BYTES = 200;

// Of google.rpc.Code; the gRPC library itself is not a dependency of ours.
const GRPC = {
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  failedPrecondition: 9,
  unavailable: 14,
  unauthenticated: 16,
} as const;

// Of temporal.api.enums.v1.TaskQueueType.
const WORKFLOW_TASK_QUEUE = 1;

const EXECUTIONS: Readonly<Record<string, Execution>> = {
  RUNNING: 'running',
  PAUSED: 'running',
  COMPLETED: 'completed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  TERMINATED: 'terminated',
  TIMED_OUT: 'timed-out',
};

/** A connected client. Close it when done; it holds a socket open. */
export class RollbackClient {
  readonly address: string;
  readonly namespace: string;
  readonly taskQueue: string;
  private readonly sdk: TemporalClientModule;
  private readonly connection: Connection;
  private readonly temporal: Client;

  private constructor(parts: {
    sdk: TemporalClientModule;
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
    const sdk = await import('@temporalio/client');
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
    return { runId: found.runId, sameInput: canonical(running) === canonical(input) };
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
    throw new ClientError('noWorker', `${view.workflowId}: ${view.statusUnavailable ?? 'no status'}`, {
      workflowId: view.workflowId,
    });
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

  private async launch(
    kind: 'rollback' | 'sync',
    workflowId: string,
    input: RollbackInput | SyncInput,
  ): Promise<RunHandle> {
    await this.requireWorker();
    const { defineSearchAttributeKey, SearchAttributeType } = await import('@temporalio/common');
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
        throw new ClientError('noWorker', `${workflowId}: ${seen.statusUnavailable ?? 'no status'}`, { workflowId });
      },
      cancel: async () => {
        await this.call(() => this.temporal.workflow.getHandle(workflowId, runId).cancel());
      },
    };
  }

  private async decoded(payloads: Payload[] | null | undefined): Promise<unknown[]> {
    const { decodeArrayFromPayloads } = await import('@temporalio/common/lib/internal-non-workflow/index.js');
    return decodeArrayFromPayloads(this.temporal.options.loadedDataConverter, payloads);
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
    const { history } = await this.call(() =>
      this.connection.workflowService.getWorkflowExecutionHistory({
        namespace: this.namespace,
        execution: { workflowId, runId },
        maximumPageSize: 1,
      }),
    );
    const [input] = await this.decoded(history?.events?.[0]?.workflowExecutionStartedEventAttributes?.input?.payloads);
    return input;
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

/** The one command that makes a server ready for us; creating an existing attribute is not an error. */
export function searchAttributeCommand(server: { address: string; namespace: string }): string {
  const names = Object.values(SEARCH_ATTRIBUTES).map((name) => `--name ${name} --type Keyword`);
  return `temporal operator search-attribute create --address ${server.address} --namespace ${server.namespace} ${names.join(' ')}`;
}

/** At most 200 bytes: what the list of the Temporal UI shows of a run. */
export function summaryLine(kind: 'rollback' | 'sync', input: RollbackInput | SyncInput): string {
  const paths = input.sync?.paths ?? [];
  const back = paths.length === 0 ? '' : `bring back ${paths.join(', ')}`;
  const what =
    kind === 'sync'
      ? `Sync ${input.diskId} from ${input.snapshotId}: ${back}`
      : `Roll back ${input.diskId} to ${input.snapshotId}${back === '' ? '' : `, ${back}`}`;
  return cutToBytes(input.dryRun ? `Plan only: ${what}` : what, STATIC_SUMMARY_BYTES);
}

function detailsMarkdown(kind: 'rollback' | 'sync', input: RollbackInput | SyncInput): string {
  const lines = [
    `**${kind === 'sync' ? 'Sync from a snapshot' : 'Disk rollback'}**${input.dryRun ? ' (plan only, changes nothing)' : ''}`,
    '',
    `- disk: \`${input.diskId}\` in \`${input.regionId}\``,
    `- ${kind === 'sync' ? 'snapshot to read from' : 'target snapshot A'}: \`${input.snapshotId}\``,
  ];
  if (input.instanceId !== undefined) lines.push(`- only if attached to: \`${input.instanceId}\``);
  if ('powerAfter' in input) {
    lines.push(`- power state at the end: ${input.powerAfter}${input.forceStop ? ', stop by force allowed' : ''}`);
    lines.push(`- snapshot B is kept for ${input.safetySnapshotRetentionDays} days`);
  }
  if (input.sync !== undefined) {
    lines.push(`- bring back (${input.sync.conflictPolicy}):`);
    for (const path of input.sync.paths.slice(0, 20)) lines.push(`  - \`${path.replaceAll('`', "'")}\``);
    if (input.sync.paths.length > 20) lines.push(`  - … and ${input.sync.paths.length - 20} more`);
  }
  return cutToBytes(lines.join('\n'), 20_000);
}

function cutToBytes(text: string, limit: number): string {
  if (Buffer.byteLength(text) <= limit) return text;
  let cut = '';
  let used = Buffer.byteLength('…');
  for (const character of text) {
    used += Buffer.byteLength(character);
    if (used > limit) break;
    cut += character;
  }
  return `${cut}…`;
}

function parse<T>(
  schema: { safeParse(value: unknown): { success: true; data: T } | { success: false; error: ZodLike } },
  value: unknown,
): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => {
    const field = issue.path.map(String).join('.');
    return field === '' ? issue.message : `${field}: ${issue.message}`;
  });
  throw new ClientError('invalidInput', lines.join('; '), { cause: parsed.error });
}

interface ZodLike {
  readonly issues: ReadonlyArray<{ readonly path: readonly PropertyKey[]; readonly message: string }>;
}

function otherInput(workflowId: string, runId: string): ClientError {
  return new ClientError(
    'conflict',
    `${workflowId} is already running with another input (run ${runId}), and one disk takes one run at a time: ` +
      'watch it, cancel it, or wait for its end',
    { workflowId },
  );
}

function runFailed(workflowId: string, error: Error & { cause?: unknown }): RunFailedError {
  const cause = error.cause;
  const name = cause instanceof Error ? cause.name : '';
  if (name === 'CancelledFailure') {
    return new RunFailedError({ workflowId, execution: 'cancelled', message: 'the run was cancelled', cause });
  }
  if (name === 'TerminatedFailure') {
    return new RunFailedError({
      workflowId,
      execution: 'terminated',
      message: `the run was terminated (${messageOf(cause)}), so it could not put anything back: check the disk and what it made`,
      cause,
    });
  }
  if (name === 'TimeoutFailure') {
    return new RunFailedError({ workflowId, execution: 'timed-out', message: 'the run timed out', cause });
  }
  const failure = cause as { type?: string | null; details?: unknown[] | null } | undefined;
  const report = isFailureReport(failure?.details?.[0]) ? failure.details[0] : undefined;
  return new RunFailedError({
    workflowId,
    execution: 'failed',
    message: report?.summary ?? messageOf(cause ?? error),
    failureType: failure?.type ?? undefined,
    report,
    cause,
  });
}

function isFailureReport(value: unknown): value is FailureReport {
  return typeof value === 'object' && value !== null && typeof (value as FailureReport).summary === 'string';
}

function executionOf(info: { status: { name: string } }): Execution {
  return EXECUTIONS[info.status.name] ?? 'unknown';
}

function retryingActivities(found: WorkflowExecutionDescription): RetryingActivity[] {
  return (found.raw.pendingActivities ?? []).flatMap((pending) => {
    const failure = pending.lastFailure;
    if (failure === null || failure === undefined) return [];
    const failureKind = failure.applicationFailureInfo?.type;
    return [
      {
        activity: pending.activityType?.name ?? pending.activityId ?? 'activity',
        attempt: pending.attempt ?? 1,
        message: (failure.message ?? '').split('\n')[0] ?? '',
        ...(failureKind ? { failureKind } : {}),
      },
    ];
  });
}

/** JSON with sorted keys, so that two inputs compare by what they say. */
function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}

function grpcError(error: unknown): (Error & { code: number }) | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('metadata' in at && 'code' in at && typeof at.code === 'number') return Object.assign(at, { code: at.code });
  }
  return undefined;
}

function grpcCode(error: unknown): number | undefined {
  return grpcError(error)?.code;
}

/** First line only: gRPC and Node put stacks and advice for developers into the rest. */
function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const details = (error as { details?: unknown }).details;
  const text = typeof details === 'string' && details !== '' ? details : error.message;
  return (text.split('\n')[0] ?? '').trim();
}

/** Settles with `main`, but rejects at once when `probe` does. */
async function firstFailure(main: Promise<void>, probe: Promise<void>): Promise<void> {
  const failed = new Promise<never>((_resolve, reject) => {
    probe.catch(reject);
  });
  main.catch(() => undefined);
  await Promise.race([main, failed]);
}

/**
 * Rejects when nothing listens at the address, long before gRPC gives up; resolves in any other case. Says nothing where
 * a proxy does the dialling.
 */
function probeTcp(address: string, timeoutMs: number): Promise<void> {
  const proxied = ['grpc_proxy', 'https_proxy', 'http_proxy'].some((name) => (process.env[name] ?? '') !== '');
  const match = /^(?:dns:\/*)?\[?([^\]/]+?)\]?(?::(\d+))?$/.exec(address);
  const host = match?.[1];
  if (proxied || host === undefined) return Promise.resolve();
  return new Promise((resolve, reject) => {
    const socket = connectTcp({ host, port: Number(match?.[2] ?? 7233), timeout: timeoutMs });
    const settle = (then: () => void) => {
      socket.destroy();
      then();
    };
    socket.once('connect', () => settle(resolve));
    socket.once('timeout', () => settle(resolve));
    socket.once('error', (error) => settle(() => reject(error)));
  });
}

function connectError(address: string, cause: unknown): ClientError {
  const code = grpcCode(cause);
  if (code === GRPC.unauthenticated || code === GRPC.permissionDenied) {
    return new ClientError(
      'denied',
      `Temporal at ${address} refuses the credentials (${messageOf(grpcError(cause))}): check TEMPORAL_API_KEY or the TLS client certificate`,
      { cause },
    );
  }
  const socketCode = (cause as { code?: unknown }).code;
  const why =
    socketCode === 'ECONNREFUSED'
      ? 'nothing listens there'
      : socketCode === 'ENOTFOUND' || socketCode === 'EAI_AGAIN'
        ? 'the name does not resolve'
        : typeof socketCode === 'string'
          ? socketCode
          : 'it does not answer as Temporal does; is TLS needed, or not?';
  return new ClientError(
    'unreachable',
    `no Temporal server at ${address} (${why}): set TEMPORAL_ADDRESS=host:port, or start one with \`temporal server start-dev\``,
    { cause },
  );
}
