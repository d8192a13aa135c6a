/**
 * Exit code = outcome. The one table behind every command; a runbook must never see success from a run that failed, nor
 * have to read prose to tell why.
 */
import type { ClientErrorKind, RunView } from '../client.ts';
import { ACTIVITY_FAILURE, FAILURE } from '../contract/messages.ts';
import type { FailureReport, Outcome, RollbackPlan, RollbackResult } from '../contract/rollback.ts';

export const EXIT = {
  done: 0,
  runFailed: 1,
  usage: 2,
  blocked: 3,
  denied: 4,
  incomplete: 5,
  notFound: 6,
  unreachable: 7,
  declined: 8,
  timeout: 124,
  interrupted: 130,
} as const;
export type ExitCode = (typeof EXIT)[keyof typeof EXIT];

/** For `--help`. */
export const EXIT_CODES_HELP = `Exit codes:
  0 done; the plan has no blockers     1 the run failed, was cancelled, undone, terminated or timed out
  2 usage, or confirmation missing     3 blocked or refused; nothing was changed
  4 credentials or permission          5 finished but incomplete
  6 disk, snapshot or run not found    7 Temporal, its worker or the ECS API not reachable
  8 confirmation declined              124 --timeout ran out; the run continues
  130 interrupted, or the output cannot be written; the run continues`;

const OF_CLIENT_ERROR: Record<ClientErrorKind, ExitCode> = {
  config: EXIT.usage,
  invalidInput: EXIT.usage,
  conflict: EXIT.blocked,
  refused: EXIT.blocked,
  denied: EXIT.denied,
  notFound: EXIT.notFound,
  unreachable: EXIT.unreachable,
  noWorker: EXIT.unreachable,
  searchAttributes: EXIT.unreachable,
  server: EXIT.runFailed,
};

export const exitCodeOfClientError = (kind: ClientErrorKind): ExitCode => OF_CLIENT_ERROR[kind];

/** Codes of blockers that say that something named in the request is not there. */
const NOT_FOUND_CODES: ReadonlySet<string> = new Set(['DiskNotFound', 'SnapshotNotFound', 'InstanceNotFound']);

export function exitCodeOfPlan(plan: RollbackPlan): ExitCode {
  const blockers = plan.findings.filter((finding) => finding.severity === 'blocker');
  if (blockers.length === 0) return EXIT.done;
  return blockers.some((finding) => NOT_FOUND_CODES.has(finding.code)) ? EXIT.notFound : EXIT.blocked;
}

export function exitCodeOfResult(result: RollbackResult): ExitCode {
  return result.outcome === 'planned' ? exitCodeOfPlan(result.plan) : OF_OUTCOME[result.outcome];
}

const OF_OUTCOME: Record<Exclude<Outcome, 'planned'>, ExitCode> = {
  completed: EXIT.done,
  'completed-with-leftovers': EXIT.incomplete,
  'rolled-back-not-synced': EXIT.incomplete,
  // What was asked for is not there; what was there before is.
  undone: EXIT.runFailed,
};

const OF_FAILURE_KIND: ReadonlyMap<string, ExitCode> = new Map([
  [ACTIVITY_FAILURE.credentials, EXIT.denied],
  [ACTIVITY_FAILURE.denied, EXIT.denied],
  [ACTIVITY_FAILURE.notFound, EXIT.notFound],
  [ACTIVITY_FAILURE.unreachable, EXIT.unreachable],
  // Still so after the last retry: what answers is not an ECS API that works.
  [ACTIVITY_FAILURE.transient, EXIT.unreachable],
]);

/** `kind` is a value of `ACTIVITY_FAILURE`. Undefined for kinds that have no code of their own. */
export const exitCodeOfFailureKind = (kind: string | undefined): ExitCode | undefined =>
  OF_FAILURE_KIND.get(kind ?? '');

/** Endings after which the same request may simply be tried again once the reason is gone. */
const RETRIABLE: ReadonlySet<string> = new Set([
  FAILURE.refused,
  FAILURE.planDrifted,
  FAILURE.notApproved,
  FAILURE.leaseHeld,
  FAILURE.failedBeforeReset,
  FAILURE.syncFailed,
]);

/** `type` is a value of `FAILURE`. */
export function exitCodeOfFailure(failure: { type?: string; report?: FailureReport }): ExitCode {
  const { type, report } = failure;
  if (type === FAILURE.invalidInput) return EXIT.usage;
  // After the reset the state of the disk matters more than why: 4, 6 and 7 read as "nothing happened, fix and retry".
  if (type === undefined || !RETRIABLE.has(type)) return EXIT.runFailed;
  const ofKind = exitCodeOfFailureKind(report?.failureKind);
  if (ofKind !== undefined) return ofKind;
  if (type === FAILURE.planDrifted || type === FAILURE.notApproved || type === FAILURE.leaseHeld) return EXIT.blocked;
  if (type !== FAILURE.refused) return EXIT.runFailed;
  const ofPlan = report?.plan === undefined ? EXIT.done : exitCodeOfPlan(report.plan);
  return ofPlan === EXIT.done ? EXIT.blocked : ofPlan;
}

/** Of a run as seen now; an open run is no failure. */
export function exitCodeOfView(view: RunView): ExitCode {
  if (view.execution === 'running') return EXIT.done;
  if (view.result !== undefined) return exitCodeOfResult(view.result);
  return view.failure === undefined ? EXIT.runFailed : exitCodeOfFailure(view.failure);
}
