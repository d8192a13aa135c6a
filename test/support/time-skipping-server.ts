/**
 * Set-up of the `workflow` project: one time-skipping server and one workflow bundle for all its files, which cost more
 * than the tests themselves. Files get both through `inject`; see `temporal-time-skipping.ts`.
 */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Connection } from '@temporalio/client';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import type { TestProject } from 'vitest/node';
import { freePorts, Processes } from '../../local/processes.ts';
import { findTestServer } from '../../local/temporal-cli.ts';
import { SEARCH_ATTRIBUTES } from '../../src/contract/messages.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** `host:port` of the time-skipping server. */
    temporalAddress: string;
    /** File to give a worker as `workflowBundle.codePath`. */
    workflowBundlePath: string;
  }
}

/** INDEXED_VALUE_TYPE_KEYWORD; the server rejects the upsert of an attribute it does not know, for ever. */
const KEYWORD = 2;

async function connect(address: string): Promise<Connection | undefined> {
  return Connection.connect({ address, connectTimeout: 500 }).catch(() => undefined);
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'ecs-rollback-test-'));
  const processes = new Processes(folder);
  const teardown = async () => {
    await processes.stopAll();
    await rm(folder, { recursive: true, force: true });
  };
  try {
    const bundlePath = join(folder, 'workflow-bundle.js');
    const bundled = bundleWorkflowCode({
      workflowsPath: fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url)),
      logger: new DefaultLogger('ERROR'),
    }).then(({ code }) => writeFile(bundlePath, code));
    const served = startServer(processes);
    const [, address] = await Promise.all([bundled, served]);
    project.provide('temporalAddress', address);
    project.provide('workflowBundlePath', bundlePath);
    return teardown;
  } catch (error) {
    await teardown();
    throw error;
  }
}

async function startServer(processes: Processes): Promise<string> {
  const path = await findTestServer((line) => console.error(line));
  const [port = 0] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  const server = await processes.start({ name: 'time-skipping-server', command: path, args: [String(port)] });
  const connection = await processes.ready(server, () => connect(address), 30_000);
  await connection.operatorService.addSearchAttributes({
    namespace: 'default',
    searchAttributes: Object.fromEntries(Object.values(SEARCH_ATTRIBUTES).map((name) => [name, KEYWORD])),
  });
  await connection.close();
  return address;
}
