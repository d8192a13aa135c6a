/** Set-up of both stages: a folder for what several files of tests need and one of them makes (`built.ts`). Removed at the end. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestProject } from 'vitest/node';

declare module 'vitest' {
  interface ProvidedContext {
    scratchFolder: string;
  }
}

export async function setup(project: TestProject): Promise<() => Promise<void>> {
  const folder = await mkdtemp(join(tmpdir(), 'ecs-rollback-tests-'));
  project.provide('scratchFolder', folder);
  return () => rm(folder, { recursive: true, force: true });
}
