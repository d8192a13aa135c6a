/**
 * From the SDK's answers to our own types. The SDK drops unknown fields and leaves out missing ones, so everything that
 * comes in is optional; what a decision rests on is required here, and its absence is a `MalformedAnswer`.
 */
import type {
  DescribeAvailableResourceResponseBodyAvailableZonesAvailableZone as WireZone,
  DescribeCloudAssistantStatusResponseBodyInstanceCloudAssistantStatusSetInstanceCloudAssistantStatus as WireAgent,
  DescribeDisksResponseBodyDisksDisk as WireDisk,
  DescribeInstancesResponseBodyInstancesInstance as WireInstance,
  DescribeInvocationResultsResponseBodyInvocationInvocationResultsInvocationResult as WireInvocation,
  DescribeLockedSnapshotsResponseBodyLockedSnapshotsInfo as WireLock,
  DescribeSnapshotsResponseBodySnapshotsSnapshot as WireSnapshot,
} from '@alicloud/ecs20140526';
import type { Agent, Disk, DiskOffer, Instance, Invocation, Snapshot, SnapshotLock } from '../types.ts';
import { MalformedAnswer } from './failures.ts';

export function required<T>(value: T | undefined | null, field: string): T {
  if (value === undefined || value === null || value === '') throw new MalformedAnswer(`without ${field}`);
  return value;
}

function tagsOf(tags: { tag?: { tagKey?: string; tagValue?: string }[] } | undefined): Record<string, string> {
  const out: Record<string, string> = {};
  for (const { tagKey, tagValue } of tags?.tag ?? []) if (tagKey) out[tagKey] = tagValue ?? '';
  return out;
}

const present = (values: readonly (string | undefined)[]): string[] => [
  ...new Set(values.filter((value): value is string => value !== undefined && value !== '')),
];

function diskKind(value: string | undefined, field: string): 'system' | 'data' {
  const kind = required(value, field).toLowerCase();
  if (kind !== 'system' && kind !== 'data') throw new MalformedAnswer(`${field} is neither system nor data`);
  return kind;
}

function positive(value: number | string | undefined, field: string): number {
  const size = Number(required(value, field));
  if (!Number.isFinite(size) || size <= 0) throw new MalformedAnswer(`${field} is not a size`);
  return size;
}

export function toDisk(wire: WireDisk): Disk {
  return {
    id: required(wire.diskId, 'DiskId'),
    status: required(wire.status, 'Disk.Status'),
    kind: diskKind(wire.type, 'Disk.Type'),
    category: required(wire.category, 'Disk.Category'),
    ...(wire.performanceLevel ? { performanceLevel: wire.performanceLevel } : {}),
    sizeGiB: positive(wire.size, 'Disk.Size'),
    // Regional disks have no zone of their own.
    zoneId: wire.zoneId ?? '',
    encrypted: wire.encrypted ?? false,
    ...(wire.KMSKeyId ? { kmsKeyId: wire.KMSKeyId } : {}),
    serial: wire.serialNumber ?? '',
    createdAt: wire.creationTime ?? '',
    ...(wire.attachedTime ? { attachedAt: wire.attachedTime } : {}),
    ...(wire.sourceSnapshotId ? { sourceSnapshotId: wire.sourceSnapshotId } : {}),
    deleteWithInstance: wire.deleteWithInstance ?? false,
    deleteAutoSnapshot: wire.deleteAutoSnapshot ?? false,
    ...(wire.autoSnapshotPolicyId ? { autoSnapshotPolicyId: wire.autoSnapshotPolicyId } : {}),
    // The top-level InstanceId is empty for multi-attach disks and in some states; the list is not.
    attachedTo: present([
      ...(wire.attachments?.attachment ?? []).map((each) => each.instanceId),
      ...(wire.mountInstances?.mountInstance ?? []).map((each) => each.instanceId),
      wire.instanceId,
    ]),
    locks: present((wire.operationLocks?.operationLock ?? []).map((each) => each.lockReason)),
    tags: tagsOf(wire.tags),
  };
}

export function toSnapshot(wire: WireSnapshot): Snapshot {
  return {
    id: required(wire.snapshotId, 'SnapshotId'),
    status: required(wire.status, 'Snapshot.Status'),
    // `auto` in requests, `timer` in some answers.
    kind: /^(auto|timer)$/i.test(wire.snapshotType ?? '') ? 'automatic' : 'manual',
    available: wire.available ?? false,
    createdAt: wire.creationTime ?? '',
    progressPercent: Number.parseInt(wire.progress ?? '', 10) || 0,
    sourceDiskId: wire.sourceDiskId ?? '',
    ...(wire.sourceSnapshotId ? { copyOf: wire.sourceSnapshotId } : {}),
    sourceDiskKind: diskKind(wire.sourceDiskType, 'Snapshot.SourceDiskType'),
    sourceDiskSizeGiB: positive(wire.sourceDiskSize, 'Snapshot.SourceDiskSize'),
    encrypted: wire.encrypted ?? false,
    category: wire.category ?? '',
    ...(wire.retentionDays === undefined ? {} : { retentionDays: wire.retentionDays }),
    tags: tagsOf(wire.tags),
  };
}

export function toSnapshotLock(wire: WireLock): SnapshotLock {
  return {
    snapshotId: required(wire.snapshotId, 'LockedSnapshotsInfo.SnapshotId'),
    status: required(wire.lockStatus, 'LockedSnapshotsInfo.LockStatus'),
    days: positive(wire.lockDuration, 'LockedSnapshotsInfo.LockDuration'),
    expiresAt: wire.lockExpiredTime ?? '',
  };
}

export function toInstance(wire: WireInstance): Instance {
  const osName = wire.OSNameEn ?? wire.OSName ?? '';
  return {
    id: required(wire.instanceId, 'InstanceId'),
    name: wire.instanceName ?? '',
    status: required(wire.status, 'Instance.Status'),
    stoppedMode: wire.stoppedMode ?? 'Not-applicable',
    zoneId: required(wire.zoneId, 'Instance.ZoneId'),
    osType: /windows/i.test(wire.OSType ?? osName) ? 'windows' : 'linux',
    osName,
    instanceType: wire.instanceType ?? '',
    startedAt: wire.startTime ?? '',
    ...(wire.autoReleaseTime ? { releasedAt: wire.autoReleaseTime } : {}),
    ...(wire.keyPairName ? { keyPairName: wire.keyPairName } : {}),
    locks: present((wire.operationLocks?.lockReason ?? []).map((each) => each.lockReason)),
    tags: tagsOf(wire.tags),
  };
}

export function toAgent(wire: WireAgent): Agent {
  return {
    instanceId: required(wire.instanceId, 'InstanceId'),
    installed: (wire.cloudAssistantVersion ?? '') !== '' || (wire.lastHeartbeatTime ?? '') !== '',
    online: wire.cloudAssistantStatus?.toLowerCase() === 'true',
  };
}

/** What one zone offers of data disks. `Status` is `Available` or `SoldOut`; `Min` and `Max` are GiB. */
export function toDiskOffers(zone: WireZone): DiskOffer[] {
  return (zone.availableResources?.availableResource ?? [])
    .filter((resource) => resource.type === 'DataDisk')
    .flatMap((resource) => resource.supportedResources?.supportedResource ?? [])
    .flatMap(({ value, status, min, max }) =>
      value === undefined || value === ''
        ? []
        : [
            {
              category: value,
              available: status === 'Available',
              ...(min === undefined ? {} : { minGiB: min }),
              ...(max === undefined ? {} : { maxGiB: max }),
            },
          ],
    );
}

export function toInvocation(invokeId: string, wire: WireInvocation): Invocation {
  return {
    id: invokeId,
    status: required(wire.invocationStatus, 'InvocationStatus'),
    ...(wire.exitCode === undefined ? {} : { exitCode: wire.exitCode }),
    ...(wire.errorCode ? { errorCode: wire.errorCode } : {}),
    ...(wire.errorInfo ? { errorInfo: wire.errorInfo } : {}),
    output: Buffer.from(wire.output ?? '', 'base64'),
    dropped: wire.dropped ?? 0,
  };
}
