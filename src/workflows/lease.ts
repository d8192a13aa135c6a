/**
 * The right to be the only run that touches an instance. It is a child workflow whose id only one run can have open, and
 * which ends with its holder, however that ends.
 */
import { WorkflowExecutionAlreadyStartedError } from '@temporalio/common';
import {
  CancellationScope,
  condition,
  defineSignal,
  ParentClosePolicy,
  setCurrentDetails,
  setHandler,
  startChild,
} from '@temporalio/workflow';
import { leaseWorkflowId } from '../contract/ids.ts';
import { FAILURE, WORKFLOW_TYPE } from '../contract/messages.ts';
import type { RollbackInput } from '../contract/rollback.ts';
import { reads, waits } from './policies.ts';
import { isExpected, type Run } from './run.ts';

const releaseSignal = defineSignal('release');

/** What a lease needs of the run that takes it. */
export type LeaseTaker = Pick<Run, 'workflowId' | 'failed' | 'whileWaiting'>;

/** The lease itself; started by a run only. */
export async function holdLease(lease: { instanceId: string; holder: string }): Promise<void> {
  let released = false;
  setHandler(releaseSignal, () => {
    released = true;
  });
  setCurrentDetails(`Run \`${lease.holder}\` is the only one that may touch instance \`${lease.instanceId}\`.`);
  await condition(() => released);
}

type LeasePolicy = RollbackInput['onLeaseHeld'];

export interface Lease {
  /** Whether another run had it first, so that what was seen before may no longer be so. */
  readonly waited: boolean;
  /** False once somebody has ended the lease by hand. */
  isHeld(): boolean;
  release(): Promise<void>;
}

/** Takes the lease, waiting for it or not as the input says. Fails the run, and names the holder, when it may not wait. */
export async function takeLease(run: LeaseTaker, instanceId: string, whenHeld: LeasePolicy): Promise<Lease> {
  for (let waited = false; ; waited = true) {
    const lease = await CancellationScope.nonCancellable(() => tryToTake(run, instanceId));
    if (lease !== undefined) return { ...lease, waited };
    // Freed since, or about to be, when nobody is seen: its holder is just ending.
    await waitForHolder(run, instanceId, whenHeld, (await holderOf(instanceId)) ?? 'a run that is just ending');
  }
}

/** The run that works on the instance, if there is one. */
export async function holderOf(instanceId: string): Promise<string | null> {
  const { holder } = await reads.leaseHolder.executeWithOptions({ summary: `See which run holds ${instanceId}` }, [
    { instanceId },
  ]);
  return holder;
}

export async function waitForHolder(
  run: LeaseTaker,
  instanceId: string,
  whenHeld: LeasePolicy,
  holder: string,
): Promise<void> {
  if (whenHeld === 'fail') {
    throw run.failed(
      FAILURE.leaseHeld,
      `Nothing was changed: ${instanceId} is in the hands of run ${holder}; wait for its end, or start with onLeaseHeld "wait"`,
      'refused',
    );
  }
  await run.whileWaiting({ kind: 'lease', instanceId, holder, since: new Date().toISOString() }, () =>
    waits.awaitLeaseFree.executeWithOptions({ summary: `Wait until ${holder} lets go of ${instanceId}` }, [
      { instanceId },
    ]),
  );
}

/** Undefined when another run holds it. */
async function tryToTake(run: LeaseTaker, instanceId: string): Promise<Omit<Lease, 'waited'> | undefined> {
  try {
    const child = await startChild(WORKFLOW_TYPE.lease, {
      workflowId: leaseWorkflowId(instanceId),
      args: [{ instanceId, holder: run.workflowId }],
      parentClosePolicy: ParentClosePolicy.TERMINATE,
      staticSummary: `Held by ${run.workflowId}`,
    });
    let over = false;
    const ended = (async () => {
      try {
        await child.result();
      } catch (error) {
        // Ended by hand, or cancelled with its holder: no lease any more, whatever the reason.
        if (!isExpected(error)) throw error;
      } finally {
        over = true;
      }
    })();
    return {
      isHeld: () => !over,
      release: () =>
        CancellationScope.nonCancellable(async () => {
          if (over) return;
          try {
            await child.signal(releaseSignal);
            await ended;
          } catch (error) {
            // Ended by hand in this very moment.
            if (!isExpected(error)) throw error;
          }
        }),
    };
  } catch (error) {
    if (error instanceof WorkflowExecutionAlreadyStartedError) return undefined;
    throw error;
  }
}
