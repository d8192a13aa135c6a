/** Sparse files that appear whole or not at all. */
import { mkdtemp, open, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { DiskFiles } from '../../../simulator/data-plane/vm/disk-files.ts';

const MIB = 1024 ** 2;
let folder: string;
let files: DiskFiles;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'disks-'));
  files = await DiskFiles.open(folder);
});

afterEach(() => rm(folder, { recursive: true }));

async function write(id: string, text: string, position: number): Promise<void> {
  const file = await open(files.path(id), 'r+');
  await file.write(text, position);
  await file.close();
}

async function read(id: string, length: number, position: number): Promise<string> {
  const file = await open(files.path(id), 'r');
  const { buffer } = await file.read(Buffer.alloc(length), 0, length, position);
  await file.close();
  return buffer.toString('latin1');
}

it('copies bytes and holes, and makes the copy as large as asked', async () => {
  await files.createEmpty('d-1', 512 * MIB);
  await write('d-1', 'deep', 300 * MIB);
  const copy = await files.prepareCopy('d-2', files.path('d-1'), 600 * MIB);
  expect(files.exists('d-2')).toBe(false);
  await copy.publish();
  expect(await files.sizeBytes('d-2')).toBe(600 * MIB);
  expect(await read('d-2', 4, 300 * MIB)).toBe('deep');
  expect((await stat(files.path('d-2'))).blocks * 512).toBeLessThan(2 * MIB);
});

it('keeps the old bytes until the new ones are whole', async () => {
  await files.createEmpty('d-1', MIB);
  await files.createEmpty('s-1', MIB);
  await write('d-1', 'now', 0);
  await write('s-1', 'old', 0);
  const copy = await files.prepareCopy('d-1', files.path('s-1'));
  expect(await read('d-1', 3, 0)).toBe('now');
  await copy.publish();
  expect(await read('d-1', 3, 0)).toBe('old');
  await expect(files.prepareCopy('d-1', files.path('s-gone'))).rejects.toThrow(/^cp failed .*s-gone/);
  await (await files.prepareCopy('d-1', files.path('s-1'))).discard();
  expect((await readdir(folder)).sort()).toEqual(['d-1.img', 's-1.img']);
});

it('removes what a killed process left half done, and nothing else', async () => {
  await files.createEmpty('d-1', MIB);
  await files.prepareCopy('d-2', files.path('d-1'));
  await writeFile(join(folder, 'd-3.img'), 'x');
  await DiskFiles.open(folder);
  expect((await readdir(folder)).sort()).toEqual(['d-1.img', 'd-3.img']);
});

it('grows, never shrinks, and takes no path for an id', async () => {
  await files.createEmpty('d-1', MIB);
  await files.grow('d-1', 2 * MIB);
  expect(await files.sizeBytes('d-1')).toBe(2 * MIB);
  await expect(files.grow('d-1', MIB)).rejects.toThrow('cannot shrink');
  expect(() => files.path('../d-1')).toThrow('cannot be the id');
  await files.remove('d-1');
  await files.remove('d-1');
  expect(files.exists('d-1')).toBe(false);
});
