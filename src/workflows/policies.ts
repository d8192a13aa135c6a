/**
 * How long each kind of activity may take and how often it is tried, with the reason for each number. The activities
 * decide by error class what is not worth another try (`activities/failures.ts`).
 */
import { type ActivityInterfaceFor, proxyActivities } from '@temporalio/workflow';
import type { Activities } from '../activities/index.ts';

type Acts = ActivityInterfaceFor<Activities>;

/**
 * Looks only, with a human or a runbook waiting for the answer: three tries ride out a blip, then the reason is shown. 90
 * seconds an attempt leave room for a script in the guest that looks at paths.
 */
export const reads: Acts = proxyActivities<Activities>({
  startToCloseTimeout: '90s',
  heartbeatTimeout: '30s',
  retry: { initialInterval: '1s', maximumInterval: '5s', maximumAttempts: 3 },
});

/**
 * One mutating call before the point of no return. The client gives up on a call after 20 s, so a minute an attempt holds
 * the look before it, too. After half an hour of passing troubles it is better to put things back than to leave an
 * instance stopped. The heartbeat (every 2 s) finds a dead worker.
 */
export const effectsBeforeReset: Acts = proxyActivities<Activities>({
  startToCloseTimeout: '1m',
  scheduleToCloseTimeout: '30m',
  heartbeatTimeout: '10s',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
});

/** ResetDisk and all that puts things in order after it: there is no way back, so it is tried for as long as it takes. */
export const effects: Acts = proxyActivities<Activities>({
  startToCloseTimeout: '1m',
  heartbeatTimeout: '10s',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
});

/**
 * The start after the reset: a zone without stock is tried again slowly, for two hours; then somebody should decide whether
 * to go on waiting.
 */
export const starts: Acts = proxyActivities<Activities>({
  startToCloseTimeout: '1m',
  scheduleToCloseTimeout: '2h',
  heartbeatTimeout: '10s',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '1m' },
});

/**
 * Only reads, so it may run for hours and be repeated for ever. The heartbeat (every 5 s, from a timer) finds a dead
 * worker within 20 seconds; a day an attempt outlasts the first full snapshot of any disk.
 */
export const waits: Acts = proxyActivities<Activities>({
  startToCloseTimeout: '24h',
  heartbeatTimeout: '20s',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
});

/**
 * A graceful stop: a guest that has not gone down after 15 minutes is hung. `forceStop` then decides between a power cut
 * and putting things back.
 */
export const stopWait: Acts = proxyActivities<Activities>({
  startToCloseTimeout: '15m',
  scheduleToCloseTimeout: '15m',
  heartbeatTimeout: '20s',
});

/** An agent that has not come up a quarter of an hour after the start is not waited for by what can do without it. */
export const agentWait: Acts = proxyActivities<Activities>({
  startToCloseTimeout: '15m',
  scheduleToCloseTimeout: '15m',
  heartbeatTimeout: '20s',
});

/**
 * One script in the guest. Every script may run twice; six tries over about five minutes ride out an agent that restarts. A
 * refusal of the script is final at once.
 */
export const scripts: Acts = proxyActivities<Activities>({
  startToCloseTimeout: '10m',
  heartbeatTimeout: '20s',
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '1m', maximumAttempts: 6 },
});

/** A hook: a day and what it takes to see its end. Started once whatever is tried again; six tries ride out an agent that restarts. */
export const hookRuns: Acts = proxyActivities<Activities>({
  startToCloseTimeout: '25h',
  heartbeatTimeout: '20s',
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '1m', maximumAttempts: 6 },
});

/** A copy or its verification: as long as the data takes. The job itself runs in the guest, whatever becomes of the worker. */
export const transfers: Acts = proxyActivities<Activities>({
  startToCloseTimeout: '7 days',
  heartbeatTimeout: '20s',
  retry: { initialInterval: '2s', backoffCoefficient: 2, maximumInterval: '1m' },
});

/**
 * A sweep's looks, which may be at hundreds of things, and its deletions. A new disk cannot be deleted for minutes, while it
 * fills from its snapshot; what does not go within a quarter of an hour is left to the next sweep.
 */
export const sweeps: Acts = proxyActivities<Activities>({
  startToCloseTimeout: '5m',
  scheduleToCloseTimeout: '15m',
  heartbeatTimeout: '20s',
  retry: { initialInterval: '1s', backoffCoefficient: 2, maximumInterval: '30s' },
});
