/** What one read-only pass has seen. The `plan` activity fills it in; the rules beside this file judge it. */
import type { CloudError } from '../../cloud/errors.ts';
import type { Agent, Disk, DiskOffer, Instance, Snapshot } from '../../cloud/types.ts';
import type { RollbackInput, SyncInput } from '../../contract/rollback.ts';
import type { CheckPathsResult, LookAroundResult } from '../../guest/scripts.ts';

/** Absent: the cloud did not show it, was not asked, or could not be read (`unread` says which). Sizes as in `cloud/types.ts`. */
export interface Observed {
  readonly disk?: Disk | undefined;
  /** Snapshot A. */
  readonly snapshot?: Snapshot | undefined;
  /** Whether the disk that A names as its source is there; asked when that is another disk. */
  readonly sourceDiskThere?: boolean | undefined;
  /** Every snapshot of the disk. */
  readonly snapshotsOfDisk: readonly Snapshot[];
  readonly instance?: Instance | undefined;
  /** Every disk of the instance, the original included. */
  readonly disksOfInstance?: readonly Disk[] | undefined;
  readonly agent?: Agent | undefined;
  /** How many disks the instance takes, by its type. */
  readonly diskLimit?: number | undefined;
  /** What the disk's zone offers of data disks. */
  readonly offers?: readonly DiskOffer[] | undefined;
  /** What the service would answer to the calls of the run, sent with DryRun. */
  readonly dryRuns: { readonly [C in DryRunCall]?: DryRunAnswer | undefined };
  readonly otherRuns?: OtherRuns | undefined;
  /** What the running guest says of itself and of the disk. */
  readonly guest?: LookAroundResult | undefined;
  /** What is wrong with the paths. */
  readonly paths?: CheckPathsResult['problems'] | undefined;
  /** Why a guest that should have been able to answer did not. */
  readonly guestSilence?: string | undefined;
  readonly unread: readonly Unread[];
  /** ISO 8601. */
  readonly observedAt: string;
}

export type DryRunCall = 'ResetDisk' | 'StopInstance' | 'StartInstance';
export type Refusal = Pick<CloudError, 'kind' | 'code' | 'message'>;
export type DryRunAnswer = 'passes' | Refusal;

/** A part of `Observed` that a failed read has left empty. */
export interface Unread {
  readonly part: keyof Observed | DryRunCall;
  /** One line: what was asked and what went wrong. */
  readonly message: string;
}

export interface OtherRuns {
  /** Workflow id of the run that holds the instance's lease. */
  readonly holder: string | null;
  /** Other open runs that name the instance or the disk, whether they hold the lease or wait. */
  readonly open: ReadonlyArray<{ readonly workflowId: string; readonly phase: string }>;
}

export type Target = Pick<RollbackInput | SyncInput, 'regionId' | 'diskId' | 'snapshotId' | 'instanceId' | 'sync'>;

export const couldNotRead = (seen: Observed, ...parts: ReadonlyArray<Unread['part']>): boolean =>
  seen.unread.some(({ part }) => parts.includes(part));

export const isRunning = (seen: Observed): boolean => seen.instance?.status === 'Running';

const DAY_MS = 86_400_000;

/** When the cloud deletes it, in milliseconds since 1970; undefined when it does not. */
export function expiryOf({ createdAt, retentionDays }: Snapshot): number | undefined {
  const cut = Date.parse(createdAt);
  return retentionDays === undefined || Number.isNaN(cut) ? undefined : cut + retentionDays * DAY_MS;
}

/** How a finding names snapshot A: in an undo it is the other run's snapshot B. */
export function nameOfTarget(input: Target): string {
  const undone = 'undoes' in input ? (input as RollbackInput).undoes : undefined;
  return undone === undefined
    ? `snapshot ${input.snapshotId}`
    : `snapshot B (${input.snapshotId}) of run ${undone.workflowId}`;
}
