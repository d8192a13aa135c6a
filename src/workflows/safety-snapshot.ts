/**
 * Step 1, snapshot B, in three ways: `cold` after the stop, `warm` after the stop with a first snapshot while the instance
 * still ran, `hot` while it runs.
 */
import { CancellationScope } from '@temporalio/workflow';
import type { Purpose } from '../contract/ids.ts';
import type { SnapshotMode } from '../contract/rollback.ts';
import { failureText } from './failure-text.ts';
import { effects, effectsBeforeReset, scripts, waits } from './policies.ts';
import { isExpected, type Run, type Summary } from './run.ts';
import type { Scene } from './scene.ts';

const DAY_MS = 86_400_000;
/** A warm-up snapshot outlives its purpose by minutes; should nobody release it, the cloud does. */
const WARM_UP_RETENTION_DAYS = 7;
/** The guest thaws its file systems by itself after this long, whatever has become of us. Seconds. */
const FROZEN_AT_MOST = 60;

type SnapshotPurpose = Extract<Purpose, 'safety-snapshot' | 'warm-up-snapshot'>;

/** Mode `warm`: most of the data is in the cloud before the instance stops, so that B is a short increment. */
export async function takeWarmUpSnapshot(run: Run, scene: Scene): Promise<void> {
  await run.step(
    'takeWarmUpSnapshot',
    async (summary) => {
      const { snapshotId, frozen } = await cutWhileRunning(run, scene, 'warm-up-snapshot', summary);
      await accomplished(summary, scene, snapshotId);
      return `${snapshotId}${frozen}`;
    },
    (detail) => detail,
  );
}

export async function takeSafetySnapshot(run: Run, scene: Scene, mode: SnapshotMode): Promise<void> {
  const { input } = scene;
  await run.step(
    'takeSafetySnapshot',
    async (summary) => {
      const { snapshotId, frozen } =
        mode === 'hot'
          ? await cutWhileRunning(run, scene, 'safety-snapshot', summary)
          : { snapshotId: await create(run, scene, 'safety-snapshot', summary), frozen: '' };
      const { sizeGiB } = await accomplished(summary, scene, snapshotId);
      run.safetySnapshotSizeGiB = sizeGiB;
      if (input.lockSafetySnapshotDays !== undefined) {
        await effectsBeforeReset.lockSafetySnapshot.executeWithOptions(
          summary(`Lock ${snapshotId} for ${input.lockSafetySnapshotDays} days`),
          [{ run: run.id, regionId: input.regionId, snapshotId, days: input.lockSafetySnapshotDays }],
        );
      }
      return `${snapshotId}${frozen}`;
    },
    (detail) => detail,
  );
}

/** What a creation whose reply was lost for good may have made carries our tag. */
export async function findSnapshotsMade(run: Run, { input }: Scene): Promise<void> {
  for (const purpose of ['warm-up-snapshot', 'safety-snapshot'] as const) {
    if (run.made(purpose)?.state !== 'intended') continue;
    const made = await effectsBeforeReset.findSafetySnapshot.executeWithOptions(
      { summary: `Look for the ${purpose} by tag` },
      [{ ...run.identity, regionId: input.regionId, purpose }],
    );
    if (made === null) run.record(purpose, 'not-made');
    else noteMade(run, purpose, made.snapshotId, input.safetySnapshotRetentionDays);
  }
}

/** The warm-up snapshot has done its work once B is there, or once the run ends without one. */
export async function releaseWarmUpSnapshot(run: Run, { input, disk }: Scene): Promise<void> {
  const made = run.made('warm-up-snapshot');
  if (made?.id === undefined || made.state === 'released') return;
  const { id } = made;
  await CancellationScope.nonCancellable(async () => {
    try {
      await effects.deleteWarmUpSnapshot.executeWithOptions({ summary: `Delete the warm-up snapshot ${id}` }, [
        { ...run.identity, regionId: input.regionId, snapshotId: id, diskId: disk.id },
      ]);
      run.record('warm-up-snapshot', 'released');
    } catch (error) {
      if (!isExpected(error)) throw error;
      const note = `${failureText(error).message}; the cloud deletes it after ${WARM_UP_RETENTION_DAYS} days`;
      run.record('warm-up-snapshot', 'left-over', { note });
      run.leaveOver(`warm-up snapshot ${id}: ${note}`);
    }
  });
}

async function create(run: Run, scene: Scene, purpose: SnapshotPurpose, summary: Summary): Promise<string> {
  const { input, disk } = scene;
  const retentionDays = purpose === 'safety-snapshot' ? input.safetySnapshotRetentionDays : WARM_UP_RETENTION_DAYS;
  run.record(purpose, 'intended');
  const { snapshotId } = await effectsBeforeReset.createSafetySnapshot.executeWithOptions(
    summary(`Create ${purpose === 'safety-snapshot' ? 'snapshot B' : 'a first snapshot'} of ${disk.id}`),
    [
      {
        ...run.identity,
        regionId: input.regionId,
        diskId: disk.id,
        targetSnapshotId: input.snapshotId,
        retentionDays,
        purpose,
        expiresAt: new Date(run.startedAt + retentionDays * DAY_MS).toISOString(),
      },
    ],
  );
  noteMade(run, purpose, snapshotId, retentionDays);
  return snapshotId;
}

function noteMade(run: Run, purpose: SnapshotPurpose, id: string, retentionDays: number): void {
  if (purpose === 'warm-up-snapshot') return run.record(purpose, 'made', { id });
  run.safetySnapshotId = id;
  run.record(purpose, 'kept', { id, note: `the cloud deletes it after ${retentionDays} days` });
}

/** With the file systems frozen for the moment of the cut, if asked; thawed whatever happens, by us or by the guest itself. */
async function cutWhileRunning(
  run: Run,
  scene: Scene,
  purpose: SnapshotPurpose,
  summary: Summary,
): Promise<{ snapshotId: string; frozen: string }> {
  const { input, instance, disk } = scene;
  const cut = async () => {
    const snapshotId = await create(run, scene, purpose, summary);
    await waits.awaitSnapshotCut.executeWithOptions(summary(`Wait until the moment of ${snapshotId} is cut`), [
      { regionId: input.regionId, snapshotId },
    ]);
    return snapshotId;
  };
  if (!input.freezeFileSystems) return { snapshotId: await cut(), frozen: '' };

  const guest = {
    run: run.id,
    regionId: input.regionId,
    instanceId: instance.id,
    originalSerial: disk.serial,
    seconds: FROZEN_AT_MOST,
  };
  const thaw = () =>
    CancellationScope.nonCancellable(() =>
      scripts.thawFileSystems.executeWithOptions(summary('Thaw the file systems'), [guest]),
    );
  try {
    await scripts.freezeFileSystems.executeWithOptions(summary('Freeze the file systems of the disk'), [guest]);
    const snapshotId = await cut();
    const { byDeadMan } = await thaw();
    return {
      snapshotId,
      frozen: byDeadMan
        ? `; its file systems had thawed by themselves after ${FROZEN_AT_MOST} s, so it is as after a power cut`
        : '; file systems frozen for its moment',
    };
  } catch (error) {
    if (isExpected(error)) await thaw().catch(() => undefined);
    throw error;
  }
}

const accomplished = (summary: Summary, { input }: Scene, snapshotId: string) =>
  waits.awaitSnapshotAccomplished.executeWithOptions(summary(`Wait until ${snapshotId} is accomplished`), [
    { regionId: input.regionId, snapshotId },
  ]);
