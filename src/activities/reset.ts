/**
 * The point of no return: the gate, ResetDisk itself, and the wait for its end. ResetDisk has no ClientToken and no task
 * to poll, and the disk reads `In_use` before as well as after it.
 */
import { activityInfo, heartbeat, sleep } from '@temporalio/activity';
import { CloudError, type CloudErrorKind } from '../cloud/errors.ts';
import type { Ecs } from '../cloud/port.ts';
import type { Poller } from '../cloud/poller.ts';
import type { GateEvidence } from '../contract/rollback.ts';
import { TAG } from '../contract/ids.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import { alive } from './alive.ts';
import { refuse } from './failures.ts';
import { waitFor } from './waiting.ts';

export interface ResetInput {
  readonly run: string;
  readonly regionId: string;
  readonly diskId: string;
  readonly instanceId: string;
  readonly targetSnapshotId: string;
  readonly safetySnapshotId: string;
}

/** Looks in a row that must agree before a reset counts as ended: `In_use` alone is also how it begins. */
const SETTLED_LOOKS = 2;

const REFUSALS: ReadonlySet<CloudErrorKind> = new Set([
  'credentials',
  'denied',
  'notFound',
  'conflict',
  'quota',
  'invalid',
]);

export function resetActivities(ecs: Ecs, poller: Poller, options: { settleIntervalMs: number }) {
  return {
    /**
     * Reads everything the reset depends on once more and closes unless all of it holds. Its result is the evidence in
     * the history; nothing else leads to `resetDisk`.
     */
    checkGate: alive(async (input: ResetInput): Promise<GateEvidence> => {
      const region = ecs.region(input.regionId);
      const [instances, disks, snapshots, snapshotsOfDisk] = await Promise.all([
        region.instances([input.instanceId]),
        region.disks([input.diskId]),
        region.snapshots([input.targetSnapshotId, input.safetySnapshotId]),
        region.snapshotsOf(input.diskId),
      ]);
      const instance = instances.get(input.instanceId);
      const disk = disks.get(input.diskId);
      const target = snapshots.get(input.targetSnapshotId);
      const safety = snapshots.get(input.safetySnapshotId);
      const unfinished = snapshotsOfDisk.filter((snapshot) => snapshot.status === 'progressing');

      const problems = [
        instance?.status !== 'Stopped' &&
          `instance ${input.instanceId} is ${instance?.status ?? 'not to be seen'}, expected Stopped`,
        instance?.stoppedMode === 'StopCharging' &&
          `instance ${input.instanceId} was stopped in economical mode (StopCharging): it might not start again after the reset`,
        disk?.status.toLowerCase() !== 'in_use' &&
          `disk ${input.diskId} is ${disk?.status ?? 'not to be seen'}, expected In_use`,
        disk !== undefined &&
          !(disk.attachedTo.length === 1 && disk.attachedTo[0] === input.instanceId) &&
          `disk ${input.diskId} is attached to ${disk.attachedTo.join(', ') || 'nothing'}, expected ${input.instanceId} alone`,
        (target === undefined || target.sourceDiskId !== input.diskId || !target.available) &&
          `snapshot A (${input.targetSnapshotId}) is gone or no longer usable for ${input.diskId}`,
        (safety === undefined || safety.sourceDiskId !== input.diskId || safety.status !== 'accomplished') &&
          `snapshot B (${input.safetySnapshotId}) is not a finished snapshot of ${input.diskId}`,
        safety !== undefined &&
          safety.tags[TAG.run] !== input.run &&
          `snapshot B (${input.safetySnapshotId}) does not carry this run's tag`,
        safety !== undefined &&
          instance !== undefined &&
          // To the minute. Holds in every mode; a run that is repeated from its history would find its old B by token.
          Date.parse(safety.createdAt) < Date.parse(instance.startedAt) &&
          `snapshot B (${input.safetySnapshotId}, ${safety.createdAt}) is older than the last start of ${input.instanceId} (${instance.startedAt}): what was written since is not in it`,
        unfinished.length > 0 &&
          `snapshot ${unfinished.map((snapshot) => snapshot.id).join(', ')} of the disk is unfinished`,
      ].filter((problem) => problem !== false);
      if (problems.length > 0 || instance === undefined || disk === undefined || safety === undefined || !target) {
        throw refuse(ACTIVITY_FAILURE.gateClosed, `the gate before ResetDisk is closed: ${problems.join('; ')}`);
      }
      return {
        observedAt: new Date().toISOString(),
        instanceStatus: instance.status,
        stoppedMode: instance.stoppedMode,
        diskStatus: disk.status,
        safetySnapshotId: safety.id,
        safetySnapshotCreatedAt: safety.createdAt,
        targetSnapshotStatus: target.status,
        unfinishedSnapshots: unfinished.length,
      };
    }),

    /**
     * Sends ResetDisk. An attempt that cannot know whether an earlier one was heard looks for the reset first: one that
     * is running is adopted. `sentBefore`: an earlier activity of the run may have sent it. If none is running the request is sent (again): with the instance stopped all the while,
     * a second reset to the same snapshot finds the same bytes. It is never sent once the instance has left `Stopped`.
     */
    resetDisk: alive(async (input: ResetInput & { sentBefore?: boolean }): Promise<{ sent: boolean }> => {
      const region = ecs.region(input.regionId);
      const isFirst = activityInfo().attempt === 1 && input.sentBefore !== true;
      if (!isFirst) {
        const instance = (await region.instances([input.instanceId])).get(input.instanceId);
        if (instance?.status !== 'Stopped') {
          throw refuse(
            ACTIVITY_FAILURE.conflict,
            `instance ${input.instanceId} is ${instance?.status ?? 'not to be seen'}: ResetDisk is not repeated unless it is Stopped`,
          );
        }
        const disk = (await region.disks([input.diskId])).get(input.diskId);
        if (disk?.status === 'ReIniting') return { sent: false };
        if ((await region.probeReset(input.diskId, input.targetSnapshotId)) === 'in-progress') return { sent: false };
      }
      try {
        await region.resetDisk(input.diskId, input.targetSnapshotId);
        return { sent: true };
      } catch (error) {
        if (error instanceof CloudError && error.code === 'InvalidOperation.DiskResetInProgress') {
          return { sent: false };
        }
        // Only a first attempt can tell that nothing was ever sent.
        if (isFirst && error instanceof CloudError && REFUSALS.has(error.kind)) {
          throw refuse(ACTIVITY_FAILURE.resetRefused, error.message, { kind: error.kind, code: error.code });
        }
        throw error;
      }
    }),

    /** Until the disk is settled and the service would accept another reset, seen so several times in a row. */
    async awaitResetEnded(input: ResetInput): Promise<{ diskSizeGiB: number }> {
      const region = ecs.region(input.regionId);
      let agreed = 0;
      let sizeGiB = 0;
      while (agreed < SETTLED_LOOKS) {
        const disk = await waitFor(
          poller,
          'disk',
          input.regionId,
          input.diskId,
          (seen) => {
            if (seen === undefined) {
              throw refuse(ACTIVITY_FAILURE.notFound, `disk ${input.diskId} is no longer to be seen`);
            }
            return seen.status.toLowerCase() === 'in_use';
          },
          (seen) => ({ diskId: input.diskId, status: seen?.status ?? 'not to be seen', wanted: 'In_use' }),
        );
        sizeGiB = disk?.sizeGiB ?? 0;
        const probe = await region.probeReset(input.diskId, input.targetSnapshotId);
        agreed = probe === 'idle' ? agreed + 1 : 0;
        heartbeat({ diskId: input.diskId, status: disk?.status, reset: probe, looksThatAgree: agreed });
        if (agreed < SETTLED_LOOKS) await sleep(options.settleIntervalMs);
      }
      return { diskSizeGiB: sizeGiB };
    },
  };
}
