/** `--files-from FILE`: a list of paths, read here and sent along with the request. */
import { readFileSync } from 'node:fs';
import { gzipSync } from 'node:zlib';
import { MOST_LIST_CHARACTERS, type SyncSelection } from '../contract/rollback.ts';
import { UsageError } from './usage-error.ts';

export interface PathList {
  readonly filesFrom: NonNullable<SyncSelection['filesFrom']>;
  /** Where to look for them, when no `--path` says so: the folders that hold all of them. */
  readonly paths: readonly string[];
}

/**
 * Paths with NUL after each where there is one in the file, else one a line; bytes that are no UTF-8 stay as they are.
 * `within`: the paths that were given, at or below which each must be. Throws a `UsageError` that names the line.
 */
export function readPathList(file: string, within: readonly string[] | undefined): PathList {
  const refuse = (fact: string) => new UsageError(`--files-from: ${file} ${fact}`);
  let text: string;
  try {
    // One character for each byte.
    text = readFileSync(file, 'latin1');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw refuse(`cannot be read (${code === 'ENOENT' ? 'no such file' : (code ?? 'unknown reason')})`);
  }
  const listed = text.split(text.includes('\0') ? '\0' : '\n');
  const paths = new Set<string>();
  const folders = within?.map((path) => plain(Buffer.from(path).toString('latin1')));
  for (const [index, line] of listed.entries()) {
    if (line === '') continue;
    const fault =
      faultOf(line) ??
      (folders?.some((folder) => isWithin(plain(line), folder)) === false ? 'is not at or below a --path' : undefined);
    if (fault !== undefined) throw refuse(`names ${shown(line)} as number ${index + 1}, which ${fault}`);
    paths.add(plain(line));
  }
  if (paths.size === 0) throw refuse('names no path');
  const sorted = [...paths].sort();
  const gzip = gzipSync(Buffer.from(sorted.map((path) => `${path}\0`).join(''), 'latin1'), { level: 9 }).toString(
    'base64',
  );
  if (gzip.length > MOST_LIST_CHARACTERS) {
    throw refuse(
      `names ${sorted.length} paths, which take ${gzip.length} bytes compressed where ${MOST_LIST_CHARACTERS} fit one run: name folders in place of what is in them, or bring them back in several runs`,
    );
  }
  return { filesFrom: { gzip, entries: sorted.length }, paths: within ?? commonFolders(sorted) };
}

const plain = (path: string): string => path.replaceAll(/\/+/g, '/').replace(/(?<=.)\/$/, '');
const isWithin = (path: string, folder: string): boolean => path === folder || path.startsWith(`${folder}/`);

function faultOf(path: string): string | undefined {
  if (!path.startsWith('/'))
    return 'is not an absolute path: write it as the guest sees it, such as /data/uploads/a.jpg';
  if (plain(path) === '/') return 'is the root directory: name what to bring back';
  if (path.split('/').some((part) => part === '.' || part === '..')) return 'has a "." or ".." part';
  return path.length > 4095 ? 'is longer than 4,095 bytes' : undefined;
}

const shown = (path: string): string => {
  const text = Buffer.from(path, 'latin1').toString();
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 77)}...` : text);
};

/** Of each folder at the top, the deepest folder that holds all of the paths in it; or the one path itself. */
function commonFolders(sorted: readonly string[]): string[] {
  const tops = new Map<string, string[]>();
  for (const path of sorted) {
    const parts = path.split('/').slice(1);
    const top = parts[0] ?? '';
    const common = tops.get(top);
    if (common === undefined) tops.set(top, parts);
    else tops.set(top, common.slice(0, common.findIndex((part, at) => part !== parts[at]) >>> 0));
  }
  return [...tops.values()].map((parts) => {
    // What is no UTF-8 can only be named by the list.
    const bad = parts.findIndex((part) => Buffer.from(part, 'latin1').toString().includes('\uFFFD'));
    return Buffer.from(`/${(bad < 0 ? parts : parts.slice(0, bad)).join('/')}`, 'latin1').toString();
  });
}
