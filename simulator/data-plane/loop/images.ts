/**
 * Raw sparse image files. A file appears under its name only when it is whole (temporary name, then rename). Copies are
 * made by GNU cp, because Node's own copy fills the holes.
 */
import { access, mkdir, open, rename, rm, stat, truncate } from 'node:fs/promises';
import { dirname } from 'node:path';
import { runTool } from './run-tool.ts';

let serialNumber = 0;

/** A name beside `path` that nothing else has; whoever uses it removes it. */
export function temporaryName(path: string): string {
  serialNumber += 1;
  return `${path}.tmp-${process.pid}-${serialNumber}`;
}

export async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  );
}

/** Makes `path` by `fill`, which gets a temporary name beside it; a failure leaves nothing behind. */
export async function makeWhole(path: string, fill: (temporary: string) => Promise<void>): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const temporary = temporaryName(path);
  try {
    await fill(temporary);
    await rename(temporary, path);
  } catch (error) {
    await rm(temporary, { recursive: true, force: true });
    throw error;
  }
}

/** A file of `sizeBytes` that is one hole, for its owner only. */
export async function makeHole(path: string, sizeBytes: number): Promise<void> {
  const file = await open(path, 'wx', 0o600);
  try {
    await file.truncate(sizeBytes);
  } finally {
    await file.close();
  }
}

/** Copies bytes and holes; `sizeBytes` grows the copy with a hole, and never shrinks it. */
export async function copySparse(from: string, to: string, sizeBytes = 0): Promise<void> {
  await runTool('cp', ['--sparse=always', '--reflink=auto', '--', from, to], 600_000);
  await growTo(to, sizeBytes);
}

/** Grows the file with a hole; a file that is that large already stays as it is. */
export async function growTo(path: string, sizeBytes: number): Promise<void> {
  if ((await stat(path)).size < sizeBytes) await truncate(path, sizeBytes);
}
