/**
 * The plan against the simulator and a real Temporal server: what is read, that nothing is changed, and that whatever cannot
 * be read is said beside all the rest. What each thing means is for the tests of `domain/plan/`.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client, Connection } from '@temporalio/client';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { Processes } from '../../local/processes.ts';
import type { DiskState, Scene } from '../../simulator/state/model.ts';
import { ACTIONS, type Action } from '../../src/cloud/alicloud/actions.ts';
import { leaseWorkflowId } from '../../src/contract/ids.ts';
import { ACTIVITY_FAILURE, SEARCH_ATTRIBUTES } from '../../src/contract/messages.ts';
import {
  type RollbackPlan,
  type RollbackRequest,
  rollbackInputSchema,
  syncInputSchema,
} from '../../src/contract/rollback.ts';
import { activityEnvironment, type SimulatedCloud, simulatedCloud } from '../support/simulated-cloud.ts';
import { startTemporalServer } from '../support/temporal-server.ts';

let cloud: SimulatedCloud;
let processes: Processes;
let folder: string;
let temporal: Client;
let snapshotId: string;

const LOOK = {
  kernel: 'Linux',
  os: 'Debian GNU/Linux 12',
  bash: '5.2',
  missingTools: [],
  canFreeze: true,
  stateFreeBytes: 1024 ** 3,
  fileSystems: [],
  stacks: [],
  hookProblems: [],
};

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'ecs-rollback-planning-'));
  processes = new Processes(folder);
  const attributes = Object.values(SEARCH_ATTRIBUTES).flatMap((name) => ['--search-attribute', `${name}=Keyword`]);
  const [address, simulated] = await Promise.all([startTemporalServer(processes, attributes), simulatedCloud()]);
  cloud = simulated;
  temporal = new Client({ connection: await Connection.connect({ address }) });
  snapshotId = await snapshotOf(cloud.diskId);
}, 120_000);
afterAll(async () => {
  await temporal?.connection.close();
  await cloud?.close();
  await processes?.stopAll();
  await rm(folder, { recursive: true, force: true });
});
beforeEach(() => guestSays(LOOK));
afterEach(async () => {
  await cloud.control('DELETE', 'faults');
  await cloud.control('DELETE', 'guest-answers');
});

async function snapshotOf(diskId: string): Promise<string> {
  const id = await cloud.region.createSnapshot({
    diskId,
    name: 'nightly',
    description: 'for the tests of the plan',
    retentionDays: 30,
    tags: {},
    clientToken: `planning-${diskId}`,
  });
  await cloud.run(() => cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId: id }));
  return id;
}

const guestSays = (result: object, script = 'look-around') =>
  cloud.control('POST', 'guest-answers', {
    contains: `ecs-rollback, guest script ${script}\n`,
    output: JSON.stringify({ ok: true, result }),
  });
const fault = (action: string, code: string, more: object = {}) =>
  cloud.control('POST', 'faults', { action, times: -1, error: { code, status: 403 }, ...more });

const input = (over: Partial<RollbackRequest> = {}) =>
  rollbackInputSchema.parse({ regionId: cloud.regionId, diskId: cloud.diskId, snapshotId, ...over });
const planned = (over: Partial<RollbackRequest> = {}, attempt = 1): Promise<RollbackPlan> =>
  cloud.run(() => cloud.activities.planRollback(input(over)), {
    env: activityEnvironment({ attempt }, temporal),
  });
const found = ({ findings }: RollbackPlan) => findings.map(({ severity, code }) => `${severity} ${code}`);
const about = ({ findings }: RollbackPlan, code: string) => findings.find((finding) => finding.code === code)?.fact;

describe('a plan of a healthy world', () => {
  test('has nothing in its way and changes nothing', async () => {
    await guestSays({ problems: [] }, 'check-paths');
    const before = (await cloud.control<{ calls: unknown[] }>('GET', 'calls')).calls.length;
    const plan = await planned({ sync: { paths: ['/data/uploads'] } });
    expect(found(plan)).toEqual(['warning DataLossWindow']);
    const { calls } = await cloud.control<{
      calls: Array<{ action: Action; parameters: Record<string, string>; tookEffect: boolean }>;
    }>('GET', `calls/${before}`);
    const effects = calls.filter(({ action }) => ACTIONS[action] !== 'read');
    expect(effects.map(({ action }) => action).sort()).toEqual([
      'ResetDisk',
      'RunCommand',
      'RunCommand',
      'StartInstance',
      'StopInstance',
    ]);
    for (const { action, parameters, tookEffect } of effects) {
      // A script that only looks is run in the guest; all else is a dry run.
      if (action === 'RunCommand') expect(parameters['Name']).toMatch(/^ecs-rollback-(look-around|check-paths)$/);
      else expect([parameters['DryRun'], tookEffect]).toEqual(['true', false]);
    }
  });

  test('has the same hash when it is made again, whatever free space and other runs do', async () => {
    const first = await planned();
    const nearlyFull = { at: '/data', type: 'ext4', readOnly: false, sizeBytes: 1_000, freeBytes: 1 };
    await cloud.control('DELETE', 'guest-answers');
    await guestSays({ ...LOOK, fileSystems: [{ ...nearlyFull, inodes: 0, freeInodes: 0, atBoot: true }] });
    const other = await lease('somebody-else');
    const second = await planned();
    expect(second.hash).toBe(first.hash);
    expect(second.findings).not.toEqual(first.findings);
    await other();
  });

  test('has another hash when what matters is no longer so', async () => {
    const { hash } = await planned();
    await cloud.control('POST', `disks/${cloud.diskId}`, { autoSnapshotPolicyId: 'sp-1' });
    expect((await planned()).hash).not.toBe(hash);
    await cloud.control('POST', `disks/${cloud.diskId}`, { autoSnapshotPolicyId: '' });
    expect((await planned()).hash).toBe(hash);
    expect((await planned({ forceStop: true })).hash).not.toBe(hash);
  });
});

/** Somebody holds the instance; ends with the returned call. */
async function lease(holder: string): Promise<() => Promise<void>> {
  const handle = await temporal.workflow.start('holdLease', {
    workflowId: leaseWorkflowId(cloud.instanceId),
    taskQueue: 'nobody',
    args: [{ instanceId: cloud.instanceId, holder }],
  });
  return async () => {
    await handle.terminate();
  };
}

describe('what is read of the cloud', () => {
  test('disk, snapshots and instance as they are', async () => {
    const { instanceId, diskId } = cloud;
    const set = async (disk: object, instance: object, snapshot: object) => {
      await cloud.control('POST', `disks/${diskId}`, disk);
      await cloud.control('POST', `instances/${instanceId}`, instance);
      await cloud.control('POST', `snapshots/${snapshotId}`, snapshot);
    };
    await set(
      { lock: 'financial', autoSnapshotPolicyId: 'sp-1', deleteWithInstance: true },
      { scalingGroupId: 'asg-1', autoReleaseTime: '2030-01-01T00:00Z', lock: 'security' },
      { retentionDays: 1, archived: true, encrypted: true },
    );
    const plan = await planned();
    expect(found(plan)).toEqual(
      expect.arrayContaining([
        'blocker DiskInArrears',
        'blocker InstanceLocked',
        'blocker SnapshotArchived',
        'blocker SnapshotEncrypted',
        'warning SnapshotExpiresSoon',
        'warning AutoSnapshotPolicy',
        'warning DiskGoesWithInstance',
        'warning InstanceInScalingGroup',
        'warning InstanceWillBeReleased',
      ]),
    );
    await set(
      { lock: '', autoSnapshotPolicyId: '', deleteWithInstance: false },
      { scalingGroupId: '', autoReleaseTime: '', lock: '' },
      { retentionDays: 30, archived: false, encrypted: false },
    );
    expect(found(await planned())).toEqual(['warning DataLossWindow']);
  });

  test('whose snapshot it is: a replaced system disk, another disk, a copy', async () => {
    const set = (over: object) => cloud.control('POST', `snapshots/${snapshotId}`, over);
    await set({ sourceDiskId: 'd-bp1nosuchdisk00000000' });
    const plan = await planned();
    expect(found(plan)).toContain('blocker SnapshotOfAnotherDisk');
    expect(about(plan, 'SnapshotOfAnotherDisk')).toContain('not there, or not yours');
    await set({ sourceDiskId: cloud.diskId });
    expect((await cloud.calls('ResetDisk')).every(({ parameters }) => parameters['SnapshotId'] === snapshotId)).toBe(
      true,
    );
  });

  test('the recovery disk: places on the instance, what the zone has', async () => {
    await guestSays({ problems: [] }, 'check-paths');
    await cloud.control('POST', 'instance-types/ecs.g7.large', { diskQuantity: 2 });
    await cloud.control('POST', 'zones/cn-hangzhou-h', { soldOut: 'cloud_essd' });
    const blocked = ['blocker DiskSlotsFull', 'blocker RecoveryDiskNotOffered'];
    expect(found(await planned({ sync: { paths: ['/data/uploads'] } }))).toEqual(expect.arrayContaining(blocked));
    expect(found(await planned())).not.toEqual(expect.arrayContaining(blocked));
    await cloud.control('POST', 'instance-types/ecs.g7.large', { diskQuantity: 17 });
    await cloud.control('POST', 'zones/cn-hangzhou-h', { onSale: 'cloud_essd' });
  });

  test('what would be refused, by dry run', async () => {
    await fault('StopInstance', 'Forbidden.RAM');
    await fault('StartInstance', 'Forbidden.RAM');
    await fault('ResetDisk', 'InvalidParameter.KMSKeyId.CMKNotEnabled');
    const plan = await planned();
    expect(found(plan).filter((each) => each.startsWith('blocker'))).toEqual([
      'blocker KmsKeyUnusable',
      'blocker NotAllowed',
      'blocker NotAllowed',
    ]);
    expect(about(plan, 'NotAllowed')).toMatch(/may not do StopInstance: .*ecs:StopInstance/);
  });

  test('a clone of the disk that is still attached', async () => {
    const scene = await cloud.control<Scene>('POST', 'scenes', { name: 'with-clone' });
    const a = await snapshotOf(scene.dataDiskId);
    const made = await cloud.region.createDisk({
      snapshotId: a,
      zoneId: scene.zoneId,
      sizeGiB: 20,
      category: 'cloud_essd',
      encrypted: false,
      name: 'clone',
      description: 'by hand',
      tags: {},
      clientToken: 'clone',
    });
    const state = () => cloud.control<{ disks: Record<string, DiskState> }>('GET', 'state');
    await expect.poll(async () => (await state()).disks[made]?.status).toBe('Available');
    await cloud.region.attachDisk(made, scene.instanceId);
    await expect.poll(async () => (await cloud.region.disksOf(scene.instanceId)).length).toBe(3);
    const plan = await planned({ diskId: scene.dataDiskId, snapshotId: a });
    expect(found(plan)).toContain('blocker CopyAttached');
    expect(about(plan, 'CopyAttached')).toContain(made);
  });
});

describe('other runs', () => {
  const open = (workflowId: string, phase: string, on: { instance?: string; disk?: string }) =>
    temporal.workflow.start('rollbackDisk', {
      workflowId,
      taskQueue: 'nobody',
      searchAttributes: {
        [SEARCH_ATTRIBUTES.phase]: [phase],
        ...(on.instance === undefined ? {} : { [SEARCH_ATTRIBUTES.instance]: [on.instance] }),
        ...(on.disk === undefined ? {} : { [SEARCH_ATTRIBUTES.disk]: [on.disk] }),
      },
    });

  test('that hold the instance, or wait, are named; this one, plans and runs elsewhere are not', async () => {
    const runs = await Promise.all([
      open('waits', 'awaiting-approval', { instance: cloud.instanceId }),
      open('on-the-disk', 'copying', { disk: cloud.diskId }),
      open('plans', 'planning', { disk: cloud.diskId }),
      open('elsewhere', 'copying', { instance: 'i-other', disk: 'd-other' }),
      // What an activity in this environment takes for its own workflow.
      open('test', 'copying', { disk: cloud.diskId }),
    ]);
    const end = await lease('x');
    try {
      await expect
        .poll(async () => about(await planned(), 'OtherRunsOpen'), { timeout: 20_000, interval: 200 })
        .toMatch(/: (?=.*waits \(awaiting-approval\))(?=.*on-the-disk \(copying\))(?!.*(plans|elsewhere|test \())/);
      expect(about(await planned(), 'InstanceHeldByRun')).toContain(leaseWorkflowId(cloud.instanceId));
    } finally {
      await end();
      await Promise.all(runs.map((run) => run.terminate()));
    }
    await expect
      .poll(async () => found(await planned()), { timeout: 20_000, interval: 200 })
      .toEqual(['warning DataLossWindow']);
  });

  test('the run that is undone holds the lease for its undo', async () => {
    const holder = leaseWorkflowId(cloud.instanceId);
    const end = await lease('x');
    const inside = { undoes: { workflowId: holder, runId: 'r', insideRun: true }, acceptDataLoss: true };
    expect(found(await planned(inside))).not.toContain('warning InstanceHeldByRun');
    expect(found(await planned({ ...inside, undoes: { ...inside.undoes, insideRun: false } }))).toContain(
      'warning InstanceHeldByRun',
    );
    await end();
  });
});

describe('an undo', () => {
  const undoes = { workflowId: 'rollback-x', runId: 'r', insideRun: false };

  test('is blocked while data since B would be lost, and lets itself be told to go on', async () => {
    expect(found(await planned({ undoes }))).toContain('blocker DataSinceWouldBeLost');
    expect(found(await planned({ undoes, acceptDataLoss: true }))).toEqual([
      'warning DataLossWindow',
      'warning DataSinceWouldBeLost',
    ]);
  });

  test('is free when the instance has not run since B', async () => {
    await cloud.control('POST', `instances/${cloud.instanceId}`, { startedAt: '2020-01-01T00:00:00Z' });
    const ref = { regionId: cloud.regionId, instanceId: cloud.instanceId };
    await cloud.run(() => cloud.activities.stopInstance({ ...ref, force: false }));
    await cloud.run(() => cloud.activities.awaitInstanceStopped(ref));
    expect(found(await planned({ undoes }))).toEqual(['warning GuestNotChecked', 'warning DataLossWindow']);
    await cloud.run(() => cloud.activities.startInstance(ref));
    await cloud.run(() => cloud.activities.awaitInstanceRunning(ref));
    await cloud.run(() => cloud.activities.awaitAgentOnline(ref));
  });

  test('names snapshot B when it is gone', async () => {
    const gone = 's-bp1gone0000000000000';
    const plan = await planned({ undoes, snapshotId: gone });
    expect(about(plan, 'SnapshotNotFound')).toMatch(`snapshot B (${gone}) of run rollback-x is gone`);
  });
});

describe('what cannot be read', () => {
  const failing = (promise: Promise<unknown>) =>
    promise.then(
      () => undefined,
      (error: unknown) => error,
    );

  test.each([
    ['DescribeInstances', 'blocker NotReadable'],
    ['DescribeCloudAssistantStatus', 'warning NotChecked'],
    ['ResetDisk', 'blocker NotAllowed'],
  ])('because %s is denied is a finding beside all the others', async (action, finding) => {
    await cloud.control('POST', `disks/${cloud.diskId}`, { lock: 'security' });
    await fault(action, 'Forbidden.RAM');
    const plan = await planned();
    expect(found(plan)).toEqual(expect.arrayContaining([finding, 'blocker DiskLocked']));
    await cloud.control('POST', `disks/${cloud.diskId}`, { lock: '' });
  });

  test('because it is throttled is tried again, and a finding when that does not help', async () => {
    await fault('DescribeCloudAssistantStatus', 'Throttling.User');
    expect(await failing(planned({}, 1))).toMatchObject({ type: ACTIVITY_FAILURE.throttled, nonRetryable: false });
    expect(await failing(planned({}, 2))).toMatchObject({ type: ACTIVITY_FAILURE.throttled });
    expect(found(await planned({}, 3))).toContain('warning NotChecked');
  });

  test('at all is no plan: the reason is thrown', async () => {
    await fault('DescribeDisks', 'Forbidden.RAM');
    await fault('DescribeSnapshots', 'Forbidden.RAM');
    expect(await failing(planned())).toMatchObject({ type: ACTIVITY_FAILURE.denied, nonRetryable: true });
  });

  test('of a guest: a warning, a blocker when it is needed, after it was asked again', async () => {
    await cloud.control('DELETE', 'guest-answers');
    expect(found(await planned())).toContain('warning GuestNotChecked');
    const sync = { paths: ['/data/uploads'] };
    expect(await failing(planned({ sync }))).toMatchObject({ type: ACTIVITY_FAILURE.guest, nonRetryable: false });
    expect(found(await planned({ sync }, 3))).toContain('blocker GuestNotAnswering');
    await fault('RunCommand', 'Forbidden.RAM');
    expect(about(await planned({ sync }), 'GuestNotAnswering')).toContain('allow ecs:RunCommand');
  });

  test('of a guest that does not come to an end is waited for only so long', async () => {
    await cloud.control('DELETE', 'guest-answers');
    await cloud.control('POST', 'guest-answers', { output: '{}', delayMs: 30_000 });
    await cloud.freeze();
    try {
      expect(about(await planned(), 'GuestNotChecked')).toContain('no answer within 3 s');
      expect(found(await planned({ sync: { paths: ['/data/uploads'] } }))).toContain('blocker GuestNotAnswering');
    } finally {
      await cloud.thaw();
    }
  });

  test('of a sync is judged alike', async () => {
    await fault('DescribeInstances', 'Forbidden.RAM');
    const sync = syncInputSchema.parse({
      regionId: cloud.regionId,
      diskId: cloud.diskId,
      snapshotId,
      sync: { paths: ['/data/uploads'] },
    });
    const plan = await cloud.run(() => cloud.activities.planSync(sync), {
      env: activityEnvironment({ attempt: 3 }, temporal),
    });
    expect(found(plan)).toContain('blocker NotReadable');
  });
});
