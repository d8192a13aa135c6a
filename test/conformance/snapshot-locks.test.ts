/** Locks of snapshots through the vendor's SDK: what they keep from being deleted, when they begin, end, and change. */
import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, ecs, live, Probe, type Service, startService, until } from './service.ts';

let service: Service;
let probe: Probe;
let diskId: string;
beforeAll(async () => {
  service = await startService();
  probe = new Probe(service);
});
beforeEach(async () => {
  if (live) return;
  await probe.thaw();
  await probe.usualSnapshots();
  diskId = (await probe.scene()).dataDiskId;
});
afterAll(async () => await service?.stop());

const lock = (snapshotId: string, lockDuration: number, over: Partial<ecs.LockSnapshotRequest> = {}) =>
  probe.client.lockSnapshot(
    new ecs.LockSnapshotRequest({
      regionId: service.regionId,
      snapshotId,
      lockMode: 'compliance',
      lockDuration,
      coolOffPeriod: 0,
      ...over,
    }),
  );
const unlock = (snapshotId: string) =>
  probe.client.unlockSnapshot(new ecs.UnlockSnapshotRequest({ regionId: service.regionId, snapshotId }));
const remove = (snapshotId: string, force = false) =>
  probe.client.deleteSnapshot(new ecs.DeleteSnapshotRequest({ snapshotId, force }));
const locks = async (over: Partial<ecs.DescribeLockedSnapshotsRequest> = {}) => {
  const answer = await probe.client.describeLockedSnapshots(
    new ecs.DescribeLockedSnapshotsRequest({ regionId: service.regionId, ...over }),
  );
  return answer.body?.lockedSnapshotsInfo ?? [];
};
const lockOf = async (snapshotId: string) => (await locks({ snapshotIds: [snapshotId] }))[0];
const DAY_MS = 86_400_000;

describe.skipIf(live)('a locked snapshot', () => {
  it('cannot be deleted by force either, nor unlocked, and tells its dates', async () => {
    const id = await probe.finishedSnapshot(diskId);
    const answer = await lock(id, 7);
    expect(answer.body?.lockedSnapshotInfo).toMatchObject({
      snapshotId: id,
      lockStatus: 'compliance',
      lockDuration: 7,
    });
    expect(await codeOf(remove(id))).toBe('InvalidOperation.SnapshotLocked 403');
    expect(await codeOf(remove(id, true))).toBe('InvalidOperation.SnapshotLocked 403');
    expect(await codeOf(unlock(id))).toBe('InvalidOperation.SnapshotLocked 403');
    expect(await probe.snapshot(id)).toMatchObject({ status: 'accomplished' });
    const seen = await lockOf(id);
    expect(seen).toMatchObject({ lockMode: 'compliance', lockStatus: 'compliance', lockDuration: 7, coolOffPeriod: 0 });
    expect(Date.parse(seen?.lockExpiredTime ?? '') - Date.parse(seen?.lockDurationStartTime ?? '')).toBe(7 * DAY_MS);
  });

  it('can be locked for longer, not for less', async () => {
    const id = await probe.finishedSnapshot(diskId);
    await lock(id, 7);
    expect(await codeOf(lock(id, 6))).toBe('InvalidOperation.SnapshotLocked 403');
    expect(await codeOf(lock(id, 8, { coolOffPeriod: 1 }))).toBe('InvalidOperation.SnapshotLocked 403');
    await lock(id, 8);
    expect((await lockOf(id))?.lockDuration).toBe(8);
  });

  it('is locked while it is being made; its days begin when it is accomplished', async () => {
    await probe.freeze();
    const id = await probe.createSnapshot(diskId);
    await lock(id, 3);
    expect(await lockOf(id)).toMatchObject({
      lockStatus: 'compliance',
      lockDurationStartTime: '',
      lockExpiredTime: '',
    });
    expect(await codeOf(remove(id))).toBe('InvalidOperation.SnapshotLocked 403');
    await probe.thaw();
    const begun = await until(
      'the lock has begun',
      async () => await lockOf(id),
      (seen) => seen?.lockExpiredTime !== '',
    );
    expect(Date.parse(begun?.lockExpiredTime ?? '')).toBeGreaterThan(Date.now() + 2 * DAY_MS);
  });

  it('is free again when its days are over', async () => {
    const id = await probe.finishedSnapshot(diskId);
    await lock(id, 1);
    await probe.thaw(1_000_000);
    await until(
      'the lock has expired',
      async () => (await lockOf(id))?.lockStatus,
      (seen) => seen === 'expired',
    );
    await remove(id);
    expect(await probe.snapshot(id)).toBeUndefined();
  });

  it('can be unlocked in its cool-off period, but not deleted', async () => {
    const id = await probe.finishedSnapshot(diskId);
    await lock(id, 7, { coolOffPeriod: 72 });
    expect((await lockOf(id))?.lockStatus).toBe('compliance-cooloff');
    expect(await codeOf(remove(id))).toBe('InvalidOperation.SnapshotLocked 403');
    await lock(id, 2, { coolOffPeriod: 72 });
    expect((await lockOf(id))?.lockDuration).toBe(2);
    await unlock(id);
    expect(await lockOf(id)).toBeUndefined();
    expect(await codeOf(unlock(id))).toBe('InvalidOperation.SnapshotNotLocked 403');
    await remove(id);
  });
});

describe.skipIf(live)('a lock', () => {
  it('is refused beyond the retention of the snapshot, for one that failed, and out of range', async () => {
    const id = await probe.createSnapshot(diskId, { retentionDays: 5 });
    expect(await codeOf(lock(id, 6))).toBe('InvalidParameter.LockDuration 400');
    expect(await codeOf(lock(id, 0))).toBe('InvalidParameter.LockDuration 400');
    expect(await codeOf(lock(id, 36_501))).toBe('InvalidParameter.LockDuration 400');
    expect(await codeOf(lock(id, 5, { coolOffPeriod: 73 }))).toBe('InvalidParameter.CoolOffPeriod 400');
    expect(await codeOf(lock(id, 5, { lockMode: 'governance' }))).toBe('InvalidParameter.LockMode 400');
    expect(await codeOf(lock('s-nothing', 5))).toBe('InvalidSnapshotId.NotFound 404');
    await lock(id, 5);
    const { instanceId, dataDiskId } = await probe.scene();
    await probe.freeze();
    const failing = await probe.createSnapshot(dataDiskId);
    await probe.client.stopInstance(new ecs.StopInstanceRequest({ instanceId }));
    expect(await codeOf(lock(failing, 5))).toBe('OperationDenied.SnapshotNotAllowed 403');
    await probe.thaw();
  });

  it('has ClientToken and DryRun', async () => {
    const id = await probe.finishedSnapshot(diskId);
    expect(await codeOf(lock(id, 7, { dryRun: true }))).toBe('DryRunOperation 400');
    expect(await lockOf(id)).toBeUndefined();
    const clientToken = randomUUID();
    const first = await lock(id, 7, { clientToken });
    expect((await lock(id, 7, { clientToken })).body?.lockedSnapshotInfo).toEqual(first.body?.lockedSnapshotInfo);
    expect(await codeOf(lock(id, 8, { clientToken }))).toBe('IdempotentParameterMismatch 403');
  });

  it('is listed in pages, by state', async () => {
    const ids: string[] = [];
    for (let i = 0; i < 12; i += 1) {
      const id = await probe.finishedSnapshot(diskId);
      await lock(id, 7, { coolOffPeriod: i % 2 });
      ids.push(id);
    }
    const first = await probe.client.describeLockedSnapshots(
      new ecs.DescribeLockedSnapshotsRequest({ regionId: service.regionId, snapshotIds: ids, maxResults: 10 }),
    );
    expect(first.body?.lockedSnapshotsInfo).toHaveLength(10);
    const rest = await locks({ snapshotIds: ids, maxResults: 10, nextToken: first.body?.nextToken ?? '' });
    expect(rest).toHaveLength(2);
    const all = [...(first.body?.lockedSnapshotsInfo ?? []), ...rest].map((info) => info.snapshotId ?? '');
    expect(all.toSorted()).toEqual(ids.toSorted());
    expect(await locks({ snapshotIds: ids, lockStatus: 'compliance-cooloff' })).toHaveLength(6);
    expect(await codeOf(locks({ lockStatus: 'open' }))).toBe('InvalidParameter.LockStatus 400');
  });
});
