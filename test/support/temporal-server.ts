/** A Temporal dev server for tests that need what only a real one has; it ends with this process, however that ends. */
import { Connection } from '@temporalio/client';
import { freePorts, type Processes } from '../../local/processes.ts';
import { findTemporalCli } from '../../local/temporal-cli.ts';

/** Its address, once it answers. `settings`: further flags of `temporal server start-dev`. */
export async function startTemporalServer(processes: Processes, settings: readonly string[] = []): Promise<string> {
  const command = await findTemporalCli((line) => console.error(line));
  const [port = 0] = await freePorts(1);
  const address = `127.0.0.1:${port}`;
  const args = `server start-dev --headless --ip 127.0.0.1 --port ${port} --log-level error`.split(' ');
  const server = await processes.start({ name: 'temporal', command, args: [...args, ...settings] });
  const answers = async (): Promise<true | undefined> => {
    const connection = await Connection.connect({ address, connectTimeout: 1_000 }).catch(() => undefined);
    const found = await connection?.workflowService.describeNamespace({ namespace: 'default' }).catch(() => undefined);
    await connection?.close();
    return found === undefined ? undefined : true;
  };
  await processes.ready(server, answers, 60_000);
  return address;
}
