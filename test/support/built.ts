/**
 * What is compiled or bundled for tests: as `npm run build` does it, so that what is tested is what is shipped, and a worker
 * polls two seconds after its start instead of eight. `npm test` has made it all, in the folder that ECS_ROLLBACK_BUILT
 * names; without that, the first test that asks makes it for all.
 */
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { inject } from 'vitest';

/** The folder of the compiled product and simulator, with the workflow bundle. */
export const builtFolder = async (): Promise<string> =>
  process.env['ECS_ROLLBACK_BUILT'] ?? join(await once('built', build), 'dist');

/** The workflow bundle of a built folder, for `Worker.create` and replays. */
export const bundleIn = (folder: string) => ({ workflowBundle: { codePath: join(folder, 'workflow-bundle.js') } });

/** The same for tests that need nothing else of what is built. */
export const workflowBundle = async () => bundleIn(process.env['ECS_ROLLBACK_BUILT'] ?? (await once('bundle', bundle)));

// The compiler and the bundlers are loaded where they are used.
const build = async (folder: string) => (await import('../../scripts/build.ts')).buildToRun(folder);
const bundle = async (folder: string) =>
  (await import('../../scripts/workflow-bundle.ts')).writeWorkflowBundle(bundleIn(folder).workflowBundle.codePath);

/** Fills a folder of the scratch folder, whichever process asks first; the others wait for the end, good or bad. */
async function once(name: string, fill: (folder: string) => Promise<unknown>): Promise<string> {
  const folder = join(inject('scratchFolder'), name);
  const end = `${folder}.end`;
  const isFirst = await mkdir(folder).then(
    () => true,
    () => false,
  );
  if (isFirst) {
    const trouble = await fill(folder).then(
      () => '',
      (error: unknown) => `${name}: ${String(error)}`,
    );
    await writeFile(`${end}.new`, trouble);
    await rename(`${end}.new`, end);
  }
  for (;;) {
    const trouble = await readFile(end, 'utf8').catch(() => undefined);
    if (trouble === '') return folder;
    if (trouble !== undefined) throw new Error(trouble);
    await sleep(100);
  }
}
