/** Our own words for what the cloud shows. Wire names end in `cloud/`. Sizes in GiB, times in ISO 8601. */

export interface Disk {
  readonly id: string;
  /** `Creating`, `Available`, `Attaching`, `In_use`, `Detaching`, `ReIniting`; others may appear. */
  readonly status: string;
  readonly kind: 'system' | 'data';
  readonly category: string;
  readonly performanceLevel?: string;
  readonly sizeGiB: number;
  readonly zoneId: string;
  readonly encrypted: boolean;
  readonly kmsKeyId?: string;
  /** Empty for disks made before 2020-06-10. */
  readonly serial: string;
  readonly sourceSnapshotId?: string;
  readonly createdAt: string;
  /** When it was last attached. */
  readonly attachedAt?: string;
  /** Released together with its instance. */
  readonly deleteWithInstance: boolean;
  /** Its automatic snapshots are deleted together with it. */
  readonly deleteAutoSnapshot: boolean;
  /** Absent: no policy takes automatic snapshots of it. */
  readonly autoSnapshotPolicyId?: string;
  /** Every instance it is attached to (or being attached to or detached from). */
  readonly attachedTo: readonly string[];
  readonly locks: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
}

export interface Snapshot {
  readonly id: string;
  /** `progressing`, `accomplished`, `failed`. */
  readonly status: string;
  readonly kind: 'manual' | 'automatic';
  /** Usable for ResetDisk and CreateDisk; ESSD snapshots are long before they are accomplished. */
  readonly available: boolean;
  /** Empty until the point in time is cut. */
  readonly createdAt: string;
  readonly progressPercent: number;
  readonly sourceDiskId: string;
  /** Set for a copy of another snapshot (CopySnapshot). */
  readonly copyOf?: string;
  readonly sourceDiskKind: 'system' | 'data';
  readonly sourceDiskSizeGiB: number;
  readonly encrypted: boolean;
  /** `standard`, `flash` or `archive`; the service writes it with and without a capital. */
  readonly category: string;
  /** Absent: kept until somebody deletes it. */
  readonly retentionDays?: number;
  readonly tags: Readonly<Record<string, string>>;
}

export interface SnapshotLock {
  readonly snapshotId: string;
  /** `compliance-cooloff`, `compliance` or `expired`. */
  readonly status: string;
  /** From when the snapshot is accomplished. */
  readonly days: number;
  /** Empty while the snapshot is still being made. */
  readonly expiresAt: string;
}

export interface Instance {
  readonly id: string;
  readonly name: string;
  /** `Pending`, `Starting`, `Running`, `Stopping`, `Stopped`. */
  readonly status: string;
  /** `KeepCharging`, `StopCharging` or `Not-applicable`. */
  readonly stoppedMode: string;
  readonly zoneId: string;
  readonly osType: 'linux' | 'windows';
  readonly osName: string;
  readonly instanceType: string;
  /** When it was last started, to the minute. Empty when it never was. */
  readonly startedAt: string;
  /** When the service releases it by itself. */
  readonly releasedAt?: string;
  /** Bound to it for logging in. */
  readonly keyPairName?: string;
  readonly locks: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
}

export interface Agent {
  readonly instanceId: string;
  readonly installed: boolean;
  /** A heartbeat within the last two minutes. */
  readonly online: boolean;
}

/** One run of a script on one instance. */
export interface Invocation {
  readonly id: string;
  /** `Pending`, `Scheduled`, `Running`, `Success`, `Failed`, `Error`, `Timeout`, `Aborted`, `Invalid`, `Cancelled`, `Stopping`, `Terminated`. */
  readonly status: string;
  readonly exitCode?: number;
  readonly errorCode?: string;
  readonly errorInfo?: string;
  readonly output: Buffer;
  /** Bytes of output the service threw away. */
  readonly dropped: number;
}

/** What can be had of one category of data disk in one zone, by the service's own word. */
export interface DiskOffer {
  readonly category: string;
  readonly available: boolean;
  readonly minGiB?: number;
  readonly maxGiB?: number;
}
