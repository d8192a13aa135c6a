import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';

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
/** The SDKs of Temporal and Alibaba take seconds to import: files of a project that are run by the same process share them. */
const SHARED = { isolate: false };
/** Mostly waiting for processes of their own. Vitest's own choice would be one at a time on two cores. */
const LIGHT = { ...SHARED, maxWorkers: 5 };
/** An emulated guest keeps one core busy, some others both; but each waits now and then. */
const HEAVY = { ...SHARED, testTimeout: 300_000, hookTimeout: 300_000, maxWorkers: 3 };
const BUILT = { globalSetup: ['test/support/built.ts'] };

/** The long ones, in the order in which they leave no core idle: at the end come the short ones, and none that mostly waits. */
const FIRST = [
  'unit/cli/against-server',
  'workflow/sweep',
  'activities/effects',
  'workflow/operator',
  'workflow/rollback-disk',
  'workflow/cancel',
  'replay/replay',
  'activities/planning',
  'workflow/selection',
  'workflow/reboot',
  'workflow/safety-snapshot',
  'faults/chaos',
  'guest/layouts-plain',
  'guest/grow',
  'e2e/worker-killed',
  'faults/kill-matrix',
  'e2e/selection',
  'guest/layouts-volumes',
  'faults/mutating-calls',
  'e2e/rollback',
  'guest/freeze',
  'e2e/operator',
  'guest/considerate-copy',
  'guest/vm-data-plane',
  'guest/selinux',
  'e2e/endings',
  'e2e/lease',
  'e2e/windows',
  'e2e/sweep',
  'guest/interrupted-copy',
  'guest/guest-scripts',
  'guest/hostile',
  'e2e/bad-input',
  'guest/look-around',
  'guest/loop-data-plane',
  'guest/special-things',
  'guest/kept',
].map((name) => `/test/${name}.test.ts`);

class LongestFirst extends BaseSequencer {
  override async sort(files: TestSpecification[]): Promise<TestSpecification[]> {
    const rank = ({ moduleId }: TestSpecification): number => {
      const place = FIRST.findIndex((name) => moduleId.endsWith(name));
      return place < 0 ? FIRST.length : place;
    };
    return (await super.sort(files)).toSorted((one, other) => rank(one) - rank(other));
  }
}

/** Grouped by what a test needs; `npm test` runs them all. */
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      project('unit', 1, LIGHT),
      project('activities', 1, LIGHT),
      project('conformance', 1, LIGHT),
      project('replay', 1, LIGHT),
      project('static', 1, LIGHT),
      project('workflow', 1, { ...LIGHT, globalSetup: ['test/support/workflow-bundle.ts'] }),
      project('guest', 2, HEAVY),
      project('e2e', 2, { ...HEAVY, ...BUILT }),
      project('faults', 2, { ...HEAVY, ...BUILT }),
    ],
  },
});
