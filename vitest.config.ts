import { defineConfig } from 'vitest/config';

const project = (name: string, extra: object = {}) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout: 30_000, hookTimeout: 60_000, ...extra },
});

/** Grouped by what a test needs; `npm test` runs them all. */
export default defineConfig({
  test: {
    projects: [
      project('unit'),
      project('activities'),
      project('conformance'),
      project('workflow', { globalSetup: ['test/support/time-skipping-server.ts'], fileParallelism: false }),
      project('replay', { testTimeout: 60_000 }),
      project('static'),
      // Each guest keeps one core busy: two files at a time.
      project('guest', { testTimeout: 120_000, hookTimeout: 240_000, maxWorkers: 2 }),
      project('e2e', { testTimeout: 300_000, hookTimeout: 300_000, maxWorkers: 2 }),
    ],
  },
});
