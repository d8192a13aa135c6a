/**
 * The verbs this product needs of the ECS API in one region. One call each, no retries and no waiting: both belong to
 * Temporal. Every rejection is a `CloudError`.
 */
import type { CloudError } from './errors.ts';
import type { Agent, Disk, DiskOffer, Instance, Invocation, Snapshot, SnapshotLock } from './types.ts';

export interface EcsRegion {
  readonly regionId: string;

  /** Ids that do not exist (or that the caller may not see) are absent from the map. At most 100 ids a call is our business, not the caller's. */
  instances(ids: readonly string[]): Promise<Map<string, Instance>>;
  disks(ids: readonly string[]): Promise<Map<string, Disk>>;
  snapshots(ids: readonly string[]): Promise<Map<string, Snapshot>>;
  invocations(ids: readonly string[]): Promise<Map<string, Invocation>>;
  agents(instanceIds: readonly string[]): Promise<Map<string, Agent>>;

  snapshotsOf(diskId: string): Promise<Snapshot[]>;
  /** Every disk attached to the instance, system disk included. */
  disksOf(instanceId: string): Promise<Disk[]>;
  /** How many disks an instance of this type takes, system disk included. Undefined when the service does not say. */
  diskLimit(instanceType: string): Promise<number | undefined>;
  /** The categories of data disk that the zone knows; empty when the service does not say. */
  diskOffers(zoneId: string): Promise<DiskOffer[]>;
  disksTagged(tags: Readonly<Record<string, string>>): Promise<Disk[]>;
  snapshotsTagged(tags: Readonly<Record<string, string>>): Promise<Snapshot[]>;

  createSnapshot(request: {
    diskId: string;
    name: string;
    description: string;
    retentionDays: number;
    tags: Readonly<Record<string, string>>;
    clientToken: string;
  }): Promise<string>;
  /**
   * Locks in compliance mode, at once (no cool-off period): nobody can delete the snapshot before the lock expires, not
   * even its owner. The service takes this call over HTTPS only.
   */
  lockSnapshot(request: { snapshotId: string; days: number; clientToken: string }): Promise<void>;
  /** Locks that are or were; snapshots that never had one are absent. */
  snapshotLocks(ids: readonly string[]): Promise<Map<string, SnapshotLock>>;
  /** Refused while disks made from it exist. Unknown ids are no error to some of the service. */
  deleteSnapshot(snapshotId: string): Promise<void>;
  createDisk(request: {
    snapshotId: string;
    zoneId: string;
    sizeGiB: number;
    category: string;
    performanceLevel?: string;
    encrypted: boolean;
    kmsKeyId?: string;
    name: string;
    description: string;
    tags: Readonly<Record<string, string>>;
    clientToken: string;
  }): Promise<string>;

  /** Starts the reset; there is nothing to poll but the disk and `probeReset`. */
  resetDisk(diskId: string, snapshotId: string): Promise<void>;
  /**
   * ResetDisk with DryRun: `idle` when the service would accept a reset now, `in-progress` while one runs. Any other
   * answer is thrown.
   */
  probeReset(diskId: string, snapshotId: string): Promise<'idle' | 'in-progress'>;
  /**
   * The same calls with DryRun, which changes nothing: undefined when the service would do it now, otherwise its refusal.
   * What says nothing about the request, such as throttling or wrong credentials, is thrown.
   */
  dryRunReset(diskId: string, snapshotId: string): Promise<CloudError | undefined>;
  dryRunStop(instanceId: string): Promise<CloudError | undefined>;
  dryRunStart(instanceId: string): Promise<CloudError | undefined>;
  /** Offline: a running guest sees the new size after its next start. Partitions and file systems stay as they are. */
  resizeDisk(request: { diskId: string; sizeGiB: number; clientToken: string }): Promise<void>;
  attachDisk(diskId: string, instanceId: string): Promise<void>;
  detachDisk(diskId: string, instanceId: string): Promise<void>;
  deleteDisk(diskId: string): Promise<void>;
  /** Always with StoppedMode KeepCharging. */
  stopInstance(instanceId: string, options: { force: boolean }): Promise<void>;
  startInstance(instanceId: string): Promise<void>;

  /** Runs a script as root (Windows: as System); returns the invocation's id. The script must be at most 24 KB after Base64. */
  runScript(request: {
    instanceId: string;
    /** Default: `linux`. The service refuses what does not fit the instance's system. */
    osType?: Instance['osType'];
    name: string;
    script: string;
    timeoutSeconds: number;
    clientToken: string;
  }): Promise<string>;
}

/** One worker serves every region its credentials reach. */
export interface Ecs {
  region(regionId: string): EcsRegion;
}
