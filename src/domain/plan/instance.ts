/** The instance: its state, what may happen to it while it is stopped, and its other disks. */
import type { Disk, Instance } from '../../cloud/types.ts';
import { TAG } from '../../contract/ids.ts';
import type { PlanFinding, RollbackInput } from '../../contract/rollback.ts';
import { startsAfterReset } from '../steps.ts';
import { blocker, warning } from './findings.ts';
import { checkLocks } from './locks.ts';
import { couldNotRead, isRunning, type Observed, type Target } from './observed.ts';

/** Set by Auto Scaling on the instances of a group. */
const SCALING_GROUP_TAG = 'acs:autoscaling:scalingGroupId';

export function* checkInstance(input: Target, seen: Observed): Generator<PlanFinding> {
  const { disk, instance } = seen;
  if (instance === undefined) {
    const id = input.instanceId ?? disk?.attachedTo[0];
    if (id !== undefined && !couldNotRead(seen, 'instance')) {
      yield blocker(
        'InstanceNotFound',
        'instanceId',
        `instance ${id} is not in region ${input.regionId}, or the worker's credentials may not see it`,
        'check the id, the region and the RAM policy',
      );
    }
    return;
  }
  if (instance.status !== 'Running' && instance.status !== 'Stopped') {
    yield blocker(
      'InstanceBusy',
      'instanceId',
      `instance ${instance.id} is ${instance.status}, expected Running or Stopped`,
      'wait until it has settled',
    );
  }
  yield* checkLocks(instance.locks, 'Instance', instance.id);
}

/** What stopping it, resetting one of its disks and starting it again mean for this instance. */
export function* checkPowerCycle(input: RollbackInput, seen: Observed): Generator<PlanFinding> {
  const { instance } = seen;
  if (instance === undefined) return;
  if (instance.status === 'Stopped' && instance.stoppedMode === 'StopCharging') {
    yield blocker(
      'EconomicalMode',
      'instanceId',
      `instance ${instance.id} was stopped in economical mode (StopCharging): its capacity is given up, and it may not start again after the reset`,
      'start it, and let the run stop it: that keeps its capacity (KeepCharging) whatever the default of the account is',
    );
  }
  const group = instance.tags[SCALING_GROUP_TAG];
  if (group !== undefined) {
    yield warning(
      'InstanceInScalingGroup',
      'instanceId',
      `instance ${instance.id} belongs to scaling group ${group}, which replaces and releases members that are stopped, with their system disk`,
      'put it into Standby, or protect it, in Auto Scaling before you start',
    );
  }
  if (instance.releasedAt !== undefined) {
    yield warning(
      'InstanceWillBeReleased',
      'instanceId',
      `the service releases instance ${instance.id} by itself at ${instance.releasedAt}`,
      'take the automatic release off if the run may last that long, or if the instance is to stay',
    );
  }
  yield* checkOtherDisks(instance, input, seen);
}

function* checkOtherDisks(instance: Instance, input: RollbackInput, seen: Observed): Generator<PlanFinding> {
  const ofDisk = new Set([input.snapshotId, ...seen.snapshotsOfDisk.map(({ id }) => id)]);
  const others = (seen.disksOfInstance ?? []).filter(({ id }) => id !== input.diskId);
  const isCopy = ({ sourceSnapshotId }: Disk) => sourceSnapshotId !== undefined && ofDisk.has(sourceSnapshotId);
  const boots = startsAfterReset(input.powerAfter, isRunning(seen));
  for (const copy of others.filter(isCopy)) {
    const run = copy.tags[TAG.workflow];
    const say = boots ? blocker : warning;
    yield say(
      'CopyAttached',
      'instanceId',
      `disk ${copy.id}, made from snapshot ${copy.sourceSnapshotId} of ${input.diskId}${run === undefined ? '' : ` by run ${run}`}, is attached to ${instance.id}: with the same file system ids, a boot may mount it in place of the original`,
      run === undefined
        ? 'unmount and detach it before the instance starts again'
        : 'wait for that run, or unmount and detach it (`sweep --delete --release-attached` does, once the run has ended)',
    );
  }
  const stay = others.filter((disk) => disk.kind === 'data' && !isCopy(disk)).map(({ id }) => id);
  if (stay.length > 0) {
    yield warning(
      'OtherDisksStay',
      'diskId',
      `${stay.join(', ')} of the same instance ${stay.length === 1 ? 'keeps its' : 'keep their'} state of today`,
      'if an application has its files on several disks, they no longer fit together: roll all of them back, or repair it afterwards',
    );
  }
}
