/**
 * The local stack: Temporal dev server, ECS simulator and worker on free ports of 127.0.0.1. `npm run stack` keeps it up
 * in the foreground; the demo and the end-to-end tests use `startStack`. Nothing of it outlives its process.
 */
import { randomBytes } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { parseArgs } from 'node:util';
import { SEARCH_ATTRIBUTES } from '../src/contract/messages.ts';
import { interruption } from './interruption.ts';
import { freePorts, logTail, Processes, type ProcessSpec, type RunningProcess } from './processes.ts';
import type { SimulatorReady } from './simulator-control.ts';
import { ensureSystemPackages } from './system-packages.ts';
import { findTemporalCli, type Log, TemporalBinaryMissing } from './temporal-cli.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const NAMESPACE = 'default';
const PID_FILE = 'stack.pid';

/** Both shorten waiting, neither is right for a cluster: timers fire on time, and one shard takes a whole run at once. */
const DYNAMIC_CONFIG = ['history.timerProcessorMaxTimeShift="20ms"', 'history.transferProcessorMaxPollRPS=200'];
/** Percent that the server's heap may grow by between two collections of garbage: memory for a tenth of its time. */
const HEAP_GROWTH = '400';
const inFile = (file: string): string[] => [
  '--db-filename',
  file,
  ...['journal_mode=WAL', 'synchronous=NORMAL'].flatMap((pragma) => ['--sqlite-pragma', pragma]),
];

export type DataPlaneKind = 'vm' | 'loop' | 'none';
/** `lvm`: ext4 on a logical volume. */
export type FileSystem = 'ext4' | 'xfs' | 'lvm';

export interface StackOptions {
  readonly log: Log;
  /** Default `vm`. */
  readonly dataPlane?: DataPlaneKind;
  /** How many times faster than the real service the simulated waits pass. Default `DEFAULT_SPEED`. */
  readonly speed?: number;
  /** Of the scene's data disk. Default ext4. */
  readonly fs?: FileSystem;
  /** Debian packages that the guest gets on a disk of their own. */
  readonly packages?: readonly string[];
  /** Default true. */
  readonly worker?: boolean;
  /** More environment for the worker. */
  readonly workerEnv?: Readonly<Record<string, string>>;
  /** Ends the start early; what was started is stopped. */
  readonly signal?: AbortSignal;
  /** Server and simulator keep their state in files, so that they can be crashed and recovered; else in memory, and quicker. */
  readonly durable?: boolean;
  /** What `buildToRun` has made: worker and simulator run compiled, which starts them in a third of the time. */
  readonly built?: string;
}

/** What a crash can be made of, beside a worker. */
export type Part = 'temporal' | 'simulator';

export const DEFAULT_SPEED = 20;
/** A second of the real service is DEFAULT_SPEED times shorter here, so looking once a second would be all
 * waiting; but each look at a copy is a script that an emulated guest has to run beside the copy. */
const POLL_INTERVAL_MS = 250;

export interface Stack {
  /** Everything the stack writes; gone after `stop`. */
  readonly dir: string;
  readonly temporalAddress: string;
  readonly namespace: string;
  /** Base URL of the Temporal UI. */
  readonly uiUrl: string;
  readonly simulator: SimulatorReady;
  /** What a worker or starter needs to use this stack and nothing else; only these. */
  readonly settings: Readonly<Record<string, string>>;
  /** The environment for a child: ours, with every setting that could lead elsewhere replaced by `settings`. */
  readonly env: NodeJS.ProcessEnv;
  readonly processes: Processes;
  /** Undefined when started without one. */
  readonly worker: RunningProcess | undefined;
  /** Seconds from the start of the stack until each part was ready. */
  readonly readyAfter: Readonly<Record<string, number>>;
  /** One more worker, or one after the first was killed. Resolves when it polls. */
  startWorker(name?: string, env?: Readonly<Record<string, string>>): Promise<RunningProcess>;
  /** SIGKILL, of a durable stack only. Resolves when the process is gone; with the simulator, its guests are. */
  crash(part: Part): Promise<void>;
  /** After `crash`: the same process again, on the same port and with what it had on disk. Resolves when it answers. */
  recover(part: Part): Promise<void>;
  /** The page of one run in the Temporal UI. */
  runUrl(workflowId: string, runId: string): string;
  stop(): Promise<void>;
}

/** Starts everything side by side. On any failure what was started is stopped again. */
export async function startStack(options: StackOptions): Promise<Stack> {
  const { log } = options;
  const started = Date.now();
  const readyAfter: Record<string, number> = {};
  const ready = (what: string): void => {
    readyAfter[what] = (Date.now() - started) / 1000;
    log(`${what} is ready after ${readyAfter[what].toFixed(1)} s`);
  };
  await removeAbandoned();
  const dir = await mkdtemp(join(tmpdir(), 'ecs-rollback-'));
  await writeFile(join(dir, PID_FILE), String(process.pid));
  const processes = new Processes(join(dir, 'logs'));
  let stopping: Promise<void> | undefined;
  const stop = (): Promise<void> => {
    stopping ??= (async () => {
      await processes.stopAll();
      await rm(dir, { recursive: true, force: true, maxRetries: 3 });
    })();
    return stopping;
  };
  const interrupted = new Promise<never>((_, reject) => {
    const end = () => reject(new Error('interrupted'));
    if (options.signal?.aborted) end();
    options.signal?.addEventListener('abort', end, { once: true });
  });
  interrupted.catch(() => {});

  const startAll = async (): Promise<Stack> => {
    const cli = await findTemporalCli(log);
    const [simulatorPort = 0] = await freePorts(1);
    // Chosen here, so that the worker can start before the simulator's guest has booted.
    const settings: Record<string, string> = {
      TEMPORAL_NAMESPACE: NAMESPACE,
      TEMPORAL_CONFIG_FILE: join(dir, 'temporal.toml'),
      ECS_ROLLBACK_ENDPOINT: `http://127.0.0.1:${simulatorPort}`,
      ECS_ROLLBACK_POLL_INTERVAL_MS: String(POLL_INTERVAL_MS),
      ALIBABA_CLOUD_ACCESS_KEY_ID: `LTAI5t${randomBytes(8).toString('hex')}`,
      ALIBABA_CLOUD_ACCESS_KEY_SECRET: randomBytes(15).toString('hex'),
    };
    // Says nothing, on purpose: a profile of the user's own could bring another address, TLS or an API key.
    await writeFile(join(dir, 'temporal.toml'), '[profile.default]\n');

    const parts: Partial<Record<Part, StackPart>> = {};
    const startWorker: Stack['startWorker'] = async (name = 'worker', env = {}) => {
      let polling = false;
      const worker = await processes.start({
        name,
        ...program('src/worker', options.built),
        env: { ...childEnv(settings), ...options.workerEnv, ...env },
        onLine: (line) => {
          polling ||= line.includes('worker ready');
        },
        // Not the grace it gives its activities: whatever it did, it did to a cloud that ends as well.
        graceMs: 4_000,
      });
      await processes.ready(worker, () => polling || undefined, 90_000);
      return worker;
    };
    const startServerAndWorker = async () => {
      const server = await startTemporal(processes, cli, dir, options.durable === true);
      parts.temporal = server.part;
      ready('Temporal');
      settings['TEMPORAL_ADDRESS'] = server.address;
      if (options.worker === false) return { ...server, worker: undefined };
      const worker = await startWorker();
      ready('the worker');
      return { ...server, worker };
    };
    const startScene = async () => {
      const { part, scene } = await startSimulator(processes, dir, simulatorPort, settings, options);
      parts.simulator = part;
      ready('the simulator');
      return scene;
    };
    const partOf = (name: Part): StackPart => {
      const part = parts[name];
      if (part === undefined) throw new Error(`${name} has not been started`);
      return part;
    };
    const [server, simulator] = await Promise.all([startServerAndWorker(), startScene()]);
    settings['ALIBABA_CLOUD_REGION_ID'] = simulator.regionId;
    return {
      dir,
      temporalAddress: server.address,
      namespace: NAMESPACE,
      uiUrl: server.uiUrl,
      simulator,
      settings,
      env: childEnv(settings),
      processes,
      worker: server.worker,
      readyAfter,
      startWorker,
      crash: async (name) => {
        if (options.durable !== true) throw new Error('start the stack with durable: true');
        const { running } = partOf(name);
        process.kill(running.pid, 'SIGKILL');
        await running.ended;
      },
      recover: async (name) => {
        const part = partOf(name);
        part.running = await part.start();
        await part.ready(part.running);
      },
      runUrl: (workflowId, runId) =>
        `${server.uiUrl}/namespaces/${NAMESPACE}/workflows/${encodeURIComponent(workflowId)}/${runId}/timeline`,
      stop,
    };
  };

  try {
    return await Promise.race([startAll(), interrupted]);
  } catch (error) {
    await stop();
    throw error;
  }
}

/** Folders of stacks whose process was killed: their processes died with it, their disk images did not. */
async function removeAbandoned(): Promise<void> {
  for (const name of await readdir(tmpdir())) {
    if (!name.startsWith('ecs-rollback-')) continue;
    const dir = join(tmpdir(), name);
    const pid = Number(await readFile(join(dir, PID_FILE), 'utf8').catch(() => ''));
    if (pid > 0 && !isAlive(pid)) await rm(dir, { recursive: true, force: true }).catch(() => {});
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    // Another user's process is alive, too.
    return (error as NodeJS.ErrnoException).code !== 'ESRCH';
  }
}

/** Our environment without what could lead a child to another server, account or proxy. */
function childEnv(settings: Readonly<Record<string, string>>): NodeJS.ProcessEnv {
  const kept = Object.entries(process.env).filter(([name]) => !/^(TEMPORAL|ALIBABA_CLOUD|ECS_ROLLBACK)_/.test(name));
  const local = '127.0.0.1,localhost';
  const noProxy = [process.env['no_proxy'] ?? process.env['NO_PROXY'], local].filter(Boolean).join(',');
  return { ...Object.fromEntries(kept), no_proxy: noProxy, NO_PROXY: noProxy, ...settings };
}

/** A process of the stack, and how to have it again. */
interface StackPart {
  running: RunningProcess;
  readonly start: () => Promise<RunningProcess>;
  readonly ready: (running: RunningProcess) => Promise<unknown>;
}

/** Command line of one of our programs, given without suffix: from the sources, or from what was built of them. */
function program(file: string, built: string | undefined): { command: string; args: string[]; cwd: string } {
  const command = process.execPath;
  return built === undefined
    ? { command, args: [join(root, 'scripts/run.mjs'), `${file}.ts`], cwd: root }
    : { command, args: ['--enable-source-maps', join(built, `${file}.js`)], cwd: built };
}

async function knowsSearchAttributes(server: string): Promise<true | undefined> {
  const signal = AbortSignal.timeout(2_000);
  const response = await fetch(`${server}/api/v1/namespaces/${NAMESPACE}/search-attributes`, { signal });
  if (!response.ok) return undefined;
  const { customAttributes = {} } = (await response.json()) as { customAttributes?: Record<string, string> };
  return Object.values(SEARCH_ATTRIBUTES).every((name) => name in customAttributes) || undefined;
}

async function startTemporal(
  processes: Processes,
  cli: string,
  dir: string,
  durable: boolean,
): Promise<{ address: string; uiUrl: string; part: StackPart }> {
  // Between our look for free ports and the server's listening, another process may take one.
  for (let attempt = 1; ; attempt += 1) {
    const [port = 0, uiPort = 0, httpPort = 0] = await freePorts(3);
    const address = `127.0.0.1:${port}`;
    const spec: ProcessSpec = {
      name: 'temporal',
      command: cli,
      args: [
        ...`server start-dev --ip 127.0.0.1 --port ${port} --ui-port ${uiPort} --http-port ${httpPort}`.split(' '),
        ...'--ui-disable-news-fetch --log-level warn'.split(' '),
        ...(durable ? inFile(join(dir, 'temporal.db')) : []),
        ...DYNAMIC_CONFIG.flatMap((value) => ['--dynamic-config-value', value]),
        ...Object.values(SEARCH_ATTRIBUTES).flatMap((name) => ['--search-attribute', `${name}=Keyword`]),
      ],
      env: { GOGC: HEAP_GROWTH, ...childEnv({ TEMPORAL_CONFIG_FILE: join(dir, 'none.toml') }) },
      graceMs: 5_000,
    };
    // It answers before its namespace and search attributes exist, so these are what is asked for. By HTTP: that needs no
    // process, as the CLI would, nor the client's library.
    const answers = () => knowsSearchAttributes(`http://127.0.0.1:${httpPort}`).catch(() => undefined);
    const start = () => processes.start(spec);
    const ready = (running: RunningProcess) => processes.ready(running, answers, 60_000);
    const server = await start();
    try {
      await ready(server);
      return { address, uiUrl: `http://127.0.0.1:${uiPort}`, part: { running: server, start, ready } };
    } catch (error) {
      await server.stop();
      if (attempt === 3 || !/address already in use/.test(await logTail(server.logFile))) throw error;
    }
  }
}

async function startSimulator(
  processes: Processes,
  dir: string,
  port: number,
  settings: Readonly<Record<string, string>>,
  options: StackOptions,
): Promise<{ scene: SimulatorReady; part: StackPart }> {
  const { dataPlane = 'vm', fs = 'ext4', speed = DEFAULT_SPEED, packages = [] } = options;
  if (dataPlane !== 'none') await ensureSystemPackages(dataPlane, options.log);
  let firstLine: string | undefined;
  const { command, args, cwd } = program('simulator/main', options.built);
  const spec: ProcessSpec = {
    name: 'simulator',
    command,
    args: [
      ...args,
      ...`--port ${port} --data-plane ${dataPlane} --fs ${fs} --speed ${speed}`.split(' '),
      ...(options.durable === true ? ['--state', join(dir, 'simulator')] : []),
      ...(packages.length === 0 ? [] : ['--packages', packages.join(',')]),
    ],
    cwd,
    env: childEnv({
      TMPDIR: dir,
      SIMULATOR_ACCESS_KEY_ID: settings['ALIBABA_CLOUD_ACCESS_KEY_ID'] ?? '',
      SIMULATOR_ACCESS_KEY_SECRET: settings['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] ?? '',
    }),
    onLine: (line) => {
      firstLine ??= line;
    },
    onErrorLine: options.log,
    // The guests shut down first.
    graceMs: 20_000,
  };
  const start = () => {
    firstLine = undefined;
    return processes.start(spec);
  };
  // From nothing it installs packages and builds the guest image, too.
  const ready = (running: RunningProcess) => processes.ready(running, () => firstLine, 300_000);
  const running = await start();
  return { scene: JSON.parse(await ready(running)) as SimulatorReady, part: { running, start, ready } };
}

/** `npm run stack`: up until Ctrl-C. */
async function main(): Promise<number> {
  const log: Log = (line) => console.error(line);
  let options;
  try {
    options = readStackFlags(process.argv.slice(2));
  } catch (error) {
    log(`${error instanceof Error ? error.message.split('\n')[0] : String(error)} (--help lists all options)`);
    return 2;
  }
  if (options === undefined) {
    console.log(usage);
    return 0;
  }
  const signal = interruption(log);
  let stack: Stack;
  try {
    stack = await startStack({ ...options, log, signal });
  } catch (error) {
    if (signal.aborted) return 130;
    log(error instanceof Error ? error.message : String(error));
    return error instanceof TemporalBinaryMissing ? error.exitCode : 1;
  }
  console.log(describeStack(stack));
  await untilStopped(stack, signal, log);
  return 0;
}

const usage = `Usage: npm run stack -- [options]

Temporal dev server, ECS simulator and worker on free ports of 127.0.0.1, until Ctrl-C.

  --data-plane KIND   vm (default), loop or none
  --speed X           how many times faster simulated waits pass (default ${DEFAULT_SPEED})
  --fs TYPE           file system of the data disk: ext4 (default), xfs, or lvm (ext4 on LVM)
  --help`;

/** Undefined when help is asked for. Throws on a flag or value that is not known. */
function readStackFlags(args: string[]): Pick<StackOptions, 'dataPlane' | 'speed' | 'fs'> | undefined {
  const { values } = parseArgs({
    args,
    options: {
      'data-plane': { type: 'string', default: 'vm' },
      speed: { type: 'string', default: String(DEFAULT_SPEED) },
      fs: { type: 'string', default: 'ext4' },
      help: { type: 'boolean', short: 'h', default: false },
    },
  });
  if (values.help) return undefined;
  return {
    dataPlane: oneOf('--data-plane', values['data-plane'], ['vm', 'loop', 'none']),
    fs: oneOf('--fs', values.fs, ['ext4', 'xfs', 'lvm']),
    speed: speedOf(values.speed),
  };
}

/** Throws one line that names the flag and the choices. */
export function oneOf<T extends string>(flag: string, value: string, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found === undefined) throw new Error(`${flag} ${value}: choose ${choices.join(' or ')}`);
  return found;
}

/** Throws one line that names the flag. */
export function speedOf(value: string): number {
  const speed = Number(value);
  if (!(speed > 0 && speed <= 1000)) throw new Error(`--speed ${value}: give a number above 0, at most 1000`);
  return speed;
}

/** For a person: where to look, and what to export in another terminal. */
export function describeStack({ uiUrl, simulator, settings }: Stack): string {
  const { instanceId, dataDiskId, mountPoint } = simulator.scene;
  return [
    `Temporal UI  ${uiUrl}`,
    `simulator    http://${simulator.endpoint}  (what it holds: ${simulator.control}/state)`,
    `instance     ${instanceId}, data disk ${dataDiskId} mounted at ${mountPoint}`,
    '',
    'In another terminal, to use the starter or any ECS SDK against it:',
    ...Object.entries(settings).map(([name, value]) => `  export ${name}=${value}`),
    '  npm run starter -- --help',
  ].join('\n');
}

/** Waits for Ctrl-C, or for a part of the stack to end by itself; stops everything. */
export async function untilStopped(stack: Stack, signal: AbortSignal, log: Log): Promise<void> {
  log('up until Ctrl-C');
  const interrupted = new Promise<undefined>((resolve) => {
    if (signal.aborted) resolve(undefined);
    signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
  // Keeps the process alive, which a pending promise does not.
  const alive = setInterval(() => {}, 60_000);
  const ended = await Promise.race([interrupted, stack.processes.anyEnds()]);
  clearInterval(alive);
  if (ended !== undefined) log(ended);
  await stack.stop();
}

if (process.argv[1] !== undefined && import.meta.url === pathToFileURL(process.argv[1]).href) {
  process.exitCode = await main();
}
