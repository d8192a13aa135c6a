/** What somebody approves: the run's request, what its plan found, and who has approved so far. */
import type { RunView } from '../client.ts';
import type { WaitingFor } from '../contract/operator.ts';
import type { RollbackInput, SyncInput } from '../contract/rollback.ts';
import { formatDuration } from './durations.ts';
import { count, findingLines, policyLines, readableTime, requestLines } from './plan-text.ts';
import { oneLine, plainPunctuation, type Style } from './terminal.ts';

export function approvalText(
  view: RunView,
  waiting: Extract<WaitingFor, { kind: 'approval' }>,
  input: RollbackInput | SyncInput | undefined,
  { style, now }: { readonly style: Style; readonly now: number },
): string {
  const { color } = style;
  const { status } = view;
  const lines: string[] = [];
  lines.push(
    color.bold(
      `Approval of ${view.workflowId}: roll back disk ${status?.diskId ?? '?'} to snapshot A ${status?.snapshotId ?? '?'}`,
    ),
  );
  if (status?.instanceId !== undefined) lines.push(`  Instance         ${status.instanceId} in ${status.regionId}`);
  lines.push(`  Asked for by     ${oneLine(input?.requestedBy ?? 'unknown')}, ${readableTime(view.startedAt)}`);
  if (input !== undefined && 'powerAfter' in input) lines.push(...requestLines(input), ...policyLines(input));
  lines.push(`  Plan             ${waiting.planHash}`);
  const approved = waiting.approvals.map(({ by }) => oneLine(by)).join(', ');
  lines.push(
    `  Approvals        ${waiting.approvals.length} of ${count(waiting.quorum, 'approval')}${approved === '' ? '' : ` (${approved})`}; refused by itself at ${readableTime(waiting.until)} (in ${formatDuration(Date.parse(waiting.until) - now)})`,
  );
  const findings = (status?.findings ?? []).filter((finding) => finding.severity !== 'info');
  if (findings.length > 0) {
    lines.push('', color.yellow(color.bold('What the plan found')));
    for (const finding of findings) lines.push(...findingLines(finding, color.yellow('!')));
  }
  const text = lines.join('\n');
  return style.utf8 ? text : plainPunctuation(text);
}
