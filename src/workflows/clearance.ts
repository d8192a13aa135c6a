/**
 * From the first plan to the right to change something: no blockers, the plan that was asked for, the approvals it needs,
 * the lease, and a second look when time has passed in between.
 */
import { workflowInfo } from '@temporalio/workflow';
import { FAILURE } from '../contract/messages.ts';
import type { PlannedDisk, PlannedInstance, RollbackInput, RollbackPlan } from '../contract/rollback.ts';
import { blockersOf } from '../domain/plan/index.ts';
import { holderOf, type Lease, takeLease, waitForHolder } from './lease.ts';
import type { Run } from './run.ts';

export interface Clearance {
  readonly disk: PlannedDisk;
  readonly instance: PlannedInstance;
  readonly lease: Lease;
}

/** The run that is undone holds the lease for the undo, and ends after it. */
const LEASE_OF_PARENT: Lease = { waited: false, isHeld: () => true, release: async () => {} };

export async function getClearance(
  run: Run,
  input: RollbackInput,
  firstPlan: RollbackPlan,
  look: () => Promise<RollbackPlan>,
): Promise<Clearance> {
  for (let plan = firstPlan; ; ) {
    if (await hadToWait(run, input, plan)) {
      plan = await look();
      continue;
    }
    const { disk, instance } = judged(run, input, plan);
    await approved(run, input, plan);
    const lease = await leaseFor(run, input, instance.id);
    if (input.approval === undefined && !lease.waited) return { disk, instance, lease };
    try {
      const now = await look();
      const seen = judged(run, input, now);
      if (now.hash === plan.hash || input.approval === undefined) return { ...seen, lease };
      // Not what was approved: whoever approved looks again, and the instance is free meanwhile.
      run.operator.lapseApprovals();
      plan = now;
    } catch (error) {
      await lease.release();
      throw error;
    }
    await lease.release();
  }
}

/** What stands in the way may be another run at work, which says more than a disk that is busy; and it passes. */
async function hadToWait(run: Run, input: RollbackInput, plan: RollbackPlan): Promise<boolean> {
  const { instance } = plan;
  if (blockersOf(plan).length === 0 || instance === undefined || isInsideRun(input)) return false;
  return run.beforeAnyChange(async () => {
    const holder = await holderOf(instance.id);
    if (holder === null) return false;
    await waitForHolder(run, instance.id, input.onLeaseHeld, holder);
    return true;
  });
}

/** Refuses a plan with blockers, and one that is not the plan that was asked for. */
function judged(run: Run, input: RollbackInput, plan: RollbackPlan): Pick<Clearance, 'disk' | 'instance'> {
  const { disk, instance } = plan;
  if (blockersOf(plan).length > 0 || disk === undefined || instance === undefined) throw run.refused(plan);
  if (input.expectedPlanHash !== undefined && input.expectedPlanHash !== plan.hash) {
    throw run.failed(
      FAILURE.planDrifted,
      `Nothing was changed: what is there now is not what was planned (plan ${plan.hash.slice(0, 12)}…, asked for ${input.expectedPlanHash.slice(0, 12)}…): read the new plan, and start with that`,
      'refused',
    );
  }
  return { disk, instance };
}

async function approved(run: Run, input: RollbackInput, plan: RollbackPlan): Promise<void> {
  const { approval } = input;
  if (approval === undefined) return;
  const verdict = await run.beforeAnyChange(() => run.operator.awaitApproval(approval, input.requestedBy, plan.hash));
  if (verdict.approved) return;
  const why =
    verdict.rejectedBy === undefined
      ? `not approved by ${approval.quorum} within ${verdict.afterSeconds} seconds`
      : `rejected by ${verdict.rejectedBy.by}${verdict.rejectedBy.reason === '' ? '' : `: ${verdict.rejectedBy.reason}`}`;
  throw run.failed(FAILURE.notApproved, `Nothing was changed: ${why}`, 'refused');
}

async function leaseFor(run: Run, input: RollbackInput, instanceId: string): Promise<Lease> {
  if (isInsideRun(input)) return LEASE_OF_PARENT;
  return run.beforeAnyChange(() => takeLease(run, instanceId, input.onLeaseHeld));
}

/** An undo that the run it undoes has started; no client can claim to be one. */
const isInsideRun = ({ undoes }: RollbackInput): boolean =>
  undoes?.insideRun === true && workflowInfo().parent?.workflowId === undoes.workflowId;
