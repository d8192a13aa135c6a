/** The worker dies by SIGKILL in the middle of the reset; another one goes on where it was. */
import { type Claim, prove } from '../proof.ts';
import { completed, effects, type Scenario, snapshotBOf, stepsOf } from '../story.ts';

export const killWorker: Scenario = {
  about: 'the worker is killed (SIGKILL) in the middle of the reset, and a new one finishes the run',
  dataPlane: 'loop',
  async tell(story) {
    const { control, guest, log, scene, stack } = story;
    const { snapshotA, readings: before } = await story.ruinTheShop();
    const { worker } = stack;
    if (worker === undefined) throw new Error('the stack has no worker');

    const callsBefore = (await control.calls()).length;
    // The reset cannot end before the worker is dead.
    await control.hold(scene.dataDiskId);
    const started = story.begin(story.rollbackTo(snapshotA), 'recovery');
    await story.untilTaken('ResetDisk', callsBefore, started);
    const diskAtDeath = (await control.state()).disks[scene.dataDiskId]?.status ?? '';
    log(`    the disk is ${diskAtDeath}: kill -9 ${worker.pid}, the worker`);
    process.kill(worker.pid, 'SIGKILL');
    const death = await worker.ended;
    await control.release(scene.dataDiskId);
    log('    nobody is there; the reset goes on in the cloud, and the run waits in Temporal');
    await story.timed('newWorker', () => stack.startWorker('second-worker'));
    log('    a new worker is there');
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
      const claims = [...proveKilled({ signal: death.signal, diskAtDeath }), ...recovered];
      return { runs: [run], snapshotA, snapshotB, readings, resetCalls, leftovers, claims };
    });
  },
};

export function proveKilled(evidence: { readonly signal: string | null; readonly diskAtDeath: string }): Claim[] {
  return [
    { claim: 'the worker was killed by SIGKILL', holds: evidence.signal === 'SIGKILL' },
    { claim: 'the reset was under way at that moment', holds: evidence.diskAtDeath === 'ReIniting' },
  ];
}
