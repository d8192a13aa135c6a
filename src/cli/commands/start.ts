/** The commands that change a disk: plan, confirmation, start, wait. */
import { ClientError, otherInput, type RollbackClient, type RunHandle } from '../../client.ts';
import { rollbackWorkflowId, syncWorkflowId } from '../../contract/ids.ts';
import { confirm, canAsk } from '../confirm.ts';
import { EXIT, type ExitCode, exitCodeOfPlan } from '../exit-codes.ts';
import { shellWord, typedWith } from '../next-commands.ts';
import { drift, readPlanFile } from '../plan-file.ts';
import { planText } from '../plan-text.ts';
import { observePlan, type Planned, showPlan, type Work } from '../planning.ts';
import {
  checkUndoFlags,
  checkWaiting,
  type RequestFlags,
  rollbackInput,
  syncInput,
  timeoutMs,
  type WaitFlags,
  withPathList,
} from '../request.ts';
import { type CommonFlags, type Context, json, sayFailure, withClient } from '../session.ts';
import { oneLine, styleFor } from '../terminal.ts';
import { idsOf, type StartingCommand, waitForRun } from '../wait-for-run.ts';

type StartFlags = CommonFlags &
  RequestFlags &
  WaitFlags & { readonly workflowId?: string; readonly output: 'text' | 'json' };

export async function runPlan(context: Context, flags: StartFlags): Promise<ExitCode> {
  const input = rollbackInput(withPathList(flags), context.world);
  const limit = timeoutMs(flags);
  return withClient(flags, async (client) => {
    const planned = await observePlan(context, client, flags, { kind: 'rollback', input }, limit, flags.workflowId);
    return typeof planned === 'number' ? planned : showPlan(context, flags, 'plan', planned);
  });
}

export async function runStart(context: Context, flags: StartFlags & { readonly plan?: string }): Promise<ExitCode> {
  const file = flags.plan === undefined ? undefined : readPlanFile(flags.plan);
  const input = rollbackInput(withPathList(flags), { ...context.world, ...(file === undefined ? {} : { file }) });
  const limit = waiting(context, flags);
  return withClient(flags, (client) =>
    perform(context, client, flags, 'start', { kind: 'rollback', input, file }, limit),
  );
}

export async function runSync(context: Context, flags: StartFlags): Promise<ExitCode> {
  const input = syncInput(withPathList(flags), context.world);
  const limit = waiting(context, flags);
  return withClient(flags, (client) => perform(context, client, flags, 'sync', { kind: 'sync', input }, limit));
}

/** Back onto snapshot B of a run that has ended, through the same plan, confirmation and gate as any rollback. */
export async function runUndo(context: Context, flags: StartFlags, id: string): Promise<ExitCode> {
  checkUndoFlags(flags, context.world);
  const limit = waiting(context, flags);
  return withClient(flags, async (client) => {
    const base = await client.undoRequest(id);
    const input = rollbackInput(flags, { ...context.world, base });
    return perform(context, client, flags, 'undo', { kind: 'rollback', input }, limit);
  });
}

function waiting({ world }: Context, flags: StartFlags): number | undefined {
  checkWaiting(flags, canAsk(world));
  return timeoutMs(flags);
}

/** Plan, confirmation, start, wait: the way of everything that changes a disk. */
async function perform(
  context: Context,
  client: RollbackClient,
  flags: StartFlags,
  command: StartingCommand,
  work: Work,
  limit: number | undefined,
): Promise<ExitCode> {
  const { world } = context;
  const workflowId =
    flags.workflowId ??
    (work.kind === 'rollback' ? rollbackWorkflowId(work.input.diskId) : syncWorkflowId(work.input.diskId));
  if (flags.dryRun !== true) {
    // A plan beside a run that is already at work would only find that run's own snapshot in the way.
    const open = await client.findOpen(workflowId, work.input);
    if (open?.sameInput === false) throw withCommands(otherInput(workflowId, open.runId), context, flags);
    if (open !== undefined) return join(context, flags, command, await client.attach(workflowId), limit);
  }

  const planId = flags.dryRun === true ? flags.workflowId : undefined;
  const planned = await observePlan(context, client, flags, work, limit, planId);
  if (typeof planned === 'number') return planned;
  const verdict = exitCodeOfPlan(planned.plan);
  if (flags.dryRun === true || verdict !== EXIT.done) return showPlan(context, flags, command, planned);
  const file = work.kind === 'rollback' ? work.file : undefined;
  if (file !== undefined && file.plan.hash !== planned.plan.hash) {
    const message = `not started, nothing was changed: the world has drifted from the plan in ${file.path}: ${drift(file.plan, planned.plan)}; read a new plan first`;
    return sayFailure(context, flags, EXIT.blocked, 'planDrifted', oneLine(message));
  }

  if (flags.output === 'text') {
    world.stderr.write(`${planText(planned.plan, work.input, styleFor(world.stderr, world, flags.color))}\n\n`);
  }
  if (flags.yes !== true) {
    const declined = await confirm(context, {
      diskId: work.input.diskId,
      to: 'go on',
      otherwise: 'nothing was started and nothing was changed',
    });
    if (declined !== undefined) return declined;
  }
  if (context.signal.aborted) {
    world.stderr.write('stopped; nothing was started and nothing was changed\n');
    return EXIT.interrupted;
  }
  return begin(context, flags, command, client, flags.yes === true ? work : heldTo(work, planned), limit);
}

/**
 * Who has read the plan and said yes means this plan: the run is refused when it finds another. With an approval the ones who
 * approve read the plan that the run has found, and are asked again when it drifts.
 */
const heldTo = (work: Work, { plan }: Planned): Work =>
  work.kind === 'sync' || work.input.approval !== undefined
    ? work
    : { ...work, input: { ...work.input, expectedPlanHash: plan.hash } };

async function begin(
  context: Context,
  flags: StartFlags,
  command: StartingCommand,
  client: RollbackClient,
  work: Work,
  limit: number | undefined,
): Promise<ExitCode> {
  const options = flags.workflowId === undefined ? {} : { workflowId: flags.workflowId };
  let handle: RunHandle;
  try {
    handle = await (work.kind === 'rollback' ? client.start(work.input, options) : client.sync(work.input, options));
  } catch (error) {
    throw withCommands(error, context, flags);
  }
  return join(context, flags, command, handle, limit);
}

/** Adds what to type to the refusal of a start while another run of the disk is open; leaves other errors alone. */
function withCommands(error: unknown, { world }: Context, flags: StartFlags): unknown {
  if (!(error instanceof ClientError) || error.kind !== 'conflict' || error.workflowId === undefined) return error;
  const { workflowId, message } = error;
  const typed = typedWith(world, flags);
  const id = shellWord(workflowId);
  const commands = `(\`${typed(`watch ${id}`)}\`, \`${typed(`cancel ${id}`)}\`)`;
  return new ClientError('conflict', `${message} ${commands}`, { cause: error, workflowId });
}

async function join(
  context: Context,
  flags: StartFlags,
  command: StartingCommand,
  handle: RunHandle,
  limit: number | undefined,
): Promise<ExitCode> {
  const { world } = context;
  const typed = typedWith(world, flags);
  const said = handle.alreadyRunning
    ? `already running with the same input: attached to ${handle.workflowId} (run ${handle.runId})`
    : `started ${handle.workflowId} (run ${handle.runId})`;
  world.stderr.write(`${said}\n`);
  if (flags.detach !== true) return waitForRun(context, flags, command, handle, limit);
  if (flags.output === 'json') {
    json(world.stdout, { command, ...idsOf(handle), execution: 'running', exitCode: EXIT.done });
  } else {
    world.stdout.write(`${handle.workflowId}\n`);
    world.stderr.write(`Next: \`${typed(`watch ${shellWord(handle.workflowId)}`)}\` to follow it\n`);
  }
  return EXIT.done;
}
