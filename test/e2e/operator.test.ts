/**
 * The people around a run, through the starter and a real Temporal server: approvals, drift, decisions after the reset,
 * pause. The cloud has no machines here; its guests answer as told.
 */
import { afterAll, afterEach, beforeAll, expect, it } from 'vitest';
import { rollbackWorkflowId } from '../../src/contract/ids.ts';
import type { RunStatus } from '../../src/contract/rollback.ts';
import { healthyGuest } from '../faults/guest-answers.ts';
import { violations } from '../support/invariants.ts';
import { gather } from './evidence.ts';
import { eventually, openStage, type RunDocument, type Stage } from './stage.ts';

let stage: Stage;
let snapshotA: string;

beforeAll(async () => {
  stage = await openStage({ dataPlane: 'none', speed: 100 });
  await healthyGuest((body) => stage.control('POST', 'guest-answers', body));
  snapshotA = await stage.snapshot('nightly');
}, 120_000);

afterAll(() => stage?.close());

/** A test that fails must not keep the instance from the next one. */
afterEach(async () => {
  await liftFaults();
  const run = stage.temporal.workflow.getHandle(rollbackWorkflowId(stage.diskId));
  if ((await run.describe()).status.name === 'RUNNING') await run.terminate('its test has failed');
});

/** One command about the run of the scene's disk. */
const say = async (command: string, ...args: string[]) => {
  const end = await stage.starter([command, stage.diskId, ...args, '-o', 'json']);
  // `watch` prints one line for each change, and the run as the last.
  const last = command === 'watch' ? end.stdout.trimEnd().split('\n').at(-1) : end.stdout;
  return { ...end, document: JSON.parse(last || 'null') as RunDocument & { error?: { message: string } } };
};
const start = async (...args: string[]) => {
  const flags = ['--snapshot', snapshotA, ...args, '--yes', '-o', 'json'];
  const end = await stage.starter(['start', ...stage.target, ...flags]);
  return { ...end, document: JSON.parse(end.stdout || 'null') as RunDocument };
};
const status = async (): Promise<RunStatus | undefined> => {
  const handle = stage.temporal.workflow.getHandle(rollbackWorkflowId(stage.diskId));
  return handle.query<RunStatus>('status').catch(() => undefined);
};
const until = (phase: string) =>
  eventually(
    `phase ${phase}`,
    async () => {
      const seen = await status();
      return seen?.phase === phase ? seen : undefined;
    },
    40,
  );
/** The end of the run, and every breach of an invariant from the call log and the state. */
async function judged(evidenceOf: Awaited<ReturnType<typeof gather>>, resets: 0 | 1, output = '-') {
  const { document } = await say('watch');
  const run = document.result ?? document.failure?.report ?? document.status;
  const evidence = await evidenceOf({
    workflowId: document.workflowId,
    runId: document.runId,
    snapshotId: snapshotA,
    resets,
    ledger: run?.ledger ?? [],
    leftovers: document.result?.leftovers ?? document.failure?.report?.leftovers ?? [],
    output,
  });
  return { run: document, broken: violations(evidence) };
}

const locked = { code: 'InstanceLockedForSecurity', status: 403, message: 'The instance is locked.' };
const fail = (action: string) => stage.control('POST', 'faults', { action, times: -1, error: locked });
const liftFaults = () => stage.control('DELETE', 'faults');

it('waits for the quorum, takes no approval of the one who asked, and lets approvals lapse when the world drifts', async () => {
  const evidenceOf = await gather(stage);
  const begun = await start('--approvals', '2', '--no-self-approval', '--requested-by', 'ada', '--detach');
  expect(begun, begun.stderr).toMatchObject({ exitCode: 0 });
  const { planHash = '' } = await until('awaiting-approval');
  const approve = (by: string) => say('approve', '--plan-hash', planHash, '--by', by, '--reason', 'INC-42', '--yes');

  expect(await approve('ada')).toMatchObject({
    exitCode: 3,
    document: { error: { message: expect.stringContaining('ada started this run') } },
  });
  expect(await approve('bob')).toMatchObject({ exitCode: 0 });
  expect(await approve('bob')).toMatchObject({ exitCode: 3 });
  expect((await status())?.phase).toBe('awaiting-approval');
  // Drift between the first approval and the last: what both approved is no longer there.
  await stage.control('POST', `disks/${stage.diskId}`, { category: 'cloud_ssd' });
  expect(await approve('eve')).toMatchObject({ exitCode: 0 });
  const again = await eventually(
    'the approvals of before to lapse',
    async () => {
      const seen = await status();
      return seen?.phase === 'awaiting-approval' && seen.planHash !== planHash ? seen : undefined;
    },
    30,
  );
  expect(again).toMatchObject({ approvals: [], resetHappened: 'no' });
  expect(
    (await stage.calls(evidenceOf.callsBefore)).filter(
      ({ action, tookEffect }) => tookEffect && action !== 'RunCommand',
    ),
  ).toEqual([]);

  const rejected = await say('reject', '--plan-hash', again.planHash ?? '', '--by', 'eve', '--reason', 'wrong disk');
  expect(rejected).toMatchObject({ exitCode: 0 });
  const { run, broken } = await judged(evidenceOf, 0);
  expect(run).toMatchObject({
    exitCode: 3,
    failure: { type: 'NotApproved', message: expect.stringContaining('rejected by eve: wrong disk') },
  });
  expect(broken).toEqual([]);
}, 120_000);

const bringBack = ['--path', '/data/uploads', '--on-failure', 'ask', '--detach'];

it('asks when a step fails for good after the reset; a retry goes on, with one reset', async () => {
  const evidenceOf = await gather(stage);
  await fail('AttachDisk');
  expect(await start(...bringBack)).toMatchObject({ exitCode: 0 });
  const asking = await until('needs-operator');
  expect(asking).toMatchObject({
    resetHappened: 'yes',
    waitingFor: { step: 'attachRecoveryDisk', choices: ['retry', 'skip', 'undo', 'abort'] },
  });
  expect(await say('resolve', 'force', '--reason', 'no such choice')).toMatchObject({ exitCode: 3 });
  // Not believed: nobody has attached it.
  expect(await say('resolve', 'skip', '--reason', 'done by hand')).toMatchObject({ exitCode: 0 });
  await eventually('the skip to be refused', async () => {
    const waiting = (await status())?.waitingFor;
    return waiting?.kind === 'operator' && waiting.note?.startsWith('skip was not followed') ? true : undefined;
  });
  await liftFaults();
  expect(await say('resolve', 'retry', '--reason', 'unlocked')).toMatchObject({ exitCode: 0 });
  const { run, broken } = await judged(evidenceOf, 1);
  expect(run).toMatchObject({ exitCode: 0, result: { outcome: 'completed' } });
  expect(broken).toEqual([]);
  await stage.keep('completed-after-decision', run);
}, 120_000);

it('ends where it stands on abort, with B kept and nothing left', async () => {
  const evidenceOf = await gather(stage);
  await fail('AttachDisk');
  await start(...bringBack);
  await until('needs-operator');
  expect(await say('resolve', 'abort', '--reason', 'later')).toMatchObject({ exitCode: 0 });
  const { run, broken } = await judged(evidenceOf, 1);
  await liftFaults();
  expect(run).toMatchObject({ exitCode: 5, result: { outcome: 'rolled-back-not-synced', leftovers: [] } });
  expect(broken).toEqual([]);
}, 120_000);

it('undoes on request: the disk goes back onto B by a run of its own', async () => {
  const evidenceOf = await gather(stage);
  await fail('AttachDisk');
  await start(...bringBack);
  await until('needs-operator');
  await liftFaults();
  expect(await say('resolve', 'undo', '--reason', 'wrong idea')).toMatchObject({ exitCode: 0 });
  const { document: run } = await say('watch');
  expect(run).toMatchObject({ exitCode: 1, result: { outcome: 'undone', leftovers: [] } });
  const calls = await stage.calls(evidenceOf.callsBefore);
  const resets = calls.filter(({ action, tookEffect }) => action === 'ResetDisk' && tookEffect);
  expect(resets.map(({ parameters }) => parameters['SnapshotId'])).toEqual([snapshotA, run.result?.safetySnapshotId]);
  expect(Object.values((await stage.state()).disks).filter(({ kind }) => kind === 'data')).toHaveLength(1);
  await stage.keep('undone', run);
}, 120_000);

it('stands still between two steps while it is paused, and goes on when resumed', async () => {
  const evidenceOf = await gather(stage);
  await stage.control('POST', 'holds', { resourceId: stage.instanceId });
  await start('--detach');
  await until('stopping');
  expect(await say('pause', '--by', 'ada', '--reason', 'hold on')).toMatchObject({ exitCode: 0 });
  await stage.control('DELETE', `holds/${stage.instanceId}`);
  await until('paused');
  expect((await stage.calls(evidenceOf.callsBefore)).map(({ action }) => action)).not.toContain('CreateSnapshot');
  expect(await say('resume', '--reason', 'go on')).toMatchObject({ exitCode: 0 });
  const { run, broken } = await judged(evidenceOf, 1);
  expect(run).toMatchObject({ exitCode: 0, result: { outcome: 'completed' } });
  expect(broken).toEqual([]);
}, 120_000);

it('undoes a finished run only with consent to lose what was written since', async () => {
  expect(await start()).toMatchObject({ exitCode: 0 });
  const calls = async () =>
    (await stage.calls()).filter(({ action, tookEffect }) => action === 'ResetDisk' && tookEffect);
  const before = (await calls()).length;
  const refused = await say('undo', '--yes');
  expect(refused.exitCode).toBe(3);
  expect(refused.stdout).toContain('"code": "DataSinceWouldBeLost"');
  expect(await calls()).toHaveLength(before);
  expect(await say('undo', '--accept-data-loss', '--yes')).toMatchObject({ exitCode: 0 });
  expect(await calls()).toHaveLength(before + 1);
}, 120_000);
