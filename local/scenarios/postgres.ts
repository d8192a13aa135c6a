/**
 * A database on the disk: a table dropped and the file of another damaged. The disk goes back to A; the cluster of B comes
 * up from a side folder, and its good rows go into the live one.
 */
import type { Checksums, Claim } from '../proof.ts';
import { completed, effects, type Scenario, short, snapshotBOf, stepsOf } from '../story.ts';
import { takeSnapshot } from '../guest.ts';

const CLUSTER = '/data/shop-db';
const SIDE_FOLDER = '/data/from-b';

export const postgres: Scenario = {
  about: 'a PostgreSQL cluster is ruined and rolled back; the good newer rows come out of the cluster of snapshot B',
  dataPlane: 'loop',
  packages: ['postgresql-15'],
  checksumsOver: 'all rows of the database',
  async tell(story) {
    const { control, guest, log } = story;
    const sums = () => guest.checksums('database');
    log('PostgreSQL opens on /data of the instance: customers, products, stock, orders, a log');
    const atSnapshotA = await story.timed('openDatabase', async () => {
      await guest.run('database/open');
      return sums();
    });
    const snapshotA = await story.timed('snapshotA', () =>
      takeSnapshot(story.ecs, story.scene.dataDiskId, story.signal),
    );
    log(`snapshot A is ${snapshotA} (${atSnapshotA.files} rows)`);
    await guest.run('database/trade');
    const beforeDamage = await sums();
    log(`life goes on: 600 new orders, 200 shipped, 40 new customers; checksum ${short(beforeDamage)}`);
    await guest.run('database/bad-migration');
    const afterDamage = await sums();
    log(`03:00, a bad migration: products dropped, the file of stock overwritten; checksum ${short(afterDamage)}`);

    const callsBefore = (await control.calls()).length;
    const flags = story.rollbackTo(snapshotA, [CLUSTER], ['--into', SIDE_FOLDER]);
    const started = story.begin(flags, 'recovery');
    const between = await story.readBetween(started, 'database');
    const run = completed(await started.run());
    const snapshotB = snapshotBOf(run);
    if (between === undefined) throw new Error('the state after the rollback could not be read');
    const said = await story.timed('bringRowsBack', () => guest.run('database/bring-rows-back'));
    log(`    the cluster of B came up from ${SIDE_FOLDER}; its good rows are in the live one`);

    return story.timed('proof', async () => {
      const readings = {
        atSnapshotA,
        beforeDamage,
        afterDamage,
        afterRollback: between.sums,
        afterBringingBack: await sums(),
      };
      const leftovers = await story.leftovers([snapshotA, snapshotB]);
      const resetCalls = effects((await control.calls()).slice(callsBefore), 'ResetDisk');
      const claims = provePostgres({
        readings,
        resetCalls,
        leftovers,
        starterExitCode: run.exitCode,
        stockUnreadableInB: said.includes('stock cannot be read in B'),
        stepsDone: stepsOf(run).filter(({ number, state }) => number !== undefined && state === 'done').length,
      });
      return { runs: [run], snapshotA, snapshotB, readings, resetCalls, leftovers, claims };
    });
  },
};

/** Of the tables: `rolledBack` is products and stock, `broughtBack` customers and orders, `other` the log. */
export function provePostgres(evidence: {
  readonly readings: Readonly<
    Record<'atSnapshotA' | 'beforeDamage' | 'afterDamage' | 'afterRollback' | 'afterBringingBack', Checksums>
  >;
  readonly resetCalls: number;
  readonly leftovers: readonly string[];
  readonly starterExitCode: number;
  readonly stockUnreadableInB: boolean;
  readonly stepsDone: number;
}): Claim[] {
  const { atSnapshotA, beforeDamage, afterDamage, afterRollback, afterBringingBack } = evidence.readings;
  return [
    {
      claim: 'after snapshot A customers and orders were written',
      holds: beforeDamage.broughtBack !== atSnapshotA.broughtBack && beforeDamage.other !== atSnapshotA.other,
    },
    { claim: 'the migration ruined products and stock', holds: afterDamage.rolledBack !== beforeDamage.rolledBack },
    { claim: 'the starter ended with exit code 0', holds: evidence.starterExitCode === 0 },
    { claim: 'all eight steps are done', holds: evidence.stepsDone === 8 },
    { claim: 'the simulator took exactly one ResetDisk', holds: evidence.resetCalls === 1 },
    {
      claim: 'after the reset the database was that of snapshot A, all tables of it',
      holds: afterRollback.whole === atSnapshotA.whole && afterRollback.other === atSnapshotA.other,
    },
    { claim: 'in the cluster of B the damaged table could not be read', holds: evidence.stockUnreadableInB },
    {
      claim: 'at the end products and stock are those of snapshot A',
      holds: afterBringingBack.rolledBack === atSnapshotA.rolledBack,
    },
    {
      claim: 'at the end customers and orders are those of the moment before the damage',
      holds: afterBringingBack.broughtBack === beforeDamage.broughtBack,
    },
    { claim: 'what was not asked back stayed at snapshot A', holds: afterBringingBack.other === atSnapshotA.other },
    { claim: 'nothing temporary is left in the cloud or in the guest', holds: evidence.leftovers.length === 0 },
  ];
}
