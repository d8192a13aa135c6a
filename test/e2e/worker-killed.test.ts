/**
 * The moments a sync must survive: its worker is killed in mid-copy and another takes over; a human cancels in mid-copy
 * and brings the rest back later. The copy job is held still in the guest meanwhile, so that it surely is at work then.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rollbackWorkflowId } from '../../src/contract/ids.ts';
import { factsOf, gather } from './evidence.ts';
import { whyNoLoopDevices } from '../support/loop-devices.ts';
import { below, type Manifest, notBelow } from './guest.ts';
import { violations } from '../support/invariants.ts';
import { eventually, openStage, type RunDocument, type Stage } from './stage.ts';

const PATHS = ['/data/uploads'];
// Nothing here depends on the machine being a virtual one, so the quick one is taken where it can be had; the files are
// so many that at 2 MiB/s their copy is met in the middle.
const dataPlane = whyNoLoopDevices() === undefined ? 'loop' : 'vm';
const MANY = 5_000;

const marker = `content-${randomBytes(9).toString('hex')}`;
let stage: Stage;
let snapshotA: string;
let snapshotB: string | undefined;
let atA: Manifest;
let beforeRun: Manifest;

beforeAll(async () => {
  stage = await openStage({ dataPlane });
  await stage.guest.runFile('tree', { MARKER: marker });
  // A folder that A has, too, so that its files come back one by one: a new one comes whole.
  await stage.guest.run('#!/bin/sh\nmkdir /data/uploads/many');
  atA = await stage.guest.manifest();
  snapshotA = await stage.snapshot('nightly');
  await stage.guest.runFile('many-files', { MARKER: marker, MANY: String(MANY) });
  beforeRun = await stage.guest.manifest();
}, 280_000);

afterAll(() => stage?.close());

it('goes on with a new worker where the killed one was, with the same copy job', async () => {
  const evidenceOf = await gather(stage);
  const starter = stage.starter(startArgs());
  const held = await holdCopy(evidenceOf.callsBefore);
  expect(held).toHaveLength(1);

  const worker = stage.stack.worker;
  if (worker === undefined) throw new Error('the stack has no worker');
  process.kill(worker.pid, 'SIGKILL');
  await worker.ended;
  await stage.stack.startWorker('second-worker');
  await eventually('the second worker to wait for the copy', async () => {
    const { raw } = await stage.temporal.workflow.getHandle(rollbackWorkflowId(stage.diskId)).describe();
    const wait = raw.pendingActivities?.find(({ activityType }) => activityType?.name === 'awaitCopy');
    return (wait?.attempt ?? 1) > 1 && wait?.lastHeartbeatTime ? true : undefined;
  });
  // The very same process: nobody has started the copy a second time.
  expect(await copyJobs('CONT')).toEqual(held);

  const end = await starter;
  expect(end, end.stderr).toMatchObject({ exitCode: 0 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run.result).toMatchObject({ outcome: 'completed', receipt: { verified: true } });
  const after = await stage.guest.manifest();
  expect(below(after, PATHS)).toEqual(below(beforeRun, PATHS));
  expect(notBelow(after, PATHS)).toEqual(notBelow(atA, PATHS));
  expect(await manyFiles()).toEqual({ same: MANY, other: 0 });

  const evidence = await evidenceOf({ ...factsOf(run, end, snapshotA), marker, resets: 1 });
  const started = evidence.calls.filter(({ parameters }) => parameters['Name'] === 'ecs-rollback-copy-start');
  expect(started).toHaveLength(1);
  expect(violations(evidence)).toEqual([]);
  await stage.keep('completed-worker-killed', run);
}, 360_000);

it('ends well when it is cancelled in mid-copy', async () => {
  const evidenceOf = await gather(stage);
  const starter = stage.starter(startArgs());
  expect(await holdCopy(evidenceOf.callsBefore)).toHaveLength(1);
  const cancel = await stage.starter(['cancel', stage.diskId, '-o', 'json']);
  expect(JSON.parse(cancel.stdout)).toMatchObject({
    cancelRequested: true,
    cancelPreview: expect.stringContaining('release the recovery disk'),
  });

  const end = await starter;
  expect(end, end.stderr).toMatchObject({ exitCode: 1 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run).toMatchObject({ execution: 'cancelled', status: { phase: 'cancelled', resetHappened: 'yes' } });
  expect(run.status?.ledger).toMatchObject([
    { kind: 'snapshot', state: 'kept' },
    { kind: 'disk', state: 'released' },
  ]);
  // At A, with those of the files that had been copied, each of them whole.
  const after = await stage.guest.manifest();
  expect(notBelow(after, PATHS)).toEqual(notBelow(atA, PATHS));
  const copied = await manyFiles();
  expect(copied).toMatchObject({ other: 0 });
  expect(copied.same).toBeGreaterThan(0);
  expect(copied.same).toBeLessThan(MANY);

  const evidence = await evidenceOf({ ...factsOf(run, end, snapshotA), marker, resets: 1 });
  expect(violations(evidence)).toEqual([]);
  await stage.keep('cancelled-in-mid-copy', run);
  snapshotB = run.status?.safetySnapshotId;
}, 360_000);

it('brings the rest back with a sync from snapshot B', async () => {
  if (snapshotB === undefined) throw new Error('the cancelled run has left no snapshot B');
  const evidenceOf = await gather(stage);
  const end = await stage.starter(startArgs('sync', snapshotB));
  expect(end, end.stderr).toMatchObject({ exitCode: 0 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run.result).toMatchObject({ outcome: 'completed', receipt: { verified: true } });
  const after = await stage.guest.manifest();
  expect(below(after, PATHS)).toEqual(below(beforeRun, PATHS));
  expect(notBelow(after, PATHS)).toEqual(notBelow(atA, PATHS));
  expect(await manyFiles()).toEqual({ same: MANY, other: 0 });

  const evidence = await evidenceOf({ ...factsOf(run, end, snapshotB), marker, resets: 0 });
  expect(violations(evidence)).toEqual([]);
  await stage.keep('completed-sync', run);
}, 360_000);

const startArgs = (command = 'start', snapshotId = snapshotA) => [
  command,
  ...stage.target,
  '--snapshot',
  snapshotId,
  ...PATHS.flatMap((path) => ['--path', path]),
  '--conflict',
  'take-b',
  '--max-rate',
  '2',
  '--yes',
  '-o',
  'json',
];

const manyFiles = async () =>
  JSON.parse(await stage.guest.runFile('count-many-files')) as { same: number; other: number };

/** Waits for the run's copy to start, and holds it still in the middle. */
async function holdCopy(callsBefore: number): Promise<string[]> {
  await eventually('the start of the copy', async () => {
    const scripts = (await stage.calls(callsBefore)).map(({ parameters }) => parameters['Name']);
    return scripts.includes('ecs-rollback-copy-status') ? true : undefined;
  });
  return copyJobs('STOP');
}

/** Process id and stage of each copy job in the guest, after sending it a signal. */
async function copyJobs(signal: 'STOP' | 'CONT'): Promise<string[]> {
  return (await stage.guest.runFile('copy-jobs', { SIGNAL: signal })).split('\n').filter(Boolean);
}
