/** The read-only plan that comes before everything that changes a disk. */
import type { RollbackClient, RunHandle } from '../client.ts';
import type { RollbackInput, RollbackPlan, SyncInput } from '../contract/rollback.ts';
import { formatDuration } from './durations.ts';
import { EXIT, type ExitCode, exitCodeOfFailureKind, exitCodeOfPlan, exitCodeOfView } from './exit-codes.ts';
import { follow } from './follow.ts';
import type { PlanFile } from './plan-file.ts';
import { planText } from './plan-text.ts';
import { type CommonFlags, type Context, json, line, sayFailure } from './session.ts';
import { oneLine, styleFor } from './terminal.ts';

export type Work =
  | { kind: 'rollback'; input: RollbackInput; file?: PlanFile | undefined }
  | { kind: 'sync'; input: SyncInput };

/**
 * How long `plan` waits by itself. It only reads, in at most three tries of 90 s, so anything longer means that something
 * is wrong.
 */
const PLAN_PATIENCE_MS = 300_000;

/** How long a plan may go without anyone answering for it. */
const NO_WORKER_PATIENCE_MS = 10_000;

export interface Planned {
  readonly handle: RunHandle;
  readonly plan: RollbackPlan;
  readonly input: RollbackInput | SyncInput;
}

/** Runs the read-only plan. An exit code when there is no plan to show: what went wrong has been said then. */
export async function observePlan(
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
  // Not held to a hash: this plan is what the one that was read is compared with.
  const handle = await (work.kind === 'rollback'
    ? client.plan({ ...work.input, expectedPlanHash: undefined }, options)
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

/** The document carries the request, too, so that `start --plan` needs nothing else; who asks is for that start to say. */
export function showPlan(context: Context, flags: CommonFlags, command: string, planned: Planned): ExitCode {
  const { world } = context;
  const exitCode = exitCodeOfPlan(planned.plan);
  if (flags.output === 'json') {
    const { workflowId, runId } = planned.handle;
    const request = { ...planned.input, requestedBy: undefined, expectedPlanHash: undefined };
    json(world.stdout, { command, workflowId, runId, exitCode, outcome: 'planned', request, plan: planned.plan });
  } else {
    world.stdout.write(`${planText(planned.plan, planned.input, styleFor(world.stdout, world, flags.color))}\n`);
  }
  return exitCode;
}
