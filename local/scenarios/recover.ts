/** The whole story: ruined, rolled back, and the good newer data brought back. */
import { prove } from '../proof.ts';
import { completed, effects, type Scenario, snapshotBOf, stepsOf } from '../story.ts';

export const recover: Scenario = {
  about: 'the disk is rolled back, and the good newer data brought back (default)',
  dataPlane: 'vm',
  async tell(story) {
    const { control, guest } = story;
    const { snapshotA, readings: before } = await story.ruinTheShop();
    const callsBefore = (await control.calls()).length;
    const started = story.begin(story.rollbackTo(snapshotA), 'recovery');
    const between = await story.readBetween(started);
    const run = await started.run();
    const snapshotB = snapshotBOf(completed(run));
    if (between === undefined) throw new Error('the state after the rollback could not be read');
    return story.timed('proof', async () => {
      const readings = { ...before, afterRollback: between.sums, afterSync: await guest.checksums() };
      const leftovers = await story.leftovers([snapshotA, snapshotB]);
      const resetCalls = effects((await control.calls()).slice(callsBefore), 'ResetDisk');
      const claims = prove({
        readings,
        resetCalls,
        leftovers,
        starterExitCode: run.exitCode,
        readAfterRollbackAt: between.at,
        steps: stepsOf(run).map(({ number = 0, state, startedAt = '' }) => ({ number, outcome: state, startedAt })),
      });
      return { runs: [run], snapshotA, snapshotB, readings, resetCalls, leftovers, claims };
    });
  },
};
