/**
 * Bundles the workflows as the worker will run them. The bundler is also the strictest check that workflow code imports
 * nothing it must not, so a warning counts as an error here.
 */
import { mkdir, writeFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';

/** Writes the bundle to `target` and returns its size in bytes. Throws with the bundler's own words. */
export async function writeWorkflowBundle(target: string): Promise<number> {
  const complaints: string[] = [];
  const logger = new DefaultLogger('WARN', ({ level, message }) => complaints.push(`${level}: ${message}`));
  const workflowsPath = fileURLToPath(new URL('../src/workflows/index.ts', import.meta.url));
  const { code } = await bundleWorkflowCode({ workflowsPath, logger }).catch((error: unknown) => {
    throw new Error([error instanceof Error ? error.message : String(error), ...complaints].join('\n'));
  });
  if (complaints.length > 0) throw new Error(complaints.join('\n'));
  await mkdir(dirname(target), { recursive: true });
  await writeFile(target, code);
  return Buffer.byteLength(code);
}
