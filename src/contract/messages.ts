/** Names of everything a client can say to a run or ask of it, and of the failures it can get back. */

export const WORKFLOW_TYPE = {
  rollback: 'rollbackDisk',
  sync: 'syncFromSnapshot',
  lease: 'holdLease',
  sweep: 'sweep',
  report: 'readReport',
  kept: 'handleKept',
} as const;

export const STATUS_QUERY = 'status';
/** Argument: `CopyProgress`. */
export const COPY_PROGRESS_SIGNAL = 'copyProgress';
/** Answers with one sentence: what a cancel would do now. */
export const CANCEL_PREVIEW_QUERY = 'cancelPreview';

/** Updates; their arguments are in `operator.ts` and `selection.ts`. All but `look` answer with the run's `RunStatus`. */
export const UPDATE = {
  approve: 'approve',
  reject: 'reject',
  resolve: 'resolve',
  pause: 'pause',
  resume: 'resume',
  select: 'select',
  /** Answers with what was seen, and changes nothing. */
  look: 'look',
} as const;

/**
 * Types of the ApplicationFailure a run ends with. `details[0]` is a `FailureReport`.
 * - `InvalidInput`: the input does not parse; nothing was read or changed.
 * - `Refused`: the plan has blockers; nothing was changed.
 * - `PlanDrifted`: what is there now is not what was planned or approved; nothing was changed.
 * - `NotApproved`: rejected, or not approved in time; nothing was changed.
 * - `LeaseHeld`: another run works on the instance; nothing was changed.
 * - `FailedBeforeReset`: stopped before the point of no return; what had been changed was put back.
 * - `FailedAfterReset`: the disk is at snapshot A (or the reset's outcome is unknown); B is kept.
 * - `SyncFailed`: a sync on its own did not end well; the recovery disk was released.
 */
export const FAILURE = {
  invalidInput: 'InvalidInput',
  refused: 'Refused',
  planDrifted: 'PlanDrifted',
  notApproved: 'NotApproved',
  leaseHeld: 'LeaseHeld',
  failedBeforeReset: 'FailedBeforeReset',
  failedAfterReset: 'FailedAfterReset',
  syncFailed: 'SyncFailed',
} as const;

/** Kinds of activity failure (`ApplicationFailure.type`): what the classes of cloud errors become. */
export const ACTIVITY_FAILURE = {
  credentials: 'CloudCredentials',
  denied: 'CloudDenied',
  notFound: 'CloudNotFound',
  conflict: 'CloudConflict',
  quota: 'CloudQuota',
  invalid: 'CloudInvalid',
  notReady: 'CloudNotReady',
  throttled: 'CloudThrottled',
  transient: 'CloudTransient',
  unreachable: 'CloudUnreachable',
  unknownOutcome: 'CloudUnknownOutcome',
  gateClosed: 'GateClosed',
  /** The service refused the one ResetDisk that was sent: the disk is untouched. */
  resetRefused: 'ResetRefused',
  snapshotFailed: 'SnapshotFailed',
  /** A call was accepted, and its outcome is not seen although there was time for it. */
  cameToNothing: 'CameToNothing',
  /** The instance cannot start for want of capacity or of a sound host: tried again slowly, for ever. */
  noStock: 'NoStock',
  /** An update that does not fit what the run is waiting for. */
  updateRefused: 'UpdateRefused',
  guest: 'GuestScriptFailed',
  guestRefused: 'GuestRefused',
} as const;

/** Custom search attributes, all Keyword. The server must know them (`docs/operations.md`). */
export const SEARCH_ATTRIBUTES = {
  region: 'EcsRegionId',
  instance: 'EcsInstanceId',
  disk: 'EcsDiskId',
  phase: 'RecoveryPhase',
} as const;
