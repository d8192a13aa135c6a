/** What has to be done before a run goes on, and exactly what to type for it. */
import type { RunView } from '../client.ts';
import type { Decision, WaitingFor } from '../contract/operator.ts';
import { STEP_TITLES } from '../contract/rollback.ts';
import { formatDuration } from './durations.ts';
import { count, readableTime } from './plan-text.ts';
import type { CommonFlags } from './session.ts';
import { oneLine, type Style, type Surroundings } from './terminal.ts';

/** From the words of a command to the whole line that reaches the same server as the one that is running. */
export type Typed = (words: string) => string;

export interface NextCommand {
  readonly command: string;
  readonly does: string;
}

/** How the user calls this program, and the flags that lead to the server when they were typed. */
export function typedWith(world: Pick<Surroundings, 'self'>, flags: Partial<CommonFlags>): Typed {
  const { address, namespace, profile } = flags;
  const connection = Object.entries({ address, namespace, profile })
    .filter((entry): entry is [string, string] => entry[1] !== undefined)
    .map(([name, value]) => ` --${name} ${shellWord(value)}`)
    .join('');
  return (words) => `${world.self} ${words}${connection}`;
}

/** As a POSIX shell takes it for one word. */
export const shellWord = (text: string): string =>
  /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;

type Waiting = Pick<RunView, 'workflowId' | 'phase' | 'status' | 'execution'>;

/** What an open run waits for; by its phase alone when no worker answers for it. Undefined while it goes on by itself. */
export function waitingKind(view: Waiting): WaitingFor['kind'] | undefined {
  if (view.execution !== 'running') return undefined;
  if (view.status !== undefined) return view.status.waitingFor?.kind;
  return KIND_OF_PHASE.get(view.phase ?? '');
}

const KIND_OF_PHASE: ReadonlyMap<string, WaitingFor['kind']> = new Map([
  ['awaiting-approval', 'approval'],
  ['waiting-for-lease', 'lease'],
  ['needs-operator', 'operator'],
  ['awaiting-selection', 'selection'],
  ['paused', 'pause'],
]);

const DOES: Record<Decision, string> = {
  retry: 'do the step again',
  skip: 'go on without it; believed only if its outcome is there',
  undo: 'roll the disk back onto snapshot B',
  abort: 'end the run here, and list what is missing',
  force: 'cut the power of the instance; unflushed data is lost',
  delete: 'delete them live, too; they are kept aside',
  keep: 'delete nothing, and go on',
};

/** The commands one of which has to be typed; empty while the run goes on by itself. */
export function nextCommands(view: Waiting, typed: Typed): NextCommand[] {
  const id = shellWord(view.workflowId);
  const kind = waitingKind(view);
  if (kind === undefined) return [];
  const waiting = view.status?.waitingFor;
  if (waiting === undefined) return [{ command: typed(`status ${id}`), does: 'what it waits for, once a worker runs' }];
  switch (waiting.kind) {
    case 'approval':
      return [
        { command: typed(`approve ${id} --reason '…'`), does: 'shows what it would do, asks, and lets it go on' },
        { command: typed(`reject ${id} --reason '…'`), does: 'ends it; nothing has been changed' },
      ];
    case 'selection': {
      const path = shellWord(waiting.paths[0] ?? '');
      return [
        { command: typed(`browse ${id} ${path}`), does: 'what is in a folder of the copy' },
        { command: typed(`diff ${id} ${path}`), does: 'what differs from what is live' },
        { command: typed(`find ${id} '*.sql'`), does: 'where something of that name is' },
        { command: typed(`select ${id} --path ${path} --reason '…'`), does: 'bring this back, and go on' },
      ];
    }
    case 'lease':
      // In words where the holder is just ending.
      return /\s/.test(waiting.holder)
        ? []
        : [{ command: typed(`watch ${shellWord(waiting.holder)}`), does: 'the run it waits for' }];
    case 'operator':
      return [
        ...(waiting.deletions === undefined
          ? []
          : [{ command: typed(`report ${id} --action delete`), does: 'what would be deleted, path by path' }]),
        ...waiting.choices.map((decision) => ({
          command: typed(`resolve ${id} ${decision} --reason '…'`),
          does: DOES[decision],
        })),
      ];
    case 'pause':
      break;
  }
  return [{ command: typed(`resume ${id}`), does: 'let it go on' }];
}

export interface WaitingOptions {
  readonly style: Style;
  /** Milliseconds since 1970. */
  readonly now: number;
  readonly typed: Typed;
}

/** What the run waits for, who has said what so far, and the commands, one per line. */
export function waitingLines(view: Waiting, options: WaitingOptions): string[] {
  const { style, typed } = options;
  const commands = nextCommands(view, typed);
  const width = Math.max(0, ...commands.map(({ command }) => command.length));
  return [
    ...waitingFacts(view, options),
    ...commands.map(({ command, does }) => `  ${style.color.bold(command.padEnd(width))}  ${does}`),
  ];
}

function waitingFacts(view: Waiting, { style, now }: WaitingOptions): string[] {
  const { color } = style;
  const waiting = view.status?.waitingFor;
  const kind = waitingKind(view);
  if (kind === undefined) return [];
  if (waiting === undefined) return [WORDS[kind]];
  switch (waiting.kind) {
    case 'approval':
      return [
        color.yellow(
          `${WORDS.approval}: ${waiting.approvals.length} of ${count(waiting.quorum, 'approval')} so far; refused by itself at ${readableTime(waiting.until)} (in ${formatDuration(Date.parse(waiting.until) - now)})`,
        ),
        ...waiting.approvals.map(
          ({ by, at, reason }) =>
            `  approved by ${oneLine(by)}, ${readableTime(at)}${reason === '' ? '' : `: ${oneLine(reason)}`}`,
        ),
      ];
    case 'selection':
      return [
        color.yellow(
          `${WORDS.selection}, since ${ago(waiting, now)}: at or below ${waiting.paths.map(oneLine).join(', ')}`,
        ),
      ];
    case 'lease':
      return [
        `${WORDS.lease}: ${oneLine(waiting.holder)} works on instance ${waiting.instanceId}; since ${ago(waiting, now)}`,
      ];
    case 'operator':
      return [
        color.red(color.bold(`${WORDS.operator}, since ${ago(waiting, now)}`)),
        color.red(`  ${stepTitle(waiting.step)}: ${oneLine(waiting.problem)}`),
        ...(waiting.note === undefined
          ? []
          : [color.yellow(`  the last decision was not followed: ${oneLine(waiting.note)}`)]),
      ];
    case 'pause':
      break;
  }
  return [
    color.yellow(
      `${WORDS.pause} by ${oneLine(waiting.by)}, since ${ago(waiting, now)}${waiting.reason === '' ? '' : `: ${oneLine(waiting.reason)}`}`,
    ),
  ];
}

/** In capitals, so that a line in a log is seen. */
const WORDS: Record<WaitingFor['kind'], string> = {
  approval: 'WAITING FOR APPROVAL',
  selection: 'WAITING FOR A SELECTION',
  lease: 'WAITING FOR ANOTHER RUN',
  operator: 'NEEDS AN OPERATOR',
  pause: 'PAUSED',
};

export const waitingWord = (kind: WaitingFor['kind']): string => WORDS[kind];

const ago = ({ since }: { since: string }, now: number): string => formatDuration(now - Date.parse(since));

const stepTitle = (id: string): string => STEP_TITLES.find((step) => step.id === id)?.title ?? oneLine(id);

/** Changes whenever there is something new to say about what a run waits for. */
export function waitingMark(view: Waiting): string {
  const waiting = view.status?.waitingFor;
  if (waiting === undefined || view.execution !== 'running') return '';
  switch (waiting.kind) {
    case 'approval':
      return `approval ${waiting.planHash} ${waiting.approvals.length} ${waiting.reminders}`;
    case 'selection':
      return `selection ${waiting.since}`;
    case 'lease':
      return `lease ${waiting.holder}`;
    case 'operator':
      return `operator ${waiting.since} ${waiting.step} ${waiting.problem} ${waiting.note ?? ''}`;
    case 'pause':
      break;
  }
  return `pause ${waiting.since}`;
}
