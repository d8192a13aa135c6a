/**
 * The snapshots a run takes: B, and in mode `warm` one before it. Each is made once per run, by tag and ClientToken. Deleted
 * is only the warm-up snapshot.
 */
import { CloudError } from '../cloud/errors.ts';
import type { Ecs, EcsRegion } from '../cloud/port.ts';
import type { Poller } from '../cloud/poller.ts';
import type { Snapshot } from '../cloud/types.ts';
import { type Purpose, TAG } from '../contract/ids.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import { alive } from './alive.ts';
import { refuse } from './failures.ts';
import { clientToken, expiringTags, type RunIdentity, tagsFor } from './identity.ts';
import { unlessGone } from './recovery-disk.ts';
import { waitFor } from './waiting.ts';

export type SnapshotPurpose = Extract<Purpose, 'safety-snapshot' | 'warm-up-snapshot'>;

export interface SnapshotRequest extends RunIdentity {
  readonly regionId: string;
  readonly diskId: string;
  readonly targetSnapshotId: string;
  /** Days after which the cloud itself deletes the snapshot. */
  readonly retentionDays: number;
  /** Default: `safety-snapshot`. */
  readonly purpose?: SnapshotPurpose;
  /** ISO 8601, from the workflow's clock: with the same ClientToken every attempt must send the same tags. */
  readonly expiresAt?: string;
}

const WORDS: Record<SnapshotPurpose, (diskId: string, target: string) => { name: string; description: string }> = {
  'safety-snapshot': (diskId, target) => ({
    name: `rollback-B-${diskId}`,
    description: `State of ${diskId} just before its rollback to ${target}`,
  }),
  'warm-up-snapshot': (diskId, target) => ({
    name: `rollback-warm-up-${diskId}`,
    description: `Taken before ${diskId} is stopped for its rollback to ${target}, deleted by its run`,
  }),
};

export function snapshotActivities(ecs: Ecs, poller: Poller) {
  /** What earlier attempts have made, by tag, the youngest first. */
  async function madeBefore(region: EcsRegion, identity: RunIdentity, purpose: SnapshotPurpose): Promise<Snapshot[]> {
    const made = await region.snapshotsTagged(tagsFor(identity, purpose));
    return made.sort((a, b) => (a.createdAt === '' ? -1 : b.createdAt === '' ? 1 : a.createdAt < b.createdAt ? 1 : -1));
  }
  const usable = (made: readonly Snapshot[], diskId?: string) =>
    made.find((snapshot) => snapshot.status !== 'failed' && (diskId === undefined || snapshot.sourceDiskId === diskId));

  const seenSnapshot = (snapshotId: string) => (seen: Snapshot | undefined) => ({
    snapshotId,
    status: seen?.status ?? 'not to be seen yet',
    progressPercent: seen?.progressPercent ?? 0,
  });

  function notFailed(snapshotId: string, seen: Snapshot | undefined): void {
    if (seen?.status === 'failed') {
      throw refuse(ACTIVITY_FAILURE.snapshotFailed, `snapshot ${snapshotId} has failed`);
    }
  }

  return {
    /**
     * Creates the run's snapshot, or finds the one it has made before: by tag, which holds for ever, and by ClientToken,
     * which holds while a first call may still be on its way. One that has failed is followed by another.
     */
    createSafetySnapshot: alive(async (input: SnapshotRequest): Promise<{ snapshotId: string }> => {
      const { diskId, purpose = 'safety-snapshot' } = input;
      const region = ecs.region(input.regionId);
      const before = await madeBefore(region, input, purpose);
      const found = usable(before, diskId);
      if (found !== undefined) return { snapshotId: found.id };
      try {
        const snapshotId = await region.createSnapshot({
          diskId,
          ...WORDS[purpose](diskId, input.targetSnapshotId),
          retentionDays: input.retentionDays,
          tags: expiringTags(input, purpose, input.expiresAt),
          clientToken: clientToken(input.run, [purpose, ...before.map(({ id }) => id).sort()].join('/')),
        });
        return { snapshotId };
      } catch (error) {
        // Refused because an earlier call went through that the look above did not show yet.
        if (error instanceof CloudError && (error.kind === 'invalid' || error.kind === 'conflict')) {
          const made = usable(await madeBefore(region, input, purpose), diskId);
          if (made !== undefined) return { snapshotId: made.id };
        }
        throw error;
      }
    }),

    /** What a creation whose reply was lost for good may have made: found by tag. */
    findSafetySnapshot: alive(
      async (
        input: RunIdentity & { regionId: string; purpose?: SnapshotPurpose },
      ): Promise<{ snapshotId: string } | null> => {
        const made = usable(await madeBefore(ecs.region(input.regionId), input, input.purpose ?? 'safety-snapshot'));
        return made === undefined ? null : { snapshotId: made.id };
      },
    ),

    /** Until the point in time is cut: from then on a frozen file system may be thawed, and a write is not in it. */
    async awaitSnapshotCut(input: { regionId: string; snapshotId: string }): Promise<{ createdAt: string }> {
      const snapshot = await waitFor(
        poller,
        'snapshot',
        input.regionId,
        input.snapshotId,
        (seen) => {
          notFailed(input.snapshotId, seen);
          return seen !== undefined && seen.createdAt !== '';
        },
        seenSnapshot(input.snapshotId),
      );
      return { createdAt: snapshot?.createdAt ?? '' };
    },

    /**
     * Until the snapshot is accomplished, not merely available: the reset is refused while any snapshot of the disk is
     * unfinished.
     */
    async awaitSnapshotAccomplished(input: {
      regionId: string;
      snapshotId: string;
    }): Promise<{ createdAt: string; sizeGiB: number }> {
      const snapshot = await waitFor(
        poller,
        'snapshot',
        input.regionId,
        input.snapshotId,
        (seen) => {
          notFailed(input.snapshotId, seen);
          return seen?.status === 'accomplished' && seen.available && seen.createdAt !== '';
        },
        seenSnapshot(input.snapshotId),
      );
      return { createdAt: snapshot?.createdAt ?? '', sizeGiB: snapshot?.sourceDiskSizeGiB ?? 0 };
    },

    /**
     * Locks snapshot B so that nobody can delete it for so many days. A lock that is there and lasts as long is adopted:
     * locking again could only lengthen it.
     */
    lockSafetySnapshot: alive(
      async (input: {
        run: string;
        regionId: string;
        snapshotId: string;
        days: number;
      }): Promise<{ sent: boolean; expiresAt: string }> => {
        const region = ecs.region(input.regionId);
        const { snapshotId, days } = input;
        const snapshot = (await region.snapshots([snapshotId])).get(snapshotId);
        if (snapshot?.tags[TAG.run] !== input.run || snapshot.tags[TAG.purpose] !== 'safety-snapshot') {
          throw refuse(ACTIVITY_FAILURE.conflict, `snapshot ${snapshotId} is not this run's snapshot B: not locked`);
        }
        const lock = async () => {
          const seen = (await region.snapshotLocks([snapshotId])).get(snapshotId);
          return seen?.status === 'compliance' && seen.days >= days ? seen : undefined;
        };
        const before = await lock();
        if (before !== undefined) return { sent: false, expiresAt: before.expiresAt };
        await region.lockSnapshot({ snapshotId, days, clientToken: clientToken(input.run, `lock/${snapshotId}`) });
        return { sent: true, expiresAt: (await lock())?.expiresAt ?? '' };
      },
    ),

    /** Deletes this run's warm-up snapshot and no other; one that is gone is done. */
    deleteWarmUpSnapshot: alive(
      async (
        input: RunIdentity & { regionId: string; snapshotId: string; diskId: string },
      ): Promise<{ sent: boolean }> => {
        const region = ecs.region(input.regionId);
        const snapshot = (await region.snapshots([input.snapshotId])).get(input.snapshotId);
        if (snapshot === undefined) return { sent: false };
        const wanted = tagsFor(input, 'warm-up-snapshot');
        const isOurs = Object.entries(wanted).every(([key, value]) => snapshot.tags[key] === value);
        if (!isOurs || snapshot.sourceDiskId !== input.diskId) {
          throw refuse(
            ACTIVITY_FAILURE.conflict,
            `snapshot ${snapshot.id} does not carry the tags of this run's warm-up snapshot of ${input.diskId} and is left alone`,
          );
        }
        return unlessGone(() => region.deleteSnapshot(snapshot.id));
      },
    ),
  };
}
