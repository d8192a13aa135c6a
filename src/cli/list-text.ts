/** The table of `list`. */
import type { RunSummary } from '../client.ts';
import { formatDuration } from './durations.ts';
import type { Style } from './terminal.ts';

/** Aligned columns, newest first as given; a header line always. */
export function listText(runs: readonly RunSummary[], style: Style, now: number): string {
  if (runs.length === 0) return 'No runs.';
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
  return rows
    .map((row, index) => {
      const text = row
        .map((cell, column) => cell.padEnd(widths[column] ?? 0))
        .join('  ')
        .trimEnd();
      return index === 0 ? style.color.dim(text) : text;
    })
    .join('\n');
}
