/**
 * The demo's story on a running stack: a small shop, snapshot A, new orders, a bad deploy, the real starter, and readings
 * in the guest and in the simulator from which the proof is made.
 */
import { spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { setTimeout as delay } from 'node:timers/promises';
import { RollbackClient, type RunView } from '../src/client.ts';
import { createEcs } from '../src/cloud/alicloud/client.ts';
import { ecsOptionsFromEnv } from '../src/cloud/config.ts';
import type { EcsRegion } from '../src/cloud/port.ts';
import { rollbackWorkflowId } from '../src/contract/ids.ts';
import type { RollbackResult, RunStatus, Step, StepId } from '../src/contract/rollback.ts';
import { guarded } from './processes.ts';
import { type Checksums, type Claim, leftoversOf, prove, type Readings } from './proof.ts';
import { SimulatorControl } from './simulator-control.ts';
import type { Stack } from './stack.ts';
import type { Log } from './temporal-cli.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
/** What the on-call engineer asks back. */
const PATHS = ['/data/shop/uploads', '/data/shop/orders'] as const;
/** How often waits of the story look; the simulator's time is compressed. */
const LOOK_MS = 150;

export interface ReportedStep {
  readonly number?: number;
  readonly id: StepId;
  readonly title: string;
  readonly startedAt?: string;
  readonly endedAt?: string;
  readonly outcome: Step['state'];
  readonly detail?: string;
}

/** What `npm run demo -- --json` prints; times in seconds. */
export interface DemoDocument {
  readonly schemaVersion: 1;
  readonly verified: boolean;
  readonly workflowId: string;
  readonly runId: string;
  readonly temporalUi: string;
  readonly outcome: string;
  readonly regionId: string;
  readonly instanceId: string;
  readonly diskId: string;
  readonly snapshotA: string;
  readonly snapshotB: string;
  readonly fileSystem: string;
  /** The eight of the vendor's page, in their order. */
  readonly steps: readonly ReportedStep[];
  /** The rollback's own: plan, stop, gate, start, power state. */
  readonly otherSteps: readonly ReportedStep[];
  readonly resetCalls: number;
  /** SHA-256 over content and metadata of the whole shop; `parts` has the same per part. */
  readonly checksums: Record<keyof Readings, string> & { readonly parts: Readings };
  readonly claims: readonly Claim[];
  readonly leftovers: readonly string[];
  readonly timings: Readonly<Record<string, number>>;
}

export interface StoryOptions {
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** Tells the story once on a fresh stack. Rejects when a step of the story itself cannot be done. */
export async function tellStory(stack: Stack, options: StoryOptions): Promise<DemoDocument> {
  const { log, signal } = options;
  const { regionId, scene } = stack.simulator;
  const timings: Record<string, number> = {};
  const timed = async <T>(name: string, work: () => Promise<T>): Promise<T> => {
    signal.throwIfAborted();
    const started = Date.now();
    const value = await work();
    timings[name] = (Date.now() - started) / 1000;
    return value;
  };
  const ecs = createEcs(ecsOptionsFromEnv(stack.settings).ecs).region(regionId);
  const guest = new Guest(ecs, scene.instanceId, signal);
  const control = new SimulatorControl(stack.simulator.control);

  log('a shop opens on /data of the instance: catalogue, configuration, orders, uploads');
  const atSnapshotA = await timed('openShop', async () => {
    await guest.run('open');
    return guest.checksums();
  });
  const snapshotA = await timed('snapshotA', () => takeSnapshot(ecs, scene.dataDiskId, signal));
  log(`snapshot A is ${snapshotA} (${atSnapshotA.files} files)`);

  const beforeDamage = await timed('trade', async () => {
    await guest.run('trade');
    return guest.checksums();
  });
  log(`life goes on: 50 new orders, 10 changed ones, 16 new uploads; checksum ${short(beforeDamage.whole)}`);

  const afterDamage = await timed('badDeploy', async () => {
    await guest.run('bad-deploy');
    return guest.checksums();
  });
  log(`03:00, a bad deploy: catalogue emptied, configuration removed; checksum ${short(afterDamage.whole)}`);

  const before = await control.countEffects('ResetDisk');
  const workflowId = rollbackWorkflowId(scene.dataDiskId);
  const args = [
    ...`start --region ${regionId} --instance ${scene.instanceId} --disk ${scene.dataDiskId}`.split(' '),
    ...`--snapshot ${snapshotA} --path ${PATHS.join(' --path ')} --yes -o json`.split(' '),
  ];
  log(`$ npm run starter -- ${args.join(' ')}`);
  const starter = startStarter(args, stack.env, log, signal);
  const started = Date.now();
  const following = followSteps(stack, workflowId, log, starter.ended);
  const between = await readBetween(following, control, guest, starter.ended, log);
  const { exitCode, stdout } = await starter.ended;
  await following.end;
  timings['recovery'] = (Date.now() - started) / 1000;
  signal.throwIfAborted();

  const run = JSON.parse(stdout || '{}') as Partial<RunView>;
  const { result } = run;
  if (result === undefined || run.runId === undefined || result.safetySnapshotId === undefined) {
    throw new Error(
      `the run did not complete (starter: exit code ${exitCode}): ${run.failure?.message ?? (stdout.trim() || 'it printed nothing')}`,
    );
  }
  if (between === undefined) throw new Error('the state after the rollback could not be read');
  const snapshotB = result.safetySnapshotId;

  return timed('proof', async () => {
    const afterSync = await guest.checksums();
    const inGuest = (await guest.run('leftovers')).split('\n').filter(Boolean);
    const resetCalls = (await control.countEffects('ResetDisk')) - before;
    const leftovers = leftoversOf(await control.state(), scene, [snapshotA, snapshotB], inGuest);
    const readings: Readings = { atSnapshotA, beforeDamage, afterDamage, afterRollback: between.sums, afterSync };
    const steps = result.steps.filter((step) => step.number !== undefined).map(reported);
    steps.sort((a, b) => (a.number ?? 0) - (b.number ?? 0));
    const claims = prove({
      readings,
      resetCalls,
      leftovers,
      starterExitCode: exitCode,
      readAfterRollbackAt: between.at,
      steps: steps.map(({ number = 0, outcome, startedAt = '' }) => ({ number, outcome, startedAt })),
    });
    return {
      schemaVersion: 1 as const,
      verified: claims.every(({ holds }) => holds),
      workflowId,
      runId: run.runId ?? '',
      temporalUi: stack.runUrl(workflowId, run.runId ?? ''),
      outcome: result.outcome,
      regionId,
      instanceId: scene.instanceId,
      diskId: scene.dataDiskId,
      snapshotA,
      snapshotB,
      fileSystem: scene.fileSystem,
      steps,
      otherSteps: otherSteps(result),
      resetCalls,
      checksums: {
        atSnapshotA: atSnapshotA.whole,
        beforeDamage: beforeDamage.whole,
        afterDamage: afterDamage.whole,
        afterRollback: between.sums.whole,
        afterSync: afterSync.whole,
        parts: readings,
      },
      claims,
      leftovers,
      timings,
    };
  });
}

const short = (sum: string): string => sum.slice(0, 12);

function reported({ number, id, title, startedAt, endedAt, state, detail }: Step): ReportedStep {
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

const otherSteps = (result: RollbackResult): ReportedStep[] =>
  result.steps.filter((step) => step.number === undefined).map(reported);

/** Runs the scripts of `shop/` in the instance, through Cloud Assistant as anyone would. */
class Guest {
  readonly #ecs: EcsRegion;
  readonly #instanceId: string;
  readonly #signal: AbortSignal;

  constructor(ecs: EcsRegion, instanceId: string, signal: AbortSignal) {
    this.#ecs = ecs;
    this.#instanceId = instanceId;
    this.#signal = signal;
  }

  /** Waits for the agent, runs one script, and returns what it printed. */
  async run(script: 'open' | 'trade' | 'bad-deploy' | 'checksums' | 'leftovers'): Promise<string> {
    const ecs = this.#ecs;
    await until(
      'the Cloud Assistant agent',
      async () => (await ecs.agents([this.#instanceId])).get(this.#instanceId)?.online,
      120_000,
      this.#signal,
    );
    const invocationId = await ecs.runScript({
      instanceId: this.#instanceId,
      name: `demo-${script}`,
      script: await readFile(new URL(`./shop/${script}.sh`, import.meta.url), 'utf8'),
      timeoutSeconds: 300,
      clientToken: `demo-${script}-${process.hrtime.bigint()}`,
    });
    const done = await until(
      `script ${script}`,
      async () => {
        const invocation = (await ecs.invocations([invocationId])).get(invocationId);
        return invocation && !['Pending', 'Scheduled', 'Running', 'Stopping'].includes(invocation.status)
          ? invocation
          : undefined;
      },
      300_000,
      this.#signal,
    );
    const output = done.output.toString();
    if (done.status !== 'Success') {
      throw new Error(
        `script ${script} of the demo ended as ${done.status}, exit code ${done.exitCode ?? 'none'}: ${done.errorInfo ?? ''} ${output.trim().slice(-500)}`,
      );
    }
    return output;
  }

  async checksums(): Promise<Checksums> {
    return JSON.parse(await this.run('checksums')) as Checksums;
  }
}

async function until<T>(
  what: string,
  look: () => Promise<T | undefined | false>,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<T> {
  const deadline = Date.now() + timeoutMs;
  for (;;) {
    signal.throwIfAborted();
    const value = await look();
    if (value !== undefined && value !== false) return value;
    if (Date.now() > deadline) throw new Error(`${what}: not done after ${timeoutMs / 1000} s`);
    await delay(LOOK_MS, undefined, { signal });
  }
}

async function takeSnapshot(ecs: EcsRegion, diskId: string, signal: AbortSignal): Promise<string> {
  const id = await ecs.createSnapshot({
    diskId,
    name: 'nightly',
    description: 'Snapshot A of the ecs-rollback demo',
    retentionDays: 7,
    tags: {},
    clientToken: `demo-snapshot-a-${process.pid}-${Date.now()}`,
  });
  await until(
    `snapshot ${id}`,
    async () => {
      const status = (await ecs.snapshots([id])).get(id)?.status;
      if (status === 'failed') throw new Error(`snapshot ${id} failed`);
      return status === 'accomplished';
    },
    120_000,
    signal,
  );
  return id;
}

interface StarterEnd {
  readonly exitCode: number;
  readonly stdout: string;
}

/** The starter as its own process, as a user would run it. */
function startStarter(
  args: readonly string[],
  env: NodeJS.ProcessEnv,
  log: Log,
  signal: AbortSignal,
): { readonly ended: Promise<StarterEnd> } {
  const [command, commandArgs] = guarded(process.execPath, [join(root, 'scripts/run.mjs'), 'src/starter.ts', ...args]);
  const child = spawn(command, commandArgs, { cwd: root, env, stdio: ['ignore', 'pipe', 'pipe'], detached: true });
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    for (const line of chunk.toString().split('\n').filter(Boolean)) log(`  ${line}`);
  });
  const stop = () => child.kill('SIGTERM');
  signal.addEventListener('abort', stop, { once: true });
  const ended = new Promise<StarterEnd>((resolve) => {
    child.once('error', (error) => resolve({ exitCode: 127, stdout: error.message }));
    child.once('close', (code) => resolve({ exitCode: code ?? 128, stdout }));
  });
  void ended.then(() => signal.removeEventListener('abort', stop));
  return { ended };
}

interface Following {
  readonly end: Promise<void>;
  /** Resolves with the first status for which `seen` holds; never when there is none. */
  until(seen: (status: RunStatus) => boolean): Promise<RunStatus>;
}

/** Shows each step when it ends, and lets the story wait for what a status shows. */
function followSteps(stack: Stack, workflowId: string, log: Log, ended: Promise<unknown>): Following {
  const over = new AbortController();
  void ended.finally(() => over.abort());
  let last: RunStatus | undefined;
  const shown = new Map<StepId, string>();
  const waiting = new Set<(status: RunStatus) => void>();
  const show = (steps: readonly Step[]): void => {
    for (const { id, number, title, state, startedAt, endedAt, detail } of steps) {
      if (state === 'pending' || state === 'running' || shown.get(id) === state) continue;
      shown.set(id, state);
      const mark = { done: '✔', skipped: '○', failed: '✖' }[state];
      const took = startedAt && endedAt ? ` (${seconds(Date.parse(endedAt) - Date.parse(startedAt))})` : '';
      log(`  ${mark} ${number ?? ' '} ${title}${took}${detail ? `: ${detail}` : ''}`);
    }
  };
  const watch = async (): Promise<void> => {
    const client = await RollbackClient.connect({ address: stack.temporalAddress, namespace: stack.namespace });
    try {
      while (!over.signal.aborted) {
        const view = await client.view(workflowId).catch(() => undefined);
        if (last === undefined && view?.status) {
          const page = stack.runUrl(workflowId, view.runId);
          log(`  to watch it in the Temporal UI: ${page}`);
          log(`  what it says of itself there:   ${page.replace(/timeline$/, 'user-metadata')}`);
        }
        last = view?.status ?? last;
        if (last) show(last.steps);
        for (const look of waiting) if (last) look(last);
        await delay(LOOK_MS);
      }
      const view = await client.view(workflowId).catch(() => undefined);
      show(view?.result?.steps ?? view?.status?.steps ?? []);
    } finally {
      await client.close();
    }
  };
  return {
    end: watch().catch((error: unknown) => log(`the live view ended: ${String(error)}`)),
    until: (seen) =>
      new Promise((resolve) => {
        const look = (status: RunStatus): void => {
          if (!seen(status)) return;
          waiting.delete(look);
          resolve(status);
        };
        waiting.add(look);
        if (last) look(last);
      }),
  };
}

const seconds = (ms: number): string => `${(ms / 1000).toFixed(1)} s`;

/**
 * Reads the disk after its reset, once the guest is up again. The attach of the recovery disk is held meanwhile: between
 * reset and copy is the only moment at which the whole disk is snapshot A. Undefined when the run ended before that.
 */
async function readBetween(
  following: Following,
  control: SimulatorControl,
  guest: Guest,
  ended: Promise<unknown>,
  log: Log,
): Promise<{ sums: Checksums; at: string } | undefined> {
  const orEnd = async <T>(waited: Promise<T>): Promise<T | undefined> =>
    Promise.race([waited, ended.then(() => undefined)]);
  const made = await orEnd(following.until(({ recoveryDiskId }) => recoveryDiskId !== undefined));
  const recoveryDiskId = made?.recoveryDiskId;
  if (recoveryDiskId === undefined) return undefined;
  await control.hold(recoveryDiskId);
  try {
    const up = ({ steps }: RunStatus): boolean =>
      steps.some(({ id, state }) => id === 'startInstance' && state === 'done');
    if ((await orEnd(following.until(up))) === undefined) return undefined;
    const sums = await guest.checksums();
    log(`    between reset and copy: checksum ${short(sums.whole)}, ${sums.files} files`);
    return { sums, at: new Date().toISOString() };
  } finally {
    await control.release(recoveryDiskId);
  }
}
