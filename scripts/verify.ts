/**
 * `npm test`: everything CI checks, in the order in which faults are cheap to find, with its own set-up. Ends with the
 * test count alone on the last line. `npm test -- unit static` runs the named projects only, without the other checks.
 */
import { spawn } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { guarded } from '../local/processes.ts';
import { ensureSystemPackages } from '../local/system-packages.ts';
import { findTemporalCli, findTestServer } from '../local/temporal-cli.ts';
import { ensureGuestImage } from '../simulator/guest-image/build.ts';
import { countLine, countTests, projectsWithoutTests, type VitestReport } from './vitest-report.ts';
import { writeWorkflowBundle } from './workflow-bundle.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));

/** The fast ones share one vitest; each of the others has the machine to itself, for time limits hold only then. */
const STAGES = [['unit', 'static', 'activities', 'conformance', 'replay'], ['workflow'], ['guest'], ['e2e']] as const;
/** Those that boot guests. */
const NEEDS_GUEST: readonly string[] = ['conformance', 'guest', 'e2e'];
/** Those that start a Temporal dev server. */
const NEEDS_SERVER: readonly string[] = ['unit', 'e2e'];

const total = { passed: 0, failed: 0, skipped: 0 };
const times: Array<{ name: string; seconds: number; ok: boolean }> = [];
const say = (line: string): void => console.error(line);

function runProgram(file: string, args: readonly string[], env: NodeJS.ProcessEnv = process.env): Promise<boolean> {
  const [command, guardedArgs] = guarded(process.execPath, [join(root, file), ...args]);
  return new Promise((resolve) => {
    const child = spawn(command, guardedArgs, { cwd: root, env, stdio: ['ignore', 'inherit', 'inherit'] });
    child.once('error', (error) => {
      say(`${file} cannot be started: ${error.message}`);
      resolve(false);
    });
    child.once('exit', (code) => resolve(code === 0));
  });
}

async function timed(name: string, work: () => Promise<boolean>): Promise<boolean> {
  say(`\n▸ ${name}`);
  const started = Date.now();
  let ok = false;
  try {
    ok = await work();
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
  }
  const seconds = (Date.now() - started) / 1000;
  times.push({ name, seconds, ok });
  say(`${ok ? '✔' : '✖'} ${name} (${seconds.toFixed(1)} s)`);
  return ok;
}

/** A failed check counts as one failure, so that the last line never says `0 failed` when something did. */
async function check(name: string, work: () => Promise<boolean>): Promise<void> {
  if (!(await timed(name, work))) total.failed += 1;
}

async function vitest(projects: readonly string[], scratch: string, env: NodeJS.ProcessEnv): Promise<boolean> {
  const report = join(scratch, `${projects.join('-')}.json`);
  const ok = await runProgram(
    'node_modules/vitest/vitest.mjs',
    [
      'run',
      '--reporter=default',
      '--reporter=json',
      `--outputFile.json=${report}`,
      ...projects.flatMap((name) => ['--project', name]),
    ],
    env,
  );
  const text = await readFile(report, 'utf8').catch(() => undefined);
  const result = text === undefined ? undefined : (JSON.parse(text) as VitestReport);
  const empty = result === undefined ? [] : projectsWithoutTests(result, projects);
  if (empty.length > 0) say(`no test ran in ${empty.join(', ')}: that is a failure.`);
  const count = countTests(result, ok && empty.length === 0);
  total.passed += count.passed;
  total.failed += count.failed;
  total.skipped += count.skipped;
  return ok && empty.length === 0;
}

/** Everything the chosen projects need and a bare machine lacks, side by side: it is mostly waiting for the network. */
async function setUp(env: NodeJS.ProcessEnv, wanted: ReadonlySet<string>): Promise<void> {
  const jobs: Array<Promise<void>> = [];
  if (NEEDS_SERVER.some((project) => wanted.has(project))) {
    jobs.push(
      (async () => {
        env['TEMPORAL_CLI_PATH'] = await findTemporalCli(say);
      })(),
    );
  }
  if (wanted.has('workflow')) {
    jobs.push(
      (async () => {
        env['TEMPORAL_TEST_SERVER_PATH'] = await findTestServer(say);
      })(),
    );
  }
  if (NEEDS_GUEST.some((project) => wanted.has(project))) {
    jobs.push(
      (async () => {
        await ensureSystemPackages(['vm', 'loop'], say);
        await ensureGuestImage(say);
      })(),
    );
  }
  const failures = (await Promise.allSettled(jobs)).filter((job) => job.status === 'rejected');
  if (failures.length > 0) throw new Error(failures.map(({ reason }) => (reason as Error).message).join('\n'));
}

async function main(named: readonly string[]): Promise<number> {
  const known = STAGES.flat() as readonly string[];
  const unknown = named.filter((name) => !known.includes(name));
  if (unknown.length > 0) {
    say(`unknown test project ${unknown.join(', ')}: choose from ${known.join(', ')}`);
    return 2;
  }
  const wanted = new Set(named.length > 0 ? named : known);
  const scratch = await mkdtemp(join(tmpdir(), 'ecs-rollback-verify-'));
  const started = Date.now();
  const env: NodeJS.ProcessEnv = { ...process.env };
  try {
    // Mostly waiting for the network, so the static checks run beside it.
    const settingUp = setUp(env, wanted).then(
      () => undefined,
      (error: unknown) => (error instanceof Error ? error : new Error(String(error))),
    );
    if (named.length === 0) {
      await check('format', () => runProgram('node_modules/@biomejs/biome/bin/biome', ['format', '.']));
      await check('lint, with types and the import arrows', () =>
        runProgram(
          'node_modules/oxlint/bin/oxlint',
          '--type-aware --deny-warnings src simulator local test scripts'.split(' '),
        ),
      );
      await check('typecheck', () => runProgram('node_modules/typescript/bin/tsc', ['--noEmit']));
      await check('workflow bundle', async () => {
        const bytes = await writeWorkflowBundle(join(scratch, 'workflow-bundle.js'));
        say(`${(bytes / 1e6).toFixed(2)} MB`);
        return true;
      });
    }
    await check('set-up: binaries, packages, guest image', async () => {
      const error = await settingUp;
      if (error) throw error;
      return true;
    });
    for (const stage of STAGES) {
      const projects = stage.filter((name) => wanted.has(name));
      if (projects.length > 0) await timed(`tests: ${projects.join(', ')}`, () => vitest(projects, scratch, env));
    }
  } finally {
    await rm(scratch, { recursive: true, force: true });
  }

  say(`\n${'time'.padStart(8)}  check`);
  for (const { name, seconds, ok } of times) say(`${seconds.toFixed(1).padStart(6)} s  ${ok ? '✔' : '✖'} ${name}`);
  say(`${((Date.now() - started) / 1000).toFixed(1).padStart(6)} s  in all`);
  if (total.passed + total.failed === 0) {
    say('no test ran: that is a failure.');
    total.failed += 1;
  }
  console.log(countLine(total));
  return total.failed === 0 && times.every(({ ok }) => ok) ? 0 : 1;
}

process.exitCode = await main(process.argv.slice(2));
