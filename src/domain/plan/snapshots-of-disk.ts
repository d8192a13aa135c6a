/** All snapshots of the disk: what is in progress, and whether there is room and time for snapshot B. */
import type { Snapshot } from '../../cloud/types.ts';
import { TAG } from '../../contract/ids.ts';
import type { PlanFinding, RollbackInput } from '../../contract/rollback.ts';
import { modeOf } from '../steps.ts';
import { blocker, warning } from './findings.ts';
import { isRunning, type Observed } from './observed.ts';

/** Manual snapshots that one disk may have (the service's documented limit). */
const MANUAL_SNAPSHOTS_PER_DISK = 2_000;
/** Kept for less, B may be gone before a weekend is over. */
const SHORT_RETENTION_DAYS = 3;

export function* checkSnapshotsOfDisk(input: RollbackInput, seen: Observed): Generator<PlanFinding> {
  yield* checkNothingInProgress(input, seen);
  const manual = seen.snapshotsOfDisk.filter((snapshot) => snapshot.kind === 'manual').length;
  const wanted = modeOf(input, isRunning(seen)) === 'warm' ? 2 : 1;
  if (manual + wanted > MANUAL_SNAPSHOTS_PER_DISK) {
    yield blocker(
      'SnapshotQuotaFull',
      'diskId',
      `disk ${input.diskId} has ${manual} of at most ${MANUAL_SNAPSHOTS_PER_DISK} manual snapshots, and the run takes ${wanted}`,
      'delete some that nobody needs',
    );
  }
  if (seen.disk?.autoSnapshotPolicyId !== undefined) {
    yield warning(
      'AutoSnapshotPolicy',
      'diskId',
      `policy ${seen.disk.autoSnapshotPolicyId} takes automatic snapshots of disk ${input.diskId}`,
      'one that begins during the run makes the gate wait or close: mind its hours, or take the disk out of the policy for now',
    );
  }
  if (input.safetySnapshotRetentionDays < SHORT_RETENTION_DAYS) {
    yield warning(
      'SafetySnapshotShortLived',
      'safetySnapshotRetentionDays',
      `the cloud deletes snapshot B after ${input.safetySnapshotRetentionDays} day(s), and with it the way back`,
      'keep it longer, unless that is certainly enough',
    );
  }
}

function* checkNothingInProgress(input: RollbackInput, seen: Observed): Generator<PlanFinding> {
  for (const snapshot of seen.snapshotsOfDisk) {
    // A itself counts, too: available is not yet accomplished. That it is not even available has been said.
    if (snapshot.status !== 'progressing' || (snapshot.id === input.snapshotId && !snapshot.available)) continue;
    yield blocker(
      'SnapshotInProgress',
      'diskId',
      `snapshot ${snapshot.id} of disk ${input.diskId} is being created (${snapshot.progressPercent} %)${byWhom(snapshot)}`,
      'the reset is refused while any snapshot of the disk is unfinished, and stopping the instance would spoil it: wait for its end',
    );
  }
}

function byWhom(snapshot: Snapshot): string {
  const workflowId = snapshot.tags[TAG.workflow];
  if (workflowId !== undefined) return ` by run ${workflowId}`;
  return snapshot.kind === 'automatic' ? ' by an automatic policy' : '';
}
