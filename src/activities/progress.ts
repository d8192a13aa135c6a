/** Tells the run how far its copy is, so that its status and its page in the Temporal UI say so, too. */
import { activityInfo, getClient, log } from '@temporalio/activity';
import { COPY_PROGRESS_SIGNAL } from '../contract/messages.ts';
import type { CopyProgress } from '../contract/rollback.ts';

/**
 * Each word costs the run's history a few events: not before `everyMs` after the last one, and only for another stage or
 * another tenth of it. A word that does not arrive is not worth a failure.
 */
export function progressTeller(everyMs: number) {
  let toldAt = Date.now();
  let told = '';

  return async (progress: CopyProgress): Promise<void> => {
    const { stage, bytesDone, bytesTotal } = progress;
    const tenth = `${stage} ${bytesTotal === 0 ? 0 : Math.floor((bytesDone / bytesTotal) * 10)}`;
    const { workflowExecution } = activityInfo();
    if (stage === 'done' || tenth === told || Date.now() - toldAt < everyMs || workflowExecution === undefined) return;
    told = tenth;
    toldAt = Date.now();
    try {
      const { workflowId, runId } = workflowExecution;
      await getClient().workflow.getHandle(workflowId, runId).signal(COPY_PROGRESS_SIGNAL, progress);
    } catch (error) {
      log.warn('the run could not be told how far its copy is', { error });
    }
  };
}
