/** Disks: describe, create, attach, detach, delete, reset, resize, attributes. Codes as the service's pages list them. */
import type { Region } from '../engine/region.ts';
import { serialOf } from '../engine/region.ts';
import { ApiError, invalidParameter, missingParameter } from '../protocol/api-error.ts';
import {
  dataDiskSizes,
  diskQuantityOf,
  type DiskState,
  type DiskStatus,
  isEssdFamily,
  isoSeconds,
  type SnapshotState,
} from '../state/model.ts';
import {
  type Call,
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

export const categories = [
  'cloud',
  'cloud_efficiency',
  'cloud_ssd',
  'cloud_essd',
  'cloud_auto',
  'cloud_essd_entry',
] as const;
const diskStatuses = ['Creating', 'Available', 'Attaching', 'In_use', 'Detaching', 'ReIniting', 'All'] as const;

function visible(region: Region, disk: DiskState): { status: DiskStatus; attachment: DiskState['attachment'] } {
  if (disk.stale !== null && region.clock.now() < disk.stale.until) return disk.stale;
  const status = disk.resetting && region.world.switches.statusDuringReset === 'ReIniting' ? 'ReIniting' : disk.status;
  return { status, attachment: disk.attachment };
}

function wireDisk(region: Region, disk: DiskState): Record<string, unknown> {
  const { status, attachment } = visible(region, disk);
  // The top-level fields are filled only while attached; a multi-attach disk never has them.
  const flat = (status === 'In_use' || status === 'Detaching' || status === 'ReIniting') && !disk.multiAttach;
  const attachments =
    attachment === null || status === 'Attaching'
      ? []
      : [{ InstanceId: attachment.instanceId, Device: attachment.device, AttachedTime: disk.attachedAt }];
  return {
    DiskId: disk.id,
    DiskName: disk.name,
    Description: disk.description,
    Type: disk.kind,
    Category: disk.category,
    PerformanceLevel: disk.performanceLevel,
    Size: disk.sizeGiB,
    RegionId: region.world.regionId,
    ZoneId: disk.zoneId,
    Status: status,
    InstanceId: flat ? (attachment?.instanceId ?? '') : '',
    Device: flat ? (attachment?.device ?? '') : '',
    Attachments: { Attachment: attachments },
    AttachedTime: disk.attachedAt,
    DetachedTime: disk.detachedAt,
    CreationTime: disk.createdAt,
    ExpiredTime: '2999-09-08T16:00Z',
    DiskChargeType: 'PostPaid',
    Portable: disk.portable,
    DeleteWithInstance: disk.deleteWithInstance,
    DeleteAutoSnapshot: disk.deleteAutoSnapshot,
    EnableAutoSnapshot: true,
    EnableAutomatedSnapshotPolicy: disk.autoSnapshotPolicyId !== '',
    AutoSnapshotPolicyId: disk.autoSnapshotPolicyId,
    Encrypted: disk.encrypted,
    KMSKeyId: disk.kmsKeyId,
    BurstingEnabled: disk.burstingEnabled,
    ...(disk.provisionedIops !== null && { ProvisionedIops: disk.provisionedIops }),
    MultiAttach: disk.multiAttach ? 'Enabled' : 'Disabled',
    SourceSnapshotId: disk.sourceSnapshotId,
    SerialNumber: disk.hasSerial ? serialOf(disk.id) : '',
    ImageId: disk.kind === 'system' ? 'm-bp1simulatorimage0001' : '',
    ProductCode: '',
    ResourceGroupId: '',
    OperationLocks: { OperationLock: disk.locks.map((LockReason) => ({ LockReason })) },
    Tags: wireTags(disk.tags),
  };
}

const describeDisks: Handler = (call) => {
  const { p, region } = call;
  const ids = p.jsonList('DiskIds', 100, {
    notJson: new ApiError(
      'InvalidParameter.DiskIds',
      400,
      'The specified parameter "DiskIds" is not a JSON array of ids.',
    ),
    tooMany: new ApiError('InvalidDiskIds.Malformed', 403, 'The amount of specified disk ids exceeds 100.'),
  });
  const status = oneOf(call, 'Status', diskStatuses, 'InvalidStatus.ValueNotSupported', 400);
  const kind = oneOf(call, 'DiskType', ['all', 'system', 'data'], 'InvalidDiskType.ValueNotSupported', 400);
  const category = oneOf(call, 'Category', ['all', ...categories], 'InvalidCategory.ValueNotSupported', 400);
  const chargeType = oneOf(call, 'DiskChargeType', ['PrePaid', 'PostPaid'], 'InvalidDiskChargeType.NotFound', 404);
  const multi = oneOf(call, 'MultiAttach', ['Enabled', 'Disabled', 'LegacyShared'], 'InvalidParameter', 400);
  refuseDryRun(call);
  const is = <T>(wanted: T | undefined, has: T): boolean => wanted === undefined || wanted === has;
  const instanceId = p.text('InstanceId');
  const lock = p.text('LockReason');
  const rows = Object.values(region.world.disks).filter((disk) => {
    const seen = visible(region, disk);
    return (
      (ids === undefined || ids.includes(disk.id)) &&
      (status === undefined || status === 'All' || status === seen.status) &&
      (kind === undefined || kind === 'all' || kind === disk.kind) &&
      (category === undefined || category === 'all' || category === disk.category) &&
      is(instanceId, seen.attachment?.instanceId) &&
      is(p.text('ZoneId'), disk.zoneId) &&
      is(p.text('SnapshotId'), disk.sourceSnapshotId) &&
      is(p.text('KMSKeyId'), disk.kmsKeyId) &&
      is(p.boolean('Encrypted'), disk.encrypted) &&
      is(p.boolean('Portable'), disk.portable) &&
      is(p.boolean('DeleteWithInstance'), disk.deleteWithInstance) &&
      is(p.boolean('DeleteAutoSnapshot'), disk.deleteAutoSnapshot) &&
      is(multi, disk.multiAttach ? 'Enabled' : 'Disabled') &&
      is(chargeType, 'PostPaid') &&
      (lock === undefined || disk.locks.includes(lock)) &&
      matchesName(p.text('DiskName'), disk.name) &&
      matchesTags(call, disk.tags)
    );
  });
  const { rows: shown, fields } = page(call, rows, { pageSize: 100, maxResults: 500 });
  return { ...fields, Disks: { Disk: shown.map((disk) => wireDisk(region, disk)) } };
};

function checkZone(call: Call, zoneId: string): void {
  const { regionId } = call.region.world;
  if (!new RegExp(`^${regionId}-[a-z]$`).test(zoneId)) {
    throw new ApiError('InvalidZoneId.NotFound', 404, `The specified zone "${zoneId}" does not exist in ${regionId}.`);
  }
}

function snapshotForDisk(call: Call, category: string): SnapshotState | undefined {
  const id = call.p.text('SnapshotId');
  if (id === undefined) return undefined;
  const snapshot = findSnapshot(call, id);
  if (snapshot.status === 'failed' || snapshot.archived) {
    throw new ApiError(
      'OperationDenied.SnapshotNotAllowed',
      403,
      `The specified snapshot ${snapshot.archived ? 'is archived' : 'failed'} and cannot create a disk.`,
    );
  }
  // Bytes that have not been uploaded yet are within reach of the ESSD family only.
  if (!snapshot.available || (snapshot.status === 'progressing' && !isEssdFamily(category))) {
    throw new ApiError('InvalidSnapshotId.NotReady', 403, 'The specified snapshot has not completed yet.');
  }
  if (snapshot.encrypted && call.p.boolean('Encrypted') !== true) {
    throw new ApiError(
      'InvalidEncrypted.NotMatchSnapshot',
      403,
      'A disk that is created from an encrypted snapshot must be encrypted.',
    );
  }
  return snapshot;
}

const createDisk: Handler = (call) => {
  const { p, region } = call;
  const zoneId = p.need('ZoneId');
  checkZone(call, zoneId);
  const category =
    oneOf(call, 'DiskCategory', categories, 'InvalidDataDiskCategory.ValueNotSupported', 403) ?? ('cloud' as const);
  if (region.world.soldOut.includes(`${zoneId}/${category}`)) {
    throw new ApiError(
      'InvalidDataDiskCategory.NotSupported',
      400,
      `A disk of category ${category} cannot be created in zone ${zoneId}.`,
    );
  }
  const level = oneOf(call, 'PerformanceLevel', ['PL0', 'PL1', 'PL2', 'PL3'], 'InvalidPerformanceLevel.Malformed', 400);
  if (level !== undefined && category !== 'cloud_essd') {
    throw new ApiError(
      'OperationDenied.PerformanceLevelNotMatch',
      403,
      'A performance level can be given for category cloud_essd only.',
    );
  }
  const performanceLevel = category === 'cloud_essd' ? (level ?? 'PL1') : '';
  const snapshot = snapshotForDisk(call, category);
  const asked = p.integer('Size');
  if (asked === undefined && snapshot === undefined) throw missingParameter('Size');
  const least = snapshot?.sourceSizeGiB ?? 0;
  if (asked !== undefined && asked < least && region.world.switches.createDiskBelowSnapshotSize === 'refuse') {
    throw new ApiError('InvalidDiskSize.TooSmall', 403, 'Specified disk size is less than the size of the snapshot.');
  }
  const sizeGiB = Math.max(asked ?? 0, least);
  const [min, max] = dataDiskSizes[performanceLevel === '' ? category : `${category}/${performanceLevel}`] ?? [
    1, 65_536,
  ];
  if (sizeGiB < min || sizeGiB > max) {
    throw new ApiError(
      'InvalidDiskSize.NotSupported',
      400,
      `A disk of ${category}${performanceLevel === '' ? '' : ` ${performanceLevel}`} has ${min} to ${max} GiB, not ${sizeGiB}.`,
    );
  }
  const encrypted = p.boolean('Encrypted') ?? false;
  const kmsKeyId = p.text('KMSKeyId') ?? '';
  if (kmsKeyId !== '' && !encrypted) {
    throw new ApiError('EncryptedOption.Conflict', 400, 'A KMS key can be given for an encrypted disk only.');
  }
  const multiAttach = oneOf(call, 'MultiAttach', ['Enabled', 'Disabled'], 'InvalidParameter', 400) === 'Enabled';
  if (multiAttach && category !== 'cloud_essd') {
    throw new ApiError('InvalidDiskCategory.NotSupported', 403, 'Multi-attach needs category cloud_essd.');
  }
  const name = nameOf(call, 'DiskName', 'InvalidDiskName.Malformed');
  const description = descriptionOf(call, 400);
  const tags = tagsOf(call);
  const provisionedIops = p.integer('ProvisionedIops', { min: 0, max: 50_000 }) ?? null;
  const burstingEnabled = p.boolean('BurstingEnabled') ?? false;
  if ((burstingEnabled || provisionedIops !== null) && category !== 'cloud_auto') {
    throw invalidParameter('ProvisionedIops and BurstingEnabled', 'they need category cloud_auto');
  }
  const disk: DiskState = {
    id: region.newId('d'),
    seq: region.nextSeq(),
    name,
    description,
    kind: 'data',
    category,
    performanceLevel,
    sizeGiB,
    deviceSizeGiB: sizeGiB,
    zoneId,
    status: 'Creating',
    attachment: null,
    everAttached: false,
    portable: true,
    deleteWithInstance: false,
    deleteAutoSnapshot: true,
    hasSerial: true,
    encrypted,
    kmsKeyId,
    autoSnapshotPolicyId: '',
    burstingEnabled,
    provisionedIops,
    multiAttach,
    sourceSnapshotId: snapshot?.id ?? '',
    createdAt: isoSeconds(Date.now()),
    attachedAt: '',
    detachedAt: '',
    locks: [],
    tags,
    hydratingUntil: 0,
    resetting: false,
    stale: null,
  };
  call.effect();
  region.world.disks[disk.id] = disk;
  region.begin('createDisk', disk.id, region.seconds('createDisk'));
  return { DiskId: disk.id };
};

/** The first free data device name as the API shows it; the guest's own name differs. */
function freeDevice(region: Region, instanceId: string): string {
  const used = new Set(region.disksOf(instanceId).map((disk) => disk.attachment?.device));
  const letters = 'abcdefghijklmnopqrstuvwxyz'.split('');
  const names = ['', 'a'].flatMap((prefix) => letters.map((letter) => `/dev/xvd${prefix}${letter}`));
  // /dev/xvda is the system disk's.
  return names.slice(1).find((name) => !used.has(name)) ?? '/dev/xvdzz';
}

const attachDisk: Handler = (call) => {
  const { p, region } = call;
  const disk = findDisk(call, p.need('DiskId'));
  const instance = findInstance(call, p.need('InstanceId'));
  refuseLockedInstance(instance);
  refuseLockedDisk(disk);
  if (disk.zoneId !== instance.zoneId) {
    throw new ApiError('ResourcesNotInSameZone', 403, 'The specified instance and disk are not in the same zone.');
  }
  if (!disk.portable) throw new ApiError('DiskNotPortable', 403, 'The specified disk is not a portable disk.');
  if (disk.resetting || disk.status !== 'Available') {
    throw incorrectDiskStatus(disk);
  }
  if (instance.status !== 'Running' && instance.status !== 'Stopped') {
    throw new ApiError(
      'IncorrectInstanceStatus',
      400,
      `The current status "${instance.status}" of the resource does not support this operation.`,
    );
  }
  const others = region.disksOf(instance.id);
  if (others.some((other) => other.status === 'Attaching')) {
    throw new ApiError(
      'OperationConflict.DisksAttachingParallellyExceed',
      400,
      'The number of disks that are being attached to the instance at the same time exceeds the limit.',
    );
  }
  const limit = diskQuantityOf(region.world, instance.instanceType);
  if (others.length >= limit) {
    throw new ApiError('InstanceDiskLimitExceeded', 403, `The specified instance has the maximum of ${limit} disks.`);
  }
  const withInstance = p.boolean('DeleteWithInstance') ?? false;
  if (withInstance && disk.multiAttach) {
    throw new ApiError('DeleteWithInstance.Conflict', 403, 'A multi-attach disk cannot be released with an instance.');
  }
  call.effect();
  const stale = region.seconds('staleRead');
  disk.stale = stale === 0 ? null : { until: region.clock.now() + stale, status: 'Available', attachment: null };
  disk.status = 'Attaching';
  disk.attachment = { instanceId: instance.id, device: freeDevice(region, instance.id), attachedAt: '' };
  disk.deleteWithInstance = withInstance;
  if (region.world.switches.attachFlipsDeleteAutoSnapshot === 'yes') disk.deleteAutoSnapshot = !disk.deleteAutoSnapshot;
  region.begin('attachDisk', disk.id, region.seconds('attachDisk'), { instanceId: instance.id });
  return {};
};

const detachDisk: Handler = (call) => {
  const { p, region } = call;
  const disk = findDisk(call, p.need('DiskId'));
  const instance = findInstance(call, p.need('InstanceId'));
  refuseLockedInstance(instance);
  if (disk.attachment === null) {
    throw new ApiError('InvalidDisk.AlreadyDetached', 404, 'The specified disk has been detached.');
  }
  if (disk.attachment.instanceId !== instance.id) {
    throw new ApiError(
      'DependencyViolation',
      403,
      'The specified disk has not been attached to the specified instance.',
    );
  }
  if (disk.status === 'Detaching') {
    throw new ApiError(
      'InvalidOperation.DiskDetachingFromThisEcs',
      403,
      'The disk is being detached from this instance.',
    );
  }
  if (disk.kind === 'system') {
    throw new ApiError('DiskTypeViolation', 403, 'The type of the specified disk does not support this operation.');
  }
  if (!disk.portable) throw new ApiError('DiskNotPortable', 403, 'The specified disk is not a portable disk.');
  if (disk.resetting || disk.status !== 'In_use') {
    throw incorrectDiskStatus(disk);
  }
  if (instance.status !== 'Running' && instance.status !== 'Stopped') {
    throw new ApiError(
      'IncorrectInstanceStatus',
      403,
      `The current status "${instance.status}" does not support this.`,
    );
  }
  if (region.disksOf(instance.id).some((other) => other.status === 'Detaching')) {
    throw new ApiError(
      'DisksDetachingOnEcsExceeded',
      400,
      'The number of disks that are being detached from the instance at the same time exceeds the limit.',
    );
  }
  const withInstance = p.boolean('DeleteWithInstance') ?? false;
  call.effect();
  disk.status = 'Detaching';
  disk.deleteWithInstance = withInstance;
  region.begin('detachDisk', disk.id, region.seconds('detachDisk'), { instanceId: instance.id });
  return {};
};

const deleteDisk: Handler = (call) => {
  const { p, region } = call;
  const id = p.need('DiskId');
  if (!(id in region.world.disks) && region.world.switches.deleteUnknownDisk === 'ignore') return {};
  const disk = findDisk(call, id);
  if (disk.kind === 'system') {
    throw new ApiError('DiskTypeViolation', 403, 'The type of the specified disk does not support this operation.');
  }
  if (disk.status === 'In_use') {
    throw new ApiError('DiskStillAttached', 403, 'The specified disk is still attached to an instance.');
  }
  if (disk.resetting || disk.status !== 'Available') {
    throw incorrectDiskStatus(disk);
  }
  if (unfinishedSnapshots(call, disk.id).length > 0) {
    throw new ApiError('DiskCreatingSnapshot', 403, 'A snapshot of the specified disk is being created.');
  }
  if (region.clock.now() < disk.hydratingUntil) {
    throw new ApiError('IncorrectDiskStatus.Initializing', 403, 'The specified disk is being initialized.');
  }
  call.effect();
  delete region.world.disks[disk.id];
  region.dropTasks(disk.id);
  region.inBackground(`deleting the bytes of ${disk.id}`, () => region.dataPlane.deleteDisk(disk.id));
  return {};
};

const resetDisk: Handler = (call) => {
  const { p, region } = call;
  const disk = findDisk(call, p.need('DiskId'));
  const snapshot = findSnapshot(call, p.need('SnapshotId'));
  if (/^(ephemeral|local|elastic_ephemeral)/.test(disk.category)) {
    throw new ApiError('DiskCategory.OperationNotSupported', 400, 'The category of the disk does not support this.');
  }
  if (snapshot.copyOf !== '' || snapshot.archived) {
    throw new ApiError('OperationDenied', 403, 'A copy of a snapshot or an archived one cannot reset a disk.');
  }
  if (snapshot.sourceDiskId !== disk.id || (snapshot.encrypted && !disk.encrypted)) {
    throw new ApiError(
      'InvalidParameter.Mismatch',
      403,
      'The specified snapshot was not created from the specified disk.',
    );
  }
  refuseLockedDisk(disk);
  const instance = disk.attachment === null ? undefined : findInstance(call, disk.attachment.instanceId);
  if (instance !== undefined) refuseLockedInstance(instance);
  if (disk.resetting) {
    throw new ApiError('InvalidOperation.DiskResetInProgress', 403, 'The specified disk is being reset.');
  }
  if (disk.status !== 'In_use' && disk.status !== 'Available') {
    throw incorrectDiskStatus(disk);
  }
  if (instance !== undefined && instance.status !== 'Stopped') {
    throw new ApiError(
      'IncorrectInstanceStatus',
      403,
      `The current status "${instance.status}" of the resource does not support this operation.`,
    );
  }
  if (!snapshot.available) {
    throw new ApiError('InvalidSnapshotId.NotReady', 403, 'The specified snapshot has not completed yet.');
  }
  const free = region.world.switches.availableSnapshotBlocksReset === 'no';
  if (unfinishedSnapshots(call, disk.id).some((other) => !(free && other.available))) {
    throw new ApiError(
      'IncorrectDiskStatus.HasUnfinishedSnapshot',
      403,
      'A snapshot of the specified disk is unfinished; the disk cannot be reset.',
    );
  }
  refuseDryRun(call);
  call.effect();
  disk.resetting = true;
  region.begin('resetDisk', disk.id, region.seconds('resetDisk'), { snapshotId: snapshot.id });
  return {};
};

const modifyDiskAttribute: Handler = (call) => {
  const { p, region } = call;
  const single = p.text('DiskId');
  const many = p.list('DiskIds');
  if (single === undefined && many.length === 0) throw missingParameter('DiskId');
  if (single !== undefined && many.length > 0) {
    throw invalidParameter('DiskIds', 'DiskId and DiskIds.N exclude each other', 'InvalidParameter.Conflict');
  }
  if (many.length > 100) throw invalidParameter('DiskIds', 'at most 100 ids', 'InvalidDiskIds.Malformed', 403);
  const name = p.text('DiskName') === undefined ? undefined : nameOf(call, 'DiskName', 'InvalidDiskName.Malformed');
  const description = p.text('Description') === undefined ? undefined : descriptionOf(call, 400);
  const disks = (single === undefined ? many : [single]).map((id) => findDisk(call, id));
  const bursting = p.boolean('BurstingEnabled');
  if (bursting !== undefined && disks.some((disk) => disk.category !== 'cloud_auto')) {
    throw new ApiError('InvalidDiskCategory.NotSupported', 403, 'BurstingEnabled needs category cloud_auto.');
  }
  const withInstance = p.boolean('DeleteWithInstance');
  if (withInstance === true && disks.some((disk) => disk.multiAttach)) {
    throw new ApiError('DeleteWithInstance.Conflict', 403, 'A multi-attach disk cannot be released with an instance.');
  }
  call.effect();
  for (const disk of disks) {
    disk.name = name ?? disk.name;
    disk.description = description ?? disk.description;
    disk.deleteWithInstance = withInstance ?? disk.deleteWithInstance;
    disk.deleteAutoSnapshot = p.boolean('DeleteAutoSnapshot') ?? disk.deleteAutoSnapshot;
    disk.burstingEnabled = bursting ?? disk.burstingEnabled;
  }
  region.saveSoon();
  return {};
};

const resizeDisk: Handler = (call) => {
  const { p, region } = call;
  const disk = findDisk(call, p.need('DiskId'));
  const size = p.integer('NewSize') ?? 0;
  const type = oneOf(call, 'Type', ['offline', 'online'], 'InvalidParameter.Type', 400) ?? 'offline';
  refuseLockedDisk(disk);
  if (disk.resetting || (disk.status !== 'In_use' && disk.status !== 'Available')) {
    throw incorrectDiskStatus(disk);
  }
  if (unfinishedSnapshots(call, disk.id).length > 0) {
    throw new ApiError('DiskCreatingSnapshot', 403, 'A snapshot of the specified disk is being created.');
  }
  const [, max] = dataDiskSizes[
    disk.performanceLevel === '' ? disk.category : `${disk.category}/${disk.performanceLevel}`
  ] ?? [1, 65_536];
  if (size <= disk.sizeGiB) {
    throw new ApiError('InvalidDiskSize.TooSmall', 403, `The new size must be greater than ${disk.sizeGiB} GiB.`);
  }
  const limit = disk.kind === 'system' ? 2_048 : max;
  if (size > limit) {
    throw new ApiError('InvalidDiskSize.NotSupported', 400, `The disk can have at most ${limit} GiB.`);
  }
  const instance = disk.attachment === null ? undefined : findInstance(call, disk.attachment.instanceId);
  if (instance !== undefined) {
    refuseLockedInstance(instance);
    if (instance.status !== 'Running' && instance.status !== 'Stopped') {
      throw new ApiError(
        'IncorrectInstanceStatus',
        403,
        `The current status "${instance.status}" does not support this.`,
      );
    }
  }
  if (type === 'online' && instance?.status !== 'Running') {
    throw new ApiError('IncorrectInstanceStatus', 403, 'An online resize needs a Running instance.');
  }
  if (type === 'online' && disk.category === 'cloud') {
    throw new ApiError('InvalidDiskCategory.NotSupported', 403, 'Category cloud cannot be resized online.');
  }
  call.effect();
  disk.sizeGiB = size;
  // Offline, a running guest sees the new size after its next boot through the API.
  if (type === 'online' || instance?.status !== 'Running') {
    region.inBackground(`resizing ${disk.id}`, async () => {
      await region.dataPlane.resizeDisk(disk.id, size * 1024 ** 3);
      disk.deviceSizeGiB = Math.max(disk.deviceSizeGiB, size);
      await region.store.save();
    });
  }
  return {};
};

/** What a zone offers of data disks. Other resources are not modelled, and a zone of another region has nothing. */
const describeAvailableResource: Handler = (call) => {
  const { p, region } = call;
  const destination = oneOf(
    call,
    'DestinationResource',
    ['Zone', 'IoOptimized', 'InstanceType', 'Network', 'ddh', 'SystemDisk', 'DataDisk'],
    'InvalidParameter',
    400,
  );
  const kind = oneOf(
    call,
    'ResourceType',
    ['instance', 'disk', 'reservedinstance', 'ddh'],
    'InvalidResourceType.ValueNotSupported',
    403,
  );
  if (destination !== 'DataDisk' || kind !== 'disk') {
    throw new ApiError(
      'UnsupportedParameter',
      400,
      'The simulator answers DestinationResource=DataDisk with ResourceType=disk only.',
    );
  }
  const chargeType = oneOf(
    call,
    'InstanceChargeType',
    ['PrePaid', 'PostPaid'],
    'InvalidInstanceChargeType.NotFound',
    404,
  );
  const wanted = oneOf(call, 'DataDiskCategory', categories, 'InvalidDataDiskCategory.ValueNotSupported', 403);
  const { regionId, soldOut } = region.world;
  const zones = ['h', 'i', 'j'].map((letter) => `${regionId}-${letter}`);
  const zone = p.text('ZoneId');
  const rows = zones.filter((each) => zone === undefined || zone === each);
  if (rows.length === 0 || chargeType === 'PrePaid') return { AvailableZones: {} };
  return {
    AvailableZones: {
      AvailableZone: rows.map((ZoneId) => ({
        RegionId: regionId,
        ZoneId,
        Status: 'Available',
        StatusCategory: 'WithStock',
        AvailableResources: {
          AvailableResource: [
            {
              Type: 'DataDisk',
              SupportedResources: {
                SupportedResource: categories
                  .filter((category) => wanted === undefined || wanted === category)
                  .map((category) => {
                    const has = !soldOut.includes(`${ZoneId}/${category}`);
                    // Of cloud_essd the size of its smallest performance level.
                    const [Min, Max] = dataDiskSizes[category] ?? dataDiskSizes[`${category}/PL0`] ?? [1, 65_536];
                    return {
                      Value: category,
                      Status: has ? 'Available' : 'SoldOut',
                      StatusCategory: has ? 'WithStock' : 'WithoutStock',
                      Min,
                      Max,
                      Unit: 'GiB',
                    };
                  }),
              },
            },
          ],
        },
      })),
    },
  };
};

export const diskActions = {
  DescribeAvailableResource: describeAvailableResource,
  DescribeDisks: describeDisks,
  CreateDisk: createDisk,
  AttachDisk: attachDisk,
  DetachDisk: detachDisk,
  DeleteDisk: deleteDisk,
  ResetDisk: resetDisk,
  ModifyDiskAttribute: modifyDiskAttribute,
  ResizeDisk: resizeDisk,
};
