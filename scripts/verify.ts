/**
 * `npm test`: everything CI checks, in the order in which faults are cheap to find, with its own set-up. Ends with
 * what failed, by name, and the test count alone on the last line. `npm test -- unit static` runs the named suites
 * only, without the other checks.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { stripVTControlCharacters } from 'node:util';
import { guarded } from '../local/processes.ts';
import { ensureSystemPackages } from '../local/system-packages.ts';
import { findTemporalCli, findTestServer } from '../local/temporal-cli.ts';
import { ensureGuestImage } from '../simulator/guest-image/build.ts';
import { ensureSelinuxDisk } from '../simulator/guest-image/selinux-disk.ts';
import { buildToRun } from './build.ts';
import {
  afterSecondTry,
  countLine,
  describeTroubles,
  filesToTryAgain,
  suitesWithoutTests,
  type RunOutcome,
  type Trouble,
  troublesOf,
} from './test-outcome.ts';
import { STAGES, type Stage } from './test-suites.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** Of the output of a failed check, what is shown again at the end. */
const LAST_LINES = 14;

const total = { passed: 0, skipped: 0 };
const failures: Trouble[] = [];
/** Tests that passed only at their second try: no failure, but something to mend. */
const mended: Trouble[] = [];
const times: Array<{ name: string; seconds: number; ok: boolean }> = [];
const say = (line: string): void => console.error(line);

interface ProgramEnd {
  readonly ok: boolean;
  readonly lastLines: readonly string[];
}

/** Runs one of our programs; its output is passed on as it comes. */
async function runProgram(
  file: string,
  args: readonly string[],
  env: NodeJS.ProcessEnv = process.env,
): Promise<ProgramEnd> {
  const [command, guardedArgs] = guarded(process.execPath, [join(root, file), ...args]);
  const colour = process.stdout.isTTY && env['NO_COLOR'] === undefined ? { FORCE_COLOR: '1' } : {};
  const child = spawn(command, guardedArgs, {
    cwd: root,
    env: { ...env, ...colour },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let tail = '';
  const keep = (chunk: Buffer): void => {
    tail = (tail + chunk.toString()).slice(-8192);
  };
  child.stdout.on('data', keep).pipe(process.stdout, { end: false });
  child.stderr.on('data', keep).pipe(process.stderr, { end: false });
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));
  const code = await new Promise<number | null>((resolve) => {
    child.once('error', (error) => {
      tail = `${file} cannot be started: ${error.message}`;
      say(tail);
      resolve(null);
    });
    child.once('exit', resolve);
  });
  // What it started may hold its output open after its end.
  await Promise.race([closed, delay(2000, undefined, { ref: false })]);
  const lines = stripVTControlCharacters(tail)
    .split('\n')
    .filter((line) => line.trim() !== '');
  return { ok: code === 0, lastLines: lines.slice(-LAST_LINES) };
}

async function timed(name: string, work: () => Promise<boolean>): Promise<boolean> {
  say(`\n▸ ${name}`);
  const started = Date.now();
  const ok = await work();
  const seconds = (Date.now() - started) / 1000;
  times.push({ name, seconds, ok });
  say(`${ok ? '✔' : '✖'} ${name} (${seconds.toFixed(1)} s)`);
  return ok;
}

/** A failed check counts as one failure. */
const check = (name: string, work: () => Promise<ProgramEnd>): Promise<boolean> =>
  timed(name, async () => {
    const { ok, lastLines } = await work().catch((error: unknown): ProgramEnd => {
      const message = error instanceof Error ? error.message : String(error);
      say(message);
      return { ok: false, lastLines: message.split('\n') };
    });
    if (!ok) failures.push({ name, lines: lastLines });
    return ok;
  });

/** One vitest: the files of a stage whose path contains one of `paths`. */
async function runTests(
  stage: Stage,
  paths: readonly string[],
  outcomeFile: string,
  env: NodeJS.ProcessEnv,
): Promise<RunOutcome> {
  const { ok, lastLines } = await runProgram(
    'node_modules/vitest/vitest.mjs',
    ['run', ...paths, `--project=${stage}`, '--reporter=default', '--reporter=./scripts/test-reporter.ts'],
    { ...env, TEST_OUTCOME_FILE: outcomeFile },
  );
  const text = await readFile(outcomeFile, 'utf8').catch(() => undefined);
  const outcome = text === undefined ? { files: [], elsewhere: [] } : (JSON.parse(text) as RunOutcome);
  // Vitest ended badly without saying what failed: it was killed, or could not start or stop.
  if (ok || troublesOf(outcome).length > 0) return outcome;
  return { ...outcome, elsewhere: [{ name: `vitest of ${paths.join(', ')}`, lines: lastLines }] };
}

/**
 * The tests of some suites of a stage. They run real processes, clocks and machines: the few files that fail are run
 * once more, on their own. What then passes counts as passed, and is named at the end, so that it is seen and mended.
 */
async function tests(
  stage: Stage,
  suites: readonly string[],
  scratch: string,
  env: NodeJS.ProcessEnv,
): Promise<boolean> {
  const outcomeFile = (name: string): string => join(scratch, `${stage}-${name}.json`);
  const folders = suites.map((suite) => `test/${suite}/`);
  let run = await runTests(stage, folders, outcomeFile('first'), env);
  const again = filesToTryAgain(run).map(({ path }) => path);
  if (again.length > 0) {
    say(`\n▸ once more, for it failed: ${again.join(', ')}`);
    const second = afterSecondTry(run, await runTests(stage, again, outcomeFile('second'), env));
    run = second.run;
    mended.push(...second.mended);
  }
  const empty = suitesWithoutTests(run, suites).map((name) => ({
    name,
    lines: ['no test ran: that is a failure.'],
  }));
  const troubles = [...troublesOf(run), ...empty];
  failures.push(...troubles);
  for (const file of run.files) {
    total.passed += file.passed;
    total.skipped += file.skipped;
  }
  return troubles.length === 0;
}

/** The servers that tests start. */
async function fetchServers(env: NodeJS.ProcessEnv): Promise<void> {
  const [cli, testServer] = await Promise.all([findTemporalCli(say), findTestServer(say)]);
  env['TEMPORAL_CLI_PATH'] = cli;
  env['TEMPORAL_TEST_SERVER_PATH'] = testServer;
}

/** What the tests with guests need, and a bare machine lacks. */
async function prepareGuests(): Promise<void> {
  await ensureSystemPackages(['vm', 'loop'], say);
  await ensureGuestImage(say);
  await ensureSelinuxDisk(say);
}

/** Begins at once, beside the checks before: it is mostly waiting for the network. Awaited where it is needed. */
function begin(work: () => Promise<void>): () => Promise<ProgramEnd> {
  const error = work().then(
    () => undefined,
    (reason: unknown) => (reason instanceof Error ? reason : new Error(String(reason))),
  );
  return async () => {
    const reason = await error;
    if (reason) throw reason;
    return { ok: true, lastLines: [] };
  };
}

async function main(named: readonly string[]): Promise<number> {
  const known: readonly string[] = Object.values(STAGES).flat();
  const unknown = named.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    say(`unknown suite ${unknown.join(', ')}: choose from ${known.join(', ')}`);
    return 2;
  }
  const wanted = new Set(named.length > 0 ? named : known);
  const scratch = await mkdtemp(join(tmpdir(), 'ecs-rollback-verify-'));
  const started = Date.now();
  const env: NodeJS.ProcessEnv = { ...process.env };
  try {
    const servers = begin(() => fetchServers(env));
    const guests = STAGES.heavy.some((suite) => wanted.has(suite)) ? begin(prepareGuests) : undefined;
    if (named.length === 0) {
      await Promise.all([
        check('format', () => runProgram('node_modules/@biomejs/biome/bin/biome', ['format', '.'])),
        check('lint, with types and the import arrows', () =>
          runProgram(
            'node_modules/oxlint/bin/oxlint',
            '--type-aware --deny-warnings src simulator local test scripts'.split(' '),
          ),
        ),
        check('typecheck', () => runProgram('node_modules/typescript/bin/tsc', ['--noEmit'])),
        check('build', async () => {
          env['ECS_ROLLBACK_BUILT'] = await buildToRun(scratch);
          return { ok: true, lastLines: [] };
        }),
      ]);
    }
    await check("set-up: Temporal's servers", servers);
    for (const stage of Object.keys(STAGES) as Stage[]) {
      const suites = STAGES[stage].filter((suite) => wanted.has(suite));
      if (stage === 'heavy' && guests !== undefined) await check('set-up: packages, guest image', guests);
      if (suites.length > 0) await timed(`tests: ${suites.join(', ')}`, () => tests(stage, suites, scratch, env));
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }

  say(`\n${'time'.padStart(8)}  check`);
  for (const { name, seconds, ok } of times) say(`${seconds.toFixed(1).padStart(6)} s  ${ok ? '✔' : '✖'} ${name}`);
  say(`${((Date.now() - started) / 1000).toFixed(1).padStart(6)} s  in all`);
  if (total.passed + failures.length === 0) failures.push({ name: 'npm test', lines: ['no test ran'] });
  for (const line of describeTroubles('passed only at the second try:', mended)) say(line);
  for (const line of describeTroubles('failed:', failures)) say(line);
  console.log(countLine(total.passed, failures.length, total.skipped));
  return failures.length === 0 ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
