/** Set-up of the `workflow` project: one workflow bundle for all its files, that of `npm test` if it has made one. They get it through `inject`. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    /** File to give a worker as `workflowBundle.codePath`. */
    workflowBundlePath: string;
  }
}

export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const built = process.env['ECS_ROLLBACK_BUILT'];
  if (built !== undefined) {
    project.provide('workflowBundlePath', join(built, 'workflow-bundle.js'));
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), 'ecs-rollback-test-'));
  const teardown = () => rm(folder, { recursive: true, force: true });
  try {
    const bundlePath = join(folder, 'workflow-bundle.js');
    const { code } = await bundleWorkflowCode({
      workflowsPath: fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url)),
      logger: new DefaultLogger('ERROR'),
    });
    await writeFile(bundlePath, code);
    project.provide('workflowBundlePath', bundlePath);
    return teardown;
  } catch (error) {
    await teardown();
    throw error;
  }
}
