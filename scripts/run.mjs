// Runs one of our TypeScript programs: `node scripts/run.mjs FILE [args]`. Plain JavaScript on purpose: it must work
// before the dependencies are there, and installs them when they are missing or not those of package-lock.json.
import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const [major = 0, minor = 0] = process.versions.node.split('.').map(Number);
if (major < 20 || (major === 20 && minor < 19)) {
  console.error(
    `ecs-rollback needs Node 20.19 or newer; this is ${process.versions.node}. Install Node 24 (https://nodejs.org) and run again.`,
  );
  process.exit(2);
}

const stamp = join(root, 'node_modules', '.ecs-rollback-lock');
const lock = createHash('sha256')
  .update(readFileSync(join(root, 'package-lock.json')))
  .digest('hex');
if (!existsSync(stamp) || readFileSync(stamp, 'utf8') !== lock) {
  console.error('installing the dependencies of package-lock.json (npm ci; once) …');
  const started = Date.now();
  const npm = spawnSync('npm', ['ci', '--ignore-scripts', '--no-audit', '--no-fund', '--loglevel=error'], {
    cwd: root,
    stdio: ['ignore', 2, 2],
    shell: process.platform === 'win32',
  });
  if (npm.status !== 0) {
    console.error('npm ci failed (see above); nothing else was started.');
    process.exit(1);
  }
  writeFileSync(stamp, lock);
  console.error(`dependencies installed in ${Math.round((Date.now() - started) / 1000)} s`);
}

// In this very process: a signal sent to it reaches the program, and nothing is left behind when it is killed.
const [file, ...args] = process.argv.slice(2);
const program = resolve(root, file);
const { register } = await import('tsx/esm/api');
register();
process.setSourceMapsEnabled(true);
process.argv = [process.execPath, program, ...args];
await import(pathToFileURL(program).href);
