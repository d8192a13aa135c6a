/**
 * One rollback with real bytes on an instance of its own, during which one process is killed: set-up, the run followed
 * event by event, and what it has left in the cloud and on the disk.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import type { Part } from '../../local/stack.ts';
import type { World } from '../../simulator/state/model.ts';
import type { RollbackClient, RunHandle } from '../../src/client.ts';
import { TAG } from '../../src/contract/ids.ts';
import { below, Guest, type Manifest, notBelow } from '../e2e/guest.ts';
import { endOf, type Said } from './evidence.ts';
import type { FaultStage, Tenant } from './stage.ts';

export const PATHS = ['/data/uploads'];
/** A run that has gone no further for so long waits for something that does not come. */
const PATIENCE_MS = 150_000;

/** What is killed, once the run's history has so many events. */
export interface Kill {
  readonly part: 'worker' | Part;
  readonly at: number;
}

/** An instance whose data disk was written to, snapshotted, written to again and damaged. */
export interface Prepared {
  readonly tenant: Tenant;
  readonly guest: Guest;
  /** What the disk must hold at the end. */
  readonly expected: { readonly broughtBack: Record<string, string>; readonly rolledBack: Record<string, string> };
}

export async function prepare(stage: FaultStage, name: string, marker: string): Promise<Prepared> {
  const scene = await stage.control<Omit<Tenant, 'snapshotA'>>('POST', 'scenes', { name });
  const guest = new Guest(stage.region, scene.instanceId);
  await guest.runFile('tree', { MARKER: marker });
  const atA = await guest.manifest();
  const snapshotA = await stage.snapshot('nightly', scene.dataDiskId);
  await guest.runFile('newer', { MARKER: marker });
  const beforeDamage = await guest.manifest();
  await guest.runFile('damage');
  // Nothing is ever deleted: what was removed after A is there again.
  const removedSince = Object.entries(below(atA, PATHS)).filter(([path]) => !beforeDamage.has(path));
  const broughtBack = { ...below(beforeDamage, PATHS), ...Object.fromEntries(removedSince) };
  return { tenant: { ...scene, snapshotA }, guest, expected: { broughtBack, rolledBack: notBelow(atA, PATHS) } };
}

/** In which way the disk is not as it must be; empty when it is. */
export function wrongBytes({ expected }: Prepared, after: Manifest): string[] {
  const differing = (now: Record<string, string>, wanted: Record<string, string>): string[] =>
    [...new Set([...Object.keys(now), ...Object.keys(wanted)])]
      .filter((path) => now[path] !== wanted[path])
      .map((path) => `bytes: ${path} is "${now[path] ?? 'not there'}", expected "${wanted[path] ?? 'nothing'}"`);
  return [
    ...differing(below(after, PATHS), expected.broughtBack),
    ...differing(notBelow(after, PATHS), expected.rolledBack),
  ];
}

/** Everything about the instance that a run could have changed, without what differs from run to run. */
export function endState(world: World, { instanceId, systemDiskId, dataDiskId }: Tenant) {
  const { status, stoppedMode, keyPairName, locks, tags } = world.instances[instanceId] ?? {};
  const passing = ['id', 'seq', 'name', 'createdAt', 'attachedAt', 'attachment'];
  const disks = [systemDiskId, dataDiskId].map((id) => {
    const disk = world.disks[id];
    const lasting = Object.entries(disk ?? {}).filter(([field]) => !passing.includes(field));
    const { attachment } = disk ?? {};
    return [...lasting, ['attached', attachment?.instanceId === instanceId, attachment?.device]];
  });
  const snapshots = Object.values(world.snapshots)
    .filter(({ sourceDiskId }) => sourceDiskId === dataDiskId)
    .map(({ status: made, available, retentionDays, tags: its, sourceSizeGiB }) => ({
      made,
      available,
      retentionDays,
      sourceSizeGiB,
      purpose: its[TAG.purpose],
      tags: Object.keys(its).sort(),
    }));
  return { instance: { status, stoppedMode, keyPairName, locks, tags }, disks, snapshots };
}

export interface Played {
  readonly handle: RunHandle;
  readonly said: Said;
  readonly events: number;
  /** The kind of the last event before the kill; undefined when the run was over before. */
  readonly killedAfter: string | undefined;
}

type HistoryEvent = NonNullable<History['events']>[number];

/** Every new event of a run, until its last; goes on when server and connection are gone for a while. */
async function* eventsOf(
  stage: FaultStage,
  client: RollbackClient,
  { workflowId, runId }: RunHandle,
): AsyncGenerator<HistoryEvent> {
  let deadline = Date.now() + PATIENCE_MS;
  let seen = 0;
  let nextPageToken: Uint8Array | undefined;
  while (Date.now() < deadline) {
    try {
      const page = await stage.temporal.connection.withDeadline(Date.now() + 10_000, () =>
        stage.temporal.workflowService.getWorkflowExecutionHistory({
          namespace: stage.stack.namespace,
          execution: { workflowId, runId },
          waitNewEvent: true,
          ...(nextPageToken === undefined ? {} : { nextPageToken }),
        }),
      );
      for (const event of page.history?.events ?? []) {
        if (Number(event.eventId) <= seen) continue;
        seen = Number(event.eventId);
        deadline = Date.now() + PATIENCE_MS;
        yield event;
      }
      nextPageToken = page.nextPageToken;
      if (nextPageToken === undefined || nextPageToken.length === 0) return;
    } catch {
      nextPageToken = undefined;
      await delay(100);
    }
  }
  const { status, statusUnavailable } = await client.view(workflowId);
  throw new Error(`${workflowId} has not gone on after ${seen} events: ${status?.headline ?? statusUnavailable}`);
}

/** A worker process for the runs of one task queue. */
export interface OwnWorker {
  /** SIGKILL, and another one. */
  crash(): Promise<void>;
  stop(): Promise<void>;
}

export async function ownWorker(stage: FaultStage, taskQueue: string): Promise<OwnWorker> {
  const start = (name: string) => stage.stack.startWorker(name, { ECS_ROLLBACK_TASK_QUEUE: taskQueue });
  let worker = await start(taskQueue);
  return {
    crash: async () => {
      process.kill(worker.pid, 'SIGKILL');
      await worker.ended;
      worker = await start(`${taskQueue}-again`);
    },
    stop: () => worker.stop(),
  };
}

/** Plays the whole story; once its history has `at` events, `crash` kills something and has it come back. */
export async function play(
  stage: FaultStage,
  { tenant }: Prepared,
  client: RollbackClient,
  at: number,
  crash: () => Promise<void>,
): Promise<Played> {
  const { dataDiskId: diskId, snapshotA: snapshotId } = tenant;
  // A real reset takes longer than the absence of a worker; here it must be made to.
  await persistently(() => stage.control('POST', 'holds', { resourceId: diskId }));
  const request = { regionId: stage.regionId, diskId, snapshotId, sync: { paths: PATHS } };
  const handle = await persistently(() => client.start(request));
  let events = 0;
  let killedAfter: string | undefined;
  let comingBack: Promise<unknown> = Promise.resolve();
  for await (const event of eventsOf(stage, client, handle)) {
    events = Number(event.eventId);
    const scheduled = event.activityTaskScheduledEventAttributes?.activityType?.name;
    if (scheduled === 'awaitResetEnded') comingBack = Promise.all([comingBack, release(stage, diskId)]);
    if (events < at || killedAfter !== undefined) continue;
    killedAfter = scheduled ?? String(event.eventType);
    comingBack = Promise.all([comingBack, crash()]);
  }
  await comingBack;
  return { handle, said: await persistently(() => endOf(client, handle)), events, killedAfter };
}

const release = (stage: FaultStage, diskId: string): Promise<unknown> =>
  persistently(() => stage.control('DELETE', `holds/${diskId}`));

/** What it is asked of may just be away. */
async function persistently<T>(work: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await work();
    } catch (error) {
      if (Date.now() > deadline) throw error;
      await delay(100);
    }
  }
}
