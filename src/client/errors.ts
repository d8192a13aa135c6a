/** How the client fails: every rejection is one line with the fact and the fix. */
import type { FailureReport } from '../contract/rollback.ts';
import type { Execution } from './types.ts';

/**
 * - `config`: the Temporal profile or environment cannot be used.
 * - `unreachable`: no Temporal server answers, or it has no such namespace.
 * - `noWorker`: the server answers, but nothing polls the task queue.
 * - `searchAttributes`: the server does not know the attributes a run is found by.
 * - `denied`: Temporal refuses the credentials.
 * - `notFound`: no such run.
 * - `conflict`: a run with this id and another input is open.
 * - `refused`: the run does not take this now, or what is asked of it cannot be done.
 * - `invalidInput`: the request does not parse.
 * - `server`: Temporal answered with an error of another kind.
 */
export type ClientErrorKind =
  | 'config'
  | 'unreachable'
  | 'noWorker'
  | 'searchAttributes'
  | 'denied'
  | 'notFound'
  | 'conflict'
  | 'refused'
  | 'invalidInput'
  | 'server';

/** Every rejection of this API but `RunFailedError`. The message is one line with the fact and the fix. */
export class ClientError extends Error {
  override readonly name = 'ClientError';
  readonly kind: ClientErrorKind;
  /** The run in the way (`conflict`) or asked for (`notFound`). */
  readonly workflowId: string | undefined;

  constructor(kind: ClientErrorKind, message: string, extra: { cause?: unknown; workflowId?: string } = {}) {
    super(message, extra.cause === undefined ? {} : { cause: extra.cause });
    this.kind = kind;
    this.workflowId = extra.workflowId;
  }
}

/** A run ended other than by completing. `report` is absent when the run was cancelled, terminated or timed out. */
export class RunFailedError extends Error {
  override readonly name = 'RunFailedError';
  readonly workflowId: string;
  readonly execution: Exclude<Execution, 'running' | 'completed'>;
  /** A value of `FAILURE`, when the run itself chose to fail. */
  readonly failureType: string | undefined;
  readonly report: FailureReport | undefined;

  constructor(fields: {
    workflowId: string;
    execution: Exclude<Execution, 'running' | 'completed'>;
    message: string;
    failureType?: string | undefined;
    report?: FailureReport | undefined;
    cause?: unknown;
  }) {
    super(fields.message, fields.cause === undefined ? {} : { cause: fields.cause });
    this.workflowId = fields.workflowId;
    this.execution = fields.execution;
    this.failureType = fields.failureType;
    this.report = fields.report;
  }
}

// Of google.rpc.Code; the gRPC library itself is not a dependency of ours.
export const GRPC = {
  invalidArgument: 3,
  deadlineExceeded: 4,
  notFound: 5,
  permissionDenied: 7,
  failedPrecondition: 9,
  unavailable: 14,
  unauthenticated: 16,
} as const;

export function parse<T>(
  schema: { safeParse(value: unknown): { success: true; data: T } | { success: false; error: ZodLike } },
  value: unknown,
): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const lines = parsed.error.issues.map((issue) => {
    const field = issue.path.map(String).join('.');
    return field === '' ? issue.message : `${field}: ${issue.message}`;
  });
  throw new ClientError('invalidInput', lines.join('; '), { cause: parsed.error });
}

interface ZodLike {
  readonly issues: ReadonlyArray<{ readonly path: readonly PropertyKey[]; readonly message: string }>;
}

/** The refusal of a second run of a disk. */
export function otherInput(workflowId: string, runId: string): ClientError {
  return new ClientError(
    'conflict',
    `${workflowId} is already running with another input (run ${runId}), and one disk takes one run at a time: ` +
      'watch it, cancel it, or wait for its end',
    { workflowId },
  );
}

export function runFailed(workflowId: string, error: Error & { cause?: unknown }): RunFailedError {
  const cause = error.cause;
  const name = cause instanceof Error ? cause.name : '';
  if (name === 'CancelledFailure') {
    return new RunFailedError({ workflowId, execution: 'cancelled', message: 'the run was cancelled', cause });
  }
  if (name === 'TerminatedFailure') {
    return new RunFailedError({
      workflowId,
      execution: 'terminated',
      message: `the run was terminated (${messageOf(cause)}), so it could not put anything back: check the disk and what it made`,
      cause,
    });
  }
  if (name === 'TimeoutFailure') {
    return new RunFailedError({ workflowId, execution: 'timed-out', message: 'the run timed out', cause });
  }
  // A sweep ends with what its activity ended with.
  const own =
    name === 'ActivityFailure' && cause instanceof Error && cause.cause instanceof Error ? cause.cause : cause;
  const failure = own as { type?: string | null; details?: unknown[] | null } | undefined;
  const report = isFailureReport(failure?.details?.[0]) ? failure.details[0] : undefined;
  return new RunFailedError({
    workflowId,
    execution: 'failed',
    message: report?.summary ?? messageOf(own ?? error),
    failureType: failure?.type ?? undefined,
    report,
    cause,
  });
}

function isFailureReport(value: unknown): value is FailureReport {
  return typeof value === 'object' && value !== null && typeof (value as FailureReport).summary === 'string';
}

export function grpcError(error: unknown): (Error & { code: number }) | undefined {
  for (let at: unknown = error; at instanceof Error; at = at.cause) {
    if ('metadata' in at && 'code' in at && typeof at.code === 'number') return Object.assign(at, { code: at.code });
  }
  return undefined;
}

export function grpcCode(error: unknown): number | undefined {
  return grpcError(error)?.code;
}

/** First line only: gRPC and Node put stacks and advice for developers into the rest. */
export function messageOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const details = (error as { details?: unknown }).details;
  const text = typeof details === 'string' && details !== '' ? details : error.message;
  return (text.split('\n')[0] ?? '').trim();
}
