/** From a run that has ended to the rollback that undoes it: the same guarded rollback, onto the run's snapshot B. */
import type { RollbackInput, RollbackRequest, SyncInput } from '../contract/rollback.ts';
import { ClientError } from './errors.ts';
import type { RunView } from './types.ts';

/**
 * What undoes the run, without the caller's own choices. Whether B is still there, and what would be lost, is for the plan
 * of that rollback to find out. Rejects with `refused` and the reason when there is nothing to undo or it is too early.
 */
export function undoRequest(view: RunView, input: RollbackInput | SyncInput | undefined): RollbackRequest {
  const { workflowId, runId, kind } = view;
  const refuse = (why: string): never => {
    throw new ClientError('refused', `${workflowId} cannot be undone: ${why}`, { workflowId });
  };
  const undid = input !== undefined && 'undoes' in input ? input.undoes : undefined;
  if (view.execution === 'running') {
    return refuse(
      undid !== undefined
        ? `it is the undo of ${undid.workflowId} and still going on: \`watch\` it`
        : view.status?.waitingFor?.kind === 'operator' && view.status.waitingFor.choices.includes('undo')
          ? 'it is still open and waits for a decision: `resolve` it with `undo`'
          : 'it is still open: `cancel` it, or wait for its end',
    );
  }
  if (kind !== 'rollback') return refuse(`it is a ${kind}, and no disk was reset`);
  if (undid !== undefined) {
    return refuse(
      `it is itself the undo of ${undid.workflowId}; to go forward again, start a rollback to ${safetySnapshotOf(view) ?? 'its snapshot B'}`,
    );
  }
  if (view.result?.outcome === 'undone') return refuse('it has undone itself already');
  const reset = resetOf(view);
  if (reset === 'no') return refuse('the disk was not reset');
  const snapshotB = safetySnapshotOf(view);
  if (snapshotB === undefined) {
    return refuse(
      view.status === undefined && view.result === undefined && view.failure?.report === undefined
        ? `it ended as ${view.execution} without a report, and no worker answers for it: start a worker, or find snapshot B by its tag ecs-rollback:run=${runId}`
        : 'it has no snapshot B',
    );
  }
  const plan = view.result?.plan ?? view.failure?.report?.plan;
  const regionId = plan?.regionId ?? view.status?.regionId ?? view.regionId;
  const diskId = plan?.diskId ?? view.status?.diskId ?? view.diskId;
  const instanceId = plan?.instance?.id ?? view.status?.instanceId ?? view.instanceId;
  if (regionId === undefined || diskId === undefined) return refuse('its region and disk are not known');
  const wasRunning = plan?.instance?.wasRunning;
  return {
    regionId,
    diskId,
    snapshotId: snapshotB,
    ...(instanceId === undefined ? {} : { instanceId }),
    // As it was before the run, not as the run has left it.
    ...(wasRunning === undefined ? {} : { powerAfter: wasRunning ? ('running' as const) : ('stopped' as const) }),
    undoes: { workflowId, runId },
  };
}

/** Snapshot B of a run, from whatever is left of it. */
export function safetySnapshotOf({ result, status, failure }: RunView): string | undefined {
  const ledger = result?.ledger ?? failure?.report?.ledger ?? status?.ledger ?? [];
  return (
    result?.safetySnapshotId ??
    status?.safetySnapshotId ??
    ledger.find(({ purpose, id }) => purpose === 'safety-snapshot' && id !== undefined)?.id
  );
}

/** Undefined when nobody can say: the run ended without a report and no worker answers for it. */
export function resetOf({ status, failure, result }: RunView): 'no' | 'maybe' | 'yes' | undefined {
  if (status !== undefined) return status.resetHappened;
  if (failure?.report !== undefined) return failure.report.resetHappened;
  if (result === undefined) return undefined;
  return result.steps.some((step) => step.id === 'resetDisk' && step.state === 'done') ? 'yes' : 'no';
}
