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
  /** Every instance it is attached to (or being attached to or detached from). */
  readonly attachedTo: readonly string[];
  readonly locks: readonly string[];
  readonly tags: Readonly<Record<string, string>>;
}

export interface Snapshot {
  readonly id: string;
  /** `progressing`, `accomplished`, `failed`. */
  readonly status: string;
  /** Usable for ResetDisk and CreateDisk; ESSD snapshots are long before they are accomplished. */
  readonly available: boolean;
  /** Empty until the point in time is cut. */
  readonly createdAt: string;
  readonly progressPercent: number;
  readonly sourceDiskId: string;
  readonly sourceDiskKind: 'system' | 'data';
  readonly sourceDiskSizeGiB: number;
  readonly encrypted: boolean;
  readonly category: string;
  readonly retentionDays?: number;
  readonly tags: Readonly<Record<string, string>>;
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
  readonly locks: readonly string[];
}

export interface Agent {
  readonly instanceId: string;
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
