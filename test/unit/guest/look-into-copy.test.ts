/** The guest script that looks into the copy, run by this machine's bash on two folders: one as the copy, one as live. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import type { LookRequest, LookResult } from '../../../src/contract/selection.ts';
import { guestScript, parseAnswer } from '../../../src/guest/assemble.ts';

const folder = mkdtempSync(join(tmpdir(), 'ecs-rollback-look-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));
const [copy, live] = [join(folder, 'copy'), join(folder, 'live')];
const WHEN = new Date('2026-11-27T01:02:03Z');

function put(side: string, path: string, content: string, when = WHEN): void {
  const at = join(side, path);
  mkdirSync(join(at, '..'), { recursive: true });
  writeFileSync(at, content);
  utimesSync(at, when, when);
}
for (const side of [copy, live]) {
  put(side, 'uploads/same', 'as it was');
  put(side, 'uploads/deep/deeper/also same.sql', 'x');
}
put(copy, 'uploads/only-b.sql', '12345');
put(live, 'uploads/only-live', '1');
put(copy, 'uploads/changed', 'new');
put(live, 'uploads/changed', 'older');
put(copy, 'uploads/touched', 'same size');
put(live, 'uploads/touched', 'same size', new Date('2026-11-27T01:02:04Z'));
put(copy, 'uploads/odd\n\t\\"name', 'odd');
put(copy, 'uploads/deep/b.sql', 'b');
symlinkSync('/etc', join(copy, 'uploads/link'));
symlinkSync('/usr', join(live, 'uploads/link'));
for (let i = 100; i < 350; i += 1) put(copy, `many/${i}`, '');

function answer(look: LookRequest) {
  const mounts = [
    { partition: 1, fsType: 'ext4', recoveryDevice: '-', recoveryMount: copy, originalMount: live, paths: [''] },
  ];
  const script = guestScript('look-into-copy', { run: 'r', mounts, ...look });
  return parseAnswer<LookResult>(spawnSync('bash', { input: script }).stdout, 0);
}
function look(request: LookRequest): LookResult {
  const said = answer(request);
  if (!said.ok) throw new Error(said.message);
  return said.result;
}
const short = ({ entries }: LookResult) =>
  entries.map(({ path, type, verdict }) => `${path.slice(live.length + 1)} ${type} ${verdict}`);

describe('browse', () => {
  it('shows what is in one folder of the copy or live, and how they differ', () => {
    expect(short(look({ what: 'browse', path: `${live}/uploads` }))).toEqual([
      'uploads/changed file changed',
      'uploads/deep directory same',
      'uploads/link link changed',
      'uploads/odd\n\t\\"name file only-in-b',
      'uploads/only-b.sql file only-in-b',
      'uploads/only-live file only-live',
      'uploads/same file same',
      'uploads/touched file changed',
    ]);
    const [changed] = look({ what: 'browse', path: `${live}/uploads/` }).entries;
    expect(changed).toMatchObject({ size: 3, modifiedAt: '2026-11-27T01:02:03Z' });
  });

  it('pages a long folder', () => {
    const names: number[] = [];
    let pages = 0;
    for (let after: string | undefined = ''; after !== undefined; pages += 1) {
      const page = look({ what: 'browse', path: `${live}/many`, ...(after === '' ? {} : { after }) });
      expect(page.entries.length).toBeLessThanOrEqual(100);
      names.push(...page.entries.map(({ path }) => Number(path.slice(-3))));
      after = page.next;
    }
    expect(names).toEqual(Array.from({ length: 250 }, (_, i) => i + 100));
    expect(pages).toBe(3);
  });
});

it('diff shows what differs anywhere below, and nothing else', () => {
  expect(short(look({ what: 'diff', path: `${live}/uploads` }))).toEqual([
    'uploads/changed file changed',
    'uploads/deep/b.sql file only-in-b',
    'uploads/link link changed',
    'uploads/odd\n\t\\"name file only-in-b',
    'uploads/only-b.sql file only-in-b',
    'uploads/only-live file only-live',
    'uploads/touched file changed',
  ]);
});

it('find finds names on the copy at any depth', () => {
  expect(short(look({ what: 'find', path: live, pattern: '*.sql' }))).toEqual([
    'uploads/deep/b.sql file only-in-b',
    'uploads/deep/deeper/also same.sql file same',
    'uploads/only-b.sql file only-in-b',
  ]);
  // A pattern is one word for find, whatever it holds.
  expect(short(look({ what: 'find', path: live, pattern: '$(touch /tmp/x) -delete' }))).toEqual([]);
});

it.each([
  ['a folder that is on no mounted file system', '/elsewhere', 'PathNotOnDisk'],
  ['a folder that is nowhere', `${live}/nothing`, 'PathNotFound'],
  ['a symbolic link on the way', `${live}/uploads/link/passwd`, 'PathThroughSymlink'],
  ['a symbolic link at the end', `${live}/uploads/link`, 'PathThroughSymlink'],
])('refuses %s', (_name, path, code) => {
  expect(answer({ what: 'browse', path })).toMatchObject({ ok: false, refused: true, code });
});
