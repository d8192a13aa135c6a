/**
 * The one place where an error becomes an ApplicationFailure, and so where it is decided what Temporal retries. Workflows
 * know only the type strings of the contract.
 */
import { ApplicationFailure, ApplicationFailureCategory } from '@temporalio/common';
import { CloudError, type CloudErrorKind } from '../cloud/errors.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';

const RULE: Record<CloudErrorKind, { type: string; retry: boolean; expected?: boolean }> = {
  credentials: { type: ACTIVITY_FAILURE.credentials, retry: false },
  denied: { type: ACTIVITY_FAILURE.denied, retry: false },
  notFound: { type: ACTIVITY_FAILURE.notFound, retry: false },
  conflict: { type: ACTIVITY_FAILURE.conflict, retry: false },
  quota: { type: ACTIVITY_FAILURE.quota, retry: false },
  noStock: { type: ACTIVITY_FAILURE.noStock, retry: true },
  invalid: { type: ACTIVITY_FAILURE.invalid, retry: false },
  notReady: { type: ACTIVITY_FAILURE.notReady, retry: true, expected: true },
  throttled: { type: ACTIVITY_FAILURE.throttled, retry: true, expected: true },
  transient: { type: ACTIVITY_FAILURE.transient, retry: true },
  unreachable: { type: ACTIVITY_FAILURE.unreachable, retry: true },
  // Safe because every effect reads the world before it acts on a further attempt.
  unknownOutcome: { type: ACTIVITY_FAILURE.unknownOutcome, retry: true },
};

/** Capacity comes back within minutes at best; each try takes of the same quota as any other call. */
export const NO_STOCK_RETRY_MS = 60_000;

export interface FailureOptions {
  /** Not even what only a human can mend ends the activity. */
  readonly retryEverything?: boolean;
  /** Milliseconds between two tries to start an instance that finds no capacity. */
  readonly noStockRetryMs?: number;
}

/** The service's own hint; what only a human can mend is looked at twice a minute. */
function retryDelay(error: CloudError, passesByItself: boolean, noStockRetryMs: number): { nextRetryDelay?: number } {
  if (error.retryAfterMs !== undefined) return { nextRetryDelay: error.retryAfterMs };
  if (error.kind === 'noStock') return { nextRetryDelay: noStockRetryMs };
  return passesByItself ? {} : { nextRetryDelay: 30_000 };
}

export function asActivityFailure(error: CloudError, options: FailureOptions = {}): ApplicationFailure {
  const rule = RULE[error.kind];
  const { noStockRetryMs = NO_STOCK_RETRY_MS } = options;
  return ApplicationFailure.create({
    message:
      error.kind === 'noStock'
        ? `${error.message}: no capacity for it now; tried again every ${Math.max(1, Math.round(noStockRetryMs / 1000))} s`
        : error.message,
    type: rule.type,
    nonRetryable: !rule.retry && options.retryEverything !== true,
    details: [{ action: error.action, code: error.code, requestId: error.requestId }],
    ...(rule.expected === true ? { category: ApplicationFailureCategory.BENIGN } : {}),
    ...retryDelay(error, rule.retry, noStockRetryMs),
  });
}

/**
 * Wraps each activity so that cloud errors leave it as ApplicationFailures. Everything else passes: a bug must show as
 * what it is.
 */
export function translatingFailures<T extends Record<string, (...args: never[]) => Promise<unknown>>>(
  activities: T,
  options?: FailureOptions,
): T {
  return Object.fromEntries(
    Object.entries(activities).map(([name, activity]) => [
      name,
      async (...args: never[]) => {
        try {
          return await activity(...args);
        } catch (error) {
          throw error instanceof CloudError ? asActivityFailure(error, options) : error;
        }
      },
    ]),
  ) as T;
}

export const refuse = (type: string, message: string, ...details: unknown[]): ApplicationFailure =>
  ApplicationFailure.nonRetryable(message, type, ...details);
