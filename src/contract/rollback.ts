/**
 * What goes into and comes out of the two workflows. Every field a client can send is validated here once: the starter
 * refuses early with these messages, the workflow refuses again whatever another client sent.
 */
import { z } from 'zod';
import { type HookReport, hooksSchema } from './hooks.ts';
import { diskIdSchema, instanceIdSchema, type Purpose, regionIdSchema, snapshotIdSchema } from './ids.ts';
import { type Approval, approvalPolicySchema, type WaitingFor } from './operator.ts';

/**
 * What to do where something is live already. What is replaced is kept aside in any case.
 * - `newer-wins`: what has not changed since the reset is replaced by what changed from A to B; a conflict stays live. Where
 *   that is not known (no reset, or another boot since): what has a later modification time.
 * - `keep-live`: only what is missing is brought back.
 * - `take-b`: the copy from snapshot B replaces whatever is live.
 * - `both`: as `newer-wins`, and B's copy of a conflict is put beside the live file.
 */
export const conflictPolicySchema = z.enum(['newer-wins', 'keep-live', 'take-b', 'both']);

/** Begins with a drive letter, such as `D:\\data\\uploads`; slashes do as well. */
export const isWindowsPath = (path: string): boolean => /^[a-z]:[\\/]/i.test(path);

/** Of a Windows path only, whose parts backslashes separate, too. */
const windowsPartsOf = (path: string): string[] => (isWindowsPath(path) ? path.slice(3).split(/[\\/]/) : []);
const RESERVED_ON_WINDOWS = /^(con|prn|aux|nul|com[0-9]|lpt[0-9])(\..*)?$/i;

/**
 * As the guest sees it, of Linux or of Windows: absolute, no `.` or `..` parts, not the root itself. At most 4,095 bytes
 * (Linux PATH_MAX).
 */
export const guestPathSchema = z
  .string()
  .max(4095, 'is longer than 4,095 characters')
  .refine(
    (path) => path.startsWith('/') || isWindowsPath(path),
    String.raw`is not an absolute path: write it as the guest sees it, such as /data/uploads or D:\data\uploads`,
  )
  .refine((path) => !path.includes('\0'), 'contains a NUL character')
  .refine(
    (path) => !path.split(isWindowsPath(path) ? /[\\/]/ : '/').some((part) => part === '.' || part === '..'),
    'has a "." or ".." part: write the path without it',
  )
  .refine(
    (path) => (isWindowsPath(path) ? windowsPartsOf(path).some((part) => part !== '') : /[^/]/.test(path)),
    'is the root directory: name the directories to bring back',
  )
  .refine(
    (path) =>
      !windowsPartsOf(path).some((part) => /[<>:"|?*\p{Cc}]|[ .]$/u.test(part) || RESERVED_ON_WINDOWS.test(part)),
    'has a part that is no name on Windows',
  );

const NO_PATH = 'is empty: name at least one path to bring back';
const pathsSchema = z.array(guestPathSchema).max(200);
export const selectedPathsSchema = pathsSchema.min(1, NO_PATH);

/** As `find` matches (fnmatch): `*` takes slashes, too. See docs/copy.md. */
const patternSchema = z
  .string()
  .min(1, 'is empty')
  .max(255, 'is longer than 255 characters')
  .refine((pattern) => !pattern.includes('\0'), 'contains a NUL character')
  .refine((pattern) => !pattern.endsWith('/'), 'ends with a slash, which no name does: write it without')
  .refine(
    (pattern) => !pattern.split('/').some((part) => part === '.' || part === '..'),
    'has a "." or ".." part: write the pattern without it',
  );
const patternsSchema = z.array(patternSchema).min(1, 'is empty').max(50);

/** It is in the history as often as the plan is made, and once more. */
export const MOST_LIST_CHARACTERS = 131_072;

const selectionSchema = z.strictObject({
  /** What to bring back, as the guest sees it. Directories are taken whole. With `sinceA` it may be empty: all of the disk. */
  paths: pathsSchema.default([]),
  /** Wait with the copy mounted until somebody says what of `paths` to bring back. */
  choose: z.boolean().optional(),
  /**
   * Bring the paths back below this folder of the same file system instead of to where they were: `/data/db` into
   * `/data/from-b` becomes `/data/from-b/db`.
   */
  into: guestPathSchema.optional(),
  /**
   * How a disk without a serial number (made before June 2020) is told apart: by comparing the guest's disks before and after
   * the attach. Refused without it, and where more than one disk without a serial has the size.
   */
  withoutSerial: z.literal('compare').optional(),
  conflictPolicy: conflictPolicySchema.default('newer-wins'),
  /** Of what lies below the paths, only what this list names, folders with all that is in them. */
  filesFrom: z
    .strictObject({
      /** Base64 of the gzipped list: absolute paths, sorted, NUL after each. */
      gzip: z
        .string()
        .max(
          MOST_LIST_CHARACTERS,
          `is longer than ${MOST_LIST_CHARACTERS} characters, which a run's history does not hold`,
        )
        .regex(/^[A-Za-z0-9+/]+={0,2}$/, 'is no Base64'),
      entries: z.number().int().min(1),
    })
    .optional(),
  /** Of what lies below the paths, only the files that one of these patterns matches, and the folders that lead to them. */
  include: patternsSchema.optional(),
  /** Leave out what one of these patterns matches, folders with all that is in them. Goes over `include`. */
  exclude: patternsSchema.optional(),
  /** Only what is new or has changed from A to B; what B has as A had it is left as it is live. */
  sinceA: z.boolean().optional(),
  /** Delete, below the paths, what was there right after the reset, is unchanged since, and was deleted from A to B. */
  delete: z.boolean().optional(),
  /** Delete it without showing first what, and without waiting for somebody's decision. */
  deleteUnseen: z.boolean().optional(),
  /** What copy and verification may take of the guest's disks; absent: all that nobody else wants (`idle`). */
  throttle: z
    .strictObject({
      /** Read and written at most, in MiB per second. */
      mibPerSecond: z.number().int().min(1).max(100_000).optional(),
      /** As `ionice` has it; how much it does depends on the guest's I/O scheduler. */
      ioClass: z.enum(['idle', 'best-effort']).optional(),
    })
    .optional(),
  /** When a process writes to a selected live file as the copy begins. Absent: `warn`. */
  openFiles: z.enum(['warn', 'refuse', 'ignore']).optional(),
});
export const syncSelectionSchema = selectionSchema.refine(({ paths, sinceA }) => paths.length > 0 || sinceA === true, {
  path: ['paths'],
  message: NO_PATH,
});
export type SyncSelection = z.infer<typeof syncSelectionSchema>;

/** What is to be brought back, in words. */
export const pathsInWords = ({ paths }: { readonly paths: readonly string[] }): string =>
  paths.length === 0 ? 'everything that has changed since A' : paths.join(', ');

/**
 * - `ask`: wait for a person's decision (`resolve`), for as long as it takes.
 * - `abort`: end as rolled back but not synced, with snapshot B kept.
 * - `undo`: roll the disk back onto snapshot B, then end.
 */
export const failurePolicySchema = z.enum(['ask', 'abort', 'undo']);
export type FailurePolicy = z.infer<typeof failurePolicySchema>;

/** What to do while another run works on the same instance. */
const leasePolicySchema = z.enum(['fail', 'wait']);

/**
 * - `cold`: stop, then B. Nothing is lost.
 * - `warm`: a first snapshot while the instance runs, then stop, then B, now a short increment. Nothing is lost, least downtime.
 * - `hot`: B while the instance runs, then stop: the vendor's literal order. What is written in between is lost.
 */
export const snapshotModeSchema = z.enum(['cold', 'warm', 'hot']);
export type SnapshotMode = z.infer<typeof snapshotModeSchema>;

/** Who asks; kept in the history. */
const requestedBySchema = z.string().trim().min(1, 'is empty').max(128, 'is longer than 128 characters');
const planHashSchema = z
  .string()
  .regex(/^[0-9a-f]{64}$/, 'is not the hash of a plan: take it, or the whole file, from `plan -o json`');

export const rollbackInputSchema = z
  .strictObject({
    regionId: regionIdSchema,
    /** The original disk. */
    diskId: diskIdSchema,
    /** Snapshot A, the target. */
    snapshotId: snapshotIdSchema,
    /** When given, the run is refused unless the disk is attached to this very instance. */
    instanceId: instanceIdSchema.optional(),
    /** Absent: roll back only, and keep snapshot B for later. */
    sync: syncSelectionSchema.optional(),
    /** Executables in the guest that the run starts at fixed points. */
    hooks: hooksSchema.optional(),
    /** Power state of the instance at the end. */
    powerAfter: z.enum(['as-found', 'running', 'stopped']).default('as-found'),
    /** Let a graceful stop that does not end be followed by a power cut. Unflushed data is then lost. */
    forceStop: z.boolean().default(false),
    /** How long the cloud keeps snapshot B, in days (1-65,536). Nothing of ours deletes it. */
    safetySnapshotRetentionDays: z.number().int().min(1).max(65_536).default(30),
    snapshotMode: snapshotModeSchema.default('cold'),
    /** In mode `warm` or `hot`: freeze the disk's file systems for the moment in which the snapshot of the running instance is cut. */
    freezeFileSystems: z.boolean().default(false),
    /** Lock snapshot B (LockSnapshot, compliance mode) for this many days, so that nobody can delete it. */
    lockSafetySnapshotDays: z.number().int().min(1).max(36_500).optional(),
    /** Absent: nobody is asked. */
    approval: approvalPolicySchema.optional(),
    requestedBy: requestedBySchema.optional(),
    /** The run is refused when its plan has another hash: the world has drifted since. */
    expectedPlanHash: planHashSchema.optional(),
    onLeaseHeld: leasePolicySchema.default('fail'),
    /** What to do when a step fails for good after the reset. */
    onFailureAfterReset: failurePolicySchema.default('ask'),
    /** Set by an undo: this run rolls back onto snapshot B of that one. */
    undoes: z
      .strictObject({
        workflowId: z.string().min(1),
        runId: z.string().min(1),
        /** The run that is undone starts this one and holds the lease for it. */
        insideRun: z.boolean().default(false),
      })
      .optional(),
    /** Consent to lose, with an undo, what was written since the instance was started again. */
    acceptDataLoss: z.boolean().default(false),
    /** Read and report only. */
    dryRun: z.boolean().default(false),
  })
  .refine((input) => input.approval?.requesterMayApprove !== false || input.requestedBy !== undefined, {
    path: ['requestedBy'],
    message: 'is missing, so nobody can be kept from approving their own run: say who asks',
  })
  .refine((input) => !(input.freezeFileSystems && input.snapshotMode === 'cold'), {
    path: ['freezeFileSystems'],
    message: 'needs snapshotMode "warm" or "hot": in mode "cold" the instance is stopped when the snapshot is cut',
  })
  // A lock's days begin when the snapshot is accomplished, after those of its retention.
  .refine(
    ({ lockSafetySnapshotDays: locked, safetySnapshotRetentionDays: kept }) => locked === undefined || locked < kept,
    {
      path: ['lockSafetySnapshotDays'],
      message:
        'is not fewer days than snapshot B is kept: the cloud takes a lock only if it ends before the snapshot does; keep B longer, or lock it for less',
    },
  )
  .refine(({ sync }) => sync?.deleteUnseen !== true || sync.delete === true, {
    path: ['sync', 'deleteUnseen'],
    message: 'deletes nothing without delete: set that too, or leave it out',
  })
  .refine(
    ({ sync, onFailureAfterReset }) =>
      sync?.delete !== true || sync.deleteUnseen === true || onFailureAfterReset === 'ask',
    {
      path: ['sync', 'delete'],
      message:
        'shows first what would be deleted and waits for a decision, and onFailureAfterReset is not "ask", so that nobody decides: set deleteUnseen, or leave one of them out',
    },
  )
  .refine((input) => !(input.sync !== undefined && input.powerAfter === 'stopped'), {
    path: ['powerAfter'],
    message: 'is "stopped" although paths are to be brought back: that needs the instance running; choose one',
  });
export type RollbackInput = z.infer<typeof rollbackInputSchema>;
/** What a client may leave out. */
export type RollbackRequest = z.input<typeof rollbackInputSchema>;

export const syncInputSchema = z.strictObject({
  regionId: regionIdSchema,
  diskId: diskIdSchema,
  /** Any finished snapshot of the disk; after a rollback it is snapshot B. */
  snapshotId: snapshotIdSchema,
  instanceId: instanceIdSchema.optional(),
  sync: syncSelectionSchema
    .refine((selection) => selection.delete !== true, {
      path: ['delete'],
      message: 'works within a rollback only: without a reset nothing tells what was deleted from what is new',
    })
    .refine((selection) => selection.sinceA !== true, {
      path: ['sinceA'],
      message: 'works within a rollback only: without a reset nothing tells what has changed since A',
    }),
  hooks: hooksSchema.optional(),
  requestedBy: requestedBySchema.optional(),
  onLeaseHeld: leasePolicySchema.default('fail'),
  dryRun: z.boolean().default(false),
});
export type SyncInput = z.infer<typeof syncInputSchema>;
export type SyncRequest = z.input<typeof syncInputSchema>;

/** `1` to `8` are the eight steps of the vendor's page; the others are the rollback's own. */
export type StepId =
  | 'plan'
  | 'takeWarmUpSnapshot'
  | 'stopInstance'
  | 'takeSafetySnapshot'
  | 'gate'
  | 'resetDisk'
  | 'restoreDiskSize'
  | 'startInstance'
  | 'growFileSystems'
  | 'createRecoveryDisk'
  | 'attachRecoveryDisk'
  | 'connect'
  | 'mountRecoveryDisk'
  | 'copyBack'
  | 'releaseRecoveryDisk';

export type StepState = 'pending' | 'running' | 'done' | 'skipped' | 'failed';

export interface Step {
  readonly id: StepId;
  /** Its number on the vendor's page, for the eight. */
  readonly number?: number;
  readonly title: string;
  readonly state: StepState;
  /** ISO 8601, workflow time. */
  readonly startedAt?: string;
  readonly endedAt?: string;
  /** One line: what was done or seen, or why it failed. */
  readonly detail?: string;
}

export const STEP_TITLES: ReadonlyArray<{ id: StepId; number?: number; title: string }> = [
  { id: 'plan', title: 'Check the plan' },
  { id: 'takeWarmUpSnapshot', title: 'Take a first snapshot while the instance runs' },
  { id: 'stopInstance', title: 'Stop the instance' },
  { id: 'takeSafetySnapshot', number: 1, title: 'Take snapshot B' },
  { id: 'gate', title: 'Gate: re-read everything' },
  { id: 'resetDisk', number: 2, title: 'Reset the disk to snapshot A' },
  { id: 'restoreDiskSize', title: 'Give the disk back the size it had' },
  { id: 'startInstance', title: 'Start the instance' },
  { id: 'growFileSystems', title: 'Grow partition and file systems to the disk again' },
  { id: 'createRecoveryDisk', number: 3, title: 'Create the recovery disk from B' },
  { id: 'attachRecoveryDisk', number: 4, title: 'Attach the recovery disk' },
  { id: 'connect', number: 5, title: 'Connect to the guest' },
  { id: 'mountRecoveryDisk', number: 6, title: 'Mount the recovery disk' },
  { id: 'copyBack', number: 7, title: 'Copy the good data back and verify it' },
  { id: 'releaseRecoveryDisk', number: 8, title: 'Unmount, detach and release the recovery disk' },
];

export type PlanFinding = {
  readonly severity: 'blocker' | 'warning' | 'info';
  /** Stable, for programs. */
  readonly code: string;
  /** The input field it is about, when there is one. */
  readonly field?: string;
  /** What was seen. */
  readonly fact: string;
  /** What to do about it. */
  readonly remedy?: string;
};

/**
 * What was observed and what would be done. Made by the `plan` activity; read-only. A part is absent when the cloud did not
 * show it; then a blocker says so.
 */
export interface RollbackPlan {
  readonly regionId: string;
  readonly diskId: string;
  readonly snapshotId: string;
  readonly disk?: PlannedDisk;
  readonly target?: PlannedSnapshot;
  readonly instance?: PlannedInstance;
  /** What will be brought back; empty for a rollback without sync. */
  readonly paths: readonly string[];
  readonly findings: readonly PlanFinding[];
  /** The steps that will run, in order. */
  readonly steps: readonly StepId[];
  /** ISO 8601. */
  readonly observedAt: string;
  /**
   * SHA-256 over what was asked and what was observed, without what changes by itself (times of looking, free space). Two
   * plans with one hash would do the same to the same things.
   */
  readonly hash: string;
}

export interface PlannedDisk {
  readonly id: string;
  readonly sizeGiB: number;
  readonly category: string;
  readonly performanceLevel?: string;
  readonly kind: 'system' | 'data';
  readonly zoneId: string;
  readonly encrypted: boolean;
  readonly kmsKeyId?: string;
  /** Empty for disks made before 2020-06-10. */
  readonly serial: string;
}

export interface PlannedSnapshot {
  readonly id: string;
  /** When it was cut: everything written to the disk since then leaves it with the reset. ISO 8601. */
  readonly createdAt: string;
  readonly sizeGiB: number;
}

export interface PlannedInstance {
  readonly id: string;
  readonly name: string;
  readonly osName: string;
  readonly wasRunning: boolean;
}

/** Something billable the run makes, and what became of it. One entry for each purpose. */
export interface LedgerEntry {
  readonly kind: 'snapshot' | 'disk';
  /** Absent from just before it is made until the cloud has given the id; its tags find it meanwhile. */
  readonly id?: string;
  readonly purpose: Purpose;
  /** `intended`: about to be made; a lost reply may hide that it was. */
  readonly state: 'intended' | 'made' | 'released' | 'kept' | 'left-over' | 'not-made';
  readonly note?: string;
}

/** Evidence of the last look before ResetDisk; kept in the history as the gate's result. */
export interface GateEvidence {
  readonly observedAt: string;
  readonly instanceStatus: string;
  readonly stoppedMode: string;
  readonly diskStatus: string;
  readonly safetySnapshotId: string;
  readonly safetySnapshotCreatedAt: string;
  readonly targetSnapshotStatus: string;
  readonly unfinishedSnapshots: number;
}

/** Selected live files that processes held open for writing when the copy began. */
export interface OpenFiles {
  readonly files: number;
  /** At most five, such as `postgres (pid 812)`. */
  readonly processes: string;
  /** The first three. */
  readonly paths: readonly string[];
}

/** Totals of a copy, as verified in the guest after dropping its caches. */
export interface CopyReceipt {
  readonly filesSelected: number;
  readonly bytesSelected: number;
  readonly filesCopied: number;
  readonly bytesCopied: number;
  /** Live files the policy kept in place of the copy from B. */
  readonly filesKeptLive: number;
  /** Of those, the bytes that exist in B and were not brought back. */
  readonly bytesKeptLive?: number;
  /** Every selected entry equals its source in content, type, mode, owner, times, link target and hard links, or was kept by policy. */
  readonly verified: boolean;
  /** False where the guest has no `getfattr`, so that extended attributes and ACLs were copied but not compared. */
  readonly xattrsCompared: boolean;
  /** SHA-256 over the sorted manifest of what was selected on B. */
  readonly digest: string;
  readonly mismatches: readonly string[];
  readonly openFiles?: OpenFiles;
  /** Where what was replaced or deleted is kept in the guest, until somebody removes it. */
  readonly aside?: ReadonlyArray<{ readonly folder: string; readonly files: number }>;
  /** What B has and is not live after the copy. */
  readonly notBroughtBack?: NotBroughtBack;
  /** The full report in the guest, a line for each path; absent where there was no room for it. SHA-256 of the file. */
  readonly report?: { readonly file: string; readonly entries: number; readonly sha256: string };
  /** How the selected entries stood when the copy was planned; those that were the same are not listed. */
  readonly verdicts?: Readonly<Partial<Record<CopyVerdict, { readonly entries: number; readonly bytes: number }>>>;
}

/**
 * Files and other entries, no directories, that B has and that are not live, or are others by type, size, time or link
 * target: on the whole of each file system of the disk that the guest has mounted, outside of the selection as well.
 */
export interface NotBroughtBack {
  readonly entries: number;
  readonly bytes: number;
  /** By the folders at the top of the file systems, at most 20, the largest first. What lies in the root itself is under it. */
  readonly folders: ReadonlyArray<{ readonly folder: string; readonly entries: number; readonly bytes: number }>;
  /** What of B is in none of these figures, a sentence with the reason for each; absent when all of it was compared. */
  readonly notCompared?: readonly string[];
}

export interface Chosen {
  readonly paths: readonly string[];
  readonly by: string;
  readonly reason: string;
  /** ISO 8601, workflow time. */
  readonly at: string;
}

/**
 * What A, B and what is live say about one entry. Without a known A (no reset, or another boot since) only `only-in-B`,
 * `changed-in-B` (has the later time), `live-is-newer` and `only-live` can be told.
 */
export type CopyVerdict =
  | 'only-in-B'
  | 'changed-in-B'
  /** Live since the reset, unchanged from A to B. */
  | 'changed-live'
  /** Changed from A to B, and live since the reset. */
  | 'conflict'
  /** There in A and, unchanged, in B; deleted live since the reset. */
  | 'deleted-live'
  /** There in A and live, not in B. */
  | 'deleted-since-A'
  | 'only-live'
  | 'live-is-newer'
  | 'directory-in-the-way'
  /** A live entry, or its folder, is marked immutable or append-only (`chattr`). */
  | 'immutable'
  | 'other-file-system'
  /** Named by the list of `filesFrom`. */
  | 'not-in-B';

export type Outcome = 'planned' | 'completed' | 'completed-with-leftovers' | 'rolled-back-not-synced' | 'undone';

export interface RollbackResult {
  readonly outcome: Outcome;
  /** One sentence for a human. */
  readonly summary: string;
  readonly plan: RollbackPlan;
  readonly safetySnapshotId?: string;
  readonly recoveryDiskId?: string;
  readonly gate?: GateEvidence;
  readonly receipt?: CopyReceipt;
  /** What somebody chose to bring back while the run waited for it. */
  readonly chosen?: Chosen;
  /** Those that were run, in order. */
  readonly hooks?: readonly HookReport[];
  readonly approvals?: readonly Approval[];
  /** With outcome `undone`: the run that rolled the disk back onto B. */
  readonly undo?: { readonly workflowId: string; readonly safetySnapshotId?: string };
  readonly steps: readonly Step[];
  readonly ledger: readonly LedgerEntry[];
  /** Temporary things that are still there and must be removed by hand; empty after a clean run. */
  readonly leftovers: readonly string[];
}

/** `details[0]` of every ApplicationFailure a run ends with. */
export interface FailureReport {
  /** One sentence for a human. */
  readonly summary: string;
  /** The activity failure behind it, a value of `ACTIVITY_FAILURE`. */
  readonly failureKind?: string;
  readonly plan?: RollbackPlan;
  readonly resetHappened: 'no' | 'maybe' | 'yes';
  readonly steps: readonly Step[];
  readonly ledger: readonly LedgerEntry[];
  readonly leftovers: readonly string[];
}

/** Answer of the `status` query; `status -o json` has it under `status`. */
export interface RunStatus {
  readonly kind: 'rollback' | 'sync';
  readonly phase: Phase;
  readonly headline: string;
  readonly regionId: string;
  readonly diskId: string;
  readonly snapshotId: string;
  readonly instanceId?: string;
  readonly steps: readonly Step[];
  readonly resetHappened: 'no' | 'maybe' | 'yes';
  /** What a cancel would do now. */
  readonly cancelPreview: string;
  /** Absent while the run goes on by itself. */
  readonly waitingFor?: WaitingFor;
  /** A pause was asked for and takes effect at the next safe point. */
  readonly pauseAhead?: boolean;
  readonly planHash?: string;
  readonly approvals: readonly Approval[];
  readonly safetySnapshotId?: string;
  readonly recoveryDiskId?: string;
  /** From the verification on. */
  readonly receipt?: CopyReceipt;
  readonly ledger: readonly LedgerEntry[];
  /** Of the plan, and what was found since. */
  readonly findings: readonly PlanFinding[];
  /** What was asked for, if anything. */
  readonly throttle?: SyncSelection['throttle'];
  /** While the copy runs: as last told, at each stage and tenth of it, at most twice a minute. `copyProgress` is newer. */
  readonly copy?: CopyProgress;
}

/** Where copy or verification stand, as last heard from the guest; in the heartbeat of the activity that waits for it. */
export const copyProgressSchema = z.object({
  stage: z.enum(['scanning', 'copying', 'verifying', 'done']),
  filesDone: z.number(),
  filesTotal: z.number(),
  bytesDone: z.number(),
  bytesTotal: z.number(),
  /** Over the last minute or so of the stage. */
  bytesPerSecond: z.number().optional(),
  /** Until the stage has ended, at this rate. */
  secondsLeft: z.number().optional(),
  /** When the counters last moved, ISO 8601. */
  changedAt: z.string().optional(),
});
export type CopyProgress = Readonly<z.infer<typeof copyProgressSchema>>;

/** Value of the `RecoveryPhase` search attribute. */
export type Phase =
  | 'planning'
  | 'awaiting-approval'
  | 'waiting-for-lease'
  | 'needs-operator'
  | 'awaiting-selection'
  | 'paused'
  | 'stopping'
  | 'snapshotting'
  | 'gate'
  | 'resetting'
  | 'starting'
  | 'attaching'
  | 'mounting'
  | 'copying'
  | 'releasing'
  | 'undoing'
  | Outcome
  | 'refused'
  | 'cancelled'
  | 'failed';
