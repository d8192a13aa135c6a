/** Snapshot B: made once per run by ClientToken, found again by tag. */
import { CloudError } from '../cloud/errors.ts';
import type { Ecs } from '../cloud/port.ts';
import type { Poller } from '../cloud/poller.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import { alive } from './alive.ts';
import { refuse } from './failures.ts';
import { clientToken, type RunIdentity, tagsFor } from './identity.ts';
import { waitFor } from './waiting.ts';

export function snapshotActivities(ecs: Ecs, poller: Poller) {
  return {
    createSafetySnapshot: alive(
      async (
        input: RunIdentity & { regionId: string; diskId: string; targetSnapshotId: string; retentionDays: number },
      ): Promise<{ snapshotId: string }> => {
        const region = ecs.region(input.regionId);
        const tags = tagsFor(input, 'safety-snapshot');
        try {
          const snapshotId = await region.createSnapshot({
            diskId: input.diskId,
            name: `rollback-B-${input.diskId}`,
            description: `State of ${input.diskId} just before its rollback to ${input.targetSnapshotId}`,
            retentionDays: input.retentionDays,
            tags,
            clientToken: clientToken(input.run, 'safety-snapshot'),
          });
          return { snapshotId };
        } catch (error) {
          // A token the service has forgotten makes a second snapshot or is refused; what is tagged as ours was made first.
          if (error instanceof CloudError && (error.kind === 'invalid' || error.kind === 'conflict')) {
            const [made] = await region.snapshotsTagged(tags);
            if (made !== undefined && made.sourceDiskId === input.diskId) return { snapshotId: made.id };
          }
          throw error;
        }
      },
    ),

    /** What a creation whose reply was lost for good may have made: found by tag. */
    findSafetySnapshot: alive(
      async (input: RunIdentity & { regionId: string }): Promise<{ snapshotId: string } | null> => {
        const [made] = await ecs.region(input.regionId).snapshotsTagged(tagsFor(input, 'safety-snapshot'));
        return made === undefined ? null : { snapshotId: made.id };
      },
    ),

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
          if (seen?.status === 'failed') {
            throw refuse(ACTIVITY_FAILURE.snapshotFailed, `snapshot ${input.snapshotId} has failed`);
          }
          return seen?.status === 'accomplished' && seen.available && seen.createdAt !== '';
        },
        (seen) => ({
          snapshotId: input.snapshotId,
          status: seen?.status ?? 'not to be seen yet',
          progressPercent: seen?.progressPercent ?? 0,
        }),
      );
      return { createdAt: snapshot?.createdAt ?? '', sizeGiB: snapshot?.sourceDiskSizeGiB ?? 0 };
    },
  };
}
