/**
 * An environment of `@temporalio/testing` on a time-skipping server of its own. Time is global to such a server, and a
 * workflow that a test leaves open there can keep it from moving: so no two files share one.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Connection } from '@temporalio/client';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { freePorts, Processes } from '../../local/processes.ts';
import { findTestServer } from '../../local/temporal-cli.ts';
import { SEARCH_ATTRIBUTES } from '../../src/contract/messages.ts';
import { installRuntime } from './temporal-runtime.ts';

/** The SDK's own factory: it can join an existing time-skipping server, but no public function passes that on (1.24). */
interface EnvironmentFactory {
  create(options: {
    server: { type: 'existing' };
    address: string;
    namespace: string;
    supportsTimeSkipping: boolean;
  }): Promise<TestWorkflowEnvironment>;
}

/** INDEXED_VALUE_TYPE_KEYWORD; the server rejects the upsert of an attribute it does not know, for ever. */
const KEYWORD = 2;

/** Call in `beforeAll`, and the environment's `teardown` in `afterAll`: it ends the server, too. */
export async function timeSkippingEnvironment(): Promise<TestWorkflowEnvironment> {
  installRuntime();
  const folder = await mkdtemp(join(tmpdir(), 'ecs-rollback-time-skipping-'));
  // Not the SDK's own way to start one, whose server outlives a test process that is killed.
  const processes = new Processes(folder);
  const stop = async (): Promise<void> => {
    await processes.stopAll();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const address = await startServer(processes);
    const factory = TestWorkflowEnvironment as unknown as EnvironmentFactory;
    const env = await factory.create({
      server: { type: 'existing' },
      address,
      namespace: 'default',
      supportsTimeSkipping: true,
    });
    const disconnect = env.teardown.bind(env);
    env.teardown = async () => {
      await disconnect();
      await stop();
    };
    return env;
  } catch (error) {
    await stop();
    throw error;
  }
}

async function startServer(processes: Processes): Promise<string> {
  const path = await findTestServer((line) => console.error(line));
  const [port = 0] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  const server = await processes.start({ name: 'time-skipping-server', command: path, args: [String(port)] });
  const connect = () => Connection.connect({ address, connectTimeout: 1_000 }).catch(() => undefined);
  const connection = await processes.ready(server, connect, 60_000);
  await connection.operatorService.addSearchAttributes({
    namespace: 'default',
    searchAttributes: Object.fromEntries(Object.values(SEARCH_ATTRIBUTES).map((name) => [name, KEYWORD])),
  });
  await connection.close();
  return address;
}
