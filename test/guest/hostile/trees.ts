/**
 * Trees as nobody would make them, from a seed: B, and beside it a live tree that has some of B, some of its own, and other
 * kinds of entries under B's names. What both were is kept, to say independently of the product what must come out.
 */
import { createHash } from 'node:crypto';
import {
  chmodSync,
  linkSync,
  lchownSync,
  lstatSync,
  lutimesSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { spawnSync } from 'node:child_process';

/** A path as one character for each byte, so that names that are no UTF-8 survive. */
export type Bytes = string;
export const bytes = (path: Bytes): Buffer => Buffer.from(path, 'latin1');

export function random(seed: number) {
  let state = seed >>> 0;
  const next = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const below = (limit: number) => Math.floor(next() * limit);
  return { next, below, pick: <T>(list: readonly T[]): T => list[below(list.length)] as T };
}
export type Random = ReturnType<typeof random>;

const NAMES: readonly Bytes[] = [
  'a',
  'b',
  'c.txt',
  'line\nbreak',
  '\n',
  '\ttab',
  'back\\slash',
  '\\n',
  '\\s',
  '"quote"',
  "it's",
  '-rf',
  '--',
  '-',
  '...',
  '..x',
  ' lead',
  'trail ',
  '*',
  '?',
  '[a]',
  '$(id)',
  '`id`',
  ';id',
  '#x',
  '%s%n',
  '\x01',
  '\x7f',
  '\xff\xfe',
  'caf\xe9',
  '\xc3\xa9',
  '~',
  'n'.repeat(255),
  'a\x01',
  'a b',
  'a-b',
  'a.b',
  '{}',
  '!',
  '&',
  '|',
  '=',
  ':',
  '\r',
  '\x1b[31m',
  'NUL',
]; // prettier-ignore

function name(dice: Random): Bytes {
  if (dice.below(4) > 0) return dice.pick(NAMES);
  const any = Array.from({ length: 1 + dice.below(12) }, () => String.fromCharCode(1 + dice.below(255)));
  const made = any.join('').replaceAll('/', '_');
  return made === '.' || made === '..' ? '_' : made;
}

/** As `SpecialNodes` lists them. */
const MAKE_NODES = `
import os, stat, sys
FORM = {b"fifo": stat.S_IFIFO, b"device": stat.S_IFCHR, b"socket": stat.S_IFSOCK}
fields = sys.stdin.buffer.read().split(b"\\0")[:-1]
for kind, path in zip(fields[::2], fields[1::2]):
    os.mknod(path, FORM[kind] | 0o644, os.makedev(1, 3) if kind == b"device" else 0)
`;

/** Nodes that only a tool can make, made together at the end: one process for all. */
export class SpecialNodes {
  readonly #made: Array<{ kind: string; path: Bytes; dress: () => void }> = [];

  add(kind: 'fifo' | 'device' | 'socket', path: Bytes, dress: () => void): void {
    this.#made.push({ kind, path, dress });
  }

  make(): void {
    const list = this.#made.map(({ kind, path }) => `${kind}\0${path}\0`).join('');
    const ran = spawnSync('python3', ['-c', MAKE_NODES], { input: bytes(list) });
    if (ran.status !== 0) throw new Error(ran.stderr.toString());
    for (const { dress } of this.#made) dress();
    this.#made.length = 0;
  }
}

const OLD = 1_600_000_000;

/** Fills the existing folder `at`; `outside` is a file that is not selected and may be linked to. */
export function grow(dice: Random, at: Bytes, outside: Bytes, special: SpecialNodes, budget: number, depth = 0): void {
  const used = new Set<Bytes>();
  const files: Bytes[] = [];
  for (let left = 1 + dice.below(budget); left > 0; left -= 1) {
    const own = name(dice);
    if (used.has(own)) continue;
    used.add(own);
    const path = `${at}/${own}`;
    const dress = () => {
      lchownSync(bytes(path), dice.below(3) * 1000, dice.below(3) * 1000);
      if (!lstatSync(bytes(path)).isSymbolicLink())
        chmodSync(bytes(path), dice.pick([0o644, 0o600, 0o4755, 0o000, 0o777]));
      lutimesSync(bytes(path), OLD, OLD + dice.below(1000) + dice.pick([0, 0.25, 0.5]));
    };
    switch (dice.below(10)) {
      case 0:
      case 1: {
        mkdirSync(bytes(path));
        if (depth < 3) grow(dice, path, outside, special, Math.max(1, budget >> 1), depth + 1);
        break;
      }
      case 2:
        symlinkSync(
          dice.pick(['/etc/passwd', 'loop', '.', '..', '../../../..', `/${'x'.repeat(300)}`, 'no\nwhere']),
          bytes(path),
        );
        break;
      case 3:
        if (files.length > 0) linkSync(bytes(dice.pick(files)), bytes(path));
        else linkSync(bytes(outside), bytes(path));
        continue;
      case 4:
        special.add(dice.pick(['fifo', 'device', 'socket']), path, dress);
        continue;
      case 5:
        writeFileSync(bytes(path), 'x');
        truncateSync(bytes(path), dice.pick([1, 4096, 300_000]));
        files.push(path);
        break;
      default:
        writeFileSync(
          bytes(path),
          createHash('sha256').update(String(dice.next())).digest().subarray(0, dice.below(33)),
        );
        files.push(path);
    }
    dress();
  }
}

export interface Entry {
  readonly kind: 'dir' | 'file' | 'link' | 'other';
  /** All that must be the same, but for times of directories. */
  readonly what: string;
  readonly mtimeNs: bigint;
  readonly ctimeNs: bigint;
  readonly inode: string;
  /** Only of files with several names. */
  readonly links?: number;
}
export type Tree = ReadonlyMap<Bytes, Entry>;

/** Everything below `root`, by path relative to it; the root itself is ''. */
export function read(root: Bytes): Tree {
  const tree = new Map<Bytes, Entry>();
  const visit = (rel: Bytes) => {
    const path = bytes(root + rel);
    const stat = lstatSync(path, { bigint: true });
    const kind = stat.isDirectory() ? 'dir' : stat.isFile() ? 'file' : stat.isSymbolicLink() ? 'link' : 'other';
    const content =
      kind === 'file'
        ? createHash('sha256').update(readFileSync(path)).digest('hex')
        : kind === 'link'
          ? readlinkSync(path, 'latin1')
          : `${stat.rdev}`;
    tree.set(rel, {
      kind,
      what: `${stat.mode.toString(8)} ${stat.uid}:${stat.gid} ${kind === 'dir' ? '' : `${stat.size} ${stat.mtimeNs} ${content}`}`,
      mtimeNs: stat.mtimeNs,
      ctimeNs: stat.ctimeNs,
      inode: `${stat.dev}:${stat.ino}`,
      ...(kind === 'file' && stat.nlink > 1n ? { links: Number(stat.nlink) } : {}),
    });
    if (kind === 'dir') for (const own of readdirSync(path, 'latin1')) visit(`${rel}/${own}`);
  };
  visit('');
  return tree;
}
