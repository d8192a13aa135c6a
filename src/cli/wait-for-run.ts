/** A run shown as it is, or followed to its end, as text or as JSON. */
import { resetOf, type RunHandle, type RunView } from '../client.ts';
import { formatDuration } from './durations.ts';
import { EXIT, type ExitCode, exitCodeOfView } from './exit-codes.ts';
import { follow } from './follow.ts';
import { liveView } from './live-view.ts';
import {
  nextCommands,
  shellWord,
  type Typed,
  typedWith,
  waitingKind,
  waitingLines,
  waitingMark,
} from './next-commands.ts';
import { type CommonFlags, type Context, json, jsonLine, line } from './session.ts';
import { statusText } from './status-text.ts';
import { styleFor } from './terminal.ts';

export type StartingCommand = 'start' | 'sync' | 'undo';

/**
 * Follows a run to its end, its timeout or Ctrl-C. In JSON, `watch` prints a line per change, the others one document; a
 * run that waits for somebody is said on stderr at once, whatever the format.
 */
export async function waitForRun(
  context: Context,
  flags: CommonFlags,
  command: StartingCommand | 'watch',
  handle: RunHandle,
  limit: number | undefined,
): Promise<ExitCode> {
  const { world } = context;
  const asJson = flags.output === 'json';
  const stream = command === 'watch' && !asJson ? world.stdout : world.stderr;
  const style = styleFor(stream, world, flags.color);
  const typed = typedWith(world, flags);
  const live = liveView({ stream, style, env: world.env, typed, now: () => world.now() });
  let last = '';
  let mark = '';
  const followed = await follow(() => handle.view(), {
    signal: context.signal,
    timeoutMs: limit,
    intervalMs: world.pollMs,
    onView(view) {
      if (view.execution !== 'running') return;
      if (!asJson) {
        live.show(view);
        return;
      }
      if (waitingMark(view) !== mark) {
        mark = waitingMark(view);
        const said = waitingLines(view, { style, now: world.now(), typed });
        for (const text of said) world.stderr.write(`${line(style, text)}\n`);
      }
      if (command !== 'watch') return;
      const document = { type: lineType(view), command, ...runDocument(view, typed) };
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
      ...(followed.view === undefined ? {} : nextOf(followed.view, typed)),
    });
  }
  const why =
    followed.how === 'timeout'
      ? `still running after ${formatDuration(limit ?? 0)}; stopped waiting`
      : 'stopped waiting';
  const id = shellWord(handle.workflowId);
  world.stderr.write(
    `${line(
      style,
      `${why}; run ${handle.workflowId} continues – \`${typed(`watch ${id}`)}\` to reattach, \`${typed(`cancel ${id}`)}\` to stop it`,
    )}\n`,
  );
  // What was on the screen is gone by now, and this is what has to be done.
  if (!asJson && followed.view !== undefined) {
    const said = waitingLines(followed.view, { style, now: world.now(), typed });
    for (const text of said) world.stderr.write(`${line(style, text)}\n`);
  }
  return exitCode;
}

/** Programs that filter lines by their type must not miss a run that stands still. */
function lineType(view: RunView): 'status' | 'needs-operator' | 'needs-approval' {
  const kind = waitingKind(view);
  return kind === 'operator' ? 'needs-operator' : kind === 'approval' ? 'needs-approval' : 'status';
}

export function showRun(
  context: Context,
  flags: CommonFlags,
  command: StartingCommand | 'watch' | 'status',
  view: RunView,
  alreadyRunning?: boolean,
): void {
  const { world } = context;
  const typed = typedWith(world, flags);
  if (flags.output === 'text') {
    const options = { style: styleFor(world.stdout, world, flags.color), now: world.now(), typed };
    world.stdout.write(`${statusText(view, options)}\n`);
    return;
  }
  const write = command === 'watch' ? jsonLine : json;
  write(world.stdout, {
    ...(command === 'watch' ? { type: 'summary' } : {}),
    command,
    ...(alreadyRunning === undefined || command === 'watch' ? {} : { alreadyRunning }),
    ...runDocument(view, typed),
    exitCode: exitCodeOfView(view),
  });
}

export function runDocument(view: RunView, typed: Typed): Record<string, unknown> {
  return {
    ...view,
    ...(view.kind === 'rollback' ? { resetHappened: resetOf(view) ?? 'unknown' } : {}),
    ...(view.result === undefined ? {} : { outcome: view.result.outcome, summary: view.result.summary }),
    ...nextOf(view, typed),
  };
}

/** The commands that would let it go on, for whoever reads the document; absent while it goes on by itself. */
export function nextOf(view: RunView, typed: Typed): { next?: string[] } {
  const next = nextCommands(view, typed).map(({ command }) => command);
  return next.length === 0 ? {} : { next };
}

export const idsOf = ({ workflowId, runId, alreadyRunning }: RunHandle) => ({ workflowId, runId, alreadyRunning });
