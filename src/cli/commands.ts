/**
 * What each command does, from parsed flags to an exit code. Data goes to stdout, everything else to stderr; every way
 * out of a command is an `ExitCode`, a `UsageError` or a `ClientError`.
 */
import { createInterface } from 'node:readline/promises';
import { ClientError, type ConnectOptions, RollbackClient, type RunHandle, type RunView } from '../client.ts';
import { rollbackWorkflowId, syncWorkflowId } from '../contract/ids.ts';
import type { RollbackInput, RollbackPlan, SyncInput } from '../contract/rollback.ts';
import { formatDuration } from './durations.ts';
import {
  EXIT,
  type ExitCode,
  exitCodeOfClientError,
  exitCodeOfFailureKind,
  exitCodeOfPlan,
  exitCodeOfView,
} from './exit-codes.ts';
import { follow } from './follow.ts';
import { listText } from './list-text.ts';
import { liveView } from './live-view.ts';
import { drift, type PlanFile, readPlanFile } from './plan-file.ts';
import { planText } from './plan-text.ts';
import { checkWaiting, type RequestFlags, rollbackInput, syncInput, timeoutMs, type WaitFlags } from './request.ts';
import { resetHappened, statusText } from './status-text.ts';
import { type OutputStream, oneLine, plainPunctuation, type Style, styleFor, type Surroundings } from './terminal.ts';
import { UsageError } from './usage-error.ts';

/** Of every JSON document; raised when a field changes its meaning or goes away. */
export const SCHEMA_VERSION = 1;

/**
 * How long `plan` waits by itself. It only reads, in at most three tries of 90 s, so anything longer means that something
 * is wrong.
 */
const PLAN_PATIENCE_MS = 300_000;

/** How long a plan may go without anyone answering for it. */
const NO_WORKER_PATIENCE_MS = 10_000;

export interface CommonFlags {
  readonly output: 'text' | 'json';
  readonly color: boolean;
  readonly address?: string;
  readonly namespace?: string;
  readonly profile?: string;
  readonly taskQueue?: string;
}

type StartFlags = CommonFlags &
  RequestFlags &
  WaitFlags & { readonly workflowId?: string; readonly output: 'text' | 'json'; readonly plan?: string };

export interface Context {
  readonly world: Surroundings;
  /** Aborted by the first Ctrl-C. */
  readonly signal: AbortSignal;
}

type Work =
  | { kind: 'rollback'; input: RollbackInput; file?: PlanFile | undefined }
  | { kind: 'sync'; input: SyncInput };

export async function runPlan(context: Context, flags: StartFlags): Promise<ExitCode> {
  const input = rollbackInput(flags, context.world.env);
  const limit = timeoutMs(flags);
  return withClient(flags, async (client) => {
    const planned = await observePlan(context, client, flags, { kind: 'rollback', input }, limit, flags.workflowId);
    return typeof planned === 'number' ? planned : showPlan(context, flags, 'plan', planned);
  });
}

export async function runStart(context: Context, flags: StartFlags): Promise<ExitCode> {
  const file = flags.plan === undefined ? undefined : readPlanFile(flags.plan);
  const input = rollbackInput(flags, context.world.env, file);
  return perform(context, flags, 'start', { kind: 'rollback', input, file });
}

export async function runSync(context: Context, flags: StartFlags): Promise<ExitCode> {
  return perform(context, flags, 'sync', { kind: 'sync', input: syncInput(flags, context.world.env) });
}

export async function runStatus(context: Context, flags: CommonFlags, id: string): Promise<ExitCode> {
  return withClient(flags, async (client) => {
    const view = await client.view(id);
    showRun(context, flags, 'status', view);
    return exitCodeOfView(view);
  });
}

export async function runWatch(context: Context, flags: CommonFlags & WaitFlags, id: string): Promise<ExitCode> {
  const limit = timeoutMs(flags);
  return withClient(flags, async (client) => {
    const handle = await client.attach(id);
    return waitFor(context, flags, 'watch', handle, limit);
  });
}

export async function runList(
  context: Context,
  flags: CommonFlags & {
    readonly disk?: string;
    readonly running?: boolean;
    readonly all?: boolean;
    readonly limit: string;
  },
): Promise<ExitCode> {
  const limit = Number(flags.limit);
  if (!Number.isInteger(limit) || limit < 1 || limit > 1_000) {
    throw new UsageError(`--limit: ${JSON.stringify(flags.limit)} is not a number of runs: expected 1 to 1000`);
  }
  if (flags.disk !== undefined) checkDiskId(flags.disk);
  return withClient(flags, async (client) => {
    const runs = await client.list({
      limit,
      ...(flags.disk === undefined ? {} : { diskId: flags.disk }),
      ...(flags.running === true ? { running: true } : {}),
      ...(flags.all === true ? { includePlans: true } : {}),
    });
    const { world } = context;
    if (flags.output === 'json') json(world.stdout, { command: 'list', exitCode: EXIT.done, runs });
    else world.stdout.write(`${listText(runs, styleFor(world.stdout, world, flags.color), world.now())}\n`);
    return EXIT.done;
  });
}

export async function runCancel(context: Context, flags: CommonFlags, id: string): Promise<ExitCode> {
  return withClient(flags, async (client) => {
    const view = await client.cancel(id);
    const requested = view.execution === 'running';
    const { world } = context;
    if (flags.output === 'json') {
      json(world.stdout, {
        command: 'cancel',
        workflowId: view.workflowId,
        runId: view.runId,
        exitCode: EXIT.done,
        cancelRequested: requested,
        execution: view.execution,
        ...(requested && view.status !== undefined ? { cancelPreview: view.status.cancelPreview } : {}),
      });
      return EXIT.done;
    }
    const said = requested
      ? [
          `cancel requested of ${view.workflowId}`,
          ...(view.status === undefined ? [] : [`It will: ${oneLine(view.status.cancelPreview)}`]),
          `Next: \`${world.self} watch ${view.workflowId}\` to see it end`,
        ]
      : [`${view.workflowId} has ended already (${view.execution}): nothing to cancel`];
    world.stdout.write(`${said.join('\n')}\n`);
    return EXIT.done;
  });
}

/** Plan, confirmation, start, wait: the way of everything that changes a disk. */
async function perform(context: Context, flags: StartFlags, command: 'start' | 'sync', work: Work): Promise<ExitCode> {
  const { world } = context;
  const canPrompt = world.stdin.isTTY === true && world.stderr.isTTY === true;
  checkWaiting(flags, canPrompt);
  const limit = timeoutMs(flags);
  return withClient(flags, async (client) => {
    const workflowId =
      flags.workflowId ??
      (work.kind === 'rollback' ? rollbackWorkflowId(work.input.diskId) : syncWorkflowId(work.input.diskId));
    if (flags.dryRun !== true) {
      // A plan beside a run that is already at work would only find that run's own snapshot in the way.
      const open = await client.findOpen(workflowId, work.input);
      if (open !== undefined) return begin(context, flags, command, client, work, limit);
    }

    const planId = flags.dryRun === true ? flags.workflowId : undefined;
    const planned = await observePlan(context, client, flags, work, limit, planId);
    if (typeof planned === 'number') return planned;
    const verdict = exitCodeOfPlan(planned.plan);
    if (flags.dryRun === true || verdict !== EXIT.done) return showPlan(context, flags, command, planned);
    if (work.kind === 'rollback' && work.file !== undefined && work.file.plan.hash !== planned.plan.hash) {
      const message = `not started, nothing was changed: the world has drifted from the plan in ${work.file.path}: ${drift(work.file.plan, planned.plan)}; read a new plan first`;
      return sayFailure(context, flags, EXIT.blocked, 'planDrifted', message);
    }

    if (flags.output === 'text') {
      world.stderr.write(`${planText(planned.plan, work.input, styleFor(world.stderr, world, flags.color))}\n\n`);
    }
    if (flags.yes !== true) {
      const answer = await confirmed(context, work.input.diskId);
      if (answer === 'interrupted') {
        world.stderr.write('stopped; nothing was started and nothing was changed\n');
        return EXIT.interrupted;
      }
      if (answer === 'no') {
        world.stderr.write('not confirmed; nothing was started and nothing was changed\n');
        return EXIT.declined;
      }
    }
    if (context.signal.aborted) {
      world.stderr.write('stopped; nothing was started and nothing was changed\n');
      return EXIT.interrupted;
    }
    return begin(context, flags, command, client, work, limit);
  });
}

async function begin(
  context: Context,
  flags: StartFlags,
  command: 'start' | 'sync',
  client: RollbackClient,
  work: Work,
  limit: number | undefined,
): Promise<ExitCode> {
  const { world } = context;
  const options = flags.workflowId === undefined ? {} : { workflowId: flags.workflowId };
  let handle: RunHandle;
  try {
    handle = await (work.kind === 'rollback' ? client.start(work.input, options) : client.sync(work.input, options));
  } catch (error) {
    if (!(error instanceof ClientError) || error.kind !== 'conflict') throw error;
    throw new ClientError(
      'conflict',
      `${error.message} (\`${world.self} watch ${error.workflowId}\`, \`${world.self} cancel ${error.workflowId}\`)`,
      { cause: error, ...(error.workflowId === undefined ? {} : { workflowId: error.workflowId }) },
    );
  }
  const said = handle.alreadyRunning
    ? `already running with the same input: attached to ${handle.workflowId} (run ${handle.runId})`
    : `started ${handle.workflowId} (run ${handle.runId})`;
  world.stderr.write(`${said}\n`);
  if (flags.detach !== true) return waitFor(context, flags, command, handle, limit);
  if (flags.output === 'json') {
    json(world.stdout, { command, ...idsOf(handle), execution: 'running', exitCode: EXIT.done });
  } else {
    world.stdout.write(`${handle.workflowId}\n`);
    world.stderr.write(`Next: \`${world.self} watch ${handle.workflowId}\` to follow it\n`);
  }
  return EXIT.done;
}

/** Follows a run to its end, its timeout or Ctrl-C. In JSON, `watch` prints a line per change, the others one document. */
async function waitFor(
  context: Context,
  flags: CommonFlags,
  command: 'start' | 'sync' | 'watch',
  handle: RunHandle,
  limit: number | undefined,
): Promise<ExitCode> {
  const { world } = context;
  const asJson = flags.output === 'json';
  const stream = command === 'watch' && !asJson ? world.stdout : world.stderr;
  const style = styleFor(stream, world, flags.color);
  const live = liveView({ stream, style, env: world.env, self: world.self, now: () => world.now() });
  let last = '';
  const followed = await follow(() => handle.view(), {
    signal: context.signal,
    timeoutMs: limit,
    intervalMs: world.pollMs,
    onView(view) {
      if (!asJson) {
        if (view.execution === 'running') live.show(view);
        return;
      }
      if (command !== 'watch' || view.execution !== 'running') return;
      const document = { type: 'status', command, ...runDocument(view) };
      const text = JSON.stringify(document);
      if (text === last) return;
      last = text;
      jsonLine(world.stdout, { ...document, at: new Date(world.now()).toISOString() });
    },
    onOutage: (error) => live.note(line(style, `${error.message}; the run itself goes on, trying again …`)),
  });
  live.end(asJson || followed.how !== 'ended' ? undefined : followed.view);

  if (followed.how === 'ended') {
    const exitCode = exitCodeOfView(followed.view);
    showRun(context, flags, command, followed.view, handle.alreadyRunning);
    return exitCode;
  }
  const exitCode = followed.how === 'timeout' ? EXIT.timeout : EXIT.interrupted;
  if (asJson) {
    const write = command === 'watch' ? jsonLine : json;
    write(world.stdout, {
      ...(command === 'watch' ? { type: followed.how } : {}),
      command,
      ...idsOf(handle),
      execution: 'running',
      exitCode,
      ...(followed.view?.status === undefined ? {} : { status: followed.view.status }),
    });
  }
  const why =
    followed.how === 'timeout'
      ? `still running after ${formatDuration(limit ?? 0)}; stopped waiting`
      : 'stopped waiting';
  world.stderr.write(
    `${line(
      style,
      `${why}; run ${handle.workflowId} continues – \`${world.self} watch ${handle.workflowId}\` to reattach, \`${world.self} cancel ${handle.workflowId}\` to stop it`,
    )}\n`,
  );
  return exitCode;
}

interface Planned {
  readonly handle: RunHandle;
  readonly plan: RollbackPlan;
  readonly input: RollbackInput | SyncInput;
}

/** Runs the read-only plan. An exit code when there is no plan to show: what went wrong has been said then. */
async function observePlan(
  context: Context,
  client: RollbackClient,
  flags: CommonFlags,
  work: Work,
  limit: number | undefined,
  workflowId: string | undefined,
): Promise<Planned | ExitCode> {
  const { world } = context;
  const style = styleFor(world.stderr, world, flags.color);
  const options = workflowId === undefined ? {} : { workflowId };
  const handle = await (work.kind === 'rollback'
    ? client.plan(asked(work.input), options)
    : client.planSync(work.input, options));
  const patience = Math.min(limit ?? PLAN_PATIENCE_MS, PLAN_PATIENCE_MS);
  if (flags.output === 'text') world.stderr.write(`${line(style, 'reading disk, snapshots and instance …')}\n`);
  let saidRetrying = '';
  let silentSince: number | undefined;
  const noWorker = new AbortController();
  const followed = await follow(() => handle.view(), {
    signal: AbortSignal.any([context.signal, noWorker.signal]),
    timeoutMs: patience,
    intervalMs: Math.min(300, world.pollMs ?? 300),
    onView(view) {
      // The server lists a worker for minutes after its death; a query shows the truth.
      silentSince = view.statusUnavailable === undefined ? undefined : (silentSince ?? Date.now());
      if (silentSince !== undefined && Date.now() - silentSince > NO_WORKER_PATIENCE_MS) noWorker.abort();
      for (const attempt of view.retrying ?? []) {
        if (attempt.message === saidRetrying) continue;
        saidRetrying = attempt.message;
        world.stderr.write(`${line(style, `trying again: ${oneLine(attempt.message)}`)}\n`);
      }
    },
    onOutage: (error) => world.stderr.write(`${line(style, `${error.message}; trying again …`)}\n`),
  });
  if (followed.how === 'ended' && followed.view.result !== undefined) {
    return { handle, plan: followed.view.result.plan, input: work.input };
  }
  if (followed.how === 'ended') {
    const exitCode = exitCodeOfView(followed.view);
    const message = followed.view.failure?.message ?? `the plan ended as ${followed.view.execution}`;
    return sayFailure(context, flags, exitCode, 'planFailed', oneLine(message));
  }
  // Read-only and of no use to anyone now; a failure to cancel it is no news either.
  await handle.cancel().catch(() => undefined);
  if (context.signal.aborted) {
    return sayFailure(
      context,
      flags,
      EXIT.interrupted,
      'interrupted',
      'stopped; nothing was started and nothing was changed',
    );
  }
  const stuck = followed.view?.retrying?.[0];
  if (stuck !== undefined) {
    const exitCode = exitCodeOfFailureKind(stuck.failureKind) ?? EXIT.timeout;
    const message = `no plan within ${formatDuration(patience)}: ${oneLine(stuck.message)} (nothing was changed)`;
    return sayFailure(context, flags, exitCode, 'planFailed', message);
  }
  if (followed.view?.statusUnavailable !== undefined) {
    const message = `${oneLine(followed.view.statusUnavailable)} (no plan, nothing was changed)`;
    return sayFailure(context, flags, EXIT.unreachable, 'noWorker', message);
  }
  return sayFailure(
    context,
    flags,
    EXIT.timeout,
    'timeout',
    `no plan within ${formatDuration(patience)} (nothing was changed); try again, with a longer --timeout if one was given`,
  );
}

/** Without the hash that the run is held to: this plan is what it is compared with. */
const asked = (input: RollbackInput): RollbackInput => ({ ...input, expectedPlanHash: undefined });

function showPlan(context: Context, flags: CommonFlags, command: string, planned: Planned): ExitCode {
  const { world } = context;
  const exitCode = exitCodeOfPlan(planned.plan);
  if (flags.output === 'json') {
    const { workflowId, runId } = planned.handle;
    const request = 'powerAfter' in planned.input ? asked(planned.input) : planned.input;
    json(world.stdout, { command, workflowId, runId, exitCode, outcome: 'planned', request, plan: planned.plan });
  } else {
    world.stdout.write(`${planText(planned.plan, planned.input, styleFor(world.stdout, world, flags.color))}\n`);
  }
  return exitCode;
}

function showRun(
  context: Context,
  flags: CommonFlags,
  command: 'start' | 'sync' | 'watch' | 'status',
  view: RunView,
  alreadyRunning?: boolean,
): void {
  const { world } = context;
  if (flags.output === 'text') {
    const options = { style: styleFor(world.stdout, world, flags.color), now: world.now(), self: world.self };
    world.stdout.write(`${statusText(view, options)}\n`);
    return;
  }
  const write = command === 'watch' ? jsonLine : json;
  write(world.stdout, {
    ...(command === 'watch' ? { type: 'summary' } : {}),
    command,
    ...(alreadyRunning === undefined || command === 'watch' ? {} : { alreadyRunning }),
    ...runDocument(view),
    exitCode: exitCodeOfView(view),
  });
}

function runDocument(view: RunView): Record<string, unknown> {
  return {
    ...view,
    ...(view.kind === 'rollback' ? { resetHappened: resetHappened(view) ?? 'unknown' } : {}),
    ...(view.result === undefined ? {} : { outcome: view.result.outcome, summary: view.result.summary }),
  };
}

const idsOf = ({ workflowId, runId, alreadyRunning }: RunHandle) => ({ workflowId, runId, alreadyRunning });

async function confirmed(context: Context, diskId: string): Promise<'yes' | 'no' | 'interrupted'> {
  const { world, signal } = context;
  const prompt = createInterface({ input: world.stdin, output: world.stderr as NodeJS.WriteStream, terminal: true });
  const closed = new Promise<string>((resolve) => {
    prompt.once('close', () => resolve(''));
  });
  const stopped = new Promise<'interrupted'>((resolve) => {
    prompt.once('SIGINT', () => resolve('interrupted'));
    signal.addEventListener('abort', () => resolve('interrupted'), { once: true });
  });
  try {
    const asked = prompt.question(`Type the id of the disk to go on (${diskId}), anything else to leave it alone: `);
    // Ctrl-D rejects the question; it is an answer like any other that is not the id.
    const answer = await Promise.race([asked.catch(() => ''), stopped, closed]);
    if (answer === 'interrupted') return 'interrupted';
    return answer.trim() === diskId ? 'yes' : 'no';
  } finally {
    prompt.close();
  }
}

function sayFailure(context: Context, flags: CommonFlags, exitCode: ExitCode, kind: string, message: string): ExitCode {
  const { world } = context;
  if (flags.output === 'json') json(world.stdout, { exitCode, error: { kind, message } });
  const style = styleFor(world.stderr, world, flags.color);
  const prefix = exitCode === EXIT.interrupted ? '' : `${style.color.red('error:')} `;
  world.stderr.write(`${prefix}${line(style, message)}\n`);
  return exitCode;
}

/** The exit code of an error no command handles, after saying it in one line. */
export function sayError(world: Surroundings, flags: { output?: string; color?: boolean }, error: unknown): ExitCode {
  const style = styleFor(world.stderr, world, flags.color !== false);
  const { exitCode, kind, lines } = describeError(error);
  if (flags.output === 'json') json(world.stdout, { exitCode, error: { kind, message: lines.join('\n') } });
  for (const text of lines) world.stderr.write(`${style.color.red('error:')} ${line(style, text)}\n`);
  if (world.env.ECS_ROLLBACK_DEBUG === '1') {
    world.stderr.write(`${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  } else if (kind === 'internal') {
    world.stderr.write('set ECS_ROLLBACK_DEBUG=1 to see where this comes from\n');
  }
  return exitCode;
}

function describeError(error: unknown): { exitCode: ExitCode; kind: string; lines: readonly string[] } {
  if (error instanceof UsageError) return { exitCode: EXIT.usage, kind: 'usage', lines: error.lines };
  if (error instanceof ClientError) {
    return { exitCode: exitCodeOfClientError(error.kind), kind: error.kind, lines: [oneLine(error.message)] };
  }
  const text = error instanceof Error ? error.message : String(error);
  return { exitCode: EXIT.runFailed, kind: 'internal', lines: [oneLine(text.split('\n')[0] ?? '')] };
}

async function withClient(flags: CommonFlags, body: (client: RollbackClient) => Promise<ExitCode>): Promise<ExitCode> {
  const options: ConnectOptions = {
    ...(flags.taskQueue === undefined ? {} : { taskQueue: flags.taskQueue }),
    ...(flags.address === undefined ? {} : { address: flags.address }),
    ...(flags.namespace === undefined ? {} : { namespace: flags.namespace }),
    ...(flags.profile === undefined ? {} : { profile: flags.profile }),
  };
  const client = await RollbackClient.connect(options);
  try {
    return await body(client);
  } finally {
    await client.close().catch(() => undefined);
  }
}

function checkDiskId(diskId: string): void {
  if (!/^d-[a-z0-9]{8,30}$/.test(diskId)) {
    throw new UsageError(
      `--disk: ${JSON.stringify(diskId)} is not the id of a disk: expected something like d-bp1a2b3c4d5e6f7g8h9i`,
    );
  }
}

function line(style: Style, text: string): string {
  return style.utf8 ? text : plainPunctuation(text);
}

function json(stream: OutputStream, document: Record<string, unknown>): void {
  stream.write(`${JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...document }, null, 2)}\n`);
}

function jsonLine(stream: OutputStream, document: Record<string, unknown>): void {
  stream.write(`${JSON.stringify({ schemaVersion: SCHEMA_VERSION, ...document })}\n`);
}
