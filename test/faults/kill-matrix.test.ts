/**
 * The whole rollback and sync with real bytes, once left in peace, then with its worker killed by SIGKILL at one event of
 * its history after the other; likewise Temporal's server and the simulator, each at some events. Always the same end.
 *
 * CI kills the worker at every 75th event and the others once; `npm run test:kill-matrix` at every event, and ten times.
 */
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { rollbackWorkflowId } from '../../src/contract/ids.ts';
import { violations } from '../support/invariants.ts';
import { whyNoLoopDevices } from '../support/loop-devices.ts';
import { type Answer, openDesk } from './desk.ts';
import { beginning, gatherAll, inParallel } from './evidence.ts';
import { endState, type Kill, ownWorker, type Played, play, type Prepared, prepare, wrongBytes } from './real-run.ts';
import { type FaultStage, openFaultStage } from './stage.ts';

const EVERY = Number(process.env['ECS_ROLLBACK_KILL_EVERY'] ?? 75);
const OTHER_KILLS = Number(process.env['ECS_ROLLBACK_OTHER_KILLS'] ?? 1);
/** Instances of one simulator, and how many of their runs go on beside each other. */
const BATCH = 24;
const WIDTH = 8;
const SPEED = 100;
const marker = `content-${randomBytes(9).toString('hex')}`;

const why = whyNoLoopDevices();

it.skipIf(why !== undefined)(
  `the end is the same wherever the worker, the server or the simulator is killed${why === undefined ? '' : ` (${why})`}`,
  async () => {
    const problems: string[] = [];
    const reached: string[] = [];
    // In peace: how many events there are, and the end that all others must come to.
    const [peace] = await batch([undefined], problems);
    if (peace === undefined) throw new Error('nothing was played');
    const { events } = peace.played;
    const kills: Kill[] = [];
    for (let at = 1; at < events; at += EVERY) kills.push({ part: 'worker', at });
    for (const part of ['temporal', 'simulator'] as const) {
      for (let nth = 0; nth < OTHER_KILLS; nth += 1) {
        kills.push({ part, at: Math.round(((nth + 0.5) * events) / OTHER_KILLS) });
      }
    }
    for (const together of batchesOf(kills)) {
      for (const { kill, played, state } of await batch(together, problems)) {
        if (played.killedAfter !== undefined) reached.push(`${kill?.part} ${played.killedAfter}`);
        if (JSON.stringify(state) !== JSON.stringify(peace.state)) {
          problems.push(`${nameOf(kill)}: ${JSON.stringify(state)} instead of ${JSON.stringify(peace.state)}`);
        }
      }
    }
    console.log(`${events} events; ${kills.length} kills, ${reached.length} of them before the end of their run`);
    expect(problems).toEqual([]);
    // Runs differ by a few workflow tasks, so only the last points may miss.
    expect(reached.length).toBeGreaterThan(kills.length * 0.9);
  },
  (200 / EVERY + 2 * OTHER_KILLS) * 60_000,
);

/** A kill of the simulator boots all of its guests again: where there are many, they have a stack without the others. */
function batchesOf(kills: readonly Kill[]): Kill[][] {
  const alone = (kill: Kill): boolean => OTHER_KILLS > 1 && kill.part === 'simulator';
  return [kills.filter((kill) => !alone(kill)), kills.filter(alone)].flatMap((group) =>
    Array.from({ length: Math.ceil(group.length / BATCH) }, (_, nth) => group.slice(nth * BATCH, (nth + 1) * BATCH)),
  );
}

const nameOf = (kill: Kill | undefined): string =>
  kill === undefined ? 'in peace' : `${kill.part} killed after event ${kill.at}`;

interface Judged {
  readonly kill: Kill | undefined;
  readonly played: Played;
  readonly state: ReturnType<typeof endState>;
}

/** Plays runs on one stack: those that lose their own worker first, then those that all lose the server, or the simulator. */
async function batch(kills: ReadonlyArray<Kill | undefined>, problems: string[]): Promise<Judged[]> {
  const stage = await openFaultStage({ dataPlane: 'loop', speed: SPEED, durable: true });
  const tell = (kill: Kill | undefined, line: string): number => problems.push(`${nameOf(kill)}: ${line}`);
  try {
    const runs = await inParallel(4, kills, async (kill, index) => ({
      kill,
      taskQueue: `kill-${index}`,
      prepared: await prepare(stage, `kill-${index}`, marker),
    }));
    const began = await beginning(stage);
    const played = new Map<(typeof runs)[number], Played>();
    await inParallel(WIDTH, runs, async (run) => {
      if (run.kill !== undefined && run.kill.part !== 'worker') return;
      const worker = await ownWorker(stage, run.taskQueue);
      try {
        const client = await stage.client(run.taskQueue);
        played.set(run, await play(stage, run.prepared, client, run.kill?.at ?? Infinity, () => worker.crash()));
      } catch (error) {
        tell(run.kill, String(error));
      } finally {
        await worker.stop();
      }
    });
    for (const part of ['temporal', 'simulator'] as const) {
      const losing = runs.filter(({ kill }) => kill?.part === part);
      if (losing.length === 0) continue;
      const worker = await ownWorker(stage, `kill-${part}`);
      const client = await stage.client(`kill-${part}`);
      // With the simulator its machines die. A run that loses its mounts so asks, and somebody sees to it.
      const desk = openDesk(stage, client);
      const crash = oneAtATime(() => stage.stack.crash(part).then(() => stage.stack.recover(part)));
      await inParallel(WIDTH, losing, async (run) => {
        desk.sit(rollbackWorkflowId(run.prepared.tenant.dataDiskId), mend(run.prepared));
        try {
          played.set(run, await play(stage, run.prepared, client, run.kill?.at ?? Infinity, crash));
        } catch (error) {
          tell(run.kill, String(error));
        }
      });
      await desk.close();
      await worker.stop();
    }

    const over = [...played].map(([run, { handle, said }]) => ({
      tenant: run.prepared.tenant,
      workflowId: handle.workflowId,
      runId: handle.runId,
      snapshotId: run.prepared.tenant.snapshotA,
      said,
      resets: 1 as const,
      power: 'Running' as const,
    }));
    const { gathered, strays } = await gatherAll(stage, began, over);
    for (const stray of strays) tell(undefined, stray);
    const world = await stage.state();
    const logs = await workerLogs(stage);
    return await inParallel(2, [...played], async ([{ kill, prepared }, one], index) => {
      const { ending, summary, leftovers } = one.said;
      if (ending !== 'completed' || leftovers.length > 0) tell(kill, `${ending}: ${summary} ${leftovers.join()}`);
      try {
        for (const line of wrongBytes(prepared, await prepared.guest.manifest())) tell(kill, line);
      } catch (error) {
        tell(kill, `what is live cannot be read: ${String(error).slice(0, 300)}`);
      }
      const evidence = gathered[index]?.evidence;
      if (evidence === undefined) throw new Error('a run without evidence');
      const inGuest = await prepared.guest.leftovers();
      const texts = { ...evidence.texts, ...logs };
      for (const line of violations({ ...evidence, inGuest, texts, secrets: [...evidence.secrets, marker] })) {
        tell(kill, line);
      }
      return { kill, played: one, state: endState(world, prepared.tenant) };
    });
  } finally {
    await stage.close();
  }
}

/** What a person does when the guest has rebooted with the recovery disk attached, and mounts that in the original's place. */
function mend({ guest, tenant }: Prepared): Answer {
  let asked = 0;
  return async ({ problem }) => {
    asked += 1;
    if (asked > 8) return 'abort';
    const original = `/dev/disk/by-id/virtio-${tenant.dataDiskId.replace('d-', '')}-part1`;
    // Seen before the copy, or when the recovery disk is to be unmounted.
    if (/in place of the original|mounted at \/data, and not by this run/.test(problem)) {
      // Whether it helped, the next question shows.
      await guest.run(`#!/bin/bash\nset -eu\numount /data\nmount ${original} /data\n`).catch(() => undefined);
    }
    return 'retry';
  };
}

async function workerLogs({ stack }: FaultStage): Promise<Record<string, string>> {
  const { logDir } = stack.processes;
  const names = (await readdir(logDir)).filter((name) => name.startsWith('kill-'));
  const texts = await Promise.all(
    names.map(async (name) => [name, await readFile(join(logDir, name), 'utf8')] as const),
  );
  return Object.fromEntries(texts.filter(([, text]) => text !== ''));
}

/** The same, but a call that comes while one goes on waits for its end first. */
function oneAtATime(work: () => Promise<void>): () => Promise<void> {
  let last: Promise<void> = Promise.resolve();
  return () => (last = last.then(work));
}
