import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, onTestFinished, test } from 'vitest';
import {
  afterSecondTry,
  countLine,
  describeTroubles,
  type FileOutcome,
  filesToTryAgain,
  suitesWithoutTests,
  type RunOutcome,
  troublesOf,
} from '../../../scripts/test-outcome.ts';
import { STAGES, suiteOf } from '../../../scripts/test-suites.ts';

const trouble = (name: string) => ({ name, lines: ['Error: no'] });
const file = (path: string, passed: number, troubles: readonly string[] = []): FileOutcome => ({
  path,
  passed,
  skipped: 0,
  troubles: troubles.map(trouble),
});
const run = (...files: readonly FileOutcome[]): RunOutcome => ({ files, elsewhere: [] });

test('the line that CI reads', () => {
  expect(countLine(5, 0, 0)).toBe('5 passed, 0 failed');
  expect(countLine(5, 2, 1)).toBe('5 passed, 2 failed, 1 skipped');
});

test('a suite that ran no test is named', () => {
  const path = 'test/unit/cli/a.test.ts';
  expect(suitesWithoutTests(run(file(path, 5)), ['unit', 'replay'])).toEqual(['replay']);
  expect(suitesWithoutTests(run(file(path, 0)), ['unit'])).toEqual(['unit']);
});

test('each folder with tests is a suite of a stage', async () => {
  const files = (await readdir('test', { recursive: true })).filter((path) => path.endsWith('.test.ts'));
  const folders = new Set(files.map((path) => suiteOf(join('test', path))));
  expect([...folders].sort()).toEqual(Object.values(STAGES).flat().sort());
});

describe('the second try', () => {
  test('is for a few files, and only when every error belongs to one', () => {
    const one = run(file('a', 5), file('b', 1, ['b > x']));
    expect(filesToTryAgain(one).map(({ path }) => path)).toEqual(['b']);
    expect(filesToTryAgain({ ...one, elsewhere: [trouble('vitest')] })).toEqual([]);
    expect(filesToTryAgain(run(...['a', 'b', 'c', 'd'].map((name) => file(name, 0, [name]))))).toEqual([]);
  });

  test('replaces what the first said, and names what it mended', () => {
    const { run: after, mended } = afterSecondTry(
      run(file('a', 5), file('b', 1, ['b > x', 'b > y'])),
      run(file('b', 2, ['b > y'])),
    );
    expect(after).toEqual(run(file('a', 5), file('b', 2, ['b > y'])));
    expect(mended.map(({ name }) => name)).toEqual(['b > x']);
  });

  test('mends nothing where no test of the file ran', () => {
    const first = run(file('a', 5), file('b', 1, ['b > x']));
    expect(afterSecondTry(first, run(file('b', 0)))).toEqual({ run: first, mended: [] });
    const broken = { files: [], elsewhere: [trouble('vitest of unit')] };
    expect(afterSecondTry(first, broken)).toEqual({ run: { ...first, elsewhere: broken.elsewhere }, mended: [] });
  });
});

test('troubles are shown by name with their first lines', () => {
  expect(describeTroubles('failed:', [])).toEqual([]);
  const long = { name: 'unit a > x', lines: Array.from({ length: 99 }, (_, line) => `line ${line}`) };
  const lines = describeTroubles('failed:', [long]);
  expect(lines.slice(0, 4)).toEqual(['', 'failed:', '  ✖ unit a > x', '      line 0']);
  expect(lines.at(-1)).toBe('      …');
  expect(lines.length).toBeLessThan(30);
  const wide = describeTroubles('failed:', [{ name: 'unit a > y', lines: ['x'.repeat(5000)] }]);
  expect(wide.at(-1)?.length).toBeLessThan(400);
  const many = describeTroubles(
    'failed:',
    Array.from({ length: 50 }, (_, index) => trouble(`t${index}`)),
  );
  expect(many.at(-1)).toBe('  … and 30 more');
});

test('vitest reports failed tests, hooks, files and unhandled errors, each by name', async () => {
  const root = await mkdtemp(join(tmpdir(), 'test-outcome-'));
  onTestFinished(() => rm(root, { recursive: true, force: true }));
  await symlink(resolve('node_modules'), join(root, 'node_modules'));
  await writeFile(join(root, 'vitest.config.mjs'), "export default { test: { include: ['test/*.test.mjs'] } };");
  await mkdir(join(root, 'test'));
  const write = (name: string, text: string) =>
    writeFile(
      join(root, `test/${name}.test.mjs`),
      `import { beforeAll, describe, expect, test } from 'vitest';\n${text}`,
    );
  await write(
    'tests',
    "describe('group', () => { test('good', () => {}); test('bad', () => expect({ a: 1 }).toEqual({ a: 2 })); test.skip('not', () => {}); });",
  );
  await write(
    'hook',
    "describe('group', () => { beforeAll(() => { throw new Error('no set-up'); }); test('x', () => {}); });",
  );
  await write('unloadable', "import './nowhere.mjs';");
  await write(
    'unhandled',
    "test('x', async () => { Promise.reject(new Error('nobody waited')); await new Promise((r) => setTimeout(r, 50)); });",
  );
  const outcomeFile = join(root, 'outcome.json');
  await expect(
    promisify(execFile)(
      process.execPath,
      [resolve('node_modules/vitest/vitest.mjs'), 'run', `--reporter=${resolve('scripts/test-reporter.ts')}`],
      { cwd: root, env: { PATH: process.env['PATH'], TEST_OUTCOME_FILE: outcomeFile } },
    ),
  ).rejects.toMatchObject({ code: 1 });
  const outcome = JSON.parse(await readFile(outcomeFile, 'utf8')) as RunOutcome;
  const named = Object.fromEntries(troublesOf(outcome).map(({ name, lines }) => [name, lines.join('\n')]));
  expect(Object.keys(named).sort()).toEqual([
    'test/hook.test.mjs > group',
    'test/tests.test.mjs > group > bad',
    'test/unhandled.test.mjs, outside any test',
    'test/unloadable.test.mjs',
  ]);
  expect(named['test/tests.test.mjs > group > bad']).toMatch(
    /AssertionError: expected .*\n.*Expected[^]*"a": 2[^]*"a": 1[^]*at .*test\/tests\.test\.mjs:2:/,
  );
  expect(named['test/hook.test.mjs > group']).toContain('no set-up');
  expect(named['test/unloadable.test.mjs']).toContain('nowhere.mjs');
  expect(named['test/unhandled.test.mjs, outside any test']).toContain('nobody waited');
  const counts = outcome.files.map(({ path, passed, skipped }) => [path, { passed, skipped }] as const);
  expect(Object.fromEntries(counts)).toEqual({
    'test/hook.test.mjs': { passed: 0, skipped: 1 },
    'test/tests.test.mjs': { passed: 1, skipped: 1 },
    'test/unhandled.test.mjs': { passed: 1, skipped: 0 },
    'test/unloadable.test.mjs': { passed: 0, skipped: 0 },
  });
});
