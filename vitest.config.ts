import { defineConfig } from 'vitest/config';

/** Time limits are for what hangs: generous, since a test on a busy machine of two cores takes many times as long. */
const project = (name: string, extra: object = {}) => ({
  test: { name, include: [`test/${name}/**/*.test.ts`], testTimeout: 60_000, hookTimeout: 120_000, ...extra },
});

/** Grouped by what a test needs; `npm test` runs them all. */
export default defineConfig({
  test: {
    projects: [
      project('unit'),
      project('activities'),
      project('conformance'),
      project('workflow', { globalSetup: ['test/support/time-skipping-server.ts'], fileParallelism: false }),
      project('replay'),
      project('static'),
      // Each guest keeps one core busy: two files at a time.
      project('guest', { testTimeout: 240_000, hookTimeout: 240_000, maxWorkers: 2 }),
      project('e2e', { testTimeout: 300_000, hookTimeout: 300_000, maxWorkers: 2 }),
    ],
  },
});
