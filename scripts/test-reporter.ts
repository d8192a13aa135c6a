/** Vitest's reporter for `npm test`: writes a RunOutcome as JSON to the file that TEST_OUTCOME_FILE names. */
import { writeFileSync } from 'node:fs';
import { relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Reporter, TestCase, TestModule, TestSuite } from 'vitest/node';
import type { FileOutcome, RunOutcome, Trouble } from './test-outcome.ts';

type ReportedError = Parameters<NonNullable<Reporter['onTestRunEnd']>>[1][number];

/** The message, what differed, and where: the first place of ours in the stack. */
function linesOf(error: ReportedError): string[] {
  const diff = typeof error['diff'] === 'string' ? error['diff'] : '';
  const message = error.message;
  const name = error.name && !message.startsWith(error.name) ? `${error.name}: ` : '';
  const place = (error.stack ?? '')
    .split('\n')
    .find((line) => /^\s+at .*:\d+:\d+\)?$/.test(line) && !/node_modules|node:internal/.test(line));
  const text = [`${name}${message}`, diff, place?.trim().replaceAll(`${process.cwd()}/`, '') ?? ''];
  return stripVTControlCharacters(text.join('\n'))
    .split('\n')
    .filter((line) => line.trim() !== '');
}

const troubleOf = (name: string, errors: readonly ReportedError[]): Trouble => ({
  name,
  lines: errors.flatMap(linesOf),
});

function outcomeOf(module: TestModule, unhandled: readonly ReportedError[]): FileOutcome {
  const path = relative(process.cwd(), module.moduleId);
  const nameOf = (task: TestCase | TestSuite): string => `${path} > ${task.fullName}`;
  const troubles: Trouble[] = [];
  if (module.errors().length > 0) troubles.push(troubleOf(path, module.errors()));
  for (const suite of module.children.allSuites()) {
    if (suite.errors().length > 0) troubles.push(troubleOf(nameOf(suite), suite.errors()));
  }
  let passed = 0;
  let skipped = 0;
  for (const test of module.children.allTests()) {
    const result = test.result();
    if (result.state === 'passed') passed += 1;
    else if (result.state === 'failed') troubles.push(troubleOf(nameOf(test), result.errors));
    // Still pending at the end: its file was given up.
    else skipped += 1;
  }
  if (unhandled.length > 0) troubles.push(troubleOf(`${path}, outside any test`, unhandled));
  return { path, passed, skipped, troubles };
}

export default class OutcomeReporter implements Reporter {
  onTestRunEnd(modules: readonly TestModule[], unhandled: readonly ReportedError[]): void {
    const file = process.env['TEST_OUTCOME_FILE'];
    if (file === undefined) throw new Error('TEST_OUTCOME_FILE is not set');
    const origin = (error: ReportedError): unknown => error['VITEST_TEST_PATH'];
    const known = new Set<unknown>(modules.map(({ moduleId }) => moduleId));
    const lost = unhandled.filter((error) => !known.has(origin(error)));
    const outcome: RunOutcome = {
      files: modules.map((module) =>
        outcomeOf(
          module,
          unhandled.filter((error) => origin(error) === module.moduleId),
        ),
      ),
      elsewhere: lost.length > 0 ? [troubleOf('outside any test file', lost)] : [],
    };
    writeFileSync(file, JSON.stringify(outcome));
  }
}
