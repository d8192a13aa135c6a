// What a `skip` is believed by: each step's outcome as the cloud and the guest show it, there and not there.
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StepId } from '../../src/contract/rollback.ts';
import { activityEnvironment, type SimulatedCloud, simulatedCloud } from '../support/simulated-cloud.ts';

let cloud: SimulatedCloud;
const identity = { run: 'run-1', workflowId: 'rollback-d-1' };
let recoveryDiskId: string;

beforeAll(async () => {
  cloud = await simulatedCloud();
});
afterAll(() => cloud?.close());

const observe = (step: StepId, over: { run?: string; recoveryDiskId?: string } = {}) =>
  cloud.run(
    () =>
      cloud.activities.observeStep({
        step,
        ...identity,
        regionId: cloud.regionId,
        instanceId: cloud.instanceId,
        originalDiskId: cloud.diskId,
        ...over,
      }),
    { env: activityEnvironment({ activityId: `${step}-${Math.random()}` }) },
  );
const guestSays = (result: object) =>
  cloud.control('POST', 'guest-answers', { output: JSON.stringify({ ok: true, result }), times: 1 });

test('startInstance holds while the instance runs', async () => {
  expect(await observe('startInstance')).toEqual({ holds: true, seen: `instance ${cloud.instanceId} is Running` });
  await cloud.region.stopInstance(cloud.instanceId, { force: false });
  expect(await observe('startInstance')).toMatchObject({ holds: false, seen: expect.stringMatching(/Stopp(ing|ed)$/) });
  const ref = { regionId: cloud.regionId, instanceId: cloud.instanceId };
  await cloud.run(() => cloud.activities.awaitInstanceStopped(ref));
  await cloud.run(() => cloud.activities.startInstance(ref));
  await cloud.run(() => cloud.activities.awaitInstanceRunning(ref));
  await cloud.run(() => cloud.activities.awaitAgentOnline(ref));
});

test('the recovery disk: made, attached, released', async () => {
  const nothing = { holds: false, seen: "there is no disk with the tags of this run's recovery disk" };
  expect(await observe('createRecoveryDisk')).toEqual(nothing);
  expect(await observe('attachRecoveryDisk')).toEqual(nothing);
  expect(await observe('releaseRecoveryDisk')).toMatchObject({ holds: true });
  // Another's disk, or the original itself, is no evidence.
  expect(await observe('createRecoveryDisk', { recoveryDiskId: cloud.diskId })).toEqual(nothing);

  const { snapshotId } = await cloud.run(() =>
    cloud.activities.createSafetySnapshot({
      ...identity,
      regionId: cloud.regionId,
      diskId: cloud.diskId,
      targetSnapshotId: 's-none',
      retentionDays: 1,
    }),
  );
  await cloud.run(() => cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId }));
  ({ diskId: recoveryDiskId } = await cloud.run(() =>
    cloud.activities.createRecoveryDisk({
      ...identity,
      regionId: cloud.regionId,
      snapshotId,
      snapshotSizeGiB: 20,
      expiresAt: '2026-11-29T02:00:00Z',
      like: {
        id: cloud.diskId,
        sizeGiB: 20,
        category: 'cloud_essd',
        kind: 'data',
        zoneId: 'cn-hangzhou-h',
        encrypted: false,
        serial: '',
      },
    }),
  ));
  const ref = {
    run: identity.run,
    regionId: cloud.regionId,
    instanceId: cloud.instanceId,
    originalDiskId: cloud.diskId,
    recoveryDiskId,
  };
  await cloud.run(() => cloud.activities.awaitRecoveryDiskAvailable(ref));
  expect(await observe('createRecoveryDisk')).toEqual({
    holds: true,
    seen: `recovery disk ${recoveryDiskId} is Available`,
  });
  expect(await observe('createRecoveryDisk', { run: 'somebody-else', recoveryDiskId })).toEqual(nothing);
  expect(await observe('attachRecoveryDisk')).toMatchObject({ holds: false });
  await cloud.run(() => cloud.activities.attachRecoveryDisk(ref));
  await cloud.run(() => cloud.activities.awaitRecoveryDiskAttached(ref));
  expect(await observe('attachRecoveryDisk')).toEqual({
    holds: true,
    seen: `recovery disk ${recoveryDiskId} is In_use, on ${cloud.instanceId}`,
  });
  expect(await observe('createRecoveryDisk')).toMatchObject({ holds: true });
  expect(await observe('releaseRecoveryDisk')).toMatchObject({ holds: false });
});

test('the guest is asked for mounts and verdict', async () => {
  const state = { mounts: [] as string[], verification: 'none', verified: false };
  await guestSays(state);
  expect(await observe('mountRecoveryDisk')).toMatchObject({ holds: false });
  await guestSays({ ...state, mounts: ['/run/ecs-rollback/run-1/mnt/p1'] });
  expect(await observe('mountRecoveryDisk')).toEqual({
    holds: true,
    seen: 'mounted at /run/ecs-rollback/run-1/mnt/p1',
  });
  for (const [verification, verified, holds] of [
    ['none', false, false],
    ['running', false, false],
    ['failed', false, false],
    ['ended', false, false],
    ['ended', true, true],
  ] as const) {
    await guestSays({ ...state, verification, verified });
    expect(await observe('copyBack')).toMatchObject({ holds });
  }
});

test('a guest that cannot be asked holds nothing', async () => {
  await cloud.control('POST', `instances/${cloud.instanceId}`, { agentOffline: true });
  expect(await observe('copyBack')).toEqual({
    holds: false,
    seen: `the Cloud Assistant agent of ${cloud.instanceId} is offline: its guest cannot be asked`,
  });
});

test.each(['resetDisk', 'gate', 'plan', 'stopInstance', 'takeSafetySnapshot', 'connect'] as const)(
  '%s is never taken for done',
  async (step) => {
    expect(await observe(step)).toMatchObject({ holds: false, seen: expect.stringMatching(/.{20}/) });
  },
);
