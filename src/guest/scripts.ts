/**
 * What each guest script takes and answers. A script is a file in `scripts/`, gets its input as one Base64 JSON blob and
 * prints one JSON document as the last line of its output. Sizes in bytes.
 */
import type { z } from 'zod';
import type { HookPoint } from '../contract/hooks.ts';
import type { Discarded, ReportPage, Restored, reportRequestSchema } from '../contract/report.ts';
import type { Deletions } from '../contract/operator.ts';
import type { CopyProgress, CopyReceipt, OpenFiles, SyncSelection } from '../contract/rollback.ts';
import type { LookRequest, LookResult } from '../contract/selection.ts';

/** Every script's answer. `refused`: the guest is not as it must be, and trying again does not help. */
export type ScriptAnswer<T> =
  | { readonly ok: true; readonly result: T }
  | { readonly ok: false; readonly refused: boolean; readonly code: string; readonly message: string };

export interface RunRef {
  /** Names the run's own folders in the guest: `[a-z0-9-]{1,64}`. */
  readonly run: string;
  /** Every script refuses (`GuestRebooted`) in another boot than this one. */
  readonly bootId?: string;
}

/**
 * `find-device`: waits up to `waitSeconds` for the recovery disk and pairs its file systems with the original's mounts. Those
 * that no path lies on, and what has no twin, it leaves in the guest for `mount`: they are compared, not copied.
 */
export interface FindDeviceInput extends RunRef {
  readonly originalSerial: string;
  readonly originalSizeBytes: number;
  readonly recoverySerial: string;
  readonly recoverySizeBytes: number;
  readonly waitSeconds: number;
  /**
   * The disks that were there before the attach, for those without a serial (an empty one): each must be the only one of its
   * size that has none, the recovery disk among the new ones.
   */
  readonly disksBefore?: readonly string[];
  /** What is to be brought back; decides which file systems are needed. None: all that the guest has mounted writable. */
  readonly paths: readonly string[];
}
export interface FileSystemPair {
  /** Partition number, 0 for a file system on the whole disk. */
  readonly partition: number;
  readonly fsType: string;
  /** Of the original; the recovery disk's has the same, but for Btrfs. Of NTFS the serial number of the volume. */
  readonly fsUuid: string;
  /** On a logical volume: `group/volume` as the original's are named, and the id that the copy's has, too. */
  readonly volume?: string;
  readonly volumeUuid?: string;
  /** On Btrfs: what of it the original has mounted, as a path from its top, such as `/@home`. */
  readonly subvolume?: string;
  /** Stable link below /dev/disk/by-id of the recovery disk's partition; on Windows `serial:SERIAL/partition:N`. */
  readonly recoveryDevice: string;
  /** Where the original's file system is mounted. */
  readonly originalMount: string;
  /** Selected paths on it, relative to `originalMount`, without leading slash. */
  readonly paths: readonly string[];
}
export interface FindDeviceResult {
  /** The boot in which this was found. */
  readonly bootId: string;
  readonly originalDevice: string;
  readonly recoveryDevice: string;
  readonly fileSystems: readonly FileSystemPair[];
}

/**
 * `mount`: mounts each pair read-only (`ro,nodev,nosuid,noexec`, ext `errors=remount-ro`, XFS `nouuid`) below the run's private
 * folder; beside them, to be compared only, what `find-device` has left there. That does not fail, and is not in the answer.
 */
export interface MountInput extends RunRef {
  readonly fileSystems: readonly FileSystemPair[];
}
export interface MountResult {
  readonly mounts: ReadonlyArray<FileSystemPair & { readonly recoveryMount: string }>;
}

/** A moment of the guest's own clock, of one boot. */
export interface BootRef {
  /** Changes with every boot (`/proc/sys/kernel/random/boot_id`; on Windows a registry key that no boot outlives). */
  readonly bootId: string;
  /** Seconds since 1970 with fraction, as text: nothing of this boot was written earlier. */
  readonly bootedAt: string;
}

/** `copy-engine` leaves in the guest what `copy-start` works with, which plans the copy, starts it detached, and answers at once. A second start finds the first. */
export interface CopyStartInput extends RunRef {
  readonly mounts: MountResult['mounts'];
  readonly conflictPolicy: SyncSelection['conflictPolicy'];
  /** The first boot after the reset: what was not written since is A. Not believed when the guest was booted again. */
  readonly base?: BootRef;
  readonly include?: readonly string[] | undefined;
  readonly exclude?: readonly string[] | undefined;
  /** Delete live entries that were deleted from A to B. Refused (`NoBase`) when they cannot be told from new ones. */
  readonly delete?: boolean | undefined;
  /** Only what the list names that `put-list` took; its SHA-256. */
  readonly list?: string | undefined;
  /** Only what is new or has changed from A to B. Refused (`NoBase`) when that cannot be told. */
  readonly sinceA?: boolean | undefined;
  /** Plan, then end as `held`. */
  readonly planOnly?: boolean | undefined;
  /** What may be deleted: the digest of what was shown, or `all`. Anything else ends the job as `held`, before it writes. */
  readonly deletions?: string | undefined;
  /** Makes the plan anew: the guest has changed since the last one. */
  readonly again?: boolean | undefined;
  /** A folder in place of `originalMount`, on the same file system. */
  readonly into?: string | undefined;
  readonly throttle?: SyncSelection['throttle'];
  /** Refused (`OpenFiles`) with `refuse` while somebody writes to a selected live file. */
  readonly openFiles?: SyncSelection['openFiles'];
}
export interface CopyStartResult {
  readonly alreadyRunning: boolean;
  readonly openFiles?: OpenFiles;
}

/**
 * `copy-status`: reads the state the detached copy keeps. `held`: planned, and waits to be started again with `deletions`.
 * `lost`: its process is gone without a result; start it again.
 */
export interface CopyStatusResult extends CopyProgress {
  readonly state: 'running' | 'done' | 'held' | 'failed' | 'lost';
  readonly message: string;
  /** When held. */
  readonly deletions?: Deletions;
  readonly openFiles?: OpenFiles;
}

/** `verify-start` / the same `copy-status`, then `verify-result`. */
export interface VerifyResult extends CopyReceipt {
  /** The true number of differing entries; `mismatches` names at most 50. */
  readonly mismatchCount: number;
}

/**
 * `unmount`: unmounts all of the run's mounts, hides the copy's volume groups, removes its folders. Nothing mounted is
 * success. With `recoverySerial` it refuses while that disk is mounted elsewhere.
 */
export interface UnmountInput extends RunRef {
  readonly recoverySerial?: string;
}
export interface UnmountResult {
  readonly unmounted: number;
}

/**
 * `original-in-place`: read-only, after the detach: refuses (`OriginalDisplaced`) while a file system is mounted whose disk is
 * gone, or on Windows the original is offline (it is not looked for without a serial).
 */
export interface OriginalInPlaceInput extends RunRef {
  readonly originalSerial: string;
}

/** `check-paths`: read-only, before anything is changed: is each path there, and on the original disk? */
export interface CheckPathsInput {
  readonly originalSerial: string;
  readonly paths: readonly string[];
}
export interface CheckPathsResult {
  /** `PathNotFound`, `PathNotOnDisk`, `PathThroughSymlink` or `UnsupportedLayout`, one for each path that will not do. */
  readonly problems: ReadonlyArray<{ readonly path: string; readonly code: string; readonly message: string }>;
}

/** `look-around`: read-only, before anything is changed: what the guest is, and what it has of the original disk. */
export interface LookAroundInput {
  readonly originalSerial: string;
  /** The hooks that the run will start. */
  readonly hooks: ReadonlyArray<{ readonly at: HookPoint; readonly command: string; readonly user: string }>;
}
export interface LookAroundResult {
  /** As `uname -s` has it; `Windows`. */
  readonly kernel: string;
  /** `PRETTY_NAME` of os-release; empty when there is none. On Windows its caption and version. */
  readonly os: string;
  /** Such as `5.2`; empty on Windows. */
  readonly bash: string;
  /** On Windows, such as `5.1`. */
  readonly powershell?: string;
  /** What steps 6 and 7 need and the guest has not. */
  readonly missingTools: readonly string[];
  readonly canFreeze: boolean;
  /** Free where a run keeps its state in the guest. */
  readonly stateFreeBytes: number;
  /** The mounted file systems of the disk, at most 20. */
  readonly fileSystems: ReadonlyArray<{
    readonly at: string;
    readonly type: string;
    readonly readOnly: boolean;
    readonly sizeBytes: number;
    readonly freeBytes: number;
    /** 0 for file systems that count none. */
    readonly inodes: number;
    readonly freeInodes: number;
    /** Whether the guest's own configuration mounts it when it boots. */
    readonly atBoot: boolean;
  }>;
  /** What lies on the disk, or is put together from it: LVM, md RAID, LUKS, other device-mapper devices; Btrfs with others. */
  readonly stacks: ReadonlyArray<{
    readonly kind: string;
    readonly name: string;
    /** Whether it has parts on other disks; null when that cannot be told, because it is not active. */
    readonly withOthers: boolean | null;
  }>;
  /** Hooks that would not be run: no executable file, an unknown user, or a file that everybody may write to. */
  readonly hookProblems: ReadonlyArray<{ readonly at: HookPoint; readonly message: string }>;
}

/** `guest-ready`: waits up to `waitSeconds` until the boot has ended (where an init system can tell). */
export interface GuestReadyInput {
  readonly waitSeconds: number;
}
export type GuestReadyResult = BootRef;

/**
 * `copy-status`: of which job; by default the verification when one was started, else the copy. Answers as soon as the job
 * has ended, and after `waitSeconds` (0 to 99, default 0) otherwise.
 */
export interface CopyStatusInput extends RunRef {
  readonly job?: 'copy' | 'verify';
  readonly waitSeconds?: number;
}

/**
 * `freeze`: freezes every writable file system of the disk for at most `seconds` (1 to 120); a process that outlives the
 * agent thaws them then. Refused for a disk that the system itself writes to.
 */
export interface FreezeInput extends RunRef {
  readonly originalSerial: string;
  readonly seconds: number;
}
export interface FreezeResult {
  /** Mount points; empty when nothing of the disk is mounted writable. */
  readonly fileSystems: readonly string[];
  /** An earlier call froze them, and its time goes on. */
  readonly alreadyFrozen: boolean;
}

/** `thaw`: nothing frozen is success; a second call answers the same. */
export interface ThawResult {
  /** How many were frozen. */
  readonly fileSystems: number;
  readonly frozenMs: number;
  /** The time was over before this call: what was cut after that is not clean. */
  readonly byDeadMan: boolean;
}

/** `run-state`: read-only: what the run has in the guest. */
export interface RunStateResult {
  /** Where the run's mounts of the recovery disk are. */
  readonly mounts: readonly string[];
  /** `ended`: the verification came to a verdict; `verified` is what it says. */
  readonly verification: 'none' | 'running' | 'ended' | 'failed';
  readonly verified: boolean;
}

/** `disk-use`: read-only: what uses a disk in the guest, in words; empty for a disk that is not there. */
export interface DiskUseInput {
  readonly serial: string;
}
export interface DiskUseResult {
  readonly uses: readonly string[];
}

/** `look-into-copy`: read-only: what is on the mounted copy, and how it differs from what is live. */
export interface LookIntoCopyInput extends RunRef, LookRequest {
  readonly mounts: MountResult['mounts'];
}

/** `list-disks`: the kernel names of all disks, which hold until the next boot. */
export interface ListDisksResult {
  readonly bootId: string;
  readonly disks: readonly string[];
}

/** `grow`: grows the disk's last partition and what is on it to the disk. What is as large as it can be is no error. */
export interface GrowInput extends RunRef {
  readonly originalSerial: string;
}
export interface GrowResult {
  readonly grown: ReadonlyArray<{
    /** `partition`, `logical volume`, or the file system's type and `file system`. */
    readonly what: string;
    /** Device, `group/volume` or mount point. */
    readonly name: string;
    readonly fromBytes: number;
    readonly toBytes: number;
  }>;
  /** What could not be grown, in words. */
  readonly left: readonly string[];
}

/** `hook`: starts the executable once for each `id` (`point-attempt`), and waits up to `waitSeconds` for its end. */
export interface HookInput extends RunRef {
  readonly id: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly user: string;
  readonly timeoutSeconds: number;
  readonly waitSeconds: number;
}
export interface HookResult {
  /** `lost`: its process is gone without a result, as after a reboot; it is not started again. */
  readonly state: 'running' | 'done' | 'lost';
  readonly exitCode: number;
  readonly timedOut: boolean;
  readonly outputBytes: number;
  readonly outputFile: string;
}

/** `put-list`: one part of a gzipped list of paths, each with NUL after it; `sha256` is of all parts together. */
export interface PutListInput extends RunRef {
  /** From 1. */
  readonly part: number;
  readonly parts: number;
  readonly sha256: string;
  /** Base64. */
  readonly data: string;
}

/** `report`: read-only: a page of what the run's comparison has found, of an ended run, too. Refused (`NoReport`) where it has none. */
export type ReportInput = RunRef & z.infer<typeof reportRequestSchema>;

/**
 * `restore`: puts back what the run keeps aside, all of it or what is at or below `path`; a second time changes nothing.
 * `discard`: removes it, and the report. With `dryRun` they only say what they would do.
 */
export interface RestoreInput extends RunRef {
  readonly dryRun: boolean;
  readonly path?: string | undefined;
}
export interface DiscardInput extends RunRef {
  readonly dryRun: boolean;
}

/** Every script with what it takes and answers. */
export interface GuestScripts {
  'guest-ready': { input: GuestReadyInput; result: GuestReadyResult };
  'check-paths': { input: CheckPathsInput; result: CheckPathsResult };
  'look-around': { input: LookAroundInput; result: LookAroundResult };
  'find-device': { input: FindDeviceInput; result: FindDeviceResult };
  mount: { input: MountInput; result: MountResult };
  'copy-engine': { input: RunRef; result: object };
  'copy-start': { input: CopyStartInput; result: CopyStartResult };
  'copy-status': { input: CopyStatusInput; result: CopyStatusResult };
  'verify-start': { input: RunRef; result: CopyStartResult };
  'verify-result': { input: RunRef; result: VerifyResult };
  'put-list': { input: PutListInput; result: object };
  report: { input: ReportInput; result: ReportPage };
  restore: { input: RestoreInput; result: Restored };
  discard: { input: DiscardInput; result: Discarded };
  unmount: { input: UnmountInput; result: UnmountResult };
  'original-in-place': { input: OriginalInPlaceInput; result: object };
  freeze: { input: FreezeInput; result: FreezeResult };
  thaw: { input: RunRef; result: ThawResult };
  'disk-use': { input: DiskUseInput; result: DiskUseResult };
  'look-into-copy': { input: LookIntoCopyInput; result: LookResult };
  hook: { input: HookInput; result: HookResult };
  'list-disks': { input: RunRef; result: ListDisksResult };
  grow: { input: GrowInput; result: GrowResult };
  'run-state': { input: RunRef; result: RunStateResult };
}
export type ScriptName = keyof GuestScripts;
