/** The guest of the demo, reached through Cloud Assistant as anyone would, and snapshots of its disk. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import type { EcsRegion } from '../src/cloud/port.ts';
import type { Checksums } from './proof.ts';

/** How often waits of the story look; the simulator's time is compressed. */
export const LOOK_MS = 150;

/** Runs the scripts of `shop/` and `database/` in the instance, through Cloud Assistant as anyone would. */
export class Guest {
  readonly #ecs: EcsRegion;
  readonly #instanceId: string;
  readonly #signal: AbortSignal;

  constructor(ecs: EcsRegion, instanceId: string, signal: AbortSignal) {
    this.#ecs = ecs;
    this.#instanceId = instanceId;
    this.#signal = signal;
  }

  /** Waits for the agent, runs one script, and returns what it printed. `shop/open` is a file here, without `.sh`. */
  async run(script: `${'shop' | 'database'}/${string}`): Promise<string> {
    const ecs = this.#ecs;
    await until(
      'the Cloud Assistant agent',
      async () => (await ecs.agents([this.#instanceId])).get(this.#instanceId)?.online,
      120_000,
      this.#signal,
    );
    const invocationId = await ecs.runScript({
      instanceId: this.#instanceId,
      name: `demo-${script.replace('/', '-')}`,
      script: await textOf(script),
      timeoutSeconds: 300,
      clientToken: `demo-${script.replace('/', '-')}-${process.hrtime.bigint()}`,
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

  async checksums(of: 'shop' | 'database' = 'shop'): Promise<Checksums> {
    return JSON.parse(await this.run(`${of}/checksums`)) as Checksums;
  }
}

async function textOf(script: string): Promise<string> {
  const read = (name: string) => readFile(new URL(`./${name}.sh`, import.meta.url), 'utf8');
  return script.startsWith('database/') ? `${await read('database/common')}${await read(script)}` : read(script);
}

/** Looks until there is something. Rejects after `timeoutMs`, naming what was waited for, and when the signal aborts. */
export async function until<T>(
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

/** A finished snapshot of the disk, as a nightly policy makes it. */
export async function takeSnapshot(ecs: EcsRegion, diskId: string, signal: AbortSignal): Promise<string> {
  const id = await ecs.createSnapshot({
    diskId,
    name: 'nightly',
    description: 'Snapshot A of the ecs-rollback demo',
    retentionDays: 7,
    tags: {},
    clientToken: `demo-snapshot-a-${process.pid}-${Date.now()}`,
  });
  await snapshotFinished(ecs, id, signal);
  return id;
}

/** Rejects when it fails. */
export async function snapshotFinished(ecs: EcsRegion, id: string, signal: AbortSignal): Promise<void> {
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
}
