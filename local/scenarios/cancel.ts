/** Cancelled twice: before the point of no return, where all is put back, and after it, where only the copy is given up. */
import { snapshotFinished } from '../guest.ts';
import { type Checksums, type Claim, sameShop } from '../proof.ts';
import type { CallRecord } from '../simulator-control.ts';
import { effects, type Run, type Scenario, snapshotBOf, type Story } from '../story.ts';

export const cancel: Scenario = {
  about: 'a run is cancelled before the reset, and another one after it',
  dataPlane: 'loop',
  async tell(story) {
    const { control, guest, log, scene } = story;
    const { snapshotA, readings: before } = await story.ruinTheShop();

    log('first run: somebody changes their mind while snapshot B is being taken');
    // Long enough to be met half-way, whatever else this machine does.
    await control.setDurations({ snapshot: 240 });
    const callsBefore = (await control.calls()).length;
    const first = story.begin(story.rollbackTo(snapshotA), 'cancelledBeforeReset');
    await story.until(first, 'it took snapshot B', ({ safetySnapshotId }) => safetySnapshotId !== undefined);
    const firstPreview = await cancelIt(story);
    const firstRun = await first.run();
    await control.setDurations({ snapshot: 60 });
    const firstCalls = (await control.calls()).slice(callsBefore);
    const firstPower = await powerOf(story);
    const afterFirst = await story.timed('readAfterFirst', () => guest.checksums());
    log(`    ${scene.instanceId} is ${firstPower} again; checksum ${afterFirst.whole.slice(0, 12)}, as before the run`);

    // The cloud goes on with B whatever became of the run, and no disk is reset meanwhile.
    await story.timed('firstSnapshotB', () => snapshotFinished(story.ecs, snapshotBOf(firstRun), story.signal));
    log('second run: this time the reset has happened, and the copy is about to begin');
    const second = story.begin(story.rollbackTo(snapshotA), 'cancelledAfterReset');
    const secondPreview = await story.beforeTheCopy(second, () => cancelIt(story));
    const secondRun = await second.run();
    if (secondPreview === undefined) {
      throw new Error(
        `the second run ended before it could be cancelled: ${secondRun.view.failure?.message ?? secondRun.view.execution}`,
      );
    }
    const secondCalls = (await control.calls()).slice(callsBefore + firstCalls.length);
    const secondPower = await powerOf(story);
    const snapshotB = snapshotBOf(secondRun);
    log(
      `    snapshot B (${snapshotB}) has the rest: \`sync --snapshot ${snapshotB} --path …\` brings it back whenever it is wanted`,
    );

    return story.timed('proof', async () => {
      const afterSecond = await guest.checksums();
      const leftovers = await story.leftovers([snapshotA, snapshotBOf(firstRun), snapshotB]);
      const readings = { ...before, afterFirst, afterSecond };
      const claims = proveCancelled({
        readings,
        leftovers,
        first: { run: firstRun, preview: firstPreview, calls: firstCalls, power: firstPower },
        second: { run: secondRun, preview: secondPreview, calls: secondCalls, power: secondPower },
      });
      const resetCalls = effects([...firstCalls, ...secondCalls], 'ResetDisk');
      return { runs: [firstRun, secondRun], snapshotA, snapshotB, readings, resetCalls, leftovers, claims };
    });
  },
};

/** What the starter's `cancel` said that the run would do. */
async function cancelIt(story: Story): Promise<string> {
  const { stdout } = await story.starter(['cancel', story.scene.dataDiskId, '-o', 'json']);
  const { cancelPreview = '' } = JSON.parse(stdout || '{}') as { cancelPreview?: string };
  story.log(`    it will: ${cancelPreview}`);
  return cancelPreview;
}

const powerOf = async ({ control, scene }: Story): Promise<string> =>
  (await control.state()).instances[scene.instanceId]?.status ?? 'gone';

interface Act {
  readonly run: Pick<Run, 'exitCode'> & { readonly view: Pick<Run['view'], 'execution'> };
  readonly preview: string;
  /** What the simulator took from the start of the run to its end. */
  readonly calls: readonly CallRecord[];
  /** Of the instance, when the run had ended. */
  readonly power: string;
}

export function proveCancelled(evidence: {
  readonly readings: Record<'atSnapshotA' | 'afterDamage' | 'afterFirst' | 'afterSecond', Checksums>;
  readonly leftovers: readonly string[];
  readonly first: Act;
  readonly second: Act;
}): Claim[] {
  const { readings, leftovers, first, second } = evidence;
  const cancelled = ({ run }: Act) => run.view.execution === 'cancelled' && run.exitCode === 1;
  const took = ({ calls }: Act, action: string) => effects(calls, action);
  return [
    { claim: 'the disk was not at snapshot A before', holds: !sameShop(readings.afterDamage, readings.atSnapshotA) },
    { claim: 'both runs ended as cancelled, with exit code 1', holds: cancelled(first) && cancelled(second) },
    {
      claim: 'first: the cancel said that the disk would stay as it is',
      holds: /disk stays as it is/.test(first.preview),
    },
    {
      claim: 'first: the instance had been stopped, and snapshot B begun',
      holds: took(first, 'StopInstance') === 1 && took(first, 'CreateSnapshot') === 1,
    },
    {
      claim: 'first: no ResetDisk was sent but for the dry run of the plan',
      holds: first.calls.every(({ action, parameters }) => action !== 'ResetDisk' || parameters['DryRun'] === 'true'),
    },
    { claim: 'first: the instance runs again', holds: first.power === 'Running' && took(first, 'StartInstance') === 1 },
    { claim: 'first: not a byte of the shop has changed', holds: sameShop(readings.afterFirst, readings.afterDamage) },
    {
      claim: 'second: the cancel said that the disk would stay at snapshot A',
      holds: /at snapshot A/.test(second.preview),
    },
    { claim: 'second: exactly one ResetDisk took effect', holds: took(second, 'ResetDisk') === 1 },
    {
      claim: 'second: the disk is at snapshot A, all of it',
      holds: sameShop(readings.afterSecond, readings.atSnapshotA),
    },
    { claim: 'second: the instance runs', holds: second.power === 'Running' },
    {
      claim: 'second: the recovery disk that was made is released',
      holds: took(second, 'CreateDisk') === 1 && took(second, 'DeleteDisk') === 1,
    },
    { claim: 'nothing temporary is left in the cloud or in the guest', holds: leftovers.length === 0 },
  ];
}
