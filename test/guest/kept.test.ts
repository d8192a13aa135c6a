/**
 * What a copy deletes is seen first; what it replaces and deletes can be had back: on this machine's own file system, on
 * folders that stand for the copy and for what is live.
 */
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { CopyStartInput } from '../../src/guest/scripts.ts';
import { hereGuest } from './scripts/here.ts';

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
    mounts: [
      {
        partition: 0,
        fsType: 'ext4',
        fsUuid: 'none',
        recoveryDevice: 'none',
        recoveryMount: copy,
        originalMount: live,
        paths: ['sel'],
      },
    ],
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
    rmSync(`/var/lib/ecs-rollback/${RUN}`, { recursive: true, force: true });
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
});
