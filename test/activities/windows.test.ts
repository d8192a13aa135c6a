/** Guests with Windows: which script goes out, as what kind of command, with which input. Nothing runs it here. */
import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { InvocationState, Scene } from '../../simulator/state/model.ts';
import { ACTIVITY_FAILURE } from '../../src/contract/messages.ts';
import { activityEnvironment, type SimulatedCloud, simulatedCloud } from '../support/simulated-cloud.ts';

let cloud: SimulatedCloud;
let windows: Scene;
beforeAll(async () => {
  cloud = await simulatedCloud();
  windows = await cloud.control<Scene>('POST', 'scenes', { name: 'win-1', osType: 'windows' });
});
afterAll(() => cloud?.close());
afterEach(() => cloud.control('DELETE', 'guest-answers'));

const guestSays = (result: object) =>
  cloud.control('POST', 'guest-answers', { output: `${JSON.stringify({ ok: true, result })}\r\n`, times: 1 });
const step = (instanceId: string) => ({ run: 'r-1', regionId: cloud.regionId, instanceId });
const inNewActivity = <T>(activity: () => Promise<T>) =>
  cloud.run(activity, { env: activityEnvironment({ activityId: randomUUID() }) });

interface Sent {
  readonly type: string;
  readonly username: string;
  readonly script: string;
  readonly input: unknown;
}
/** What was sent last to the instance. */
async function lastSent(instanceId: string): Promise<Sent> {
  const { invocations } = await cloud.control<{ invocations: Record<string, InvocationState> }>('GET', 'state');
  const last = Object.values(invocations)
    .filter(({ results }) => results.some((result) => result.instanceId === instanceId))
    .sort((a, b) => a.seq - b.seq)
    .at(-1);
  if (last === undefined) throw new Error('nothing was sent');
  const script = Buffer.from(last.content, 'base64').toString('utf8');
  const blob = /^(?:\$InputB64 = |INPUT_B64=)'(.*)'$/m.exec(script)?.[1] ?? '';
  return {
    type: last.type,
    username: last.username,
    script,
    input: JSON.parse(Buffer.from(blob, 'base64').toString('utf8')),
  };
}

test('a Windows guest gets PowerShell, a Linux guest beside it gets bash', async () => {
  const ready = { bootId: 'b', bootedAt: '1790000000.500' };
  for (const instanceId of [windows.instanceId, cloud.instanceId, windows.instanceId]) {
    await guestSays(ready);
    expect(await inNewActivity(() => cloud.activities.awaitGuestReady(step(instanceId)))).toEqual(ready);
  }
  expect(await lastSent(windows.instanceId)).toMatchObject({
    type: 'RunPowerShellScript',
    username: 'System',
    script: expect.stringMatching(/^# ecs-rollback, guest script guest-ready\n\$ErrorActionPreference = 'Stop'\n/),
    input: { waitSeconds: 90 },
  });
  expect(await lastSent(cloud.instanceId)).toMatchObject({
    type: 'RunShellScript',
    script: expect.stringMatching(/^#!\/bin\/bash\n# ecs-rollback, guest script guest-ready\n/),
    input: { waitSeconds: 90 },
  });
});

test('paths of Windows reach the script as they are', async () => {
  const paths = [String.raw`D:\data\uploads`, String.raw`D:\Shop's "données"\€ 😀`];
  await guestSays({ bootId: 'b', originalDevice: 'disk 1', recoveryDevice: 'disk 2', fileSystems: [] });
  await inNewActivity(() =>
    cloud.activities.findRecoveryDevice({
      ...step(windows.instanceId),
      originalSerial: 'bp1ooooooooooooooooo',
      originalSizeGiB: 20,
      recoverySerial: 'bp1rrrrrrrrrrrrrrrrr',
      recoverySizeGiB: 20,
      paths,
    }),
  );
  const { script, input } = await lastSent(windows.instanceId);
  expect(input).toMatchObject({ run: 'r-1', originalSizeBytes: 20 * 1024 ** 3, paths });
  expect(script).not.toContain('uploads');
});

test('what has no twin for Windows is refused by name, and nothing is sent', async () => {
  const before = (await cloud.calls('RunCommand')).length;
  const listed = inNewActivity(() => cloud.activities.listDisks(step(windows.instanceId)));
  await expect(listed).rejects.toMatchObject({
    type: ACTIVITY_FAILURE.invalid,
    nonRetryable: true,
    message: 'list-disks is not there for Windows guests',
  });
  expect(await cloud.calls('RunCommand')).toHaveLength(before);
});

test('an instance whose system disk was replaced by one of another system is looked at anew', async () => {
  const turned = await cloud.control<Scene>('POST', 'scenes', { name: 'turned-1' });
  const ready = () => inNewActivity(() => cloud.activities.awaitGuestReady(step(turned.instanceId)));
  await guestSays({ bootId: 'linux' });
  await ready();
  await cloud.control('POST', `instances/${turned.instanceId}`, { osType: 'windows' });
  await expect(ready()).rejects.toMatchObject({ message: expect.stringContaining('InvalidInstance.NotMatch') });
  await guestSays({ bootId: 'windows' });
  expect(await ready()).toEqual({ bootId: 'windows' });
});
