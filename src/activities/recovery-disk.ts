/**
 * The recovery disk: made from B, attached, detached, deleted. Detach and delete touch only what both the run's ledger (the
 * id in the input) and the disk's own tags call ours.
 */
import { CloudError } from '../cloud/errors.ts';
import type { Ecs } from '../cloud/port.ts';
import type { Poller } from '../cloud/poller.ts';
import type { Disk } from '../cloud/types.ts';
import type { PlannedDisk } from '../contract/rollback.ts';
import { TAG } from '../contract/ids.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import { alive } from './alive.ts';
import { refuse } from './failures.ts';
import { clientToken, expiringTags, type RunIdentity, tagsFor } from './identity.ts';
import { unlessInVain, waitFor } from './waiting.ts';

export interface RecoveryDiskRef {
  readonly run: string;
  readonly regionId: string;
  readonly recoveryDiskId: string;
  readonly originalDiskId: string;
  readonly instanceId: string;
}

const isAvailable = (disk: Disk | undefined) => disk?.status.toLowerCase() === 'available';
const isInUse = (disk: Disk | undefined) => disk?.status.toLowerCase() === 'in_use';

/** Codes that say that the thing itself is gone, or what it was attached to; a region that is not found says neither. */
const GONE = /^(InvalidDisk\.AlreadyDetached|(Invalid(Disk|Snapshot|Instance)Ids?|Disk)\.NotFound)$/;

/** "Not found" and "already detached" mean that what was asked for has happened since the look before. */
export async function unlessGone(call: () => Promise<void>): Promise<{ sent: boolean }> {
  try {
    await call();
    return { sent: true };
  } catch (error) {
    if (error instanceof CloudError && GONE.test(error.code)) return { sent: false };
    throw error;
  }
}

export function recoveryDiskActivities(ecs: Ecs, poller: Poller) {
  /** The disk, if it is still there; refused unless it is this run's recovery disk. */
  async function ours(ref: RecoveryDiskRef): Promise<Disk | undefined> {
    const disk = (await ecs.region(ref.regionId).disks([ref.recoveryDiskId])).get(ref.recoveryDiskId);
    if (disk === undefined) return undefined;
    const isOurs =
      disk.id !== ref.originalDiskId && disk.tags[TAG.run] === ref.run && disk.tags[TAG.purpose] === 'recovery-disk';
    if (!isOurs) {
      throw refuse(
        ACTIVITY_FAILURE.conflict,
        `disk ${disk.id} does not carry the tags of this run's recovery disk and is left alone`,
      );
    }
    return disk;
  }

  const seenDisk = (disk: Disk | undefined) => ({
    diskId: disk?.id,
    status: disk?.status ?? 'not to be seen',
    attachedTo: disk?.attachedTo ?? [],
  });

  /** Until the disk is as wanted. Seen `asBefore` in many looks it is believed that the call came to nothing, which `inVain` tells. */
  function awaitDisk(
    input: RecoveryDiskRef,
    until: (seen: Disk | undefined) => boolean,
    asBefore: (seen: Disk | undefined) => boolean,
    inVain: string,
  ): Promise<Disk | undefined> {
    const mayShow = unlessInVain(asBefore, `recovery disk ${input.recoveryDiskId} is ${inVain}`);
    const look = (seen: Disk | undefined) => {
      mayShow(seen);
      return until(seen);
    };
    return waitFor(poller, 'disk', input.regionId, input.recoveryDiskId, look, seenDisk);
  }

  return {
    /**
     * Creates the run's recovery disk, or finds the one it has made before: by tag, which holds for ever, and by
     * ClientToken, which holds while a first call may still be on its way.
     */
    createRecoveryDisk: alive(
      async (
        input: RunIdentity & {
          regionId: string;
          snapshotId: string;
          snapshotSizeGiB: number;
          like: PlannedDisk;
          /** ISO 8601, from the workflow's clock: with the same ClientToken every attempt must send the same tags. */
          expiresAt?: string;
        },
      ): Promise<{ diskId: string; sizeGiB: number }> => {
        const region = ecs.region(input.regionId);
        const sizeGiB = Math.max(input.like.sizeGiB, input.snapshotSizeGiB);
        const madeBefore = async () =>
          (await region.disksTagged(tagsFor(input, 'recovery-disk'))).find(
            (disk) => disk.sourceSnapshotId === input.snapshotId,
          );
        const found = await madeBefore();
        if (found !== undefined) return { diskId: found.id, sizeGiB: found.sizeGiB };
        try {
          const diskId = await region.createDisk({
            snapshotId: input.snapshotId,
            zoneId: input.like.zoneId,
            sizeGiB,
            category: input.like.category,
            ...(input.like.performanceLevel === undefined ? {} : { performanceLevel: input.like.performanceLevel }),
            encrypted: input.like.encrypted,
            ...(input.like.kmsKeyId === undefined ? {} : { kmsKeyId: input.like.kmsKeyId }),
            name: `recovery-of-${input.like.id}`,
            description: `Temporary copy of ${input.like.id} made from ${input.snapshotId}, released by its run`,
            tags: expiringTags(input, 'recovery-disk', input.expiresAt),
            clientToken: clientToken(input.run, 'recovery-disk'),
          });
          return { diskId, sizeGiB };
        } catch (error) {
          // Refused because an earlier call went through that the look above did not show yet.
          if (error instanceof CloudError && (error.kind === 'invalid' || error.kind === 'conflict')) {
            const made = await madeBefore();
            if (made !== undefined) return { diskId: made.id, sizeGiB: made.sizeGiB };
          }
          throw error;
        }
      },
    ),

    /** What an earlier, lost attempt to create may have left: found by tag. */
    findRecoveryDisk: alive(async (input: RunIdentity & { regionId: string }): Promise<{ diskId: string } | null> => {
      const [made] = await ecs.region(input.regionId).disksTagged(tagsFor(input, 'recovery-disk'));
      return made === undefined ? null : { diskId: made.id };
    }),

    async awaitRecoveryDiskAvailable(input: RecoveryDiskRef): Promise<{ serial: string; sizeGiB: number }> {
      const disk = await awaitDisk(
        input,
        // Already attached is further than available: a repeated wait must not hang on it.
        (seen) => isAvailable(seen) || (seen?.attachedTo.includes(input.instanceId) ?? false),
        (seen) => seen === undefined,
        'not to be seen: CreateDisk answered with its id and made nothing, or it was deleted',
      );
      return { serial: disk?.serial ?? '', sizeGiB: disk?.sizeGiB ?? 0 };
    },

    attachRecoveryDisk: alive(async (input: RecoveryDiskRef): Promise<{ sent: boolean }> => {
      const disk = await ours(input);
      if (disk === undefined) {
        throw refuse(ACTIVITY_FAILURE.notFound, `recovery disk ${input.recoveryDiskId} is gone`);
      }
      if (disk.attachedTo.includes(input.instanceId) || disk.status === 'Attaching') return { sent: false };
      if (disk.attachedTo.length > 0) {
        throw refuse(
          ACTIVITY_FAILURE.conflict,
          `recovery disk ${disk.id} is attached to ${disk.attachedTo.join(', ')} and left there`,
        );
      }
      // AttachDisk can flip the disk's DeleteAutoSnapshot. It stays flipped: no automatic snapshot policy is bound to this
      // disk, so there is nothing that the flag could keep or delete. The original is never attached or detached.
      await ecs.region(input.regionId).attachDisk(disk.id, input.instanceId);
      return { sent: true };
    }),

    async awaitRecoveryDiskAttached(input: RecoveryDiskRef): Promise<void> {
      await awaitDisk(
        input,
        (seen) => isInUse(seen) && (seen?.attachedTo.includes(input.instanceId) ?? false),
        isAvailable,
        `Available, although ${input.instanceId} was to get it: AttachDisk was taken and came to nothing`,
      );
    },

    detachRecoveryDisk: alive(async (input: RecoveryDiskRef): Promise<{ sent: boolean }> => {
      const disk = await ours(input);
      if (disk === undefined || disk.status === 'Detaching' || isAvailable(disk)) return { sent: false };
      return unlessGone(() => ecs.region(input.regionId).detachDisk(disk.id, input.instanceId));
    }),

    async awaitRecoveryDiskDetached(input: RecoveryDiskRef): Promise<void> {
      await awaitDisk(
        input,
        (seen) => seen === undefined || isAvailable(seen),
        isInUse,
        `attached to ${input.instanceId} as before: DetachDisk was taken and came to nothing`,
      );
    },

    deleteRecoveryDisk: alive(async (input: RecoveryDiskRef): Promise<{ sent: boolean }> => {
      const disk = await ours(input);
      if (disk === undefined) return { sent: false };
      return unlessGone(() => ecs.region(input.regionId).deleteDisk(disk.id));
    }),

    async awaitRecoveryDiskGone(input: RecoveryDiskRef): Promise<void> {
      await awaitDisk(
        input,
        (seen) => seen === undefined,
        isAvailable,
        'Available as before: DeleteDisk was taken and came to nothing',
      );
    },
  };
}
