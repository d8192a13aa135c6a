/**
 * Many runs beside each other on one simulator: what of its calls and its state belongs to which instance, and what each
 * run has said at its end – put together for the invariants.
 */
import type { History } from '@temporalio/common/lib/proto-utils.js';
import type { CallRecord, World } from '../../simulator/state/model.ts';
import { ClientError, type RollbackClient, RunFailedError, type RunHandle } from '../../src/client.ts';
import { WORKFLOW_TYPE } from '../../src/contract/messages.ts';
import type { LedgerEntry, RollbackResult, RunStatus, Step } from '../../src/contract/rollback.ts';
import { eventually } from '../e2e/stage.ts';
import { exportHistory } from '../replay/history-file.ts';
import type { Evidence } from '../support/invariants.ts';
import type { FaultStage, Tenant } from './stage.ts';

/** What a run says of itself when it has ended. */
export interface Said {
  /** An `Outcome`, a value of `FAILURE`, or `cancelled`. */
  readonly ending: string;
  readonly summary: string;
  readonly resetHappened: RunStatus['resetHappened'];
  readonly ledger: readonly LedgerEntry[];
  readonly leftovers: readonly string[];
  readonly steps: readonly Step[];
  readonly undo?: RollbackResult['undo'];
}

/** Waits for the end of a run, whatever it is. A cancelled run is asked for its status, which needs a worker. */
export async function endOf(client: RollbackClient, handle: RunHandle): Promise<Said> {
  try {
    const { outcome, ...result } = await handle.result();
    return { ...result, ending: outcome, resetHappened: outcome === 'planned' ? 'no' : 'yes' };
  } catch (error) {
    if (!(error instanceof RunFailedError)) throw error;
    if (error.report !== undefined) return { ...error.report, ending: error.failureType ?? 'failed' };
    if (error.execution !== 'cancelled') throw error;
    // A worker with hundreds of runs at hand may take longer than a query waits.
    const { headline, ...status } = await eventually(`the status of ${handle.workflowId}`, () =>
      client.status(handle.workflowId).catch((problem: unknown) => {
        if (problem instanceof ClientError && problem.kind === 'noWorker') return undefined;
        throw problem;
      }),
    );
    return { ...status, ending: 'cancelled', summary: headline, leftovers: [] };
  }
}

/** One run that is over. */
export interface Ended {
  readonly tenant: Tenant;
  readonly workflowId: string;
  readonly runId: string;
  /** What it was to reset to. */
  readonly snapshotId: string;
  readonly said: Said;
  readonly resets: 0 | 1;
  readonly power: 'Running' | 'Stopped';
  readonly mode?: 'cold' | 'warm' | 'hot';
  /** Codes that a fault has put into the answers: none of the service's own. */
  readonly injected?: readonly string[];
}

/** What belongs to one instance, of the whole region. */
function worldOf(world: World, { instanceId, systemDiskId, dataDiskId }: Tenant): World {
  const own = new Set([systemDiskId, dataDiskId]);
  const among = <T>(all: Record<string, T>, belongs: (thing: T) => boolean) =>
    Object.fromEntries(Object.entries(all).filter(([, thing]) => belongs(thing)));
  const snapshots = among(world.snapshots, ({ sourceDiskId }) => own.has(sourceDiskId));
  const disks = among(
    world.disks,
    (disk) => own.has(disk.id) || disk.sourceSnapshotId in snapshots || disk.attachment?.instanceId === instanceId,
  );
  return {
    ...world,
    instances: among(world.instances, ({ id }) => id === instanceId),
    disks,
    snapshots,
    tasks: world.tasks.filter(({ subject }) => subject === instanceId || subject in disks || subject in snapshots),
  };
}

/** The calls that are about one of the instances, each list in its order. Looks at many at once are nobody's. */
function callsOf(calls: readonly CallRecord[], tenants: readonly Tenant[]): Map<string, CallRecord[]> {
  const owner = new Map<string, string>();
  const lists = new Map<string, CallRecord[]>();
  for (const { instanceId, systemDiskId, dataDiskId, snapshotA } of tenants) {
    for (const id of [instanceId, systemDiskId, dataDiskId, snapshotA]) owner.set(id, instanceId);
    lists.set(instanceId, []);
  }
  for (const call of calls) {
    const named = Object.values(call.parameters).flatMap((value) =>
      typeof value === 'string' ? (value.match(/\b[dsit]-bp1[a-z0-9]{17}\b/g) ?? []) : [],
    );
    const owners = new Set(named.map((id) => owner.get(id)));
    const [only] = owners;
    if (owners.size !== 1 || only === undefined) continue;
    if (call.createdId !== undefined) owner.set(call.createdId, only);
    lists.get(only)?.push(call);
  }
  return lists;
}

/** Scripts that a plan runs in the guest, which change nothing there. */
const LOOKS_OF_A_PLAN = ['ecs-rollback-check-paths', 'ecs-rollback-look-around'];

/** Evidence of one run, and the history it is taken from. */
export interface Gathered {
  readonly run: Ended;
  readonly evidence: Evidence;
  readonly history: History;
}

/**
 * The evidence of each run, in the same order. Nothing may be under way any more. A run has the calls about its instance
 * from the moment it had the lease to its end; those of an undo that it waited for are the undo's. `strays`: changes that
 * nobody made who had the lease (I9).
 */
export async function gatherAll(
  stage: FaultStage,
  { before, from }: Beginning,
  runs: readonly Ended[],
): Promise<{ gathered: Gathered[]; strays: string[] }> {
  const [after, calls] = [await stage.state(), await stage.calls(from)];
  const tenants = [...new Set(runs.map(({ tenant }) => tenant))];
  const ofInstance = callsOf(calls, tenants);
  const histories = await inParallel(8, runs, ({ workflowId, runId }) =>
    stage.temporal.workflow.getHandle(workflowId, runId).fetchHistory(),
  );
  const spans = histories.map(spanOf);
  const owner = (tenant: Tenant, call: CallRecord): number | undefined => {
    const at = Date.parse(call.time);
    const within = runs.flatMap((run, index) => {
      const span = spans[index];
      return run.tenant === tenant && span !== undefined && span.from <= at && at <= span.to
        ? [{ index, ...span }]
        : [];
    });
    return within.sort((a, b) => b.from - a.from)[0]?.index;
  };
  const own: CallRecord[][] = runs.map(() => []);
  const strays: string[] = [];
  for (const tenant of tenants) {
    for (const call of ofInstance.get(tenant.instanceId) ?? []) {
      const index = owner(tenant, call);
      if (index !== undefined) own[index]?.push(call);
      else if (call.tookEffect && !LOOKS_OF_A_PLAN.includes(String(call.parameters['Name']))) {
        strays.push(`I9: ${call.action} (call ${call.seq}) about ${tenant.instanceId}, of no run that had the lease`);
      }
    }
  }
  const gathered = runs.map((run, index): Gathered => {
    const { tenant, said, injected = [] } = run;
    const history = histories[index] ?? {};
    const evidence: Evidence = {
      run: run.runId,
      diskId: tenant.dataDiskId,
      instanceId: tenant.instanceId,
      snapshotId: run.snapshotId,
      before: worldOf(before, tenant),
      after: worldOf(after, tenant),
      calls: (own[index] ?? []).map((call) => (injected.includes(call.code) ? { ...call, code: 'injected' } : call)),
      resets: run.resets,
      power: run.power,
      ...(run.mode === undefined ? {} : { mode: run.mode }),
      ledger: said.ledger,
      leftovers: said.leftovers,
      inGuest: [],
      texts: { history: exportHistory(history), 'what the run said': JSON.stringify(said) },
      secrets: [stage.stack.simulator.accessKeySecret],
    };
    return { run, evidence, history };
  });
  return { gathered, strays };
}

type Event = NonNullable<History['events']>[number];
/** Milliseconds since 1970. */
const timeOf = ({ eventTime }: Event): number =>
  Number(eventTime?.seconds ?? 0) * 1000 + Math.floor((eventTime?.nanos ?? 0) / 1e6);

/** While the run had the lease: its own, or that of the run that waits for it. Undefined when it never had it. */
function spanOf({ events = [] }: History): { from: number; to: number } | undefined {
  const [first] = events ?? [];
  const inside = first?.workflowExecutionStartedEventAttributes?.parentWorkflowExecution != null;
  const had = inside
    ? first
    : events?.find(
        ({ childWorkflowExecutionStartedEventAttributes: child }) => child?.workflowType?.name === WORKFLOW_TYPE.lease,
      );
  const last = events?.at(-1);
  return had == null || last === undefined ? undefined : { from: timeOf(had), to: timeOf(last) };
}

/** What was there when every instance was there and nothing had begun. */
export interface Beginning {
  readonly before: World;
  /** Number of the last call until then. */
  readonly from: number;
}

export const beginning = async (stage: FaultStage): Promise<Beginning> => ({
  before: await stage.state(),
  from: (await stage.calls()).length,
});

/** All results in their order, with so many under way at a time. */
export async function inParallel<T, R>(
  width: number,
  items: readonly T[],
  work: (item: T, index: number) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  let next = 0;
  const worker = async (): Promise<void> => {
    for (let index = next++; index < items.length; index = next++) {
      results[index] = await work(items[index] as T, index);
    }
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, worker));
  return results;
}
