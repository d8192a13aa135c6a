/**
 * The worker process: configuration → ECS client, poller, activities → Temporal worker. Prints `worker ready` on stdout
 * once it polls. Ends gracefully on SIGINT and SIGTERM; the runs go on in whichever worker comes next.
 */
import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { DefaultLogger, makeTelemetryFilterString, NativeConnection, Runtime, Worker } from '@temporalio/worker';
import { createActivities } from './activities/index.ts';
import { CloudConfigError, ecsOptionsFromEnv } from './cloud/config.ts';
import { createPoller } from './cloud/poller.ts';
import { DEFAULT_TASK_QUEUE } from './contract/ids.ts';
import { SEARCH_ATTRIBUTES } from './contract/messages.ts';
import { probeTcp, whyUnreachable } from './temporal-address.ts';
import { type TemporalSettings, temporalSettings } from './temporal-settings.ts';

const USAGE = `Usage: ecs-rollback-worker

Carries out the runs of one task queue until SIGINT or SIGTERM. Takes no arguments; its settings are in the environment:

  TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, TEMPORAL_PROFILE, …
                                 as for every Temporal tool, which reads temporal.toml, too
  ECS_ROLLBACK_TASK_QUEUE        default ${DEFAULT_TASK_QUEUE}
  ALIBABA_CLOUD_ACCESS_KEY_ID, ALIBABA_CLOUD_ACCESS_KEY_SECRET, …
                                 credentials by the vendor's default chain
  ECS_ROLLBACK_ENDPOINT          another ECS endpoint than the region's own
  ECS_ROLLBACK_POLL_INTERVAL_MS  how often the cloud is looked at, default 1000
  ECS_ROLLBACK_CALL_TIMEOUT_MS   bound of one ECS call, default 15000
  ECS_ROLLBACK_DEBUG             show where an error comes from

Exit codes: 0 stopped, 1 unexpected, 2 settings, 7 Temporal cannot be reached or used.
`;

/** A server accepts connections before its namespace is there; a compose stack takes about this long. */
const CONNECT_FOR_MS = 60_000;
const RETRY_MS = 2_000;

class StartFailure extends Error {
  readonly exitCode: number;
  constructor(exitCode: number, message: string) {
    super(message);
    this.exitCode = exitCode;
  }
}

const say = (line: string) => process.stderr.write(`${new Date().toISOString()} ${line}\n`);
const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const SIGNALS = ['SIGINT', 'SIGTERM'] as const;
/** The runtime tells its workers of a signal; until there is one it would be lost. */
function endAtOnce(signal: NodeJS.Signals): void {
  say(`${signal}: ended before it took any work`);
  process.exit(0);
}

async function untilConnected<T>(address: string, attempt: () => Promise<T>): Promise<T> {
  const deadline = Date.now() + CONNECT_FOR_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (Date.now() > deadline) {
        throw new StartFailure(
          7,
          `the Temporal server at ${address} cannot be used: ${reasonOf(error)}. Check TEMPORAL_ADDRESS and TEMPORAL_NAMESPACE, or start a server (temporal server start-dev)`,
        );
      }
      say(`waiting for the Temporal server at ${address}: ${reasonOf(error)}`);
      await pause(RETRY_MS);
    }
  }
}

function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // What the runtime says of a connection that failed below gRPC (1.24).
  if (error.message.includes('tonic::transport::Error(')) return whyUnreachable(error);
  const details = 'details' in error && typeof error.details === 'string' ? error.details : error.message;
  return details.split('\n')[0] ?? '';
}

/** INDEXED_VALUE_TYPE_KEYWORD of the server's API. */
const KEYWORD = 2;

/**
 * A workflow that sets an attribute the server does not know hangs without a word, so the worker makes them, or says how,
 * before it takes any work.
 */
async function ensureSearchAttributes(connection: NativeConnection, namespace: string): Promise<void> {
  const names = Object.values(SEARCH_ATTRIBUTES);
  const { customAttributes } = await connection.operatorService.listSearchAttributes({ namespace });
  const missing = names.filter((name) => !(name in (customAttributes ?? {})));
  if (missing.length === 0) return;
  try {
    await connection.operatorService.addSearchAttributes({
      namespace,
      searchAttributes: Object.fromEntries(missing.map((name) => [name, KEYWORD])),
    });
    say(`registered the search attributes ${missing.join(', ')}`);
  } catch (error) {
    throw new StartFailure(
      7,
      `namespace ${namespace} lacks the search attributes ${missing.join(', ')} and they cannot be added from here (${reasonOf(error)}). Run: temporal operator search-attribute create --namespace ${namespace} ${missing.map((name) => `--name ${name} --type Keyword`).join(' ')}`,
    );
  }
}

function readSettings(): TemporalSettings {
  try {
    return temporalSettings();
  } catch (error) {
    throw new StartFailure(2, reasonOf(error));
  }
}

/** The bundle that `npm run build` makes, or the sources when run from them. */
function workflowSource(): { workflowBundle: { codePath: string } } | { workflowsPath: string } {
  const bundle = fileURLToPath(new URL('../workflow-bundle.js', import.meta.url));
  return existsSync(bundle)
    ? { workflowBundle: { codePath: bundle } }
    : { workflowsPath: fileURLToPath(new URL('./workflows', import.meta.url)) };
}

async function main(args: readonly string[]): Promise<void> {
  if (args[0] === '--help' || args[0] === '-h') {
    process.stdout.write(USAGE);
    return;
  }
  if (args.length > 0) {
    throw new StartFailure(
      2,
      `unknown argument ${args[0]}: the worker takes none, its settings are in the environment (--help names them)`,
    );
  }
  const env = process.env;
  const configuration = ecsOptionsFromEnv(env);
  const taskQueue = env['ECS_ROLLBACK_TASK_QUEUE'] || DEFAULT_TASK_QUEUE;

  for (const signal of SIGNALS) process.once(signal, endAtOnce);
  Runtime.install({
    logger: new DefaultLogger('INFO', ({ level, message, meta }) => {
      const { error, ...rest } = meta ?? {};
      say(
        `${level} ${message} ${JSON.stringify({ ...rest, ...(error instanceof Error ? { error: error.message } : {}) })}`,
      );
    }),
    shutdownSignals: [...SIGNALS],
    telemetryOptions: { logging: { filter: makeTelemetryFilterString({ core: 'WARN' }), forward: {} } },
  });

  const { connectionOptions, namespace = 'default' } = readSettings();
  const address = connectionOptions.address ?? 'localhost:7233';
  const connection = await untilConnected(address, async () => {
    await probeTcp(address, RETRY_MS).catch((error: unknown) => {
      throw new Error(whyUnreachable(error), { cause: error });
    });
    return NativeConnection.connect(connectionOptions);
  });
  try {
    await untilConnected(address, () => connection.workflowService.describeNamespace({ namespace }));
    await ensureSearchAttributes(connection, namespace);

    // Loaded here: the ECS SDK takes a second, and what is wrong above should show at once.
    const { createEcs } = await import('./cloud/alicloud/client.ts');
    const ecs = createEcs(configuration.ecs);
    const worker = await Worker.create({
      connection,
      namespace,
      taskQueue,
      ...workflowSource(),
      activities: createActivities({
        ecs,
        poller: createPoller(ecs, { intervalMs: configuration.pollIntervalMs }),
        settleIntervalMs: configuration.pollIntervalMs * 2,
        // Each look is a script in the guest, beside the copy that it looks at.
        copyPollMs: Math.max(1_000, configuration.pollIntervalMs * 2),
        leasePollMs: Math.min(2_000, configuration.pollIntervalMs * 2),
        noStockRetryMs: configuration.pollIntervalMs * 60,
      }),
      // Waiting activities hold a slot and cost next to nothing: they share the poller.
      maxConcurrentActivityTaskExecutions: 1000,
      // A cancel reaches an activity with a heartbeat's reply.
      maxHeartbeatThrottleInterval: '3s',
      // How long a run waits for the worker that had it in its cache before any other takes over.
      stickyQueueScheduleToStartTimeout: '2s',
      shutdownGraceTime: '10s',
    });
    for (const signal of SIGNALS) process.off(signal, endAtOnce);
    const running = worker.run();
    process.stdout.write(`worker ready: task queue ${taskQueue}, namespace ${namespace}, server ${address}\n`);
    await running;
  } finally {
    await connection.close();
  }
}

main(process.argv.slice(2)).catch((error: unknown) => {
  // The runtime's own threads would keep a worker that could not start alive for ever.
  if (error instanceof CloudConfigError) {
    for (const problem of error.problems) say(problem);
    process.exit(2);
  }
  say(process.env['ECS_ROLLBACK_DEBUG'] && error instanceof Error ? String(error.stack) : reasonOf(error));
  process.exit(error instanceof StartFailure ? error.exitCode : 1);
});
