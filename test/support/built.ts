/**
 * Set-up of the projects that start whole stacks: product and simulator are compiled once, as `npm run build` does it. A
 * worker then polls two seconds after its start instead of eight, and what is tested is what is shipped. `npm test` has
 * compiled them already, into the folder that ECS_ROLLBACK_BUILT names.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';
import { buildToRun } from '../../scripts/build.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** What `buildToRun` has made. */
    builtFolder: string;
  }
}

export async function setup(project: TestProject): Promise<(() => Promise<void>) | undefined> {
  const given = process.env['ECS_ROLLBACK_BUILT'];
  if (given !== undefined) {
    project.provide('builtFolder', given);
    return undefined;
  }
  const folder = await mkdtemp(join(tmpdir(), 'ecs-rollback-built-'));
  const teardown = () => rm(folder, { recursive: true, force: true });
  try {
    project.provide('builtFolder', await buildToRun(folder));
    return teardown;
  } catch (error) {
    await teardown();
    throw error;
  }
}
