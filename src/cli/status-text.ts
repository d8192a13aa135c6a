/** One run as text for a tired human: what it is doing, whether the reset has happened, what to type next. */
import { resetOf, type RunView, safetySnapshotOf } from '../client.ts';
import { FAILURE } from '../contract/messages.ts';
import type {
  CopyProgress,
  CopyVerdict,
  FailureReport,
  LedgerEntry,
  NotBroughtBack,
  Step,
} from '../contract/rollback.ts';
import { formatBytes, formatDuration } from './durations.ts';
import { shellWord, type Typed, waitingKind, waitingLines, waitingMark, waitingWord } from './next-commands.ts';
import { count, throttleText } from './plan-text.ts';
import { oneLine, plainPunctuation, type Style } from './terminal.ts';

const GLYPHS: Record<Step['state'], string> = { pending: '◷', running: '●', done: '✔', skipped: '○', failed: '✖' };
/** Words where glyphs would be garbled; of equal width. */
const WORDS: Record<Step['state'], string> = {
  pending: 'wait',
  running: 'RUN ',
  done: 'ok  ',
  skipped: 'skip',
  failed: 'FAIL',
};

const RESET: Record<'no' | 'maybe' | 'yes', string> = {
  no: 'no – the disk still holds its newest data',
  maybe: 'maybe – ResetDisk was sent; its outcome is not known yet',
  yes: 'YES – the disk went back to snapshot A',
};

const UNKNOWN_RESET = 'unknown – the run does not answer; look for a finished resetDisk in its history';

export interface StatusOptions {
  readonly style: Style;
  /** Milliseconds since 1970. */
  readonly now: number;
  /** From the words of a command to what the user types. */
  readonly typed: Typed;
}

export function statusText(view: RunView, options: StatusOptions): string {
  const { style, typed } = options;
  // A step that was running when the run ended has not gone on since.
  const now = view.closedAt === undefined ? options.now : Date.parse(view.closedAt);
  const { color } = style;
  const steps = stepsOf(view);
  const lines: string[] = [];

  lines.push(
    color.bold(title(view)),
    color.dim(`${view.workflowId} · ${formatDuration(now - Date.parse(view.startedAt))}`),
  );
  // What a run says of itself while it waits begins with the word for it.
  const said = view.execution === 'running' && view.status?.waitingFor !== undefined;
  lines.push(
    said
      ? waitingPaint(view, style)(oneLine(headline(view)))
      : `${executionWord(view, style)}  ${oneLine(headline(view))}`,
  );
  if (view.kind === 'rollback') {
    const reset = resetOf(view);
    const paint = { no: color.green, maybe: color.yellow, yes: color.yellow }[reset ?? 'maybe'];
    lines.push(`RESET HAPPENED: ${paint(reset === undefined ? UNKNOWN_RESET : RESET[reset])}`);
  }
  if (view.status?.pauseAhead === true && view.execution === 'running') {
    const resume = typed(`resume ${shellWord(view.workflowId)}`);
    lines.push(color.yellow(`Pause asked for: it stands still at its next safe point (\`${resume}\` to let it go on)`));
  }
  if (view.statusUnavailable !== undefined && view.execution === 'running') {
    lines.push(color.yellow(`No live status: ${oneLine(view.statusUnavailable)}`));
  }
  for (const attempt of view.retrying ?? []) {
    lines.push(color.yellow(`Retrying ${attempt.activity} (attempt ${attempt.attempt}): ${oneLine(attempt.message)}`));
  }
  if (steps.length > 0) lines.push('', ...stepTable(steps, style, now));
  const progress = view.copyProgress ?? view.status?.copy;
  if (view.execution === 'running' && progress !== undefined) {
    lines.push('', `Copy: ${copyLine(progress, now)}`);
  }
  if (view.status?.throttle !== undefined && view.execution === 'running') {
    lines.push(`Throttle: ${throttleText(view.status.throttle)}`);
  }
  const extra = [...endLines(view, style, typed), ...ledgerLines(ledgerOf(view))];
  if (extra.length > 0) lines.push('', ...extra);
  const waiting = waitingLines(view, options);
  if (waiting.length > 0) lines.push('', ...waiting);
  const next = nextLines(view, typed);
  if (next.length > 0) lines.push('', ...next);
  const text = lines.join('\n');
  return style.utf8 ? text : plainPunctuation(text);
}

function title(view: RunView): string {
  const diskId = view.status?.diskId ?? view.diskId;
  const verb = { rollback: 'Rollback', sync: 'Sync', plan: 'Plan' }[view.kind];
  const from = view.kind === 'sync' ? 'from snapshot' : 'to snapshot A';
  const snapshotId = view.status?.snapshotId ?? view.result?.plan.snapshotId;
  const to = snapshotId === undefined ? '' : ` ${from} ${snapshotId}`;
  return diskId === undefined ? `${verb} ${view.workflowId}` : `${verb} of disk ${diskId}${to}`;
}

function headline(view: RunView): string {
  if (view.execution === 'running')
    return view.status?.headline ?? (view.phase === undefined ? '' : `phase: ${view.phase}`);
  return view.result?.summary ?? view.failure?.message ?? view.status?.headline ?? '';
}

function executionWord(view: RunView, style: Style): string {
  const { color } = style;
  if (view.execution === 'completed') {
    if (view.result?.outcome === 'completed-with-leftovers') return color.yellow('DONE, LEFTOVERS');
    if (view.result?.outcome === 'rolled-back-not-synced') return color.yellow('ROLLED BACK, NOT SYNCED');
    if (view.result?.outcome === 'undone') return color.yellow('UNDONE');
    return color.green('DONE');
  }
  const refused = WORD_OF_FAILURE.get(view.failure?.type ?? '');
  if (refused !== undefined) return color.red(refused);
  const waiting = waitingKind(view);
  if (waiting !== undefined) return waitingPaint(view, style)(waitingWord(waiting));
  const words = {
    running: color.cyan('RUNNING'),
    failed: color.red('FAILED'),
    cancelled: color.yellow('CANCELLED'),
    terminated: color.red('TERMINATED'),
    'timed-out': color.red('TIMED OUT'),
    unknown: color.red('UNKNOWN'),
  };
  return words[view.execution];
}

const waitingPaint = (view: RunView, { color }: Style) => (waitingKind(view) === 'operator' ? color.red : color.yellow);

const WORD_OF_FAILURE: ReadonlyMap<string, string> = new Map([
  [FAILURE.refused, 'REFUSED'],
  [FAILURE.planDrifted, 'REFUSED, PLAN DRIFTED'],
  [FAILURE.notApproved, 'NOT APPROVED'],
  [FAILURE.leaseHeld, 'REFUSED, INSTANCE IN USE'],
]);

function stepsOf(view: RunView): readonly Step[] {
  return view.result?.steps ?? view.failure?.report?.steps ?? view.status?.steps ?? [];
}

function ledgerOf(view: RunView): readonly LedgerEntry[] {
  return view.result?.ledger ?? view.failure?.report?.ledger ?? view.status?.ledger ?? [];
}

function stepTable(steps: readonly Step[], style: Style, now: number): string[] {
  const width = Math.max(...steps.map((step) => step.title.length));
  return steps.map((step) => {
    const took = stepDuration(step, now);
    const number = step.number === undefined ? ' ' : String(step.number);
    const detail = step.detail === undefined ? '' : `  ${oneLine(step.detail)}`;
    const faint = step.state === 'pending' || step.state === 'skipped';
    const row =
      `  ${stateMark(step.state, style)} ${number} ${step.title.padEnd(width)}  ${took.padStart(7)}${detail}`.trimEnd();
    return faint ? style.color.dim(row) : row;
  });
}

function stateMark(state: Step['state'], style: Style): string {
  const mark = style.utf8 ? GLYPHS[state] : WORDS[state];
  const { color } = style;
  if (state === 'pending' || state === 'skipped') return mark;
  return { running: color.cyan, done: color.green, failed: color.red }[state](mark);
}

export function stepDuration(step: Step, now: number): string {
  if (step.startedAt === undefined) return '';
  const end = step.endedAt === undefined ? (step.state === 'running' ? now : undefined) : Date.parse(step.endedAt);
  return end === undefined ? '' : formatDuration(end - Date.parse(step.startedAt));
}

export function copyLine(progress: CopyProgress, now = Date.now()): string {
  const { stage, filesDone, filesTotal, bytesDone, bytesTotal, bytesPerSecond, secondsLeft, changedAt } = progress;
  if (stage === 'scanning') return `scanning, ${filesDone} entries so far${sinceChange(changedAt, now)}`;
  // All of a stage's bytes may be there while it is not over yet.
  const percent = stage === 'done' ? 100 : Math.min(99, Math.floor((bytesDone / bytesTotal) * 100));
  return [
    `${stage}, ${filesDone} of ${count(filesTotal, 'file')}`,
    `${formatBytes(bytesDone)} of ${formatBytes(bytesTotal)}${bytesTotal > 0 ? ` (${percent} %)` : ''}`,
    ...(bytesPerSecond === undefined ? [] : [`${formatBytes(bytesPerSecond)}/s`]),
    ...(secondsLeft === undefined ? [] : [`${formatDuration(secondsLeft * 1_000)} left`]),
  ]
    .join(', ')
    .concat(sinceChange(changedAt, now));
}

/** Only what takes longer than a look or two is worth a word. */
function sinceChange(changedAt: string | undefined, now: number): string {
  const ms = changedAt === undefined ? 0 : now - Date.parse(changedAt);
  return ms >= 20_000 ? `; nothing has changed for ${formatDuration(ms)}` : '';
}

/** What the receipt says about entries of which something may be missed. */
const NOT_BROUGHT_BACK: ReadonlyArray<readonly [CopyVerdict, string]> = [
  ['conflict', 'changed from A to B and live since the reset'],
  ['live-is-newer', 'live with a later time than in B'],
  ['changed-live', 'changed live since the reset, not from A to B'],
  ['deleted-live', 'deleted live since the reset, in B as in A'],
  ['deleted-since-A', 'back from A, deleted before B'],
  ['immutable', 'not brought: a live entry or folder is marked immutable or append-only (chattr)'],
  ['not-in-B', 'in the list, and not in B'],
  ['directory-in-the-way', 'a live directory is in the way of a file'],
];

function endLines(view: RunView, style: Style, typed: Typed): string[] {
  const lines: string[] = [];
  const receipt = view.result?.receipt ?? view.status?.receipt;
  if (receipt !== undefined) {
    const verdict = receipt.verified ? style.color.green('verified') : style.color.red('NOT VERIFIED');
    lines.push(
      `Brought back: ${count(receipt.filesCopied, 'file')}, ${formatBytes(receipt.bytesCopied)}; ${verdict} by content; ` +
        `${count(receipt.filesKeptLive, 'live file')} kept`,
    );
    for (const [verdict, meaning] of NOT_BROUGHT_BACK) {
      const told = receipt.verdicts?.[verdict];
      if (told !== undefined) lines.push(`  ${count(told.entries, 'path')}, ${formatBytes(told.bytes)}: ${meaning}`);
    }
    lines.push(...missingLines(receipt.notBroughtBack));
    if (receipt.report !== undefined) {
      lines.push(
        `Path by path: \`${typed(`report ${shellWord(view.workflowId)}`)}\` (${count(receipt.report.entries, 'path')}; --action keep,left for what was not brought back)`,
      );
    } else if (receipt.notBroughtBack !== undefined) {
      lines.push(style.color.yellow('Path by path: not kept, /var/lib/ecs-rollback of the guest had no room for it'));
    }
    if (receipt.openFiles !== undefined) {
      const { files, processes, paths } = receipt.openFiles;
      lines.push(
        style.color.yellow(
          `Open for writing while it was copied: ${count(files, 'live file')}, by ${oneLine(processes)}, such as ${paths.map(oneLine).join(', ')}; hooks at beforeCopy and afterCopy can stop and start it`,
        ),
      );
    }
    for (const { folder, files } of receipt.aside ?? []) {
      lines.push(`Kept aside: ${count(files, 'file')} that were replaced or deleted, in ${oneLine(folder)}`);
    }
    if ((receipt.aside ?? []).length > 0 && view.execution !== 'running') {
      const id = shellWord(view.workflowId);
      lines.push(`  \`${typed(`restore ${id}`)}\` puts them back, \`${typed(`close ${id}`)}\` removes them`);
    }
    for (const mismatch of receipt.mismatches.slice(0, 10)) lines.push(`  differs: ${oneLine(mismatch)}`);
    if (receipt.mismatches.length > 10) lines.push(`  … and ${receipt.mismatches.length - 10} more`);
  }
  for (const { at, exitCode, timedOut, outputFile } of view.result?.hooks ?? []) {
    const how = timedOut ? 'ended at its time limit' : `status ${exitCode}`;
    lines.push(`Hook ${at}: ${how}; output in ${outputFile} of the guest`);
  }
  const leftovers = view.result?.leftovers ?? view.failure?.report?.leftovers ?? [];
  if (leftovers.length > 0) {
    lines.push(style.color.yellow(`Left over, to be removed by hand: ${leftovers.map(oneLine).join(', ')}`));
  }
  lines.push(...blockerLines(view.failure?.report, style));
  return lines;
}

/** What is lost, as far as only snapshot B has it, once the recovery disk is gone. */
function missingLines(missing: NotBroughtBack | undefined): string[] {
  if (missing === undefined) return [];
  const { entries, bytes, folders, notCompared = [] } = missing;
  const unknown = notCompared.map((what) => `  not compared: ${oneLine(what)}`);
  if (entries === 0) {
    const all = unknown.length === 0 ? 'all that B has is live' : 'all that was compared is live';
    return [`Not brought back: nothing, ${all}`, ...unknown];
  }
  const shown = folders.slice(0, 5);
  const rest = entries - shown.reduce((sum, folder) => sum + folder.entries, 0);
  return [
    `Not brought back, and in B only: ${count(entries, 'path')}, ${formatBytes(bytes)}`,
    ...shown.map((at) => `  ${count(at.entries, 'path')}, ${formatBytes(at.bytes)} in ${oneLine(at.folder)}`),
    ...(rest > 0 ? [`  ${count(rest, 'path')} elsewhere`] : []),
    ...unknown,
  ];
}

function blockerLines(report: FailureReport | undefined, style: Style): string[] {
  return (report?.plan?.findings ?? [])
    .filter((finding) => finding.severity === 'blocker')
    .flatMap((finding) => [
      `${style.color.red(style.utf8 ? '✖' : 'x')} ${oneLine(finding.fact)}`,
      ...(finding.remedy === undefined ? [] : [`  → ${oneLine(finding.remedy)}`]),
    ]);
}

function ledgerLines(ledger: readonly LedgerEntry[]): string[] {
  const what = {
    'safety-snapshot': 'Snapshot B',
    'warm-up-snapshot': 'Warm-up snapshot',
    'recovery-disk': 'Recovery disk',
  };
  return ledger.map((entry) => {
    const note = entry.note === undefined ? '' : ` – ${oneLine(entry.note)}`;
    return `${what[entry.purpose]} ${entry.id ?? '(no id yet)'}: ${entry.state}${note}`;
  });
}

function nextLines(view: RunView, typed: Typed): string[] {
  const id = shellWord(view.workflowId);
  if (view.execution === 'running') {
    const preview = view.status === undefined ? [] : [`Cancel now would: ${oneLine(view.status.cancelPreview)}`];
    return [
      ...preview,
      `Next: \`${typed(`watch ${id}`)}\` to follow it`,
      `      \`${typed(`cancel ${id}`)}\` to stop it`,
    ];
  }
  const { result, failure } = view;
  const snapshotB = safetySnapshotOf(view);
  const plan = result?.plan ?? failure?.report?.plan;
  const lines: string[] = [];
  if (result?.outcome === 'rolled-back-not-synced' && plan !== undefined && snapshotB !== undefined) {
    const sync = `sync --region ${plan.regionId} --disk ${plan.diskId} --snapshot ${snapshotB} --path …`;
    lines.push(`Next: \`${typed(sync)}\` to bring the data back`);
  }
  const asAsked = result !== undefined && result.outcome !== 'rolled-back-not-synced';
  if (view.kind === 'rollback' && snapshotB !== undefined && !asAsked && resetOf(view) !== 'no') {
    const label = lines.length === 0 ? 'Next:' : '     ';
    lines.push(`${label} \`${typed(`undo ${id}`)}\` to roll the disk back onto snapshot B`);
  }
  return lines;
}

/** One line per change between two looks at a run; for logs, where nothing can be redrawn. */
export function transitions(before: RunView | undefined, after: RunView, options: StatusOptions): string[] {
  const { style, now, typed } = options;
  const lines: string[] = [];
  const known = new Map(before === undefined ? [] : stepsOf(before).map((step) => [step.id, step.state]));
  for (const step of stepsOf(after)) {
    const was = known.get(step.id) ?? 'pending';
    if (step.state === was || step.state === 'pending') continue;
    const number = step.number === undefined ? '' : `step ${step.number}: `;
    const took = step.state === 'done' || step.state === 'failed' ? stepDuration(step, now) : '';
    const tail = [took === '' ? '' : ` (${took})`, step.detail === undefined ? '' : `: ${oneLine(step.detail)}`].join(
      '',
    );
    lines.push(`${stateMark(step.state, style)} ${number}${step.title}${tail}`);
  }
  const reset = after.status?.resetHappened;
  if (after.kind === 'rollback' && reset !== undefined && reset !== (before?.status?.resetHappened ?? 'no')) {
    lines.push(`RESET HAPPENED: ${RESET[reset]}`);
  }
  if (waitingMark(after) !== (before === undefined ? '' : waitingMark(before))) {
    const waiting = waitingLines(after, { style, now, typed });
    if (waiting.length > 0) lines.push(...waiting);
    else if (after.execution === 'running') lines.push('goes on');
  }
  const retrying = after.retrying?.map((attempt) => attempt.message).join();
  if (retrying !== before?.retrying?.map((attempt) => attempt.message).join()) {
    for (const attempt of after.retrying ?? []) {
      lines.push(`retrying ${attempt.activity} (attempt ${attempt.attempt}): ${oneLine(attempt.message)}`);
    }
  }
  if (after.execution === 'running' && after.statusUnavailable !== before?.statusUnavailable) {
    lines.push(
      after.statusUnavailable === undefined
        ? 'live status is back'
        : `no live status: ${oneLine(after.statusUnavailable)}`,
    );
  }
  return style.utf8 ? lines : lines.map(plainPunctuation);
}
