/**
 * The suites are the folders of `test/`, the stages in the order in which they run. The suites of one stage are one project
 * of vitest: its processes go from file to file of their own project only, and each new one has to load the SDKs of
 * Temporal and Alibaba again.
 */
export const STAGES = {
  /** Mostly waiting for processes of their own. */
  light: ['unit', 'static', 'activities', 'conformance', 'replay', 'workflow'],
  /** Emulated guests and whole stacks. */
  heavy: ['guest', 'e2e', 'faults'],
} as const;

export type Stage = keyof typeof STAGES;

/** Of a file of tests, by its path from the root of the repository. */
export const suiteOf = (path: string): string => path.split('/')[1] ?? '';
