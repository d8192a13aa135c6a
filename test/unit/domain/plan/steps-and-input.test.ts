import { describe, expect, test } from 'vitest';
import { rollbackInputSchema, syncInputSchema } from '../../../../src/contract/rollback.ts';
import { blockersOf, planRollback, planSync } from '../../../../src/domain/plan/index.ts';
import { disk, healthy, snapshot, stopped } from './samples.ts';

const base = { regionId: 'cn-hangzhou', diskId: disk.id, snapshotId: snapshot.id };
const rollback = rollbackInputSchema.parse({ ...base, sync: { paths: ['/data/uploads'] } });

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

  test('without a start for an instance found stopped, unless it is asked for', () => {
    const only = rollbackInputSchema.parse(base);
    expect(planRollback(only, stopped).steps).toEqual(['plan', 'takeSafetySnapshot', 'gate', 'resetDisk']);
    const running = rollbackInputSchema.parse({ ...base, powerAfter: 'running' });
    expect(planRollback(running, stopped).steps).toContain('startInstance');
  });
});

describe('a rollback past an expansion', () => {
  const grown = { ...healthy, disk: { ...disk, sizeGiB: 40 } };
  const growing = (input: typeof rollback, seen: typeof healthy) => {
    const plan = planRollback(input, seen);
    const remedy = plan.findings.find(({ code }) => code === 'DiskGrownSince')?.remedy;
    return { steps: plan.steps.filter((step) => /Size|grow|^start/.test(step)), remedy };
  };

  test('gives the disk its size back before the start, and grows what is on it after', () => {
    const { steps, remedy } = growing(rollback, grown);
    expect(steps).toEqual(['restoreDiskSize', 'startInstance', 'growFileSystems']);
    expect(remedy).toMatch(/the run grows them again/);
  });

  test('leaves what is on it to people where the guest cannot be asked', () => {
    const only = rollbackInputSchema.parse(base);
    const off = growing(only, { ...stopped, disk: grown.disk });
    expect(off.steps).toEqual(['restoreDiskSize']);
    expect(off.remedy).toMatch(/by hand/);
    const unnamed = growing(only, { ...grown, disk: { ...grown.disk, serial: '' } });
    expect(unnamed.steps).toEqual(['restoreDiskSize', 'startInstance']);
  });
});

test('a disk without a serial is in the way, unless it may be told apart by comparing', () => {
  const seen = { ...healthy, disk: { ...disk, serial: '' } };
  const severity = (sync: object) =>
    planRollback(rollbackInputSchema.parse({ ...base, sync: { paths: ['/data/a'], ...sync } }), seen).findings.find(
      ({ code, field }) => code === 'DiskWithoutSerial' && field === 'diskId',
    )?.severity;
  expect(severity({})).toBe('blocker');
  expect(severity({ withoutSerial: 'compare' })).toBe('warning');
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
  expect(blockersOf(planSync(input, stopped)).map((finding) => finding.code)).toContain('SyncNeedsRunningInstance');
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
    [{ sync: { paths: ['D:data'] } }, /^sync.paths.0 is not an absolute path/],
    [{ sync: { paths: [String.raw`\\server\share\data`] } }, /^sync.paths.0 is not an absolute path/],
    [{ sync: { paths: [String.raw`D:\data\..\etc`] } }, /^sync.paths.0 has a "." or ".." part/],
    [{ sync: { paths: ['D:\\'] } }, /^sync.paths.0 is the root directory/],
    [{ sync: { paths: [String.raw`D:\data\a*`] } }, /^sync.paths.0 has a part that is no name on Windows/],
    [{ sync: { paths: [String.raw`D:\data\a:stream`] } }, /^sync.paths.0 has a part that is no name on Windows/],
    [{ sync: { paths: [String.raw`D:\data \a`] } }, /^sync.paths.0 has a part that is no name on Windows/],
    [{ sync: { paths: [String.raw`D:\Nul.txt`] } }, /^sync.paths.0 has a part that is no name on Windows/],
    [{ sync: { paths: ['/data'] }, powerAfter: 'stopped' }, /^powerAfter is "stopped" although paths/],
    [{ safetySnapshotRetentionDays: 0 }, /^safetySnapshotRetentionDays/],
    [{ snapshot: 'x' }, /snapshot/],
  ])('%j', (over, message) => {
    expect(problems(over).join('\n')).toMatch(message);
  });

  test.each([
    String.raw`D:\data\uploads`,
    'd:/data/uploads/',
    String.raw`C:\Program Files\Shop\données`,
    // On Linux all of these are names.
    String.raw`/data/a\..\b`,
    '/data/a*?"<>|: ',
    '/nul',
  ])('but not for the path %s', (path) => {
    expect(problems({ sync: { paths: [path] } })).toEqual([]);
  });
});
