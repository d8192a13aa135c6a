import { defineConfig } from 'vitest/config';

/** Time limits are for what hangs: generous, since a test on a busy machine of two cores takes many times as long. */
const project = (name: string, groupOrder: number, extra: object = {}) => ({
  test: {
    name,
    include: [`test/${name}/**/*.test.ts`],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    sequence: { groupOrder },
    ...extra,
  },
});
/** Mostly waiting for processes of their own. Vitest's own choice would be one at a time on two cores. */
const LIGHT = { maxWorkers: 3 };
/** Each guest keeps one core busy. */
const HEAVY = { testTimeout: 300_000, hookTimeout: 300_000, maxWorkers: 2 };

/** Grouped by what a test needs; `npm test` runs them all. */
export default defineConfig({
  test: {
    projects: [
      project('unit', 1, LIGHT),
      project('activities', 1, LIGHT),
      project('conformance', 1, LIGHT),
      project('replay', 1, LIGHT),
      project('static', 1, LIGHT),
      project('workflow', 1, { ...LIGHT, globalSetup: ['test/support/workflow-bundle.ts'] }),
      project('guest', 2, HEAVY),
      project('e2e', 2, { ...HEAVY, globalSetup: ['test/support/built.ts'] }),
      // Each file keeps both cores busy with many runs beside each other.
      project('faults', 3, { ...HEAVY, maxWorkers: 1, globalSetup: ['test/support/built.ts'], fileParallelism: false }),
    ],
  },
});
