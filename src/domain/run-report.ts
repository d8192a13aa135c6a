/** How a run reads in the Temporal UI: one Markdown page, its first lines enough for a tired human. */
import type { WaitingFor } from '../contract/operator.ts';
import type { RunStatus, Step } from '../contract/rollback.ts';
import { copyText, throttleText } from './copy-text.ts';

const GLYPH: Record<Step['state'], string> = { pending: '◷', running: '●', done: '✔', skipped: '○', failed: '✖' };

/** Markdown for the run's current details; at most a few kilobytes. */
export function currentDetails(status: RunStatus, workflowId: string): string {
  const lines = [
    `### ${status.headline}`,
    '',
    ...(status.waitingFor === undefined ? [] : [...whatToDo(status.waitingFor, workflowId), '']),
    ...(status.pauseAhead === true ? ['A pause was asked for: it takes effect at the next safe point.', ''] : []),
    ...(status.kind === 'rollback' ? [`**${RESET_LINE[status.resetHappened]}**`, ''] : []),
    `- Disk: \`${status.diskId}\`${status.instanceId === undefined ? '' : ` on instance \`${status.instanceId}\``} in ${status.regionId}`,
    status.kind === 'rollback'
      ? `- Snapshot A, the state to go back to: \`${status.snapshotId}\``
      : `- Snapshot the data comes from: \`${status.snapshotId}\``,
    ...(status.safetySnapshotId === undefined
      ? []
      : [`- Snapshot B, the state just before the reset: \`${status.safetySnapshotId}\``]),
    ...(status.recoveryDiskId === undefined ? [] : [`- Recovery disk made from B: \`${status.recoveryDiskId}\``]),
    ...(status.throttle === undefined ? [] : [`- ${throttleText(status.throttle)}`]),
    '',
    '#### Steps',
    ...status.steps.map(stepLine),
    ...(status.copy === undefined ? [] : ['', `**${copyText(status.copy)}**`]),
    '',
    '#### If you cancel now',
    status.cancelPreview,
    ...status.findings
      .filter((finding) => finding.severity !== 'info')
      .map(
        (finding) =>
          `\n> **${finding.code}** (${finding.severity}): ${finding.fact}${finding.remedy === undefined ? '' : ` — ${finding.remedy}`}`,
      ),
  ];
  return lines.join('\n');
}

/** What only a person, or another run, can do now; with the words to type. */
function whatToDo(waitingFor: WaitingFor, workflowId: string): string[] {
  const command = (rest: string) => `  \`ecs-rollback ${rest}\``;
  switch (waitingFor.kind) {
    case 'approval':
      return [
        `Plan \`${waitingFor.planHash.slice(0, 12)}…\` has ${waitingFor.approvals.length} of ${waitingFor.quorum} approvals${waitingFor.reminders === 0 ? '' : `; reminded ${waitingFor.reminders} times`}.`,
        ...waitingFor.approvals.map(
          ({ by, reason, at }) => `- approved by ${by} at ${at}${reason === '' ? '' : `: ${reason}`}`,
        ),
        command(`approve ${workflowId}`),
      ];
    case 'selection':
      return [
        `Look into the copy and choose, at or below ${waitingFor.paths.map((path) => `\`${path}\``).join(', ')}:`,
        command(`browse ${workflowId} ${waitingFor.paths[0] ?? ''}`),
        command(`select ${workflowId} --path … --reason …`),
      ];
    case 'lease':
      return [`Nothing has been changed. \`${waitingFor.holder}\` works on \`${waitingFor.instanceId}\` since before.`];
    case 'operator':
      return [
        `Step \`${waitingFor.step}\` has failed for good, and the run waits for a decision: ${waitingFor.choices.join(', ')}.`,
        ...(waitingFor.note === undefined ? [] : [`**${waitingFor.note}**`]),
        command(`resolve ${workflowId} ${waitingFor.choices.join('|')} --reason …`),
      ];
    case 'pause':
    default:
      return [command(`resume ${workflowId}`)];
  }
}

const RESET_LINE: Record<RunStatus['resetHappened'], string> = {
  no: 'Has the reset happened? NO — the disk still holds its newest data.',
  maybe: 'Has the reset happened? IT IS UNDER WAY — ResetDisk has been sent.',
  yes: 'Has the reset happened? YES — the disk went back to snapshot A.',
};

function stepLine(step: Step): string {
  const name = step.number === undefined ? step.title : `**Step ${step.number} of 8** ${step.title}`;
  const took =
    step.startedAt !== undefined && step.endedAt !== undefined
      ? ` (${Math.round((Date.parse(step.endedAt) - Date.parse(step.startedAt)) / 1000)} s)`
      : '';
  return `- ${GLYPH[step.state]} ${name}${took}${step.detail === undefined ? '' : `: ${step.detail}`}`;
}
