/** The table of a sweep: what ended runs have left, and what becomes of it. */
import type { SweepSchedule } from '../client.ts';
import type { SweepResult, SweepRow } from '../contract/sweep.ts';
import { formatDuration } from './durations.ts';
import type { Typed } from './next-commands.ts';
import { readableTime } from './plan-text.ts';
import { oneLine, plainPunctuation, type Style } from './terminal.ts';

const WHAT: ReadonlyMap<string, string> = new Map([
  ['safety-snapshot', 'snapshot B'],
  ['warm-up-snapshot', 'warm-up snapshot'],
  ['recovery-disk', 'recovery disk'],
]);

export interface SweepTextOptions {
  readonly style: Style;
  readonly typed: Typed;
  /** Of this region, if there is one. */
  readonly schedule: SweepSchedule | undefined;
}

export function sweepText(result: SweepResult, options: SweepTextOptions): string {
  const { style, typed } = options;
  const { color } = style;
  const lines = [color.bold(oneLine(result.summary))];
  if (result.rows.length > 0) lines.push('', ...table(result.rows, style));
  if (result.notShown > 0) lines.push('', color.yellow(`… and ${result.notShown} more, for the next sweep`));
  if (result.rows.some(({ verdict }) => verdict === 'would-delete')) {
    lines.push('', `Next: \`${typed(`sweep --region ${result.regionId} --delete`)}\` to delete what it may`);
  }
  lines.push('', scheduleText(result.regionId, options));
  const text = lines.join('\n');
  return style.utf8 ? text : plainPunctuation(text);
}

export function scheduleText(regionId: string, { schedule, typed }: Omit<SweepTextOptions, 'style'>): string {
  if (schedule === undefined) {
    return `No schedule: \`${typed(`sweep --region ${regionId} --delete --every 6h`)}\` makes one`;
  }
  const does = schedule.input.delete ? 'deletes' : 'only shows';
  const when =
    schedule.nextAt === undefined ? 'paused in Temporal' : `the next one at ${readableTime(schedule.nextAt)}`;
  return `Schedule: every ${formatDuration(schedule.everySeconds * 1_000)}, ${does}; ${when}`;
}

function table(rows: readonly SweepRow[], { color }: Style): string[] {
  const cells = [
    ['WHAT', 'ID', 'AGE', 'SIZE', 'RUN', 'VERDICT', 'WHY'],
    ...rows.map((row) => [
      WHAT.get(row.purpose) ?? oneLine(`${row.kind} ${row.purpose}`),
      row.id,
      row.createdAt === '' ? '-' : formatDuration(row.ageSeconds * 1_000),
      `${row.sizeGiB} GiB`,
      oneLine(row.workflowId) || '-',
      row.verdict,
      oneLine(row.reason),
    ]),
  ];
  const widths = (cells[0] ?? []).map((_, column) => Math.max(...cells.map((row) => row[column]?.length ?? 0)));
  return cells.map((row, index) => {
    const text = row
      .map((cell, column) => (column === row.length - 1 ? cell : cell.padEnd(widths[column] ?? 0)))
      .join('  ')
      .trimEnd();
    if (index === 0) return color.dim(text);
    const verdict = rows[index - 1]?.verdict;
    return verdict === 'deleted' ? color.green(text) : verdict === 'would-delete' ? color.yellow(text) : text;
  });
}
