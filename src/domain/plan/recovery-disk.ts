/** The recovery disk: whether the zone has one like the original, and the instance a place for it. */
import type { Disk, DiskOffer } from '../../cloud/types.ts';
import type { PlanFinding, RollbackInput, SyncInput } from '../../contract/rollback.ts';
import { blocker, warning } from './findings.ts';
import type { Observed } from './observed.ts';

/** GiB that the performance levels of cloud_essd begin at; the zone's own answer knows only the smallest of them. */
const LEAST_GIB: Readonly<Record<string, number>> = { PL0: 1, PL1: 20, PL2: 461, PL3: 1_261 };
const INSTEAD = 'roll back without paths, and fetch the data later or by hand';

export function* checkRecoveryDisk(
  { sync }: Pick<RollbackInput | SyncInput, 'sync'>,
  seen: Observed,
): Generator<PlanFinding> {
  const { disk, instance, disksOfInstance, diskLimit } = seen;
  if (disk === undefined) return;
  if (disk.serial === '' && sync?.withoutSerial === 'compare') {
    yield warning(
      'DiskWithoutSerial',
      'diskId',
      `disk ${disk.id} shows no serial number (made before June 2020): it is told apart by comparing the guest's disks before and after the attach`,
      'refused after the reset where another disk without a serial has its size',
    );
  } else if (disk.serial === '') {
    yield blocker(
      'DiskWithoutSerial',
      'diskId',
      `disk ${disk.id} shows no serial number (made before June 2020), so the guest cannot tell it apart for sure`,
      'roll back without paths and copy by hand, or let the disks before and after the attach be compared (--without-serial)',
    );
  }
  if (
    instance !== undefined &&
    disksOfInstance !== undefined &&
    diskLimit !== undefined &&
    disksOfInstance.length >= diskLimit
  ) {
    yield blocker(
      'DiskSlotsFull',
      'instanceId',
      `instance ${instance.id} (${instance.instanceType}) has ${disksOfInstance.length} of at most ${diskLimit} disks, and the recovery disk needs a place`,
      `detach one that can be spared, or ${INSTEAD}`,
    );
  }
  if (seen.offers !== undefined) yield* checkOffer(disk, seen.offers, seen.snapshot?.sourceDiskSizeGiB ?? 0);
}

function* checkOffer(disk: Disk, offers: readonly DiskOffer[], snapshotGiB: number): Generator<PlanFinding> {
  if (offers.length === 0) {
    yield warning(
      'RecoveryDiskNotChecked',
      'sync.paths',
      `zone ${disk.zoneId || '(none)'} does not say which data disks it offers`,
      'if it has none like the original, nothing can be brought back in this run; snapshot B keeps everything',
    );
    return;
  }
  const offer = offers.find(({ category }) => category === disk.category);
  if (offer?.available !== true) {
    yield blocker(
      'RecoveryDiskNotOffered',
      'sync.paths',
      `zone ${disk.zoneId} ${offer === undefined ? 'does not offer' : 'is sold out of'} data disks of category ${disk.category}, which the recovery disk would be of`,
      INSTEAD,
    );
    return;
  }
  const sizeGiB = Math.max(disk.sizeGiB, snapshotGiB);
  const least = Math.max(
    offer.minGiB ?? 0,
    (disk.category === 'cloud_essd' && LEAST_GIB[disk.performanceLevel ?? '']) || 0,
  );
  const most = offer.maxGiB ?? Number.POSITIVE_INFINITY;
  if (sizeGiB < least || sizeGiB > most) {
    yield blocker(
      'RecoveryDiskSize',
      'sync.paths',
      `a data disk of ${disk.category}${disk.performanceLevel === undefined ? '' : ` ${disk.performanceLevel}`} has ${least} to ${most} GiB, and the recovery disk would have ${sizeGiB}`,
      INSTEAD,
    );
  }
}
