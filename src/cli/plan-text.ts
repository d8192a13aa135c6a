/** A plan as text: what would happen, what leaves the disk, what comes back, and what is in the way. */
import type { ApprovalPolicy } from '../contract/operator.ts';
import type { RollbackInput, RollbackPlan, SyncInput } from '../contract/rollback.ts';
import { pathsInWords, STEP_TITLES, type SyncSelection } from '../contract/rollback.ts';
import { formatDuration } from './durations.ts';
import { oneLine, plainPunctuation, type Style } from './terminal.ts';

export function planText(plan: RollbackPlan, input: RollbackInput | SyncInput, style: Style): string {
  const { color } = style;
  const isRollback = 'powerAfter' in input;
  const of = (severity: string) => plan.findings.filter((finding) => finding.severity === severity);
  const blockers = of('blocker');
  // Said in full by "Leaves the disk" below.
  const warnings = of('warning').filter((finding) => finding.code !== 'DataLossWindow');
  const lines: string[] = [];

  const undone = isRollback ? input.undoes : undefined;
  lines.push(
    color.bold(
      undone !== undefined
        ? `Plan: undo ${undone.workflowId} by rolling disk ${plan.diskId} back to its snapshot B ${plan.snapshotId}`
        : isRollback
          ? `Plan: roll back disk ${plan.diskId} to snapshot A ${plan.snapshotId}`
          : `Plan: bring data back to disk ${plan.diskId} from snapshot ${plan.snapshotId}`,
    ),
  );
  lines.push(...facts(plan, isRollback));
  if (isRollback) {
    lines.push(`  Leaves the disk  ${lossWindow(plan, style)}`, ...requestLines(input));
    lines.push(`  At the end       ${powerAtEnd(input, plan)}`, ...policyLines(input));
  } else {
    lines.push(`  Brought back     ${broughtBack(input)}`);
  }
  if (blockers.length === 0) lines.push('', `  Steps: ${stepTitles(plan).join(' → ')}`);
  else {
    lines.push('', color.red(color.bold(`Blocked: ${count(blockers.length, 'reason')}. Nothing was changed.`)));
    for (const finding of blockers) lines.push(...findingLines(finding, color.red(style.utf8 ? '✖' : 'x')));
  }
  if (warnings.length > 0) {
    lines.push('', color.yellow(color.bold('Warnings')));
    for (const finding of warnings) lines.push(...findingLines(finding, color.yellow('!')));
  }
  for (const finding of of('info')) lines.push(...findingLines(finding, 'i'));
  if (blockers.length === 0) lines.push('', color.green('Nothing is in the way. Nothing was changed.'));
  const text = lines.join('\n');
  return style.utf8 ? text : plainPunctuation(text);
}

/** What was asked for: what is kept, and what comes back. */
export function requestLines(input: RollbackInput): string[] {
  const when = {
    cold: 'taken just before the reset',
    warm: 'taken just before the reset, after a first one while the instance still runs',
    hot: 'taken while the instance still runs; what is written after that is lost',
  }[input.snapshotMode];
  const frozen = input.freezeFileSystems ? ', with its file systems frozen for the moment' : '';
  const lock =
    input.lockSafetySnapshotDays === undefined
      ? ''
      : `; locked, so that nobody can delete it, for ${count(input.lockSafetySnapshotDays, 'day')}`;
  return [
    `  Kept             all of it in snapshot B, ${when}${frozen}, for ${count(input.safetySnapshotRetentionDays, 'day')}${lock}`,
    `  Brought back     ${broughtBack(input)}`,
  ];
}

/** What was asked for: who decides. */
export function policyLines(input: RollbackInput): string[] {
  const lines = [`  If it fails      ${failurePolicy(input)}`];
  if (input.approval !== undefined) lines.push(`  Needs            ${approvalPolicy(input.approval)}`);
  if (input.onLeaseHeld === 'wait') lines.push('  Another run      is waited for, if one works on the instance');
  return lines;
}

function failurePolicy(input: RollbackInput): string {
  const lossy = input.acceptDataLoss ? ', even if data written since would be lost' : '';
  return {
    ask: 'after the reset: waits for a decision, for as long as it takes',
    abort: 'after the reset: ends there, and says what is missing',
    undo: `after the reset: rolls back onto snapshot B${lossy}`,
  }[input.onFailureAfterReset];
}

function approvalPolicy(approval: ApprovalPolicy): string {
  const self = approval.requesterMayApprove ? '' : ', none from whoever asks';
  return `${count(approval.quorum, 'approval')}${self}, within ${formatDuration(approval.timeoutSeconds * 1_000)}`;
}

function facts(plan: RollbackPlan, isRollback: boolean): string[] {
  const { disk, instance, target } = plan;
  const lines: string[] = [];
  const level = disk?.performanceLevel === undefined || disk.performanceLevel === '' ? '' : ` ${disk.performanceLevel}`;
  lines.push(
    disk === undefined
      ? `  Disk             ${plan.diskId}: not seen in ${plan.regionId}`
      : `  Disk             ${disk.kind} disk, ${disk.sizeGiB} GiB, ${disk.category}${level}${disk.encrypted ? ', encrypted' : ''}, ${disk.zoneId}`,
  );
  if (instance !== undefined) {
    const named = instance.name === '' || instance.name === instance.id ? '' : ` "${oneLine(instance.name)}"`;
    const system = instance.osName === '' ? '' : `, ${oneLine(instance.osName)}`;
    lines.push(`  Instance         ${instance.id}${named}${system}, ${instance.wasRunning ? 'running' : 'stopped'}`);
  }
  if (target !== undefined && !isRollback) {
    lines.push(`  Snapshot         taken ${readableTime(target.createdAt)}, ${target.sizeGiB} GiB`);
  }
  return lines;
}

function lossWindow(plan: RollbackPlan, style: Style): string {
  if (plan.disk === undefined) return 'unknown: the disk was not seen';
  const cut = plan.target?.createdAt;
  if (cut === undefined || cut === '') return 'unknown: snapshot A was not seen';
  const age = Date.parse(plan.observedAt) - Date.parse(cut);
  const span = Number.isFinite(age) ? ` (${formatDuration(age)} of changes)` : '';
  return style.color.yellow(`everything written to it since ${readableTime(cut)}${span}`);
}

function broughtBack(input: RollbackInput | SyncInput): string {
  if (input.sync === undefined) return 'nothing in this run (no --path); `sync` can do it later from snapshot B';
  const rule = {
    'newer-wins': 'replacing live files only where the copy is newer',
    'keep-live': 'only what is missing on the live disk',
    'take-b': 'replacing what is live',
    both: 'as newer-wins, and the copy beside a live file that has changed, too',
  }[input.sync.conflictPolicy];
  const { include, exclude, conflictPolicy } = input.sync;
  const only = include === undefined ? '' : ` only ${include.map(oneLine).join(', ')}`;
  const without = exclude === undefined ? '' : ` without ${exclude.map(oneLine).join(', ')}`;
  const open = input.sync.openFiles === 'refuse' ? '; refused while a process writes to them' : '';
  const slow = input.sync.throttle === undefined ? '' : `; ${throttleText(input.sync.throttle)}`;
  const gone = input.sync.delete === true ? '; DELETES what was deleted from A to B' : '';
  return `${oneLine(pathsInWords(input.sync))}${only}${without} (${conflictPolicy}: ${rule}${gone}${open}${slow})`;
}

function powerAtEnd(input: RollbackInput, plan: RollbackPlan): string {
  const asFound =
    plan.instance === undefined ? 'as found' : plan.instance.wasRunning ? 'running, as found' : 'stopped, as found';
  const state = input.powerAfter === 'as-found' ? asFound : input.powerAfter;
  return `the instance is ${state}${input.forceStop ? '; the stop may be forced' : ''}`;
}

function stepTitles(plan: RollbackPlan): string[] {
  return plan.steps.map((id) => STEP_TITLES.find((step) => step.id === id)?.title ?? id);
}

/** The flag a finding is about, by its field of the request. */
const FLAG_OF: ReadonlyMap<string, string> = new Map([
  ['regionId', '--region'],
  ['diskId', '--disk'],
  ['snapshotId', '--snapshot'],
  ['instanceId', '--instance'],
  ['sync.paths', '--path'],
  ['powerAfter', '--power'],
  ['snapshotMode', '--mode'],
  ['freezeFileSystems', '--freeze'],
  ['lockSafetySnapshotDays', '--lock-days'],
  ['acceptDataLoss', '--accept-data-loss'],
  ['forceStop', '--force-stop'],
  ['safetySnapshotRetentionDays', '--retention-days'],
  ['hooks', '--hook'],
]);

export function findingLines(finding: RollbackPlan['findings'][number], mark: string): string[] {
  const flag = FLAG_OF.get(finding.field ?? '');
  const lines = [`  ${mark} ${flag === undefined ? '' : `${flag}: `}${oneLine(finding.fact)}`];
  if (finding.remedy !== undefined) lines.push(`    → ${oneLine(finding.remedy)}`);
  return lines;
}

/** `throttle` of a request, in words. */
export function throttleText({ mibPerSecond, ioClass }: NonNullable<SyncSelection['throttle']>): string {
  const rate = mibPerSecond === undefined ? '' : `at most ${mibPerSecond} MiB/s, `;
  return `${rate}I/O class ${ioClass ?? 'idle'}`;
}

export const count = (amount: number, noun: string): string => `${amount} ${noun}${amount === 1 ? '' : 's'}`;

/** `2026-11-22 03:04:05 UTC`; UTC, because the console, the API and the colleague may each be in another zone. */
export function readableTime(iso: string): string {
  const time = new Date(iso);
  return Number.isNaN(time.getTime()) ? oneLine(iso) : `${time.toISOString().slice(0, 19).replace('T', ' ')} UTC`;
}
