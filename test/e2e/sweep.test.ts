/**
 * A run is terminated in mid-copy: its recovery disk stays attached and mounted, its copy job at work. A sweep frees it all,
 * and nothing else. On loop devices where this user may, else in an emulated guest.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { DEFAULT_TASK_QUEUE, rollbackWorkflowId, sweepWorkflowId } from '../../src/contract/ids.ts';
import { WORKFLOW_TYPE } from '../../src/contract/messages.ts';
import type { RunStatus } from '../../src/contract/rollback.ts';
import type { SweepRequest, SweepResult } from '../../src/contract/sweep.ts';
import { violations } from '../support/invariants.ts';
import { whyNoLoopDevices } from '../support/loop-devices.ts';
import { gather } from './evidence.ts';
import { eventually, openStage, type Stage } from './stage.ts';

const dataPlane = whyNoLoopDevices() === undefined ? 'loop' : 'vm';
// So many that at 1 MiB/s their copy is met in the middle.
const MANY = '5000';
const marker = `content-${randomBytes(9).toString('hex')}`;
let stage: Stage;
let snapshotA: string;

beforeAll(async () => {
  stage = await openStage({ dataPlane });
  await stage.guest.runFile('tree', { MARKER: marker });
  // A folder that A has, too, so that its files come back one by one: a new one comes whole.
  await stage.guest.run('#!/bin/sh\nmkdir /data/uploads/many');
  snapshotA = await stage.snapshot('nightly');
  await stage.guest.runFile('many-files', { MARKER: marker, MANY });
}, 280_000);

afterAll(() => stage?.close());

async function sweep(over: Omit<SweepRequest, 'regionId'>) {
  const { regionId } = stage.stack.simulator;
  const handle = await stage.temporal.workflow.start(WORKFLOW_TYPE.sweep, {
    taskQueue: DEFAULT_TASK_QUEUE,
    workflowId: sweepWorkflowId(regionId),
    args: [{ regionId, ...over }],
  });
  const result = (await handle.result()) as SweepResult;
  return { result, workflowId: handle.workflowId, runId: handle.firstExecutionRunId };
}

it('frees what a run that was terminated in mid-copy has left', async () => {
  const evidenceOf = await gather(stage);
  const what = ['--snapshot', snapshotA, '--path', '/data/uploads', '--conflict', 'take-b', '--max-rate', '1'];
  const starter = stage.starter(['start', ...stage.target, ...what, '--yes', '-o', 'json']);
  await eventually('the start of the copy', async () => {
    const scripts = (await stage.calls(evidenceOf.callsBefore)).map(({ parameters }) => parameters['Name']);
    return scripts.includes('ecs-rollback-copy-status') ? true : undefined;
  });
  // Held still, so that it is surely at work when the run ends.
  expect((await stage.guest.runFile('copy-jobs', { SIGNAL: 'STOP' })).trim()).toMatch(/^\d+ copying/);
  const workflowId = rollbackWorkflowId(stage.diskId);
  const run = stage.temporal.workflow.getHandle(workflowId);
  const { ledger, recoveryDiskId = '', safetySnapshotId = '' } = await run.query<RunStatus>('status');
  const { runId } = await run.describe();

  // While the run is open, nothing of it is touched.
  const whileOpen = await sweep({ delete: true, releaseAttached: true });
  expect(whileOpen.result.rows).toMatchObject([
    { id: recoveryDiskId, verdict: 'kept', reason: `run ${workflowId} is open` },
    { id: safetySnapshotId, verdict: 'kept' },
  ]);

  await run.terminate('the test: somebody ends it by hand');
  const end = await starter;
  expect(await stage.guest.run('grep -c " /run/ecs-rollback/.*/mnt/" /proc/mounts')).toBe('1\n');

  const looking = await sweep({});
  expect(looking.result.rows[0]).toMatchObject({
    id: recoveryDiskId,
    purpose: 'recovery-disk',
    runId,
    workflowId,
    attachedTo: [stage.instanceId],
    verdict: 'kept',
    reason: expect.stringContaining('a sweep that releases would free it'),
  });

  const swept = await sweep({ delete: true, releaseAttached: true });
  expect(swept.result).toMatchObject({ deleted: 1, rows: [{ id: recoveryDiskId, verdict: 'deleted' }, {}] });
  const evidence = await evidenceOf({
    workflowId,
    runId,
    snapshotId: snapshotA,
    resets: 1,
    ledger,
    leftovers: [],
    output: end.stdout + end.stderr,
    marker,
  });
  expect(violations(evidence)).toEqual([]);
  expect(evidence.after.snapshots[safetySnapshotId]?.status).toBe('accomplished');
  expect(evidence.after.disks[recoveryDiskId]).toBeUndefined();
  expect(await stage.history(swept.workflowId, swept.runId)).not.toContain(marker);
  await stage.keep('swept', swept);
}, 360_000);
