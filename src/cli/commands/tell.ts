/** The commands that say something to a run: approve, reject, resolve, pause, resume, cancel. */
import { ClientError, type RollbackClient, type RunView } from '../../client.ts';
import { type Decision, decisionSchema, type WaitingFor } from '../../contract/operator.ts';
import { approvalText } from '../approval-text.ts';
import { canAsk, confirm } from '../confirm.ts';
import { EXIT, type ExitCode } from '../exit-codes.ts';
import { shellWord, typedWith, waitingLines } from '../next-commands.ts';
import { readPlanFile } from '../plan-file.ts';
import { requireAnswer } from '../request.ts';
import { type CommonFlags, type Context, json, line, withClient } from '../session.ts';
import { oneLine, styleFor } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { runDocument } from '../wait-for-run.ts';

export interface TellFlags extends CommonFlags {
  readonly by?: string;
  readonly reason?: string;
}

export interface ApproveFlags extends TellFlags {
  readonly plan?: string;
  readonly planHash?: string;
  readonly yes?: boolean;
}

export async function runApprove(context: Context, flags: ApproveFlags, id: string): Promise<ExitCode> {
  const who = speaker(context, flags);
  const read = hashThatWasRead(flags);
  if (flags.yes === true && read === undefined) {
    throw new UsageError(
      '--plan-hash: is missing: --yes approves without showing the plan, so say which one was read: --plan-hash <hash> or --plan <file>',
    );
  }
  requireAnswer(
    flags,
    canAsk(context.world),
    'this lets a run pass the point of no return: add --yes with --plan-hash or --plan',
  );
  return withClient(flags, async (client) => {
    const view = await client.view(id);
    const waiting = waitingForApproval(view, 'approve');
    checkHash(view, waiting, read);
    if (flags.yes !== true) {
      const { world } = context;
      const shown = approvalText(view, waiting, await client.requestOf(view), {
        style: styleFor(world.stderr, world, flags.color),
        now: world.now(),
      });
      world.stderr.write(`${shown}\n\n`);
      const declined = await confirm(context, {
        diskId: view.status?.diskId ?? '',
        to: 'approve',
        otherwise: 'nothing was approved',
      });
      if (declined !== undefined) return declined;
    }
    const after = await client.approve(view.workflowId, { ...who, planHash: waiting.planHash });
    return said(context, flags, 'approve', after, `approved ${view.workflowId} as ${who.by}`, who);
  });
}

export async function runReject(context: Context, flags: ApproveFlags, id: string): Promise<ExitCode> {
  const who = speaker(context, flags);
  const read = hashThatWasRead(flags);
  return withClient(flags, async (client) => {
    const view = await client.view(id);
    const waiting = waitingForApproval(view, 'reject');
    checkHash(view, waiting, read);
    const after = await client.reject(view.workflowId, { ...who, planHash: waiting.planHash });
    return said(context, flags, 'reject', after, `rejected ${view.workflowId} as ${who.by}`, who);
  });
}

export async function runResolve(
  context: Context,
  flags: TellFlags,
  id: string,
  typedDecision: string,
): Promise<ExitCode> {
  const decision = decisionOf(typedDecision);
  const who = speaker(context, flags);
  return withClient(flags, async (client) => {
    const after = await client.resolve(id, { ...who, decision });
    return said(context, flags, 'resolve', after, `told ${after.workflowId} to ${decision}`, { ...who, decision });
  });
}

export async function runPause(context: Context, flags: TellFlags, id: string): Promise<ExitCode> {
  const who = speaker(context, flags, 'optional');
  return withClient(flags, async (client) => {
    const after = await client.pause(id, who);
    const how =
      after.status?.waitingFor?.kind === 'pause'
        ? 'it stands still'
        : 'it goes on to its next safe point, then stands still';
    return said(context, flags, 'pause', after, `paused ${after.workflowId}: ${how}`, who);
  });
}

export async function runResume(context: Context, flags: TellFlags, id: string): Promise<ExitCode> {
  const who = speaker(context, flags, 'optional');
  return withClient(flags, async (client) => {
    const after = await client.resume(id, who);
    return said(context, flags, 'resume', after, `resumed ${after.workflowId}`, who);
  });
}

export async function runCancel(context: Context, flags: CommonFlags, id: string): Promise<ExitCode> {
  return withClient(flags, async (client: RollbackClient) => {
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
    const typed = typedWith(world, flags);
    const lines = requested
      ? [
          `cancel requested of ${view.workflowId}`,
          ...(view.status === undefined ? [] : [`It will: ${oneLine(view.status.cancelPreview)}`]),
          `Next: \`${typed(`watch ${shellWord(view.workflowId)}`)}\` to see it end`,
        ]
      : [`${view.workflowId} has ended already (${view.execution}): nothing to cancel`];
    world.stdout.write(`${lines.join('\n')}\n`);
    return EXIT.done;
  });
}

/** Who says it and why; the reason is what the next person reads in the history. */
export function speaker(
  { world }: Context,
  { by = world.user, reason = '' }: TellFlags,
  need: 'required' | 'optional' = 'required',
): { by: string; reason: string } {
  const faults: string[] = [];
  if (by.trim() === '') faults.push('--by: is empty: say who you are, such as a user name or an e-mail address');
  if (by.trim().length > 128) faults.push('--by: is longer than 128 characters');
  if (need === 'required' && reason.trim() === '') {
    faults.push('--reason: is missing: say why in a few words; the history keeps it');
  }
  if (reason.trim().length > 1_000) faults.push('--reason: is longer than 1,000 characters');
  if (faults.length > 0) throw new UsageError(...faults);
  return { by: by.trim(), reason: reason.trim() };
}

function decisionOf(text: string): Decision {
  const parsed = decisionSchema.safeParse(text);
  if (parsed.success) return parsed.data;
  throw new UsageError(
    `decision: ${JSON.stringify(text)} is not accepted: expected ${decisionSchema.options.join(', ')}`,
  );
}

function hashThatWasRead(flags: ApproveFlags): string | undefined {
  if (flags.plan !== undefined && flags.planHash !== undefined) {
    throw new UsageError('--plan-hash: the file of --plan has a hash already: leave out one of them');
  }
  if (flags.planHash !== undefined && !/^[0-9a-f]{64}$/.test(flags.planHash)) {
    throw new UsageError(
      `--plan-hash: ${JSON.stringify(flags.planHash)} is not the hash of a plan: copy the 64 digits under "planHash" of \`status -o json\``,
    );
  }
  return flags.plan === undefined ? flags.planHash : readPlanFile(flags.plan).plan.hash;
}

type WaitingForApproval = Extract<WaitingFor, { kind: 'approval' }>;

/** Says early, and with what the run does instead, what its validator would refuse anyway. */
function waitingForApproval(view: RunView, verb: string): WaitingForApproval {
  const { workflowId, execution, status } = view;
  if (execution !== 'running') {
    throw new ClientError('refused', `${workflowId} has ended already (${execution}): nothing to ${verb}`, {
      workflowId,
    });
  }
  if (status === undefined) {
    throw new ClientError('noWorker', `${workflowId}: ${view.statusUnavailable ?? 'no status'}`, { workflowId });
  }
  if (status.waitingFor?.kind === 'approval') return status.waitingFor;
  throw new ClientError('refused', `${workflowId} does not wait for approval: ${oneLine(status.headline)}`, {
    workflowId,
  });
}

function checkHash({ workflowId }: RunView, { planHash }: WaitingForApproval, read: string | undefined): void {
  if (read === undefined || read === planHash) return;
  throw new ClientError(
    'refused',
    `${workflowId} waits for approval of another plan: ${planHash}, not ${read}: read that one (\`approve\` without --yes shows it)`,
    { workflowId },
  );
}

export function said(
  context: Context,
  flags: CommonFlags,
  command: string,
  after: RunView,
  what: string,
  told: Record<string, unknown>,
): ExitCode {
  const { world } = context;
  const typed = typedWith(world, flags);
  if (flags.output === 'json') {
    json(world.stdout, { command, ...told, ...runDocument(after, typed), exitCode: EXIT.done });
    return EXIT.done;
  }
  const style = styleFor(world.stdout, world, flags.color);
  const { status } = after;
  const waiting = waitingLines(after, { style, now: world.now(), typed });
  const lines = [
    what,
    ...(status === undefined ? [] : [`Now: ${oneLine(status.headline)}`]),
    ...(waiting.length > 0 ? waiting : [`Next: \`${typed(`watch ${shellWord(after.workflowId)}`)}\` to follow it`]),
  ];
  for (const text of lines) world.stdout.write(`${line(style, text)}\n`);
  return EXIT.done;
}
