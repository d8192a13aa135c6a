/** From what an activity threw to the sentence a human reads and the kind a program reads. */
import { ActivityFailure, ApplicationFailure, isCancellation, rootCause, TimeoutFailure } from '@temporalio/workflow';

export interface FailureText {
  readonly message: string;
  readonly kind: string | undefined;
}

export function failureText(error: unknown): FailureText {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  if (cause instanceof ApplicationFailure) return { message: cause.message, kind: cause.type ?? undefined };
  if (cause instanceof TimeoutFailure && error instanceof ActivityFailure) {
    return { message: `${error.activityType} took too long (${cause.timeoutType})`, kind: 'Timeout' };
  }
  if (isCancellation(error)) return { message: 'cancelled', kind: 'Cancelled' };
  return { message: rootCause(error) ?? String(error), kind: undefined };
}

/** What the guest script that refused calls the reason, such as `GuestRebooted`. */
export function guestCode(error: unknown): string | undefined {
  const cause = error instanceof ActivityFailure ? error.cause : error;
  const details =
    cause instanceof ApplicationFailure ? (cause.details?.[0] as { code?: unknown } | undefined) : undefined;
  return typeof details?.code === 'string' ? details.code : undefined;
}
