/** Steps 3 to 8 of the vendor's page: the recovery disk and the copy back. Part of a rollback, or a sync on its own. */
import { ApplicationFailure, CancellationScope, isCancellation } from '@temporalio/workflow';
import type { RecoveryDiskRef } from '../activities/recovery-disk.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import type { CopyReceipt, PlannedDisk, SyncSelection } from '../contract/rollback.ts';
import type { Guarded } from './decisions.ts';
import { failureText } from './failure-text.ts';
import { effects, effectsBeforeReset, scripts, transfers, waits } from './policies.ts';
import { isExpected, type Run, type Summary } from './run.ts';

export interface BringBackScene {
  readonly regionId: string;
  readonly instanceId: string;
  readonly original: PlannedDisk;
  readonly selection: SyncSelection;
}

export interface RecoveryDisk {
  readonly ref: RecoveryDiskRef;
  readonly serial: string;
  readonly sizeGiB: number;
}

/** How often a copy that lost its process is started again before the run gives it up; it goes on where it stopped. */
const COPY_STARTS = 5;

/** On the recovery disk's tag, for whoever finds it later. */
const NEEDED_AT_MOST_MS = 7 * 86_400_000;

const groupedNumber = (value: number) => String(value).replaceAll(/\B(?=(\d{3})+$)/g, ',');

export function refTo(run: Run, scene: BringBackScene, recoveryDiskId: string): RecoveryDiskRef {
  return {
    run: run.id,
    regionId: scene.regionId,
    instanceId: scene.instanceId,
    originalDiskId: scene.original.id,
    recoveryDiskId,
  };
}

/** Step 3. May run beside the reset: it only needs the finished snapshot. */
export function createRecoveryDisk(
  run: Run,
  scene: BringBackScene,
  source: { snapshotId: string; sizeGiB: number },
): Promise<RecoveryDisk> {
  return run.step(
    'createRecoveryDisk',
    async (summary) => {
      run.record('recovery-disk', 'intended');
      const { diskId } = await effectsBeforeReset.createRecoveryDisk.executeWithOptions(
        summary(`Create a disk from ${source.snapshotId}`),
        [
          {
            ...run.identity,
            regionId: scene.regionId,
            snapshotId: source.snapshotId,
            snapshotSizeGiB: source.sizeGiB,
            like: scene.original,
            expiresAt: new Date(run.startedAt + NEEDED_AT_MOST_MS).toISOString(),
          },
        ],
      );
      run.recoveryDiskId = diskId;
      run.record('recovery-disk', 'made', { id: diskId });
      const ref = refTo(run, scene, diskId);
      const available = await waits.awaitRecoveryDiskAvailable.executeWithOptions(
        summary(`Wait until ${diskId} is Available`),
        [ref],
      );
      return { ref, ...available };
    },
    ({ ref }) => ref.recoveryDiskId,
  );
}

/**
 * Steps 4 to 7. The caller releases the recovery disk afterwards, however this ends. `guarded` decides what a step that
 * fails for good means.
 */
export async function copyFromRecoveryDisk(
  run: Run,
  scene: BringBackScene,
  disk: RecoveryDisk,
  guarded: Guarded,
): Promise<CopyReceipt> {
  const { ref } = disk;
  const guest = { run: run.id, regionId: scene.regionId, instanceId: scene.instanceId };

  await guarded(
    'attachRecoveryDisk',
    () => attach(run, ref),
    async () => undefined,
  );
  const { fileSystems } = await guarded('connect', () => connect(run, scene, disk));
  const { mounts } = await guarded('mountRecoveryDisk', () =>
    run.step(
      'mountRecoveryDisk',
      (summary) =>
        scripts.mountRecoveryDisk.executeWithOptions(summary('Mount the recovery disk read-only'), [
          { ...guest, fileSystems },
        ]),
      (mounted) => mounted.mounts.map((m) => `${m.fsType} at ${m.recoveryMount}`).join(', '),
    ),
  );
  return guarded(
    'copyBack',
    () => copyAndVerify(run, scene, mounts),
    () => readReceipt(run, scene, (text) => ({ summary: text })),
  );
}

function attach(run: Run, ref: RecoveryDiskRef): Promise<void> {
  return run.step('attachRecoveryDisk', async (summary) => {
    await effects.attachRecoveryDisk.executeWithOptions(summary(`Attach ${ref.recoveryDiskId} to ${ref.instanceId}`), [
      ref,
    ]);
    await waits.awaitRecoveryDiskAttached.executeWithOptions(summary(`Wait until ${ref.recoveryDiskId} is attached`), [
      ref,
    ]);
  });
}

function connect(run: Run, scene: BringBackScene, disk: RecoveryDisk) {
  const guest = { run: run.id, regionId: scene.regionId, instanceId: scene.instanceId };
  return run.step(
    'connect',
    async (summary) => {
      await waits.awaitAgentOnline.executeWithOptions(summary('Wait for the Cloud Assistant agent'), [guest]);
      return scripts.findRecoveryDevice.executeWithOptions(summary('Find both disks in the guest by serial'), [
        {
          ...guest,
          originalSerial: scene.original.serial,
          originalSizeGiB: scene.original.sizeGiB,
          recoverySerial: disk.serial,
          recoverySizeGiB: disk.sizeGiB,
          paths: scene.selection.paths,
        },
      ]);
    },
    ({ originalDevice, recoveryDevice }) => `original ${originalDevice}, recovery ${recoveryDevice}`,
  );
}

type Mounts = Parameters<typeof scripts.startCopy>[0]['mounts'];

function copyAndVerify(run: Run, scene: BringBackScene, mounts: Mounts): Promise<CopyReceipt> {
  const guest = { run: run.id, regionId: scene.regionId, instanceId: scene.instanceId };
  return run.step(
    'copyBack',
    async (summary) => {
      await copyUntilDone(summary, guest, mounts, scene.selection.conflictPolicy);
      await scripts.startVerification.executeWithOptions(summary('Start comparing what was copied'), [guest]);
      return readReceipt(run, scene, summary);
    },
    (receipt) =>
      `${groupedNumber(receipt.filesCopied)} files, ${groupedNumber(receipt.bytesCopied)} bytes copied; all ${groupedNumber(receipt.filesSelected)} selected compared equal${receipt.filesKeptLive === 0 ? '' : ` or kept (${groupedNumber(receipt.filesKeptLive)})`}`,
  );
}

async function readReceipt(run: Run, scene: BringBackScene, summary: Summary): Promise<CopyReceipt> {
  const receipt = await transfers.awaitVerification.executeWithOptions(
    summary('Wait until every copied file is compared'),
    [{ run: run.id, regionId: scene.regionId, instanceId: scene.instanceId }],
  );
  run.receipt = receipt;
  if (!receipt.verified) {
    throw ApplicationFailure.nonRetryable(
      `what was copied differs from its source: ${receipt.mismatches.slice(0, 5).join(', ')}`,
      ACTIVITY_FAILURE.guest,
    );
  }
  return receipt;
}

async function copyUntilDone(
  summary: Summary,
  guest: { run: string; regionId: string; instanceId: string },
  mounts: Mounts,
  conflictPolicy: SyncSelection['conflictPolicy'],
): Promise<void> {
  for (let start = 1; ; start += 1) {
    await scripts.startCopy.executeWithOptions(summary(`Start the copy in the guest (${conflictPolicy})`), [
      { ...guest, mounts, conflictPolicy },
    ]);
    try {
      await transfers.awaitCopy.executeWithOptions(summary('Wait until the copy in the guest has ended'), [guest]);
      return;
    } catch (error) {
      const stopped = failureText(error).kind === ACTIVITY_FAILURE.guest;
      if (!stopped || start >= COPY_STARTS) throw error;
    }
  }
}

/**
 * Step 8: unmount, detach, delete. Never cancelled. What cannot be released is listed as left over, never hidden, and
 * nothing is detached while it is still mounted. `ask`: let somebody decide before it is left over.
 */
export async function releaseRecoveryDisk(run: Run, scene: BringBackScene, ask: boolean): Promise<void> {
  for (;;) {
    const problem = await CancellationScope.nonCancellable(() => tryToRelease(run, scene));
    if (problem === undefined) return;
    if (!ask || run.operator.cancelled || !(await shouldTryAgain(run, problem))) {
      const id = run.recoveryDiskId ?? '';
      run.record('recovery-disk', 'left-over', { note: problem });
      run.leaveOver(`recovery disk ${id}: ${problem}`);
      return;
    }
  }
}

async function shouldTryAgain(run: Run, problem: string): Promise<boolean> {
  try {
    return (await run.operator.decide('releaseRecoveryDisk', problem, ['retry', 'abort'])) === 'retry';
  } catch (error) {
    if (isCancellation(error)) return false;
    throw error;
  }
}

/** What stands in the way, in one sentence; undefined when nothing is left. */
async function tryToRelease(run: Run, scene: BringBackScene): Promise<string | undefined> {
  const intended = run.made('recovery-disk');
  if (intended === undefined || intended.state === 'released') return undefined;
  try {
    if (run.recoveryDiskId === undefined) {
      // A creation whose reply was lost for good may still have made a disk: it carries our tag.
      const found = await effects.findRecoveryDisk.executeWithOptions({ summary: 'Look for a recovery disk by tag' }, [
        { ...run.identity, regionId: scene.regionId },
      ]);
      if (found === null) {
        run.record('recovery-disk', 'not-made');
        return undefined;
      }
      run.recoveryDiskId = found.diskId;
      run.record('recovery-disk', 'made', { id: found.diskId });
    }
    const diskId = run.recoveryDiskId;
    const ref = refTo(run, scene, diskId);
    await run.step('releaseRecoveryDisk', async (summary) => {
      if (run.hasBegun('mountRecoveryDisk')) {
        await scripts.unmountRecoveryDisk.executeWithOptions(summary('Unmount the recovery disk'), [
          { run: run.id, regionId: scene.regionId, instanceId: scene.instanceId },
        ]);
      }
      if (run.hasBegun('attachRecoveryDisk')) {
        await effects.detachRecoveryDisk.executeWithOptions(summary(`Detach ${diskId}`), [ref]);
        await waits.awaitRecoveryDiskDetached.executeWithOptions(summary(`Wait until ${diskId} is detached`), [ref]);
      }
      await effects.deleteRecoveryDisk.executeWithOptions(summary(`Delete ${diskId}`), [ref]);
      await waits.awaitRecoveryDiskGone.executeWithOptions(summary(`Wait until ${diskId} is gone`), [ref]);
    });
    run.record('recovery-disk', 'released', { id: diskId });
    return undefined;
  } catch (error) {
    if (!isExpected(error)) throw error;
    return failureText(error).message;
  }
}
