// Waits: what they see reaches the heartbeat, what is final ends them, a cancel ends them, nothing else does.
import { type ApplicationFailure, CancelledFailure } from '@temporalio/common';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ACTIVITY_FAILURE } from '../../src/contract/messages.ts';
import { activityEnvironment, type SimulatedCloud, simulatedCloud } from '../support/simulated-cloud.ts';

let cloud: SimulatedCloud;
beforeAll(async () => {
  cloud = await simulatedCloud();
});
afterAll(() => cloud?.close());

const snapshotOf = (run: string) =>
  cloud.run(() =>
    cloud.activities.createSafetySnapshot({
      run,
      workflowId: run,
      regionId: cloud.regionId,
      diskId: cloud.diskId,
      targetSnapshotId: 's-none',
      retentionDays: 1,
    }),
  );
const instance = () => ({ regionId: cloud.regionId, instanceId: cloud.instanceId });

test('a snapshot is waited for until it is accomplished, its progress in the heartbeats', async () => {
  await cloud.freeze();
  const { snapshotId } = await snapshotOf('wait-1');
  const env = activityEnvironment();
  const beats: Array<Record<string, unknown>> = [];
  env.on('heartbeat', (details: Record<string, unknown>) => {
    beats.push(details);
    if (details['status'] === 'progressing') void cloud.thaw();
  });
  const done = await cloud.run(
    () => cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId }),
    { env },
  );
  expect(done.createdAt).toMatch(/^\d{4}-\d\d-\d\dT/);
  expect((await cloud.region.snapshots([snapshotId])).get(snapshotId)?.status).toBe('accomplished');
  expect(beats.some((beat) => beat['status'] === 'progressing')).toBe(true);
  expect(beats.at(-1)).toMatchObject({ snapshotId, status: 'accomplished', progressPercent: 100 });
});

test('a snapshot that fails ends the wait for good', async () => {
  await cloud.freeze();
  const { snapshotId } = await snapshotOf('wait-2');
  await cloud.control('POST', `snapshots/${snapshotId}`, { doomed: true });
  await cloud.thaw();
  const failure = await cloud
    .run(() => cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId }))
    .catch((error: ApplicationFailure) => error);
  expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.snapshotFailed, nonRetryable: true });
});

test('a wait that is stuck ends with a cancel', async () => {
  await cloud.control('POST', 'holds', { resourceId: cloud.instanceId });
  await cloud.run(() => cloud.activities.stopInstance({ ...instance(), force: false }));
  const env = activityEnvironment();
  env.on('heartbeat', (details: { status?: string }) => {
    if (details.status === 'Stopping') env.cancel('CANCELLED');
  });
  const ended = await cloud
    .run(() => cloud.activities.awaitInstanceStopped(instance()), { env })
    .catch((error: unknown) => error);
  expect(ended).toBeInstanceOf(CancelledFailure);
  await cloud.control('DELETE', `holds/${cloud.instanceId}`);
  await cloud.run(() => cloud.activities.awaitInstanceStopped(instance()));
});

test('credentials that are refused do not end a wait: a human may mend them', async () => {
  await cloud.control('POST', 'faults', {
    action: 'DescribeInstances',
    error: { code: 'InvalidAccessKeyId.NotFound', status: 400 },
  });
  const failure = await cloud
    .run(() => cloud.activities.awaitInstanceRunning(instance()))
    .catch((error: ApplicationFailure) => error);
  expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.credentials, nonRetryable: false, nextRetryDelay: 30_000 });
});

test.each(['ReIniting', 'In_use'])('a reset is waited for although the disk reads %s meanwhile', async (status) => {
  const { snapshotId } = await snapshotOf(`reset-${status}`);
  await cloud.run(() => cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId }));
  await cloud.control('POST', 'switches', { statusDuringReset: status });
  const input = {
    run: 'r',
    ...instance(),
    diskId: cloud.diskId,
    targetSnapshotId: snapshotId,
    safetySnapshotId: snapshotId,
  };
  await cloud.control('POST', 'holds', { resourceId: cloud.diskId });
  await cloud.run(() => cloud.activities.resetDisk(input));
  expect((await cloud.region.disks([cloud.diskId])).get(cloud.diskId)?.status).toBe(status);
  expect(await cloud.region.probeReset(cloud.diskId, snapshotId)).toBe('in-progress');
  // Looked at more often than would do for an end, before there is one.
  const env = activityEnvironment();
  let looks = 0;
  let released: Promise<unknown> | undefined;
  env.on('heartbeat', (seen: { status?: string; reset?: string }) => {
    looks += seen.status === 'ReIniting' || seen.reset === 'in-progress' ? 1 : 0;
    if (looks === (status === 'ReIniting' ? 1 : 3)) released ??= cloud.control('DELETE', `holds/${cloud.diskId}`);
  });
  await cloud.run(() => cloud.activities.awaitResetEnded(input), { env });
  await released;
  expect(await cloud.region.probeReset(cloud.diskId, snapshotId)).toBe('idle');
});
