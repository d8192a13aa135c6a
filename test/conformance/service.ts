/**
 * The service under test, reached through the official SDK only: a simulator of our own with data plane `none`, or the
 * real cloud when ECS_LIVE=1 (ECS_LIVE_REGION, ECS_LIVE_INSTANCE_ID, ECS_LIVE_DISK_ID, and the SDK's own credential
 * variables). Against the real cloud only tests that change nothing run.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import EcsModule, * as ecs from '@alicloud/ecs20140526';
import { $OpenApiUtil } from '@alicloud/openapi-core';

export { ecs };
export const live = process.env['ECS_LIVE'] === '1';

export type EcsClient = InstanceType<typeof EcsModule.default>;

// Node hands out the CommonJS exports object, the test runner the class in it.
const imported: unknown = EcsModule;
const Client = typeof imported === 'function' ? (imported as typeof EcsModule.default) : EcsModule.default;

export interface Scene {
  readonly instanceId: string;
  readonly systemDiskId: string;
  readonly dataDiskId: string;
  readonly zoneId: string;
}

interface Ready {
  readonly endpoint: string;
  readonly regionId: string;
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
  readonly control: string;
  readonly scene: Scene;
}

export interface Service {
  readonly ready: Ready;
  readonly client: EcsClient;
  readonly regionId: string;
  readonly scene: Scene;
  stop(): Promise<void>;
}

export function clientOf(
  ready: Ready,
  changed: Partial<Ready & { securityToken: string; signatureAlgorithm: string }> = {},
): EcsClient {
  const { endpoint, regionId, accessKeyId, accessKeySecret, securityToken, signatureAlgorithm } = {
    ...ready,
    ...changed,
  };
  const config = new $OpenApiUtil.Config({
    accessKeyId,
    accessKeySecret,
    regionId,
    readTimeout: 15_000,
    connectTimeout: 15_000,
    ...(live ? {} : { endpoint, protocol: 'HTTP' }),
    ...(securityToken !== undefined && { securityToken }),
    ...(signatureAlgorithm !== undefined && { signatureAlgorithm }),
  });
  return new Client(config);
}

export interface SimulatorProcess {
  readonly child: ChildProcess;
  readonly ready: Ready;
}

/** Starts the simulator as a user does, and reads its one line. */
export async function startProcess(
  args: readonly string[],
  env: Readonly<Record<string, string>> = {},
): Promise<SimulatorProcess> {
  const root = join(import.meta.dirname, '../..');
  const child = spawn(process.execPath, ['scripts/run.mjs', 'simulator/main.ts', '--data-plane', 'none', ...args], {
    cwd: root,
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const [line] = (await once(createInterface(child.stdout as NodeJS.ReadableStream), 'line')) as [string];
  return { child, ready: JSON.parse(line) as Ready };
}

export async function stopProcess(child: ChildProcess, signal: NodeJS.Signals = 'SIGTERM'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const ended = once(child, 'exit');
  child.kill(signal);
  await ended;
}

export async function startService(speed = 200): Promise<Service> {
  if (live) {
    const scene: Scene = {
      instanceId: process.env['ECS_LIVE_INSTANCE_ID'] ?? '',
      dataDiskId: process.env['ECS_LIVE_DISK_ID'] ?? '',
      systemDiskId: '',
      zoneId: '',
    };
    const regionId = process.env['ECS_LIVE_REGION'] ?? 'cn-hangzhou';
    const ready: Ready = {
      endpoint: '',
      control: '',
      regionId,
      scene,
      accessKeyId: process.env['ALIBABA_CLOUD_ACCESS_KEY_ID'] ?? '',
      accessKeySecret: process.env['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] ?? '',
    };
    return { ready, client: clientOf(ready), regionId, scene, stop: async () => {} };
  }
  const { child, ready } = await startProcess(['--speed', String(speed)]);
  return {
    ready,
    client: clientOf(ready),
    regionId: ready.regionId,
    scene: ready.scene,
    stop: async () => await stopProcess(child),
  };
}

/** One call to the simulator's control API. */
export async function control<T = Record<string, unknown>>(
  service: Pick<Service, 'ready'>,
  method: string,
  path: string,
  body?: object,
): Promise<T> {
  const response = await fetch(`${service.ready.control}/${path}`, {
    method,
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  const answer = (await response.json()) as T & { error?: string };
  if (!response.ok) throw new Error(answer.error);
  return answer;
}

export interface Refusal {
  readonly code: string;
  readonly status: number;
  readonly message: string;
}

/** The error a call ends with; fails when it succeeds. */
export async function refusalOf(call: Promise<unknown>): Promise<Refusal> {
  try {
    await call;
  } catch (error) {
    const {
      code = '',
      statusCode = 0,
      message = '',
    } = error as { code?: string; statusCode?: number; message?: string };
    return { code, status: statusCode, message };
  }
  throw new Error('the call succeeded');
}

/** `Code status`, for short comparisons. */
export async function codeOf(call: Promise<unknown>): Promise<string> {
  const { code, status } = await refusalOf(call);
  return `${code} ${status}`;
}

export async function until<T>(
  what: string,
  read: () => Promise<T>,
  holds: (value: T) => boolean,
  ms = 25_000,
): Promise<T> {
  const end = Date.now() + ms;
  for (;;) {
    const value = await read();
    if (holds(value)) return value;
    if (Date.now() > end) throw new Error(`${what} did not come true; last seen: ${JSON.stringify(value)}`);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
}

/** The calls a test makes again and again, and waits for what they start. */
export class Probe {
  readonly service: Service;
  readonly client: EcsClient;

  constructor(service: Service) {
    this.service = service;
    this.client = service.client;
  }

  async scene(fields: object = {}): Promise<Scene> {
    return await control<Scene>(this.service, 'POST', 'scenes', fields);
  }

  async hold(resourceId: string): Promise<void> {
    await control(this.service, 'POST', 'holds', { resourceId });
  }

  async release(resourceId = ''): Promise<void> {
    await control(this.service, 'DELETE', `holds/${resourceId}`);
  }

  /** Simulated time all but stands still, so that a state can be looked at; `thaw` lets it run on. */
  async freeze(): Promise<void> {
    await control(this.service, 'POST', 'clock', { speed: 0.001 });
  }

  async thaw(speed = 200): Promise<void> {
    await control(this.service, 'POST', 'clock', { speed });
  }

  /** Snapshots from now on are Available soon, but accomplished only after an hour and a half. */
  async slowSnapshots(): Promise<void> {
    await control(this.service, 'POST', 'durations', { snapshot: 6000 });
  }

  async usualSnapshots(): Promise<void> {
    await control(this.service, 'POST', 'durations', { snapshot: 60 });
  }

  async switches(values: Record<string, string>): Promise<void> {
    await control(this.service, 'POST', 'switches', values);
  }

  async disk(id: string): Promise<ecs.DescribeDisksResponseBodyDisksDisk | undefined> {
    const request = new ecs.DescribeDisksRequest({ regionId: this.service.regionId, diskIds: JSON.stringify([id]) });
    return (await this.client.describeDisks(request)).body?.disks?.disk?.[0];
  }

  async snapshot(id: string): Promise<ecs.DescribeSnapshotsResponseBodySnapshotsSnapshot | undefined> {
    const request = new ecs.DescribeSnapshotsRequest({
      regionId: this.service.regionId,
      snapshotIds: JSON.stringify([id]),
    });
    return (await this.client.describeSnapshots(request)).body?.snapshots?.snapshot?.[0];
  }

  async instance(id: string): Promise<ecs.DescribeInstancesResponseBodyInstancesInstance | undefined> {
    const request = new ecs.DescribeInstancesRequest({
      regionId: this.service.regionId,
      instanceIds: JSON.stringify([id]),
    });
    return (await this.client.describeInstances(request)).body?.instances?.instance?.[0];
  }

  async diskBecomes(id: string, status: string): Promise<void> {
    await until(
      `disk ${id} ${status}`,
      async () => (await this.disk(id))?.status,
      (seen) => seen === status,
    );
  }

  async instanceBecomes(id: string, status: string): Promise<void> {
    await until(
      `instance ${id} ${status}`,
      async () => (await this.instance(id))?.status,
      (seen) => seen === status,
    );
  }

  async stop(instanceId: string): Promise<void> {
    await this.client.stopInstance(new ecs.StopInstanceRequest({ instanceId, stoppedMode: 'KeepCharging' }));
    await this.instanceBecomes(instanceId, 'Stopped');
  }

  async start(instanceId: string): Promise<void> {
    await this.client.startInstance(new ecs.StartInstanceRequest({ instanceId }));
    await this.instanceBecomes(instanceId, 'Running');
  }

  async createSnapshot(diskId: string, fields: Partial<ecs.CreateSnapshotRequest> = {}): Promise<string> {
    const answer = await this.client.createSnapshot(new ecs.CreateSnapshotRequest({ diskId, ...fields }));
    return answer.body?.snapshotId ?? '';
  }

  async finishedSnapshot(diskId: string): Promise<string> {
    const id = await this.createSnapshot(diskId);
    await until(
      `snapshot ${id}`,
      async () => (await this.snapshot(id))?.status,
      (seen) => seen === 'accomplished',
    );
    return id;
  }

  async createDisk(zoneId: string, fields: Partial<ecs.CreateDiskRequest> = {}): Promise<string> {
    const answer = await this.client.createDisk(
      new ecs.CreateDiskRequest({
        regionId: this.service.regionId,
        zoneId,
        diskCategory: 'cloud_essd',
        ...(fields.snapshotId === undefined && { size: 20 }),
        ...fields,
      }),
    );
    return answer.body?.diskId ?? '';
  }

  async availableDisk(zoneId: string, fields: Partial<ecs.CreateDiskRequest> = {}): Promise<string> {
    const id = await this.createDisk(zoneId, fields);
    await this.diskBecomes(id, 'Available');
    return id;
  }

  async reset(diskId: string, snapshotId: string, dryRun?: boolean): Promise<unknown> {
    return await this.client.resetDisk(
      new ecs.ResetDiskRequest({ diskId, snapshotId, ...(dryRun !== undefined && { dryRun }) }),
    );
  }

  async attach(diskId: string, instanceId: string): Promise<unknown> {
    return await this.client.attachDisk(new ecs.AttachDiskRequest({ diskId, instanceId }));
  }

  async detach(diskId: string, instanceId: string): Promise<unknown> {
    return await this.client.detachDisk(new ecs.DetachDiskRequest({ diskId, instanceId }));
  }

  async remove(diskId: string): Promise<unknown> {
    return await this.client.deleteDisk(new ecs.DeleteDiskRequest({ diskId }));
  }
}
