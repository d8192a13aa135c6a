// Every effect, with its reply lost: the next attempt finds what was done and does not do it again.
import type { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { ACTIVITY_FAILURE } from '../../src/contract/messages.ts';
import type { PlannedDisk } from '../../src/contract/rollback.ts';
import { activityEnvironment, type SimulatedCloud, simulatedCloud } from '../support/simulated-cloud.ts';

let cloud: SimulatedCloud;
const identity = { run: 'run-1', workflowId: 'rollback-d-1' };
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: unknown) => error as ApplicationFailure,
  );

beforeAll(async () => {
  cloud = await simulatedCloud();
});
afterAll(() => cloud?.close());
beforeEach(() => cloud.control('DELETE', 'faults'));

const instance = () => ({ regionId: cloud.regionId, instanceId: cloud.instanceId });

/** The first attempt's reply is lost; returns what the second attempt answers and how often the call took effect. */
async function withLostReply<T>(action: string, effect: () => Promise<T>): Promise<{ result: T; effective: number }> {
  const before = (await cloud.calls(action)).filter((call) => call.tookEffect).length;
  await cloud.control('POST', 'faults', { action, answer: 'lost' });
  const failure = await failureOf(cloud.run(effect));
  expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.unknownOutcome, nonRetryable: false });
  const result = await secondAttempt(effect);
  const after = (await cloud.calls(action)).filter((call) => call.tookEffect).length;
  return { result, effective: after - before };
}

/** How a wait fails that must not go on for ever. */
async function failureSoon(wait: () => Promise<unknown>): Promise<ApplicationFailure> {
  const env = activityEnvironment();
  const enough = setTimeout(() => env.cancel('TIMED_OUT'), 10_000);
  try {
    return await failureOf(cloud.run(wait, { env }));
  } finally {
    clearTimeout(enough);
  }
}

/** Its look may come before the first one's call shows, and its own call be refused for that: then it is made again. */
async function secondAttempt<T>(effect: () => Promise<T>): Promise<T> {
  for (;;) {
    try {
      return await cloud.run(effect, { attempt: 2 });
    } catch (error) {
      if ((error as ApplicationFailure).type !== ACTIVITY_FAILURE.notReady) throw error;
    }
  }
}

describe('one rollback, every reply lost', () => {
  let targetSnapshotId: string;
  let safetySnapshotId: string;
  let recoveryDiskId: string;
  const resetInput = () => ({
    run: identity.run,
    ...instance(),
    diskId: cloud.diskId,
    targetSnapshotId,
    safetySnapshotId,
  });
  const recoveryRef = () => ({
    run: identity.run,
    ...instance(),
    originalDiskId: cloud.diskId,
    recoveryDiskId,
  });

  async function inVain(
    wait:
      | 'awaitRecoveryDiskAvailable'
      | 'awaitRecoveryDiskAttached'
      | 'awaitRecoveryDiskDetached'
      | 'awaitRecoveryDiskGone',
    message: string,
    diskId = recoveryDiskId,
  ): Promise<void> {
    const ref = { ...recoveryRef(), recoveryDiskId: diskId };
    const failure = await failureSoon(async () => cloud.activities[wait](ref));
    expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.cameToNothing, nonRetryable: true });
    expect(failure.message).toContain(message);
  }

  test('snapshot A, for the rollback to go to', async () => {
    const made = await cloud.run(() =>
      cloud.activities.createSafetySnapshot({
        run: 'earlier',
        workflowId: 'earlier',
        regionId: cloud.regionId,
        diskId: cloud.diskId,
        targetSnapshotId: 's-none',
        retentionDays: 1,
      }),
    );
    targetSnapshotId = made.snapshotId;
    await cloud.run(() =>
      cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId: targetSnapshotId }),
    );
  });

  test('StopInstance is sent once, and the stop keeps the capacity', async () => {
    const { effective } = await withLostReply('StopInstance', () =>
      cloud.activities.stopInstance({ ...instance(), force: false }),
    );
    expect(effective).toBe(1);
    // Not even once more to be refused.
    expect(await cloud.calls('StopInstance')).toHaveLength(1);
    expect(await cloud.run(() => cloud.activities.awaitInstanceStopped(instance()))).toEqual({
      stoppedMode: 'KeepCharging',
    });
  });

  test('CreateSnapshot makes one snapshot, tagged as the run’s', async () => {
    await cloud.freeze();
    const { result, effective } = await withLostReply('CreateSnapshot', () =>
      cloud.activities.createSafetySnapshot({
        ...identity,
        regionId: cloud.regionId,
        diskId: cloud.diskId,
        targetSnapshotId,
        retentionDays: 30,
      }),
    );
    safetySnapshotId = result.snapshotId;
    expect(effective).toBe(1);
    const found = await cloud.run(() => cloud.activities.findSafetySnapshot({ ...identity, regionId: cloud.regionId }));
    expect(found).toEqual({ snapshotId: safetySnapshotId });
  });

  test('the gate is closed while B is unfinished, and open after', async () => {
    const closed = await failureOf(cloud.run(() => cloud.activities.checkGate(resetInput())));
    expect(closed).toMatchObject({ type: ACTIVITY_FAILURE.gateClosed, nonRetryable: true });
    expect(closed.message).toMatch(/snapshot B .* is not a finished snapshot/);
    await cloud.thaw();
    await cloud.run(() =>
      cloud.activities.awaitSnapshotAccomplished({ regionId: cloud.regionId, snapshotId: safetySnapshotId }),
    );
    expect(await cloud.run(() => cloud.activities.checkGate(resetInput()))).toMatchObject({
      instanceStatus: 'Stopped',
      stoppedMode: 'KeepCharging',
      safetySnapshotId,
      unfinishedSnapshots: 0,
    });
  });

  test('the gate is closed when the instance was started after B was taken', async () => {
    // The clock of both is the cloud's; B was cut a moment ago.
    const startedAt = `${new Date(Date.now() + 120_000).toISOString().slice(0, 16)}Z`;
    await cloud.control('POST', `instances/${cloud.instanceId}`, { startedAt });
    const closed = await failureOf(cloud.run(() => cloud.activities.checkGate(resetInput())));
    expect(closed.message).toMatch(/is older than the last start of .*: what was written since is not in it/);
    await cloud.control('POST', `instances/${cloud.instanceId}`, { startedAt: '2026-11-22T00:00:00Z' });
  });

  test('the gate is closed for a snapshot B of another run', async () => {
    const closed = await failureOf(
      cloud.run(() => cloud.activities.checkGate({ ...resetInput(), run: 'somebody-else' })),
    );
    expect(closed.message).toMatch(/does not carry this run's tag/);
  });

  test('ResetDisk is sent once: the reset that is running is adopted', async () => {
    await cloud.control('POST', 'holds', { resourceId: cloud.diskId });
    const { result, effective } = await withLostReply('ResetDisk', () => cloud.activities.resetDisk(resetInput()));
    expect(effective).toBe(1);
    expect(result).toEqual({ sent: false });
  });

  test('the reset ends', async () => {
    await cloud.control('DELETE', `holds/${cloud.diskId}`);
    expect(await cloud.run(() => cloud.activities.awaitResetEnded(resetInput()))).toEqual({ diskSizeGiB: 20 });
  });

  test('a ResetDisk refused on a later attempt says nothing of the first one', async () => {
    for (const { attempt, sentBefore } of [
      { attempt: 2, sentBefore: false },
      { attempt: 1, sentBefore: true },
    ]) {
      const error = { code: 'OperationDenied', status: 403 };
      await cloud.control('POST', 'faults', { action: 'ResetDisk', match: { DryRun: '' }, error });
      const reset = () => cloud.activities.resetDisk({ ...resetInput(), sentBefore });
      const refused = await failureOf(cloud.run(reset, { attempt }));
      expect(refused).toMatchObject({ type: ACTIVITY_FAILURE.conflict, nonRetryable: true });
    }
  });

  test('ResizeDisk is sent once, and only for a disk that is smaller than it was', async () => {
    const size = (sizeGiB: number) => ({ run: identity.run, regionId: cloud.regionId, diskId: cloud.diskId, sizeGiB });
    expect(await cloud.run(() => cloud.activities.restoreDiskSize(size(20)))).toEqual({ sent: false, seenGiB: 20 });
    expect(await cloud.calls('ResizeDisk')).toEqual([]);
    const { result, effective } = await withLostReply('ResizeDisk', () => cloud.activities.restoreDiskSize(size(24)));
    expect(effective).toBe(1);
    expect(result).toEqual({ sent: false, seenGiB: 24 });
    await cloud.run(() => cloud.activities.awaitDiskSize(size(24)));
  });

  const createDisk = (of: typeof identity) => {
    const like: PlannedDisk = {
      id: cloud.diskId,
      sizeGiB: 20,
      category: 'cloud_essd',
      performanceLevel: 'PL1',
      kind: 'data',
      zoneId: 'cn-hangzhou-h',
      encrypted: false,
      serial: '',
    };
    const from = { regionId: cloud.regionId, snapshotId: safetySnapshotId, snapshotSizeGiB: 20 };
    return cloud.activities.createRecoveryDisk({ ...of, ...from, like });
  };

  test('CreateDisk makes one disk, like the original, from B', async () => {
    const { result, effective } = await withLostReply('CreateDisk', () => createDisk(identity));
    recoveryDiskId = result.diskId;
    expect(effective).toBe(1);
    expect(await cloud.run(() => cloud.activities.findRecoveryDisk({ ...identity, regionId: cloud.regionId }))).toEqual(
      {
        diskId: recoveryDiskId,
      },
    );
    const ready = await cloud.run(() => cloud.activities.awaitRecoveryDiskAvailable(recoveryRef()));
    expect(ready).toEqual({ serial: recoveryDiskId.replace('d-', ''), sizeGiB: 20 });
  });

  test('CreateDisk makes one disk although the first call arrives after the second: the ClientToken is the same', async () => {
    const another = { ...identity, run: 'another-run' };
    await cloud.control('POST', 'faults', { action: 'CreateDisk', delayMs: 1_500 });
    const late = cloud.run(() => createDisk(another));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const { diskId } = await cloud.run(() => createDisk(another), { attempt: 2 });
    expect(await late).toMatchObject({ diskId });
    expect((await cloud.calls('CreateDisk')).filter((call) => call.createdId === diskId)).toHaveLength(1);
    expect((await cloud.calls('CreateDisk')).filter((call) => call.tookEffect)).toHaveLength(2);
  });

  test('StartInstance is sent once', async () => {
    const vain = await failureSoon(() => cloud.activities.awaitInstanceRunning(instance()));
    expect(vain).toMatchObject({ type: ACTIVITY_FAILURE.cameToNothing, nonRetryable: true });
    const { effective } = await withLostReply('StartInstance', () => cloud.activities.startInstance(instance()));
    expect(effective).toBe(1);
    await cloud.run(() => cloud.activities.awaitInstanceRunning(instance()));
    await cloud.run(() => cloud.activities.awaitAgentOnline(instance()));
  });

  test('ResetDisk is never repeated once the instance has started', async () => {
    const before = (await cloud.calls('ResetDisk')).length;
    const refused = await failureOf(cloud.run(() => cloud.activities.resetDisk(resetInput()), { attempt: 2 }));
    expect(refused).toMatchObject({ type: ACTIVITY_FAILURE.conflict, nonRetryable: true });
    expect(await cloud.calls('ResetDisk')).toHaveLength(before);
  });

  test.each([
    ['awaitRecoveryDiskAttached', 'AttachDisk was taken and came to nothing'],
    ['awaitRecoveryDiskGone', 'DeleteDisk was taken and came to nothing'],
  ] as const)('%s does not wait for ever for what came to nothing', inVain);
  test('awaitRecoveryDiskAvailable does not wait for ever for what came to nothing', () =>
    inVain('awaitRecoveryDiskAvailable', 'CreateDisk answered with its id and made nothing', 'd-bp1nnnnnnnnnnnnnnnnn'));

  test('AttachDisk is sent once', async () => {
    const { effective } = await withLostReply('AttachDisk', () => cloud.activities.attachRecoveryDisk(recoveryRef()));
    expect(effective).toBe(1);
    await cloud.run(() => cloud.activities.awaitRecoveryDiskAttached(recoveryRef()));
  });

  test.each(['detachRecoveryDisk', 'deleteRecoveryDisk'] as const)(
    '%s leaves alone what is not the run’s recovery disk',
    async (effect) => {
      const refs = [
        { ...recoveryRef(), recoveryDiskId: cloud.diskId },
        { ...recoveryRef(), run: 'somebody-else' },
      ];
      for (const ref of refs) {
        const refused = await failureOf(cloud.run(() => cloud.activities[effect](ref)));
        expect(refused).toMatchObject({ type: ACTIVITY_FAILURE.conflict, nonRetryable: true });
      }
      const action = effect === 'detachRecoveryDisk' ? 'DetachDisk' : 'DeleteDisk';
      expect(await cloud.calls(action)).toEqual([]);
    },
  );

  test('DetachDisk: a region that is not found is no disk that is gone', async () => {
    const error = { code: 'InvalidRegionId.NotFound', status: 404 };
    await cloud.control('POST', 'faults', { action: 'DetachDisk', error });
    const refused = await failureOf(cloud.run(() => cloud.activities.detachRecoveryDisk(recoveryRef())));
    expect(refused).toMatchObject({ type: ACTIVITY_FAILURE.notFound, nonRetryable: true });
  });

  test('awaitRecoveryDiskDetached does not wait for ever for what came to nothing', () =>
    inVain('awaitRecoveryDiskDetached', 'DetachDisk was taken and came to nothing'));

  test('DetachDisk is sent once', async () => {
    const { effective } = await withLostReply('DetachDisk', () => cloud.activities.detachRecoveryDisk(recoveryRef()));
    expect(effective).toBe(1);
    await cloud.run(() => cloud.activities.awaitRecoveryDiskDetached(recoveryRef()));
  });

  test('DeleteDisk is sent once, after the disk has settled', async () => {
    for (;;) {
      // A fresh disk may still be filling from its snapshot: that passes by itself.
      await cloud.control('DELETE', 'faults');
      const early = await cloud
        .run(() => cloud.activities.deleteRecoveryDisk({ ...recoveryRef(), recoveryDiskId }))
        .then(
          () => undefined,
          (error: ApplicationFailure) => error,
        );
      if (early === undefined) break;
      expect(early).toMatchObject({ type: ACTIVITY_FAILURE.notReady, nonRetryable: false });
    }
    await cloud.run(() => cloud.activities.awaitRecoveryDiskGone(recoveryRef()));
    expect(await cloud.run(() => cloud.activities.deleteRecoveryDisk(recoveryRef()))).toEqual({ sent: false });
    expect((await cloud.calls('DeleteDisk')).filter((call) => call.tookEffect)).toHaveLength(1);
  });
});

test('an effect heartbeats while its call hangs, so that a dead worker is missed soon', async () => {
  await cloud.control('POST', 'faults', {
    action: 'StopInstance',
    delayMs: 4_500,
    error: { code: 'ServiceUnavailable', status: 503 },
  });
  const env = activityEnvironment();
  let beats = 0;
  env.on('heartbeat', () => {
    beats += 1;
  });
  await failureOf(cloud.run(() => cloud.activities.stopInstance({ ...instance(), force: false }), { env }));
  // One at the start, and at least one of those every two seconds.
  expect(beats).toBeGreaterThanOrEqual(2);
});

describe('an error of the service', () => {
  test.each([
    ['Throttling.User', 400, ACTIVITY_FAILURE.throttled, false],
    ['ServiceUnavailable', 503, ACTIVITY_FAILURE.transient, false],
    ['Forbidden.RAM', 403, ACTIVITY_FAILURE.denied, true],
    ['InvalidAccessKeyId.NotFound', 400, ACTIVITY_FAILURE.credentials, true],
    ['IncorrectInstanceStatus', 403, ACTIVITY_FAILURE.notReady, false],
    ['InstanceLockedForSecurity', 403, ACTIVITY_FAILURE.denied, true],
  ])('%s is told from the others by its code', async (code, status, type, nonRetryable) => {
    await cloud.control('POST', 'faults', { action: 'StopInstance', error: { code, status } });
    const failure = await failureOf(cloud.run(() => cloud.activities.stopInstance({ ...instance(), force: false })));
    expect(failure).toMatchObject({ type, nonRetryable });
    expect(failure.message).toContain(code);
  });

  test('throttling carries the hint of the service to the retry', async () => {
    await cloud.control('POST', 'faults', {
      action: 'StopInstance',
      error: { code: 'Throttling.User', status: 400, retryAfterMs: 4321 },
    });
    const failure = await failureOf(cloud.run(() => cloud.activities.stopInstance({ ...instance(), force: false })));
    expect(failure.nextRetryDelay).toBe(4321);
  });

  test('a ResetDisk refused on its first attempt is known not to have happened', async () => {
    await cloud.control('POST', 'faults', { action: 'ResetDisk', error: { code: 'OperationDenied', status: 403 } });
    const failure = await failureOf(
      cloud.run(() =>
        cloud.activities.resetDisk({
          run: 'r',
          ...instance(),
          diskId: cloud.diskId,
          targetSnapshotId: 's-bp1aaaaaaaaaaaaaaaaa',
          safetySnapshotId: 's-bp1bbbbbbbbbbbbbbbbb',
        }),
      ),
    );
    expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.resetRefused, nonRetryable: true });
  });
});
