/**
 * The rollback: stop, take B, pass the gate, reset to A, start, and bring the good newer data back. Everything before the
 * reset can be put back; from the reset on the only way is forward.
 */
import { CancellationScope, CancelledFailure, isCancellation } from '@temporalio/workflow';
import { FAILURE, ACTIVITY_FAILURE } from '../contract/messages.ts';
import {
  type PlannedDisk,
  type PlannedInstance,
  type RollbackInput,
  type RollbackRequest,
  type RollbackResult,
  type RollbackPlan,
  rollbackInputSchema,
} from '../contract/rollback.ts';
import { blockersOf } from '../domain/plan.ts';
import { startsAfterReset } from '../domain/steps.ts';
import {
  type BringBackScene,
  copyFromRecoveryDisk,
  createRecoveryDisk,
  type RecoveryDisk,
  releaseRecoveryDisk,
} from './bring-back.ts';
import { failureText } from './failure-text.ts';
import { parseInput } from './input.ts';
import { effects, effectsBeforeReset, reads, scripts, stopWait, waits } from './policies.ts';
import { isExpected, Run, type Summary } from './run.ts';

interface Scene {
  readonly input: RollbackInput;
  readonly disk: PlannedDisk;
  readonly instance: PlannedInstance;
  readonly startAfterwards: boolean;
}

export async function rollbackDisk(request: RollbackRequest): Promise<RollbackResult> {
  const input = parseInput(rollbackInputSchema, request);
  const run = new Run('rollback', input);

  const plan = await run.checkPlan((summary) =>
    reads.planRollback.executeWithOptions(summary('Read everything, change nothing'), [input]),
  );
  if (input.dryRun) return run.end('planned', plannedSummary(plan));
  const { disk, instance } = plan;
  if (blockersOf(plan).length > 0 || disk === undefined || instance === undefined) throw run.refused(plan);
  const scene: Scene = {
    input,
    disk,
    instance,
    startAfterwards: startsAfterReset(input.powerAfter, instance.wasRunning),
  };

  try {
    if (instance.wasRunning) await stopInstance(run, scene);
    await takeSafetySnapshot(run, scene);
    await passGate(run, scene);
  } catch (error) {
    throw await endBeforeReset(run, scene, error);
  }

  // The point of no return. A cancel from here on ends only the bringing back.
  const bringBack: BringBackScene | undefined =
    input.sync === undefined
      ? undefined
      : { regionId: input.regionId, instanceId: instance.id, original: disk, selection: input.sync };
  const recovery = bringBack === undefined ? undefined : settled(createBesideTheReset(run, bringBack));
  try {
    await CancellationScope.nonCancellable(() => resetDisk(run, scene));
  } catch (error) {
    if (bringBack !== undefined) {
      await recovery;
      await releaseRecoveryDisk(run, bringBack);
    }
    throw await endBeforeReset(run, scene, error);
  }
  try {
    if (scene.startAfterwards) await CancellationScope.nonCancellable(() => startInstance(run, scene));
  } catch (error) {
    if (!isExpected(error)) throw error;
    if (bringBack !== undefined) {
      await recovery;
      await releaseRecoveryDisk(run, bringBack);
    }
    throw run.failed(
      FAILURE.failedAfterReset,
      `The disk is at snapshot A, but ${instance.id} did not start: ${failureText(error).message}. ${keptB(run)}`,
      'failed',
      error,
    );
  }
  if (bringBack === undefined || recovery === undefined) {
    return run.end('completed', `${disk.id} is back at snapshot A (${input.snapshotId}). ${keptB(run)}`);
  }
  return bringDataBack(run, scene, bringBack, recovery);
}

async function stopInstance(run: Run, { input, instance }: Scene): Promise<void> {
  const ref = { regionId: input.regionId, instanceId: instance.id };
  await run.step('stopInstance', async (summary) => {
    // Before the call: a reply that is lost must not hide that the instance is to be started again.
    run.stoppedByUs = true;
    await effectsBeforeReset.stopInstance.executeWithOptions(
      summary(`Stop ${instance.id}, keep its capacity (KeepCharging)`),
      [{ ...ref, force: false }],
    );
    const wait = summary(`Wait until ${instance.id} is Stopped`);
    try {
      await stopWait.awaitInstanceStopped.executeWithOptions(wait, [ref]);
    } catch (error) {
      if (!input.forceStop || !isExpected(error) || isCancellation(error)) throw error;
      await effectsBeforeReset.stopInstance.executeWithOptions(
        summary(`Force ${instance.id} off: it did not go down by itself`),
        [{ ...ref, force: true }],
      );
      await stopWait.awaitInstanceStopped.executeWithOptions(wait, [ref]);
    }
  });
}

/** Step 1. After the stop, so that nothing is written between B and the reset. */
async function takeSafetySnapshot(run: Run, { input, disk }: Scene): Promise<void> {
  await run.step(
    'takeSafetySnapshot',
    async (summary) => {
      const { snapshotId } = await effectsBeforeReset.createSafetySnapshot.executeWithOptions(
        summary(`Create snapshot B of ${disk.id}`),
        [
          {
            ...run.identity,
            regionId: input.regionId,
            diskId: disk.id,
            targetSnapshotId: input.snapshotId,
            retentionDays: input.safetySnapshotRetentionDays,
          },
        ],
      );
      run.safetySnapshotId = snapshotId;
      run.record({
        kind: 'snapshot',
        id: snapshotId,
        purpose: 'safety-snapshot',
        state: 'kept',
        note: `the cloud deletes it after ${input.safetySnapshotRetentionDays} days`,
      });
      const finished = await waits.awaitSnapshotAccomplished.executeWithOptions(
        summary(`Wait until snapshot B (${snapshotId}) is accomplished`),
        [{ regionId: input.regionId, snapshotId }],
      );
      run.safetySnapshotSizeGiB = finished.sizeGiB;
      return snapshotId;
    },
    (snapshotId) => snapshotId,
  );
}

const resetInput = (run: Run, { input, disk, instance }: Scene) => ({
  run: run.id,
  regionId: input.regionId,
  diskId: disk.id,
  instanceId: instance.id,
  targetSnapshotId: input.snapshotId,
  safetySnapshotId: run.safetySnapshotId ?? '',
});

async function passGate(run: Run, scene: Scene): Promise<void> {
  run.gate = await run.step(
    'gate',
    (summary) =>
      effectsBeforeReset.checkGate.executeWithOptions(summary('Re-read everything the reset depends on'), [
        resetInput(run, scene),
      ]),
    (evidence) => `instance ${evidence.instanceStatus}, B finished, no snapshot in progress`,
  );
}

/** Step 2. */
async function resetDisk(run: Run, scene: Scene): Promise<void> {
  await run.step(
    'resetDisk',
    async (summary) => {
      run.resetHappened = 'maybe';
      run.enter('resetting', `Resetting ${scene.disk.id} to snapshot A`);
      try {
        await effects.resetDisk.executeWithOptions(
          summary(`POINT OF NO RETURN: reset ${scene.disk.id} to ${scene.input.snapshotId}`),
          [resetInput(run, scene)],
        );
      } catch (error) {
        if (failureText(error).kind === ACTIVITY_FAILURE.resetRefused) run.resetHappened = 'no';
        throw error;
      }
      await waits.awaitResetEnded.executeWithOptions(summary('Wait until the reset has ended'), [
        resetInput(run, scene),
      ]);
      run.resetHappened = 'yes';
    },
    () => `${scene.disk.id} is at ${scene.input.snapshotId}`,
  );
}

async function startInstance(run: Run, { input, instance }: Scene): Promise<void> {
  const ref = { regionId: input.regionId, instanceId: instance.id };
  await run.step('startInstance', async (summary) => {
    await startAndAwaitRunning(summary, ref);
    // The recovery disk carries the same file system ids as the original: it must not appear before the guest has booted.
    if (input.sync !== undefined) {
      await waits.awaitAgentOnline.executeWithOptions(summary('Wait for the Cloud Assistant agent'), [ref]);
      await scripts.awaitGuestReady.executeWithOptions(summary('Wait until the guest has booted'), [ref]);
    }
  });
}

async function startAndAwaitRunning(summary: Summary, ref: { regionId: string; instanceId: string }): Promise<void> {
  await effects.startInstance.executeWithOptions(summary(`Start ${ref.instanceId}`), [ref]);
  await waits.awaitInstanceRunning.executeWithOptions(summary(`Wait until ${ref.instanceId} is Running`), [ref]);
}

/** Beside reset and start, for time: it needs only B. */
function createBesideTheReset(run: Run, scene: BringBackScene): Promise<RecoveryDisk> {
  return CancellationScope.nonCancellable(() =>
    createRecoveryDisk(run, scene, {
      snapshotId: run.safetySnapshotId ?? '',
      sizeGiB: run.safetySnapshotSizeGiB,
    }),
  );
}

type Settled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

const settled = <T>(promise: Promise<T>): Promise<Settled<T>> =>
  promise.then(
    (value): Settled<T> => ({ ok: true, value }),
    (error: unknown): Settled<T> => ({ ok: false, error }),
  );

/** Steps 4 to 8. Whatever goes wrong here, the disk stays at A, B is kept, and the recovery disk is released. */
async function bringDataBack(
  run: Run,
  { input, disk }: Scene,
  scene: BringBackScene,
  recovery: Promise<Settled<RecoveryDisk>>,
): Promise<RollbackResult> {
  let problem: unknown;
  try {
    const made = await recovery;
    if (!made.ok) throw made.error;
    if (CancellationScope.current().consideredCancelled) throw new CancelledFailure('cancelled during the reset');
    await copyFromRecoveryDisk(run, scene, made.value);
  } catch (error) {
    if (!isExpected(error)) throw error;
    problem = error;
  }
  await releaseRecoveryDisk(run, scene);
  if (problem !== undefined && isCancellation(problem)) {
    run.cancelled(`Cancelled: ${disk.id} stays at snapshot A with what had been copied. ${keptB(run)}`);
    throw problem;
  }
  if (problem !== undefined) {
    return run.end(
      'rolled-back-not-synced',
      `${disk.id} is at snapshot A, but the data was not brought back: ${failureText(problem).message}. ${keptB(run)}`,
    );
  }
  const brought = `${disk.id} is back at snapshot A (${input.snapshotId}) and ${scene.selection.paths.join(', ')} brought back and verified. ${keptB(run)}`;
  return run.leftovers.length === 0
    ? run.end('completed', brought)
    : run.end('completed-with-leftovers', `${brought} Left over: ${run.leftovers.join('; ')}`);
}

const keptB = (run: Run): string =>
  run.safetySnapshotId === undefined ? '' : `Snapshot B (${run.safetySnapshotId}) is kept.`;

function plannedSummary(plan: RollbackPlan): string {
  const blockers = blockersOf(plan);
  return blockers.length === 0
    ? `Nothing stands in the way of resetting ${plan.diskId} to ${plan.snapshotId}.`
    : `${blockers.length} blocker${blockers.length === 1 ? '' : 's'}: ${blockers.map((finding) => finding.fact).join('; ')}`;
}

/** Puts back what was changed before the reset and returns what the run is to end with. */
async function endBeforeReset(run: Run, scene: Scene, error: unknown): Promise<unknown> {
  if (!isExpected(error)) return error;
  if (run.resetHappened !== 'no') {
    return run.failed(
      FAILURE.failedAfterReset,
      `Whether ${scene.disk.id} was reset is not known: ${failureText(error).message}. ${scene.instance.id} is left as it is for you to look. ${keptB(run)}`,
      'failed',
      error,
    );
  }
  run.enter('undoing', 'Putting things back');
  await CancellationScope.nonCancellable(() => putBack(run, scene));
  const after = `${scene.disk.id} is as it was${run.leftovers.length === 0 ? '' : `; ${run.leftovers.join('; ')}`}. ${keptB(run)}`;
  if (isCancellation(error)) {
    run.cancelled(`Cancelled before the reset: ${after}`);
    return error;
  }
  return run.failed(
    FAILURE.failedBeforeReset,
    `Stopped before the reset: ${failureText(error).message}. ${after}`,
    'failed',
    error,
  );
}

async function putBack(run: Run, { input, instance }: Scene): Promise<void> {
  try {
    if (run.safetySnapshotId === undefined && run.hasBegun('takeSafetySnapshot')) {
      // A lost reply may hide that B was made after all: it carries our tag.
      const made = await effectsBeforeReset.findSafetySnapshot.executeWithOptions(
        { summary: 'Look for snapshot B by tag' },
        [{ ...run.identity, regionId: input.regionId }],
      );
      if (made !== null) {
        run.safetySnapshotId = made.snapshotId;
        run.record({ kind: 'snapshot', id: made.snapshotId, purpose: 'safety-snapshot', state: 'kept' });
      }
    }
    if (run.stoppedByUs) {
      await startAndAwaitRunning((text) => ({ summary: `Putting back: ${text}` }), {
        regionId: input.regionId,
        instanceId: instance.id,
      });
    }
  } catch (error) {
    if (!isExpected(error)) throw error;
    run.leaveOver(`${instance.id} could not be put back to how it was found: ${failureText(error).message}`);
  }
}
