/** The real starter as a process of its own, and the run it starts as it goes on. */
import { spawn } from 'node:child_process';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { RollbackClient } from '../src/client.ts';
import type { RunStatus, Step, StepId } from '../src/contract/rollback.ts';
import { LOOK_MS } from './guest.ts';
import { guarded } from './processes.ts';
import type { Stack } from './stack.ts';
import type { Log } from './temporal-cli.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

export interface StarterEnd {
  readonly exitCode: number;
  readonly stdout: string;
}

/** The starter as its own process, as a user would run it. */
export function startStarter(
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

export interface Following {
  readonly end: Promise<void>;
  /** Resolves with the first status for which `seen` holds; never when there is none. */
  until(seen: (status: RunStatus) => boolean): Promise<RunStatus>;
}

/** Shows each step of the run that starts now when it ends, and lets the story wait for what its status shows. */
export function followSteps(stack: Stack, workflowId: string, log: Log, ended: Promise<unknown>): Following {
  const since = Date.now();
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
    const look = async () => {
      const view = await client.view(workflowId).catch(() => undefined);
      // The run before it had the same id.
      return view === undefined || Date.parse(view.startedAt) < since ? undefined : view;
    };
    try {
      while (!over.signal.aborted) {
        const view = await look();
        if (last === undefined && view?.status) {
          const page = stack.runUrl(workflowId, view.runId);
          log(`  to watch it in the Temporal UI: ${page}`);
          log(`  what it says of itself there:   ${page.replace(/timeline$/, 'user-metadata')}`);
        }
        last = view?.status ?? last;
        if (last) show(last.steps);
        for (const told of waiting) if (last) told(last);
        await delay(LOOK_MS);
      }
      const view = await look();
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
