/**
 * One simulated region at work: its world, its clock, its data plane, and the transitions between them. A transition ends
 * when its simulated duration is over and the data plane has done the real work, whichever is later.
 */
import { randomInt, randomUUID } from 'node:crypto';
import { setMaxListeners } from 'node:events';
import type { AttachedDisk, DataPlane } from '../data-plane/port.ts';
import {
  type DiskState,
  type Durations,
  GiB,
  type InstanceState,
  isEssdFamily,
  isoSeconds,
  type SnapshotLock,
  type SnapshotState,
  type Task,
  type TaskKind,
  type World,
} from '../state/model.ts';
import type { Store } from '../state/store.ts';
import type { Clock } from './clock.ts';

interface Transition {
  /** `before`: the data plane works while the duration runs. `after`: only when it is over (the cut of a snapshot). */
  readonly workStarts: 'before' | 'after';
  work(region: Region, task: Task): Promise<void>;
  done(region: Region, task: Task): void;
  /** The data plane could not do it: back to a state from which the caller can go on. */
  failed(region: Region, task: Task): void;
}

const idle = async (): Promise<void> => {};

const transitions: Record<TaskKind, Transition> = {
  startInstance: {
    workStarts: 'before',
    work: async (region, task) => await region.boot(task.subject),
    done: (region, task) => region.becomeRunning(region.instance(task.subject)),
    failed: (region, task) => {
      region.instance(task.subject).status = 'Stopped';
    },
  },
  stopInstance: {
    workStarts: 'before',
    work: async (region, task) => {
      await region.booting(task.subject);
      const force = task.data['force'] === true;
      if (!force && !(await region.heedsShutdown(task))) return;
      await region.dataPlane.stopInstance(task.subject, { force });
      region.isDown(task.subject);
    },
    done: (region, task) => {
      const instance = region.instance(task.subject);
      instance.status = 'Stopped';
      instance.bootedAt = 0;
      instance.stoppedMode = task.data['stoppedMode'] === 'StopCharging' ? 'StopCharging' : 'KeepCharging';
    },
    failed: (region, task) => region.becomeRunning(region.instance(task.subject)),
  },
  rebootInstance: {
    workStarts: 'before',
    work: async (region, task) => {
      await region.booting(task.subject);
      await region.dataPlane.stopInstance(task.subject, { force: task.data['force'] === true });
      region.isDown(task.subject);
      region.instance(task.subject).status = 'Starting';
      await region.boot(task.subject);
    },
    done: (region, task) => region.becomeRunning(region.instance(task.subject)),
    failed: (region, task) => {
      region.instance(task.subject).status = 'Stopped';
    },
  },
  createDisk: {
    workStarts: 'before',
    work: async (region, task) => {
      const disk = region.disk(task.subject);
      await region.dataPlane.createDisk(
        disk.id,
        disk.sizeGiB * GiB,
        disk.sourceSnapshotId === '' ? undefined : disk.sourceSnapshotId,
      );
    },
    done: (region, task) => {
      const disk = region.disk(task.subject);
      disk.status = 'Available';
      disk.deviceSizeGiB = disk.sizeGiB;
      if (disk.sourceSnapshotId !== '') disk.hydratingUntil = region.clock.now() + region.seconds('hydration');
    },
    failed: (region, task) => {
      delete region.world.disks[task.subject];
    },
  },
  attachDisk: {
    workStarts: 'before',
    work: async (region, task) => {
      const instanceId = String(task.data['instanceId']);
      await region.booting(instanceId);
      if (region.dataPlane.isRunning(instanceId)) {
        await region.dataPlane.attachDisk(instanceId, region.attached(task.subject));
      }
    },
    done: (region, task) => {
      const disk = region.disk(task.subject);
      disk.status = 'In_use';
      disk.everAttached = true;
      disk.attachedAt = isoSeconds(Date.now());
    },
    failed: (region, task) => {
      const disk = region.disk(task.subject);
      disk.status = 'Available';
      disk.attachment = null;
    },
  },
  detachDisk: {
    workStarts: 'before',
    work: async (region, task) => {
      const instanceId = String(task.data['instanceId']);
      await region.booting(instanceId);
      if (region.dataPlane.isRunning(instanceId)) {
        await region.dataPlane.detachDisk(instanceId, region.attached(task.subject));
      }
    },
    done: (region, task) => {
      const disk = region.disk(task.subject);
      disk.status = 'Available';
      disk.attachment = null;
      disk.detachedAt = isoSeconds(Date.now());
    },
    failed: (region, task) => {
      region.disk(task.subject).status = 'In_use';
    },
  },
  resetDisk: {
    workStarts: 'before',
    work: async (region, task) => {
      const disk = region.disk(task.subject);
      const snapshot = region.snapshot(String(task.data['snapshotId']));
      const back = region.world.switches.sizeAfterReset === 'snapshot';
      const size = back ? snapshot.sourceSizeGiB : disk.sizeGiB;
      await region.dataPlane.resetDisk(disk.id, snapshot.id, size * GiB);
      disk.sizeGiB = size;
      disk.deviceSizeGiB = size;
    },
    done: (region, task) => {
      const disk = region.disk(task.subject);
      disk.resetting = false;
      disk.status = disk.attachment === null ? 'Available' : 'In_use';
    },
    failed: (region, task) => transitions.resetDisk.done(region, task),
  },
  cutSnapshot: {
    workStarts: 'after',
    work: async (region, task) => {
      const snapshot = region.snapshot(task.subject);
      await region.dataPlane.snapshotDisks([{ diskId: snapshot.sourceDiskId, snapshotId: snapshot.id }]);
      // It failed or was deleted while its bytes were being copied.
      if (region.world.snapshots[snapshot.id]?.status !== 'progressing') {
        await region.dataPlane.deleteSnapshot(snapshot.id);
      }
    },
    done: (region, task) => {
      const snapshot = region.snapshot(task.subject);
      if (snapshot.doomed) {
        region.failSnapshot(snapshot);
        return;
      }
      const now = region.clock.now();
      snapshot.createdAt = isoSeconds(Date.now());
      snapshot.modifiedAt = snapshot.createdAt;
      snapshot.cutAt = now;
      const rest = region.seconds('snapshot') - region.seconds('snapshotCut');
      snapshot.finishAt = now + Math.max(0, rest);
      if (isEssdFamily(snapshot.sourceCategory)) {
        region.begin('openSnapshot', snapshot.id, Math.min(rest, region.seconds('snapshotAvailable')));
      }
      region.begin('finishSnapshot', snapshot.id, Math.max(0, rest));
    },
    failed: (region, task) => region.failSnapshot(region.snapshot(task.subject)),
  },
  openSnapshot: {
    workStarts: 'before',
    work: idle,
    done: (region, task) => {
      region.snapshot(task.subject).available = true;
    },
    failed: () => undefined,
  },
  finishSnapshot: {
    workStarts: 'before',
    work: idle,
    done: (region, task) => {
      const snapshot = region.snapshot(task.subject);
      if (snapshot.doomed) {
        region.failSnapshot(snapshot);
        return;
      }
      snapshot.status = 'accomplished';
      snapshot.available = true;
      snapshot.modifiedAt = isoSeconds(Date.now());
      if (snapshot.lock !== undefined) region.beginLock(snapshot.lock);
    },
    failed: () => undefined,
  },
};

/** The serial by which a guest finds a disk: its id without `d-`. */
export const serialOf = (diskId: string): string => diskId.slice(2);

const idLetters = 'abcdefghijklmnopqrstuvwxyz0123456789';

export class Region {
  readonly world: World;
  readonly clock: Clock;
  readonly dataPlane: DataPlane;
  readonly store: Store;
  readonly log: (line: string) => void;
  private readonly boots = new Map<string, Promise<void>>();
  /** Instances whose agent has answered since the boot. */
  private readonly agentsUp = new Set<string>();
  private readonly holdWaiters = new Set<() => void>();
  /** What runs in a guest and ends with it. */
  private readonly downWaiters = new Map<string, Set<() => void>>();
  private readonly closing = new AbortController();

  /** Call `resume` for a world that an earlier process left. */
  constructor(parts: {
    world: World;
    clock: Clock;
    dataPlane: DataPlane;
    store: Store;
    log: (line: string) => void;
  }) {
    this.world = parts.world;
    this.clock = parts.clock;
    this.dataPlane = parts.dataPlane;
    this.store = parts.store;
    this.log = parts.log;
    // Every transition under way listens.
    setMaxListeners(0, this.closing.signal);
  }

  get closed(): AbortSignal {
    return this.closing.signal;
  }

  /** A nominal duration in milliseconds of simulated time. */
  seconds(name: keyof Durations): number {
    return this.world.durations[name] * 1000;
  }

  newId(prefix: 'd' | 's' | 'i' | 't' | 'c' | 'f'): string {
    let id = '';
    do {
      id = `${prefix}-bp1${Array.from({ length: 17 }, () => idLetters[randomInt(36)]).join('')}`;
    } while (id in this.world.disks || id in this.world.snapshots || id in this.world.instances);
    return id;
  }

  nextSeq(): number {
    this.world.nextSeq += 1;
    return this.world.nextSeq;
  }

  instance(id: string): InstanceState {
    const found = this.world.instances[id];
    if (found === undefined) throw new Error(`instance ${id} is gone`);
    return found;
  }

  disk(id: string): DiskState {
    const found = this.world.disks[id];
    if (found === undefined) throw new Error(`disk ${id} is gone`);
    return found;
  }

  snapshot(id: string): SnapshotState {
    const found = this.world.snapshots[id];
    if (found === undefined) throw new Error(`snapshot ${id} is gone`);
    return found;
  }

  disksOf(instanceId: string): DiskState[] {
    return Object.values(this.world.disks)
      .filter((disk) => disk.attachment?.instanceId === instanceId)
      .sort((a, b) => (a.attachment?.device ?? '').localeCompare(b.attachment?.device ?? ''));
  }

  snapshotsOf(diskId: string): SnapshotState[] {
    return Object.values(this.world.snapshots).filter((snapshot) => snapshot.sourceDiskId === diskId);
  }

  tasksOf(subject: string): Task[] {
    return this.world.tasks.filter((task) => task.subject === subject);
  }

  /** Starts a transition that lasts `durationMs` of simulated time. */
  begin(kind: TaskKind, subject: string, durationMs: number, data: Task['data'] = {}): void {
    const task: Task = { id: this.nextSeq(), kind, subject, due: this.clock.now() + durationMs, data };
    this.world.tasks.push(task);
    this.launch(task);
  }

  /** Takes up what an earlier process left: boots what ran, continues every transition. */
  resume(): void {
    const busy = new Set(this.world.tasks.map((task) => task.subject));
    for (const instance of Object.values(this.world.instances)) {
      if (instance.status === 'Running' && !busy.has(instance.id)) {
        this.log(`booting ${instance.id} again`);
        void this.bootAgain(instance);
      }
    }
    for (const task of this.world.tasks) this.launch(task);
  }

  private async bootAgain(instance: InstanceState): Promise<void> {
    try {
      await this.boot(instance.id);
      // Nobody has started it: as the region sees it, it has run all the while.
      const { startedAt } = instance;
      this.becomeRunning(instance);
      instance.startedAt = startedAt;
    } catch (error) {
      this.incident(`boot of ${instance.id} after a restart`, error);
      instance.status = 'Stopped';
    }
  }

  /** Lets held transitions look again whether they may end. */
  recheckHolds(): void {
    for (const waiter of this.holdWaiters) waiter();
    this.holdWaiters.clear();
  }

  booting(instanceId: string): Promise<void> {
    return (this.boots.get(instanceId) ?? Promise.resolve()).catch(() => undefined);
  }

  /** The disk as the data plane knows it. */
  attached(diskId: string): AttachedDisk {
    const shown = this.disk(diskId).hasSerial ? {} : { showsSerial: false as const };
    return { diskId, serial: serialOf(diskId), ...shown };
  }

  async boot(instanceId: string): Promise<void> {
    const work = (async () => {
      const disks = this.disksOf(instanceId);
      for (const disk of disks) {
        if (disk.deviceSizeGiB < disk.sizeGiB) {
          await this.dataPlane.resizeDisk(disk.id, disk.sizeGiB * GiB);
          disk.deviceSizeGiB = disk.sizeGiB;
        }
      }
      await this.dataPlane.startInstance(
        instanceId,
        disks.map((disk) => this.attached(disk.id)),
      );
    })();
    this.boots.set(instanceId, work);
    try {
      await work;
    } finally {
      if (this.boots.get(instanceId) === work) this.boots.delete(instanceId);
    }
  }

  /** `bootedAt` in simulated time; the agent's first heartbeat comes `agentAfterBoot` later. */
  becomeRunning(instance: InstanceState, bootedAt = this.clock.now()): void {
    instance.status = 'Running';
    instance.stoppedMode = 'Not-applicable';
    instance.bootedAt = bootedAt;
    instance.startedAt = isoSeconds(Date.now());
    instance.lastHeartbeat = '';
    this.agentsUp.delete(instance.id);
    this.watchAgent(instance.id, instance.bootedAt).catch((error: unknown) => {
      if (!this.closed.aborted) this.incident(`agent of ${instance.id}`, error);
    });
  }

  /** Called when an instance begins to go down: its agent is gone, and its unfinished snapshots fail. */
  goDown(instance: InstanceState): void {
    instance.status = 'Stopping';
    instance.lastHeartbeat = '';
    this.agentsUp.delete(instance.id);
    const rule = this.world.switches.stopFailsSnapshots;
    if (rule === 'none') return;
    for (const disk of this.disksOf(instance.id)) {
      for (const snapshot of this.snapshotsOf(disk.id)) {
        if (snapshot.status === 'progressing' && (rule === 'progressing' || snapshot.createdAt === '')) {
          this.failSnapshot(snapshot);
        }
      }
    }
  }

  /** Waits while the guest does not heed a graceful stop; false when the stop was given up for another. */
  async heedsShutdown(task: Task): Promise<boolean> {
    while (this.world.tasks.includes(task) && !this.closed.aborted) {
      if (this.instance(task.subject).ignoresShutdown !== true) return true;
      await new Promise<void>((resolve) => this.holdWaiters.add(resolve));
    }
    return false;
  }

  /** The guest is off: whatever ran in it was cut off. */
  isDown(instanceId: string): void {
    for (const waiter of this.downWaiters.get(instanceId) ?? []) waiter();
    this.downWaiters.delete(instanceId);
  }

  /** Work inside a guest; rejects when the guest goes off first, whether or not the data plane notices. */
  async inGuest<T>(instanceId: string, work: Promise<T>): Promise<T> {
    const waiters = this.downWaiters.get(instanceId) ?? new Set();
    this.downWaiters.set(instanceId, waiters);
    let waiter = (): void => {};
    const down = new Promise<never>((_resolve, reject) => {
      waiter = () => reject(new Error('the instance went down'));
    });
    waiters.add(waiter);
    try {
      return await Promise.race([work, down]);
    } finally {
      waiters.delete(waiter);
    }
  }

  /** A lock's days are counted from when its snapshot is accomplished. */
  beginLock(lock: SnapshotLock): void {
    lock.startsAt = isoSeconds(Date.now());
    lock.until = this.clock.now() + lock.days * 86_400_000;
  }

  failSnapshot(snapshot: SnapshotState): void {
    snapshot.status = 'failed';
    snapshot.available = false;
    snapshot.modifiedAt = isoSeconds(Date.now());
    this.dropTasks(snapshot.id);
    this.inBackground(`removing the bytes of failed snapshot ${snapshot.id}`, () =>
      this.dataPlane.deleteSnapshot(snapshot.id),
    );
  }

  dropTasks(subject: string): void {
    this.world.tasks = this.world.tasks.filter((task) => task.subject !== subject);
  }

  /** Whether Cloud Assistant would call the instance's agent alive. */
  agentOnline(instance: InstanceState): boolean {
    return (
      instance.status === 'Running' &&
      !instance.agentOffline &&
      instance.agentInstalled &&
      this.agentsUp.has(instance.id)
    );
  }

  incident(what: string, error: unknown): void {
    const line = `${what}: ${error instanceof Error ? error.message : String(error)}`;
    this.world.incidents.push(`${new Date().toISOString()} ${line}`);
    this.log(line);
  }

  /** For work whose end nobody waits for. */
  inBackground(what: string, work: () => Promise<void>): void {
    work().catch((error: unknown) => {
      if (!this.closed.aborted) this.incident(what, error);
    });
  }

  /** Writes the world down without waiting for it. */
  saveSoon(): void {
    this.inBackground('saving the state', () => this.store.save());
  }

  async close(): Promise<void> {
    this.closing.abort();
    this.world.simTime = this.clock.now();
    await this.store.save();
    await this.dataPlane.close();
  }

  requestId(): string {
    return randomUUID().toUpperCase();
  }

  private launch(task: Task): void {
    this.run(task).catch((error: unknown) => {
      if (!this.closed.aborted) this.incident(`${task.kind} of ${task.subject}`, error);
    });
  }

  private async run(task: Task): Promise<void> {
    const transition = transitions[task.kind];
    const alive = (): boolean => !this.closed.aborted && this.world.tasks.includes(task);
    try {
      if (transition.workStarts === 'before') {
        await Promise.all([transition.work(this, task), this.clock.until(task.due, this.closed)]);
      } else {
        await this.clock.until(task.due, this.closed);
        if (!alive()) return;
        await transition.work(this, task);
      }
      while (alive() && this.world.held.includes(task.subject)) {
        await new Promise<void>((resolve) => this.holdWaiters.add(resolve));
      }
      if (!alive()) return;
      this.world.tasks = this.world.tasks.filter((other) => other !== task);
      transition.done(this, task);
    } catch (error) {
      if (!alive()) return;
      this.incident(`${task.kind} of ${task.subject} failed`, error);
      this.world.tasks = this.world.tasks.filter((other) => other !== task);
      transition.failed(this, task);
    }
    this.world.simTime = this.clock.now();
    await this.store.save();
  }

  private async watchAgent(instanceId: string, boot: number): Promise<void> {
    await this.clock.until(boot + this.seconds('agentAfterBoot'), this.closed);
    const same = (): boolean => {
      const now = this.world.instances[instanceId];
      return !this.closed.aborted && now?.status === 'Running' && now.bootedAt === boot;
    };
    let misses = 0;
    while (same()) {
      const answers = await this.dataPlane.agentAnswers(instanceId).catch(() => false);
      if (!same()) return;
      if (answers) {
        misses = 0;
        const { agentOffline, agentInstalled } = this.instance(instanceId);
        if (!agentOffline && agentInstalled) this.instance(instanceId).lastHeartbeat = isoSeconds(Date.now());
        if (!this.agentsUp.has(instanceId)) {
          this.agentsUp.add(instanceId);
          this.saveSoon();
        }
      } else {
        misses += 1;
        // A busy guest may miss one ping.
        if (misses >= 2) this.agentsUp.delete(instanceId);
      }
      const pause = this.agentsUp.has(instanceId) ? 10_000 : 300;
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, pause);
        timer.unref();
      });
    }
  }
}
