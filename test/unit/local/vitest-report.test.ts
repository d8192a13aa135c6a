import { describe, expect, test } from 'vitest';
import { countLine, countTests, projectsWithoutTests, type VitestReport } from '../../../scripts/vitest-report.ts';

describe('the count that CI reads', () => {
  const file = (status: string, tests: number, name = '/x/test/unit/a.test.ts') => ({
    name,
    status,
    assertionResults: Array.from({ length: tests }),
  });
  const report = (change: Partial<VitestReport> = {}): VitestReport => ({
    numPassedTests: 5,
    numFailedTests: 0,
    numPendingTests: 0,
    numTodoTests: 0,
    testResults: [file('passed', 5)],
    ...change,
  });

  test('passed, failed and skipped tests', () => {
    expect(countLine(countTests(report(), true))).toBe('5 passed, 0 failed');
    const mixed = report({ numFailedTests: 2, numPendingTests: 1, numTodoTests: 1, testResults: [file('failed', 9)] });
    expect(countLine(countTests(mixed, false))).toBe('5 passed, 2 failed, 2 skipped');
  });

  test('a file that cannot be loaded is a failure', () => {
    const broken = report({ testResults: [file('passed', 5), file('failed', 0)] });
    expect(countTests(broken, false).failed).toBe(1);
  });

  test('an error outside any test is a failure', () => {
    expect(countTests(report(), false).failed).toBe(1);
  });

  test('no report is a failure', () => {
    expect(countTests(undefined, true)).toEqual({ passed: 0, failed: 1, skipped: 0 });
    expect(countTests(undefined, false)).toEqual({ passed: 0, failed: 1, skipped: 0 });
  });

  test('a project that ran no test is named', () => {
    const some = report({ testResults: [file('passed', 5), file('passed', 0, '/x/test/replay/a.test.ts')] });
    expect(projectsWithoutTests(some, ['unit', 'replay', 'e2e'])).toEqual(['replay', 'e2e']);
  });
});
