/**
 * Adds the history of an ended run to those that every `npm test` replays:
 * `node scripts/run.mjs scripts/record-history.ts NAME WORKFLOW_ID [RUN_ID]`. The server is found as by Temporal's own tools
 * (TEMPORAL_ADDRESS, TEMPORAL_NAMESPACE, profile). A history that is kept already is never overwritten.
 */
import { fileURLToPath } from 'node:url';
import { Client, Connection } from '@temporalio/client';
import { loadClientConnectConfig } from '@temporalio/envconfig';
import { exportHistory, keepHistory } from '../test/replay/history-file.ts';

async function main([name, workflowId, runId]: readonly string[]): Promise<number> {
  if (name === undefined || workflowId === undefined) {
    console.error('usage: record-history.ts NAME WORKFLOW_ID [RUN_ID]');
    return 2;
  }
  const { connectionOptions, namespace = 'default' } = loadClientConnectConfig();
  const connection = await Connection.connect(connectionOptions);
  try {
    const handle = new Client({ connection, namespace }).workflow.getHandle(workflowId, runId);
    const { status } = await handle.describe();
    if (status.name === 'RUNNING') throw new Error(`${workflowId} has not ended yet: record it when it has`);
    const file = await keepHistory(name, workflowId, exportHistory(await handle.fetchHistory()));
    console.log(`kept as ${fileURLToPath(file)}`);
    return 0;
  } finally {
    await connection.close();
  }
}

try {
  process.exitCode = await main(process.argv.slice(2));
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  process.exitCode = 1;
}
