/** What the client takes and gives. */
import type { CopyProgress, FailureReport, RollbackResult, RunStatus } from '../contract/rollback.ts';

export type Execution = 'running' | 'completed' | 'failed' | 'cancelled' | 'terminated' | 'timed-out' | 'unknown';

export interface ConnectOptions {
  /** `host:port`; over TEMPORAL_ADDRESS and the profile. */
  readonly address?: string;
  readonly namespace?: string;
  /** A profile of temporal.toml; over TEMPORAL_PROFILE. */
  readonly profile?: string;
  /** Over ECS_ROLLBACK_TASK_QUEUE, which the worker reads, too. */
  readonly taskQueue?: string;
  /** Default 3,000. */
  readonly connectTimeoutMs?: number;
}

/** One line of `list`. */
export interface RunSummary {
  readonly workflowId: string;
  readonly runId: string;
  readonly kind: 'rollback' | 'sync' | 'plan';
  readonly execution: Execution;
  readonly phase?: string;
  readonly regionId?: string;
  readonly diskId?: string;
  readonly instanceId?: string;
  readonly startedAt: string;
  readonly closedAt?: string;
}

/** All that can be known of one run. `status` needs a worker; `result` and `failure` of an ended run do not. */
export interface RunView extends RunSummary {
  readonly status?: RunStatus;
  /** Why `status` is absent. */
  readonly statusUnavailable?: string;
  readonly result?: RollbackResult;
  readonly failure?: { readonly type?: string; readonly message: string; readonly report?: FailureReport };
  /** Activities of an open run whose last attempt failed; absent when there are none. */
  readonly retrying?: readonly RetryingActivity[];
  /** While data is being copied back or compared. */
  readonly copyProgress?: CopyProgress;
}

export interface RetryingActivity {
  readonly activity: string;
  /** Of the attempt that is under way or due. */
  readonly attempt: number;
  /** A value of `ACTIVITY_FAILURE` when the last failure was one of ours. */
  readonly failureKind?: string;
  readonly message: string;
}

export interface RunHandle {
  readonly workflowId: string;
  readonly runId: string;
  /** True when an open run with the same input was found and attached to, and nothing was started. */
  readonly alreadyRunning: boolean;
  /** Waits for the end. Rejects with `RunFailedError` unless the run completes. */
  result(): Promise<RollbackResult>;
  view(): Promise<RunView>;
  status(): Promise<RunStatus>;
  cancel(): Promise<void>;
}

export interface ListOptions {
  readonly diskId?: string;
  /** Open runs only. */
  readonly running?: boolean;
  /** Plans too; they are runs of their own and read-only. */
  readonly includePlans?: boolean;
  /** Default 20. */
  readonly limit?: number;
}
