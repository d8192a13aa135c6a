import { describe, expect, test } from 'vitest';
import type { Disk, Instance, Snapshot } from '../../../src/cloud/types.ts';
import { rollbackInputSchema, syncInputSchema } from '../../../src/contract/rollback.ts';
import { blockersOf, type Observed, planRollback, planSync } from '../../../src/domain/plan.ts';

const disk: Disk = {
  id: 'd-bp1aaaaaaaaaaaaaaaaa',
  status: 'In_use',
  kind: 'data',
  category: 'cloud_essd',
  performanceLevel: 'PL1',
  sizeGiB: 20,
  zoneId: 'cn-hangzhou-h',
  encrypted: false,
  serial: 'bp1aaaaaaaaaaaaaaaaa',
  createdAt: '2026-01-01T00:00:00Z',
  deleteWithInstance: false,
  deleteAutoSnapshot: false,
  attachedTo: ['i-bp1aaaaaaaaaaaaaaaaa'],
  locks: [],
  tags: {},
};
const snapshot: Snapshot = {
  id: 's-bp1aaaaaaaaaaaaaaaaa',
  status: 'accomplished',
  kind: 'manual',
  available: true,
  createdAt: '2026-11-20T00:00:00Z',
  progressPercent: 100,
  sourceDiskId: disk.id,
  sourceDiskKind: 'data',
  sourceDiskSizeGiB: 20,
  encrypted: false,
  category: 'standard',
  tags: {},
};
const instance: Instance = {
  id: 'i-bp1aaaaaaaaaaaaaaaaa',
  name: 'shop',
  status: 'Running',
  stoppedMode: 'Not-applicable',
  zoneId: 'cn-hangzhou-h',
  osType: 'linux',
  osName: 'Debian 12',
  instanceType: 'ecs.g7.large',
  startedAt: '2026-11-01T00:00Z',
  tags: {},
  locks: [],
};
const healthy: Observed = {
  disk,
  snapshot,
  snapshotsOfDisk: [snapshot],
  instance,
  agent: { instanceId: instance.id, installed: true, online: true },
  paths: [],
  observedAt: '2026-11-22T00:00:00Z',
};
const base = { regionId: 'cn-hangzhou', diskId: disk.id, snapshotId: snapshot.id };
const rollback = rollbackInputSchema.parse({ ...base, sync: { paths: ['/data/uploads'] } });

const codes = (over: Partial<Observed>, input = rollback) =>
  blockersOf(planRollback(input, { ...healthy, ...over })).map((finding) => finding.code);

describe('a rollback is planned', () => {
  test('without blockers where everything holds, with its steps in order', () => {
    const plan = planRollback(rollback, healthy);
    expect(blockersOf(plan)).toEqual([]);
    expect(plan.steps).toEqual([
      'plan',
      'stopInstance',
      'takeSafetySnapshot',
      'gate',
      'resetDisk',
      'startInstance',
      'createRecoveryDisk',
      'attachRecoveryDisk',
      'connect',
      'mountRecoveryDisk',
      'copyBack',
      'releaseRecoveryDisk',
    ]);
  });

  test('naming the moment from which data leaves the disk', () => {
    const warning = planRollback(rollback, healthy).findings.find((finding) => finding.code === 'DataLossWindow');
    expect(warning?.fact).toContain('2026-11-20T00:00:00Z');
  });

  test('without a start for an instance found stopped, unless it is asked for', () => {
    const stopped = { ...healthy, instance: { ...instance, status: 'Stopped' }, agent: undefined, paths: undefined };
    const only = rollbackInputSchema.parse(base);
    expect(planRollback(only, stopped).steps).toEqual(['plan', 'takeSafetySnapshot', 'gate', 'resetDisk']);
    const running = rollbackInputSchema.parse({ ...base, powerAfter: 'running' });
    expect(planRollback(running, stopped).steps).toContain('startInstance');
  });

  const blocked: ReadonlyArray<[string, Partial<Observed>]> = [
    ['DiskNotFound', { disk: undefined, instance: undefined }],
    ['SnapshotNotFound', { snapshot: undefined }],
    ['SnapshotOfAnotherDisk', { snapshot: { ...snapshot, sourceDiskId: 'd-bp1zzzzzzzzzzzzzzzzz' } }],
    ['SnapshotOfAnotherDisk', { snapshot: { ...snapshot, sourceDiskId: '' } }],
    ['SnapshotArchived', { snapshot: { ...snapshot, category: 'archive' } }],
    ['SnapshotFailed', { snapshot: { ...snapshot, status: 'failed', available: false } }],
    ['SnapshotNotReady', { snapshot: { ...snapshot, status: 'progressing', available: false, progressPercent: 40 } }],
    [
      'SnapshotInProgress',
      { snapshotsOfDisk: [snapshot, { ...snapshot, id: 's-bp1ccccccccccccccccc', status: 'progressing' }] },
    ],
    ['DiskNotAttached', { disk: { ...disk, status: 'Available', attachedTo: [] }, instance: undefined }],
    ['DiskAttachedTwice', { disk: { ...disk, attachedTo: [instance.id, 'i-bp1bbbbbbbbbbbbbbbbb'] } }],
    ['DiskBusy', { disk: { ...disk, status: 'Detaching' } }],
    ['DiskLocked', { disk: { ...disk, locks: ['security'] } }],
    ['InstanceNotFound', { instance: undefined }],
    ['InstanceBusy', { instance: { ...instance, status: 'Starting' } }],
    ['InstanceLocked', { instance: { ...instance, locks: ['financial'] } }],
    ['AgentOffline', { agent: { instanceId: instance.id, installed: true, online: false } }],
    ['WindowsGuest', { instance: { ...instance, osType: 'windows' } }],
    ['DiskWithoutSerial', { disk: { ...disk, serial: '' } }],
    ['SyncNeedsRunningInstance', { instance: { ...instance, status: 'Stopped' }, agent: undefined }],
    ['PathNotFound', { paths: [{ path: '/data/uploads', code: 'PathNotFound', message: 'is not there' }] }],
  ];
  test.each(blocked)('with blocker %s', (code, over) => {
    expect(codes(over)).toContain(code);
  });

  test('with blocker DiskOnAnotherInstance when another instance was named', () => {
    expect(codes({}, { ...rollback, instanceId: 'i-bp1bbbbbbbbbbbbbbbbb' })).toEqual(['DiskOnAnotherInstance']);
  });

  test('with every blocker at once, each with a fact and a remedy', () => {
    const findings = blockersOf(
      planRollback(rollback, {
        ...healthy,
        snapshot: { ...snapshot, sourceDiskId: 'd-bp1zzzzzzzzzzzzzzzzz', available: false, status: 'progressing' },
        disk: { ...disk, locks: ['security'] },
        instance: { ...instance, status: 'Stopping' },
      }),
    );
    expect(findings.map((finding) => finding.code)).toEqual([
      'SnapshotOfAnotherDisk',
      'SnapshotNotReady',
      'DiskLocked',
      'InstanceBusy',
    ]);
    expect(findings.every((finding) => finding.fact.length > 10 && (finding.remedy ?? '').length > 5)).toBe(true);
  });

  test('with a warning for a disk that has grown since, and for a system disk', () => {
    const warned = planRollback(rollback, { ...healthy, disk: { ...disk, sizeGiB: 40, kind: 'system' } }).findings.map(
      (finding) => finding.code,
    );
    expect(warned).toEqual(expect.arrayContaining(['DiskGrownSince', 'SystemDisk']));
  });
});

test('a sync on its own has steps 3 to 8 only and needs the instance running', () => {
  const input = syncInputSchema.parse({ ...base, sync: { paths: ['/data/uploads'] } });
  expect(planSync(input, healthy).steps).toEqual([
    'plan',
    'createRecoveryDisk',
    'attachRecoveryDisk',
    'connect',
    'mountRecoveryDisk',
    'copyBack',
    'releaseRecoveryDisk',
  ]);
  const stopped = planSync(input, { ...healthy, instance: { ...instance, status: 'Stopped' } });
  expect(blockersOf(stopped).map((finding) => finding.code)).toContain('SyncNeedsRunningInstance');
});

describe('input is refused', () => {
  const problems = (over: object) => {
    const parsed = rollbackInputSchema.safeParse({ ...base, ...over });
    return parsed.success ? [] : parsed.error.issues.map((issue) => `${issue.path.join('.')} ${issue.message}`);
  };
  test.each([
    [{ diskId: 's-bp1aaaaaaaaaaaaaaaaa' }, /^diskId is not the id of a disk/],
    [{ snapshotId: '../x' }, /^snapshotId is not the id of a snapshot/],
    [{ instanceId: 'web-1' }, /^instanceId is not the id of an instance/],
    [{ regionId: 'Hangzhou!' }, /^regionId is not the id of a region/],
    [{ sync: { paths: [] } }, /^sync.paths is empty/],
    [{ sync: { paths: ['data'] } }, /^sync.paths.0 is not an absolute path/],
    [{ sync: { paths: ['/data/../etc'] } }, /^sync.paths.0 has a "." or ".." part/],
    [{ sync: { paths: ['/'] } }, /^sync.paths.0 is the root directory/],
    [{ sync: { paths: ['/data/a\0b'] } }, /^sync.paths.0 contains a NUL/],
    [{ sync: { paths: ['/data'] }, powerAfter: 'stopped' }, /^powerAfter is "stopped" although paths/],
    [{ safetySnapshotRetentionDays: 0 }, /^safetySnapshotRetentionDays/],
    [{ snapshot: 'x' }, /snapshot/],
  ])('%j', (over, message) => {
    expect(problems(over).join('\n')).toMatch(message);
  });
});
