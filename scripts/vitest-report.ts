/** Reads vitest's JSON report into the three numbers of the last line of `npm test`. */

export interface Count {
  readonly passed: number;
  readonly failed: number;
  readonly skipped: number;
}

/** The parts of the report that are read here. */
export interface VitestReport {
  readonly numPassedTests: number;
  readonly numFailedTests: number;
  readonly numPendingTests: number;
  readonly numTodoTests: number;
  readonly testResults: ReadonlyArray<{
    readonly name: string;
    readonly status: string;
    readonly assertionResults: readonly unknown[];
  }>;
}

/** Those of the projects that ran no test: their files were lost, or are not where vitest looks. */
export const projectsWithoutTests = (report: VitestReport, projects: readonly string[]): string[] =>
  projects.filter(
    (project) =>
      !report.testResults.some((file) => file.name.includes(`/test/${project}/`) && file.assertionResults.length > 0),
  );

/**
 * `exitedWell`: vitest's exit code was 0. A file that could not be loaded has no tests to fail, and an error outside any
 * test (a set-up, an unhandled rejection) fails none: both count as one failure.
 */
export function countTests(report: VitestReport | undefined, exitedWell: boolean): Count {
  // No test file at all leaves no report.
  if (report === undefined) return { passed: 0, failed: 1, skipped: 0 };
  const unloadable = report.testResults.filter((f) => f.status === 'failed' && f.assertionResults.length === 0).length;
  const failed = report.numFailedTests + unloadable;
  return {
    passed: report.numPassedTests,
    failed: exitedWell ? failed : Math.max(failed, 1),
    skipped: report.numPendingTests + report.numTodoTests,
  };
}

/** The line that CI reads. */
export const countLine = ({ passed, failed, skipped }: Count): string =>
  `${passed} passed, ${failed} failed${skipped > 0 ? `, ${skipped} skipped` : ''}`;
