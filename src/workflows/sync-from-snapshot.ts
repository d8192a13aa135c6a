/** Steps 3 to 8 on their own: bring data back from any finished snapshot of a disk to that disk. Resets nothing. */
import { isCancellation } from '@temporalio/workflow';
import { FAILURE } from '../contract/messages.ts';
import { type RollbackResult, type SyncRequest, syncInputSchema } from '../contract/rollback.ts';
import { blockersOf } from '../domain/plan/index.ts';
import { type BringBackScene, copyFromRecoveryDisk, createRecoveryDisk, releaseRecoveryDisk } from './bring-back.ts';
import { unguarded } from './decisions.ts';
import { failureText } from './failure-text.ts';
import { parseInput } from './input.ts';
import { type Lease, takeLease } from './lease.ts';
import { reads } from './policies.ts';
import { isExpected, Run } from './run.ts';

export async function syncFromSnapshot(request: SyncRequest): Promise<RollbackResult> {
  const input = parseInput(syncInputSchema, request);
  const run = new Run('sync', input);

  const plan = await run.checkPlan((summary) =>
    reads.planSync.executeWithOptions(summary('Read everything, change nothing'), [input]),
  );
  const { disk, instance, target } = plan;
  const blockers = blockersOf(plan);
  if (input.dryRun) {
    return run.end(
      'planned',
      blockers.length === 0
        ? `Nothing stands in the way of bringing ${input.sync.paths.join(', ')} back from ${input.snapshotId}.`
        : blockers.map((finding) => finding.fact).join('; '),
    );
  }
  if (blockers.length > 0 || disk === undefined || instance === undefined || target === undefined) {
    throw run.refused(plan);
  }
  const scene: BringBackScene = {
    regionId: input.regionId,
    instanceId: instance.id,
    original: disk,
    selection: input.sync,
  };

  const lease: Lease = await run.beforeAnyChange(() => takeLease(run, instance.id, input.onLeaseHeld));
  try {
    return await bringBack(run, scene, { snapshotId: target.id, sizeGiB: target.sizeGiB });
  } finally {
    await lease.release();
  }
}

async function bringBack(
  run: Run,
  scene: BringBackScene,
  source: { snapshotId: string; sizeGiB: number },
): Promise<RollbackResult> {
  const { original } = scene;
  let problem: unknown;
  try {
    const recovery = await createRecoveryDisk(run, scene, source);
    await copyFromRecoveryDisk(run, scene, recovery, unguarded);
  } catch (error) {
    if (!isExpected(error)) throw error;
    problem = error;
  }
  await releaseRecoveryDisk(run, scene, false);
  if (problem !== undefined && isCancellation(problem)) {
    run.cancelled(`Cancelled: what had been copied to ${original.id} stays there; nothing else was changed.`);
    throw problem;
  }
  if (problem !== undefined) {
    throw run.failed(
      FAILURE.syncFailed,
      `The data was not brought back to ${original.id}: ${failureText(problem).message}`,
      'failed',
      problem,
    );
  }
  const brought = `${run.broughtBack} brought back to ${original.id} from ${source.snapshotId} and verified.`;
  return run.leftovers.length === 0
    ? run.end('completed', brought)
    : run.end('completed-with-leftovers', `${brought} Left over: ${run.leftovers.join('; ')}`);
}
