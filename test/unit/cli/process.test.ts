/** The starter as a real process: what a shell and a runbook see. */
import { spawn, spawnSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { programArguments } from '../../support/program-arguments.ts';
import { DISK, SNAPSHOT_A } from './samples.ts';

const target = ['--region', 'cn-hangzhou', '--disk', DISK, '--snapshot', SNAPSHOT_A];

function starts(args: readonly string[], env: Record<string, string> = {}) {
  return new Promise<{ code: number | null; stdout: string; stderr: string; ms: number }>((resolve, reject) => {
    const startedAt = Date.now();
    const { TEMPORAL_ADDRESS: _address, ALIBABA_CLOUD_REGION_ID: _region, ...inherited } = process.env;
    const child = spawn(process.execPath, [...programArguments('src/starter'), ...args], {
      env: { ...inherited, LANG: 'C.UTF-8', NO_COLOR: '1', ...env },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let stdout = '';
    let stderr = '';
    child.stdout.on('data', (chunk: Buffer) => {
      stdout += chunk.toString();
    });
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
    });
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr, ms: Date.now() - startedAt }));
  });
}

/** Nothing listens there, and no process is given that port by chance. */
const NOBODY = '127.0.0.1:1';

describe('help', () => {
  it('lists commands, exit codes and the usual order on stdout', async () => {
    const { code, stdout, stderr } = await starts(['--help']);
    expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
    for (const word of [
      'plan',
      'start|rollback',
      'sync',
      'status',
      'watch',
      'list',
      'undo',
      'approve',
      'resolve',
      'cancel',
      'Exit codes:',
      '124',
    ]) {
      expect(stdout).toContain(word);
    }
  });

  /** What a shell makes of `ecs-rollback --help REST`. */
  const helpInShell = (rest: string) => {
    const words = [process.execPath, ...programArguments('src/starter'), '--help'];
    return spawnSync('bash', ['-c', `${words.map((word) => `'${word}'`).join(' ')} ${rest}`], { encoding: 'utf8' });
  };

  it('ends without a word when nobody reads on, and not with success', () => {
    const done = helpInShell('| true; echo "${PIPESTATUS[0]}"');
    expect(done).toMatchObject({ stdout: '130\n', stderr: '' });
  });

  it('says in one line that the output cannot be written', () => {
    const stderr = expect.stringMatching(/^error: output cannot be written: ENOSPC.*\n$/);
    expect(helpInShell('>/dev/full')).toMatchObject({ status: 130, stderr });
  });

  it('the version is that of the package', async () => {
    expect(await starts(['--version'])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^\d+\.\d+\.\d+\n$/) });
  });
});

describe('bad input exits 2, one line each, without a connection', () => {
  it.each<[string, readonly string[], readonly string[]]>([
    [
      'ids',
      ['plan', '--region', 'cn-hangzhou', '--disk', 'foo', '--snapshot', 'd-bp1a2b3c4d5e6f7g8h9i'],
      [
        'error: --disk: "foo" is not the id of a disk: expected something like d-bp1a2b3c4d5e6f7g8h9i',
        'error: --snapshot: "d-bp1a2b3c4d5e6f7g8h9i" is not the id of a snapshot: expected something like s-bp1a2b3c4d5e6f7g8h9i',
      ],
    ],
    [
      'no confirmation',
      ['start', ...target],
      [
        'error: --yes: no terminal to ask for confirmation on, and this changes the disk: add --yes, or --dry-run to read only',
      ],
    ],
    [
      'contradiction',
      ['start', ...target, '--yes', '--path', '/data', '--power', 'stopped'],
      [
        'error: --power: "stopped" contradicts --path, since bringing data back needs a running instance: use --power as-found or running, or leave out --path',
      ],
    ],
  ])('%s', async (_name, args, lines) => {
    const { code, stdout, stderr } = await starts(args, { TEMPORAL_ADDRESS: '127.0.0.1:1' });
    expect({ code, stdout, lines: stderr.trimEnd().split('\n') }).toEqual({ code: 2, stdout: '', lines });
  });

  it('a mistyped flag gets a suggestion', async () => {
    const { code, stderr } = await starts(['plan', '--snapshto', SNAPSHOT_A]);
    expect(code).toBe(2);
    expect(stderr).toContain("unknown option '--snapshto'");
    expect(stderr).toContain('Did you mean --snapshot?');
  });
});

describe('without a Temporal server', () => {
  it.each([
    ['plan', ['plan', ...target]],
    ['status', ['status', DISK]],
  ])('%s exits 7 soon, one line, no stack', async (_name, args) => {
    const { code, stdout, stderr, ms } = await starts(args, { TEMPORAL_ADDRESS: NOBODY });
    expect({ code, stdout, stderr }).toEqual({
      code: 7,
      stdout: '',
      stderr: `error: no Temporal server at ${NOBODY} (nothing listens there): set TEMPORAL_ADDRESS=host:port, or start one with \`temporal server start-dev\`\n`,
    });
    // A second on a machine of its own; the rest is room for what else runs here. Waiting for a server takes longer.
    expect(ms).toBeLessThan(25_000);
  });

  it('-o json is still one document', async () => {
    const { code, stdout } = await starts(['plan', ...target, '-o', 'json'], { TEMPORAL_ADDRESS: NOBODY });
    expect(code).toBe(7);
    expect(JSON.parse(stdout)).toMatchObject({ schemaVersion: 1, exitCode: 7, error: { kind: 'unreachable' } });
  });
});
