/**
 * `npm run test:mutants [-- WORD]`: takes one guard of the product away at a time, on a copy of the tree, and runs the test
 * that must then fail. Exits 1 when a change no longer fits, or a test does not miss its guard. WORD: only those guards
 * whose name contains it.
 */
import { spawn } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { findTestServer } from '../local/temporal-cli.ts';
import { MUTANTS, type Mutant } from '../test/faults/mutants.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const COPIED = 'src simulator local scripts test deploy package.json tsconfig.json vitest.config.ts'.split(' ');
const say = (line: string): void => console.error(line);

interface TestOutcome {
  readonly testResults: ReadonlyArray<{
    readonly assertionResults: ReadonlyArray<{
      readonly title: string;
      readonly status: string;
    }>;
  }>;
}

/** Names of the tests that fail in the copy. */
async function failingTests(copy: string, testFile: string, env: NodeJS.ProcessEnv): Promise<string[]> {
  const report = join(copy, 'outcome.json');
  await rm(report, { force: true });
  const args = ['run', `test/${testFile}`, '--reporter=json', `--outputFile=${report}`];
  const child = spawn(process.execPath, [join(copy, 'node_modules/vitest/vitest.mjs'), ...args], {
    cwd: copy,
    env,
    stdio: 'ignore',
  });
  await new Promise((resolve) => child.once('exit', resolve));
  const { testResults } = JSON.parse(await readFile(report, 'utf8')) as TestOutcome;
  return testResults
    .flatMap(({ assertionResults }) => assertionResults)
    .filter(({ status }) => status === 'failed')
    .map(({ title }) => title);
}

/** What is wrong with one mutant; undefined when its test misses the guard. */
async function trial(copy: string, mutant: Mutant, env: NodeJS.ProcessEnv): Promise<string | undefined> {
  const file = join(copy, mutant.file);
  const whole = await readFile(file, 'utf8');
  const parts = whole.split(mutant.find);
  if (parts.length !== 2) return `what it changes is ${parts.length - 1} times in ${mutant.file}, not once`;
  await writeFile(file, parts.join(mutant.replace));
  try {
    const failing = await failingTests(copy, mutant.testFile, env);
    const missing = new RegExp(`^${mutant.test.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&').replaceAll('%s', '.*')}$`);
    if (failing.some((name) => missing.test(name))) return undefined;
    return failing.length === 0 ? 'no test fails' : `other tests fail: ${failing.join(' | ')}`;
  } finally {
    await writeFile(file, whole);
  }
}

async function main(word = ''): Promise<number> {
  const chosen = MUTANTS.filter(({ without }) => without.includes(word));
  const env = { ...process.env, TEMPORAL_TEST_SERVER_PATH: await findTestServer(say) };
  const copy = await mkdtemp(join(tmpdir(), 'ecs-rollback-mutants-'));
  let missed = 0;
  try {
    for (const name of COPIED) await cp(join(root, name), join(copy, name), { recursive: true });
    await symlink(join(root, 'node_modules'), join(copy, 'node_modules'));
    for (const file of new Set(chosen.map(({ testFile }) => testFile))) {
      const failing = await failingTests(copy, file, env);
      if (failing.length === 0) continue;
      say(`${file} fails with every guard in its place, so it says nothing: ${failing.join(' | ')}`);
      return 1;
    }
    for (const mutant of chosen) {
      const problem = await trial(copy, mutant, env);
      if (problem !== undefined) missed += 1;
      say(`${problem === undefined ? '✔' : '✖'} without ${mutant.without}: ${problem ?? `"${mutant.test}" fails`}`);
    }
  } finally {
    await rm(copy, { recursive: true, force: true });
  }
  console.log(`${chosen.length - missed} of ${chosen.length} guards are missed by their test`);
  return missed === 0 && chosen.length > 0 ? 0 : 1;
}

process.exitCode = await main(process.argv[2]);
