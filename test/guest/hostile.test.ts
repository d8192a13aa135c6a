/**
 * A thousand trees from seeds, copied back by the guest scripts and compared with what they must be by code that shares
 * nothing with them. On a memory file system, as root: device nodes and owners.
 */
import { spawnSync } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import {
  appendFileSync,
  linkSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CopyStartInput } from '../../src/guest/scripts.ts';
import { type Bytes, bytes, grow, random, read, SpecialNodes, type Tree } from './hostile/trees.ts';
import { hereGuest, mountsOf } from './scripts/here.ts';

/** One batch for each. */
const POLICIES = ['take-b', 'keep-live', 'newer-wins', 'both'] as const;
const TREES_IN_BATCH = 250;

type Policy = CopyStartInput['conflictPolicy'];

/** What must be live afterwards: each path with the tree it comes from. Two-sided: no state A is known. */
function expected(b: Tree, live: Tree, policy: Policy, beside: string): Map<Bytes, { from: Tree; path: Bytes }> {
  const result = new Map<Bytes, { from: Tree; path: Bytes }>();
  const blocked: Bytes[] = [];
  const isBelow = (path: Bytes, folders: readonly Bytes[]) => folders.some((folder) => path.startsWith(`${folder}/`));
  for (const path of live.keys()) result.set(path, { from: live, path });
  for (const [path, entry] of b) {
    if (isBelow(path, blocked)) continue;
    const there = result.get(path)?.from === b ? undefined : live.get(path);
    const take = () => result.set(path, { from: b, path });
    if (there === undefined) {
      take();
      continue;
    }
    const later = entry.mtimeNs > there.mtimeNs || (entry.mtimeNs === there.mtimeNs && entry.ctimeNs > there.ctimeNs);
    const wins = policy === 'take-b' || (policy !== 'keep-live' && later);
    if (entry.kind === 'dir' && there.kind === 'dir') {
      if (wins) take();
    } else if (entry.kind === 'dir') {
      if (wins) take();
      else blocked.push(path);
    } else if (there.kind === 'dir') {
      // A live directory stays, and what is in it.
    } else if (wins) take();
    else if (policy === 'both' && !(entry.kind === 'file' && entry.what === there.what)) {
      const folder = path.slice(0, path.lastIndexOf('/') + 1);
      const own = path.slice(folder.length);
      result.set(`${folder}${own.slice(0, 255 - beside.length)}${beside}`, { from: b, path });
    }
  }
  return result;
}

describe.skipIf(process.getuid?.() !== 0)('hostile trees', () => {
  const root = mkdtempSync(join(tmpdir(), 'hostile-'));
  const guest = hereGuest();

  // In memory: what names do is the same there, and a disk would only make it slow.
  beforeAll(() => {
    expect(spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=3g,nr_inodes=0', 'none', root]).status).toBe(0);
  });
  afterAll(() => {
    guest.forget();
    spawnSync('umount', [root]);
    rmSync(root, { recursive: true, force: true });
  });

  it.each(POLICIES)(
    'come out exactly: %s',
    async (policy) => {
      const batch = POLICIES.indexOf(policy);
      const run = `hostile-${batch}`;
      const at = join(root, String(batch));
      const [from, to] = [`${at}/b`, `${at}/live`] as const;
      for (const folder of [from, to, `${to}/outside`]) mkdirSync(folder, { recursive: true });
      writeFileSync(`${from}/outside`, 'not selected');
      writeFileSync(`${to}/outside/file`, 'not selected');
      const special = new SpecialNodes();
      const paths = Array.from({ length: TREES_IN_BATCH }, (_, i) => `t${i}`);
      for (const [i, path] of paths.entries()) {
        const dice = random(batch * TREES_IN_BATCH + i + 1);
        mkdirSync(bytes(`${from}/${path}`));
        grow(dice, `${from}/${path}`, `${from}/outside`, special, 14);
        if (dice.below(3) > 0) {
          mkdirSync(bytes(`${to}/${path}`));
          // The same seed half of the time: then most of B's names are there, too, with other contents and times.
          const other = dice.below(2) === 0 ? random(batch * TREES_IN_BATCH + i + 1) : dice;
          if (other !== dice) other.below(7);
          grow(other, `${to}/${path}`, `${to}/outside/file`, special, 14);
        }
      }
      special.make();
      const before = { b: paths.map((path) => read(`${from}/${path}`)), outside: read(`${to}/outside`) };
      const liveBefore = paths.map((path) => {
        try {
          return read(`${to}/${path}`);
        } catch {
          return new Map();
        }
      });

      const mounts = mountsOf(from, to, paths);
      const { verdict } = await guest.copyAndVerify({ run, mounts, conflictPolicy: policy });

      let obstacles = 0;
      for (const [i, path] of paths.entries()) {
        const b = before.b[i] as Tree;
        const live = liveBefore[i] as Tree;
        const after = read(`${to}/${path}`);
        const must = expected(b, live, policy, `.from-b-${run}`);
        expect([...after.keys()].sort(), `names of tree ${path}, ${policy}`).toEqual([...must.keys()].sort());
        const groups = new Map<string, string>();
        for (const [name, { from: source, path: origin }] of must) {
          const want = source.get(origin);
          const got = after.get(name);
          expect(got?.what, `${JSON.stringify(name)} of tree ${path}, ${policy}`).toBe(want?.what);
          if (want === undefined || got === undefined || want.kind !== 'file') continue;
          // Names of one file on B become names of one file, with the same content.
          if (source === live && b.get(name)?.links === undefined)
            expect(got.inode, `${JSON.stringify(name)} of tree ${path} is the live file`).toBe(want.inode);
          else if (policy === 'take-b' && name === origin) {
            // Names of one file on B are names of one file live.
            const known = groups.get(want.inode);
            if (known === undefined) groups.set(want.inode, got.inode);
            else expect(got.inode, `hard links of ${JSON.stringify(name)} of tree ${path}`).toBe(known);
          }
        }
        for (const [name, entry] of b) {
          if (entry.kind !== 'dir' && live.get(name)?.kind === 'dir') obstacles += 1;
        }
      }
      expect([...read(`${to}/outside`)].map(([name, { what, inode }]) => [name, what, inode])).toEqual(
        [...before.outside].map(([name, { what, inode }]) => [name, what, inode]),
      );
      expect(read(from).get('/outside')?.what).toBeDefined();
      // Where nothing is replaced, nothing is in the way.
      if (obstacles === 0 || policy === 'keep-live') expect(verdict).toMatchObject({ verified: true });
      else expect(verdict.mismatchCount).toBeGreaterThan(0);
      expect(verdict.digest).toMatch(/^[0-9a-f]{64}$/);
      rmSync(at, { recursive: true, force: true });
    },
    120_000,
  );

  it('a terabyte of holes, large files with two names, and many files in one folder', async () => {
    const [from, to, run] = [join(root, 'large-b'), join(root, 'large-live'), 'hostile-large'];
    for (const folder of [`${from}/tree/many`, to]) mkdirSync(folder, { recursive: true });
    const MANY = 100_000;
    const made = spawnSync('bash', ['-euc', `cd ${from}/tree/many; seq -w ${MANY} | split -l 1 -a 6 -d - f`]);
    expect(made.status).toBe(0);
    writeFileSync(`${from}/tree/holes`, 'begin');
    truncateSync(`${from}/tree/holes`, 2 ** 40);
    appendFileSync(`${from}/tree/holes`, 'end');
    writeFileSync(`${from}/tree/large`, randomBytes(66 * 1024 ** 2));
    linkSync(`${from}/tree/large`, `${from}/tree/another name`);
    const mounts = mountsOf(from, to);
    const { verdict } = await guest.copyAndVerify({ run, mounts, conflictPolicy: 'newer-wins' });
    expect(verdict).toMatchObject({
      verified: true,
      filesCopied: MANY + 3,
      bytesCopied: 2 ** 40 + 3 + 2 * 66 * 1024 ** 2 + MANY * 7,
    });
    const holes = statSync(`${to}/tree/holes`);
    expect(holes).toMatchObject({ size: 2 ** 40 + 3 });
    expect(holes.blocks).toBeLessThan(100);
    expect(readFileSync(`${to}/tree/large`).equals(readFileSync(`${from}/tree/large`))).toBe(true);
    expect(statSync(`${to}/tree/large`)).toMatchObject({ ino: statSync(`${to}/tree/another name`).ino, nlink: 2 });
    expect(readdirSync(`${to}/tree/many`)).toHaveLength(MANY);
  }, 120_000);
});
