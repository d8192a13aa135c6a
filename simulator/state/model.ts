/** What the simulated region holds. Plain JSON, so that all of it survives a restart. Sizes in GiB; wire times in ISO 8601. */

export type Tags = Record<string, string>;

export type DiskStatus = 'Creating' | 'Available' | 'Attaching' | 'In_use' | 'Detaching' | 'ReIniting';

export interface Attachment {
  instanceId: string;
  device: string;
  attachedAt: string;
}

export interface DiskState {
  id: string;
  seq: number;
  name: string;
  description: string;
  kind: 'system' | 'data';
  category: string;
  performanceLevel: string;
  sizeGiB: number;
  /** What the data plane has; smaller than `sizeGiB` between an offline resize and the next boot. */
  deviceSizeGiB: number;
  zoneId: string;
  status: DiskStatus;
  attachment: Attachment | null;
  everAttached: boolean;
  portable: boolean;
  deleteWithInstance: boolean;
  deleteAutoSnapshot: boolean;
  /** Unlike disks of before June 2020. */
  hasSerial: boolean;
  encrypted: boolean;
  kmsKeyId: string;
  /** Empty: no policy takes automatic snapshots of it. */
  autoSnapshotPolicyId: string;
  burstingEnabled: boolean;
  provisionedIops: number | null;
  multiAttach: boolean;
  sourceSnapshotId: string;
  createdAt: string;
  attachedAt: string;
  detachedAt: string;
  locks: string[];
  tags: Tags;
  /** Simulated time until which DeleteDisk answers `Initializing`. */
  hydratingUntil: number;
  resetting: boolean;
  /** What describe calls still show for a moment after an attach. */
  stale: { until: number; status: DiskStatus; attachment: Attachment | null } | null;
}

export interface SnapshotLock {
  days: number;
  coolOffHours: number;
  /** Wire times. */
  createdAt: string;
  startsAt: string;
  /** Simulated times; the duration begins when the snapshot is accomplished, so `until` is 0 before. */
  coolOffUntil: number;
  until: number;
}

export interface SnapshotState {
  id: string;
  seq: number;
  name: string;
  description: string;
  status: 'progressing' | 'accomplished' | 'failed';
  available: boolean;
  /** Empty until the point in time is cut. */
  createdAt: string;
  modifiedAt: string;
  sourceDiskId: string;
  sourceDiskKind: 'system' | 'data';
  sourceSizeGiB: number;
  sourceCategory: string;
  encrypted: boolean;
  kmsKeyId: string;
  retentionDays: number | null;
  tags: Tags;
  /** Simulated times between which Progress runs. */
  cutAt: number;
  finishAt: number;
  /** Set by a fault: it will end as `failed`. */
  doomed: boolean;
  /** A copy of another snapshot (set by a test): cannot be used for ResetDisk. */
  copyOf: string;
  /** Taken by an automatic snapshot policy (set by a test). */
  automatic: boolean;
  /** In archive storage (set by a test): good for neither ResetDisk nor CreateDisk. */
  archived: boolean;
  /** Absent: never locked. */
  lock?: SnapshotLock;
}

export type InstanceStatus = 'Pending' | 'Starting' | 'Running' | 'Stopping' | 'Stopped';

export interface InstanceState {
  id: string;
  seq: number;
  name: string;
  description: string;
  hostName: string;
  status: InstanceStatus;
  stoppedMode: 'KeepCharging' | 'StopCharging' | 'Not-applicable';
  zoneId: string;
  instanceType: string;
  cpu: number;
  memoryMiB: number;
  osType: 'linux' | 'windows';
  osName: string;
  keyPairName: string;
  /** When the service would release it by itself; shown, never done. Empty: never. */
  autoReleaseTime: string;
  createdAt: string;
  startedAt: string;
  locks: string[];
  tags: Tags;
  /** Simulated time of the last boot's end; 0 while not running. */
  bootedAt: number;
  /** Wall time of the last heartbeat; empty when there was none since the boot. */
  lastHeartbeat: string;
  agentOffline: boolean;
  /** Set by a test: its guest does not heed a graceful stop. */
  ignoresShutdown?: boolean;
  /** Without it the instance has no Cloud Assistant at all. */
  agentInstalled: boolean;
  invocationCount: number;
  lastInvokedAt: string;
}

export type ResultStatus =
  | 'Pending'
  | 'Running'
  | 'Success'
  | 'Failed'
  | 'Error'
  | 'Timeout'
  | 'Aborted'
  | 'Cancelled'
  | 'Stopping'
  | 'Terminated';

export interface InvocationResult {
  instanceId: string;
  status: ResultStatus;
  exitCode: number | null;
  errorCode: string;
  errorInfo: string;
  /** Base64, already cut. */
  output: string;
  dropped: number;
  createdAt: string;
  startedAt: string;
  finishedAt: string;
  stoppedAt: string;
}

export interface InvocationState {
  id: string;
  seq: number;
  kind: 'command' | 'file';
  commandId: string;
  name: string;
  description: string;
  /** Command: the script as sent, Base64, before substitution. File: its content, Base64. */
  content: string;
  parameters: string;
  type: string;
  timeoutSeconds: number;
  workingDir: string;
  username: string;
  createdAt: string;
  tags: Tags;
  results: InvocationResult[];
  file: {
    targetDir: string;
    mode: string;
    owner: string;
    group: string;
    overwrite: boolean;
    contentType: string;
  } | null;
}

export type TaskKind =
  | 'startInstance'
  | 'stopInstance'
  | 'rebootInstance'
  | 'createDisk'
  | 'attachDisk'
  | 'detachDisk'
  | 'resetDisk'
  | 'cutSnapshot'
  | 'openSnapshot'
  | 'finishSnapshot';

/** A transition under way. `due` is simulated time; it ends then, or when the data plane is done, whichever is later. */
export interface Task {
  id: number;
  kind: TaskKind;
  subject: string;
  due: number;
  data: Record<string, string | number | boolean>;
}

export interface TokenRecord {
  fingerprint: string;
  answer: Record<string, unknown>;
}

export interface FaultRule {
  id: number;
  action: string;
  /** Only calls whose wire parameters have these values; empty: not sent. */
  match: Record<string, string>;
  /** Only calls about this instance and nothing else: it, its disks, their snapshots, disks made from those. */
  about?: string;
  /** Let this many matching calls pass first. */
  skip: number;
  /** Then act on this many; -1 for ever. */
  times: number;
  hits: number;
  error?: { code: string; status: number; message: string; retryAfterMs?: number };
  /** The error is answered although the call has taken effect, as an earlier copy of the request would make it. */
  afterEffect?: boolean;
  /** Real milliseconds before anything is done. */
  delayMs?: number;
  /** Real milliseconds between the effect and the answer; a second call with the same ClientToken is refused meanwhile. */
  delayAfterMs?: number;
  /** `refused`: connection ends before the effect. `lost`: effect applied, then the connection ends. */
  answer?: 'refused' | 'lost' | 'garbage';
  garbage?: { status: number; contentType: string; body: string };
}

export interface CallRecord {
  seq: number;
  time: string;
  action: string;
  parameters: Record<string, unknown>;
  code: string;
  status: number;
  requestId: string;
  /** The call changed the region (a repeated ClientToken or a dry run does not). */
  tookEffect: boolean;
  /** Id of the disk, snapshot or invocation that the call made. */
  createdId?: string;
  answered: boolean;
}

export interface Scene {
  instanceId: string;
  systemDiskId: string;
  dataDiskId: string;
  mountPoint: string;
  fileSystem: string;
  zoneId: string;
  /** A third disk with the Debian packages that were asked for, mounted read-only. */
  packagesDiskId?: string;
  packagesMount?: string;
}

export interface GuestAnswer {
  id: number;
  instanceId: string;
  contains: string;
  exitCode: number;
  output: string;
  delayMs: number;
  times: number;
}

export interface World {
  format: 3;
  regionId: string;
  accessKeyId: string;
  accessKeySecret: string;
  dataPlane: string;
  simTime: number;
  nextSeq: number;
  /** `seq` of the last call that changed this world; what the log has after it was lost in a crash. */
  lastEffect: number;
  durations: Durations;
  switches: Switches;
  instances: Record<string, InstanceState>;
  disks: Record<string, DiskState>;
  snapshots: Record<string, SnapshotState>;
  invocations: Record<string, InvocationState>;
  tasks: Task[];
  tokens: Record<string, TokenRecord>;
  faults: FaultRule[];
  held: string[];
  /** Answers that data plane `none` gives to scripts, set by a test. */
  guestAnswers: GuestAnswer[];
  /** Calls per minute and action; `*` for all others. Empty: no limit. */
  throttle: Record<string, number>;
  /** Disks that an instance of a type takes, where a test has changed it. */
  diskQuantities: Record<string, number>;
  /** Data disks that cannot be had, as `zone/category`. */
  soldOut: string[];
  incidents: string[];
  scene: Scene | null;
}

/** Seconds at speed 1. Orders of magnitude as users see them; none is published. */
export const defaultDurations = {
  startInstance: 30,
  stopInstance: 20,
  createDisk: 8,
  attachDisk: 5,
  detachDisk: 5,
  resetDisk: 20,
  /** From CreateSnapshot to the point in time. */
  snapshotCut: 3,
  /** From the point in time to Available, ESSD family. */
  snapshotAvailable: 2,
  /** From CreateSnapshot to accomplished. */
  snapshot: 60,
  /** How long DeleteDisk is refused for a new disk that fills from its snapshot. */
  hydration: 10,
  agentAfterBoot: 10,
  deliveryLimit: 60,
  staleRead: 1,
};
export type Durations = typeof defaultDurations;

/** Where the service's documents leave a choice or contradict each other: the default first, then the other. */
export const switchChoices = {
  /** Does a snapshot that is Available but still progressing make ResetDisk refuse? */
  availableSnapshotBlocksReset: ['yes', 'no'],
  statusDuringReset: ['ReIniting', 'In_use'],
  sizeAfterReset: ['keep', 'snapshot'],
  /** Which snapshots fail when their instance is stopped or rebooted. */
  stopFailsSnapshots: ['progressing', 'uncut', 'none'],
  /** What StopInstance does when StoppedMode is not sent. */
  defaultStoppedMode: ['KeepCharging', 'StopCharging'],
  /** What StopInstance with ForceStop does while a graceful stop is under way. */
  forceStopWhileStopping: ['accept', 'refuse'],
  /** Whether an instance stopped with StopCharging finds capacity when it starts. */
  stock: ['yes', 'no'],
  attachFlipsDeleteAutoSnapshot: ['no', 'yes'],
  deleteUnknownDisk: ['error', 'ignore'],
  deleteUnknownSnapshot: ['ignore', 'error'],
  createDiskBelowSnapshotSize: ['enlarge', 'refuse'],
  runCommandOnStoppedInstance: ['refuse', 'result'],
  /** Which 24 KB of a longer output are kept. */
  outputKept: ['head-and-tail', 'head', 'tail'],
} as const;
export type SwitchName = keyof typeof switchChoices;
export type Switches = { [K in SwitchName]: (typeof switchChoices)[K][number] };

export const defaultSwitches = (): Switches =>
  Object.fromEntries(Object.entries(switchChoices).map(([name, choices]) => [name, choices[0]])) as Switches;

export const GiB = 1024 ** 3;

/** What DescribeInstanceTypes knows; DiskQuantity counts the system disk. */
export const instanceTypes: Readonly<Record<string, { cpu: number; memoryGiB: number; diskQuantity: number }>> = {
  'ecs.g6.large': { cpu: 2, memoryGiB: 8, diskQuantity: 17 },
  'ecs.g7.large': { cpu: 2, memoryGiB: 8, diskQuantity: 17 },
  'ecs.g7.xlarge': { cpu: 4, memoryGiB: 16, diskQuantity: 17 },
  'ecs.c7.large': { cpu: 2, memoryGiB: 4, diskQuantity: 17 },
};

export const diskQuantityOf = (world: World, instanceType: string): number =>
  world.diskQuantities[instanceType] ?? instanceTypes[instanceType]?.diskQuantity ?? 17;

/** GiB a data disk may have, by category; `cloud_essd` also by performance level. */
export const dataDiskSizes: Readonly<Record<string, readonly [min: number, max: number]>> = {
  cloud: [5, 2_000],
  cloud_efficiency: [20, 32_768],
  cloud_ssd: [20, 32_768],
  'cloud_essd/PL0': [1, 65_536],
  'cloud_essd/PL1': [20, 65_536],
  'cloud_essd/PL2': [461, 65_536],
  'cloud_essd/PL3': [1_261, 65_536],
  cloud_auto: [1, 65_536],
  cloud_essd_entry: [10, 32_768],
};

/** The service's second-precision time. */
export const isoSeconds = (ms: number): string => `${new Date(ms).toISOString().slice(0, 19)}Z`;

export const isEssdFamily = (category: string): boolean =>
  category.startsWith('cloud_essd') || category === 'cloud_auto' || category === 'cloud_regional_disk_auto';
