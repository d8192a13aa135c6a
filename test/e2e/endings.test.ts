/**
 * The endings other than success, through starter, worker and a cloud without machines (its guests answer as told): what
 * is put back, what is left, what the exit code says.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { RollbackClient } from '../../src/client.ts';
import type { RollbackPlan } from '../../src/contract/rollback.ts';
import { HEALTHY } from '../faults/guest-answers.ts';
import { beyondLooking, factsOf, gather } from './evidence.ts';
import { violations } from '../support/invariants.ts';
import { eventually, openStage, type RunDocument, type Stage, type StarterEnd } from './stage.ts';

const SPEED = 100;
let stage: Stage;
let snapshotA: string;

beforeAll(async () => {
  stage = await openStage({ dataPlane: 'none', speed: SPEED });
  snapshotA = await stage.snapshot('nightly');
}, 120_000);

afterAll(() => stage?.close());

const start = (...more: string[]): Promise<StarterEnd> =>
  stage.starter(['start', ...stage.target, '--snapshot', snapshotA, ...more, '--yes', '-o', 'json']);

it('only looks in a dry run', async () => {
  const evidenceOf = await gather(stage);
  const end = await start('--dry-run');
  expect(end, end.stderr).toMatchObject({ exitCode: 0 });
  const run = JSON.parse(end.stdout) as RunDocument;
  const evidence = await evidenceOf({ ...factsOf(run, end, snapshotA), resets: 0 });
  expect(beyondLooking(evidence.calls)).toEqual([]);
  expect(violations(evidence)).toEqual([]);
  await stage.keep('planned', run);
});

it('refuses in the workflow, too, whatever client asks', async () => {
  const evidenceOf = await gather(stage);
  const client = await RollbackClient.connect({ address: stage.stack.temporalAddress });
  try {
    const snapshotId = 's-bp1nosuchsnapshot000';
    const { regionId } = stage.stack.simulator;
    const handle = await client.start({ regionId, diskId: stage.diskId, snapshotId });
    await expect(handle.result()).rejects.toMatchObject({
      failureType: 'Refused',
      message: expect.stringContaining(`snapshot ${snapshotId} is not in region`),
      report: { resetHappened: 'no', leftovers: [] },
    });
    const evidence = await evidenceOf({ ...handle, snapshotId, resets: 0, ledger: [], leftovers: [], output: '-' });
    expect(beyondLooking(evidence.calls)).toEqual([]);
    expect(violations(evidence)).toEqual([]);
    await stage.keep('refused', handle);
  } finally {
    await client.close();
  }
});

it('starts the instance again when snapshot B cannot be made', async () => {
  const evidenceOf = await gather(stage);
  const error = { code: 'QuotaExceed.Snapshot', status: 400, message: 'The snapshot quota exceeds.' };
  await stage.control('POST', 'faults', { action: 'CreateSnapshot', times: -1, error });
  const end = await start();
  await stage.control('DELETE', 'faults');
  expect(end, end.stderr).toMatchObject({ exitCode: 1 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run).toMatchObject({
    execution: 'failed',
    resetHappened: 'no',
    failure: {
      type: 'FailedBeforeReset',
      message: expect.stringMatching(/^Stopped before the reset: .*QuotaExceed\.Snapshot.* is as it was/),
    },
  });
  const evidence = await evidenceOf({ ...factsOf(run, end, snapshotA), resets: 0 });
  expect(evidence.calls.filter(({ action, tookEffect }) => tookEffect && action === 'StartInstance')).toHaveLength(1);
  expect(violations(evidence)).toEqual([]);
  await stage.keep('failed-before-reset', run);
});

it('puts things back when it is cancelled before the reset', async () => {
  const evidenceOf = await gather(stage);
  // Half a minute of real time, so that the cancel finds it unfinished.
  await stage.control('POST', 'durations', { snapshot: 30 * SPEED });
  const running = start();
  await eventually('snapshot B', async () => {
    const made = (await stage.calls()).some(({ action, tookEffect, parameters }) => {
      return action === 'CreateSnapshot' && tookEffect && parameters['SnapshotName'] === `rollback-B-${stage.diskId}`;
    });
    return made ? true : undefined;
  });
  const cancel = await stage.starter(['cancel', stage.diskId, '-o', 'json']);
  expect(JSON.parse(cancel.stdout)).toMatchObject({
    cancelRequested: true,
    cancelPreview: expect.stringContaining('Start the instance again'),
  });
  const end = await running;
  expect(end, end.stderr).toMatchObject({ exitCode: 1 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run).toMatchObject({ execution: 'cancelled', status: { phase: 'cancelled', resetHappened: 'no' } });

  await stage.control('POST', 'clock', { speed: 100 * SPEED });
  await eventually('the end of snapshot B', async () => ((await stage.state()).tasks.length === 0 ? true : undefined));
  await stage.control('POST', 'clock', { speed: SPEED });
  await stage.control('POST', 'durations', { snapshot: 60 });
  const evidence = await evidenceOf({ ...factsOf(run, end, snapshotA), resets: 0 });
  expect(violations(evidence)).toEqual([]);
  expect(run.status?.ledger).toMatchObject([{ kind: 'snapshot', state: 'kept' }]);
  await stage.keep('cancelled-before-reset', run);
});

it('says so when the disk was rolled back and nothing could be brought back', async () => {
  const answer = (script: string, output: object) =>
    stage.control('POST', 'guest-answers', {
      contains: `ecs-rollback, guest script ${script}\n`,
      output: JSON.stringify(output),
    });
  for (const script of ['look-around', 'check-paths'] as const) {
    await answer(script, { ok: true, result: HEALTHY[script] });
  }
  await answer('guest-ready', {
    ok: true,
    result: { bootId: '5f0e0b0e-0000-4000-8000-000000000000', bootedAt: '1790000000.5' },
  });
  const message = 'two disks carry the serial of the recovery disk: detach one';
  await answer('find-device', { ok: false, refused: true, code: 'DeviceAmbiguous', message });

  const evidenceOf = await gather(stage);
  const end = await start('--path', '/data/uploads', '--on-failure', 'abort');
  await stage.control('DELETE', 'guest-answers');
  expect(end, end.stderr).toMatchObject({ exitCode: 5 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run).toMatchObject({
    execution: 'completed',
    resetHappened: 'yes',
    result: { outcome: 'rolled-back-not-synced', leftovers: [] },
  });
  expect(run.result?.summary).toContain(message);
  expect(run.result?.ledger).toMatchObject([
    { kind: 'snapshot', state: 'kept' },
    { kind: 'disk', state: 'released' },
  ]);
  expect(violations(await evidenceOf({ ...factsOf(run, end, snapshotA), resets: 1 }))).toEqual([]);
  await stage.keep('rolled-back-not-synced', run);
});

it('undoes an ended run only with consent to lose what was written since, and says so when B is gone', async () => {
  const undo = async (...more: string[]) => {
    const end = await stage.starter(['undo', stage.diskId, ...more, '--yes', '-o', 'json']);
    return { end, document: JSON.parse(end.stdout) as RunDocument & { plan?: RollbackPlan } };
  };
  const blockersOf = (plan: RollbackPlan | undefined) =>
    plan?.findings.filter(({ severity }) => severity === 'blocker');
  const rolledBack = JSON.parse((await start()).stdout) as RunDocument;
  const b = rolledBack.result?.safetySnapshotId ?? '';
  expect(rolledBack.result?.outcome).toBe('completed');

  const before = (await stage.calls()).length;
  const refused = await undo();
  expect(refused.end, refused.end.stderr).toMatchObject({ exitCode: 3 });
  expect(blockersOf(refused.document.plan)).toMatchObject([
    { code: 'DataSinceWouldBeLost', field: 'acceptDataLoss', fact: expect.stringContaining(b) },
  ]);
  expect(beyondLooking(await stage.calls(before))).toEqual([]);

  const evidenceOf = await gather(stage);
  const undone = await undo('--accept-data-loss');
  expect(undone.end, undone.end.stderr).toMatchObject({ exitCode: 0 });
  const evidence = { ...factsOf(undone.document, undone.end, b), resets: 1 } as const;
  expect(violations(await evidenceOf(evidence))).toEqual([]);

  const again = JSON.parse((await start()).stdout) as RunDocument;
  const gone = again.result?.safetySnapshotId ?? '';
  await stage.ecs.deleteSnapshot(gone);
  const lost = await undo('--accept-data-loss');
  expect(lost.end, lost.end.stderr).toMatchObject({ exitCode: 6 });
  expect(blockersOf(lost.document.plan)).toMatchObject([
    {
      code: 'SnapshotNotFound',
      fact: expect.stringMatching(`^snapshot B \\(${gone}\\) of run ${again.workflowId} is gone`),
    },
  ]);
}, 180_000);
