/**
 * One local stack for a file of end-to-end tests, with everything they do to it: the starter as a child process, the guest,
 * the simulator's control API, and the history of a run.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { Client, Connection } from '@temporalio/client';
import { guarded } from '../../local/processes.ts';
import { type Stack, type StackOptions, startStack } from '../../local/stack.ts';
import type { CallRecord, World } from '../../simulator/state/model.ts';
import type { RunView } from '../../src/client.ts';
import { createEcs } from '../../src/cloud/alicloud/client.ts';
import { ecsOptionsFromEnv } from '../../src/cloud/config.ts';
import type { EcsRegion } from '../../src/cloud/port.ts';
import { exportHistory, keepHistory } from '../replay/history-file.ts';
import { builtFolder } from '../support/built.ts';
import { Guest } from './guest.ts';

/** What a starter printed, and how it ended. */
export interface StarterEnd {
  readonly exitCode: number;
  readonly stdout: string;
  readonly stderr: string;
}

/** What `-o json` prints of a run. */
export type RunDocument = RunView & { readonly exitCode: number; readonly error?: { kind: string; message: string } };

export interface Stage {
  readonly stack: Stack;
  readonly ecs: EcsRegion;
  readonly guest: Guest;
  readonly temporal: Client;
  /** The flags that name region and data disk of the scene. */
  readonly target: readonly string[];
  readonly diskId: string;
  readonly instanceId: string;
  /** Starts the starter; `env` goes over the stack's. */
  starter(args: readonly string[], env?: Readonly<Record<string, string>>): Promise<StarterEnd>;
  control<T = unknown>(method: 'GET' | 'POST' | 'DELETE', path: string, body?: object): Promise<T>;
  state(): Promise<World>;
  /** Calls after the first `since` ones. */
  calls(since?: number): Promise<CallRecord[]>;
  /** A snapshot, finished unless asked otherwise, of the scene's data disk or another. */
  snapshot(name: string, diskId?: string, options?: { wait: boolean }): Promise<string>;
  history(workflowId: string, runId?: string): Promise<string>;
  /** Adds the run's history to the replayed ones when ECS_ROLLBACK_RECORD_HISTORIES is 1; else does nothing. */
  keep(name: string, run: { readonly workflowId: string; readonly runId: string }): Promise<void>;
  close(): Promise<void>;
}

export async function openStage(options: Omit<StackOptions, 'log'>): Promise<Stage> {
  const built = await builtFolder();
  const lines: string[] = [];
  const stack = await startStack({ built, ...options, log: (line) => lines.push(line) }).catch((error: unknown) => {
    throw new Error(`the stack did not start: ${String(error)}\n${lines.slice(-20).join('\n')}`);
  });
  const { regionId, scene, control: controlUrl } = stack.simulator;
  const ecs = createEcs(ecsOptionsFromEnv(stack.settings).ecs).region(regionId);
  const connection = await Connection.connect({ address: stack.temporalAddress });
  const temporal = new Client({ connection, namespace: stack.namespace });

  const control: Stage['control'] = async <T>(method: string, path: string, body?: object): Promise<T> => {
    const response = await fetch(`${controlUrl}/${path}`, {
      method,
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
    });
    if (!response.ok) throw new Error(`${method} ${path}: ${await response.text()}`);
    return (await response.json()) as T;
  };

  const history: Stage['history'] = async (workflowId, runId) =>
    exportHistory(await temporal.workflow.getHandle(workflowId, runId).fetchHistory());

  return {
    stack,
    ecs,
    guest: new Guest(ecs, scene.instanceId),
    temporal,
    target: ['--region', regionId, '--disk', scene.dataDiskId],
    diskId: scene.dataDiskId,
    instanceId: scene.instanceId,
    starter: (args, env = {}) => runStarter(built, args, { ...stack.env, ...env }),
    control,
    state: () => control<World>('GET', 'state'),
    calls: async (since = 0) => (await control<{ calls: CallRecord[] }>('GET', 'calls')).calls.slice(since),
    async snapshot(name, diskId = scene.dataDiskId, { wait } = { wait: true }) {
      const id = await ecs.createSnapshot({
        diskId,
        name,
        description: 'made by an end-to-end test',
        retentionDays: 1,
        tags: {},
        clientToken: `e2e-${name}-${process.pid}-${Date.now()}`,
      });
      if (!wait) return id;
      await eventually(`snapshot ${id}`, async () => {
        const status = (await ecs.snapshots([id])).get(id)?.status;
        if (status === 'failed') throw new Error(`snapshot ${id} failed`);
        return status === 'accomplished' ? true : undefined;
      });
      return id;
    },
    history,
    async keep(name, { workflowId, runId }) {
      if (process.env['ECS_ROLLBACK_RECORD_HISTORIES'] !== '1') return;
      await keepHistory(name, workflowId, await history(workflowId, runId));
    },
    async close() {
      await connection.close();
      await stack.stop();
    },
  };
}

function runStarter(built: string, args: readonly string[], env: NodeJS.ProcessEnv): Promise<StarterEnd> {
  const [command, commandArgs] = guarded(process.execPath, [join(built, 'src/starter.js'), ...args]);
  const child = spawn(command, commandArgs, { env, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  child.stderr.on('data', (chunk: Buffer) => {
    stderr += chunk.toString();
  });
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ exitCode: code ?? 128, stdout, stderr }));
  });
}

/** The first value that `look` gives; rejects after `seconds`. */
export async function eventually<T>(what: string, look: () => Promise<T | undefined>, seconds = 120): Promise<T> {
  const deadline = Date.now() + seconds * 1000;
  for (;;) {
    const value = await look();
    if (value !== undefined) return value;
    if (Date.now() > deadline) throw new Error(`${what}: not within ${seconds} s`);
    await delay(50);
  }
}
