/**
 * What a copy deletes is seen first; what it replaces and deletes can be had back: on this machine's own file system, on
 * folders that stand for the copy and for what is live.
 */
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  chmodSync,
  chownSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { gzipSync } from 'node:zlib';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CopyStartInput } from '../../src/guest/scripts.ts';
import { codeOf } from './scripts/guest.ts';
import { hereGuest, mountsOf } from './scripts/here.ts';

const RUN = 'run-kept';

describe.skipIf(process.getuid?.() !== 0)('what a copy deletes', () => {
  const root = mkdtempSync(join(tmpdir(), 'kept-'));
  const guest = hereGuest();
  let copy: string;
  let live: string;
  let base: CopyStartInput['base'];
  let stories = 0;

  const put = (side: string, path: string, content: string) => {
    mkdirSync(dirname(join(side, path)), { recursive: true });
    writeFileSync(join(side, path), content);
  };
  const input = (over: Partial<CopyStartInput> = {}): CopyStartInput => ({
    run: RUN,
    mounts: mountsOf(copy, live, ['sel']),
    conflictPolicy: 'newer-wins',
    delete: true,
    ...(base === undefined ? {} : { base }),
    ...over,
  });
  const start = async (over: Partial<CopyStartInput> = {}) => {
    await guest.ok('copy-engine', { run: RUN });
    await guest.ok('copy-start', input(over));
    return guest.ended(RUN, 'copy');
  };
  const content = (path: string) => {
    try {
      return readFileSync(join(live, path), 'utf8');
    } catch {
      return undefined;
    }
  };

  beforeEach(async () => {
    stories += 1;
    copy = join(root, String(stories), 'copy');
    live = join(root, String(stories), 'live');
    put(live, 'sel/deleted since A', '12345');
    put(live, 'sel/dir/also', '123');
    put(live, 'sel/changed', 'A');
    await sleep(50);
    const bootId = readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
    base = { bootId, bootedAt: (Date.now() / 1000).toFixed(3) };
    await sleep(50);
    put(copy, 'sel/changed', 'B');
    put(live, 'sel/written since', 'live');
  });
  afterEach(async () => {
    await guest.ok('unmount', { run: RUN });
    await guest.ok('discard', { run: RUN, dryRun: false });
  });
  afterAll(() => rmSync(root, { recursive: true, force: true }));

  it('is told before anything is written, and goes only with the digest of what was told', async () => {
    const planned = await start({ planOnly: true });
    expect(planned).toMatchObject({ state: 'held', deletions: { entries: 3, bytes: 8 } });
    const digest = planned.deletions?.digest ?? '';
    expect(digest).toMatch(/^[0-9a-f]{64}$/);
    const listed = await guest.ok('report', { run: RUN, page: 1, actions: ['delete'] });
    expect(listed.entries.map(({ path }) => path.slice(live.length))).toEqual([
      '/sel/deleted since A',
      '/sel/dir',
      '/sel/dir/also',
    ]);
    expect(await start()).toMatchObject({ state: 'held', deletions: { digest } });
    expect(await start({ deletions: '0'.repeat(64) })).toMatchObject({ state: 'held', deletions: { digest } });
    expect([content('sel/changed'), content('sel/deleted since A')]).toEqual(['A', '12345']);

    expect(await start({ deletions: digest })).toMatchObject({ state: 'done' });
    expect([content('sel/changed'), content('sel/deleted since A'), content('sel/dir/also')]).toEqual([
      'B',
      undefined,
      undefined,
    ]);
    expect(content('sel/written since')).toBe('live');
  });

  it('has its counterpart: only what is new or has changed from A to B comes back', async () => {
    const only = { conflictPolicy: 'take-b', delete: false, sinceA: true } as const;
    // As A had it, in B and live; then it is changed, or deleted, live.
    for (const [path, to] of [
      ['sel/as in A', copy],
      ['sel/gone live', copy],
    ] as const) {
      put(live, path, 'A');
      cpSync(join(live, path), join(to, path), { preserveTimestamps: true });
    }
    // The newest change that A has: what B has from before it, it has from A.
    put(live, 'sel/latest', 'A');
    await sleep(50);
    base = { bootId: base?.bootId ?? '', bootedAt: (Date.now() / 1000).toFixed(3) };
    await sleep(50);
    writeFileSync(join(live, 'sel/as in A'), 'live since');
    rmSync(join(live, 'sel/gone live'));
    put(copy, 'sel/new', 'B');
    expect(await start(only)).toMatchObject({ state: 'done' });
    const now = () => ['sel/as in A', 'sel/gone live', 'sel/new', 'sel/changed'].map(content);
    expect(now()).toEqual(['live since', undefined, 'B', 'B']);
    base = undefined;
    await guest.ok('unmount', { run: RUN });
    await guest.ok('copy-engine', { run: RUN });
    expect(codeOf(await guest.run('copy-start', input(only)))).toBe('refused NoBase');
    expect(await start({ ...only, sinceA: false })).toMatchObject({ state: 'done' });
    expect(now()).toEqual(['A', 'A', 'B', 'B']);
  });

  it('may be cut short by a reboot: directories get the times of B all the same, whatever the copy did to them before', async () => {
    const only = { delete: false };
    const times = (side: string) => statSync(join(side, 'sel/dir')).mtimeMs;
    put(copy, 'sel/dir/also', '123');
    put(copy, 'sel/dir/new', 'B');
    utimesSync(join(copy, 'sel/dir'), 1e9, 1e9);
    utimesSync(join(live, 'sel/dir'), 1e9 - 5, 1e9 - 5);
    await sleep(50);
    base = { bootId: base?.bootId ?? '', bootedAt: (Date.now() / 1000).toFixed(3) };
    expect(await start(only)).toMatchObject({ state: 'done' });
    expect(times(live)).toBe(1e12);
    // As if it had come no farther than to the files: after the boot the run's folder is gone, and so is what A was.
    rmSync(`/run/ecs-rollback/${RUN}`, { recursive: true });
    rmSync(join(live, 'sel/dir/new'));
    base = undefined;
    expect(times(live)).not.toBe(1e12);
    expect(await start(only)).toMatchObject({ state: 'done' });
    expect(content('sel/dir/new')).toBe('B');
    expect(times(live)).toBe(1e12);
  });

  it('is not what a list leaves out: files, folders, and names that are no UTF-8', async () => {
    for (const path of ['sel/a/1', 'sel/a/2', 'sel/b/deep/er', 'sel/c/left', 'sel/a/1st']) put(copy, path, 'B');
    writeFileSync(Buffer.from(`${copy}/sel/bad-\xff`, 'latin1'), 'B');
    writeFileSync(`${copy}/sel/new\nline`, 'B');
    const names = ['a/1', 'b', 'bad-\xff', 'new\nline', 'not in B', 'deleted since A'];
    const packed = gzipSync(Buffer.from(names.map((name) => `${live}/sel/${name}\0`).join(''), 'latin1')).toString(
      'base64',
    );
    const sha256 = createHash('sha256').update(Buffer.from(packed, 'base64')).digest('hex');
    const half = Math.ceil(packed.length / 8) * 4;
    const parts = [packed.slice(0, half), packed.slice(half)];
    const send = (data: string, part: number) => guest.run('put-list', { run: RUN, part, parts: 2, sha256, data });
    expect(await guest.run('put-list', { run: RUN, part: 1, parts: 1, sha256, data: 'AAAA' })).toMatchObject({
      code: 'ListIncomplete',
    });
    for (const [index, data] of parts.entries()) expect(await send(data, index + 1)).toMatchObject({ ok: true });

    expect(await start({ list: sha256, deletions: 'all' })).toMatchObject({ state: 'done' });
    expect(readdirSync(join(live, 'sel'), { encoding: 'latin1' }).sort()).toEqual(
      ['a', 'b', 'bad-\xff', 'changed', 'dir', 'new\nline', 'written since'].sort(),
    );
    expect([content('sel/a/1'), content('sel/b/deep/er'), content('sel/changed')]).toEqual(['B', 'B', 'A']);
    expect(readdirSync(join(live, 'sel/a'))).toEqual(['1']);
    await guest.ok('verify-start', { run: RUN });
    expect(await guest.ended(RUN, 'verify')).toMatchObject({ state: 'done' });
    const verdict = await guest.ok('verify-result', { run: RUN });
    expect(verdict).toMatchObject({ verified: true, verdicts: { 'not-in-B': { entries: 2 } } });
    const report = await guest.ok('report', { run: RUN, page: 1, verdicts: ['not-in-B'] });
    expect(report.entries.map(({ path }) => path.slice(live.length))).toEqual([
      '/sel/deleted since A',
      '/sel/not in B',
    ]);
    await guest.ok('unmount', { run: RUN });
    await guest.ok('copy-engine', { run: RUN });
    expect(codeOf(await guest.run('copy-start', input({ list: sha256 })))).toBe('failed NoList');
  });

  it('is told anew when the plan is made anew and something else would go', async () => {
    const { deletions } = await start({ planOnly: true });
    // What is written to is no longer what was there after the reset.
    writeFileSync(join(live, 'sel/deleted since A'), 'live again');
    const again = await start({ ...(deletions === undefined ? {} : { deletions: deletions.digest }), again: true });
    expect(again).toMatchObject({ state: 'held', deletions: { entries: 2 } });
    expect(again.deletions?.digest).not.toBe(deletions?.digest);
    expect(content('sel/changed')).toBe('A');
  });

  it('goes unseen where the request says so, and stays where it says no', async () => {
    await start({ planOnly: true });
    expect(await start({ delete: false })).toMatchObject({ state: 'done' });
    expect([content('sel/changed'), content('sel/deleted since A')]).toEqual(['B', '12345']);
    expect(await start({ deletions: 'all' })).toMatchObject({ state: 'done' });
    expect(content('sel/deleted since A')).toBeUndefined();
  });

  const restore = (over: { path?: string; dryRun?: boolean } = {}) =>
    guest.ok('restore', { run: RUN, dryRun: false, ...over });
  const aside = () => join(live, `.ecs-rollback-${RUN}.aside`);

  it('can be had back, with what was replaced, by path or whole, and twice', async () => {
    put(live, 'sel/-dash', 'A');
    chmodSync(join(live, 'sel/dir'), 0o750);
    chownSync(join(live, 'sel/dir'), 33, 34);
    await sleep(50);
    base = { bootId: base?.bootId ?? '', bootedAt: (Date.now() / 1000).toFixed(3) };
    await sleep(50);
    put(copy, 'sel/-dash', 'B');
    expect(await start({ deletions: 'all' })).toMatchObject({ state: 'done' });
    await guest.ok('unmount', { run: RUN });
    expect(existsSync(join(live, 'sel/dir'))).toBe(false);

    expect(await restore({ dryRun: true })).toMatchObject({ files: 5, directories: 1, already: 0, problemCount: 0 });
    expect(content('sel/deleted since A')).toBeUndefined();
    const some = await restore({ path: `${live}/sel/dir` });
    expect(some).toMatchObject({ files: 1, bytes: 3, directories: 1, paths: [`${live}/sel/dir/also`], problems: [] });
    expect([content('sel/dir/also'), content('sel/changed')]).toEqual(['123', 'B']);
    expect(statSync(join(live, 'sel/dir'))).toMatchObject({ uid: 33, gid: 34, mode: 0o40750 });

    put(live, 'sel/changed', 'written since');
    expect(await restore()).toMatchObject({ files: 4, already: 1, problemCount: 0 });
    expect(['sel/changed', 'sel/-dash', 'sel/deleted since A'].map(content)).toEqual(['A', 'A', '12345']);
    // What that has replaced is not lost either.
    expect(content(`.ecs-rollback-${RUN}.restored.aside/sel/changed`)).toBe('written since');
    expect(await restore()).toMatchObject({ files: 0, directories: 0, already: 5, problemCount: 0 });
    expect(existsSync(`/run/ecs-rollback/${RUN}`)).toBe(false);
    expect(readdirSync(live).sort()).toEqual([
      `.ecs-rollback-${RUN}.aside`,
      `.ecs-rollback-${RUN}.restored.aside`,
      'sel',
    ]);
  });

  it('can be had back into a folder that somebody else has removed since, which is again what it was', async () => {
    put(live, 'sel/deep/er/file', 'A');
    const folders = [
      { path: 'sel/deep', mode: 0o751, uid: 33, gid: 34 },
      { path: 'sel/deep/er', mode: 0o2770, uid: 35, gid: 36 },
    ];
    for (const { path, mode, uid, gid } of folders) {
      chownSync(join(live, path), uid, gid);
      chmodSync(join(live, path), mode);
    }
    await sleep(50);
    base = { bootId: base?.bootId ?? '', bootedAt: (Date.now() / 1000).toFixed(3) };
    await sleep(50);
    put(copy, 'sel/deep/er/file', 'B');
    cpSync(join(live, 'sel/deep'), join(copy, 'sel/deep'), { recursive: true, force: false });
    for (const { path, mode, uid, gid } of folders) {
      chownSync(join(copy, path), uid, gid);
      chmodSync(join(copy, path), mode);
    }
    expect(await start({ deletions: 'all' })).toMatchObject({ state: 'done' });
    expect(content('sel/deep/er/file')).toBe('B');
    rmSync(join(live, 'sel/deep'), { recursive: true });
    expect(await restore()).toMatchObject({ directories: expect.any(Number), problemCount: 0 });
    expect(content('sel/deep/er/file')).toBe('A');
    for (const { path, mode, uid, gid } of folders) {
      expect(statSync(join(live, path))).toMatchObject({ mode: 0o40000 + mode, uid, gid });
    }
    expect(statSync(aside())).toMatchObject({ mode: 0o40700, uid: 0, gid: 0 });
  });

  it('can be had back with the inode flags that it has', async () => {
    await start({ deletions: 'all' });
    const flagged = join(aside(), 'sel/changed');
    const chattr = (...args: string[]) => execFileSync('chattr', args);
    chattr('+i', flagged);
    try {
      expect(await restore({ path: `${live}/sel/changed` })).toMatchObject({ files: 1, problemCount: 0 });
      expect(content('sel/changed')).toBe('A');
      expect(execFileSync('lsattr', ['-d', flagged], { encoding: 'utf8' })).toMatch(/^\S*i/);
    } finally {
      chattr('-i', flagged);
    }
  });

  it('stays aside where something else is live in its place, and says so', async () => {
    await start({ deletions: 'all' });
    rmSync(join(live, 'sel/changed'));
    put(live, 'sel/changed/inside', 'a folder now');
    symlinkSync('/etc', join(live, 'sel/dir'));
    const told = await restore();
    expect(told).toMatchObject({ files: 1, bytes: 5, problemCount: 2 });
    expect(told.problems.toSorted()).toEqual([
      `${live}/sel/changed: a live directory is in its place`,
      `${live}/sel/dir/also: its folder is not there, or a symbolic link`,
    ]);
    expect(content('sel/changed/inside')).toBe('a folder now');
    expect(existsSync('/etc/also')).toBe(false);
  });

  it('is removed when asked, and only then', async () => {
    await start({ deletions: 'all' });
    await guest.ok('unmount', { run: RUN });
    expect(existsSync(aside())).toBe(true);
    const kept = { folders: [aside()], files: 3, bytes: 9, report: true };
    expect(await guest.ok('discard', { run: RUN, dryRun: true })).toEqual(kept);
    expect(existsSync(aside())).toBe(true);
    expect(await guest.ok('discard', { run: RUN, dryRun: false })).toEqual(kept);
    expect(existsSync(aside())).toBe(false);
    expect(existsSync(`/var/lib/ecs-rollback/${RUN}`)).toBe(false);
    const nothing = { folders: [], files: 0, bytes: 0, report: false };
    expect(await guest.ok('discard', { run: RUN, dryRun: false })).toEqual(nothing);
    expect(codeOf(await guest.run('restore', { run: RUN, dryRun: false }))).toBe('refused NothingKept');
    expect(content('sel/changed')).toBe('B');
  });

  it('refuses a path of which nothing is kept, and folders that somebody else has made', async () => {
    await start({ deletions: 'all' });
    for (const path of [`${live}/sel/written since`, '/srv/elsewhere']) {
      expect(codeOf(await guest.run('restore', { run: RUN, dryRun: true, path }))).toBe('refused PathNotKept');
    }
    chownSync(aside(), 33, 33);
    expect(codeOf(await guest.run('restore', { run: RUN, dryRun: true }))).toBe('refused NothingKept');
    chownSync(aside(), 0, 0);
  });
});
