/**
 * The rollback: stop, take B, pass the gate, reset to A, start, and bring the good newer data back. Everything before the
 * reset can be put back; from the reset on the way is forward, or an undo onto B.
 */
import { ApplicationFailure, CancellationScope, CancelledFailure, isCancellation } from '@temporalio/workflow';
import { FAILURE, ACTIVITY_FAILURE } from '../contract/messages.ts';
import {
  type RollbackPlan,
  type RollbackRequest,
  type RollbackResult,
  rollbackInputSchema,
} from '../contract/rollback.ts';
import { blockersOf } from '../domain/plan/index.ts';
import { modeOf, startsAfterReset } from '../domain/steps.ts';
import {
  type BringBackScene,
  copyFromRecoveryDisk,
  createRecoveryDisk,
  type RecoveryDisk,
  releaseRecoveryDisk,
} from './bring-back.ts';
import { getClearance } from './clearance.ts';
import { type Guarded, guardedBy, UndoRequested } from './decisions.ts';
import { failureText } from './failure-text.ts';
import { growFileSystems, restoreDiskSize } from './grow.ts';
import { runHook } from './hooks.ts';
import { parseInput } from './input.ts';
import { effects, effectsBeforeReset, reads, scripts, starts, stopWait, waits } from './policies.ts';
import { isExpected, Run, type Summary } from './run.ts';
import { keptB, type Scene } from './scene.ts';
import { findSnapshotsMade, releaseWarmUpSnapshot, takeSafetySnapshot, takeWarmUpSnapshot } from './safety-snapshot.ts';
import { sendUntilSeen } from './send-until-seen.ts';
import { undo } from './undo.ts';

export async function rollbackDisk(request: RollbackRequest): Promise<RollbackResult> {
  const input = parseInput(rollbackInputSchema, request);
  const run = new Run('rollback', input);

  const look = () =>
    run.checkPlan((summary) =>
      reads.planRollback.executeWithOptions(summary('Read everything, change nothing'), [input]),
    );
  const plan = await look();
  if (input.dryRun) return run.end('planned', plannedSummary(plan));
  const { disk, instance, lease } = await getClearance(run, input, plan, look);
  try {
    return await rollBack(run, {
      input,
      disk,
      instance,
      startAfterwards: startsAfterReset(input.powerAfter, instance.wasRunning),
      lease,
    });
  } finally {
    await lease.release();
  }
}

async function rollBack(run: Run, scene: Scene): Promise<RollbackResult> {
  const { input, disk, instance } = scene;
  try {
    const mode = modeOf(input, instance.wasRunning);
    if (mode === 'warm') await takeWarmUpSnapshot(run, scene);
    if (mode === 'hot') await takeSafetySnapshot(run, scene, mode);
    if (instance.wasRunning) await stopInstance(run, scene);
    if (mode !== 'hot') await takeSafetySnapshot(run, scene, mode);
    await passGate(run, scene);
    if (run.operator.cancelled) throw new CancelledFailure('cancelled at the gate');
  } catch (error) {
    throw await endBeforeReset(run, scene, error);
  }

  // The point of no return. A cancel from here on ends only the bringing back.
  const guarded = guardedBy(run, input.onFailureAfterReset, {
    regionId: input.regionId,
    instanceId: instance.id,
    originalDiskId: disk.id,
  });
  const bringBack: BringBackScene | undefined =
    input.sync === undefined
      ? undefined
      : { regionId: input.regionId, instanceId: instance.id, original: disk, selection: input.sync };
  const recovery = bringBack === undefined ? undefined : settled(createBesideTheReset(run, bringBack));
  const release = async () => {
    await recovery;
    if (bringBack !== undefined) await releaseRecoveryDisk(run, bringBack, input.onFailureAfterReset === 'ask');
    await releaseWarmUpSnapshot(run, scene);
  };

  try {
    try {
      await resetDisk(run, scene, guarded);
    } catch (error) {
      if (error instanceof UndoRequested) throw error;
      await release();
      throw await endBeforeReset(run, scene, error);
    }
    let bootId: string | undefined;
    try {
      await restoreDiskSize(run, scene, guarded);
      if (scene.startAfterwards) bootId = await startInstance(run, scene, guarded);
      await growFileSystems(run, scene);
    } catch (error) {
      if (!isExpected(error)) throw error;
      await release();
      throw endUnstarted(run, scene, error);
    }
    if (bringBack === undefined || recovery === undefined) {
      await release();
      return endWell(run, `${disk.id} is back at snapshot A (${input.snapshotId}). ${keptB(run)}`);
    }
    const bootedScene = { ...bringBack, ...(bootId === undefined ? {} : { bootId }) };
    return await bringDataBack(run, scene, bootedScene, recovery, guarded, release);
  } catch (error) {
    if (!(error instanceof UndoRequested)) throw error;
    await release();
    return undo(run, scene, error.problem);
  }
}

async function stopInstance(run: Run, { input, instance }: Scene): Promise<void> {
  const ref = { regionId: input.regionId, instanceId: instance.id };
  await run.step('stopInstance', async (summary) => {
    await runHook(run, 'beforeStop', 'stopInstance', ref, summary);
    // Before the call: a reply that is lost must not hide that the instance is to be started again.
    run.stoppedByUs = true;
    const stop = (force: boolean) =>
      effectsBeforeReset.stopInstance.executeWithOptions(
        summary(
          force
            ? `Force ${instance.id} off: it did not go down by itself`
            : `Stop ${instance.id}, keep its capacity (KeepCharging)`,
        ),
        [{ ...ref, force }],
      );
    for (let force = false, forced = false; ; ) {
      await stop(force);
      try {
        await stopWait.awaitInstanceStopped.executeWithOptions(summary(`Wait until ${instance.id} is Stopped`), [ref]);
        return;
      } catch (error) {
        // Only that it takes too long is somebody's to decide; anything else puts things back.
        if (!isExpected(error) || isCancellation(error) || failureText(error).kind !== 'Timeout') throw error;
        if (input.forceStop && !forced) {
          forced = force = true;
          continue;
        }
        if (input.onFailureAfterReset !== 'ask') throw error;
        const problem = `${instance.id} did not stop within 15 minutes${forced ? ', not even by force' : ''}`;
        const decision = await run.operator.decide('stopInstance', problem, ['retry', 'force', 'abort']);
        if (decision === 'abort') throw error;
        force = decision === 'force';
        forced ||= force;
      }
    }
  });
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
    async (summary) => {
      const evidence = await effectsBeforeReset.checkGate.executeWithOptions(
        summary('Re-read everything the reset depends on'),
        [resetInput(run, scene)],
      );
      if (!scene.lease.isHeld()) {
        throw ApplicationFailure.nonRetryable(
          `the gate before ResetDisk is closed: the lease on ${scene.instance.id} was ended from outside`,
          ACTIVITY_FAILURE.gateClosed,
        );
      }
      return evidence;
    },
    (evidence) => `instance ${evidence.instanceStatus}, B finished, no snapshot in progress`,
  );
}

/** Step 2. Sent once; what fails after it was sent is looked into, and asked about, before it is sent again. */
async function resetDisk(run: Run, scene: Scene, guarded: Guarded): Promise<void> {
  const { input, disk } = scene;
  const send = () =>
    run.step(
      'resetDisk',
      async (summary) => {
        const sentBefore = run.resetHappened === 'maybe';
        run.resetHappened = 'maybe';
        run.enter('resetting', `Resetting ${disk.id} to snapshot A`);
        try {
          await effects.resetDisk.executeWithOptions(
            summary(`POINT OF NO RETURN: reset ${disk.id} to ${input.snapshotId}`),
            [{ ...resetInput(run, scene), sentBefore }],
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
      () => `${disk.id} is at ${input.snapshotId}`,
    );
  const first = await settled(CancellationScope.nonCancellable(send));
  if (first.ok) return;
  // Refused before anything was done: the disk is untouched, and things are put back.
  if (run.resetHappened === 'no') throw first.error;
  await guarded(
    'resetDisk',
    firstThen(first, () => CancellationScope.nonCancellable(send)),
  );
}

/** Answers which boot of the guest it is, when something asks the guest. */
async function startInstance(run: Run, { input, instance }: Scene, guarded: Guarded): Promise<string | undefined> {
  const ref = { regionId: input.regionId, instanceId: instance.id };
  // The recovery disk carries the same file system ids as the original: it must not appear before the guest has booted.
  const awaitBooted = async (summary: Summary) => {
    const { hooks } = input;
    if (input.sync === undefined && hooks?.afterStart === undefined && hooks?.healthCheck === undefined)
      return undefined;
    await waits.awaitAgentOnline.executeWithOptions(summary('Wait for the Cloud Assistant agent'), [ref]);
    run.base = await scripts.awaitGuestReady.executeWithOptions(summary('Wait until the guest has booted'), [ref]);
    await runHook(run, 'afterStart', 'startInstance', ref, summary);
    // Where data is brought back it has the last word after that.
    if (input.sync === undefined) await runHook(run, 'healthCheck', 'startInstance', ref, summary);
    return run.base.bootId;
  };
  return guarded(
    'startInstance',
    () =>
      CancellationScope.nonCancellable(() =>
        run.step('startInstance', async (summary) => {
          await startAndAwaitRunning(summary, ref, starts);
          return awaitBooted(summary);
        }),
      ),
    () => awaitBooted((text) => ({ summary: text })),
  );
}

async function startAndAwaitRunning(
  summary: Summary,
  ref: { regionId: string; instanceId: string },
  { startInstance }: Pick<typeof effects, 'startInstance'> = effects,
): Promise<void> {
  await sendUntilSeen(
    () => startInstance.executeWithOptions(summary(`Start ${ref.instanceId}`), [ref]),
    () => waits.awaitInstanceRunning.executeWithOptions(summary(`Wait until ${ref.instanceId} is Running`), [ref]),
  );
}

/** Beside reset and start, for time: it needs only B. */
function createBesideTheReset(run: Run, scene: BringBackScene): Promise<RecoveryDisk> {
  return CancellationScope.nonCancellable(() => createRecoveryDisk(run, scene, sourceB(run)));
}

const sourceB = (run: Run) => ({ snapshotId: run.safetySnapshotId ?? '', sizeGiB: run.safetySnapshotSizeGiB });

type Settled<T> = { readonly ok: true; readonly value: T } | { readonly ok: false; readonly error: unknown };

const settled = <T>(promise: Promise<T>): Promise<Settled<T>> =>
  promise.then(
    (value): Settled<T> => ({ ok: true, value }),
    (error: unknown): Settled<T> => ({ ok: false, error }),
  );

/** The body of a step whose first try was made already: its outcome at the first call, another try at each further one. */
function firstThen<T>(first: Settled<T>, again: () => Promise<T>): () => Promise<T> {
  let tried: Settled<T> | undefined = first;
  return async () => {
    const outcome = tried;
    tried = undefined;
    if (outcome === undefined) return again();
    if (!outcome.ok) throw outcome.error;
    return outcome.value;
  };
}

/** Steps 4 to 8. Whatever goes wrong here, the disk stays at A, B is kept, and the recovery disk is released. */
async function bringDataBack(
  run: Run,
  { input, disk }: Scene,
  scene: BringBackScene,
  recovery: Promise<Settled<RecoveryDisk>>,
  guarded: Guarded,
  release: () => Promise<void>,
): Promise<RollbackResult> {
  let problem: unknown;
  try {
    const made = await recovery;
    if (run.operator.cancelled) throw new CancelledFailure('cancelled during the reset');
    const recoveryDisk = await guarded(
      'createRecoveryDisk',
      firstThen(made, () => createRecoveryDisk(run, scene, sourceB(run))),
    );
    await copyFromRecoveryDisk(run, scene, recoveryDisk, guarded);
  } catch (error) {
    if (!isExpected(error)) throw error;
    problem = error;
  }
  await release();
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
  return endWell(
    run,
    `${disk.id} is back at snapshot A (${input.snapshotId}) and ${run.broughtBack} brought back and verified. ${keptB(run)}`,
  );
}

function endWell(run: Run, summary: string): RollbackResult {
  return run.leftovers.length === 0
    ? run.end('completed', summary)
    : run.end('completed-with-leftovers', `${summary} Left over: ${run.leftovers.join('; ')}`);
}

/** The disk is at A and the instance did not come up, or nobody waited for it. Returns what the run is to end with. */
function endUnstarted(run: Run, { instance }: Scene, error: unknown): unknown {
  if (isCancellation(error)) {
    run.cancelled(`Cancelled: the disk is at snapshot A, and ${instance.id} was not started. ${keptB(run)}`);
    return error;
  }
  return run.failed(
    FAILURE.failedAfterReset,
    `The disk is at snapshot A, but ${instance.id} did not start: ${failureText(error).message}. ${keptB(run)}`,
    'failed',
    error,
  );
}

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
    const why = isCancellation(error) ? 'the run was cancelled' : failureText(error).message;
    const failure = run.failed(
      FAILURE.failedAfterReset,
      `Whether ${scene.disk.id} was reset is not known: ${why}. ${scene.instance.id} is left as it is for you to look. ${keptB(run)}`,
      'failed',
      error,
    );
    return failure;
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

/** Each part for itself: what cannot be seen of the snapshots must not leave the instance stopped. */
async function putBack(run: Run, scene: Scene): Promise<void> {
  const { input, instance } = scene;
  try {
    await findSnapshotsMade(run, scene);
  } catch (error) {
    if (!isExpected(error)) throw error;
    run.leaveOver(`whether a snapshot of ${scene.disk.id} was made cannot be seen: ${failureText(error).message}`);
  }
  await releaseWarmUpSnapshot(run, scene);
  try {
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
