/** The worker dies by SIGKILL in the middle of the reset; another one goes on where it was. */
import { type Claim, prove } from '../proof.ts';
import type { CallRecord } from '../simulator-control.ts';
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
    // The reset cannot end before the worker is dead and the next one there.
    await control.hold(scene.dataDiskId);
    const started = story.begin(story.rollbackTo(snapshotA), 'recovery');
    const asksForTheDisk = ({ action, parameters }: CallRecord) =>
      action === 'DescribeDisks' && String(parameters['DiskIds']).includes(scene.dataDiskId);
    await story.untilCalled(
      'ResetDisk',
      callsBefore,
      started,
      (call) => call.action === 'ResetDisk' && call.tookEffect,
    );
    const reset = (await control.calls()).length;
    await story.untilCalled('a look at the disk during its reset', reset, started, asksForTheDisk);
    const resetting = (await control.state()).disks[scene.dataDiskId]?.resetting === true;
    log(`    the disk is being reset: kill -9 ${worker.pid}, the worker`);
    process.kill(worker.pid, 'SIGKILL');
    const death = await worker.ended;
    log('    nobody is there; the reset goes on in the cloud, and the run waits in Temporal');
    await story.timed('newWorker', () => stack.startWorker('second-worker'));
    log('    a new worker is there');
    await control.release(scene.dataDiskId);
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
      const claims = [...proveKilled({ signal: death.signal, resetting }), ...recovered];
      return { runs: [run], snapshotA, snapshotB, readings, resetCalls, leftovers, claims };
    });
  },
};

export function proveKilled(evidence: { readonly signal: string | null; readonly resetting: boolean }): Claim[] {
  return [
    { claim: 'the worker was killed by SIGKILL', holds: evidence.signal === 'SIGKILL' },
    { claim: 'the reset was under way at that moment', holds: evidence.resetting },
  ];
}
