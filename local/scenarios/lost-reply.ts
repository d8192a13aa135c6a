/** Every call that changes something is applied, and its answer lost on the way: nothing is done twice. */
import type { Claim } from '../proof.ts';
import type { CallRecord } from '../simulator-control.ts';
import { effects, type Scenario } from '../story.ts';
import { tellRecovery } from './recover.ts';

/** All that a run changes in the cloud, in its order, the point of no return among them. */
export const LOST = [
  'StopInstance',
  'CreateSnapshot',
  'ResetDisk',
  'CreateDisk',
  'StartInstance',
  'AttachDisk',
  'DetachDisk',
  'DeleteDisk',
] as const;

export const lostReply: Scenario = {
  about: 'every call that changes something takes effect and its answer is lost, ResetDisk among them',
  dataPlane: 'loop',
  async tell(story) {
    const { control, log } = story;
    const ruined = await story.ruinTheShop();
    log(`the network takes one answer of each: ${LOST.join(', ')}`);
    for (const action of LOST) await control.loseAnswer(action);
    // Still going on when the worker, after a lost answer, looks for what became of its call. A reset that had ended by then
    // could not be told from one that was never heard, and would be sent again while the instance is stopped.
    await control.setDurations({ resetDisk: 100 });
    return tellRecovery(story, ruined, {
      claims: (calls) => {
        for (const action of LOST) {
          const of = calls.filter((call) => call.action === action && !isDryRun(call));
          log(
            `    ${action.padEnd(14)} answers lost ${of.filter(({ answered }) => !answered).length}, sent ${of.length}, took effect ${effects(of, action)}`,
          );
        }
        return proveLost(calls);
      },
    });
  },
};

const isDryRun = ({ parameters }: CallRecord): boolean => parameters['DryRun'] === 'true';

export function proveLost(calls: readonly CallRecord[]): Claim[] {
  const of = (action: string) => calls.filter((call) => call.action === action && !isDryRun(call));
  return LOST.flatMap((action) => [
    {
      claim: `${action}: it took effect and the answer was lost`,
      holds: of(action).filter(({ answered, tookEffect }) => tookEffect && !answered).length === 1,
    },
    { claim: `${action}: it took effect exactly once`, holds: effects(calls, action) === 1 },
  ]);
}
