/**
 * What all stories of the demo share: a small shop on a running stack, snapshot A, new orders, a bad deploy, the real
 * starter, and readings in the guest and in the simulator from which the proof is made.
 */
import type { RunView } from '../src/client.ts';
import { createEcs } from '../src/cloud/alicloud/client.ts';
import { ecsOptionsFromEnv } from '../src/cloud/config.ts';
import type { EcsRegion } from '../src/cloud/port.ts';
import { rollbackWorkflowId } from '../src/contract/ids.ts';
import type { RunStatus, Step, StepId } from '../src/contract/rollback.ts';
import { Guest, takeSnapshot, until } from './guest.ts';
import { type Checksums, type Claim, leftoversOf } from './proof.ts';
import { type CallRecord, type Scene, SimulatorControl } from './simulator-control.ts';
import type { Stack } from './stack.ts';
import { type Following, followSteps, type StarterEnd, startStarter } from './starter-process.ts';
import type { Log } from './temporal-cli.ts';

/** What the on-call engineer asks back. */
export const PATHS = ['/data/shop/uploads', '/data/shop/orders'] as const;

export interface Scenario {
  /** One line for `--help`. */
  readonly about: string;
  /** The data plane it is told on where this host runs both. */
  readonly dataPlane: 'vm' | 'loop';
  /** Debian packages that its guest needs. */
  readonly packages?: readonly string[];
  /** What its readings are taken over; default: the whole shop. */
  readonly checksumsOver?: string;
  /** Tells the story once on a fresh stack. Rejects when a step of the story itself cannot be done. */
  tell(story: Story): Promise<Told>;
}

/** What a story has to show, all of it read after its end from the guest and from the simulator. */
export interface Told {
  /** The runs of the story, in their order. */
  readonly runs: readonly Run[];
  readonly snapshotA: string;
  readonly snapshotB: string;
  /** By the moment they were taken. */
  readonly readings: Readonly<Record<string, Checksums>>;
  readonly resetCalls: number;
  readonly leftovers: readonly string[];
  readonly claims: readonly Claim[];
}

/** One run as the starter's JSON document tells it. */
export interface Run {
  readonly exitCode: number;
  readonly view: RunView;
}

export interface ReportedStep {
  readonly number?: number;
  readonly id: StepId;
  readonly title: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly outcome: Step['state'];
  readonly detail?: string;
}

/** A run under way. */
export interface Started {
  readonly following: Following;
  readonly ended: Promise<StarterEnd>;
  /** The run after its end, its steps all shown. Rejects when the starter printed none. */
  run(): Promise<Run>;
}

export interface StoryOptions {
  readonly log: Log;
  readonly signal: AbortSignal;
}

export class Story {
  readonly stack: Stack;
  readonly log: Log;
  readonly signal: AbortSignal;
  readonly ecs: EcsRegion;
  readonly guest: Guest;
  readonly control: SimulatorControl;
  readonly scene: Scene;
  readonly workflowId: string;
  /** Seconds. */
  readonly timings: Record<string, number> = {};

  constructor(stack: Stack, { log, signal }: StoryOptions) {
    this.stack = stack;
    this.log = log;
    this.signal = signal;
    this.scene = stack.simulator.scene;
    this.ecs = createEcs(ecsOptionsFromEnv(stack.settings).ecs).region(stack.simulator.regionId);
    this.guest = new Guest(this.ecs, this.scene.instanceId, signal);
    this.control = new SimulatorControl(stack.simulator.control);
    this.workflowId = rollbackWorkflowId(this.scene.dataDiskId);
  }

  async timed<T>(name: string, work: () => Promise<T>): Promise<T> {
    this.signal.throwIfAborted();
    const started = Date.now();
    const value = await work();
    this.timings[name] = (Date.now() - started) / 1000;
    return value;
  }

  /** The shop of the good old days, snapshot A of it, new orders, and the bad deploy at three in the morning. */
  async ruinTheShop(): Promise<{
    snapshotA: string;
    readings: Record<'atSnapshotA' | 'beforeDamage' | 'afterDamage', Checksums>;
  }> {
    const { guest, log } = this;
    log('a shop opens on /data of the instance: catalogue, configuration, orders, uploads');
    const atSnapshotA = await this.timed('openShop', async () => {
      await guest.run('shop/open');
      return guest.checksums();
    });
    const snapshotA = await this.timed('snapshotA', () => takeSnapshot(this.ecs, this.scene.dataDiskId, this.signal));
    log(`snapshot A is ${snapshotA} (${atSnapshotA.files} files)`);
    const beforeDamage = await this.timed('trade', async () => {
      await guest.run('shop/trade');
      return guest.checksums();
    });
    log(`life goes on: 50 new orders, 10 changed ones, 16 new uploads; checksum ${short(beforeDamage)}`);
    const afterDamage = await this.timed('badDeploy', async () => {
      await guest.run('shop/bad-deploy');
      return guest.checksums();
    });
    log(`03:00, a bad deploy: catalogue emptied, configuration removed; checksum ${short(afterDamage)}`);
    return { snapshotA, readings: { atSnapshotA, beforeDamage, afterDamage } };
  }

  /** The flags of a rollback to snapshot A that brings orders and uploads back, or other paths. */
  rollbackTo(snapshotA: string, paths: readonly string[] = PATHS, more: readonly string[] = []): string[] {
    const { instanceId, dataDiskId } = this.scene;
    return [
      ...`start --region ${this.stack.simulator.regionId} --instance ${instanceId} --disk ${dataDiskId}`.split(' '),
      ...`--snapshot ${snapshotA} --path ${paths.join(' --path ')} --yes -o json`.split(' '),
      ...more,
    ];
  }

  /** Runs the starter to its end. Its command line and what it says are part of the story. */
  starter(args: readonly string[]): Promise<StarterEnd> {
    this.signal.throwIfAborted();
    this.log(`$ npm run starter -- ${args.join(' ')}`);
    return startStarter(args, this.stack.env, this.log, this.signal).ended;
  }

  /** Starts a run with the starter and follows it. */
  begin(args: readonly string[], name: string): Started {
    const started = Date.now();
    const ended = this.starter(args);
    const following = followSteps(this.stack, this.workflowId, this.log, ended);
    return {
      following,
      ended,
      run: async () => {
        const end = await ended;
        await following.end;
        this.timings[name] = (Date.now() - started) / 1000;
        this.signal.throwIfAborted();
        return runOf(end);
      },
    };
  }

  /** Resolves with the first status of the run for which `seen` holds. Rejects when the run ends before. */
  async until(started: Started, what: string, seen: Parameters<Following['until']>[0]): Promise<void> {
    const found = await Promise.race([started.following.until(seen), started.ended]);
    if ('exitCode' in found) throw new Error(`the run ended before ${what}: ${found.stdout.trim().slice(-500)}`);
  }

  /**
   * Reads the disk after its reset, once the guest is up again. The attach of the recovery disk is held meanwhile: between
   * reset and copy is the only moment at which the whole disk is snapshot A. Undefined when the run ended before that.
   */
  async readBetween(
    started: Started,
    of: 'shop' | 'database' = 'shop',
  ): Promise<{ sums: Checksums; at: string } | undefined> {
    return this.beforeTheCopy(started, async () => {
      const sums = await this.guest.checksums(of);
      this.log(
        `    between reset and copy: checksum ${short(sums)}, ${sums.files} ${of === 'shop' ? 'files' : 'rows'}`,
      );
      return { sums, at: new Date().toISOString() };
    });
  }

  /** Does `work` when the instance is up again after the reset, and holds the recovery disk back until it is done. */
  async beforeTheCopy<T>({ following, ended }: Started, work: () => Promise<T>): Promise<T | undefined> {
    const orEnd = async <R>(waited: Promise<R>): Promise<R | undefined> =>
      Promise.race([waited, ended.then(() => undefined)]);
    const made = await orEnd(following.until(({ recoveryDiskId }) => recoveryDiskId !== undefined));
    const recoveryDiskId = made?.recoveryDiskId;
    if (recoveryDiskId === undefined) return undefined;
    await this.control.hold(recoveryDiskId);
    try {
      const up = ({ steps }: RunStatus): boolean =>
        steps.some(({ id, state }) => id === 'startInstance' && state === 'done');
      if ((await orEnd(following.until(up))) === undefined) return undefined;
      return await work();
    } finally {
      await this.control.release(recoveryDiskId);
    }
  }

  /** Waits until the simulator has taken such a call, counted from `since` on. Rejects when the run ends before. */
  async untilCalled(
    what: string,
    since: number,
    { ended }: Started,
    isIt: (call: CallRecord) => boolean,
  ): Promise<void> {
    let end: StarterEnd | undefined;
    void ended.then((seen) => (end = seen));
    await until(
      what,
      async () => {
        if ((await this.control.calls()).slice(since).some(isIt)) return true;
        if (end !== undefined) throw new Error(`the run ended before ${what}: ${end.stdout.trim().slice(-500)}`);
        return undefined;
      },
      120_000,
      this.signal,
    );
  }

  /** Everything that the scene and the snapshots to be kept do not explain, in the cloud and in the guest. */
  async leftovers(kept: readonly string[]): Promise<string[]> {
    const inGuest = (await this.guest.run('shop/leftovers')).split('\n').filter(Boolean);
    return leftoversOf(await this.control.state(), this.scene, kept, inGuest);
  }
}

/** Calls of an action that took effect. */
export const effects = (calls: readonly CallRecord[], action: string): number =>
  calls.filter((call) => call.action === action && call.tookEffect).length;

export const short = ({ whole }: Checksums): string => whole.slice(0, 12);

function runOf({ exitCode, stdout }: StarterEnd): Run {
  let view: Partial<RunView> = {};
  try {
    view = JSON.parse(stdout) as Partial<RunView>;
  } catch {
    // Said below.
  }
  if (view.workflowId === undefined || view.runId === undefined) {
    throw new Error(
      `the starter ended with exit code ${exitCode} and no run: ${stdout.trim() || 'it printed nothing'}`,
    );
  }
  return { exitCode, view: view as RunView };
}

/** Rejects with the run's own reason unless it came to its result. */
export function completed(run: Run): Run {
  if (run.view.result !== undefined) return run;
  throw new Error(
    `the run did not complete (starter: exit code ${run.exitCode}): ${run.view.failure?.message ?? run.view.execution}`,
  );
}

/** Its snapshot B. Rejects with the run's own reason when it has none. */
export function snapshotBOf({ exitCode, view }: Run): string {
  const id = view.result?.safetySnapshotId ?? view.status?.safetySnapshotId;
  if (id !== undefined) return id;
  throw new Error(`the run has no snapshot B (exit code ${exitCode}): ${view.failure?.message ?? view.execution}`);
}

export const stepsOf = ({ view }: Run): readonly Step[] =>
  view.result?.steps ?? view.failure?.report?.steps ?? view.status?.steps ?? [];

export function reported({ number, id, title, startedAt, endedAt, state, detail }: Step): ReportedStep {
  return {
    ...(number === undefined ? {} : { number }),
    id,
    title,
    ...(startedAt === undefined ? {} : { startedAt }),
    ...(endedAt === undefined ? {} : { endedAt }),
    outcome: state,
    ...(detail === undefined ? {} : { detail }),
  };
}
