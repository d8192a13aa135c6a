/**
 * Temporal's dev server and one simulator for a file of fault tests, and many instances on it: each run has its own, so that
 * hundreds go on beside each other and one kill, fault or lease never meets another run.
 */
import { randomUUID } from 'node:crypto';
import { Client, Connection } from '@temporalio/client';
import { NativeConnection, Worker } from '@temporalio/worker';
import { type Stack, startStack } from '../../local/stack.ts';
import type { CallRecord, FaultRule, Scene, World } from '../../simulator/state/model.ts';
import { createActivities } from '../../src/activities/index.ts';
import { RollbackClient } from '../../src/client.ts';
import { createEcs } from '../../src/cloud/alicloud/client.ts';
import { ecsOptionsFromEnv } from '../../src/cloud/config.ts';
import { createPoller } from '../../src/cloud/poller.ts';
import type { Ecs, EcsRegion } from '../../src/cloud/port.ts';
import { eventually } from '../e2e/stage.ts';
import { builtFolder, bundleIn } from '../support/built.ts';
import { installRuntime } from '../support/temporal-runtime.ts';
import { healthyGuest } from './guest-answers.ts';

/** Between two looks, in milliseconds: a simulated minute is shorter than that. */
const POLL_MS = 150;

/** An instance with its data disk and a finished snapshot A of it. */
export interface Tenant extends Scene {
  readonly snapshotA: string;
}

/** A worker in this process, for runs whose worker need not die. */
export interface InProcessWorker {
  /** As on SIGTERM: what it was doing is given back. */
  stop(): Promise<void>;
}

export interface FaultStage {
  readonly stack: Stack;
  readonly regionId: string;
  readonly ecs: Ecs;
  readonly region: EcsRegion;
  readonly temporal: Client;
  control<T = unknown>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<T>;
  state(): Promise<World>;
  /** All, or those after call `from`. */
  calls(from?: number): Promise<CallRecord[]>;
  fault(rule: Partial<FaultRule> & { action: string }): Promise<FaultRule>;
  liftFault(rule: FaultRule): Promise<void>;
  /** One more instance; with `none`, no other instance shares its answers, faults or lease. */
  tenant(name: string): Promise<Tenant>;
  snapshot(name: string, diskId: string): Promise<string>;
  startWorker(taskQueue: string): Promise<InProcessWorker>;
  /** A client whose runs go to this task queue. */
  client(taskQueue: string): Promise<RollbackClient>;
  close(): Promise<void>;
}

export interface StageOptions {
  readonly dataPlane: 'loop' | 'none';
  readonly speed: number;
  /** Temporal's server can be crashed. */
  readonly durable?: boolean;
}

export async function openFaultStage({ dataPlane, speed, durable = false }: StageOptions): Promise<FaultStage> {
  installRuntime();
  const built = await builtFolder();
  const lines: string[] = [];
  const stack = await startStack({
    dataPlane,
    speed,
    durable,
    built,
    worker: false,
    workerEnv: { ECS_ROLLBACK_POLL_INTERVAL_MS: String(POLL_MS) },
    log: (line) => lines.push(line),
  }).catch((error: unknown) => {
    throw new Error(`the stack did not start: ${String(error)}\n${lines.slice(-20).join('\n')}`);
  });
  const { regionId, control: controlUrl } = stack.simulator;
  const ecs = createEcs(ecsOptionsFromEnv(stack.settings).ecs);
  const region = ecs.region(regionId);
  const connection = await Connection.connect({ address: stack.temporalAddress });
  let native: Promise<NativeConnection> | undefined;
  const workers = new Set<InProcessWorker>();
  const clients: RollbackClient[] = [];

  const control: FaultStage['control'] = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const response = await fetch(`${controlUrl}/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`);
    return (await response.json()) as T;
  };
  if (dataPlane === 'none') await healthyGuest((body) => control('POST', 'guest-answers', body));

  const snapshot = async (name: string, diskId: string): Promise<string> => {
    const id = await region.createSnapshot({
      diskId,
      name,
      description: 'made by a fault test',
      retentionDays: 1,
      tags: {},
      clientToken: `faults-${randomUUID()}`,
    });
    await eventually(`snapshot ${id}`, async () => {
      const status = (await region.snapshots([id])).get(id)?.status;
      if (status === 'failed') throw new Error(`snapshot ${id} failed`);
      return status === 'accomplished' ? true : undefined;
    });
    return id;
  };

  return {
    stack,
    regionId,
    ecs,
    region,
    temporal: new Client({ connection, namespace: stack.namespace }),
    control,
    state: () => control<World>('GET', 'state'),
    calls: async (from = 0) => (await control<{ calls: CallRecord[] }>('GET', `calls/${from}`)).calls,
    fault: (rule) => control<FaultRule>('POST', 'faults', rule),
    liftFault: async ({ id }) => {
      await control('DELETE', `faults/${id}`);
    },
    tenant: async (name) => {
      const scene = await control<Scene>('POST', 'scenes', { name });
      return { ...scene, snapshotA: await snapshot('nightly', scene.dataDiskId) };
    },
    snapshot,
    startWorker: async (taskQueue) => {
      native ??= NativeConnection.connect({ address: stack.temporalAddress });
      const worker = await Worker.create({
        connection: await native,
        namespace: stack.namespace,
        taskQueue,
        ...bundleIn(built),
        activities: createActivities({
          ecs,
          poller: createPoller(ecs, { intervalMs: POLL_MS }),
          settleIntervalMs: POLL_MS,
          copyPollMs: POLL_MS,
          leasePollMs: 10 * POLL_MS,
          noStockRetryMs: 10 * POLL_MS,
        }),
        maxConcurrentActivityTaskExecutions: 1000,
        maxHeartbeatThrottleInterval: '3s',
        stickyQueueScheduleToStartTimeout: '2s',
        shutdownGraceTime: '1s',
      });
      const running = worker.run();
      let stopping: Promise<void> | undefined;
      const handle: InProcessWorker = {
        stop: () => {
          if (stopping === undefined) worker.shutdown();
          workers.delete(handle);
          return (stopping ??= running);
        },
      };
      workers.add(handle);
      return handle;
    },
    client: async (taskQueue) => {
      const client = await RollbackClient.connect({ address: stack.temporalAddress, taskQueue });
      clients.push(client);
      return client;
    },
    close: async () => {
      await Promise.allSettled([...workers].map((worker) => worker.stop()));
      await Promise.allSettled(clients.map((client) => client.close()));
      await native?.then((open) => open.close()).catch(() => undefined);
      await connection.close();
      await stack.stop();
    },
  };
}
