/**
 * The size of the original disk after a reset to a snapshot from before an expansion. The vendor's pages contradict each
 * other on whether the service takes the size back with it: it is read, and put right where it was.
 */
import type { Ecs } from '../cloud/port.ts';
import type { Poller } from '../cloud/poller.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import { alive } from './alive.ts';
import { refuse } from './failures.ts';
import { clientToken } from './identity.ts';
import { waitFor } from './waiting.ts';

export interface DiskSizeInput {
  readonly run: string;
  readonly regionId: string;
  readonly diskId: string;
  /** The size it had before the reset. */
  readonly sizeGiB: number;
}

export function diskSizeActivities(ecs: Ecs, poller: Poller) {
  return {
    /** Sends ResizeDisk only when the disk is smaller than it was. Answers the size that was seen. */
    restoreDiskSize: alive(async (input: DiskSizeInput): Promise<{ sent: boolean; seenGiB: number }> => {
      const { regionId, diskId, sizeGiB } = input;
      const region = ecs.region(regionId);
      const disk = (await region.disks([diskId])).get(diskId);
      if (disk === undefined) {
        throw refuse(ACTIVITY_FAILURE.notFound, `disk ${diskId} is no longer to be seen in region ${regionId}`);
      }
      if (disk.sizeGiB >= sizeGiB) return { sent: false, seenGiB: disk.sizeGiB };
      await region.resizeDisk({ diskId, sizeGiB, clientToken: clientToken(input.run, 'disk-size') });
      return { sent: true, seenGiB: disk.sizeGiB };
    }),

    async awaitDiskSize({ regionId, diskId, sizeGiB }: DiskSizeInput): Promise<void> {
      await waitFor(
        poller,
        'disk',
        regionId,
        diskId,
        (seen) => (seen?.sizeGiB ?? 0) >= sizeGiB,
        (seen) => ({ diskId, sizeGiB: seen?.sizeGiB, wantedGiB: sizeGiB }),
      );
    },
  };
}
