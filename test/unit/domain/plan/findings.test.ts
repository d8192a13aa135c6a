/** Every finding of the plan: a world in which it appears, and one – the same but for what it is about – in which it does not. */
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  type RollbackInput,
  type RollbackPlan,
  rollbackInputSchema,
  type SyncInput,
} from '../../../../src/contract/rollback.ts';
import { PLAN_CODES, type PlanCode } from '../../../../src/domain/plan/findings.ts';
import { planRollback, planSync } from '../../../../src/domain/plan/index.ts';
import type { Observed } from '../../../../src/domain/plan/observed.ts';
import {
  disk,
  guest,
  healthy,
  instance,
  onWindows,
  OTHER_DISK,
  OTHER_INSTANCE,
  snapshot,
  stopped,
  syncOnly,
  systemDisk,
  windows,
  windowsGuest,
  withoutPaths,
  withPaths,
} from './samples.ts';

interface Case {
  readonly severity?: 'warning';
  readonly input?: RollbackInput | SyncInput;
  /** What is seen where the finding appears. */
  readonly seen: Partial<Observed>;
  /** The world it is changed in, and in which the finding does not appear; `healthy` unless given. */
  readonly world?: Observed;
  /** The input with which the finding does not appear, where it hangs on that. */
  readonly unless?: { readonly input?: RollbackInput | SyncInput; readonly seen?: Partial<Observed> };
  readonly says?: RegExp;
}

const progressing = { ...snapshot, id: 's-bp1ccccccccccccccccc', status: 'progressing', progressPercent: 40 };
const replaced = { sourceDiskId: OTHER_DISK, sourceDiskKind: 'system' as const };
const onSystemDisk = {
  disk: { ...disk, kind: 'system' as const },
  disksOfInstance: [{ ...disk, kind: 'system' as const }],
};
const undo = { ...withoutPaths, undoes: { workflowId: 'rollback-x', runId: 'r', insideRun: false } };
/** B is of 03:00:30, the instance stopped since 02:00. */
const untouched: Observed = {
  ...stopped,
  snapshot: { ...snapshot, createdAt: '2026-11-21T03:00:30Z' },
  instance: { ...instance, status: 'Stopped', stoppedMode: 'KeepCharging', startedAt: '2026-11-21T02:00Z' },
};
const hot = { ...withoutPaths, snapshotMode: 'hot' as const };
const withHook = rollbackInputSchema.parse({
  ...withoutPaths,
  hooks: { afterStart: { command: '/usr/local/bin/check' } },
});
const frozen = { ...hot, freezeFileSystems: true };
const refusal = (code: string, kind: 'denied' | 'conflict' | 'noStock' | 'invalid' = 'conflict') => ({
  kind,
  code,
  message: `the service says ${code}`,
});
const fileSystem = (over: Partial<(typeof guest.fileSystems)[number]>) => ({
  guest: { ...guest, fileSystems: guest.fileSystems.map((each) => ({ ...each, ...over })) },
});
const stack = (withOthers: boolean | null) => ({
  guest: { ...guest, stacks: [{ kind: 'LVM', name: 'vg0', withOthers }] },
});
const clone = { ...disk, id: OTHER_DISK, sourceSnapshotId: snapshot.id };
const problem = (code: string) => ({ paths: [{ path: '/data/uploads', code, message: '/data/uploads will not do' }] });

const CASES: { readonly [C in PlanCode]: Case | readonly Case[] } = {
  DiskNotFound: { seen: { disk: undefined, instance: undefined } },
  SnapshotNotFound: [
    { seen: { snapshot: undefined }, says: /s-bp1a\w+ is not in region/ },
    {
      input: undo,
      world: untouched,
      seen: { snapshot: undefined },
      says: /^snapshot B \(s-bp1a\w+\) of run rollback-x is gone/,
    },
  ],
  InstanceNotFound: { seen: { instance: undefined } },
  NotReadable: [
    { seen: { disk: undefined, unread: [{ part: 'disk', message: 'DescribeDisks: no' }] }, says: /DescribeDisks/ },
    { seen: { snapshot: undefined, unread: [{ part: 'snapshot', message: 'DescribeX: no' }] } },
    { seen: { snapshotsOfDisk: [], unread: [{ part: 'snapshotsOfDisk', message: 'DescribeX: no' }] } },
    { seen: { instance: undefined, unread: [{ part: 'instance', message: 'DescribeX: no' }] } },
    {
      seen: {
        agent: undefined,
        guest: undefined,
        paths: undefined,
        unread: [{ part: 'agent', message: 'DescribeX: no' }],
      },
      unless: {
        input: withoutPaths,
        seen: { agent: undefined, guest: undefined, unread: [{ part: 'agent', message: 'DescribeX: no' }] },
      },
    },
  ],
  NotChecked: (
    [
      'sourceDiskThere',
      'disksOfInstance',
      'diskLimit',
      'offers',
      'ResetDisk',
      'StopInstance',
      'StartInstance',
      'otherRuns',
    ] as const
  ).map((part) => ({
    severity: 'warning',
    seen: { unread: [{ part, message: 'no answer' }] },
    says: /^(which|how many|whether) .* is not known: no answer$/,
  })),
  SnapshotOfAnotherDisk: [
    { seen: { snapshot: { ...snapshot, sourceDiskId: OTHER_DISK }, sourceDiskThere: true } },
    {
      seen: { snapshot: { ...snapshot, sourceDiskId: OTHER_DISK }, sourceDiskThere: false },
      says: /not there, or not yours/,
    },
  ],
  SnapshotOfReplacedSystemDisk: {
    seen: { ...onSystemDisk, snapshot: { ...snapshot, ...replaced }, sourceDiskThere: false },
    unless: { seen: { ...onSystemDisk, snapshot: { ...snapshot, ...replaced }, sourceDiskThere: true } },
  },
  SnapshotShared: { seen: { snapshot: { ...snapshot, sourceDiskId: '' } } },
  SnapshotCopy: {
    seen: { snapshot: { ...snapshot, copyOf: 's-bp1zzzzzzzzzzzzzzzzz' } },
    // A copy is good enough to make a disk of.
    unless: { input: syncOnly, seen: { snapshot: { ...snapshot, copyOf: 's-bp1zzzzzzzzzzzzzzzzz' } } },
  },
  SnapshotArchived: { seen: { snapshot: { ...snapshot, category: 'Archive' } } },
  SnapshotEncrypted: {
    seen: { snapshot: { ...snapshot, encrypted: true } },
    unless: { seen: { snapshot: { ...snapshot, encrypted: true }, disk: { ...disk, encrypted: true } } },
  },
  SnapshotTooOld: {
    seen: { snapshot: { ...snapshot, createdAt: '2013-07-14T23:59:59Z' } },
    unless: { seen: { snapshot: { ...snapshot, createdAt: '2013-07-15T00:00:00Z' } } },
  },
  SnapshotFailed: { seen: { snapshot: { ...snapshot, status: 'failed', available: false } } },
  SnapshotNotReady: {
    seen: { snapshot: { ...snapshot, status: 'progressing', available: false, progressPercent: 40 } },
    says: /40 %/,
  },
  SnapshotExpiresSoon: [
    {
      severity: 'warning',
      seen: { snapshot: { ...snapshot, retentionDays: 2 } },
      unless: { seen: { snapshot: { ...snapshot, retentionDays: 4 } } },
      says: /deletes snapshot s-\w+ at 2026-11-22T00:00:00/,
    },
    {
      severity: 'warning',
      input: undo,
      world: untouched,
      seen: { snapshot: { ...snapshot, retentionDays: 2 } },
      says: /deletes snapshot B .* of run rollback-x/,
    },
  ],
  SnapshotInProgress: [
    { seen: { snapshotsOfDisk: [snapshot, progressing] }, says: /being created \(40 %\)$/ },
    {
      seen: { snapshotsOfDisk: [snapshot, { ...progressing, tags: { 'ecs-rollback:workflow': 'rollback-x' } }] },
      says: /by run rollback-x$/,
    },
    { seen: { snapshotsOfDisk: [{ ...progressing, kind: 'automatic' }] }, says: /by an automatic policy$/ },
    // A itself: available, but not accomplished.
    { seen: { snapshotsOfDisk: [{ ...snapshot, status: 'progressing' }] } },
  ],
  SnapshotQuotaFull: {
    seen: { snapshotsOfDisk: Array.from({ length: 2_000 }, () => snapshot) },
    unless: { seen: { snapshotsOfDisk: Array.from({ length: 1_999 }, () => snapshot) } },
  },
  AutoSnapshotPolicy: { severity: 'warning', seen: { disk: { ...disk, autoSnapshotPolicyId: 'sp-1' } } },
  SafetySnapshotShortLived: {
    severity: 'warning',
    input: { ...withPaths, safetySnapshotRetentionDays: 2 },
    seen: {},
    unless: { input: { ...withPaths, safetySnapshotRetentionDays: 3 } },
  },
  DiskNotAttached: { seen: { disk: { ...disk, status: 'Available', attachedTo: [] }, instance: undefined } },
  DiskAttachedTwice: { seen: { disk: { ...disk, attachedTo: [instance.id, OTHER_INSTANCE] } } },
  DiskOnAnotherInstance: {
    input: { ...withPaths, instanceId: OTHER_INSTANCE },
    seen: {},
    unless: { input: { ...withPaths, instanceId: instance.id } },
  },
  DiskBusy: { seen: { disk: { ...disk, status: 'Detaching' } } },
  ResetRunning: [
    { seen: { disk: { ...disk, status: 'ReIniting' } } },
    {
      world: stopped,
      input: withoutPaths,
      seen: { dryRuns: { ResetDisk: refusal('InvalidOperation.DiskResetInProgress') } },
    },
  ],
  DiskLocked: {
    seen: { disk: { ...disk, locks: ['security'] } },
    // Of a reason that is not known to forbid a reset, the dry run says more.
    unless: { seen: { disk: { ...disk, locks: ['something-new'] } } },
  },
  DiskInArrears: { seen: { disk: { ...disk, locks: ['financial'] } } },
  DiskCategoryUnsupported: { seen: { disk: { ...disk, category: 'local_ssd_pro' } } },
  DiskGrownSince: { severity: 'warning', seen: { disk: { ...disk, sizeGiB: 40 } }, says: /from 20 to 40 GiB/ },
  DiskGoesWithInstance: {
    severity: 'warning',
    seen: { disk: { ...disk, deleteWithInstance: true } },
    // Every system disk does.
    unless: { seen: { disk: { ...disk, kind: 'system', deleteWithInstance: true } } },
  },
  AutoSnapshotsGoWithDisk: {
    severity: 'warning',
    seen: { disk: { ...disk, deleteAutoSnapshot: true }, snapshot: { ...snapshot, kind: 'automatic' } },
    unless: { seen: { disk: { ...disk, deleteAutoSnapshot: true } } },
  },
  SystemDisk: { severity: 'warning', seen: onSystemDisk },
  SystemDiskLogin: [
    { severity: 'warning', seen: onSystemDisk, says: /current password/ },
    {
      severity: 'warning',
      seen: { ...onSystemDisk, instance: { ...instance, keyPairName: 'ops' } },
      says: /key pair ops/,
    },
  ],
  InstanceBusy: { seen: { instance: { ...instance, status: 'Starting' } } },
  InstanceLocked: { seen: { instance: { ...instance, locks: ['security'] } } },
  InstanceInArrears: { seen: { instance: { ...instance, locks: ['financial'] } } },
  EconomicalMode: {
    input: withoutPaths,
    world: stopped,
    seen: { instance: { ...instance, status: 'Stopped', stoppedMode: 'StopCharging' } },
  },
  InstanceInScalingGroup: {
    severity: 'warning',
    seen: { instance: { ...instance, tags: { 'acs:autoscaling:scalingGroupId': 'asg-1' } } },
    says: /asg-1/,
  },
  InstanceWillBeReleased: {
    severity: 'warning',
    seen: { instance: { ...instance, releasedAt: '2026-11-23T00:00Z' } },
  },
  CopyAttached: [
    { seen: { disksOfInstance: [systemDisk, disk, clone] }, says: /d-bp1z\w+, made from snapshot/ },
    {
      seen: { disksOfInstance: [disk, { ...clone, tags: { 'ecs-rollback:workflow': 'rollback-x' } }] },
      says: /by run rollback-x/,
      unless: { seen: { disksOfInstance: [disk, { ...clone, sourceSnapshotId: 's-bp1ofsomethingelse' }] } },
    },
    // Nothing boots in this run.
    { severity: 'warning', input: withoutPaths, world: stopped, seen: { disksOfInstance: [disk, clone] } },
  ],
  OtherDisksStay: {
    severity: 'warning',
    seen: { disksOfInstance: [systemDisk, disk, { ...disk, id: OTHER_DISK }] },
    says: new RegExp(`^${OTHER_DISK}`),
  },
  NotAllowed: (['ResetDisk', 'StopInstance', 'StartInstance'] as const).map((call) => ({
    seen: { dryRuns: { ...healthy.dryRuns, [call]: refusal('Forbidden.RAM', 'denied') } },
    says: new RegExp(`may not do ${call}`),
  })),
  KmsKeyUnusable: {
    input: withoutPaths,
    world: stopped,
    seen: { dryRuns: { ResetDisk: refusal('InvalidParameter.KMSKeyId.CMKNotEnabled', 'denied') } },
  },
  KmsNotChecked: {
    severity: 'warning',
    seen: { disk: { ...disk, encrypted: true, kmsKeyId: 'key-1' } },
    says: /KMS key key-1/,
    // Stopped, the dry run of the reset is the check.
    unless: {
      input: withoutPaths,
      seen: { ...stopped, disk: { ...disk, encrypted: true, kmsKeyId: 'key-1' } },
    },
  },
  NoStock: {
    severity: 'warning',
    input: { ...withoutPaths, powerAfter: 'running' },
    world: stopped,
    seen: { dryRuns: { ResetDisk: 'passes', StartInstance: refusal('OperationDenied.NoStock', 'noStock') } },
  },
  ServiceWouldRefuse: {
    input: withoutPaths,
    world: stopped,
    seen: { dryRuns: { ResetDisk: refusal('InvalidAccountStatus.SnapshotServiceUnavailable', 'denied') } },
    // What another rule has said is not said again in the service's words.
    unless: {
      seen: {
        ...stopped,
        snapshot: { ...snapshot, available: false },
        dryRuns: { ResetDisk: refusal('InvalidSnapshotId.NotReady', 'invalid') },
      },
    },
  },
  DataLossWindow: { severity: 'warning', seen: {}, unless: { input: syncOnly }, says: /since 2026-11-20T00:00:00Z/ },
  DataSinceWouldBeLost: [
    {
      input: undo,
      world: untouched,
      seen: { instance: { ...instance, status: 'Running' } },
      says: /is Running and may have written/,
    },
    {
      input: undo,
      world: untouched,
      seen: { instance: { ...instance, status: 'Stopped', startedAt: '2026-11-21T03:00Z' } },
      says: /was started since \(2026-11-21T03:00Z\)/,
    },
    {
      input: undo,
      world: untouched,
      seen: { instance: { ...instance, status: 'Stopped', startedAt: '' } },
      says: /cannot be known/,
    },
    { input: undo, world: untouched, seen: { instance: undefined }, says: /cannot be known/ },
    {
      input: undo,
      world: untouched,
      seen: { disk: { ...disk, attachedAt: '2026-11-21T04:00:00Z' } },
      says: /attached anew since/,
    },
    {
      severity: 'warning',
      input: { ...undo, acceptDataLoss: true },
      world: untouched,
      seen: { instance: { ...instance, status: 'Running' } },
    },
    // A rollback that undoes nothing says it by its window alone.
    {
      input: undo,
      world: untouched,
      seen: { instance },
      unless: { input: withoutPaths, seen: { ...untouched, instance } },
    },
  ],
  LostBeforeStop: {
    severity: 'warning',
    input: hot,
    seen: {},
    // Of a stopped instance every mode is cold.
    unless: { input: hot, seen: stopped },
  },
  InstanceHeldByRun: [
    { severity: 'warning', seen: { otherRuns: { holder: 'rollback-x', open: [] } }, says: /^run rollback-x works on/ },
    {
      severity: 'warning',
      input: { ...withPaths, onLeaseHeld: 'wait' },
      seen: { otherRuns: { holder: 'rollback-x', open: [] } },
    },
  ],
  OtherRunsOpen: {
    severity: 'warning',
    seen: { otherRuns: { holder: null, open: [{ workflowId: 'sync-y', phase: 'copying' }] } },
    says: /sync-y \(copying\)/,
    unless: { seen: { otherRuns: { holder: 'sync-y', open: [{ workflowId: 'sync-y', phase: 'copying' }] } } },
  },
  DiskWithoutSerial: [
    {
      seen: { disk: { ...disk, serial: '' } },
      unless: { input: withoutPaths, seen: { disk: { ...disk, serial: '' } } },
    },
    {
      severity: 'warning',
      input: {
        ...withPaths,
        sync: { paths: ['/data/uploads'], conflictPolicy: 'newer-wins', withoutSerial: 'compare' },
      },
      seen: { disk: { ...disk, serial: '' } },
      says: /before and after the attach/,
    },
  ],
  DiskSlotsFull: {
    seen: { diskLimit: 2 },
    unless: { seen: { diskLimit: 3 } },
    says: /has 2 of at most 2 disks/,
  },
  RecoveryDiskNotOffered: [
    { seen: { offers: [{ category: 'cloud_essd', available: false }] }, says: /sold out/ },
    { seen: { offers: [{ category: 'cloud_auto', available: true }] }, says: /does not offer/ },
  ],
  RecoveryDiskSize: [
    {
      seen: { disk: { ...disk, performanceLevel: 'PL2' } },
      says: /461 to 65536 GiB, and the recovery disk would have 20/,
    },
    {
      seen: { offers: [{ category: 'cloud_essd', available: true, minGiB: 40, maxGiB: 100 }] },
      unless: { seen: { offers: [{ category: 'cloud_essd', available: true, minGiB: 20, maxGiB: 20 }] } },
    },
    { seen: { offers: [{ category: 'cloud_essd', available: true, maxGiB: 19 }] } },
  ],
  RecoveryDiskNotChecked: { severity: 'warning', seen: { offers: [] } },
  WindowsGuest: [
    {
      severity: 'warning',
      input: onWindows(),
      seen: windows,
      says: /bring files back there are untried/,
      unless: { input: withoutPaths, seen: windows },
    },
    {
      severity: 'warning',
      input: withoutPaths,
      seen: { ...windows, disk: { ...disk, sizeGiB: 40 } },
      says: /grow its volumes there are untried/,
    },
  ],
  WindowsUnsupported: [
    { input: onWindows({ conflictPolicy: 'both' }), seen: windows, unless: { input: onWindows(), seen: windows } },
    ...(['newer-wins', 'keep-live', 'take-b'] as const).map((conflictPolicy) => ({
      input: onWindows({ conflictPolicy, delete: true }),
      seen: windows,
      says: /deleting/,
      unless: { input: onWindows({ conflictPolicy }), seen: windows },
    })),
    { input: onWindows({ include: ['*.db'] }), seen: windows, says: /include/ },
    { input: onWindows({ exclude: ['*.db'] }), seen: windows, says: /exclude/ },
    { input: onWindows({ into: String.raw`D:\from-b` }), seen: windows, says: /another folder/ },
    { input: onWindows({ choose: true }), seen: windows, says: /choosing/ },
    { input: onWindows({ withoutSerial: 'compare' }), seen: windows, says: /serial/ },
    { input: onWindows({ throttle: { mibPerSecond: 5 } }), seen: windows, says: /throttle/ },
    {
      input: onWindows({ openFiles: 'refuse' }),
      seen: windows,
      says: /who writes/,
      unless: { input: onWindows({ openFiles: 'ignore' }), seen: windows },
    },
    { input: withHook, seen: windows, says: /hooks/ },
    // Not of Linux.
    { input: onWindows({ choose: true }), seen: windows, unless: { input: onWindows({ choose: true }) } },
  ],
  SyncNeedsRunningInstance: {
    seen: stopped,
    unless: { input: { ...withPaths, powerAfter: 'running' }, seen: stopped },
  },
  AgentNotInstalled: [
    {
      seen: { agent: { instanceId: instance.id, installed: false, online: false }, guest: undefined, paths: undefined },
      unless: {
        input: withoutPaths,
        seen: { agent: { instanceId: instance.id, installed: false, online: false }, guest: undefined },
      },
    },
    {
      input: { ...withPaths, powerAfter: 'running' },
      world: stopped,
      seen: { agent: { instanceId: instance.id, installed: false, online: false } },
    },
    {
      input: { ...withHook, powerAfter: 'running' },
      world: stopped,
      seen: { agent: { instanceId: instance.id, installed: false, online: false } },
      // Stopped for good, no hook is run.
      unless: { input: withHook, seen: { agent: { instanceId: instance.id, installed: false, online: false } } },
    },
  ],
  AgentOffline: [
    {
      seen: { agent: { instanceId: instance.id, installed: true, online: false }, guest: undefined, paths: undefined },
      unless: {
        input: withoutPaths,
        seen: { agent: { instanceId: instance.id, installed: true, online: false }, guest: undefined },
      },
    },
    {
      input: frozen,
      seen: { agent: { instanceId: instance.id, installed: true, online: false }, guest: undefined },
    },
    {
      input: withHook,
      seen: { agent: { instanceId: instance.id, installed: true, online: false }, guest: undefined },
    },
  ],
  GuestNotChecked: [
    { severity: 'warning', input: withoutPaths, seen: stopped, says: /is Stopped, so its operating system/ },
    {
      severity: 'warning',
      input: withoutPaths,
      seen: { agent: { instanceId: instance.id, installed: true, online: false }, guest: undefined },
      says: /not answered for two minutes/,
    },
    { severity: 'warning', input: withoutPaths, seen: { agent: undefined, guest: undefined }, says: /agent/ },
    {
      severity: 'warning',
      input: withoutPaths,
      seen: { guest: undefined, guestSilence: 'no answer within 45 s' },
      says: /in vain \(no answer within 45 s\)/,
    },
    {
      severity: 'warning',
      input: withoutPaths,
      seen: { disk: { ...disk, serial: '' }, guest: undefined },
      says: /serial/,
    },
  ],
  GuestNotAnswering: {
    seen: { guest: undefined, paths: undefined, guestSilence: 'no answer within 45 s' },
    unless: { input: withoutPaths, seen: { guest: undefined, guestSilence: 'no answer within 45 s' } },
  },
  GuestNotSupported: [
    { seen: { guest: { ...guest, bash: '4.1' } }, unless: { seen: { guest: { ...guest, bash: '4.2' } } } },
    { seen: { guest: { ...guest, kernel: 'FreeBSD', os: '' } }, says: /is FreeBSD with bash/ },
    {
      input: onWindows(),
      seen: { ...windows, guest: { ...windowsGuest, powershell: '4.0' } },
      says: /is Microsoft Windows Server 2022 with PowerShell 4.0; Windows PowerShell 5.1/,
      unless: { input: onWindows(), seen: windows },
    },
  ],
  GuestToolMissing: [
    {
      seen: { guest: { ...guest, missingTools: ['blkid', 'flock'] } },
      says: /lacks blkid, flock/,
      unless: { input: withoutPaths, seen: { guest: { ...guest, missingTools: ['blkid'] } } },
    },
    { seen: problem('ToolMissing') },
  ],
  FreezeImpossible: [
    { input: frozen, seen: { guest: { ...guest, canFreeze: false } }, says: /no fsfreeze/ },
    { input: frozen, seen: onSystemDisk, says: /system disk/, unless: { input: hot, seen: onSystemDisk } },
    { input: frozen, seen: { instance: { ...instance, osType: 'windows' }, guest: undefined }, says: /Windows/ },
    // Nothing is frozen of a stopped instance.
    { input: frozen, seen: { guest: { ...guest, canFreeze: false } }, unless: { input: frozen, seen: stopped } },
  ],
  HookUnusable: [
    {
      seen: { guest: { ...guest, hookProblems: [{ at: 'afterStart', message: '/x is not there' }] } },
      says: /hook afterStart: \/x/,
    },
    { seen: { ...onSystemDisk, guest: { ...guest, hookProblems: [{ at: 'beforeStop', message: 'no such user' }] } } },
    {
      severity: 'warning',
      seen: { ...onSystemDisk, guest: { ...guest, hookProblems: [{ at: 'afterStart', message: 'no such user' }] } },
    },
    { input: syncOnly, seen: { guest: { ...guest, hookProblems: [{ at: 'beforeCopy', message: 'no such user' }] } } },
  ],
  DiskStackedWithOthers: { seen: stack(true), says: /a part of LVM vg0/, unless: { seen: stack(false) } },
  DiskStackNotKnown: { severity: 'warning', seen: stack(null), unless: { seen: stack(false) } },
  FileSystemReadOnly: { severity: 'warning', seen: fileSystem({ readOnly: true }) },
  NotMountedAtBoot: {
    severity: 'warning',
    seen: fileSystem({ atBoot: false }),
    unless: { input: withoutPaths, seen: fileSystem({ atBoot: false }) },
  },
  LittleSpace: [
    {
      severity: 'warning',
      seen: fileSystem({ freeBytes: 1024 ** 3 - 1 }),
      unless: { seen: fileSystem({ freeBytes: 1024 ** 3 }) },
    },
    {
      severity: 'warning',
      seen: fileSystem({ freeInodes: 49_999 }),
      unless: { seen: fileSystem({ inodes: 0, freeInodes: 0 }) },
    },
    {
      severity: 'warning',
      seen: { guest: { ...guest, stateFreeBytes: 1024 ** 2 } },
      says: /^\/run of the guest has 1 MiB left/,
    },
  ],
  PathsNotChecked: {
    severity: 'warning',
    input: { ...withPaths, powerAfter: 'running' },
    seen: stopped,
    unless: { input: { ...withoutPaths, powerAfter: 'running' }, seen: stopped },
  },
  PathNotFound: { seen: problem('PathNotFound') },
  PathNotOnDisk: { seen: problem('PathNotOnDisk') },
  PathThroughSymlink: { seen: problem('PathThroughSymlink') },
  UnsupportedLayout: { seen: problem('UnsupportedLayout') },
  OriginalReadOnly: { seen: problem('OriginalReadOnly') },
  PathUnusable: [
    { seen: problem('SomethingNew') },
    { seen: windows, says: /^\/data\/uploads is no path of Windows, and instance i-\w+ runs Windows$/ },
    // Said once, though the guest says it, too.
    {
      input: onWindows(),
      seen: { paths: [{ path: String.raw`D:\data\uploads`, code: 'InvalidInput', message: 'no plain path' }] },
      says: /^D:\\data\\uploads is a path of Windows, and instance i-\w+ runs Linux$/,
      unless: { input: onWindows(), seen: windows },
    },
  ],
};

const plan = (input: RollbackInput | SyncInput, seen: Observed) =>
  'powerAfter' in input ? planRollback(input, seen) : planSync(input, seen);
const all = PLAN_CODES.flatMap((code) => {
  const of = CASES[code];
  return (Array.isArray(of) ? (of as readonly Case[]) : [of as Case]).map((each, index) => ({ code, each, index }));
});

describe.each(all)('$code ($index)', ({ code, each }) => {
  const { input = withPaths, world = healthy, seen, unless, severity = 'blocker', says = /./ } = each;
  const found = (of: RollbackInput | SyncInput, what: Observed) =>
    plan(of, what).findings.filter((finding) => finding.code === code);

  it('appears, with one line of fact and one of remedy', () => {
    const findings = found(input, { ...world, ...seen });
    expect(findings.length).toBeGreaterThan(0);
    for (const finding of findings) {
      expect(finding.severity).toBe(severity);
      expect(finding.fact).toMatch(/^[^\n]{10,}$/);
      expect(finding.remedy).toMatch(/^[^\n]{5,}$/);
      expect(`${finding.fact} ${finding.remedy}`).not.toMatch(/undefined|NaN|\[object/);
    }
    expect(findings.map(({ fact }) => fact).join('\n')).toMatch(says);
  });

  it('does not appear otherwise', () => {
    expect(found(unless?.input ?? input, { ...world, ...unless?.seen })).toEqual([]);
  });
});

it('a healthy world has the data-loss window to tell and nothing else', () => {
  expect(planRollback(withPaths, healthy).findings.map(({ code }) => code)).toEqual(['DataLossWindow']);
  expect(planSync(syncOnly, healthy).findings).toEqual([]);
  expect(planRollback(withoutPaths, stopped).findings.map(({ code }) => code)).toEqual([
    'GuestNotChecked',
    'DataLossWindow',
  ]);
  // No path is named that could be missing.
  const everything = rollbackInputSchema.parse({ ...withPaths, powerAfter: 'running', sync: { sinceA: true } });
  const codes = planRollback(everything, stopped).findings.map(({ code }) => code);
  expect(codes).toContain('DataLossWindow');
  expect(codes).not.toContain('PathsNotChecked');
});

it('what could not be read, or was not asked, is not said to be missing', () => {
  const unread = (part: 'disk' | 'snapshot' | 'snapshotsOfDisk' | 'instance' | 'agent', over: Partial<Observed>) =>
    planRollback(withPaths, { ...healthy, ...over, unread: [{ part, message: 'DescribeX: no' }] }).findings;
  const codes = (findings: RollbackPlan['findings']) => findings.map(({ code }) => code);
  expect(codes(unread('disk', { disk: undefined, guest: undefined }))).not.toContain('DiskNotFound');
  expect(codes(unread('snapshot', { snapshot: undefined }))).not.toContain('SnapshotNotFound');
  expect(codes(unread('instance', { instance: undefined }))).not.toContain('InstanceNotFound');
  expect(unread('agent', { agent: undefined, guest: undefined, paths: undefined })).toMatchObject([
    { code: 'NotReadable' },
    { code: 'GuestNotChecked', fact: expect.stringMatching(/agent could not be read/) },
    { code: 'PathsNotChecked' },
    { code: 'DataLossWindow' },
  ]);
  const foreign = { ...snapshot, sourceDiskId: OTHER_DISK };
  expect(
    unread('snapshotsOfDisk', { snapshotsOfDisk: [], snapshot: foreign }).find(
      ({ code }) => code === 'SnapshotOfAnotherDisk',
    )?.remedy,
  ).toContain('could not be read');
  expect(planRollback(withPaths, { ...healthy, snapshot: foreign }).findings[0]?.remedy).toContain(
    `the newest usable snapshots of ${disk.id} are ${snapshot.id} (${snapshot.createdAt})`,
  );
  const detached = { disk: { ...disk, status: 'Available', attachedTo: [] }, instance: undefined };
  const bare = { ...healthy, ...detached, otherRuns: undefined, offers: undefined, guest: undefined, paths: undefined };
  expect(codes(planRollback(withPaths, bare).findings)).toEqual(['DiskNotAttached', 'DataLossWindow']);
  expect(codes(planSync(syncOnly, bare).findings)).toEqual(['DiskNotAttached']);
});

it('what the guest calls things does not break the line', () => {
  const odd = {
    ...guest,
    fileSystems: guest.fileSystems.map((each) => ({ ...each, at: '/a\n\u001b[2Jb', atBoot: false })),
  };
  const { findings } = planRollback(withPaths, { ...healthy, guest: odd });
  expect(findings.find(({ code }) => code === 'NotMountedAtBoot')?.fact).toContain('mounts /a [2Jb when');
});

it('every blocker is told at once, blockers first', () => {
  const findings = planRollback(withPaths, {
    ...healthy,
    snapshot: { ...snapshot, sourceDiskId: OTHER_DISK, available: false, status: 'progressing' },
    disk: { ...disk, locks: ['security'], sizeGiB: 40, autoSnapshotPolicyId: 'sp-1' },
    instance: { ...instance, status: 'Stopping' },
    diskLimit: 2,
    agent: { instanceId: instance.id, installed: true, online: true },
  }).findings;
  const blockers = findings.filter(({ severity }) => severity === 'blocker').map(({ code }) => code);
  expect(blockers).toEqual([
    'SnapshotOfAnotherDisk',
    'SnapshotNotReady',
    'DiskLocked',
    'InstanceBusy',
    'DiskSlotsFull',
  ]);
  expect(findings.slice(0, blockers.length).map(({ code }) => code)).toEqual(blockers);
  expect(findings.length).toBeGreaterThan(blockers.length);
});

it('an undo of a world that nobody has written to since has nothing in its way', () => {
  const findings = planRollback(undo, untouched).findings;
  expect(findings.filter(({ severity }) => severity === 'blocker')).toEqual([]);
});

describe('docs/plan.md', () => {
  const text = readFileSync(new URL('../../../../docs/plan.md', import.meta.url), 'utf8');
  const rows = [...text.matchAll(/^\| `(\w+)` \| (.+?) \| (.+?) \| (.+?) \|$/gm)];

  it('has one row for every code, and none for others', () => {
    expect(rows.map(([, code]) => code ?? '').sort((a, b) => a.localeCompare(b))).toEqual(
      [...PLAN_CODES].sort((a, b) => a.localeCompare(b)),
    );
  });

  it.each(PLAN_CODES)('says of %s whether it blocks', (code) => {
    const kinds = new Set(all.filter((each) => each.code === code).map(({ each }) => each.severity ?? 'blocker'));
    const said = rows.find(([, name]) => name === code)?.[2] ?? '';
    expect(new Set(said.match(/blocker|warning/g))).toEqual(kinds);
  });
});
