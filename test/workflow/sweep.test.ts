/**
 * The sweep with the product's own activities on a simulated cloud without machines, and a real Temporal server that knows
 * which runs are open. Scripts in the guest answer as the test says.
 */
import { randomUUID } from 'node:crypto';
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/index.ts';
import { leaseWorkflowId } from '../../src/contract/ids.ts';
import type { SweepRequest, SweepResult } from '../../src/contract/sweep.ts';
import { type SimulatedCloud, simulatedCloud } from '../support/simulated-cloud.ts';
import { withWorker } from '../support/spare-workers.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
let cloud: SimulatedCloud;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());
beforeEach(async () => {
  cloud = await simulatedCloud({ speed: 400 });
  await cloud.control('POST', 'durations', { hydration: 0 });
});
afterEach(() => cloud?.close());

/** A run that Temporal knows: a workflow that no worker takes up. */
async function openRun(): Promise<{ run: string; workflowId: string; terminate(): Promise<unknown> }> {
  const workflowId = `rollback-${randomUUID()}`;
  const handle = await env.client.workflow.start('rollbackDisk', {
    taskQueue: `nobody-${randomUUID()}`,
    workflowId,
    args: [{}],
  });
  return { run: handle.firstExecutionRunId, workflowId, terminate: () => handle.terminate('for the test') };
}

interface Identity {
  readonly run: string;
  readonly workflowId: string;
}

const identityOf = ({ run, workflowId }: Identity): Identity => ({ run, workflowId });

async function snapshotOf(identity: Identity, purpose: 'safety-snapshot' | 'warm-up-snapshot'): Promise<string> {
  const { snapshotId } = await cloud.run(() =>
    cloud.activities.createSafetySnapshot({
      ...identityOf(identity),
      regionId: cloud.regionId,
      diskId: cloud.diskId,
      targetSnapshotId: 's-none',
      retentionDays: 30,
      purpose,
      expiresAt: '2026-12-22T02:00:00Z',
    }),
  );
  await cloud.run(() => cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId }));
  return snapshotId;
}

async function recoveryDiskOf(identity: Identity, snapshotId: string, expiresAt?: string): Promise<string> {
  const { diskId } = await cloud.run(() =>
    cloud.activities.createRecoveryDisk({
      ...identityOf(identity),
      regionId: cloud.regionId,
      snapshotId,
      snapshotSizeGiB: 20,
      like: {
        id: cloud.diskId,
        sizeGiB: 20,
        category: 'cloud_essd',
        kind: 'data',
        zoneId: 'cn-hangzhou-h',
        encrypted: false,
        serial: '',
      },
      ...(expiresAt === undefined ? {} : { expiresAt }),
    }),
  );
  await cloud.run(() => cloud.activities.awaitRecoveryDiskAvailable(refTo(identity, diskId)));
  return diskId;
}

const refTo = (identity: Identity, recoveryDiskId: string) => ({
  run: identity.run,
  regionId: cloud.regionId,
  instanceId: cloud.instanceId,
  originalDiskId: cloud.diskId,
  recoveryDiskId,
});

async function attached(identity: Identity, diskId: string): Promise<void> {
  await cloud.run(() => cloud.activities.attachRecoveryDisk(refTo(identity, diskId)));
  await cloud.run(() => cloud.activities.awaitRecoveryDiskAttached(refTo(identity, diskId)));
}

const guestSays = (script: string, result: object) =>
  cloud.control('POST', 'guest-answers', {
    contains: `guest script ${script}`,
    output: JSON.stringify({ ok: true, result }),
  });

/** Runs a sweep to its end; `over` replaces activities. */
async function sweep(
  request: Omit<SweepRequest, 'regionId'>,
  over: Partial<Activities> = {},
): Promise<SweepResult & { details: string }> {
  return withWorker(env, { ...cloud.activities, ...over }, async (taskQueue) => {
    const handle = await env.client.workflow.start('sweep', {
      taskQueue,
      workflowId: `sweep-${randomUUID()}`,
      args: [{ regionId: cloud.regionId, ...request }],
    });
    const result = (await handle.result()) as SweepResult;
    const { currentDetails } = await handle.query<{ currentDetails?: string }>('__temporal_workflow_metadata');
    return { ...result, details: currentDetails ?? '' };
  });
}
const rowsById = (result: SweepResult) => new Map(result.rows.map((row) => [row.id, row]));
const there = async (id: string) =>
  id.startsWith('d-') ? (await cloud.region.disks([id])).has(id) : (await cloud.region.snapshots([id])).has(id);
const effects = async (action: string) => (await cloud.calls(action)).filter((call) => call.tookEffect).length;

describe('what a terminated run has left', () => {
  test('is shown by default, and nothing is changed', async () => {
    const run = await openRun();
    const b = await snapshotOf(run, 'safety-snapshot');
    const warmUp = await snapshotOf(run, 'warm-up-snapshot');
    const disk = await recoveryDiskOf(run, b, '2026-11-29T02:00:00Z');
    await run.terminate();

    const result = await sweep({});
    expect(rowsById(result).get(disk)).toMatchObject({
      kind: 'disk',
      purpose: 'recovery-disk',
      runId: run.run,
      workflowId: run.workflowId,
      sizeGiB: 20,
      attachedTo: [],
      expiresAt: '2026-11-29T02:00:00Z',
      verdict: 'would-delete',
    });
    expect(rowsById(result).get(warmUp)).toMatchObject({ kind: 'snapshot', verdict: 'would-delete' });
    expect(rowsById(result).get(b)).toMatchObject({
      verdict: 'kept',
      reason: expect.stringMatching(/a safety snapshot is never swept/),
    });
    expect(result).toMatchObject({ deleted: 0, notShown: 0 });
    for (const id of [disk, warmUp, b]) expect(await there(id)).toBe(true);
    expect(result.details).toContain(`\`${disk}\``);
    expect(result.details).toContain('would-delete');
  });

  test('is deleted when asked, but for snapshot B', async () => {
    const run = await openRun();
    const b = await snapshotOf(run, 'safety-snapshot');
    const warmUp = await snapshotOf(run, 'warm-up-snapshot');
    const disk = await recoveryDiskOf(run, b);
    await run.terminate();

    const result = await sweep({ delete: true });
    expect(result.deleted).toBe(2);
    expect(rowsById(result).get(disk)?.verdict).toBe('deleted');
    expect(rowsById(result).get(warmUp)?.verdict).toBe('deleted');
    expect(await Promise.all([disk, warmUp, b].map(there))).toEqual([false, false, true]);
    expect(result.summary).toMatch(/2 leftovers deleted, 0 temporary things kept; 1 safety snapshot left/);
    expect((await sweep({ delete: true })).deleted).toBe(0);
  });

  test('is unmounted, detached and deleted when it is to be released', async () => {
    const run = await openRun();
    const disk = await recoveryDiskOf(run, await snapshotOf(run, 'safety-snapshot'));
    await attached(run, disk);
    await run.terminate();
    const kept = rowsById(await sweep({ delete: true })).get(disk);
    expect(kept).toMatchObject({ verdict: 'kept', attachedTo: [cloud.instanceId] });
    expect(await effects('DetachDisk')).toBe(0);

    await guestSays('unmount', { unmounted: 1 });
    await guestSays('original-in-place', {});
    await guestSays('disk-use', { uses: [] });
    const freed = await sweep({ delete: true, releaseAttached: true });
    expect(rowsById(freed).get(disk)?.verdict).toBe('deleted');
    expect(await there(disk)).toBe(false);
    expect(await cloud.calls('RunCommand')).toHaveLength(3);
    expect((await cloud.calls('DetachDisk')).filter((call) => call.tookEffect)).toMatchObject([
      { parameters: { DiskId: disk, InstanceId: cloud.instanceId } },
    ]);
  });

  test('stays attached while somebody uses it in the guest', async () => {
    const run = await openRun();
    const disk = await recoveryDiskOf(run, await snapshotOf(run, 'safety-snapshot'));
    await attached(run, disk);
    await run.terminate();
    await guestSays('unmount', { unmounted: 0 });
    await guestSays('original-in-place', {});
    await guestSays('disk-use', { uses: ['mounted at /mnt/look'] });
    const result = await sweep({ delete: true, releaseAttached: true });
    expect(rowsById(result).get(disk)).toMatchObject({
      verdict: 'kept',
      reason: expect.stringMatching(/somebody else uses it.*\/mnt\/look/),
    });
    expect(await effects('DetachDisk')).toBe(0);
  });

  test('stays attached while another run works on the instance', async () => {
    const run = await openRun();
    const disk = await recoveryDiskOf(run, await snapshotOf(run, 'safety-snapshot'));
    await attached(run, disk);
    await run.terminate();
    const lease = await env.client.workflow.start('anything', {
      taskQueue: `nobody-${randomUUID()}`,
      workflowId: leaseWorkflowId(cloud.instanceId),
    });
    try {
      const row = rowsById(await sweep({ delete: true, releaseAttached: true })).get(disk);
      expect(row).toMatchObject({ verdict: 'kept', reason: expect.stringMatching(/^run lease\/.* works on /) });
    } finally {
      await lease.terminate();
    }
    expect(await effects('DetachDisk')).toBe(0);
  });

  test('is deleted once although every reply is lost', async () => {
    const run = await openRun();
    const disk = await recoveryDiskOf(run, await snapshotOf(run, 'safety-snapshot'));
    await attached(run, disk);
    const warmUp = await snapshotOf(run, 'warm-up-snapshot');
    await run.terminate();
    await guestSays('unmount', { unmounted: 1 });
    await guestSays('original-in-place', {});
    await guestSays('disk-use', { uses: [] });
    for (const action of ['DetachDisk', 'DeleteDisk', 'DeleteSnapshot']) {
      await cloud.control('POST', 'faults', { action, answer: 'lost' });
    }
    const result = await sweep({ delete: true, releaseAttached: true });
    expect(result.deleted).toBe(2);
    for (const action of ['DetachDisk', 'DeleteDisk', 'DeleteSnapshot']) expect(await effects(action)).toBe(1);
    expect(await Promise.all([disk, warmUp].map(there))).toEqual([false, false]);
  });
});

describe('a sweep leaves alone', () => {
  test('what an open run has made, and what is younger than asked', async () => {
    const run = await openRun();
    const disk = await recoveryDiskOf(run, await snapshotOf(run, 'safety-snapshot'));
    expect(rowsById(await sweep({ delete: true })).get(disk)).toMatchObject({
      verdict: 'kept',
      reason: `run ${run.workflowId} is open`,
    });
    await run.terminate();
    expect(rowsById(await sweep({ delete: true, minAgeSeconds: 3_600 })).get(disk)).toMatchObject({
      verdict: 'kept',
      reason: expect.stringMatching(/younger than 3600 s/),
    });
    expect(await there(disk)).toBe(true);
  });

  test('what a run of another Temporal may have made, until it has expired', async () => {
    const elsewhere = { run: randomUUID(), workflowId: `rollback-${randomUUID()}` };
    const b = await snapshotOf(elsewhere, 'safety-snapshot');
    const disk = await recoveryDiskOf(elsewhere, b, '2999-01-01T00:00:00Z');
    const noRun = { run: 'not the id of a run', workflowId: 'rollback-by-hand' };
    const odd = await recoveryDiskOf(noRun, b);
    const old = await recoveryDiskOf({ ...elsewhere, run: randomUUID() }, b, '2020-01-01T00:00:00Z');
    const rows = rowsById(await sweep({ delete: true }));
    for (const id of [disk, odd]) {
      expect(rows.get(id)).toMatchObject({
        verdict: 'kept',
        reason: expect.stringMatching(/this Temporal namespace knows no run/),
      });
    }
    expect(rows.get(old)).toMatchObject({ verdict: 'deleted' });
  });

  test('a disk that a run has rolled back, whatever its tags say', async () => {
    const run = await openRun();
    const disk = await recoveryDiskOf(run, await snapshotOf(run, 'safety-snapshot'));
    await attached(run, disk);
    const taken = await cloud.run(() =>
      cloud.activities.createSafetySnapshot({
        run: 'later',
        workflowId: 'later',
        regionId: cloud.regionId,
        diskId: disk,
        targetSnapshotId: 's-none',
        retentionDays: 1,
      }),
    );
    await cloud.run(() =>
      cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId: taken.snapshotId }),
    );
    await cloud.run(() => cloud.activities.detachRecoveryDisk(refTo(run, disk)));
    await cloud.run(() => cloud.activities.awaitRecoveryDiskDetached(refTo(run, disk)));
    await run.terminate();
    expect(rowsById(await sweep({ delete: true })).get(disk)).toMatchObject({
      verdict: 'kept',
      reason: `it is an original disk: ${taken.snapshotId} was taken of it by a run`,
    });
  });

  test('what changes between the look and the deletion: the activity asks the rules again', async () => {
    const run = await openRun();
    const disk = await recoveryDiskOf(run, await snapshotOf(run, 'safety-snapshot'));
    await run.terminate();
    const { findLeftovers } = cloud.activities;
    const result = await sweep(
      { delete: true },
      {
        findLeftovers: async (input) => {
          const found = await findLeftovers(input);
          await attached(run, disk);
          return found;
        },
      },
    );
    expect(rowsById(result).get(disk)).toMatchObject({
      verdict: 'kept',
      reason: expect.stringMatching(/is left alone: it is attached to/),
    });
    expect(await there(disk)).toBe(true);
    expect(await effects('DeleteDisk')).toBe(0);
  });

  test('a warm-up snapshot while any run holds the instance of its disk: that may go back to it', async () => {
    const run = await openRun();
    const warmUp = await snapshotOf(run, 'warm-up-snapshot');
    await run.terminate();
    const lease = await env.client.workflow.start('anything', {
      taskQueue: `nobody-${randomUUID()}`,
      workflowId: leaseWorkflowId(cloud.instanceId),
    });
    try {
      expect(rowsById(await sweep({ delete: true })).get(warmUp)).toMatchObject({
        verdict: 'kept',
        reason: `run ${leaseWorkflowId(cloud.instanceId)} is open`,
      });
    } finally {
      await lease.terminate();
    }
    expect(await effects('DeleteSnapshot')).toBe(0);
  });

  test('a locked warm-up snapshot, and says what the cloud said', async () => {
    const run = await openRun();
    const warmUp = await snapshotOf(run, 'warm-up-snapshot');
    await cloud.region.lockSnapshot({ snapshotId: warmUp, days: 1, clientToken: randomUUID() });
    await run.terminate();
    expect(rowsById(await sweep({ delete: true })).get(warmUp)).toMatchObject({
      verdict: 'kept',
      reason: expect.stringMatching(/DeleteSnapshot .* is locked/),
    });
  });
});

test('bad input is refused in one line', async () => {
  await expect(sweep({ minAgeSeconds: -1 })).rejects.toMatchObject({
    cause: { message: expect.stringMatching(/^invalid input: minAgeSeconds /), type: 'InvalidInput' },
  });
});
