/** Disks and snapshots: life cycles, every refusal that a state can produce, switches. Transitions are held where one is tested. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, control, ecs, live, Probe, type Scene, type Service, startService, until } from './service.ts';

let service: Service;
let probe: Probe;
let scene: Scene;
beforeAll(async () => {
  service = await startService();
  probe = new Probe(service);
});
beforeEach(async () => {
  if (live) return;
  // An earlier test may have failed half-way.
  await probe.thaw();
  await probe.usualSnapshots();
  scene = await probe.scene();
});
afterAll(async () => await service?.stop());

describe.skipIf(live)('snapshots', () => {
  it('is first not cut, then available, then accomplished; Progress and size', async () => {
    await probe.slowSnapshots();
    await probe.freeze();
    const id = await probe.createSnapshot(scene.dataDiskId, { snapshotName: 'before-deploy', description: 'a state' });
    const uncut = await probe.snapshot(id);
    expect(uncut).toMatchObject({ status: 'progressing', available: false, creationTime: '', progress: '0%' });
    expect(uncut).toMatchObject({ sourceDiskId: scene.dataDiskId, sourceDiskSize: '20', sourceDiskType: 'data' });
    await probe.thaw();
    const open = await until(
      'available',
      async () => await probe.snapshot(id),
      (seen) => seen?.available === true,
    );
    expect(open).toMatchObject({ status: 'progressing', available: true });
    expect(open?.creationTime).toMatch(/^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/);
    expect(open?.progress).toMatch(/^[1-9]?\d%$/);
    await probe.thaw(100_000);
    const done = await until(
      'done',
      async () => await probe.snapshot(id),
      (seen) => seen?.status === 'accomplished',
    );
    expect(done).toMatchObject({ progress: '100%', available: true, remainTime: 0, snapshotName: 'before-deploy' });
    await probe.usualSnapshots();
    await probe.thaw();
  });

  it('of a category without instant access is available only when accomplished, one at a time', async () => {
    const { dataDiskId } = await probe.scene({ category: 'cloud_efficiency' });
    await probe.slowSnapshots();
    const id = await probe.createSnapshot(dataDiskId);
    const cut = await until(
      'cut',
      async () => await probe.snapshot(id),
      (seen) => seen?.creationTime !== '',
    );
    expect(cut?.available).toBe(false);
    expect(await codeOf(probe.createSnapshot(dataDiskId))).toBe('IncorrectDiskStatus.CreatingSnapshot 403');
    await probe.thaw(100_000);
    const done = await until(
      'done',
      async () => await probe.snapshot(id),
      (seen) => seen?.available === true,
    );
    expect(done?.status).toBe('accomplished');
    await probe.usualSnapshots();
    await probe.thaw();
  });

  it('ten at once for ESSD', async () => {
    await probe.freeze();
    for (let i = 0; i < 10; i += 1) await probe.createSnapshot(scene.dataDiskId);
    expect(await codeOf(probe.createSnapshot(scene.dataDiskId))).toBe('QuotaExceed.ConcurrentSnapshotQuota 403');
    await probe.thaw();
  });

  it('fails when the instance is stopped or rebooted under it', async () => {
    for (const power of ['stopInstance', 'rebootInstance'] as const) {
      const { instanceId, dataDiskId } = await probe.scene();
      await probe.freeze();
      const id = await probe.createSnapshot(dataDiskId);
      await probe.client[power](new ecs.StopInstanceRequest({ instanceId }));
      expect(await probe.snapshot(id)).toMatchObject({ status: 'failed', available: false });
      await probe.thaw();
    }
  });

  it('a doomed one fails at its end', async () => {
    await probe.freeze();
    const id = await probe.createSnapshot(scene.dataDiskId);
    await control(service, 'POST', `snapshots/${id}`, { doomed: true });
    await probe.thaw();
    await until(
      'failed',
      async () => (await probe.snapshot(id))?.status,
      (seen) => seen === 'failed',
    );
  });

  it('refuses disks in the wrong state, and bad names', async () => {
    await probe.freeze();
    const fresh = await probe.createDisk(scene.zoneId);
    expect(await codeOf(probe.createSnapshot(fresh))).toBe('IncorrectDiskStatus 403');
    await probe.thaw();
    await probe.diskBecomes(fresh, 'Available');
    expect(await codeOf(probe.createSnapshot(fresh))).toBe('IncorrectDiskStatus.NeverAttached 403');
    expect(await codeOf(probe.createSnapshot('d-nothing'))).toBe('InvalidDiskId.NotFound 404');
    expect(await codeOf(probe.createSnapshot(scene.dataDiskId, { snapshotName: '1st' }))).toBe(
      'InvalidSnapshotName.Malformed 400',
    );
    expect(await codeOf(probe.createSnapshot(scene.dataDiskId, { snapshotName: 'auto-x' }))).toBe(
      'InvalidSnapshotName.Malformed 400',
    );
    expect(await codeOf(probe.createSnapshot(scene.dataDiskId, { retentionDays: 0 }))).toBe(
      'InvalidRetentionDays.Malformed 400',
    );
    expect(await codeOf(probe.createSnapshot(scene.dataDiskId, { description: 'https://x' }))).toBe(
      'InvalidDescription.Malformed 404',
    );
    await probe.hold(scene.instanceId);
    await probe.client.stopInstance(new ecs.StopInstanceRequest({ instanceId: scene.instanceId }));
    expect(await codeOf(probe.createSnapshot(scene.dataDiskId))).toBe('IncorrectInstanceStatus 400');
    await probe.release(scene.instanceId);
    await control(service, 'POST', `disks/${scene.dataDiskId}`, { lock: 'financial' });
    expect(await codeOf(probe.createSnapshot(scene.dataDiskId))).toBe('DiskInArrears 403');
  });

  it('DeleteSnapshot: used, in use, unknown, progressing', async () => {
    const remove = async (snapshotId: string, force?: boolean): Promise<unknown> =>
      await probe.client.deleteSnapshot(
        new ecs.DeleteSnapshotRequest({ snapshotId, ...(force !== undefined && { force }) }),
      );
    const id = await probe.finishedSnapshot(scene.dataDiskId);
    const diskId = await probe.availableDisk(scene.zoneId, { snapshotId: id });
    expect((await probe.snapshot(id))?.usage).toBe('disk');
    expect(await codeOf(remove(id))).toBe('SnapshotCreatedDisk 403');
    await remove(id, true);
    expect(await probe.snapshot(id)).toBeUndefined();
    expect((await probe.disk(diskId))?.sourceSnapshotId).toBe(id);
    await remove('s-nothing');
    await probe.switches({ deleteUnknownSnapshot: 'error' });
    expect(await codeOf(remove('s-nothing'))).toBe('InvalidSnapshotId.NotFound 404');
    await probe.switches({ deleteUnknownSnapshot: 'ignore' });
    const progressing = await probe.createSnapshot(scene.dataDiskId);
    await remove(progressing);
    expect(await probe.snapshot(progressing)).toBeUndefined();
  });
});

describe.skipIf(live)('ResetDisk', () => {
  it('needs a stopped instance; passes ReIniting; refuses a second reset; dry run tells', async () => {
    const a = await probe.finishedSnapshot(scene.dataDiskId);
    expect(await codeOf(probe.reset(scene.dataDiskId, a, true))).toBe('IncorrectInstanceStatus 403');
    expect(await codeOf(probe.reset(scene.dataDiskId, a))).toBe('IncorrectInstanceStatus 403');
    await probe.stop(scene.instanceId);
    expect(await codeOf(probe.reset(scene.dataDiskId, a, true))).toBe('DryRunOperation 400');
    expect((await probe.disk(scene.dataDiskId))?.status).toBe('In_use');
    await probe.hold(scene.dataDiskId);
    await probe.reset(scene.dataDiskId, a);
    expect((await probe.disk(scene.dataDiskId))?.status).toBe('ReIniting');
    expect(await codeOf(probe.reset(scene.dataDiskId, a))).toBe('InvalidOperation.DiskResetInProgress 403');
    expect(await codeOf(probe.reset(scene.dataDiskId, a, true))).toBe('InvalidOperation.DiskResetInProgress 403');
    const start = new ecs.StartInstanceRequest({ instanceId: scene.instanceId });
    expect(await codeOf(probe.client.startInstance(start))).toBe('DiskError 403');
    expect(await codeOf(probe.createSnapshot(scene.dataDiskId))).toBe('IncorrectDiskStatus 403');
    expect(await codeOf(probe.detach(scene.dataDiskId, scene.instanceId))).toBe('IncorrectDiskStatus 403');
    await probe.release(scene.dataDiskId);
    await probe.diskBecomes(scene.dataDiskId, 'In_use');
    await probe.start(scene.instanceId);
  });

  it('refuses foreign, copied, unknown and unfinished snapshots', async () => {
    const a = await probe.finishedSnapshot(scene.dataDiskId);
    const system = await probe.finishedSnapshot(scene.systemDiskId);
    await probe.stop(scene.instanceId);
    expect(await codeOf(probe.reset(scene.dataDiskId, system))).toBe('InvalidParameter.Mismatch 403');
    expect(await codeOf(probe.reset('d-nothing', a))).toBe('InvalidDiskId.NotFound 404');
    expect(await codeOf(probe.reset(scene.dataDiskId, 's-nothing'))).toBe('InvalidSnapshotId.NotFound 404');
    await probe.slowSnapshots();
    await probe.freeze();
    const b = await probe.createSnapshot(scene.dataDiskId);
    expect(await codeOf(probe.reset(scene.dataDiskId, b))).toBe('InvalidSnapshotId.NotReady 403');
    expect(await codeOf(probe.reset(scene.dataDiskId, a))).toBe('IncorrectDiskStatus.HasUnfinishedSnapshot 403');
    await probe.thaw();
    await until(
      'available',
      async () => (await probe.snapshot(b))?.available,
      (seen) => seen === true,
    );
    expect(await codeOf(probe.reset(scene.dataDiskId, a))).toBe('IncorrectDiskStatus.HasUnfinishedSnapshot 403');
    await probe.switches({ availableSnapshotBlocksReset: 'no' });
    expect(await codeOf(probe.reset(scene.dataDiskId, a, true))).toBe('DryRunOperation 400');
    await probe.switches({ availableSnapshotBlocksReset: 'yes' });
    await probe.usualSnapshots();
    await control(service, 'POST', `snapshots/${system}`, { copyOf: 's-other' });
    expect(await codeOf(probe.reset(scene.systemDiskId, system))).toBe('OperationDenied 403');
    await control(service, 'POST', `instances/${scene.instanceId}`, { lock: 'security' });
    expect(await codeOf(probe.reset(scene.dataDiskId, a))).toBe('InstanceLockedForSecurity 403');
  });

  it('a detached disk can be reset; size past a resize by switch; status may stay In_use', async () => {
    const a = await probe.finishedSnapshot(scene.dataDiskId);
    await probe.client.resizeDisk(new ecs.ResizeDiskRequest({ diskId: scene.dataDiskId, newSize: 40, type: 'online' }));
    await probe.stop(scene.instanceId);
    await probe.switches({ statusDuringReset: 'In_use' });
    await probe.hold(scene.dataDiskId);
    await probe.reset(scene.dataDiskId, a);
    expect((await probe.disk(scene.dataDiskId))?.status).toBe('In_use');
    await probe.release(scene.dataDiskId);
    await until(
      'idle',
      async () => await codeOf(probe.reset(scene.dataDiskId, a, true)),
      (seen) => seen === 'DryRunOperation 400',
    );
    expect((await probe.disk(scene.dataDiskId))?.size).toBe(40);
    await probe.detach(scene.dataDiskId, scene.instanceId);
    await probe.diskBecomes(scene.dataDiskId, 'Available');
    await probe.switches({ statusDuringReset: 'ReIniting', sizeAfterReset: 'snapshot' });
    await probe.reset(scene.dataDiskId, a);
    await probe.diskBecomes(scene.dataDiskId, 'Available');
    expect((await probe.disk(scene.dataDiskId))?.size).toBe(20);
    await probe.switches({ sizeAfterReset: 'keep' });
  });
});

describe.skipIf(live)('disks', () => {
  it('CreateDisk: from a snapshot, larger, zone, category, size, names', async () => {
    const id = await probe.finishedSnapshot(scene.dataDiskId);
    await probe.freeze();
    const diskId = await probe.createDisk(scene.zoneId, { snapshotId: id, size: 10, diskName: 'recovery' });
    expect(diskId).toMatch(/^d-[a-z0-9]{20}$/);
    expect(await probe.disk(diskId)).toMatchObject({
      status: 'Creating',
      size: 20,
      serialNumber: diskId.slice(2),
      portable: true,
      deleteAutoSnapshot: true,
      deleteWithInstance: false,
      diskChargeType: 'PostPaid',
      sourceSnapshotId: id,
      type: 'data',
      performanceLevel: 'PL1',
    });
    await probe.thaw();
    await probe.diskBecomes(diskId, 'Available');
    const create = async (fields: Partial<ecs.CreateDiskRequest>): Promise<string> =>
      await codeOf(probe.createDisk(scene.zoneId, fields));
    expect(await codeOf(probe.createDisk('cn-beijing-a'))).toBe('InvalidZoneId.NotFound 404');
    expect(await codeOf(probe.createDisk(''))).toBe('MissingParameter 400');
    expect(await create({ size: 10 })).toBe('InvalidDiskSize.NotSupported 400');
    expect(await create({ size: 460, performanceLevel: 'PL2' })).toBe('InvalidDiskSize.NotSupported 400');
    expect(await create({ diskCategory: 'cloud_auto', performanceLevel: 'PL1' })).toBe(
      'OperationDenied.PerformanceLevelNotMatch 403',
    );
    expect(await create({ diskCategory: 'floppy' })).toBe('InvalidDataDiskCategory.ValueNotSupported 403');
    expect(await create({ snapshotId: 's-nothing' })).toBe('InvalidSnapshotId.NotFound 404');
    expect(await create({ diskName: '-x' })).toBe('InvalidDiskName.Malformed 400');
    const request = new ecs.CreateDiskRequest({ regionId: service.regionId, zoneId: scene.zoneId });
    expect(await codeOf(probe.client.createDisk(request))).toBe('MissingParameter 400');
    await probe.switches({ createDiskBelowSnapshotSize: 'refuse' });
    expect(await create({ snapshotId: id, size: 10 })).toBe('InvalidDiskSize.TooSmall 403');
    await probe.switches({ createDiskBelowSnapshotSize: 'enlarge' });
  });

  it('CreateDisk waits for the snapshot; an open one serves the ESSD family only', async () => {
    await probe.slowSnapshots();
    await probe.freeze();
    const id = await probe.createSnapshot(scene.dataDiskId);
    expect(await codeOf(probe.createDisk(scene.zoneId, { snapshotId: id }))).toBe('InvalidSnapshotId.NotReady 403');
    await probe.thaw();
    await until(
      'available',
      async () => (await probe.snapshot(id))?.available,
      (seen) => seen === true,
    );
    expect(await codeOf(probe.createDisk(scene.zoneId, { snapshotId: id, diskCategory: 'cloud_ssd' }))).toBe(
      'InvalidSnapshotId.NotReady 403',
    );
    await probe.availableDisk(scene.zoneId, { snapshotId: id });
    await probe.usualSnapshots();
  });

  it('attach, detach and delete, with every refusal on the way', async () => {
    const snapshotId = await probe.finishedSnapshot(scene.dataDiskId);
    const first = await probe.availableDisk(scene.zoneId, { snapshotId });
    const second = await probe.availableDisk(scene.zoneId);
    expect(await codeOf(probe.detach(first, scene.instanceId))).toBe('InvalidDisk.AlreadyDetached 404');
    await probe.hold(first);
    await probe.attach(first, scene.instanceId);
    await until(
      'Attaching',
      async () => (await probe.disk(first))?.status,
      (seen) => seen === 'Attaching',
    );
    expect((await probe.disk(first))?.attachments?.attachment).toEqual([]);
    expect(await codeOf(probe.attach(second, scene.instanceId))).toBe(
      'OperationConflict.DisksAttachingParallellyExceed 400',
    );
    expect(await codeOf(probe.attach(first, scene.instanceId))).toBe('IncorrectDiskStatus 403');
    expect(await codeOf(probe.remove(first))).toBe('IncorrectDiskStatus 403');
    expect(await codeOf(probe.client.stopInstance(new ecs.StopInstanceRequest({ instanceId: scene.instanceId })))).toBe(
      'DiskError 403',
    );
    await probe.release(first);
    await probe.diskBecomes(first, 'In_use');
    const attached = await probe.disk(first);
    expect(attached?.attachments?.attachment?.map(({ instanceId }) => instanceId)).toEqual([scene.instanceId]);
    expect(attached).toMatchObject({ instanceId: scene.instanceId, deleteAutoSnapshot: true });
    expect(await codeOf(probe.remove(first))).toBe('DiskStillAttached 403');
    const other = await probe.scene();
    expect(await codeOf(probe.detach(first, other.instanceId))).toBe('DependencyViolation 403');
    expect(await codeOf(probe.detach(scene.systemDiskId, scene.instanceId))).toBe('DiskTypeViolation 403');
    await probe.attach(second, scene.instanceId);
    await probe.diskBecomes(second, 'In_use');
    await probe.hold(first);
    await probe.detach(first, scene.instanceId);
    expect((await probe.disk(first))?.status).toBe('Detaching');
    expect(await codeOf(probe.detach(first, scene.instanceId))).toBe('InvalidOperation.DiskDetachingFromThisEcs 403');
    expect(await codeOf(probe.detach(second, scene.instanceId))).toBe('DisksDetachingOnEcsExceeded 400');
    await probe.release(first);
    await probe.diskBecomes(first, 'Available');
    await until(
      'deleted',
      async () =>
        await probe.remove(first).then(
          () => 'ok',
          () => 'not yet',
        ),
      (seen) => seen === 'ok',
    );
    expect(await probe.disk(first)).toBeUndefined();
    expect(await codeOf(probe.remove(first))).toBe('InvalidDiskId.NotFound 404');
    await probe.switches({ deleteUnknownDisk: 'ignore' });
    await probe.remove(first);
    await probe.switches({ deleteUnknownDisk: 'error' });
  });

  it('after AttachDisk the old state is read for a moment', async () => {
    const diskId = await probe.availableDisk(scene.zoneId);
    await probe.freeze();
    await probe.attach(diskId, scene.instanceId);
    expect((await probe.disk(diskId))?.status).toBe('Available');
    expect(await codeOf(probe.attach(diskId, scene.instanceId))).toBe('IncorrectDiskStatus 403');
    await probe.thaw();
    await probe.diskBecomes(diskId, 'In_use');
  });

  it('automatic and archived snapshots: shown, filtered by, and what they are good for', async () => {
    const id = await probe.finishedSnapshot(scene.dataDiskId);
    const found = async (fields: Partial<ecs.DescribeSnapshotsRequest>) => {
      const { regionId } = service;
      const request = new ecs.DescribeSnapshotsRequest({ regionId, diskId: scene.dataDiskId, ...fields });
      return (await probe.client.describeSnapshots(request)).body?.snapshots?.snapshot?.length;
    };
    await control(service, 'POST', `snapshots/${id}`, { automatic: true, retentionDays: 3 });
    expect(await probe.snapshot(id)).toMatchObject({ snapshotType: 'timer', retentionDays: 3 });
    expect([await found({ snapshotType: 'auto' }), await found({ snapshotType: 'user' })]).toEqual([1, 0]);
    await control(service, 'POST', `snapshots/${id}`, { archived: true });
    expect((await probe.snapshot(id))?.category).toBe('archive');
    expect([await found({ category: 'archive' }), await found({ category: 'Standard' })]).toEqual([1, 0]);
    expect(await codeOf(probe.createDisk(scene.zoneId, { snapshotId: id }))).toBe(
      'OperationDenied.SnapshotNotAllowed 403',
    );
    await probe.stop(scene.instanceId);
    expect(await codeOf(probe.reset(scene.dataDiskId, id, true))).toBe('OperationDenied 403');
  });

  it('AttachDisk refuses other zones, unportable disks, too many disks, locks', async () => {
    const diskId = await probe.availableDisk(scene.zoneId);
    const elsewhere = await probe.availableDisk(`${service.regionId}-a`);
    expect(await codeOf(probe.attach(elsewhere, scene.instanceId))).toBe('ResourcesNotInSameZone 403');
    expect(await codeOf(probe.attach(diskId, 'i-nothing'))).toBe('InvalidInstanceId.NotFound 404');
    await control(service, 'POST', 'instance-types/ecs.g7.large', { diskQuantity: 2 });
    expect(await codeOf(probe.attach(diskId, scene.instanceId))).toBe('InstanceDiskLimitExceeded 403');
    await control(service, 'POST', 'instance-types/ecs.g7.large', { diskQuantity: 17 });
    await control(service, 'POST', `instances/${scene.instanceId}`, { lock: 'financial' });
    expect(await codeOf(probe.attach(diskId, scene.instanceId))).toBe('InstanceExpiredOrInArrears 403');
    await control(service, 'POST', `instances/${scene.instanceId}`, { lock: '' });
    await control(service, 'POST', `disks/${diskId}`, { portable: false });
    expect(await codeOf(probe.attach(diskId, scene.instanceId))).toBe('DiskNotPortable 403');
    await control(service, 'POST', `disks/${diskId}`, { portable: true });
    await probe.switches({ attachFlipsDeleteAutoSnapshot: 'yes' });
    await probe.attach(diskId, scene.instanceId);
    await probe.diskBecomes(diskId, 'In_use');
    expect((await probe.disk(diskId))?.deleteAutoSnapshot).toBe(false);
    await probe.switches({ attachFlipsDeleteAutoSnapshot: 'no' });
    await probe.client.modifyDiskAttribute(
      new ecs.ModifyDiskAttributeRequest({ diskIds: [diskId], deleteAutoSnapshot: true, diskName: 'restored' }),
    );
    expect(await probe.disk(diskId)).toMatchObject({ deleteAutoSnapshot: true, diskName: 'restored' });
  });

  it('DeleteDisk of a disk that still fills from its snapshot', async () => {
    const snapshotId = await probe.finishedSnapshot(scene.dataDiskId);
    await control(service, 'POST', 'durations', { hydration: 600 });
    const diskId = await probe.availableDisk(scene.zoneId, { snapshotId });
    expect(await codeOf(probe.remove(diskId))).toBe('IncorrectDiskStatus.Initializing 403');
    await control(service, 'POST', 'durations', { hydration: 10 });
    await probe.thaw(10_000);
    await until(
      'deleted',
      async () =>
        await probe.remove(diskId).then(
          () => 'ok',
          () => 'no',
        ),
      (seen) => seen === 'ok',
    );
    await probe.thaw();
  });

  it('ResizeDisk grows only, not under a snapshot', async () => {
    const resize = async (newSize: number, type = 'offline'): Promise<unknown> =>
      await probe.client.resizeDisk(new ecs.ResizeDiskRequest({ diskId: scene.dataDiskId, newSize, type }));
    expect(await codeOf(resize(20))).toBe('InvalidDiskSize.TooSmall 403');
    expect(await codeOf(resize(100_000))).toBe('InvalidDiskSize.NotSupported 400');
    await probe.freeze();
    const id = await probe.createSnapshot(scene.dataDiskId);
    expect(await codeOf(resize(30))).toBe('DiskCreatingSnapshot 403');
    await probe.thaw();
    await until(
      'done',
      async () => (await probe.snapshot(id))?.status,
      (seen) => seen === 'accomplished',
    );
    await resize(30);
    expect((await probe.disk(scene.dataDiskId))?.size).toBe(30);
    await probe.stop(scene.instanceId);
    expect(await codeOf(resize(40, 'online'))).toBe('IncorrectInstanceStatus 403');
    await resize(40);
  });
});
