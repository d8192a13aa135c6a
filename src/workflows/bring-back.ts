/** Steps 3 to 8 of the vendor's page: the recovery disk and the copy back. Part of a rollback, or a sync on its own. */
import { ApplicationFailure, CancellationScope, isCancellation } from '@temporalio/workflow';
import type { RecoveryDiskRef } from '../activities/recovery-disk.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import type { Deletions } from '../contract/operator.ts';
import type { CopyReceipt, PlannedDisk, SyncSelection } from '../contract/rollback.ts';
import { chosenMounts } from '../domain/chosen-mounts.ts';
import type { Guarded } from './decisions.ts';
import { failureText, guestCode } from './failure-text.ts';
import { runHook } from './hooks.ts';
import { effects, effectsBeforeReset, scripts, transfers, waits } from './policies.ts';
import { isExpected, type Run, type Summary } from './run.ts';
import { awaitSelection } from './selection.ts';
import { sendUntilSeen } from './send-until-seen.ts';

export interface BringBackScene {
  readonly regionId: string;
  readonly instanceId: string;
  readonly original: PlannedDisk;
  readonly selection: SyncSelection;
  /** The boot of the guest before the recovery disk was attached, when it is known. */
  readonly bootId?: string;
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
      run.recoverySerial = available.serial;
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
  let boot = scene.bootId;
  let rebooted = false;
  let fileSystems: FileSystems = [];
  let mounts: Mounts = [];
  let disksBefore: readonly string[] | undefined;

  const find = async () => {
    // Kernel names hold for one boot: after another one disks without a serial cannot be told apart any more.
    if (rebooted) disksBefore = undefined;
    const found = await connect(run, scene, disk, rebooted ? undefined : boot, disksBefore);
    boot = found.bootId;
    rebooted = false;
    fileSystems = found.fileSystems;
  };
  const mount = async () => {
    mounts = (await mountReadOnly(run, inBoot(run, scene, boot), fileSystems)).mounts;
  };
  /** While the copy is attached, a reboot may put it in the original's place: the step fails, and its next try looks anew. */
  const mindful =
    <T>(body: () => Promise<T>) =>
    async () => {
      try {
        return await body();
      } catch (error) {
        const code = guestCode(error);
        if (code === 'GuestRebooted') rebooted = true;
        if (code === 'GuestRebooted' || code === 'OriginalDisplaced') run.recoveryDiskMayBeInUse = true;
        throw error;
      }
    };

  await guarded(
    'attachRecoveryDisk',
    async () => {
      if (scene.original.serial === '' && scene.selection.withoutSerial === 'compare' && disksBefore === undefined) {
        const { bootId, disks } = await scripts.listDisks.executeWithOptions(
          { summary: 'See which disks the guest has before the attach' },
          [inBoot(run, scene, boot)],
        );
        boot = bootId;
        disksBefore = disks;
      }
      await attach(run, ref);
    },
    async () => undefined,
  );
  await guarded('connect', mindful(find));
  await guarded(
    'mountRecoveryDisk',
    mindful(async () => {
      if (rebooted) await find();
      await mount();
    }),
  );
  const { choose } = scene.selection;
  const selection =
    choose === true ? await awaitSelection(run, inBoot(run, scene, boot), scene.selection, mounts) : scene.selection;
  return guarded(
    'copyBack',
    mindful(async () => {
      if (rebooted) {
        await find();
        await mount();
      }
      const wanted = choose === true ? chosenMounts(mounts, selection.paths) : mounts;
      return copyAndVerify(run, inBoot(run, scene, boot), selection, wanted);
    }),
    () => readReceipt(run, inBoot(run, scene, boot), (text) => ({ summary: text })),
  );
}

type GuestStep = Parameters<typeof scripts.mountRecoveryDisk>[0];
export type InBoot = Omit<GuestStep, 'fileSystems'>;
type FileSystems = GuestStep['fileSystems'];
export type Mounts = Parameters<typeof scripts.startCopy>[0]['mounts'];

const inBoot = (run: Run, scene: BringBackScene, bootId: string | undefined): InBoot => ({
  run: run.id,
  regionId: scene.regionId,
  instanceId: scene.instanceId,
  ...(bootId === undefined ? {} : { bootId }),
});

function attach(run: Run, ref: RecoveryDiskRef): Promise<void> {
  return run.step('attachRecoveryDisk', async (summary) => {
    const { recoveryDiskId: id, instanceId } = ref;
    await sendUntilSeen(
      () => effects.attachRecoveryDisk.executeWithOptions(summary(`Attach ${id} to ${instanceId}`), [ref]),
      () => waits.awaitRecoveryDiskAttached.executeWithOptions(summary(`Wait until ${id} is attached`), [ref]),
    );
  });
}

function connect(
  run: Run,
  scene: BringBackScene,
  disk: RecoveryDisk,
  bootId: string | undefined,
  disksBefore: readonly string[] | undefined,
) {
  const guest = inBoot(run, scene, bootId);
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
          ...(disksBefore === undefined ? {} : { disksBefore }),
          paths: scene.selection.paths,
        },
      ]);
    },
    ({ originalDevice, recoveryDevice }) => `original ${originalDevice}, recovery ${recoveryDevice}`,
  );
}

function mountReadOnly(run: Run, guest: InBoot, fileSystems: FileSystems) {
  return run.step(
    'mountRecoveryDisk',
    (summary) =>
      scripts.mountRecoveryDisk.executeWithOptions(summary('Mount the recovery disk read-only'), [
        { ...guest, fileSystems },
      ]),
    (mounted) => mounted.mounts.map((m) => `${m.fsType} at ${m.recoveryMount}`).join(', '),
  );
}

function copyAndVerify(run: Run, guest: InBoot, selection: SyncSelection, mounts: Mounts): Promise<CopyReceipt> {
  return run.step(
    'copyBack',
    async (summary) => {
      const { filesFrom, ...rest } = selection;
      const list = filesFrom === undefined ? {} : await sendList(guest, summary, filesFrom);
      const shown = await showDeletions(run, summary, guest, mounts, { ...rest, ...list });
      const receipt = await betweenHooks(run, guest, summary, async () => {
        await copyUntilDone(run, summary, guest, mounts, shown);
        await scripts.startVerification.executeWithOptions(summary('Start comparing what was copied'), [guest]);
        return readReceipt(run, guest, summary);
      });
      await runHook(run, 'healthCheck', 'copyBack', guest, summary);
      return receipt;
    },
    (receipt) =>
      `${groupedNumber(receipt.filesCopied)} files, ${groupedNumber(receipt.bytesCopied)} bytes copied; all ${groupedNumber(receipt.filesSelected)} selected compared equal${receipt.filesKeptLive === 0 ? '' : ` or kept (${groupedNumber(receipt.filesKeptLive)})`}${whatIsMissing(receipt)}`,
  );
}

const others = (count: number) => (count === 0 ? '' : ` and ${count} more`);

function whatIsMissing({ notBroughtBack: missing }: CopyReceipt): string {
  if (missing === undefined) return '';
  const { entries, bytes, notCompared = [] } = missing;
  const left =
    entries === 0 ? '' : `; ${groupedNumber(entries)} paths, ${groupedNumber(bytes)} bytes of B not brought back`;
  return notCompared.length === 0 ? left : `${left}; not compared: ${notCompared[0]}${others(notCompared.length - 1)}`;
}

/** What `beforeCopy` has stopped is started again, however the copy ends. */
async function betweenHooks<T>(run: Run, guest: InBoot, summary: Summary, copy: () => Promise<T>): Promise<T> {
  const after = (mayAsk: boolean) => runHook(run, 'afterCopy', 'copyBack', guest, summary, mayAsk);
  let copied: T;
  try {
    await runHook(run, 'beforeCopy', 'copyBack', guest, summary);
    copied = await copy();
  } catch (error) {
    if (!isExpected(error)) throw error;
    try {
      await CancellationScope.nonCancellable(() => after(false));
    } catch (failed) {
      if (!isExpected(failed)) throw failed;
      run.leaveOver(failureText(failed).message);
    }
    throw error;
  }
  await after(true);
  return copied;
}

async function readReceipt(run: Run, guest: InBoot, summary: Summary): Promise<CopyReceipt> {
  const receipt = await transfers.awaitVerification.executeWithOptions(
    summary('Wait until every copied file is compared'),
    [guest],
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

async function sendList(guest: InBoot, summary: Summary, { gzip, entries }: NonNullable<SyncSelection['filesFrom']>) {
  const { sha256 } = await scripts.sendList.executeWithOptions(
    summary(`Send the list of ${groupedNumber(entries)} paths`),
    [{ ...guest, gzip }],
  );
  return { list: sha256 };
}

/** What of the selection concerns the guest. */
type Wanted = Pick<
  CopyStart,
  'conflictPolicy' | 'include' | 'exclude' | 'sinceA' | 'list' | 'delete' | 'deletions' | 'into' | 'again'
>;

/**
 * With `delete`: the copy is planned before anything is stopped for it, and somebody sees what it would delete. Answers what
 * may be deleted, and that the plan is made anew when a hook has stopped something meanwhile.
 */
async function showDeletions(
  run: Run,
  summary: Summary,
  guest: InBoot,
  mounts: Mounts,
  selection: Omit<SyncSelection, 'filesFrom'> & { list?: string },
): Promise<Wanted> {
  const { paths: _, choose: __, withoutSerial: ___, deleteUnseen, ...wanted } = selection;
  if (wanted.delete !== true) return wanted;
  if (deleteUnseen === true) return { ...wanted, deletions: 'all' };
  await startCopy(run, summary('Plan the copy, to see what it would delete'), guest, mounts, {
    ...wanted,
    planOnly: true,
  });
  const { deletions } = await transfers.awaitCopy.executeWithOptions(summary('Wait for the plan of the copy'), [guest]);
  const decided = await mayDelete(run, wanted, deletions);
  return run.input.hooks?.beforeCopy === undefined ? decided : { ...decided, again: true };
}

/** Asks once about the same deletions, however often the copy is started. */
async function mayDelete(run: Run, wanted: Wanted, deletions: Deletions | undefined): Promise<Wanted> {
  if (deletions === undefined) return wanted;
  const { entries, bytes, digest } = deletions;
  if (entries > 0 && run.deletionsSeen !== digest) {
    const problem = `${groupedNumber(entries)} paths, ${groupedNumber(bytes)} bytes were deleted from A to B and would be deleted live`;
    const answer = await run.operator.decide('copyBack', problem, ['delete', 'keep'], { deletions });
    if (answer !== 'delete') return { ...wanted, delete: false };
    run.deletionsSeen = digest;
  }
  return { ...wanted, deletions: digest };
}

type CopyStart = Parameters<typeof scripts.startCopy>[0];

const startCopy = (
  run: Run,
  options: ReturnType<Summary>,
  guest: InBoot,
  mounts: Mounts,
  wanted: Partial<CopyStart> & Wanted,
) =>
  scripts.startCopy.executeWithOptions(options, [
    { ...guest, mounts, ...wanted, ...(run.base === undefined ? {} : { base: run.base }) },
  ]);

async function copyUntilDone(
  run: Run,
  summary: Summary,
  guest: InBoot,
  mounts: Mounts,
  selection: Wanted,
): Promise<void> {
  let wanted = selection;
  for (let start = 1; ; start += 1) {
    const started = await startCopy(
      run,
      summary(`Start the copy in the guest (${wanted.conflictPolicy})`),
      guest,
      mounts,
      wanted,
    );
    run.sawOpenFiles(started.openFiles);
    try {
      const copy = await transfers.awaitCopy.executeWithOptions(summary('Wait until the copy in the guest has ended'), [
        guest,
      ]);
      run.sawOpenFiles(copy.openFiles);
      if (copy.state !== 'held') return;
      // Planned anew since, and something else would go.
      wanted = await mayDelete(run, wanted, copy.deletions);
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
      const wasInUse = run.hasBegun('mountRecoveryDisk') || run.recoveryDiskMayBeInUse;
      if (wasInUse) {
        const serial = run.recoverySerial === undefined ? {} : { recoverySerial: run.recoverySerial };
        await scripts.unmountRecoveryDisk.executeWithOptions(summary('Unmount the recovery disk'), [
          { ...inBoot(run, scene, undefined), ...serial },
        ]);
      }
      if (run.hasBegun('attachRecoveryDisk')) {
        await sendUntilSeen(
          () => effects.detachRecoveryDisk.executeWithOptions(summary(`Detach ${diskId}`), [ref]),
          () => waits.awaitRecoveryDiskDetached.executeWithOptions(summary(`Wait until ${diskId} is detached`), [ref]),
        );
      }
      if (wasInUse) {
        // A guest that rebooted since the unmount may have written to the recovery disk: then it is not ours to delete.
        await scripts.confirmOriginalInPlace.executeWithOptions(summary('See that the original is in its place'), [
          { ...inBoot(run, scene, undefined), originalSerial: scene.original.serial },
        ]);
      }
      await sendUntilSeen(
        () => effects.deleteRecoveryDisk.executeWithOptions(summary(`Delete ${diskId}`), [ref]),
        () => waits.awaitRecoveryDiskGone.executeWithOptions(summary(`Wait until ${diskId} is gone`), [ref]),
      );
    });
    run.record('recovery-disk', 'released', { id: diskId });
    return undefined;
  } catch (error) {
    if (!isExpected(error)) throw error;
    return failureText(error).message;
  }
}
