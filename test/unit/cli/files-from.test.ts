/** `--files-from`: what is read from the file, and what is said when it will not do. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { afterAll, describe, expect, it } from 'vitest';
import { readPathList } from '../../../src/cli/files-from.ts';
import { syncInput, withPathList } from '../../../src/cli/request.ts';
import { UsageError } from '../../../src/cli/usage-error.ts';
import { DISK, SNAPSHOT_A } from './samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'files-from-'));
const file = join(folder, 'list');
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const read = (content: string, within?: readonly string[]) => {
  writeFileSync(file, content, 'latin1');
  return readPathList(file, within);
};
const listed = (content: string, within?: readonly string[]) =>
  gunzipSync(Buffer.from(read(content, within).filesFrom.gzip, 'base64'))
    .toString('latin1')
    .split('\0')
    .slice(0, -1);

describe('the list', () => {
  it('has one path a line, or NUL after each, in any bytes, each once', () => {
    expect(listed('/data/b\n/data//a/\n\n/data/b\n')).toEqual(['/data/a', '/data/b']);
    expect(listed('/data/new\nline\0/data/bad-\xff')).toEqual(['/data/bad-\xff', '/data/new\nline']);
  });

  it.each([
    ['/data/a/1\n/data/a/2\n', ['/data/a']],
    ['/data/a/1\n/data/b\n/data/a/2\n', ['/data']],
    ['/data/a/1\n', ['/data/a/1']],
    ['/data/a/b\n/data/a\n/srv/x\n', ['/data/a', '/srv/x']],
    ['/data/bad-\xff/1\n/data/bad-\xff/2\n', ['/data']],
  ])('of %j is about %j', (content, paths) => {
    expect(read(content).paths).toEqual(paths);
  });

  it('is about the paths that are given, where they are', () => {
    expect(read('/data/a/1\n', ['/data/a/', '/srv'])).toMatchObject({ paths: ['/data/a/', '/srv'] });
  });

  it.each([
    ['/data/a\ndata/b\n', undefined, 'names "data/b" as number 2, which is not an absolute path'],
    ['/data/../b\n', undefined, 'names "/data/../b" as number 1, which has a "." or ".." part'],
    ['//\n', undefined, 'names "//" as number 1, which is the root directory'],
    ['/data/ab\n', ['/data/a'], 'names "/data/ab" as number 1, which is not at or below a --path'],
    ['\n', undefined, 'names no path'],
  ])('%j is refused', (content, within, line) => {
    expect(() => read(content, within)).toThrow(UsageError);
    expect(() => read(content, within)).toThrow(`--files-from: ${file} ${line}`);
  });

  it('that is not there, or does not fit, is refused', () => {
    expect(() => read(`/${'x'.repeat(4095)}`)).toThrow(/x\.\.\." as number 1, which is longer than 4,095 bytes/);
    expect(() => readPathList(join(folder, 'none'), undefined)).toThrow(/none cannot be read \(no such file\)/);
    const random = Array.from({ length: 30_000 }, (_, i) => `/data/${(i * 2_654_435_761) % 4_294_967_296}\n`).join('');
    expect(() => read(random)).toThrow(/names 30000 paths, which take \d+ bytes compressed where 131072 fit one run/);
  });
});

it('goes into the request', () => {
  writeFileSync(file, '/data/a\n/data/b\n');
  const flags = { region: 'cn-hangzhou', disk: DISK, snapshot: SNAPSHOT_A, filesFrom: file };
  expect(syncInput(withPathList(flags), { env: {}, user: 'u' }).sync).toMatchObject({
    paths: ['/data'],
    filesFrom: { entries: 2, gzip: expect.any(String) },
  });
});
