/** Every code a plan's finding may have, and how one is made. `docs/plan.md` tells what each means. */
import type { PlanFinding, RollbackPlan, SyncSelection } from '../../contract/rollback.ts';

export const PLAN_CODES = [
  // What was asked for, and whether it can be seen.
  'DiskNotFound',
  'SnapshotNotFound',
  'InstanceNotFound',
  'NotReadable',
  'NotChecked',
  // Snapshot A.
  'SnapshotOfAnotherDisk',
  'SnapshotOfReplacedSystemDisk',
  'SnapshotShared',
  'SnapshotCopy',
  'SnapshotArchived',
  'SnapshotEncrypted',
  'SnapshotTooOld',
  'SnapshotFailed',
  'SnapshotNotReady',
  'SnapshotExpiresSoon',
  // All snapshots of the disk, snapshot B among them.
  'SnapshotInProgress',
  'SnapshotQuotaFull',
  'AutoSnapshotPolicy',
  'SafetySnapshotShortLived',
  // The disk.
  'DiskNotAttached',
  'DiskAttachedTwice',
  'DiskOnAnotherInstance',
  'DiskBusy',
  'ResetRunning',
  'DiskLocked',
  'DiskInArrears',
  'DiskCategoryUnsupported',
  'DiskGrownSince',
  'DiskGoesWithInstance',
  'AutoSnapshotsGoWithDisk',
  'SystemDisk',
  'SystemDiskLogin',
  // The instance.
  'InstanceBusy',
  'InstanceLocked',
  'InstanceInArrears',
  'EconomicalMode',
  'InstanceInScalingGroup',
  'InstanceWillBeReleased',
  'CopyAttached',
  'OtherDisksStay',
  // What the service would say.
  'NotAllowed',
  'KmsKeyUnusable',
  'KmsNotChecked',
  'NoStock',
  'ServiceWouldRefuse',
  // What leaves the disk.
  'DataLossWindow',
  'DataSinceWouldBeLost',
  'LostBeforeStop',
  // Other runs.
  'InstanceHeldByRun',
  'OtherRunsOpen',
  // The recovery disk.
  'DiskWithoutSerial',
  'DiskSlotsFull',
  'RecoveryDiskNotOffered',
  'RecoveryDiskSize',
  'RecoveryDiskNotChecked',
  // The guest.
  'WindowsGuest',
  'WindowsUnsupported',
  'SyncNeedsRunningInstance',
  'AgentNotInstalled',
  'AgentOffline',
  'GuestNotChecked',
  'GuestNotAnswering',
  'GuestNotSupported',
  'GuestToolMissing',
  'FreezeImpossible',
  'HookUnusable',
  'DiskStackedWithOthers',
  'DiskStackNotKnown',
  'FileSystemReadOnly',
  'NotMountedAtBoot',
  'LittleSpace',
  // The paths to bring back.
  'PathsNotChecked',
  'PathNotFound',
  'PathNotOnDisk',
  'PathThroughSymlink',
  'UnsupportedLayout',
  'OriginalReadOnly',
  'PathUnusable',
] as const;
export type PlanCode = (typeof PLAN_CODES)[number];

/** The fields of a request that a finding may be about. */
export type Field =
  | 'diskId'
  | 'snapshotId'
  | 'instanceId'
  | 'sync.paths'
  | `sync.${Exclude<keyof SyncSelection, 'paths'>}`
  | 'powerAfter'
  | 'snapshotMode'
  | 'freezeFileSystems'
  | 'safetySnapshotRetentionDays'
  | 'acceptDataLoss'
  | 'hooks';

const finding =
  (severity: PlanFinding['severity']) =>
  /** `fact`: what was seen; `remedy`: what to do about it. One line each, whatever names and messages they quote. */
  (code: PlanCode, field: Field, fact: string, remedy: string): PlanFinding => ({
    severity,
    code,
    field,
    fact: oneLine(fact),
    remedy: oneLine(remedy),
  });
export const blocker = finding('blocker');
export const warning = finding('warning');

const oneLine = (text: string): string => text.replace(/[\p{Cc}\s]+/gu, ' ').trim();

export const blockersOf = (plan: Pick<RollbackPlan, 'findings'>): PlanFinding[] =>
  plan.findings.filter((finding) => finding.severity === 'blocker');
