/** Who holds an instance. The lease is a child workflow of the run that holds it; these activities only look. */
import { cancelled, getClient, heartbeat, sleep } from '@temporalio/activity';
import { WorkflowNotFoundError } from '@temporalio/client';
import { leaseWorkflowId } from '../contract/ids.ts';

export interface LeaseRef {
  readonly instanceId: string;
}

/** A third of the heartbeat timeout of the wait policies. */
const HEARTBEAT_INTERVAL_MS = 5_000;

/** The workflow id of the run that holds the instance's lease, null when nobody does. */
export async function holderOf(instanceId: string): Promise<string | null> {
  const leaseId = leaseWorkflowId(instanceId);
  try {
    const lease = await getClient().workflow.getHandle(leaseId).describe();
    if (lease.status.name !== 'RUNNING' && lease.status.name !== 'PAUSED') return null;
    return lease.parentExecution?.workflowId ?? leaseId;
  } catch (error) {
    if (error instanceof WorkflowNotFoundError) return null;
    throw error;
  }
}

export function leaseActivities(options: { leasePollMs: number }) {
  return {
    /** The workflow id of the run that holds the instance's lease, null when nobody does. */
    async leaseHolder({ instanceId }: LeaseRef): Promise<{ holder: string | null }> {
      return { holder: await holderOf(instanceId) };
    },

    /** Until nobody holds the instance's lease. Somebody else may have it again a moment later. */
    async awaitLeaseFree({ instanceId }: LeaseRef): Promise<void> {
      let waitingFor: string | null = leaseWorkflowId(instanceId);
      const beat = setInterval(() => heartbeat({ waitingFor }), HEARTBEAT_INTERVAL_MS);
      try {
        for (;;) {
          waitingFor = await holderOf(instanceId);
          if (waitingFor === null) return;
          heartbeat({ waitingFor });
          await Promise.race([sleep(options.leasePollMs), cancelled()]);
        }
      } finally {
        clearInterval(beat);
      }
    },
  };
}
