/** Gathers what `invariants.ts` judges: the cloud before and after one run, and everything that the run wrote. */
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { CallRecord } from '../../simulator/state/model.ts';
import type { LedgerEntry } from '../../src/contract/rollback.ts';
import type { Evidence } from '../support/invariants.ts';
import type { RunDocument, Stage, StarterEnd } from './stage.ts';

export interface RunFacts {
  readonly workflowId: string;
  readonly runId: string;
  readonly snapshotId: string;
  readonly resets: 0 | 1;
  readonly power?: 'Running' | 'Stopped';
  readonly ledger: readonly LedgerEntry[];
  readonly leftovers: readonly string[];
  /** What the starter printed. */
  readonly output: string;
  /** What the files in the guest contain. */
  readonly marker?: string;
}

/** What a run says of itself through the starter, and to which snapshot it was asked to go. */
export const factsOf = (run: RunDocument, end: StarterEnd, snapshotId: string) => ({
  workflowId: run.workflowId,
  runId: run.runId,
  snapshotId,
  ledger: run.result?.ledger ?? run.failure?.report?.ledger ?? run.status?.ledger ?? [],
  leftovers: run.result?.leftovers ?? run.failure?.report?.leftovers ?? [],
  output: end.stdout + end.stderr,
});

/** Looks again at the end of a run and puts both looks together. */
export interface Gathering {
  (run: RunFacts): Promise<Evidence>;
  /** How many calls the simulator had received before. */
  readonly callsBefore: number;
}

/** A plan describes, asks by dry run, and runs two scripts in the guest that only look. */
const LOOK = /^ecs-rollback-(look-around|check-paths)$/;
const onlyLooks = ({ action, parameters }: CallRecord): boolean =>
  action.startsWith('Describe') ||
  parameters['DryRun'] === 'true' ||
  (action === 'RunCommand' && LOOK.test(String(parameters['Name'])));

/** The calls that a plan never makes. */
export const beyondLooking = (calls: readonly CallRecord[]): CallRecord[] => calls.filter((call) => !onlyLooks(call));

/** Looks at the cloud as it is now. */
export async function gather(stage: Stage): Promise<Gathering> {
  const before = await stage.state();
  const callsBefore = (await stage.calls()).length;
  const atEnd = async ({
    workflowId,
    runId,
    output,
    marker,
    power = 'Running',
    ...facts
  }: RunFacts): Promise<Evidence> => {
    const calls = await stage.calls(callsBefore);
    const after = await stage.state();
    const { logDir } = stage.stack.processes;
    const logs = (await readdir(logDir)).filter((name) => name.includes('worker'));
    return {
      ...facts,
      run: runId,
      diskId: stage.diskId,
      instanceId: stage.instanceId,
      power,
      before,
      after,
      calls,
      inGuest: stage.stack.simulator.dataPlane === 'none' ? [] : await stage.guest.leftovers(),
      texts: {
        history: await stage.history(workflowId, runId),
        "the starter's output": output,
        ...Object.fromEntries(
          await Promise.all(logs.map(async (name) => [name, await readFile(join(logDir, name), 'utf8')] as const)),
        ),
      },
      secrets: [stage.stack.simulator.accessKeySecret, ...(marker === undefined ? [] : [marker])],
    };
  };
  return Object.assign(atEnd, { callsBefore });
}
