/** The rollback was the wrong idea: back onto snapshot B, as it was before the run, through the same gate. */
import type { RollbackResult } from '../../src/contract/rollback.ts';
import { type Checksums, type Claim, sameShop } from '../proof.ts';
import type { CallRecord } from '../simulator-control.ts';
import { completed, effects, type Scenario, snapshotBOf } from '../story.ts';

export const undo: Scenario = {
  about: 'a completed run is undone: the disk goes back onto snapshot B, as it was before',
  dataPlane: 'loop',
  async tell(story) {
    const { control, guest, log, scene } = story;
    const { snapshotA, readings: before } = await story.ruinTheShop();
    const callsBefore = (await control.calls()).length;
    const run = completed(await story.begin(story.rollbackTo(snapshotA), 'recovery').run());
    const snapshotB = snapshotBOf(run);
    const runCalls = (await control.calls()).slice(callsBefore);
    const afterRun = await story.timed('readAfterRun', () => guest.checksums());
    log(
      `    the shop is whole again, checksum ${afterRun.whole.slice(0, 12)}; but it was not the deploy: somebody wants the evidence back`,
    );

    const args = ['undo', scene.dataDiskId, '--yes', '-o', 'json'];
    const withoutConsent = await story.timed('refusal', () => story.starter(args));
    if (withoutConsent.exitCode === 0) throw new Error('the undo was not refused although the shop has written since');
    const resetsWhenRefused = effects((await control.calls()).slice(callsBefore + runCalls.length), 'ResetDisk');
    log(`    refused (exit code ${withoutConsent.exitCode}): the shop has written since; with consent it goes`);
    const undone = completed(await story.begin([...args, '--accept-data-loss'], 'undo').run());
    const snapshotB2 = snapshotBOf(undone);
    const undoCalls = (await control.calls()).slice(callsBefore + runCalls.length);

    return story.timed('proof', async () => {
      const readings = { ...before, afterRun, afterUndo: await guest.checksums() };
      const leftovers = await story.leftovers([snapshotA, snapshotB, snapshotB2]);
      const claims = proveUndone({
        readings,
        leftovers,
        refusal: { exitCode: withoutConsent.exitCode, resets: resetsWhenRefused },
        snapshotA,
        snapshotB,
        runCalls,
        undoCalls,
        exitCodes: [run.exitCode, undone.exitCode],
        undoResult: undone.view.result,
      });
      const resetCalls = effects([...runCalls, ...undoCalls], 'ResetDisk');
      return { runs: [run, undone], snapshotA, snapshotB, readings, resetCalls, leftovers, claims };
    });
  },
};

export function proveUndone(evidence: {
  readonly readings: Record<'beforeDamage' | 'afterDamage' | 'afterRun' | 'afterUndo', Checksums>;
  readonly leftovers: readonly string[];
  readonly refusal: { readonly exitCode: number; readonly resets: number };
  readonly snapshotA: string;
  readonly snapshotB: string;
  readonly runCalls: readonly CallRecord[];
  readonly undoCalls: readonly CallRecord[];
  readonly exitCodes: readonly number[];
  readonly undoResult: Pick<RollbackResult, 'outcome' | 'gate'> | undefined;
}): Claim[] {
  const { readings, refusal, undoResult, snapshotB } = evidence;
  const resetsTo = (calls: readonly CallRecord[]) =>
    calls
      .filter(({ action, tookEffect }) => action === 'ResetDisk' && tookEffect)
      .map(({ parameters }) => parameters['SnapshotId'])
      .join();
  return [
    {
      claim: 'the run had recovered the shop, which changed it',
      holds:
        readings.afterRun.whole === readings.beforeDamage.whole && !sameShop(readings.afterRun, readings.afterDamage),
    },
    {
      claim: 'without consent to lose what was written since, the undo was refused and reset nothing',
      holds: refusal.exitCode === 3 && refusal.resets === 0,
    },
    { claim: 'run and undo ended with exit code 0', holds: evidence.exitCodes.every((code) => code === 0) },
    { claim: 'the run reset the disk once, to snapshot A', holds: resetsTo(evidence.runCalls) === evidence.snapshotA },
    { claim: 'the undo reset the disk once, to snapshot B', holds: resetsTo(evidence.undoCalls) === snapshotB },
    {
      claim: 'the undo passed the same gate, with a safety snapshot of its own',
      holds:
        undoResult?.outcome === 'completed' &&
        undoResult.gate !== undefined &&
        undoResult.gate.safetySnapshotId !== snapshotB &&
        effects(evidence.undoCalls, 'CreateSnapshot') === 1,
    },
    {
      claim: 'at the end every byte is as it was before the run',
      holds: sameShop(readings.afterUndo, readings.afterDamage),
    },
    { claim: 'nothing temporary is left in the cloud or in the guest', holds: evidence.leftovers.length === 0 },
  ];
}
