/** Every activity of the worker, built once from its dependencies. Workflows import the type only. */
import type { Ecs } from '../cloud/port.ts';
import type { Poller } from '../cloud/poller.ts';
import { translatingFailures } from './failures.ts';
import { diskSizeActivities } from './disk-size.ts';
import { guestActivities } from './guest.ts';
import { createGuestRunner } from './guest-runner.ts';
import { instanceActivities } from './instances.ts';
import { leaseActivities } from './lease.ts';
import { observationActivities } from './observation.ts';
import { planningActivities } from './planning.ts';
import { recoveryDiskActivities } from './recovery-disk.ts';
import { resetActivities } from './reset.ts';
import { snapshotActivities } from './snapshots.ts';
import { sweepActivities } from './sweep.ts';

export interface ActivityDependencies {
  readonly ecs: Ecs;
  readonly poller: Poller;
  /** Milliseconds between two looks at whether a reset has ended. */
  readonly settleIntervalMs: number;
  /** Milliseconds between two looks at a copy running in the guest. */
  readonly copyPollMs: number;
  /** How far its copy is the run is told no more often than this. */
  readonly tellEveryMs?: number;
  /** Milliseconds between two looks at whether another run still holds an instance. Default: 2,000. */
  readonly leasePollMs?: number;
  /** Milliseconds between two tries to start an instance that finds no capacity. Default: 60,000. */
  readonly noStockRetryMs?: number;
  /**
   * Milliseconds that a plan waits for the guest. Default: 45,000, half of what an attempt may take; a guest that takes longer
   * is not one to trust a copy to.
   */
  readonly guestPatienceMs?: number;
}

export type Activities = ReturnType<typeof createActivities>;

export function createActivities(dependencies: ActivityDependencies) {
  const {
    ecs,
    poller,
    settleIntervalMs,
    copyPollMs,
    leasePollMs = 2_000,
    noStockRetryMs,
    tellEveryMs = 30_000,
    guestPatienceMs = 45_000,
  } = dependencies;
  const guest = createGuestRunner(ecs, poller);
  const activities = {
    ...planningActivities(ecs, guest, { guestPatienceMs }),
    ...instanceActivities(ecs, poller),
    ...snapshotActivities(ecs, poller),
    ...resetActivities(ecs, poller, { settleIntervalMs }),
    ...diskSizeActivities(ecs, poller),
    ...recoveryDiskActivities(ecs, poller),
    ...guestActivities(guest, { copyPollMs, tellEveryMs }),
    ...leaseActivities({ leasePollMs }),
    ...observationActivities(ecs, guest),
    ...sweepActivities(ecs, guest),
  };
  return translatingFailures(activities, noStockRetryMs === undefined ? {} : { noStockRetryMs });
}
