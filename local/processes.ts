/**
 * Child processes that never outlive us: they die with this process even when it is killed, stop in reverse order of
 * start, and write what they print to files.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { mkdir, readFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';

export interface ProcessSpec {
  /** Also the name of its log file. */
  readonly name: string;
  readonly command: string;
  readonly args: readonly string[];
  readonly env?: NodeJS.ProcessEnv;
  readonly cwd?: string;
  /** Called with each line of its stdout. */
  readonly onLine?: (line: string) => void;
  /** Called with each line of its stderr. */
  readonly onErrorLine?: (line: string) => void;
  /** From the polite SIGTERM to SIGKILL of its whole process group. */
  readonly graceMs?: number;
}

export interface RunningProcess {
  readonly name: string;
  readonly pid: number;
  readonly logFile: string;
  /** Resolves when it has ended, whatever the reason; never rejects. */
  readonly ended: Promise<{ readonly code: number | null; readonly signal: NodeJS.Signals | null }>;
  hasEnded(): boolean;
  /** Stops it and waits for its end. Safe to repeat. */
  stop(): Promise<void>;
}

/** A child ended, or did not become ready; the message ends with the last lines of its log. */
export class ProcessFailed extends Error {
  override readonly name = 'ProcessFailed';
}

/** util-linux 2.33 and newer: the kernel kills the child when its parent is gone. Elsewhere only orderly ends help. */
let dieWithUs: readonly string[] | undefined;
function parentDeathGuard(): readonly string[] {
  if (dieWithUs) return dieWithUs;
  dieWithUs = [];
  if (process.platform === 'linux') {
    try {
      execFileSync('setpriv', ['--pdeathsig', 'KILL', 'true'], { stdio: 'ignore' });
      dieWithUs = ['setpriv', '--pdeathsig', 'KILL', '--'];
    } catch {
      // Not there: the exit hook below has to do.
    }
  }
  return dieWithUs;
}

/** The command as it must be spawned so that it cannot outlive this process. */
export function guarded(command: string, args: readonly string[]): [command: string, args: string[]] {
  const [first = command, ...rest] = [...parentDeathGuard(), command, ...args];
  return [first, rest];
}

/** Owns a group of child processes and the folder of their logs. */
export class Processes {
  readonly logDir: string;
  readonly #children: Array<{ running: RunningProcess; child: ChildProcess }> = [];
  #stopping = false;
  readonly #killAll = (): void => {
    for (const { child, running } of this.#children) if (!running.hasEnded()) killGroup(child, 'SIGKILL');
  };

  constructor(logDir: string) {
    this.logDir = logDir;
    process.on('exit', this.#killAll);
  }

  async start(spec: ProcessSpec): Promise<RunningProcess> {
    await mkdir(this.logDir, { recursive: true });
    if (this.#stopping) throw new ProcessFailed(`${spec.name} is not started: everything is being stopped`);
    const logFile = join(this.logDir, `${spec.name}.log`);
    const log = createWriteStream(logFile, { flags: 'a' });
    const [command, args] = guarded(spec.command, spec.args);
    // Its own process group: Ctrl-C in the terminal reaches us alone, and we stop the children in order.
    const child = spawn(command, args, {
      cwd: spec.cwd,
      env: spec.env ?? process.env,
      stdio: ['ignore', 'pipe', 'pipe'],
      detached: true,
    });
    let ended = false;
    const end = new Promise<{ code: number | null; signal: NodeJS.Signals | null }>((resolve) => {
      child.once('error', (error) => {
        ended = true;
        log.write(`cannot be started: ${error.message}\n`);
        resolve({ code: null, signal: null });
      });
      child.once('exit', (code, signal) => {
        ended = true;
        resolve({ code, signal });
      });
    });
    for (const [stream, onLine] of [
      [child.stdout, spec.onLine],
      [child.stderr, spec.onErrorLine],
    ] as const) {
      createInterface({ input: stream }).on('line', (line) => {
        log.write(`${line}\n`);
        onLine?.(line);
      });
    }
    child.once('close', () => log.end());

    let stopping: Promise<void> | undefined;
    const stop = async (): Promise<void> => {
      if (!ended) {
        child.kill('SIGTERM');
        const grace = new AbortController();
        await Promise.race([end, delay(spec.graceMs ?? 10_000, undefined, { signal: grace.signal }).catch(() => {})]);
        grace.abort();
      }
      // Also what it started itself and left behind.
      killGroup(child, 'SIGKILL');
      await end;
    };
    const running: RunningProcess = {
      name: spec.name,
      pid: child.pid ?? -1,
      logFile,
      ended: end,
      hasEnded: () => ended,
      stop: () => (stopping ??= stop()),
    };
    this.#children.push({ running, child });
    return running;
  }

  /** Waits until `check` gives a value; fails as soon as the process ends, or after `timeoutMs`. */
  async ready<T>(
    running: RunningProcess,
    check: () => Promise<T | undefined> | T | undefined,
    timeoutMs: number,
  ): Promise<T> {
    const deadline = Date.now() + timeoutMs;
    for (;;) {
      const value = await check();
      if (value !== undefined) return value;
      if (running.hasEnded()) {
        const { code, signal } = await running.ended;
        throw new ProcessFailed(
          `${running.name} ended before it was ready (${signal ?? `exit code ${code}`})${await logTail(running.logFile)}`,
        );
      }
      if (Date.now() > deadline) {
        throw new ProcessFailed(
          `${running.name} was not ready after ${timeoutMs / 1000} s${await logTail(running.logFile)}`,
        );
      }
      await delay(50);
    }
  }

  /** Resolves when one of them ends that was not told to, with a line that says which. */
  async anyEnds(): Promise<string> {
    const { running, code, signal } = await Promise.race(
      this.#children.map(async ({ running }) => ({ running, ...(await running.ended) })),
    );
    return `${running.name} ended by itself (${signal ?? `exit code ${code}`})${await logTail(running.logFile)}`;
  }

  /** The end of every log, for a failure whose cause is not known. */
  async lastWords(): Promise<string[]> {
    return Promise.all(
      this.#children.map(async ({ running }) => `--- ${running.name}${await logTail(running.logFile)}`),
    );
  }

  /** Stops all, the youngest first, and starts no more. Safe to repeat. */
  async stopAll(): Promise<void> {
    this.#stopping = true;
    for (const { running } of this.#children.toReversed()) await running.stop();
    process.off('exit', this.#killAll);
  }
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group is gone already.
  }
}

/** The last lines of a log, to end an error message with. */
export async function logTail(logFile: string, lines = 12): Promise<string> {
  const text = await readFile(logFile, 'utf8').catch(() => '');
  const tail = text.trimEnd().split('\n').slice(-lines).join('\n');
  return tail ? `; its last lines:\n${tail}` : '; it printed nothing';
}

/** Below what Linux, macOS and Windows hand out by themselves: no socket of another process falls on one by chance. */
const CHOSEN_PORTS = { from: 20_000, below: 32_000 } as const;

/**
 * TCP ports on 127.0.0.1 that are free at this moment, all different, chosen at random: whoever else chooses so is
 * unlikely to choose the same before they are used.
 */
export async function freePorts(count: number): Promise<number[]> {
  const ports = new Set<number>();
  for (let tries = 0; ports.size < count; tries += 1) {
    if (tries === 1000) throw new Error(`no free TCP port on 127.0.0.1 among ${tries} that were tried`);
    const port = randomInt(CHOSEN_PORTS.from, CHOSEN_PORTS.below);
    if (await canListen(port)) ports.add(port);
  }
  return [...ports];
}

function canListen(port: number): Promise<boolean> {
  const server = createServer();
  return new Promise((resolve) => {
    server.once('error', () => resolve(false));
    server.listen(port, '127.0.0.1', () => server.close(() => resolve(true)));
  });
}
