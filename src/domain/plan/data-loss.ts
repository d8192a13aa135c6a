/** What leaves the disk with the reset. */
import type { Disk, Instance, Snapshot } from '../../cloud/types.ts';
import { pathsInWords, type PlanFinding, type RollbackInput } from '../../contract/rollback.ts';
import { modeOf } from '../steps.ts';
import { blocker, warning } from './findings.ts';
import { isRunning, nameOfTarget, type Observed } from './observed.ts';

export function* checkDataLoss(input: RollbackInput, seen: Observed): Generator<PlanFinding> {
  const { disk, snapshot } = seen;
  if (disk === undefined || snapshot === undefined) return;
  const kept = `snapshot B keeps all of it for ${input.safetySnapshotRetentionDays} days`;
  yield warning(
    'DataLossWindow',
    'snapshotId',
    `everything written to ${disk.id} since ${snapshot.createdAt} leaves the disk with the reset`,
    input.sync === undefined
      ? `${kept}; nothing is brought back in this run`
      : `${pathsInWords(input.sync)} will be brought back; ${kept}`,
  );
  if (modeOf(input, isRunning(seen)) === 'hot') {
    yield warning(
      'LostBeforeStop',
      'snapshotMode',
      'in mode hot, what is written between snapshot B and the stop is lost for good',
      'choose mode warm for a short downtime, or cold, which both lose nothing',
    );
  }
  if (input.undoes !== undefined) {
    const since = writtenSince(snapshot, disk, seen.instance);
    if (since !== undefined) {
      const say = input.acceptDataLoss ? warning : blocker;
      yield say(
        'DataSinceWouldBeLost',
        'acceptDataLoss',
        `${nameOfTarget(input)} is of ${snapshot.createdAt}, and ${since}`,
        input.acceptDataLoss
          ? `accepted: what was written since leaves the disk, and ${kept}`
          : 'accept the loss (acceptDataLoss, --accept-data-loss); the undo takes a safety snapshot of its own first, which keeps it',
      );
    }
  }
}

/** Why the disk has, or may have, been written to since the snapshot; undefined when it cannot have been. */
function writtenSince(snapshot: Snapshot, disk: Disk, instance: Instance | undefined): string | undefined {
  if (instance === undefined) return 'whether the disk was written to since cannot be known';
  if (instance.status !== 'Stopped')
    return `instance ${instance.id} is ${instance.status} and may have written to ${disk.id} since`;
  const cut = Date.parse(snapshot.createdAt);
  if (!(Date.parse(instance.startedAt) < startOfMinute(cut))) {
    return instance.startedAt === ''
      ? `whether instance ${instance.id} has written to ${disk.id} since cannot be known`
      : `instance ${instance.id} was started since (${instance.startedAt}) and may have written to ${disk.id}`;
  }
  // On another instance in between it could have been written to there.
  if (disk.attachedAt !== undefined && !(Date.parse(disk.attachedAt) < cut)) {
    return `disk ${disk.id} was attached anew since (${disk.attachedAt}): whether it was written to elsewhere cannot be known`;
  }
  return undefined;
}

/** The service gives the time of a start to the minute only. */
const startOfMinute = (time: number): number => Math.floor(time / 60_000) * 60_000;
