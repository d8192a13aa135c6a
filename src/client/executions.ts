/** What Temporal says of any execution: its state, and the activities whose last attempt failed. */
import type { WorkflowExecutionDescription } from '@temporalio/client';
import type { Execution, RetryingActivity } from './types.ts';

const EXECUTIONS: Readonly<Record<string, Execution>> = {
  RUNNING: 'running',
  PAUSED: 'running',
  COMPLETED: 'completed',
  FAILED: 'failed',
  CANCELLED: 'cancelled',
  TERMINATED: 'terminated',
  TIMED_OUT: 'timed-out',
};

export function executionOf(info: { status: { name: string } }): Execution {
  return EXECUTIONS[info.status.name] ?? 'unknown';
}

export function retryingActivities(found: WorkflowExecutionDescription): RetryingActivity[] {
  return (found.raw.pendingActivities ?? []).flatMap((pending) => {
    const failure = pending.lastFailure;
    if (failure === null || failure === undefined) return [];
    const failureKind = failure.applicationFailureInfo?.type;
    return [
      {
        activity: pending.activityType?.name ?? pending.activityId ?? 'activity',
        attempt: pending.attempt ?? 1,
        message: (failure.message ?? '').split('\n')[0] ?? '',
        ...(failureKind ? { failureKind } : {}),
      },
    ];
  });
}

/** JSON with sorted keys, so that two inputs compare by what they say. */
export function canonical(value: unknown): string {
  return JSON.stringify(value, (_key, inner: unknown) =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner,
  );
}
