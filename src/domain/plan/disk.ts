/** The original disk: its state, what it is attached to, and what becomes of it with its instance. */
import type { Disk } from '../../cloud/types.ts';
import type { PlanFinding, RollbackInput } from '../../contract/rollback.ts';
import { startsAfterReset, type ToGrow } from '../steps.ts';
import { blocker, warning } from './findings.ts';
import { couldNotRead, isRunning, type Observed, type Target } from './observed.ts';
import { checkLocks } from './locks.ts';

export function* checkDisk(input: Target, seen: Observed): Generator<PlanFinding> {
  const { disk } = seen;
  if (disk === undefined) {
    if (couldNotRead(seen, 'disk')) return;
    yield blocker(
      'DiskNotFound',
      'diskId',
      `disk ${input.diskId} is not in region ${input.regionId} (released, perhaps), or the worker's credentials may not see it`,
      'check the id and the region',
    );
    return;
  }
  yield* checkAttachment(disk, input);
  yield* checkLocks(disk.locks, 'Disk', disk.id);
  if (/^(local|ephemeral|elastic_ephemeral)/.test(disk.category)) {
    yield blocker(
      'DiskCategoryUnsupported',
      'diskId',
      `disk ${disk.id} is of category ${disk.category}, which has no snapshots and cannot be reset`,
      'bring the data back from a backup',
    );
  }
}

function* checkAttachment(disk: Disk, input: Target): Generator<PlanFinding> {
  const status = disk.status.toLowerCase();
  if (status === 'reiniting') {
    yield resetRunning(disk.id);
  } else if (disk.attachedTo.length === 0) {
    yield blocker(
      'DiskNotAttached',
      'diskId',
      `disk ${disk.id} is ${disk.status} and attached to no instance`,
      'attach it to its instance first',
    );
  } else if (disk.attachedTo.length > 1) {
    yield blocker(
      'DiskAttachedTwice',
      'diskId',
      `disk ${disk.id} is attached to ${disk.attachedTo.join(' and ')}`,
      'a disk shared by several instances is not supported: detach it from all but one',
    );
  } else if (status !== 'in_use') {
    yield blocker(
      'DiskBusy',
      'diskId',
      `disk ${disk.id} is ${disk.status}, expected In_use`,
      'wait until the other operation on it has ended',
    );
  }
  if (input.instanceId !== undefined && disk.attachedTo.length > 0 && !disk.attachedTo.includes(input.instanceId)) {
    yield blocker(
      'DiskOnAnotherInstance',
      'instanceId',
      `disk ${disk.id} is attached to ${disk.attachedTo.join(', ')}, not to ${input.instanceId}`,
      'name the instance it is attached to, or leave the instance out',
    );
  }
}

export const resetRunning = (diskId: string): PlanFinding =>
  blocker(
    'ResetRunning',
    'diskId',
    `disk ${diskId} is being reset already`,
    'wait for its end, and look what it was reset to',
  );

/** Whether the disk is larger than it was at snapshot A, and whether the guest can be asked to grow what is on it. */
export function toGrow(input: RollbackInput, seen: Observed): ToGrow {
  const { disk, snapshot, instance } = seen;
  const grown = disk !== undefined && snapshot !== undefined && disk.sizeGiB > snapshot.sourceDiskSizeGiB;
  const runs = startsAfterReset(input.powerAfter, isRunning(seen));
  return { disk: grown, guest: grown && runs && instance !== undefined && disk.serial !== '' };
}

/** What the reset means for this disk. */
export function* checkResetOfDisk(input: RollbackInput, seen: Observed): Generator<PlanFinding> {
  const { disk, snapshot } = seen;
  if (disk === undefined) return;
  if (snapshot !== undefined && disk.sizeGiB > snapshot.sourceDiskSizeGiB) {
    yield warning(
      'DiskGrownSince',
      'diskId',
      `disk ${disk.id} has grown from ${snapshot.sourceDiskSizeGiB} to ${disk.sizeGiB} GiB since snapshot A`,
      toGrow(input, seen).guest
        ? 'partition and file systems are as small as at A after the reset: the run grows them again once the instance has started'
        : 'partition and file system are as small as before after the reset: grow them again by hand',
    );
  }
  if (disk.kind === 'data' && disk.deleteWithInstance) {
    yield warning(
      'DiskGoesWithInstance',
      'diskId',
      `disk ${disk.id} is released together with its instance (DeleteWithInstance)`,
      'nothing in a run releases the instance; switch it off if the disk is to outlive it',
    );
  }
  if (disk.deleteAutoSnapshot && snapshot?.kind === 'automatic') {
    yield warning(
      'AutoSnapshotsGoWithDisk',
      'diskId',
      `snapshot A is an automatic one, and those of ${disk.id} are deleted together with the disk (DeleteAutoSnapshot)`,
      'switch it off, or keep a manual snapshot, if it is to outlive the disk',
    );
  }
  if (disk.kind === 'system') {
    const { instance } = seen;
    yield warning(
      'SystemDisk',
      'diskId',
      `${disk.id} is the system disk: host name, network, clock, package sources and the Cloud Assistant agent go back in time with it`,
      'know another way into the instance (VNC in the console) before you start',
    );
    yield warning(
      'SystemDiskLogin',
      'diskId',
      instance?.keyPairName === undefined
        ? `after the reset one logs in with the instance's current password, not with that of snapshot A`
        : `after the reset one logs in with the instance's current key pair ${instance.keyPairName}, not with what was bound to it at snapshot A`,
      'have it at hand',
    );
  }
}
