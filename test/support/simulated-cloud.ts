/** The product's own cloud client and activities on a simulator in this process, without machines behind it. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Client } from '@temporalio/client';
import { MockActivityEnvironment } from '@temporalio/testing';
import { DefaultLogger } from '@temporalio/worker';
import { startSimulator } from '../../simulator/start.ts';
import type { CallRecord } from '../../simulator/state/model.ts';
import { type Activities, createActivities } from '../../src/activities/index.ts';
import { createEcs } from '../../src/cloud/alicloud/client.ts';
import { loadSdk } from '../../src/cloud/alicloud/sdk.ts';
import { createPoller } from '../../src/cloud/poller.ts';
import type { EcsRegion } from '../../src/cloud/port.ts';

export interface SimulatedCloud {
  readonly activities: Activities;
  readonly region: EcsRegion;
  readonly regionId: string;
  readonly instanceId: string;
  readonly diskId: string;
  /** `POST`, `GET` or `DELETE` on the simulator's control API. */
  control<T = unknown>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<T>;
  calls(action: string): Promise<CallRecord[]>;
  /** Simulated time all but stands still until `thaw`: what is looked at stays, however slow the machine is. */
  freeze(): Promise<void>;
  thaw(): Promise<void>;
  /** StopInstance as somebody else would send it, who does not go by our rules. */
  stopElsewhere(stoppedMode: 'KeepCharging' | 'StopCharging'): Promise<void>;
  /** Runs one activity as Temporal would: `attempt` counts from 1. */
  run<T>(activity: () => Promise<T>, options?: { attempt?: number; env?: MockActivityEnvironment }): Promise<T>;
  close(): Promise<void>;
}

export const activityEnvironment = (
  info: { activityId?: string; attempt?: number; heartbeatDetails?: unknown } = {},
  client?: Client,
): MockActivityEnvironment =>
  new MockActivityEnvironment(info, {
    logger: new DefaultLogger('ERROR'),
    ...(client === undefined ? {} : { client }),
  });

/** Simulated waits pass `speed` times faster than the real service's. */
export async function simulatedCloud(options: { speed?: number } = {}): Promise<SimulatedCloud> {
  const { speed = 200 } = options;
  const stateDir = await mkdtemp(join(tmpdir(), 'ecs-rollback-test-'));
  const simulator = await startSimulator({
    host: '127.0.0.1',
    port: 0,
    dataPlane: 'none',
    stateDir,
    keepState: false,
    speed,
    fileSystem: 'ext4',
    scene: 'default',
    packages: [],
    regionId: 'cn-hangzhou',
    log: () => {},
  });
  const { endpoint, control: controlUrl, accessKeyId, accessKeySecret, regionId, scene } = simulator.ready;
  const ecs = createEcs({
    endpoint: { host: endpoint, protocol: 'http' },
    credentials: { accessKeyId, accessKeySecret },
    timeoutMs: 5_000,
  });
  const activities = createActivities({
    ecs,
    poller: createPoller(ecs, { intervalMs: 20 }),
    settleIntervalMs: 20,
    copyPollMs: 20,
    leasePollMs: 20,
    noStockRetryMs: 1_234,
    guestPatienceMs: 3_000,
  });
  const control = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const response = await fetch(`${controlUrl}/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`);
    return (await response.json()) as T;
  };
  if (scene === null) throw new Error('the simulator has no scene');
  return {
    activities,
    region: ecs.region(regionId),
    regionId,
    instanceId: scene.instanceId,
    diskId: scene.dataDiskId,
    control,
    calls: async (action) =>
      (await control<{ calls: CallRecord[] }>('GET', 'calls')).calls.filter((call) => call.action === action),
    stopElsewhere: async (stoppedMode) => {
      const sdk = await loadSdk();
      const config = new sdk.Config({ accessKeyId, accessKeySecret, endpoint, protocol: 'HTTP', regionId });
      const request = new sdk.models.StopInstanceRequest({ instanceId: scene.instanceId, stoppedMode });
      await new sdk.Client(config).stopInstance(request);
    },
    freeze: async () => {
      await control('POST', 'clock', { speed: 0.001 });
    },
    thaw: async () => {
      await control('POST', 'clock', { speed });
    },
    run: (activity, { attempt = 1, env = activityEnvironment({ attempt }) } = {}) => env.run(activity),
    close: async () => {
      await simulator.stop();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}
