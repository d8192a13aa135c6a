/**
 * Set-up of the `faults` project: product and simulator are compiled once, as `npm run build` does it. A worker then polls
 * two seconds after its start instead of eight, and what is killed is what is shipped.
 */
import { cp, mkdtemp, rm, symlink } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { TestProject } from 'vitest/node';
import { buildInto } from '../../scripts/build.ts';

declare module 'vitest' {
  interface ProvidedContext {
    /** What `buildInto` has made. */
    builtFolder: string;
  }
}

const root = dirname(dirname(dirname(fileURLToPath(import.meta.url))));

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'ecs-rollback-built-'));
  const teardown = () => rm(folder, { recursive: true, force: true });
  try {
    const built = join(folder, 'dist');
    await buildInto(built);
    // Compiled modules find their dependencies, and that they are ES modules, in the folders above.
    await symlink(join(root, 'node_modules'), join(folder, 'node_modules'));
    await cp(join(root, 'package.json'), join(folder, 'package.json'));
    project.provide('builtFolder', built);
    return teardown;
  } catch (error) {
    await teardown();
    throw error;
  }
}
