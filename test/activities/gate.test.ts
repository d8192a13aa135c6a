// The gate before ResetDisk: each thing that the reset depends on closes it by itself, and it opens again when that is mended.
import type { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ACTIVITY_FAILURE } from '../../src/contract/messages.ts';
import { type SimulatedCloud, simulatedCloud } from '../support/simulated-cloud.ts';

const RUN = { run: 'run-1', workflowId: 'rollback-d-1' };
let cloud: SimulatedCloud;
let targetSnapshotId: string;
let safetySnapshotId: string;

const instance = () => ({ regionId: cloud.regionId, instanceId: cloud.instanceId });
const create = async (of: typeof RUN): Promise<string> => {
  const { snapshotId } = await cloud.run(() =>
    cloud.activities.createSafetySnapshot({
      ...of,
      regionId: cloud.regionId,
      diskId: cloud.diskId,
      targetSnapshotId: 's-none',
      retentionDays: 1,
    }),
  );
  return snapshotId;
};
const accomplished = (snapshotId: string) =>
  cloud.run(() => cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId }));
const stopped = () => cloud.run(() => cloud.activities.awaitInstanceStopped(instance()));
const start = async () => {
  await cloud.run(() => cloud.activities.startInstance(instance()));
  await cloud.run(() => cloud.activities.awaitInstanceRunning(instance()));
  // As if before B, so that this alone does not close the gate: another test is about that.
  await cloud.control('POST', `instances/${cloud.instanceId}`, { startedAt: '2026-11-22T00:00:00Z' });
};
const stop = async () => {
  await cloud.run(() => cloud.activities.stopInstance({ ...instance(), force: false }));
  await stopped();
};
const attachments = async () => (await cloud.region.disks([cloud.diskId])).get(cloud.diskId)?.attachedTo.length;

const gate = () =>
  cloud.run(() =>
    cloud.activities.checkGate({
      run: RUN.run,
      ...instance(),
      diskId: cloud.diskId,
      targetSnapshotId,
      safetySnapshotId,
    }),
  );

beforeAll(async () => {
  cloud = await simulatedCloud();
  targetSnapshotId = await create({ run: 'earlier', workflowId: 'earlier' });
  await accomplished(targetSnapshotId);
  await cloud.control('POST', `instances/${cloud.instanceId}`, { startedAt: '2026-11-22T00:00:00Z' });
  await stop();
  safetySnapshotId = await create(RUN);
  await accomplished(safetySnapshotId);
});
afterAll(() => cloud?.close());

interface Closing {
  readonly because: string;
  readonly says: RegExp;
  readonly change: () => Promise<unknown>;
  readonly mend: () => Promise<unknown>;
}
const elsewhere = (snapshotId: () => string) => ({
  change: () => cloud.control('POST', `snapshots/${snapshotId()}`, { sourceDiskId: 'd-bp1aaaaaaaaaaaaaaaaa' }),
  mend: () => cloud.control('POST', `snapshots/${snapshotId()}`, { sourceDiskId: cloud.diskId }),
});

const CLOSING: readonly Closing[] = [
  { because: 'the instance runs', says: /^[^;]* is Running, expected Stopped$/, change: start, mend: stop },
  {
    because: 'the instance has given up its capacity',
    says: /^[^;]* was stopped in economical mode \(StopCharging\): it might not start again after the reset$/,
    change: async () => {
      await start();
      await cloud.stopElsewhere('StopCharging');
      await expect(stopped()).rejects.toThrow(/economical/);
    },
    mend: async () => {
      await start();
      await stop();
    },
  },
  {
    because: 'the disk is attached to nothing',
    says: /is Available, expected In_use; disk [^;]* is attached to nothing, expected i-[^;]* alone$/,
    change: async () => {
      await cloud.region.detachDisk(cloud.diskId, cloud.instanceId);
      await expect.poll(attachments, { timeout: 30_000 }).toBe(0);
    },
    mend: async () => {
      await cloud.region.attachDisk(cloud.diskId, cloud.instanceId);
      await expect.poll(attachments, { timeout: 30_000 }).toBe(1);
    },
  },
  {
    because: 'snapshot A is of another disk',
    says: /^[^;]*snapshot A \([^;]* is gone or no longer usable for d-[^;]*$/,
    ...elsewhere(() => targetSnapshotId),
  },
  {
    because: 'snapshot B is of another disk',
    says: /^[^;]*snapshot B \([^;]* is not a finished snapshot of d-[^;]*$/,
    ...elsewhere(() => safetySnapshotId),
  },
];

test.each(CLOSING.map((each) => [each.because, each] as const))('is closed when %s', async (_, each) => {
  const { says, change, mend } = each;
  expect(await gate()).toMatchObject({ instanceStatus: 'Stopped', safetySnapshotId });
  await change();
  const closed = await gate().then(
    () => 'it was open',
    (error: ApplicationFailure) => error,
  );
  expect(closed).toMatchObject({ type: ACTIVITY_FAILURE.gateClosed, nonRetryable: true });
  expect((closed as ApplicationFailure).message).toMatch(says);
  await mend();
  expect(await gate()).toMatchObject({ instanceStatus: 'Stopped', safetySnapshotId });
});

test('is closed while another snapshot of the disk is unfinished', async () => {
  await cloud.freeze();
  const unfinished = await create({ run: 'somebody-else', workflowId: 'somebody-else' });
  await expect(gate()).rejects.toThrow(new RegExp(`closed: snapshot ${unfinished} of the disk is unfinished$`));
  await cloud.thaw();
  await accomplished(unfinished);
  expect(await gate()).toMatchObject({ unfinishedSnapshots: 0 });
});

test('is closed when snapshot A is gone', async () => {
  await cloud.region.deleteSnapshot(targetSnapshotId);
  await expect(gate()).rejects.toThrow(/closed: snapshot A \([^;]* is gone or no longer usable for d-[^;]*$/);
});
