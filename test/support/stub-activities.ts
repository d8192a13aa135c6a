/**
 * Stand-ins for the worker's activities, for tests of the workflows alone: each notes that it was called and answers as
 * a healthy cloud would. A test replaces the ones it is about.
 */
import type { Activities } from '../../src/activities/index.ts';
import type { CopyReceipt, RollbackPlan } from '../../src/contract/rollback.ts';

export const DISK = 'd-bp1aaaaaaaaaaaaaaaaa';
export const SNAPSHOT_A = 's-bp1aaaaaaaaaaaaaaaaa';
export const SNAPSHOT_B = 's-bp1bbbbbbbbbbbbbbbbb';
export const INSTANCE = 'i-bp1aaaaaaaaaaaaaaaaa';
export const RECOVERY_DISK = 'd-bp1rrrrrrrrrrrrrrrrr';
export const REGION = 'cn-hangzhou';
export const PLAN_HASH = 'a'.repeat(64);

export function plan(over: Partial<RollbackPlan> & { wasRunning?: boolean } = {}): RollbackPlan {
  const { wasRunning = true, ...rest } = over;
  return {
    regionId: REGION,
    diskId: DISK,
    snapshotId: SNAPSHOT_A,
    disk: {
      id: DISK,
      sizeGiB: 20,
      category: 'cloud_essd',
      performanceLevel: 'PL1',
      kind: 'data',
      zoneId: 'cn-hangzhou-h',
      encrypted: false,
      serial: 'bp1aaaaaaaaaaaaaaaaa',
    },
    target: { id: SNAPSHOT_A, createdAt: '2026-11-22T01:00:00Z', sizeGiB: 20 },
    instance: { id: INSTANCE, name: 'shop', osName: 'Debian 12', wasRunning },
    paths: ['/data/uploads'],
    findings: [],
    steps: [
      'plan',
      ...(wasRunning ? (['stopInstance'] as const) : []),
      'takeSafetySnapshot',
      'gate',
      'resetDisk',
      ...(wasRunning ? (['startInstance'] as const) : []),
      'createRecoveryDisk',
      'attachRecoveryDisk',
      'connect',
      'mountRecoveryDisk',
      'copyBack',
      'releaseRecoveryDisk',
    ],
    observedAt: '2026-11-22T02:00:00Z',
    hash: PLAN_HASH,
    ...rest,
  };
}

/** Of a copy that came to a good end. */
export const RECEIPT: CopyReceipt = {
  filesSelected: 3,
  bytesSelected: 30,
  filesCopied: 3,
  bytesCopied: 30,
  filesKeptLive: 0,
  verified: true,
  xattrsCompared: true,
  digest: 'abc',
  mismatches: [],
};

/** The activities and the order they were called in. */
export function stubActivities(over: Partial<Activities> = {}): { activities: Activities; calls: string[] } {
  const calls: string[] = [];
  const pair = {
    partition: 1,
    fsType: 'ext4',
    fsUuid: '3f6a2b6e-5f0e-4c8e-9a39-0d5a5f0c7e11',
    recoveryDevice: '/dev/disk/by-id/virtio-bp1rrrrrrrrrrrrrrrrr-part1',
    originalMount: '/data',
    paths: ['uploads'],
  };
  const job = { stage: 'done', filesDone: 3, filesTotal: 3, bytesDone: 30, bytesTotal: 30, message: '' } as const;
  const healthy: Activities = {
    planRollback: async () => plan(),
    planSync: async () => plan(),
    stopInstance: async () => ({ sent: true }),
    awaitInstanceStopped: async () => ({ stoppedMode: 'KeepCharging' }),
    startInstance: async () => ({ sent: true }),
    awaitInstanceRunning: async () => undefined,
    awaitAgentOnline: async () => undefined,
    createSafetySnapshot: async () => ({ snapshotId: SNAPSHOT_B }),
    findSafetySnapshot: async () => null,
    awaitSnapshotCut: async () => ({ createdAt: '2026-11-22T02:01:00Z' }),
    lockSafetySnapshot: async () => ({ sent: true, expiresAt: '2026-12-22T02:01:00Z' }),
    deleteWarmUpSnapshot: async () => ({ sent: true }),
    awaitSnapshotAccomplished: async () => ({ createdAt: '2026-11-22T02:01:00Z', sizeGiB: 20 }),
    checkGate: async () => ({
      observedAt: '2026-11-22T02:02:00Z',
      instanceStatus: 'Stopped',
      stoppedMode: 'KeepCharging',
      diskStatus: 'In_use',
      safetySnapshotId: SNAPSHOT_B,
      safetySnapshotCreatedAt: '2026-11-22T02:01:00Z',
      targetSnapshotStatus: 'accomplished',
      unfinishedSnapshots: 0,
    }),
    resetDisk: async () => ({ sent: true }),
    awaitResetEnded: async () => ({ diskSizeGiB: 20 }),
    restoreDiskSize: async () => ({ sent: false, seenGiB: 20 }),
    awaitDiskSize: async () => undefined,
    runHook: async ({ at, attempt }) => ({
      state: 'done',
      exitCode: 0,
      timedOut: false,
      outputBytes: 2,
      outputFile: `/var/log/ecs-rollback/run/${at}-${attempt}/output`,
    }),
    growFileSystems: async () => ({ grown: [], left: [] }),
    createRecoveryDisk: async () => ({ diskId: RECOVERY_DISK, sizeGiB: 20 }),
    findRecoveryDisk: async () => null,
    awaitRecoveryDiskAvailable: async () => ({ serial: 'bp1rrrrrrrrrrrrrrrrr', sizeGiB: 20 }),
    attachRecoveryDisk: async () => ({ sent: true }),
    awaitRecoveryDiskAttached: async () => undefined,
    detachRecoveryDisk: async () => ({ sent: true }),
    awaitRecoveryDiskDetached: async () => undefined,
    deleteRecoveryDisk: async () => ({ sent: true }),
    awaitRecoveryDiskGone: async () => undefined,
    awaitGuestReady: async () => ({ bootId: 'b', bootedAt: '1790000000.5' }),
    listDisks: async () => ({ bootId: 'b', disks: ['vda', 'vdb'] }),
    findRecoveryDevice: async () => ({
      bootId: 'b',
      originalDevice: '/dev/vdb',
      recoveryDevice: '/dev/vdc',
      fileSystems: [pair],
    }),
    lookIntoCopy: async () => ({ entries: [] }),
    mountRecoveryDisk: async () => ({ mounts: [{ ...pair, recoveryMount: '/run/ecs-rollback/r/p1' }] }),
    startCopy: async () => ({ alreadyRunning: false }),
    awaitCopy: async () => ({ state: 'done', ...job }),
    startVerification: async () => undefined,
    awaitVerification: async () => RECEIPT,
    readReport: async ({ page }) => ({ entries: [], page, pages: 1, total: 0, bytes: 0 }),
    sendList: async () => ({ sha256: 'f'.repeat(64) }),
    restoreKept: async () => ({
      files: 1,
      bytes: 2,
      directories: 0,
      already: 0,
      paths: ['/data/a'],
      problems: [],
      problemCount: 0,
    }),
    discardKept: async () => ({ folders: ['/data/.ecs-rollback-r.aside'], files: 1, bytes: 2, report: true }),
    unmountRecoveryDisk: async () => ({ unmounted: 1 }),
    confirmOriginalInPlace: async () => undefined,
    freezeFileSystems: async () => ({ fileSystems: ['/data'], alreadyFrozen: false }),
    thawFileSystems: async () => ({ fileSystems: 1, frozenMs: 4_000, byDeadMan: false }),
    findLeftovers: async () => ({ observedAt: '2026-11-22T02:00:00Z', leftovers: [], notShown: 0 }),
    unmountLeftover: async () => ({ inGuest: true }),
    detachLeftover: async () => ({ sent: true }),
    deleteLeftover: async () => ({ sent: true }),
    leaseHolder: async () => ({ holder: null }),
    awaitLeaseFree: async () => undefined,
    observeStep: async () => ({ holds: false, seen: 'not there' }),
  };
  const merged = { ...healthy, ...over } as Record<string, (...args: never[]) => Promise<unknown>>;
  const activities = Object.fromEntries(
    Object.entries(merged).map(([name, activity]) => [
      name,
      (...args: never[]) => {
        calls.push(name);
        return activity(...args);
      },
    ]),
  ) as unknown as Activities;
  return { activities, calls };
}
