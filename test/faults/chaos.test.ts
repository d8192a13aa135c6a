/**
 * Random schedules: each run meets what its seed draws – error codes, lost and late answers, throttling, transitions that
 * hang, an agent that is away, a worker that restarts, a second run, people who cancel, pause, approve and decide. Whatever
 * comes of it, every invariant holds, it has ended or says what it waits for, and its history replays.
 *
 * `npm run test:chaos -- --runs N --seed S` plays the seeds S to S + N - 1.
 */
import { Worker } from '@temporalio/worker';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { builtFolder, bundleIn } from '../support/built.ts';
import { type Evidence, violations } from '../support/invariants.ts';
import { type Played, playChaos } from './chaos-run.ts';
import { type Schedule, scheduleOf } from './chaos-schedule.ts';
import { beginning, type Ended, type Gathered, gatherAll, inParallel } from './evidence.ts';
import { type FaultStage, openFaultStage, type Tenant } from './stage.ts';

const RUNS = Number(process.env['ECS_ROLLBACK_CHAOS_RUNS'] ?? 200);
const SEED = Number(process.env['ECS_ROLLBACK_CHAOS_SEED'] ?? 1);
const WIDTH = 40;
const schedules = Array.from({ length: RUNS }, (_, index) => scheduleOf(SEED + index));

let stage: FaultStage;
/** What was wrong, by seed. */
const troubles = new Map<number, string[]>();
const endings = new Map<string, number>();
const origin = new Map<Ended, { readonly seed: number; readonly part: Played['part'] }>();
const seedOf = (run: Ended): number => origin.get(run)?.seed ?? 0;
/** The runs of one instance, which is one schedule's. */
const beside = ({ tenant }: Ended): Ended[] => [...origin.keys()].filter((run) => run.tenant === tenant);

beforeAll(
  async () => {
    stage = await openFaultStage({ dataPlane: 'none', speed: 1000 });
    await stage.control('POST', 'durations', { deliveryLimit: 3_600 });
    const tenants = await inParallel(16, schedules, ({ seed }) => stage.tenant(`seed-${seed}`));
    await inParallel(16, schedules, async ({ foundStopped }, index) => {
      if (foundStopped) await stop((tenants[index] as Tenant).instanceId);
    });
    const began = await beginning(stage);
    await stage.startWorker('chaos');
    const client = await stage.client('chaos');
    const ended: Ended[] = [];
    await inParallel(WIDTH, schedules, async (schedule, index) => {
      const tenant = tenants[index] as Tenant;
      try {
        for (const played of await playChaos(stage, tenant, schedule, client)) {
          const injected = schedule.faults.flatMap(({ error }) => error?.code ?? []);
          const run = { ...played, tenant, injected, ...promised(played, schedule, tenant) };
          origin.set(run, { seed: schedule.seed, part: played.part });
          ended.push(run);
          endings.set(run.said.ending, (endings.get(run.said.ending) ?? 0) + 1);
        }
      } catch (error) {
        note(schedule.seed, error instanceof Error ? error.message : String(error));
      }
    });
    const { gathered, strays } = await gatherAll(stage, began, ended);
    for (const each of gathered) {
      for (const line of violations(judged(each))) note(seedOf(each.run), line);
    }
    for (const stray of strays) {
      const index = tenants.findIndex(({ instanceId }) => stray.includes(instanceId));
      note(schedules[index]?.seed ?? 0, stray);
    }
    const tally = [...endings].sort(([, a], [, b]) => b - a).map(([ending, count]) => `${count} ${ending}`);
    console.error(`seeds ${SEED} to ${SEED + RUNS - 1}: ${tally.join(', ')}`);
    await replayAll(gathered, (run, message) => note(seedOf(run), message));
  },
  Math.max(280_000, RUNS * 5_000),
);

afterAll(() => stage?.close());

/** Said at once, too: whatever becomes of the rest. */
const note = (seed: number, line: string): void => {
  console.error(`seed ${seed}: ${line}`);
  troubles.set(seed, [...(troubles.get(seed) ?? []), line]);
};

for (const schedule of schedules) {
  it(`seed ${schedule.seed}`, () => {
    const found = troubles.get(schedule.seed) ?? [];
    const again = `npm run test:chaos -- --runs 1 --seed ${schedule.seed}`;
    expect(found, `${again}\n${JSON.stringify(schedule, null, 1)}`).toEqual([]);
  });
}

it.skipIf(RUNS < 200)('the schedules come to good and bad endings alike', () => {
  expect([...endings.keys()]).toEqual(
    expect.arrayContaining([
      'completed',
      'completed-with-leftovers',
      'rolled-back-not-synced',
      'undone',
      'cancelled',
      'FailedBeforeReset',
      'FailedAfterReset',
      'LeaseHeld',
      'NotApproved',
      'Refused',
    ]),
  );
});

async function stop(instanceId: string): Promise<void> {
  await stage.region.stopInstance(instanceId, { force: false });
  while ((await stage.region.instances([instanceId])).get(instanceId)?.status !== 'Stopped') {
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** What the request promises of resets, power and order, if the run ends as it was asked to. */
function promised(
  { part, said, target }: Played,
  { wishes, foundStopped }: Schedule,
  { snapshotA }: Tenant,
): Pick<Ended, 'snapshotId' | 'resets' | 'power' | 'mode'> {
  const found = foundStopped ? 'Stopped' : 'Running';
  const asked = wishes.powerAfter === 'running' ? 'Running' : wishes.powerAfter === 'stopped' ? 'Stopped' : found;
  const reset = said.resetHappened !== 'no';
  return {
    snapshotId: target ?? snapshotA,
    resets: reset ? 1 : 0,
    // The way back leads to how it was found at first; before its reset, to what the first run was asked for.
    power: (part.endsWith('regret') ? !reset : reset) ? asked : found,
    mode: part === 'first' ? (wishes.snapshotMode ?? 'cold') : 'cold',
  };
}

/** As the invariants judge it: where a run says that it does not know, or could not, either is true to its word. */
function judged({ run, evidence }: Gathered): Evidence {
  const { said } = run;
  const done = (id: string): boolean => said.steps.some((step) => step.id === id && step.state === 'done');
  const resets = evidence.calls.filter(({ action, tookEffect }) => action === 'ResetDisk' && tookEffect).length;
  const status = evidence.after.instances[evidence.instanceId]?.status;
  const wasReset = said.resetHappened === 'yes' && done('resetDisk');
  const notPutBack =
    said.summary.includes('could not be put back') || said.leftovers.join().includes('could not be put back');
  const notStarted = ['FailedAfterReset', 'cancelled'].includes(said.ending) && said.resetHappened !== 'no';
  const part = origin.get(run)?.part;
  const regretted = beside(run).some((other) => origin.get(other)?.part === 'regret');
  const saysSo =
    // It keeps the power as it finds it, which is how the first run has left it.
    part === 'second' ||
    (part?.startsWith('undo') && said.resetHappened === 'no') ||
    // What is seen is what the undo has left, which promises that for itself.
    (part === 'first' && regretted) ||
    notPutBack ||
    (notStarted && !done('startInstance')) ||
    /undo failed|during the undo/.test(said.summary);
  return {
    ...evidence,
    resets: said.resetHappened === 'no' || wasReset ? evidence.resets : resets === 0 ? 0 : 1,
    power: saysSo && (status === 'Running' || status === 'Stopped') ? status : evidence.power,
    // Of each run that has worked on the instance: the last state shows what all of them have left.
    leftovers: beside(run).flatMap(({ said: { leftovers, ledger } }) => [
      ...leftovers,
      ...ledger.flatMap(({ id, state }) => (state === 'left-over' && id ? [id] : [])),
    ]),
  };
}

/** Every history replays (I12). */
async function replayAll(gathered: readonly Gathered[], report: (run: Ended, message: string) => void): Promise<void> {
  const byRun = new Map(gathered.map(({ run }) => [run.runId, run]));
  const histories = gathered.map(({ run, history }) => ({ workflowId: run.workflowId, history }));
  for await (const { runId, error } of Worker.runReplayHistories(bundleIn(await builtFolder()), histories)) {
    const run = byRun.get(runId);
    if (error !== undefined && run !== undefined) report(run, `I12: ${error.message}`);
  }
}
