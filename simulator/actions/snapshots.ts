/** Snapshots: describe, create, delete. The bytes are copied when the point in time is cut, some seconds after the call. */
import type { Region } from '../engine/region.ts';
import { ApiError, invalidParameter } from '../protocol/api-error.ts';
import { isEssdFamily, isoSeconds, type SnapshotLock, type SnapshotState } from '../state/model.ts';
import {
  descriptionOf,
  findDisk,
  findInstance,
  findSnapshot,
  type Handler,
  incorrectDiskStatus,
  matchesName,
  matchesTags,
  nameOf,
  oneOf,
  refuseDryRun,
  refuseLockedDisk,
  refuseLockedInstance,
  tagsOf,
  unfinishedSnapshots,
  wireTags,
} from './call.ts';
import { page } from './paging.ts';

const manualSnapshotLimit = 2_000;

function progressOf(region: Region, snapshot: SnapshotState): number {
  if (snapshot.status === 'accomplished') return 100;
  if (snapshot.status === 'failed' || snapshot.createdAt === '') return 0;
  const whole = snapshot.finishAt - snapshot.cutAt;
  const part = whole <= 0 ? 0.99 : (region.clock.now() - snapshot.cutAt) / whole;
  return Math.min(99, Math.max(0, Math.floor(part * 100)));
}

function usageOf(region: Region, snapshot: SnapshotState): 'disk' | 'none' {
  return Object.values(region.world.disks).some((disk) => disk.sourceSnapshotId === snapshot.id) ? 'disk' : 'none';
}

function wireSnapshot(region: Region, snapshot: SnapshotState): Record<string, unknown> {
  const finished = snapshot.status === 'accomplished';
  const left =
    snapshot.status === 'progressing' && snapshot.createdAt !== '' ? snapshot.finishAt - region.clock.now() : 0;
  return {
    SnapshotId: snapshot.id,
    SnapshotName: snapshot.name,
    Description: snapshot.description,
    Status: snapshot.status,
    Progress: `${progressOf(region, snapshot)}%`,
    Available: snapshot.available,
    CreationTime: snapshot.createdAt,
    LastModifiedTime: snapshot.modifiedAt,
    RemainTime: finished ? 0 : Math.max(0, Math.ceil(left / 1000)),
    SourceDiskId: snapshot.sourceDiskId,
    SourceDiskSize: String(snapshot.sourceSizeGiB),
    SourceDiskType: snapshot.sourceDiskKind,
    SourceStorageType: 'disk',
    SourceSnapshotId: snapshot.copyOf,
    SourceRegionId: snapshot.copyOf === '' ? '' : region.world.regionId,
    // What the answer calls `timer`, a filter calls `auto`.
    SnapshotType: snapshot.automatic ? 'timer' : 'user',
    Category: snapshot.archived ? 'archive' : 'standard',
    InstantAccess: isEssdFamily(snapshot.sourceCategory),
    Encrypted: snapshot.encrypted,
    KMSKeyId: snapshot.kmsKeyId,
    ...(snapshot.retentionDays !== null && { RetentionDays: snapshot.retentionDays }),
    Usage: usageOf(region, snapshot),
    ProductCode: '',
    ResourceGroupId: '',
    RegionId: region.world.regionId,
    SnapshotLinkId: `sl-${snapshot.sourceDiskId.slice(2)}`,
    SnapshotSN: `64${String(snapshot.seq).padStart(6, '0')}`,
    Tags: wireTags(snapshot.tags),
  };
}

const describeSnapshots: Handler = (call) => {
  const { p, region } = call;
  const malformed = (fact: string): ApiError =>
    new ApiError('InvalidSnapshotIds.Malformed', 403, `The specified parameter "SnapshotIds" is not valid: ${fact}.`);
  const ids = p.jsonList('SnapshotIds', 100, {
    notJson: malformed('it must be a JSON array of ids'),
    tooMany: malformed('at most 100 ids'),
  });
  const status = oneOf(call, 'Status', ['progressing', 'accomplished', 'failed', 'all'], 'InvalidStatus.NotFound', 404);
  const type = oneOf(call, 'SnapshotType', ['user', 'auto', 'all'], 'InvalidSnapshotType.NotFound', 404);
  const usage = oneOf(call, 'Usage', ['image', 'disk', 'image_disk', 'none'], 'InvalidUsage', 404);
  const kind = oneOf(call, 'SourceDiskType', ['system', 'data'], 'InvalidSourceDiskType', 404);
  const category = oneOf(call, 'Category', ['Standard', 'Flash', 'archive'], 'InvalidParameter', 400);
  refuseDryRun(call);
  const is = <T>(wanted: T | undefined, has: T): boolean => wanted === undefined || wanted === has;
  const instanceId = p.text('InstanceId');
  const ofInstance = instanceId === undefined ? undefined : new Set(region.disksOf(instanceId).map((disk) => disk.id));
  const rows = Object.values(region.world.snapshots).filter(
    (snapshot) =>
      (ids === undefined || ids.includes(snapshot.id)) &&
      (status === undefined || status === 'all' || status === snapshot.status) &&
      (type === undefined || type === 'all' || (type === 'auto') === snapshot.automatic) &&
      (category === undefined || category === (snapshot.archived ? 'archive' : 'Standard')) &&
      is(kind, snapshot.sourceDiskKind) &&
      is(p.text('DiskId'), snapshot.sourceDiskId) &&
      is(p.boolean('Encrypted'), snapshot.encrypted) &&
      is(p.text('KMSKeyId'), snapshot.kmsKeyId) &&
      (usage === undefined || usage === usageOf(region, snapshot)) &&
      (ofInstance === undefined || ofInstance.has(snapshot.sourceDiskId)) &&
      matchesName(p.text('SnapshotName'), snapshot.name) &&
      matchesTags(call, snapshot.tags),
  );
  const { rows: shown, fields } = page(call, rows, { pageSize: 100, maxResults: 100 });
  return { ...fields, Snapshots: { Snapshot: shown.map((snapshot) => wireSnapshot(region, snapshot)) } };
};

const createSnapshot: Handler = (call) => {
  const { p, region } = call;
  const name = nameOf(call, 'SnapshotName', 'InvalidSnapshotName.Malformed');
  if (/^auto/i.test(name)) {
    throw invalidParameter('SnapshotName', 'a name must not begin with "auto"', 'InvalidSnapshotName.Malformed');
  }
  const description = descriptionOf(call, 404);
  const retentionDays =
    p.integer('RetentionDays', { min: 1, max: 65_536, code: 'InvalidRetentionDays.Malformed' }) ?? null;
  const tags = tagsOf(call);
  const disk = findDisk(call, p.need('DiskId'));
  if (/^(ephemeral|local|elastic_ephemeral)/.test(disk.category)) {
    throw new ApiError(
      'DiskCategory.OperationNotSupported',
      400,
      'The category of the disk does not support snapshots.',
    );
  }
  refuseLockedDisk(disk);
  if (disk.attachment !== null) {
    const instance = findInstance(call, disk.attachment.instanceId);
    refuseLockedInstance(instance);
    if (instance.status !== 'Running' && instance.status !== 'Stopped') {
      throw new ApiError(
        'IncorrectInstanceStatus',
        400,
        `The current status "${instance.status}" of the resource does not support this operation.`,
      );
    }
  }
  if (disk.resetting || (disk.status !== 'In_use' && disk.status !== 'Available')) {
    throw incorrectDiskStatus(disk);
  }
  if (!disk.everAttached) {
    throw new ApiError(
      'IncorrectDiskStatus.NeverAttached',
      403,
      'The specified disk has never been attached to an instance.',
    );
  }
  const running = unfinishedSnapshots(call, disk.id).length;
  if (isEssdFamily(disk.category) ? running >= 10 : running >= 1) {
    throw isEssdFamily(disk.category)
      ? new ApiError('QuotaExceed.ConcurrentSnapshotQuota', 403, 'Ten snapshots of the disk are being created already.')
      : new ApiError('IncorrectDiskStatus.CreatingSnapshot', 403, 'A snapshot of the disk is being created already.');
  }
  if (region.snapshotsOf(disk.id).filter((other) => !other.automatic).length >= manualSnapshotLimit) {
    throw new ApiError('QuotaExceed.Snapshot', 403, `The disk has the maximum of ${manualSnapshotLimit} snapshots.`);
  }
  const snapshot: SnapshotState = {
    id: region.newId('s'),
    seq: region.nextSeq(),
    name,
    description,
    status: 'progressing',
    available: false,
    createdAt: '',
    modifiedAt: '',
    sourceDiskId: disk.id,
    sourceDiskKind: disk.kind,
    sourceSizeGiB: disk.sizeGiB,
    sourceCategory: disk.category,
    encrypted: disk.encrypted,
    kmsKeyId: disk.kmsKeyId,
    retentionDays,
    tags,
    cutAt: 0,
    finishAt: 0,
    doomed: false,
    copyOf: '',
    automatic: false,
    archived: false,
  };
  call.effect();
  region.world.snapshots[snapshot.id] = snapshot;
  region.begin('cutSnapshot', snapshot.id, region.seconds('snapshotCut'));
  return { SnapshotId: snapshot.id };
};

const deleteSnapshot: Handler = (call) => {
  const { p, region } = call;
  const id = p.need('SnapshotId');
  if (!(id in region.world.snapshots) && region.world.switches.deleteUnknownSnapshot === 'ignore') return {};
  const snapshot = findSnapshot(call, id);
  if (isLocked(region, snapshot)) {
    throw new ApiError(
      'InvalidOperation.SnapshotLocked',
      403,
      'The specified snapshot is locked and cannot be deleted.',
    );
  }
  if (usageOf(region, snapshot) === 'disk' && p.boolean('Force') !== true) {
    throw new ApiError('SnapshotCreatedDisk', 403, 'The snapshot has been used to create disks.');
  }
  const inUse = region.world.tasks.some(
    (task) =>
      (task.kind === 'resetDisk' && task.data['snapshotId'] === id) ||
      (task.kind === 'createDisk' && region.world.disks[task.subject]?.sourceSnapshotId === id),
  );
  if (inUse)
    throw new ApiError('Operation.Conflict', 403, 'The snapshot is in use by an operation that has not ended.');
  call.effect();
  delete region.world.snapshots[id];
  region.dropTasks(id);
  region.inBackground(`deleting the bytes of ${id}`, () => region.dataPlane.deleteSnapshot(id));
  return {};
};

// What a refused lock answers is documented nowhere: these codes are the simulator's own, in the service's manner.

type LockStatus = 'compliance-cooloff' | 'compliance' | 'expired';

function lockStatus(region: Region, lock: SnapshotLock): LockStatus {
  const now = region.clock.now();
  if (lock.until !== 0 && now >= lock.until) return 'expired';
  return now < lock.coolOffUntil ? 'compliance-cooloff' : 'compliance';
}

const isLocked = (region: Region, snapshot: SnapshotState): boolean =>
  snapshot.lock !== undefined && lockStatus(region, snapshot.lock) !== 'expired';

function wireLock(region: Region, snapshotId: string, lock: SnapshotLock): Record<string, unknown> {
  const after = (from: string, ms: number): string => (from === '' ? '' : isoSeconds(Date.parse(from) + ms));
  return {
    SnapshotId: snapshotId,
    LockMode: 'compliance',
    LockStatus: lockStatus(region, lock),
    LockDuration: lock.days,
    CoolOffPeriod: lock.coolOffHours,
    LockCreationTime: lock.createdAt,
    CoolOffPeriodExpiredTime: after(lock.createdAt, lock.coolOffHours * 3_600_000),
    LockDurationStartTime: lock.startsAt,
    LockExpiredTime: after(lock.startsAt, lock.days * 86_400_000),
  };
}

const lockSnapshot: Handler = (call) => {
  const { p, region } = call;
  oneOf(call, 'LockMode', ['compliance'], 'InvalidParameter.LockMode', 400);
  const days = p.integer('LockDuration', { min: 1, max: 36_500, code: 'InvalidParameter.LockDuration' }) ?? 0;
  const coolOffHours = p.integer('CoolOffPeriod', { min: 0, max: 72, code: 'InvalidParameter.CoolOffPeriod' }) ?? 0;
  const snapshot = findSnapshot(call, p.need('SnapshotId'));
  if (snapshot.status === 'failed') {
    throw new ApiError('OperationDenied.SnapshotNotAllowed', 403, 'The specified snapshot failed.');
  }
  if (snapshot.retentionDays !== null && days > snapshot.retentionDays) {
    throw invalidParameter(
      'LockDuration',
      'the lock must end before the retention period of the snapshot',
      'InvalidParameter.LockDuration',
    );
  }
  const before = snapshot.lock;
  if (before !== undefined && lockStatus(region, before) === 'compliance') {
    if (days < before.days || coolOffHours !== 0) {
      throw new ApiError('InvalidOperation.SnapshotLocked', 403, 'The lock of the snapshot can be extended only.');
    }
  }
  refuseDryRun(call);
  call.effect();
  const lock: SnapshotLock = {
    days,
    coolOffHours,
    createdAt: isoSeconds(Date.now()),
    startsAt: '',
    coolOffUntil: region.clock.now() + coolOffHours * 3_600_000,
    until: 0,
  };
  if (snapshot.status === 'accomplished') region.beginLock(lock);
  snapshot.lock = lock;
  return { LockedSnapshotInfo: wireLock(region, snapshot.id, lock) };
};

const unlockSnapshot: Handler = (call) => {
  const { p, region } = call;
  const snapshot = findSnapshot(call, p.need('SnapshotId'));
  if (snapshot.lock === undefined || lockStatus(region, snapshot.lock) !== 'compliance-cooloff') {
    throw new ApiError(
      isLocked(region, snapshot) ? 'InvalidOperation.SnapshotLocked' : 'InvalidOperation.SnapshotNotLocked',
      403,
      'Only a snapshot in the cool-off period of its lock can be unlocked.',
    );
  }
  refuseDryRun(call);
  call.effect();
  delete snapshot.lock;
  return {};
};

const describeLockedSnapshots: Handler = (call) => {
  const { p, region } = call;
  const ids = p.list('SnapshotIds');
  if (ids.length > 100) throw invalidParameter('SnapshotIds', 'at most 100 ids', 'InvalidSnapshotIds.Malformed', 403);
  const status = oneOf(
    call,
    'LockStatus',
    ['compliance-cooloff', 'compliance', 'expired'],
    'InvalidParameter.LockStatus',
    400,
  );
  refuseDryRun(call);
  const all = Object.values(region.world.snapshots).flatMap((snapshot) =>
    snapshot.lock === undefined ? [] : [{ seq: snapshot.seq, id: snapshot.id, lock: snapshot.lock }],
  );
  const { rows, fields } = page(
    call,
    all.filter(
      ({ id, lock }) =>
        (ids.length === 0 || ids.includes(id)) && (status === undefined || status === lockStatus(region, lock)),
    ),
    { pageSize: 100, maxResults: Math.min(100, Math.max(10, p.integer('MaxResults') ?? 10)), tokensOnly: true },
  );
  return {
    NextToken: fields['NextToken'],
    LockedSnapshotsInfo: rows.map(({ id, lock }) => wireLock(region, id, lock)),
  };
};

export const snapshotActions = {
  DescribeSnapshots: describeSnapshots,
  CreateSnapshot: createSnapshot,
  DeleteSnapshot: deleteSnapshot,
  LockSnapshot: lockSnapshot,
  UnlockSnapshot: unlockSnapshot,
  DescribeLockedSnapshots: describeLockedSnapshots,
};
