/**
 * The report that a run keeps in the guest, and what of B was not brought back: on this machine's own file system, on
 * folders that stand for the copy and for what is live.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CopyStartInput, GuestScripts } from '../../src/guest/scripts.ts';
import { bytes } from './hostile/trees.ts';
import { codeOf } from './scripts/guest.ts';
import { hereGuest, mountsOf } from './scripts/here.ts';

const RUN = 'run-report';
const WHEN = new Date('2026-11-27T01:02:03Z');

describe.skipIf(process.getuid?.() !== 0)('the report of a run', () => {
  const root = mkdtempSync(join(tmpdir(), 'report-'));
  const [copy, live] = [join(root, 'copy'), join(root, 'live')] as const;
  const guest = hereGuest();

  const put = (side: string, path: string, content: string, when = WHEN) => {
    const at = bytes(`${side}/${path}`);
    mkdirSync(dirname(`${side}/${path}`), { recursive: true });
    writeFileSync(at, content);
    utimesSync(at, when, when);
  };
  const input = (over: Partial<CopyStartInput> = {}): CopyStartInput => ({
    run: RUN,
    mounts: mountsOf(copy, live, ['sel']),
    conflictPolicy: 'keep-live',
    ...over,
  });
  const page = (request: Partial<GuestScripts['report']['input']> = {}) =>
    guest.ok('report', { run: RUN, page: 1, ...request });
  const lines = async (request: Partial<GuestScripts['report']['input']> = {}) =>
    (await page(request)).entries.map(
      ({ verdict, action, bytes, path }) => `${verdict} ${action} ${bytes} ${path.slice(live.length)}`,
    );

  beforeAll(() => {
    for (const side of [copy, live]) {
      put(side, 'sel/same', 'same');
      put(side, 'other/same', 'same');
    }
    put(copy, 'sel/new', 'new');
    put(copy, 'sel/kept', 'B, kept live');
    put(live, 'sel/kept', 'live');
    put(live, 'sel/fresh', 'fresh');
    put(copy, 'sel/left out.tmp', 'tmp');
    put(copy, 'other/deep/gone', '12345');
    put(copy, 'other/touched', 'same size');
    put(live, 'other/touched', 'same size', new Date('2026-11-27T01:02:04Z'));
    put(copy, 'in the root', 'x');
    // Latin-1, as all that is written by `bytes`: a newline, a tab, a backslash, and bytes that are no UTF-8.
    put(copy, 'odd/new\nline\t\\n', '1');
    put(copy, 'odd/bad-\xff\xfe', '12');
    put(copy, 'odd/\xc3\xa9t\xc3\xa9', '123');
    put(live, 'live only/x', 'no loss');
  });
  afterAll(async () => {
    await guest.ok('discard', { run: RUN, dryRun: false });
    rmSync(root, { recursive: true, force: true });
  });

  it('counts what B has and is not live, in the selection and outside of it, and keeps a line for each', async () => {
    expect(codeOf(await guest.run('report', { run: RUN, page: 1 }))).toBe('refused NoReport');
    await guest.copy(input({ exclude: ['*.tmp'] }));
    const verdict = await guest.verify(RUN);
    // It outlives the run's other things.
    await guest.ok('unmount', { run: RUN });
    expect(verdict.notBroughtBack).toEqual({
      entries: 8,
      bytes: 12 + 3 + 5 + 9 + 1 + 1 + 2 + 3,
      folders: [
        { folder: `${live}/sel`, entries: 2, bytes: 15 },
        { folder: `${live}/other`, entries: 2, bytes: 14 },
        { folder: `${live}/odd`, entries: 3, bytes: 6 },
        { folder: live, entries: 1, bytes: 1 },
      ],
    });
    expect(await lines()).toEqual([
      'only-in-B left 1 /in the root',
      'only-in-B left 2 /odd/bad-\\xff\\xfe',
      'only-in-B left 1 /odd/new\\nline\\t\\\\n',
      'only-in-B left 3 /odd/été',
      'only-in-B left 5 /other/deep/gone',
      'differs left 9 /other/touched',
      'only-live none 5 /sel/fresh',
      'live-is-newer keep 12 /sel/kept',
      'only-in-B left 3 /sel/left out.tmp',
      'only-in-B take 3 /sel/new',
    ]);
    const { file, entries } = verdict.report ?? { file: '', entries: 0 };
    expect(entries).toBe(10);
    expect(statSync(file).mode & 0o777).toBe(0o600);
    expect(statSync(dirname(file)).mode & 0o777).toBe(0o700);
  });

  it('shows what is asked for', async () => {
    expect(await lines({ verdicts: ['differs', 'live-is-newer'] })).toEqual([
      'differs left 9 /other/touched',
      'live-is-newer keep 12 /sel/kept',
    ]);
    expect(await lines({ actions: ['take'] })).toEqual(['only-in-B take 3 /sel/new']);
    expect(await lines({ under: `${live}/other/`, verdicts: ['only-in-B'] })).toEqual([
      'only-in-B left 5 /other/deep/gone',
    ]);
    expect(await lines({ under: `${live}/oth` })).toEqual([]);
    expect(await page({ page: 2 })).toEqual({ entries: [], page: 2, pages: 1, total: 10, bytes: 44 });
  });

  it('pages a long report, by its number of lines and by their length', async () => {
    const run = `${RUN}-long`;
    for (let i = 100; i < 350; i += 1) put(copy, `sel/many/${i}`, '');
    for (let i = 100; i < 200; i += 1) put(copy, `sel/many/long/${`\x01`.repeat(200)}${i}`, '');
    try {
      await guest.copy(input({ run }));
      const names: string[] = [];
      let pages = 1;
      for (let at = 1; at <= pages; at += 1) {
        const seen = await guest.ok('report', { run, page: at, under: `${live}/sel/many`, actions: ['take'] });
        expect(seen).toMatchObject({ total: 350 });
        expect(JSON.stringify(seen).length).toBeLessThan(20_000);
        expect(seen.entries.length).toBeLessThanOrEqual(100);
        ({ pages } = seen);
        names.push(...seen.entries.map(({ path }) => path.slice(-3)));
      }
      expect(names.sort()).toEqual([...Array(250).keys(), ...Array(100).keys()].map((i) => String(i + 100)).sort());
      expect(pages).toBeGreaterThan(5);
    } finally {
      await guest.ok('unmount', { run });
      await guest.ok('discard', { run, dryRun: false });
    }
  });

  it('gives up on a file system that takes longer than five minutes, names it, and tells no lies about it', async () => {
    const run = `${RUN}-slow`;
    const tools = join(root, 'tools');
    const [slowCopy, slowLive] = [join(root, 'slow-copy'), join(root, 'slow-live')] as const;
    for (const side of [slowCopy, slowLive]) for (const path of ['sel/same', 'other/same']) put(side, path, 'same');
    mkdirSync(tools);
    // As if the disk were slow: only where what is live is listed for the comparison.
    writeFileSync(
      join(tools, 'find'),
      `#!/bin/bash\n[[ $PWD != ${slowLive} || $* != *'%s\\t%T@\\t%l\\n'* ]] || sleep 50\nexec /usr/bin/find "$@"\n`,
      { mode: 0o755 },
    );
    let limits = 0;
    const impatient = hereGuest({
      change: (text) =>
        text
          .replace(/^RESIDUE_SECONDS=300$/m, () => {
            limits += 1;
            return 'RESIDUE_SECONDS=1';
          })
          .replace(/^PATH=/m, `PATH=${tools}:`),
    });
    try {
      await impatient.copy(
        input({ run, mounts: [...mountsOf(slowCopy, slowLive, ['sel']), ...mountsOf(copy, live, ['sel'])] }),
      );
      const before = Date.now();
      const verdict = await impatient.verify(run);
      expect(limits).toBe(1);
      expect(Date.now() - before).toBeLessThan(40_000);
      expect(verdict.verified).toBe(true);
      expect(verdict.notBroughtBack?.notCompared).toEqual([`${slowLive}: comparing took longer than 1 s`]);
      // The other one is compared all the same.
      expect(verdict.notBroughtBack?.folders).toContainEqual({ folder: `${live}/odd`, entries: 3, bytes: 6 });
      expect(verdict.notBroughtBack?.folders.filter(({ folder }) => folder.startsWith(slowLive))).toEqual([]);
      expect(await page({ run, under: slowLive })).toMatchObject({ total: 0 });
      expect(await page({ run, verdicts: ['not-compared'] })).toMatchObject({ total: 1 });
    } finally {
      await guest.ok('unmount', { run });
      await guest.ok('discard', { run, dryRun: false });
    }
  });

  it('is not kept where there is no room for it, and nothing fails for that', async () => {
    const run = `${RUN}-full`;
    const kept = `/var/lib/ecs-rollback/${run}`;
    put(copy, 'sel/newest', 'B');
    mkdirSync(kept, { recursive: true });
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=4k,mode=700', 'tmpfs', kept]);
    try {
      writeFileSync(join(kept, 'ballast'), Buffer.alloc(4096));
      expect(() => writeFileSync(join(kept, 'more'), 'x')).toThrow(/ENOSPC/);
      await guest.copy(input({ run }));
      const verdict = await guest.verify(run);
      expect(verdict).toMatchObject({ verified: true, notBroughtBack: { entries: expect.any(Number) } });
      expect(verdict.notBroughtBack?.folders).toContainEqual({ folder: `${live}/odd`, entries: 3, bytes: 6 });
      expect(verdict).not.toHaveProperty('report');
      expect(readFileSync(join(live, 'sel/newest'), 'utf8')).toBe('B');
      expect(codeOf(await guest.run('report', { run, page: 1 }))).toBe('refused NoReport');
    } finally {
      await guest.ok('unmount', { run });
      execFileSync('umount', [kept]);
      await guest.ok('discard', { run, dryRun: false });
    }
  });
});
