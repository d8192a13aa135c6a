// What becomes of a guest script's ending. The simulator has no machine behind it here: the test says what the guest says.
import { createHash, randomUUID } from 'node:crypto';
import type { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { guestRunName } from '../../src/activities/identity.ts';
import { ACTIVITY_FAILURE } from '../../src/contract/messages.ts';
import { guestScript } from '../../src/guest/assemble.ts';
import { activityEnvironment, type SimulatedCloud, simulatedCloud } from '../support/simulated-cloud.ts';

let cloud: SimulatedCloud;
beforeAll(async () => {
  cloud = await simulatedCloud();
});
afterAll(() => cloud?.close());

const guestSays = (output: object | string, exitCode = 0) =>
  cloud.control('POST', 'guest-answers', {
    exitCode,
    output: typeof output === 'string' ? output : `noise before\n${JSON.stringify(output)}\n`,
    times: 1,
  });
const activity = (info: { activityId?: string; attempt?: number; heartbeatDetails?: unknown } = {}) =>
  activityEnvironment({ activityId: randomUUID(), ...info });
const ready = () => cloud.activities.awaitGuestReady({ regionId: cloud.regionId, instanceId: cloud.instanceId });
/** A new activity each time, as its ClientToken says. */
const failing = () => cloud.run(ready, { env: activity() }).catch((error: ApplicationFailure) => error);

test('the answer of the script is the result', async () => {
  await guestSays({ ok: true, result: { bootId: 'boot-1' } });
  expect(await cloud.run(ready, { env: activity() })).toEqual({ bootId: 'boot-1' });
});

test('a refusal of the script is final and carries its code', async () => {
  await guestSays({ ok: false, refused: true, code: 'DeviceAmbiguous', message: 'two disks match' });
  expect(await failing()).toMatchObject({
    type: ACTIVITY_FAILURE.guestRefused,
    nonRetryable: true,
    message: expect.stringContaining('two disks match (DeviceAmbiguous)'),
  });
});

test('a failure of the script may be tried again', async () => {
  await guestSays({ ok: false, refused: false, code: 'DeviceNotFound', message: 'not there yet' }, 1);
  expect(await failing()).toMatchObject({ type: ACTIVITY_FAILURE.guest, nonRetryable: false });
});

test('a script that failed is run again by the next attempt', async () => {
  const activityId = randomUUID();
  const first = activity({ activityId });
  let left: unknown;
  first.on('heartbeat', (details) => {
    left = details;
  });
  await guestSays({ ok: false, refused: false, code: 'DeviceNotFound', message: 'not there yet' }, 1);
  await expect(cloud.run(ready, { env: first })).rejects.toMatchObject({ type: ACTIVITY_FAILURE.guest });
  await guestSays({ ok: true, result: { bootId: 'boot-3' } });
  const second = activity({ activityId, attempt: 2, heartbeatDetails: left });
  expect(await cloud.run(ready, { env: second })).toEqual({ bootId: 'boot-3' });
});

test('a copy is looked at anew until it has ended, its counters in the heartbeats', async () => {
  const status = (state: string, filesDone: number) => ({
    ok: true,
    result: { state, stage: 'copying', filesDone, filesTotal: 9, bytesDone: 0, bytesTotal: 0, message: '' },
  });
  await guestSays(status('running', 3));
  await guestSays(status('running', 6));
  await guestSays(status('done', 9));
  const before = (await cloud.calls('RunCommand')).length;
  const env = activity();
  const seen: unknown[] = [];
  env.on('heartbeat', (details: { filesDone?: number }) => {
    if (details.filesDone !== undefined) seen.push(details.filesDone);
  });
  const ended = await cloud.run(
    () => cloud.activities.awaitCopy({ run: 'r', regionId: cloud.regionId, instanceId: cloud.instanceId }),
    { env },
  );
  expect(ended).toMatchObject({ state: 'done', filesDone: 9 });
  expect([...new Set(seen)]).toEqual([3, 6, 9]);
  // While the next look is under way, too: nothing but the first beats is without counters.
  expect(seen.length).toBeGreaterThan(6);
  const looks = (await cloud.calls('RunCommand')).slice(before);
  // Each gives the job longer to end. The log of calls has digests of scripts.
  const script = (waitSeconds: number) =>
    Buffer.from(guestScript('copy-status', { run: guestRunName('r'), job: 'copy', waitSeconds })).toString('base64');
  expect(looks.map(({ parameters }) => parameters['CommandContent'])).toMatchObject(
    [4, 8, 10].map((seconds) => ({ sha256: createHash('sha256').update(script(seconds)).digest('hex') })),
  );
});

test.each(['lost', 'failed'])(
  'a copy whose job is %s ends the wait, for the workflow to start it again',
  async (state) => {
    await guestSays({
      ok: true,
      result: { state, stage: 'copying', filesDone: 3, filesTotal: 9, bytesDone: 0, bytesTotal: 0, message: 'why' },
    });
    await expect(
      cloud.run(
        () => cloud.activities.awaitCopy({ run: 'r', regionId: cloud.regionId, instanceId: cloud.instanceId }),
        { env: activity() },
      ),
    ).rejects.toMatchObject({ type: ACTIVITY_FAILURE.guest, nonRetryable: true });
  },
);

test('output that is no answer is a failure that never quotes it', async () => {
  await guestSays('root:$6$secret:19000:0:99999:7:::');
  const failure = await failing();
  expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.guest, nonRetryable: false });
  expect(JSON.stringify(failure)).not.toContain('$6$secret');
});

test('a lost reply of RunCommand does not run the script twice', async () => {
  await guestSays({ ok: true, result: { bootId: 'boot-2' } });
  const before = (await cloud.calls('RunCommand')).filter((call) => call.tookEffect).length;
  await cloud.control('POST', 'faults', { action: 'RunCommand', answer: 'lost' });
  const activityId = randomUUID();
  await expect(cloud.run(ready, { env: activity({ activityId }) })).rejects.toMatchObject({
    type: ACTIVITY_FAILURE.unknownOutcome,
    nonRetryable: false,
  });
  expect(await cloud.run(ready, { env: activity({ activityId, attempt: 2 }) })).toEqual({ bootId: 'boot-2' });
  expect((await cloud.calls('RunCommand')).filter((call) => call.tookEffect)).toHaveLength(before + 1);
});

test('a path that does not fit into a command is refused by name, and nothing is sent', async () => {
  const before = (await cloud.calls('RunCommand')).length;
  const failure = await cloud
    .run(() =>
      cloud.activities.findRecoveryDevice({
        run: 'r',
        regionId: cloud.regionId,
        instanceId: cloud.instanceId,
        originalSerial: 'a',
        originalSizeGiB: 1,
        recoverySerial: 'b',
        recoverySizeGiB: 1,
        paths: Array.from({ length: 20 }, (_, n) => `/data/${String(n).padEnd(3000, 'x')}`),
      }),
    )
    .catch((error: ApplicationFailure) => error);
  expect(failure).toMatchObject({ type: ACTIVITY_FAILURE.invalid, nonRetryable: true });
  expect((failure as Error).message).toMatch(/^paths is too long/);
  expect(await cloud.calls('RunCommand')).toHaveLength(before);
});
