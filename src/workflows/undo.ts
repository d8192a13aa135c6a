/** The way back past the reset: a rollback of its own, onto snapshot B, through the same gate. */
import { executeChild, isCancellation } from '@temporalio/workflow';
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import { undoWorkflowId } from '../contract/ids.ts';
import { FAILURE, SEARCH_ATTRIBUTES, WORKFLOW_TYPE } from '../contract/messages.ts';
import type { RollbackRequest, RollbackResult } from '../contract/rollback.ts';
import { failureText } from './failure-text.ts';
import { isExpected, type Run } from './run.ts';
import { keptB, type Scene } from './scene.ts';

/** Rolls the disk back onto B and ends the run. `problem`: why. The lease stays with this run. */
export async function undo(run: Run, scene: Scene, problem: string): Promise<RollbackResult> {
  const { input, disk } = scene;
  const workflowId = undoWorkflowId(run.workflowId);
  run.undo = { workflowId };
  run.enter('undoing', `Undoing: rolling ${disk.id} back onto snapshot B`);
  const request: RollbackRequest = {
    regionId: input.regionId,
    diskId: disk.id,
    snapshotId: run.safetySnapshotId ?? '',
    instanceId: scene.instance.id,
    powerAfter: scene.startAfterwards ? 'running' : 'stopped',
    forceStop: input.forceStop,
    safetySnapshotRetentionDays: input.safetySnapshotRetentionDays,
    onFailureAfterReset: input.onFailureAfterReset === 'undo' ? 'abort' : input.onFailureAfterReset,
    undoes: { workflowId: run.workflowId, runId: run.runId, insideRun: true },
    // Whoever decided to undo was told so; the undo's own safety snapshot keeps that data as well.
    acceptDataLoss: true,
    ...(input.requestedBy === undefined ? {} : { requestedBy: input.requestedBy }),
  };
  try {
    const undone: RollbackResult = await executeChild(WORKFLOW_TYPE.rollback, {
      workflowId,
      args: [request],
      staticSummary: `Undo of ${run.workflowId}: roll back ${disk.id} onto ${run.safetySnapshotId ?? 'B'}`,
      typedSearchAttributes: [
        keyword(SEARCH_ATTRIBUTES.region, input.regionId),
        keyword(SEARCH_ATTRIBUTES.disk, disk.id),
        keyword(SEARCH_ATTRIBUTES.instance, scene.instance.id),
        keyword(SEARCH_ATTRIBUTES.phase, 'planning'),
      ],
    });
    const { safetySnapshotId } = undone;
    run.undo = { workflowId, ...(safetySnapshotId === undefined ? {} : { safetySnapshotId }) };
    for (const left of undone.leftovers) run.leaveOver(left);
    return run.end(
      'undone',
      `${problem}. Undone: ${disk.id} is as it was before the reset, from snapshot B (${run.safetySnapshotId}).`,
    );
  } catch (error) {
    if (!isExpected(error)) throw error;
    if (isCancellation(error)) {
      run.cancelled(`Cancelled during the undo: look at ${workflowId} for what became of ${disk.id}. ${keptB(run)}`);
      throw error;
    }
    throw run.failed(
      FAILURE.failedAfterReset,
      `${problem}. The undo failed: ${failureText(error).message}. ${keptB(run)}`,
      'failed',
      error,
    );
  }
}

const keyword = (name: string, value: string) => ({
  key: defineSearchAttributeKey(name, SearchAttributeType.KEYWORD),
  value,
});
