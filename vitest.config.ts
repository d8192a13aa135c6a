import { defineConfig } from 'vitest/config';
import { BaseSequencer, type TestSpecification } from 'vitest/node';
import { STAGES, type Stage } from './scripts/test-suites.ts';

/** Time limits are for what hangs: generous, since a test on a busy machine of two cores takes many times as long. */
const stage = (
  name: Stage,
  groupOrder: number,
  limits: { maxWorkers: number; testTimeout: number; hookTimeout: number },
) => ({
  test: {
    name,
    include: STAGES[name].map((suite) => `test/${suite}/**/*.test.ts`),
    globalSetup: ['test/support/scratch-folder.ts'],
    // A process keeps what it has loaded for the files that come after.
    isolate: false,
    sequence: { groupOrder },
    ...limits,
  },
});

/** The long ones, in the order in which they leave no core idle: what mostly waits beside what never does, and none of it at the end. */
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
  'guest/layouts',
  'guest/freeze',
  'guest/grow',
  'e2e/sweep',
  'e2e/worker-killed',
  'e2e/windows',
  'faults/kill-matrix',
  'faults/mutating-calls',
  'e2e/endings',
  'e2e/rollback',
  'e2e/selection',
  'guest/considerate-copy',
  'guest/vm-data-plane',
  'e2e/operator',
  'guest/selinux',
  'e2e/lease',
  'guest/guest-scripts',
  'guest/hostile',
  'e2e/bad-input',
  'guest/interrupted-copy',
  'guest/loop-data-plane',
  'guest/special-things',
  'guest/kept',
  'guest/look-around',
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

/** Both stages; `npm test` runs them one after the other. */
export default defineConfig({
  test: {
    sequence: { sequencer: LongestFirst },
    projects: [
      // Vitest's own choice would be one at a time on two cores.
      stage('light', 1, { maxWorkers: 5, testTimeout: 60_000, hookTimeout: 120_000 }),
      // An emulated guest keeps one core busy, some others both; but each waits now and then.
      stage('heavy', 2, { maxWorkers: 4, testTimeout: 300_000, hookTimeout: 300_000 }),
    ],
  },
});
