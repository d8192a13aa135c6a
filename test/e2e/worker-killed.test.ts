/**
 * The moments a sync must survive: its worker is killed in mid-copy and another takes over; a human cancels in mid-copy.
 * The copy job is held still in the guest meanwhile, so that both surely happen while it is at work.
 */
import { randomBytes } from 'node:crypto';
import { readFile, readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { defaultDataConverter } from '@temporalio/common';
import { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rollbackWorkflowId } from '../../src/contract/ids.ts';
import type { CopyStatusResult } from '../../src/guest/scripts.ts';
import { below, type Manifest, notBelow } from './guest.ts';
import { type Evidence, violations } from './invariants.ts';
import { eventually, openStage, type RunDocument, type Stage } from './stage.ts';

const PATHS = ['/data/uploads', '/data/many'];
const MANY = 3_000;

const marker = `content-${randomBytes(9).toString('hex')}`;
let stage: Stage;
let snapshotA: string;
let atA: Manifest;
let beforeRun: Manifest;

beforeAll(async () => {
  stage = await openStage({ dataPlane: 'vm' });
  await stage.guest.runFile('tree', { MARKER: marker });
  atA = await stage.guest.manifest();
  snapshotA = await stage.snapshot('nightly');
  await stage.guest.runFile('many-files', { MARKER: marker });
  beforeRun = await stage.guest.manifest();
}, 280_000);

afterAll(() => stage?.close());

it('goes on with a new worker where the killed one was, with the same copy job', async () => {
  const { before, callsBefore } = await look();
  const starter = stage.starter(startArgs());
  const first = await inMidCopy();
  const [held, ...others] = await copyJobs('STOP');
  expect(others).toEqual([]);
  expect(held, 'the copy ended before it could be held: it must be longer').toBeDefined();

  const worker = stage.stack.worker;
  if (worker === undefined) throw new Error('the stack has no worker');
  process.kill(worker.pid, 'SIGKILL');
  await worker.ended;
  await stage.stack.startWorker('second-worker');
  const taken = await inMidCopy((progress) => progress.attempt > first.attempt);
  expect(taken.status.filesTotal).toBe(first.status.filesTotal);
  const jobs = await copyJobs('CONT');
  expect(jobs.map(([pid]) => pid)).toEqual([held?.[0]]);

  const end = await starter;
  expect(end, end.stderr).toMatchObject({ exitCode: 0 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run.result).toMatchObject({ outcome: 'completed', receipt: { verified: true } });
  const after = await stage.guest.manifest();
  expect(below(after, PATHS)).toEqual(below(beforeRun, PATHS));
  expect(notBelow(after, PATHS)).toEqual(notBelow(atA, PATHS));
  expect(await manyFiles()).toEqual({ same: MANY, other: 0 });

  const calls = await stage.calls(callsBefore);
  const started = calls.filter(({ parameters }) => parameters['Name'] === 'ecs-rollback-copy-start');
  expect(started).toHaveLength(1);
  expect(violations(await evidenceOf(run, before, calls, { [`starter's output`]: end.stdout }))).toEqual([]);
}, 240_000);

it('ends well when it is cancelled in mid-copy', async () => {
  const { before, callsBefore } = await look();
  const starter = stage.starter(startArgs());
  await inMidCopy();
  expect(await copyJobs('STOP')).toHaveLength(1);
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

  const calls = await stage.calls(callsBefore);
  expect(violations(await evidenceOf(run, before, calls, { [`starter's output`]: end.stdout }))).toEqual([]);
}, 240_000);

const startArgs = () => [
  'start',
  ...stage.target,
  '--snapshot',
  snapshotA,
  ...PATHS.flatMap((path) => ['--path', path]),
  '--conflict',
  'take-b',
  '--yes',
  '-o',
  'json',
];

const manyFiles = async () =>
  JSON.parse(await stage.guest.runFile('count-many-files')) as { same: number; other: number };

async function look() {
  return { before: await stage.state(), callsBefore: (await stage.calls()).length };
}

interface CopyInProgress {
  readonly attempt: number;
  readonly status: CopyStatusResult;
}

/** Waits for a heartbeat of the copy's wait that says that it is at work. */
async function inMidCopy(also: (progress: CopyInProgress) => boolean = () => true): Promise<CopyInProgress> {
  const handle = stage.temporal.workflow.getHandle(rollbackWorkflowId(stage.diskId));
  return eventually('a heartbeat in mid-copy', async () => {
    const { raw } = await handle.describe().catch(() => ({ raw: undefined }));
    const wait = raw?.pendingActivities?.find(({ activityType }) => activityType?.name === 'awaitCopy');
    const [status] = (await decodeArrayFromPayloads(defaultDataConverter, wait?.heartbeatDetails?.payloads)) as Array<
      CopyStatusResult | undefined
    >;
    const progress = status && { attempt: wait?.attempt ?? 1, status };
    return progress?.status.stage === 'copying' && also(progress) ? progress : undefined;
  });
}

/** Process id and progress of each copy job in the guest, after sending it a signal. */
async function copyJobs(signal: 'STOP' | 'CONT'): Promise<string[][]> {
  const printed = await stage.guest.runFile('copy-jobs', { SIGNAL: signal });
  return printed
    .split('\n')
    .filter(Boolean)
    .map((line) => line.split(' '));
}

async function evidenceOf(
  run: RunDocument,
  before: Evidence['before'],
  calls: Evidence['calls'],
  texts: Evidence['texts'],
): Promise<Evidence> {
  const logs = (await readdir(stage.stack.processes.logDir)).filter((name) => name.includes('worker'));
  const workerLogs = await Promise.all(
    logs.map(async (name) => [name, await readFile(join(stage.stack.processes.logDir, name), 'utf8')] as const),
  );
  return {
    diskId: stage.diskId,
    instanceId: stage.instanceId,
    snapshotId: snapshotA,
    before,
    after: await stage.state(),
    calls,
    resets: 1,
    power: 'Running',
    ledger: run.result?.ledger ?? run.status?.ledger ?? [],
    leftovers: run.result?.leftovers ?? [],
    inGuest: await stage.guest.leftovers(),
    texts: {
      ...texts,
      ...Object.fromEntries(workerLogs),
      history: await stage.history(run.workflowId, run.runId),
    },
    secrets: [stage.stack.simulator.accessKeySecret, marker],
  };
}
