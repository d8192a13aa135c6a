/**
 * What a sweep may delete. Every rule must hold; the first that does not says why a thing is kept. The activity that deletes
 * asks the same rules again of what it sees then.
 */
import type { SweepInput, SweepRow, SweepVerdict } from '../contract/sweep.ts';

/** What is known of the run that made a thing. `unknown`: Temporal has no run of that id (any more, or in this namespace). */
export type RunState = 'open' | 'closed' | 'unknown';

/** One tagged thing and all that the rules ask about. */
export interface Leftover {
  readonly kind: 'disk' | 'snapshot';
  readonly id: string;
  readonly status: string;
  /** Tag values; empty where the tag is missing. */
  readonly purpose: string;
  readonly runId: string;
  readonly workflowId: string;
  readonly expiresAt?: string;
  readonly createdAt: string;
  readonly sizeGiB: number;
  readonly attachedTo: readonly string[];
  /** Of a disk: `data`, or it is not ours. */
  readonly diskKind?: 'system' | 'data';
  /** Of a disk: the snapshot it was made from, and the disk that is of, when it can still be seen. */
  readonly madeFrom?: { readonly snapshotId: string; readonly diskId?: string };
  /** Of a disk: snapshots of ours that were taken of it. A disk that has any is some run's original. */
  readonly snapshotsOfIt: readonly string[];
  readonly run: RunState;
  /** Workflow ids of open runs that have to do with it: its own, or one on the disk that it is a copy or a snapshot of. */
  readonly openRuns: readonly string[];
  /** Of an attached disk: the instance, its power state, its agent, and the run that holds it. */
  readonly host?: {
    readonly instanceId: string;
    readonly status: string;
    readonly agentOnline: boolean;
    readonly heldBy: string | null;
  };
}

type Choices = Pick<SweepInput, 'releaseAttached' | 'minAgeSeconds'>;

export interface Rule {
  readonly name: string;
  /** Why the thing is kept, or null when the rule has nothing against its end. */
  readonly keeps: (leftover: Leftover, choices: Choices, observedAt: string) => string | null;
}

const ageSeconds = ({ createdAt }: Leftover, observedAt: string): number =>
  Math.max(0, Math.floor((Date.parse(observedAt) - Date.parse(createdAt)) / 1000)) || 0;

/** No date is before every other: what never said when it expires has not. */
const expired = ({ expiresAt }: Leftover, observedAt: string): boolean =>
  expiresAt !== undefined && Date.parse(expiresAt) < Date.parse(observedAt);

const isAttached = ({ attachedTo }: Leftover): boolean => attachedTo.length > 0;

export const RULES: readonly Rule[] = [
  {
    name: 'ours',
    keeps: ({ purpose, runId, workflowId }) =>
      purpose !== '' && runId !== '' && workflowId !== '' ? null : 'it does not carry all three tags of a run',
  },
  {
    name: 'temporary',
    keeps: ({ kind, purpose, expiresAt }) => {
      if (kind === 'disk' ? purpose === 'recovery-disk' : purpose === 'warm-up-snapshot') return null;
      return purpose === 'safety-snapshot'
        ? `a safety snapshot is never swept${expiresAt === undefined ? '' : `: the cloud deletes it after ${expiresAt}`}`
        : `${purpose} is not the purpose of a temporary ${kind}`;
    },
  },
  {
    name: 'run ended',
    keeps: ({ openRuns }) => (openRuns.length === 0 ? null : `run ${openRuns.join(', ')} is open`),
  },
  {
    name: 'run known',
    keeps: (leftover, _, observedAt) =>
      leftover.run !== 'unknown' || expired(leftover, observedAt)
        ? null
        : `this Temporal namespace knows no run ${leftover.workflowId}: it may be another's, until ${leftover.expiresAt ?? 'somebody deletes it by hand'}`,
  },
  {
    name: 'old enough',
    keeps: (leftover, { minAgeSeconds }, observedAt) => {
      if (leftover.createdAt === '') return 'it is still being made';
      const age = ageSeconds(leftover, observedAt);
      return age >= minAgeSeconds ? null : `it is ${age} s old, younger than ${minAgeSeconds} s`;
    },
  },
  {
    name: 'not an original disk',
    keeps: ({ kind, snapshotsOfIt, diskKind }) => {
      if (kind === 'snapshot') return null;
      if (diskKind !== 'data') return 'it is not a data disk';
      return snapshotsOfIt.length === 0
        ? null
        : `it is an original disk: ${snapshotsOfIt.slice(0, 3).join(', ')} was taken of it by a run`;
    },
  },
  {
    name: 'made from a snapshot of another disk',
    keeps: ({ kind, id, madeFrom }) => {
      if (kind === 'snapshot') return null;
      if (madeFrom === undefined) return 'it was not made from a snapshot';
      if (madeFrom.diskId === undefined) {
        return `snapshot ${madeFrom.snapshotId}, which it was made from, is not to be seen any more: delete it by hand`;
      }
      return madeFrom.diskId === id ? `it was made from a snapshot of itself (${madeFrom.snapshotId})` : null;
    },
  },
  {
    name: 'settled',
    keeps: ({ kind, status }) => {
      const settled =
        kind === 'disk' ? ['available', 'in_use'].includes(status.toLowerCase()) : status !== 'progressing';
      return settled ? null : `it is ${status}`;
    },
  },
  {
    name: 'detached, or to be released',
    keeps: (leftover, { releaseAttached }) => {
      if (!isAttached(leftover)) return leftover.status.toLowerCase() === 'in_use' ? 'it is In_use' : null;
      const { attachedTo, host } = leftover;
      if (!releaseAttached) return `it is attached to ${attachedTo.join(', ')}: a sweep that releases would free it`;
      if (attachedTo.length > 1) return `it is attached to ${attachedTo.join(', ')}`;
      if (host === undefined) return `instance ${attachedTo.join(', ')} is not to be seen`;
      if (host.heldBy !== null) return `run ${host.heldBy} works on ${host.instanceId}`;
      if (host.status === 'Stopped' || (host.status === 'Running' && host.agentOnline)) return null;
      return host.status === 'Running'
        ? `the Cloud Assistant agent of ${host.instanceId} is offline, so it cannot be unmounted`
        : `instance ${host.instanceId} is ${host.status}`;
    },
  },
  {
    name: 'release of a known run',
    keeps: (leftover) =>
      isAttached(leftover) && leftover.run === 'unknown'
        ? `it is attached, and this Temporal namespace knows no run ${leftover.workflowId}: release it by hand`
        : null,
  },
];

/** Whether every rule lets it go; `reason` says which does not, or what it is. */
export function judge(
  leftover: Leftover,
  choices: Choices,
  observedAt: string,
  rules: readonly Rule[] = RULES,
): { readonly doomed: boolean; readonly reason: string } {
  for (const { keeps } of rules) {
    const reason = keeps(leftover, choices, observedAt);
    if (reason !== null) return { doomed: false, reason };
  }
  return {
    doomed: true,
    reason: `left over by run ${leftover.workflowId}, which has ended${isAttached(leftover) ? `; attached to ${leftover.attachedTo.join(', ')}` : ''}`,
  };
}

export function rowOf(leftover: Leftover, observedAt: string, verdict: SweepVerdict, reason: string): SweepRow {
  const { kind, id, purpose, runId, workflowId, createdAt, sizeGiB, attachedTo, expiresAt } = leftover;
  return {
    kind,
    id,
    purpose,
    runId,
    workflowId,
    createdAt,
    ageSeconds: ageSeconds(leftover, observedAt),
    sizeGiB,
    attachedTo,
    ...(expiresAt === undefined ? {} : { expiresAt }),
    verdict,
    reason,
  };
}

/** Temporary things first, then what is kept for long; the oldest first. */
export const inOrder = (a: Leftover, b: Leftover): number =>
  Number(a.purpose === 'safety-snapshot') - Number(b.purpose === 'safety-snapshot') ||
  (a.createdAt || '9').localeCompare(b.createdAt || '9') ||
  a.id.localeCompare(b.id);

const counted = (count: number, thing: string) => `${count} ${thing}${count === 1 ? '' : 's'}`;

export function sweepSummary(regionId: string, rows: readonly SweepRow[], asked: { delete: boolean }): string {
  const of = (verdict: SweepVerdict) => rows.filter((row) => row.verdict === verdict);
  const kept = of('kept').filter(({ purpose }) => purpose !== 'safety-snapshot').length;
  const safety = rows.filter(({ purpose }) => purpose === 'safety-snapshot').length;
  const gone = asked.delete
    ? `${counted(of('deleted').length, 'leftover')} deleted`
    : `${counted(of('would-delete').length, 'leftover')} would be deleted`;
  return `${regionId}: ${gone}, ${counted(kept, 'temporary thing')} kept; ${counted(safety, 'safety snapshot')} left to the cloud.`;
}

/** Rows that the details of a sweep have room for. */
const ROWS_SHOWN = 40;

const age = (seconds: number): string => {
  if (seconds < 3_600) return `${Math.floor(seconds / 60)} min`;
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)} h` : `${Math.floor(seconds / 86_400)} d`;
};

/** Markdown for the sweep's current details. */
export function sweepDetails(headline: string, rows: readonly SweepRow[]): string {
  const shown = rows.slice(0, ROWS_SHOWN);
  return [
    `### ${headline}`,
    '',
    ...(rows.length === 0 ? [] : ['| what | age | size | run | verdict |', '|---|---|---|---|---|']),
    ...shown.map(
      (row) =>
        `| \`${row.id}\` ${row.purpose} | ${age(row.ageSeconds)} | ${row.sizeGiB} GiB | \`${row.workflowId}\` | **${row.verdict}**: ${row.reason.replaceAll('|', '\\|')} |`,
    ),
    ...(rows.length > shown.length ? ['', `… and ${rows.length - shown.length} more, in the result.`] : []),
  ].join('\n');
}
