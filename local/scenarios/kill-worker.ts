/** The worker dies by SIGKILL in the middle of the reset; another one goes on where it was. */
import type { Claim } from '../proof.ts';
import type { CallRecord } from '../simulator-control.ts';
import type { Scenario } from '../story.ts';
import { tellRecovery } from './recover.ts';

export const killWorker: Scenario = {
  about: 'the worker is killed (SIGKILL) in the middle of the reset, and a new one finishes the run',
  dataPlane: 'loop',
  async tell(story) {
    const { control, log, scene, stack } = story;
    const ruined = await story.ruinTheShop();
    const { worker } = stack;
    if (worker === undefined) throw new Error('the stack has no worker');
    const callsBefore = (await control.calls()).length;
    // The reset cannot end before the worker is dead and the next one there.
    await control.hold(scene.dataDiskId);
    const asksForTheDisk = ({ action, parameters }: CallRecord) =>
      action === 'DescribeDisks' && String(parameters['DiskIds']).includes(scene.dataDiskId);
    let seen: Parameters<typeof proveKilled>[0] = { signal: null, resetting: false };
    return tellRecovery(story, ruined, {
      during: async (started) => {
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
        const { signal } = await worker.ended;
        seen = { signal, resetting };
        log('    nobody is there; the reset goes on in the cloud, and the run waits in Temporal');
        await story.timed('newWorker', () => stack.startWorker('second-worker'));
        log('    a new worker is there');
        await control.release(scene.dataDiskId);
      },
      claims: () => proveKilled(seen),
    });
  },
};

export function proveKilled(evidence: { readonly signal: string | null; readonly resetting: boolean }): Claim[] {
  return [
    { claim: 'the worker was killed by SIGKILL', holds: evidence.signal === 'SIGKILL' },
    { claim: 'the reset was under way at that moment', holds: evidence.resetting },
  ];
}
