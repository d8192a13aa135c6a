/** The whole story: ruined, rolled back, and the good newer data brought back. */
import { type Claim, prove } from '../proof.ts';
import type { CallRecord } from '../simulator-control.ts';
import {
  completed,
  effects,
  type Scenario,
  snapshotBOf,
  type Started,
  stepsOf,
  type Story,
  type Told,
} from '../story.ts';

export const recover: Scenario = {
  about: 'the disk is rolled back, and the good newer data brought back (default)',
  dataPlane: 'vm',
  tell: async (story) => tellRecovery(story, await story.ruinTheShop()),
};

interface Own {
  /** What befalls the run while it is under way. */
  readonly during?: (started: Started) => Promise<void>;
  /** What the story claims beside the recovery, from what the simulator took since the run began. */
  readonly claims?: (calls: readonly CallRecord[]) => Claim[];
}

/** One run from the ruined shop to the proof that it is whole again. Shared by the stories that end this way. */
export async function tellRecovery(
  story: Story,
  { snapshotA, readings: before }: Awaited<ReturnType<Story['ruinTheShop']>>,
  { during, claims: own }: Own = {},
): Promise<Told> {
  const { control, guest } = story;
  const callsBefore = (await control.calls()).length;
  const started = story.begin(story.rollbackTo(snapshotA), 'recovery');
  await during?.(started);
  const between = await story.readBetween(started);
  const run = completed(await started.run());
  const snapshotB = snapshotBOf(run);
  if (between === undefined) throw new Error('the state after the rollback could not be read');
  return story.timed('proof', async () => {
    const readings = { ...before, afterRollback: between.sums, afterSync: await guest.checksums() };
    const leftovers = await story.leftovers([snapshotA, snapshotB]);
    const calls = (await control.calls()).slice(callsBefore);
    const resetCalls = effects(calls, 'ResetDisk');
    const recovered = prove({
      readings,
      resetCalls,
      leftovers,
      starterExitCode: run.exitCode,
      readAfterRollbackAt: between.at,
      steps: stepsOf(run).map(({ number = 0, state, startedAt = '' }) => ({ number, outcome: state, startedAt })),
    });
    const claims = [...(own?.(calls) ?? []), ...recovered];
    return { runs: [run], snapshotA, snapshotB, readings, resetCalls, leftovers, claims };
  });
}
