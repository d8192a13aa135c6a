// Stop and start: capacity is kept or the run goes no further, and a start that finds none is tried again slowly.
import type { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ACTIVITY_FAILURE } from '../../src/contract/messages.ts';
import { type SimulatedCloud, simulatedCloud } from '../support/simulated-cloud.ts';

let cloud: SimulatedCloud;
beforeAll(async () => {
  cloud = await simulatedCloud();
});
afterAll(() => cloud?.close());
beforeEach(async () => {
  await cloud.control('DELETE', 'faults');
});

const instance = () => ({ regionId: cloud.regionId, instanceId: cloud.instanceId });
const failureOf = (promise: Promise<unknown>) =>
  promise.then(
    () => {
      throw new Error('expected a failure');
    },
    (error: unknown) => error as ApplicationFailure,
  );
const start = () => cloud.run(() => cloud.activities.startInstance(instance()));
const running = () => cloud.run(() => cloud.activities.awaitInstanceRunning(instance()));

test('a stop keeps the capacity whatever the default of the account is', async () => {
  await cloud.control('POST', 'switches', { defaultStoppedMode: 'StopCharging' });
  await cloud.run(() => cloud.activities.stopInstance({ ...instance(), force: false }));
  expect(await cloud.run(() => cloud.activities.awaitInstanceStopped(instance()))).toEqual({
    stoppedMode: 'KeepCharging',
  });
  await start();
  await running();
});

test('a stop by somebody else that gave the capacity up ends the wait for it', async () => {
  await cloud.control('POST', 'durations', { stopInstance: 200 });
  await cloud.stopElsewhere('StopCharging');
  expect(await cloud.run(() => cloud.activities.stopInstance({ ...instance(), force: false }))).toEqual({
    sent: false,
  });
  const failure = await failureOf(cloud.run(() => cloud.activities.awaitInstanceStopped(instance())));
  expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.gateClosed, nonRetryable: true });
  expect(failure.message).toMatch(/economical mode \(StopCharging\).*KeepCharging/);
});

test('a start without capacity is tried again slowly, and says so', async () => {
  await cloud.control('POST', 'switches', { stock: 'no' });
  const failure = await failureOf(start());
  expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.noStock, nonRetryable: false, nextRetryDelay: 1_234 });
  expect(failure.message).toMatch(/OperationDenied\.NoStock.*no capacity for it now; tried again every 1 s$/);
  await cloud.control('POST', 'switches', { stock: 'yes' });
  expect(await start()).toEqual({ sent: true });
  await running();
});

test.each(['LackResource', 'QuotaExceed.ElasticQuota', 'OperationDenied.HostRepairing'])(
  '%s on a start counts as no capacity',
  async (code) => {
    await cloud.run(() => cloud.activities.stopInstance({ ...instance(), force: false }));
    await cloud.run(() => cloud.activities.awaitInstanceStopped(instance()));
    await cloud.control('POST', 'faults', { action: 'StartInstance', error: { code, status: 403 } });
    expect(await failureOf(start())).toMatchObject({ type: ACTIVITY_FAILURE.noStock, nonRetryable: false });
    await start();
    await running();
  },
);

test.each([
  ['accept', { sent: true }],
  ['refuse', { sent: false }],
])('a power cut while a graceful stop hangs, where the service would %s it', async (choice, answer) => {
  await cloud.control('POST', 'switches', { forceStopWhileStopping: choice });
  await cloud.control('POST', `instances/${cloud.instanceId}`, { ignoresShutdown: true });
  await cloud.run(() => cloud.activities.stopInstance({ ...instance(), force: false }));
  const cut = () => cloud.run(() => cloud.activities.stopInstance({ ...instance(), force: true }));
  expect(await cut()).toEqual(answer);
  const before = (await cloud.calls('StopInstance')).filter((call) => call.tookEffect).length;
  // A repetition, as after a lost reply, takes no second effect.
  await cut();
  expect((await cloud.calls('StopInstance')).filter((call) => call.tookEffect)).toHaveLength(before);
  if (choice === 'refuse') {
    expect((await cloud.region.instances([cloud.instanceId])).get(cloud.instanceId)?.status).toBe('Stopping');
    await cloud.control('POST', `instances/${cloud.instanceId}`, { ignoresShutdown: false });
  }
  expect(await cloud.run(() => cloud.activities.awaitInstanceStopped(instance()))).toEqual({
    stoppedMode: 'KeepCharging',
  });
  await cloud.control('POST', `instances/${cloud.instanceId}`, { ignoresShutdown: false });
  await start();
  await running();
});
