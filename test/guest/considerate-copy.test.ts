/** A copy that leaves room for others, and sees who writes to what it is to replace. As root, on this machine's file system. */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { hereGuest, mountsOf } from './scripts/here.ts';

const MIB = 1024 ** 2;

describe.skipIf(process.getuid?.() !== 0)('a considerate copy', () => {
  const guest = hereGuest();
  let root = '';
  let mounts: Parameters<typeof guest.copy>[0]['mounts'] = [];
  let writer: ChildProcess | undefined;

  beforeEach(() => {
    root = mkdtempSync(join(tmpdir(), 'considerate-'));
    for (const side of ['b', 'live']) mkdirSync(join(root, side, 'db'), { recursive: true });
    mounts = mountsOf(join(root, 'b'), join(root, 'live'), ['db']);
  });
  afterEach(() => {
    writer?.kill('SIGKILL');
    guest.forget();
    rmSync(root, { recursive: true, force: true });
  });

  async function timed(run: string, throttle?: { mibPerSecond: number }): Promise<{ copy: number; verify: number }> {
    const policy = { conflictPolicy: 'take-b', ...(throttle === undefined ? {} : { throttle }) } as const;
    const begun = performance.now();
    await guest.copy({ run, mounts, ...policy });
    const copied = performance.now();
    const verdict = await guest.verify(run);
    expect(verdict).toMatchObject({ verified: true, bytesCopied: 84 * MIB });
    const verified = performance.now();
    await guest.ok('unmount', { run });
    return { copy: (copied - begun) / 1_000, verify: (verified - copied) / 1_000 };
  }

  it('keeps to its rate, small files and large ones, copying and verifying', async () => {
    // One is a large file of its own, the others go in pieces.
    writeFileSync(join(root, 'b/db/large'), Buffer.alloc(68 * MIB, 'large'));
    for (let i = 0; i < 64; i += 1) writeFileSync(join(root, `b/db/${i}`), Buffer.alloc(MIB / 4, `${i}`));
    const limited = await timed('rate', { mibPerSecond: 20 });
    rmSync(join(root, 'live/db'), { recursive: true });
    mkdirSync(join(root, 'live/db'));
    const free = await timed('no-rate');
    // 84 MiB at 20 MiB/s, and the large file is read once more for its digest.
    expect(limited.copy).toBeGreaterThan(((84 + 68) / 20) * 0.85);
    expect(limited.verify).toBeGreaterThan((84 / 20) * 0.85);
    expect(limited.copy).toBeGreaterThan(free.copy);
  }, 180_000);

  it('tells of its end at once when it is given the time to come to it', async () => {
    writeFileSync(join(root, 'b/db/file'), Buffer.alloc(6 * MIB, 'slow'));
    const run = 'awaited';
    await guest.ok('copy-engine', { run });
    await guest.ok('copy-start', { run, mounts, conflictPolicy: 'take-b', throttle: { mibPerSecond: 2 } });
    expect(await guest.ok('copy-status', { run, job: 'copy' })).toMatchObject({ state: 'running' });
    expect(await guest.ok('copy-status', { run, job: 'copy', waitSeconds: 1 })).toMatchObject({ state: 'running' });
    expect(await guest.ok('copy-status', { run, job: 'copy', waitSeconds: 60 })).toMatchObject({ state: 'done' });
    await guest.ok('unmount', { run });
  });

  /** Holds `name` open and waits; `how` as bash has it. */
  async function hold(name: string, how: '>>' | '<'): Promise<number> {
    const lines = `exec 5${how}"$1"; echo open; exec sleep 300`;
    const held = spawn('bash', ['-c', lines, 'hold', join(root, 'live', name)], {
      stdio: ['ignore', 'pipe', 'ignore'],
    });
    writer = held;
    await new Promise((resolve) => held.stdout.once('data', resolve));
    return held.pid ?? 0;
  }
  function oldOnBoth(name: string): void {
    writeFileSync(join(root, 'live', name), 'live');
    writeFileSync(join(root, 'b', name), 'of snapshot B');
  }

  it('says who writes to what it replaces, and does it all the same', async () => {
    oldOnBoth('db/table');
    const pid = await hold('db/table', '>>');
    const run = 'open-warn';
    const status = await guest.copy({ run, mounts, conflictPolicy: 'take-b' });
    const open = { files: 1, processes: `sleep (pid ${pid})`, paths: [join(root, 'live/db/table')] };
    expect(status.openFiles).toEqual(open);
    expect((await guest.verify(run)).openFiles).toEqual(open);
    await guest.ok('unmount', { run });
    expect(readFileSync(join(root, 'live/db/table'), 'utf8')).toBe('of snapshot B');
  });

  it('refuses when told so, changes nothing, and goes on when the process has ended', async () => {
    oldOnBoth('db/table');
    const pid = await hold('db/table', '>>');
    const input = { run: 'open-refuse', mounts, conflictPolicy: 'take-b', openFiles: 'refuse' } as const;
    await guest.ok('copy-engine', { run: input.run });
    const refused = await guest.run('copy-start', input);
    expect(refused).toMatchObject({ ok: false, refused: true, code: 'OpenFiles' });
    expect(JSON.stringify(refused)).toContain(`sleep (pid ${pid})`);
    expect(JSON.stringify(refused)).toContain('beforeCopy');
    expect(readFileSync(join(root, 'live/db/table'), 'utf8')).toBe('live');
    writer?.kill('SIGKILL');
    await new Promise((resolve) => writer?.once('exit', resolve));
    const { verdict } = await guest.copyAndVerify(input);
    expect(verdict).toMatchObject({ verified: true, filesCopied: 1 });
    expect(verdict.openFiles).toBeUndefined();
  });

  it('minds neither readers, nor files that are not selected, nor anything when told to ignore it', async () => {
    oldOnBoth('db/table');
    writeFileSync(join(root, 'live/other'), '');
    await hold('db/table', '<');
    const input = { mounts, conflictPolicy: 'take-b', openFiles: 'refuse' } as const;
    await guest.copyAndVerify({ ...input, run: 'open-read' });
    writer?.kill('SIGKILL');
    await hold('other', '>>');
    await guest.copyAndVerify({ ...input, run: 'open-other' });
    writer?.kill('SIGKILL');
    oldOnBoth('db/table');
    await hold('db/table', '>>');
    const { verdict } = await guest.copyAndVerify({ ...input, run: 'open-ignore', openFiles: 'ignore' });
    expect(verdict.openFiles).toBeUndefined();
  });
});
