// The snapshots of a run: made once whatever becomes of replies, locked, and the warm-up one alone deleted.
import type { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import type { SnapshotRequest } from '../../src/activities/snapshots.ts';
import { TAG } from '../../src/contract/ids.ts';
import { ACTIVITY_FAILURE } from '../../src/contract/messages.ts';
import { activityEnvironment, type SimulatedCloud, simulatedCloud } from '../support/simulated-cloud.ts';

let cloud: SimulatedCloud;
let number = 0;
let run: string;

beforeAll(async () => {
  cloud = await simulatedCloud();
});
afterAll(() => cloud?.close());
beforeEach(async () => {
  await cloud.control('DELETE', 'faults');
  // An earlier test may have failed half-way.
  await cloud.thaw();
  number += 1;
  run = `run-${number}`;
});

const identity = () => ({ run, workflowId: `rollback-${cloud.diskId}`, regionId: cloud.regionId });
const request = (over: Partial<SnapshotRequest> = {}): SnapshotRequest => ({
  ...identity(),
  diskId: cloud.diskId,
  targetSnapshotId: 's-bp1aaaaaaaaaaaaaaaaa',
  retentionDays: 30,
  expiresAt: '2026-12-22T02:00:00Z',
  ...over,
});
const create = (over: Partial<SnapshotRequest> = {}) => cloud.activities.createSafetySnapshot(request(over));
/** A snapshot that will fail. */
async function createDoomed(): Promise<string> {
  await cloud.freeze();
  const { snapshotId } = await cloud.run(() => create());
  await cloud.control('POST', `snapshots/${snapshotId}`, { doomed: true });
  await cloud.thaw();
  return snapshotId;
}
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: unknown) => error as ApplicationFailure,
  );
const effects = async (action: string) => (await cloud.calls(action)).filter((call) => call.tookEffect).length;
const tagsOf = async (id: string) => (await cloud.region.snapshots([id])).get(id)?.tags;

describe('creating', () => {
  test.each(['safety-snapshot', 'warm-up-snapshot'] as const)(
    'makes one %s although the reply is lost, tagged with run, purpose and expiry',
    async (purpose) => {
      const before = await effects('CreateSnapshot');
      await cloud.control('POST', 'faults', { action: 'CreateSnapshot', answer: 'lost' });
      await failureOf(cloud.run(() => create({ purpose })));
      const { snapshotId } = await cloud.run(() => create({ purpose }), { attempt: 2 });
      expect(await effects('CreateSnapshot')).toBe(before + 1);
      expect(await tagsOf(snapshotId)).toEqual({
        [TAG.run]: run,
        [TAG.purpose]: purpose,
        [TAG.workflow]: `rollback-${cloud.diskId}`,
        [TAG.expires]: '2026-12-22T02:00:00Z',
      });
      const find = (wanted: typeof purpose) =>
        cloud.run(() => cloud.activities.findSafetySnapshot({ ...identity(), purpose: wanted }));
      expect(await find(purpose)).toEqual({ snapshotId });
      expect(await find(purpose === 'safety-snapshot' ? 'warm-up-snapshot' : 'safety-snapshot')).toBeNull();
    },
  );

  test('makes one although the first call arrives after the second: the ClientToken is the same', async () => {
    const before = await effects('CreateSnapshot');
    await cloud.control('POST', 'faults', { action: 'CreateSnapshot', delayMs: 1_500 });
    const late = cloud.run(() => create());
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { snapshotId } = await cloud.run(() => create(), { attempt: 2 });
    expect(await late).toEqual({ snapshotId });
    expect(await effects('CreateSnapshot')).toBe(before + 1);
  });

  test('adopts what the run has made before, even with other words under the same token', async () => {
    const made = await cloud.run(() => create());
    expect(await cloud.run(() => create({ retentionDays: 31 }))).toEqual(made);
  });

  test('makes another one after one that failed', async () => {
    const failed = await createDoomed();
    const failure = await failureOf(
      cloud.run(() => cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId: failed })),
    );
    expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.snapshotFailed, nonRetryable: true });
    const again = await cloud.run(() => create());
    expect(again.snapshotId).not.toBe(failed);
    expect(await cloud.run(() => create(), { attempt: 2 })).toEqual(again);
    expect(await cloud.run(() => cloud.activities.findSafetySnapshot(identity()))).toEqual(again);
  });
});

describe('the cut', () => {
  test('is waited for, and comes before the snapshot is accomplished', async () => {
    await cloud.freeze();
    await cloud.control('POST', 'durations', { snapshot: 6000 });
    const { snapshotId } = await cloud.run(() => create());
    expect((await cloud.region.snapshots([snapshotId])).get(snapshotId)?.createdAt).toBe('');
    await cloud.thaw();
    const { createdAt } = await cloud.run(() =>
      cloud.activities.awaitSnapshotCut({ regionId: cloud.regionId, snapshotId }),
    );
    expect(Date.parse(createdAt)).toBeGreaterThan(0);
    expect((await cloud.region.snapshots([snapshotId])).get(snapshotId)?.status).toBe('progressing');
    await cloud.control('POST', 'durations', { snapshot: 60 });
  });

  test('of a snapshot that fails is not waited for any longer', async () => {
    const snapshotId = await createDoomed();
    const failure = await failureOf(
      cloud.run(() => cloud.activities.awaitSnapshotCut({ regionId: cloud.regionId, snapshotId })),
    );
    expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.snapshotFailed });
  });
});

describe('locking snapshot B', () => {
  const lock = (snapshotId: string, days = 7) =>
    cloud.activities.lockSafetySnapshot({ ...identity(), snapshotId, days });

  test('is done once although the reply is lost, and then nobody deletes it', async () => {
    const { snapshotId } = await cloud.run(() => create());
    await cloud.run(() => cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId }));
    const before = await effects('LockSnapshot');
    await cloud.control('POST', 'faults', { action: 'LockSnapshot', answer: 'lost' });
    await failureOf(cloud.run(() => lock(snapshotId)));
    const locked = await cloud.run(() => lock(snapshotId), { attempt: 2 });
    expect(locked).toEqual({ sent: false, expiresAt: expect.stringMatching(/^\d{4}-.*Z$/) });
    expect(await effects('LockSnapshot')).toBe(before + 1);
    await expect(cloud.region.deleteSnapshot(snapshotId)).rejects.toMatchObject({ kind: 'conflict' });
  });

  test('is done while it is still being made', async () => {
    await cloud.freeze();
    const { snapshotId } = await cloud.run(() => create());
    expect(await cloud.run(() => lock(snapshotId))).toEqual({ sent: true, expiresAt: '' });
    expect((await cloud.region.snapshotLocks([snapshotId])).get(snapshotId)).toMatchObject({
      status: 'compliance',
      days: 7,
    });
  });

  test('lengthens a lock that is too short', async () => {
    const { snapshotId } = await cloud.run(() => create());
    await cloud.region.lockSnapshot({ snapshotId, days: 2, clientToken: `short-${run}` });
    expect(await cloud.run(() => lock(snapshotId))).toMatchObject({ sent: true });
    expect((await cloud.region.snapshotLocks([snapshotId])).get(snapshotId)).toMatchObject({ days: 7 });
  });

  test('is refused for a snapshot that is not this run’s B', async () => {
    const { snapshotId } = await cloud.run(() => create({ purpose: 'warm-up-snapshot' }));
    const failure = await failureOf(cloud.run(() => lock(snapshotId)));
    expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.conflict, nonRetryable: true });
  });
});

describe('deleting the warm-up snapshot', () => {
  const remove = (snapshotId: string, over: { run?: string; diskId?: string } = {}) =>
    cloud.activities.deleteWarmUpSnapshot({ ...identity(), snapshotId, diskId: cloud.diskId, ...over });

  test('is done once although the reply is lost, and again without harm', async () => {
    const { snapshotId } = await cloud.run(() => create({ purpose: 'warm-up-snapshot' }));
    await cloud.run(() => cloud.activities.awaitSnapshotCut({ regionId: cloud.regionId, snapshotId }));
    await cloud.control('POST', 'faults', { action: 'DeleteSnapshot', answer: 'lost' });
    const before = await effects('DeleteSnapshot');
    await failureOf(cloud.run(() => remove(snapshotId)));
    expect(await cloud.run(() => remove(snapshotId), { attempt: 2 })).toEqual({ sent: false });
    expect(await effects('DeleteSnapshot')).toBe(before + 1);
    expect((await cloud.region.snapshots([snapshotId])).has(snapshotId)).toBe(false);
  });

  test.each([
    ['snapshot B', { purpose: 'safety-snapshot' as const }, {}],
    ['another run’s', { purpose: 'warm-up-snapshot' as const }, { run: 'somebody-else' }],
    ['another disk’s', { purpose: 'warm-up-snapshot' as const }, { diskId: 'd-bp1ooooooooooooooooo' }],
  ])('leaves %s alone', async (_, made, asked) => {
    const { snapshotId } = await cloud.run(() => create(made));
    const before = (await cloud.calls('DeleteSnapshot')).length;
    const failure = await failureOf(cloud.run(() => remove(snapshotId, asked)));
    expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.conflict, nonRetryable: true });
    expect(await cloud.calls('DeleteSnapshot')).toHaveLength(before);
  });

  test('a snapshot that is gone is done', async () => {
    const env = activityEnvironment();
    expect(await cloud.run(() => remove('s-bp1gggggggggggggggg'), { env })).toEqual({ sent: false });
  });
});
