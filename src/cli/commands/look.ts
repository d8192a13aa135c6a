/** The commands that only look: status, watch, list. */
import type { RollbackClient, RunSummary, RunView } from '../../client.ts';
import { diskIdSchema } from '../../contract/ids.ts';
import { EXIT, type ExitCode, exitCodeOfView } from '../exit-codes.ts';
import { listText } from '../list-text.ts';
import { type Typed, typedWith, waitingKind } from '../next-commands.ts';
import { timeoutMs, type WaitFlags } from '../request.ts';
import { type CommonFlags, type Context, json, withClient } from '../session.ts';
import { styleFor } from '../terminal.ts';
import { UsageError } from '../usage-error.ts';
import { nextOf, showRun, waitForRun } from '../wait-for-run.ts';

export async function runStatus(context: Context, flags: CommonFlags, id: string): Promise<ExitCode> {
  return withClient(flags, async (client) => {
    const view = await client.view(id);
    showRun(context, flags, 'status', view);
    return exitCodeOfView(view);
  });
}

export async function runWatch(context: Context, flags: CommonFlags & WaitFlags, id: string): Promise<ExitCode> {
  const limit = timeoutMs(flags);
  return withClient(flags, async (client) => waitForRun(context, flags, 'watch', await client.attach(id), limit));
}

/** Runs whose own answer `list` asks for; each may take a moment, and more do not fit a screen. */
const MOST_ASKED = 10;

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
  if (flags.disk !== undefined) {
    const parsed = diskIdSchema.safeParse(flags.disk);
    const issue = parsed.error?.issues[0]?.message;
    if (issue !== undefined) throw new UsageError(`--disk: ${JSON.stringify(flags.disk)} ${issue}`);
  }
  return withClient(flags, async (client) => {
    const runs = await client.list({
      limit,
      ...(flags.disk === undefined ? {} : { diskId: flags.disk }),
      ...(flags.running === true ? { running: true } : {}),
      ...(flags.all === true ? { includePlans: true } : {}),
    });
    const { world } = context;
    const typed = typedWith(world, flags);
    const waiting = await waitingViews(client, runs);
    if (flags.output === 'json') {
      const documents = runs.map((run) => ({ ...run, ...waitingOf(waiting.get(run.runId), typed) }));
      json(world.stdout, { command: 'list', exitCode: EXIT.done, runs: documents });
    } else {
      const style = styleFor(world.stdout, world, flags.color);
      const text = listText(runs, { style, now: world.now(), typed, waiting: [...waiting.values()] });
      world.stdout.write(`${text}\n`);
    }
    return EXIT.done;
  });
}

/** What the waiting ones among the runs say themselves, by run id; a run that does not answer stays as listed. */
async function waitingViews(client: RollbackClient, runs: readonly RunSummary[]): Promise<Map<string, RunView>> {
  const waiting = runs.filter((run) => waitingKind(run) !== undefined).slice(0, MOST_ASKED);
  const views = await Promise.all(
    waiting.map(async (run): Promise<RunView> => client.view(run.workflowId).catch(() => run)),
  );
  return new Map(views.filter((view) => waitingKind(view) !== undefined).map((view) => [view.runId, view]));
}

const waitingOf = (view: RunView | undefined, typed: Typed): Record<string, unknown> =>
  view === undefined
    ? {}
    : {
        ...(view.status?.waitingFor === undefined ? {} : { waitingFor: view.status.waitingFor }),
        ...nextOf(view, typed),
      };
