/** Other runs of ours on the same instance or disk. */
import type { PlanFinding, RollbackInput, SyncInput } from '../../contract/rollback.ts';
import { warning } from './findings.ts';
import type { Observed } from './observed.ts';

/** No blockers: they pass, and the lease is what keeps runs apart. */
export function* checkOtherRuns(input: RollbackInput | SyncInput, seen: Observed): Generator<PlanFinding> {
  const { otherRuns, instance } = seen;
  if (otherRuns === undefined || instance === undefined) return;
  const { holder, open } = otherRuns;
  if (holder !== null) {
    yield warning(
      'InstanceHeldByRun',
      'instanceId',
      `run ${holder} works on instance ${instance.id} now`,
      input.onLeaseHeld === 'wait'
        ? 'this one would wait for its end, and then look at everything again'
        : 'started now, this one would be refused: wait for its end, or start with onLeaseHeld "wait" (--on-lease wait)',
    );
  }
  const waiting = open.filter(({ workflowId }) => workflowId !== holder);
  if (waiting.length > 0) {
    yield warning(
      'OtherRunsOpen',
      'instanceId',
      `also open on ${instance.id} or its disk: ${waiting.map(({ workflowId, phase }) => `${workflowId} (${phase})`).join(', ')}`,
      'see what they wait for; one at a time works on an instance, in the order in which they get to it',
    );
  }
}
