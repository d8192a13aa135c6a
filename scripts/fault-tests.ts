/**
 * The fault tests at full length, which is too long for `npm test`:
 *   npm run test:chaos -- [--runs N] [--seed S]    plays the seeds S to S + N - 1; default 1,000 from a seed of its own
 *   npm run test:kill-matrix -- [--every N]        kills the worker at every Nth event; default each
 */
import { spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { guarded } from '../local/processes.ts';
import { ensureSystemPackages } from '../local/system-packages.ts';
import { findTemporalCli } from '../local/temporal-cli.ts';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const say = (line: string): void => console.error(line);

/** A whole number, or one line that says which flag is none. */
function whole(flag: string, text: string | undefined, fallback: number): number {
  const value = text === undefined ? fallback : Number(text);
  if (!Number.isInteger(value) || value < 1) throw new Error(`--${flag} ${text}: give a whole number above 0`);
  return value;
}

async function main([what = '', ...args]: readonly string[]): Promise<number> {
  const env = { ...process.env };
  try {
    if (what === 'chaos') {
      const { values } = parseArgs({ args, options: { runs: { type: 'string' }, seed: { type: 'string' } } });
      env['ECS_ROLLBACK_CHAOS_RUNS'] = String(whole('runs', values.runs, 1_000));
      env['ECS_ROLLBACK_CHAOS_SEED'] = String(whole('seed', values.seed, randomInt(1, 2 ** 31)));
      say(`${env['ECS_ROLLBACK_CHAOS_RUNS']} runs from seed ${env['ECS_ROLLBACK_CHAOS_SEED']}`);
    } else {
      const { values } = parseArgs({ args, options: { every: { type: 'string' } } });
      env['ECS_ROLLBACK_KILL_EVERY'] = String(whole('every', values.every, 1));
      env['ECS_ROLLBACK_OTHER_KILLS'] = '10';
      await ensureSystemPackages('loop', say);
    }
  } catch (error) {
    say(error instanceof Error ? error.message : String(error));
    return 2;
  }
  env['TEMPORAL_CLI_PATH'] = await findTemporalCli(say);
  const vitest = join(root, 'node_modules/vitest/vitest.mjs');
  const [command, guardedArgs] = guarded(process.execPath, [vitest, 'run', `test/faults/${what}.test.ts`]);
  const child = spawn(command, guardedArgs, { cwd: root, env, stdio: 'inherit' });
  return new Promise((resolve) => child.once('exit', (code) => resolve(code ?? 1)));
}

process.exitCode = await main(process.argv.slice(2));
