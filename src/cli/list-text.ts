/** The table of `list`, and below it what waits for somebody. */
import type { RunSummary, RunView } from '../client.ts';
import { formatDuration } from './durations.ts';
import { type WaitingOptions, waitingKind, waitingLines } from './next-commands.ts';
import { oneLine, plainPunctuation } from './terminal.ts';

export interface ListTextOptions extends WaitingOptions {
  /** Runs of the table that wait, with their own answer where they gave one. */
  readonly waiting: readonly RunView[];
}

/** Aligned columns, newest first as given; a header line always. */
export function listText(runs: readonly RunSummary[], options: ListTextOptions): string {
  if (runs.length === 0) return 'No runs.';
  const { style, now, waiting } = options;
  const rows = [
    ['RUN', 'STATE', 'PHASE', 'DISK', 'REGION', 'STARTED (UTC)', 'TOOK'],
    ...runs.map((run) => [
      run.workflowId,
      run.execution,
      run.phase ?? '-',
      run.diskId ?? '-',
      run.regionId ?? '-',
      run.startedAt.slice(0, 16).replace('T', ' '),
      formatDuration((run.closedAt === undefined ? now : Date.parse(run.closedAt)) - Date.parse(run.startedAt)),
    ]),
  ];
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)));
  const { color } = style;
  const table = rows.map((row, index) => {
    const text = row
      .map((cell, column) => cell.padEnd(widths[column] ?? 0))
      .join('  ')
      .trimEnd();
    const run = index === 0 ? undefined : runs[index - 1];
    if (run === undefined) return color.dim(text);
    const kind = waitingKind(run);
    return kind === undefined ? text : kind === 'operator' ? color.red(text) : color.yellow(text);
  });
  const below = waiting.flatMap((view) => [
    '',
    color.bold(oneLine(view.workflowId)),
    ...waitingLines(view, options).map((text) => `  ${text}`),
  ]);
  const text = [...table, ...below].join('\n');
  return style.utf8 ? text : plainPunctuation(text);
}
