/** A world in which nothing stands in the way; each test changes what it is about. */
import type { Disk, Instance, Snapshot } from '../../../../src/cloud/types.ts';
import { rollbackInputSchema, type RollbackRequest, syncInputSchema } from '../../../../src/contract/rollback.ts';
import type { Observed } from '../../../../src/domain/plan/observed.ts';
import type { LookAroundResult } from '../../../../src/guest/scripts.ts';

export const OTHER_INSTANCE = 'i-bp1bbbbbbbbbbbbbbbbb';
export const OTHER_DISK = 'd-bp1zzzzzzzzzzzzzzzzz';

export const disk: Disk = {
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
  attachedAt: '2026-01-01T00:01:00Z',
  deleteWithInstance: false,
  deleteAutoSnapshot: false,
  attachedTo: ['i-bp1aaaaaaaaaaaaaaaaa'],
  locks: [],
  tags: {},
};
export const systemDisk: Disk = {
  ...disk,
  id: 'd-bp1sssssssssssssssss',
  kind: 'system',
  deleteWithInstance: true,
};
export const snapshot: Snapshot = {
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
export const instance: Instance = {
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
export const guest: LookAroundResult = {
  kernel: 'Linux',
  os: 'Debian GNU/Linux 12 (bookworm)',
  bash: '5.2',
  missingTools: [],
  canFreeze: true,
  stateFreeBytes: 1024 ** 3,
  fileSystems: [
    {
      at: '/data',
      type: 'ext4',
      readOnly: false,
      sizeBytes: 20 * 1024 ** 3,
      freeBytes: 10 * 1024 ** 3,
      inodes: 1_000_000,
      freeInodes: 900_000,
      atBoot: true,
    },
  ],
  stacks: [],
  hookProblems: [],
};
export const windowsGuest: LookAroundResult = {
  ...guest,
  kernel: 'Windows',
  os: 'Microsoft Windows Server 2022',
  bash: '',
  powershell: '5.1',
  canFreeze: false,
  fileSystems: [
    {
      at: 'D:\\',
      type: 'NTFS',
      readOnly: false,
      sizeBytes: 20e9,
      freeBytes: 9e9,
      inodes: 0,
      freeInodes: 0,
      atBoot: true,
    },
  ],
};
export const healthy: Observed = {
  disk,
  snapshot,
  snapshotsOfDisk: [snapshot],
  instance,
  disksOfInstance: [systemDisk, disk],
  agent: { instanceId: instance.id, installed: true, online: true },
  diskLimit: 17,
  offers: [{ category: 'cloud_essd', available: true, minGiB: 1, maxGiB: 65_536 }],
  dryRuns: {
    ResetDisk: { kind: 'conflict', code: 'IncorrectInstanceStatus', message: 'the instance is Running' },
    StopInstance: 'passes',
    StartInstance: { kind: 'conflict', code: 'IncorrectInstanceStatus', message: 'the instance is Running' },
  },
  otherRuns: { holder: null, open: [] },
  guest,
  paths: [],
  unread: [],
  observedAt: '2026-11-22T00:00:00Z',
};
export const windows: Observed = { ...healthy, instance: { ...instance, osType: 'windows' }, guest: windowsGuest };
/** The same instance, found stopped: its guest cannot be asked. */
export const stopped: Observed = {
  ...healthy,
  instance: { ...instance, status: 'Stopped', stoppedMode: 'KeepCharging' },
  agent: { instanceId: instance.id, installed: true, online: false },
  dryRuns: { ResetDisk: 'passes', StartInstance: 'passes' },
  guest: undefined,
  paths: undefined,
};

const base = { regionId: 'cn-hangzhou', diskId: disk.id, snapshotId: snapshot.id };
export const withPaths = rollbackInputSchema.parse({ ...base, sync: { paths: ['/data/uploads'] } });
export const withoutPaths = rollbackInputSchema.parse(base);
export const syncOnly = syncInputSchema.parse({ ...base, sync: { paths: ['/data/uploads'] } });
export const onWindows = (sync: Partial<NonNullable<RollbackRequest['sync']>> = {}) =>
  rollbackInputSchema.parse({ ...base, sync: { paths: [String.raw`D:\data\uploads`], ...sync } });
