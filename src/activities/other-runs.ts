/** Other runs on an instance or a disk, as Temporal knows them. Reads only. */
import { activityInfo, getClient } from '@temporalio/activity';
import { SEARCH_ATTRIBUTES, WORKFLOW_TYPE } from '../contract/messages.ts';
import type { OtherRuns } from '../domain/plan/observed.ts';
import { holderOf } from './lease.ts';

/** A finding names them; more than these no one reads. */
const MOST = 10;

/**
 * Everybody but the run that asks and `undone`, which may hold the lease for the undo that it has started. Who holds the
 * lease is exact; the list is visibility's, some seconds behind.
 */
export async function otherRunsOn(instanceId: string, diskId: string, undone: string | undefined): Promise<OtherRuns> {
  const us = new Set([activityInfo().workflowExecution?.workflowId, undone]);
  const [holder, open] = await Promise.all([holderOf(instanceId), openRuns(instanceId, diskId, us)]);
  return { holder: holder === null || us.has(holder) ? null : holder, open };
}

async function openRuns(
  instanceId: string,
  diskId: string,
  us: ReadonlySet<string | undefined>,
): Promise<OtherRuns['open']> {
  const query = [
    `WorkflowType IN ('${WORKFLOW_TYPE.rollback}', '${WORKFLOW_TYPE.sync}')`,
    `(${SEARCH_ATTRIBUTES.instance} = '${instanceId}' OR ${SEARCH_ATTRIBUTES.disk} = '${diskId}')`,
    "ExecutionStatus = 'Running'",
  ].join(' AND ');
  const found: Array<OtherRuns['open'][number]> = [];
  for await (const { workflowId, searchAttributes } of getClient().workflow.list({ query })) {
    const phase = phaseOf(searchAttributes);
    // A plan of somebody else is no work on the instance.
    if (us.has(workflowId) || phase === 'planning') continue;
    found.push({ workflowId, phase });
    if (found.length === MOST) break;
  }
  return found;
}

function phaseOf(attributes: Readonly<Record<string, unknown>>): string {
  const value = attributes[SEARCH_ATTRIBUTES.phase];
  const [phase] = Array.isArray(value) ? (value as unknown[]) : [value];
  return typeof phase === 'string' ? phase : 'open';
}
