/** Set-up of the `workflow` project: one workflow bundle for all its files, that of `npm test` if it has made one. They get it through `inject`. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { bundleWorkflowCode, DefaultLogger } from '@temporalio/worker';
import type { TestProject } from 'vitest/node';
import { writeWorkflowBundle } from '../../scripts/workflow-bundle.ts';

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
    await writeWorkflowBundle(bundlePath);
    project.provide('workflowBundlePath', bundlePath);
    return teardown;
  } catch (error) {
    await teardown();
    throw error;
  }
}

/** For a test of another project: the bundle that `npm test` has made, or else one made for it. */
export async function aWorkflowBundle(): Promise<{ codePath: string } | { code: string }> {
  const built = process.env['ECS_ROLLBACK_BUILT'];
  if (built !== undefined) return { codePath: join(built, 'workflow-bundle.js') };
  const workflowsPath = fileURLToPath(new URL('../../src/workflows/index.ts', import.meta.url));
  return bundleWorkflowCode({ workflowsPath, logger: new DefaultLogger('ERROR') });
}
