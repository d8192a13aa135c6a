/** Snapshot A: that it is there, is usable, and is of this very disk. */
import type { Snapshot } from '../../cloud/types.ts';
import type { PlanFinding } from '../../contract/rollback.ts';
import { blocker, warning } from './findings.ts';
import { couldNotRead, expiryOf, nameOfTarget, type Observed, type Target } from './observed.ts';

/** Older ones are refused by the service (`InvalidSnapshot.TooOld`). */
const OLDEST_USABLE = Date.parse('2013-07-15T00:00:00Z');
const EXPIRES_SOON_MS = 24 * 3_600_000;

/** `use`: what the snapshot is for; a copy of a snapshot can make a disk but cannot reset one. */
export function* checkSnapshot(input: Target, seen: Observed, use: 'reset' | 'sync'): Generator<PlanFinding> {
  const { snapshot } = seen;
  if (snapshot === undefined) {
    if (!couldNotRead(seen, 'snapshot')) yield notFound(input, seen);
    return;
  }
  yield* checkOrigin(snapshot, input, seen, use);
  yield* checkState(snapshot, input, seen);
}

function notFound(input: Target, seen: Observed): PlanFinding {
  const name = nameOfTarget(input);
  return name.startsWith('snapshot B')
    ? blocker(
        'SnapshotNotFound',
        'snapshotId',
        `${name} is gone: deleted, or its retention has ended (or the worker's credentials may not see it)`,
        `without it there is no way back to before that reset; ${snapshotsToChooseFrom(input.diskId, seen)}`,
      )
    : blocker(
        'SnapshotNotFound',
        'snapshotId',
        `${name} is not in region ${input.regionId}, or the worker's credentials may not see it`,
        `check the id and the region; ${snapshotsToChooseFrom(input.diskId, seen)}`,
      );
}

function* checkOrigin(
  snapshot: Snapshot,
  input: Target,
  seen: Observed,
  use: 'reset' | 'sync',
): Generator<PlanFinding> {
  const { id, sourceDiskId, copyOf } = snapshot;
  const choose = snapshotsToChooseFrom(input.diskId, seen);
  if (copyOf !== undefined && (use === 'reset' || sourceDiskId !== input.diskId)) {
    yield blocker(
      'SnapshotCopy',
      'snapshotId',
      `snapshot ${id} is a copy of ${copyOf}`,
      `a copy cannot reset a disk: name the snapshot itself, if it is in this region; ${choose}`,
    );
    return;
  }
  if (sourceDiskId === input.diskId) return;
  if (sourceDiskId === '') {
    yield blocker(
      'SnapshotShared',
      'snapshotId',
      `snapshot ${id} names no disk that it was taken of: it is shared by another account`,
      `a shared snapshot cannot reset a disk; ${choose}`,
    );
  } else if (snapshot.sourceDiskKind === 'system' && seen.disk?.kind === 'system' && seen.sourceDiskThere === false) {
    yield blocker(
      'SnapshotOfReplacedSystemDisk',
      'snapshotId',
      `snapshot ${id} was taken of system disk ${sourceDiskId}, which is no longer there; the system disk is ${input.diskId} now`,
      `once a system disk is replaced, its snapshots cannot reset the new one: ${choose}`,
    );
  } else {
    const whose = seen.sourceDiskThere === false ? ' (which is not there, or not yours)' : '';
    yield blocker(
      'SnapshotOfAnotherDisk',
      'snapshotId',
      `snapshot ${id} was taken of disk ${sourceDiskId}${whose}, not of ${input.diskId}`,
      `a disk can be reset only to its own snapshots; ${choose}`,
    );
  }
}

function* checkState(snapshot: Snapshot, input: Target, seen: Observed): Generator<PlanFinding> {
  const { id } = snapshot;
  if (snapshot.category.toLowerCase() === 'archive') {
    yield blocker(
      'SnapshotArchived',
      'snapshotId',
      `snapshot ${id} is archived`,
      'an archived snapshot cannot be used for this; choose a standard one',
    );
  }
  if (snapshot.encrypted && seen.disk?.encrypted === false) {
    yield blocker(
      'SnapshotEncrypted',
      'snapshotId',
      `snapshot ${id} is encrypted, and disk ${input.diskId} is not`,
      `the service refuses that; ${snapshotsToChooseFrom(input.diskId, seen)}`,
    );
  }
  if (Date.parse(snapshot.createdAt) < OLDEST_USABLE) {
    yield blocker(
      'SnapshotTooOld',
      'snapshotId',
      `snapshot ${id} is of ${snapshot.createdAt}; those from before 2013-07-15 can no longer be used`,
      snapshotsToChooseFrom(input.diskId, seen),
    );
  }
  if (snapshot.status === 'failed') {
    yield blocker(
      'SnapshotFailed',
      'snapshotId',
      `snapshot ${id} has failed and holds no usable data`,
      snapshotsToChooseFrom(input.diskId, seen),
    );
  } else if (!snapshot.available) {
    yield blocker(
      'SnapshotNotReady',
      'snapshotId',
      `snapshot ${id} is unfinished (${snapshot.progressPercent} %)`,
      'wait until it is available, or choose an older one',
    );
  }
  const expiry = expiryOf(snapshot);
  if (expiry !== undefined && expiry - Date.parse(seen.observedAt) < EXPIRES_SOON_MS) {
    yield warning(
      'SnapshotExpiresSoon',
      'snapshotId',
      `the cloud deletes ${nameOfTarget(input)} at ${new Date(expiry).toISOString()}`,
      'start before then, or have it kept longer in the console',
    );
  }
}

function snapshotsToChooseFrom(diskId: string, seen: Observed): string {
  if (couldNotRead(seen, 'snapshotsOfDisk')) return `the snapshots of ${diskId} could not be read`;
  const usable = seen.snapshotsOfDisk
    .filter((snapshot) => snapshot.available)
    .sort((a, b) => b.createdAt.localeCompare(a.createdAt))
    .slice(0, 3);
  return usable.length === 0
    ? `disk ${diskId} has no usable snapshot that can be seen`
    : `the newest usable snapshots of ${diskId} are ${usable.map((s) => `${s.id} (${s.createdAt})`).join(', ')}`;
}
