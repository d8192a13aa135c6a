/**
 * Raw sparse files: disks and snapshots. Every file appears whole or not at all (made under a temporary name, then
 * renamed). Copies are GNU cp's: Node's fs.copyFile fills the holes of a sparse file.
 */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { runCommand } from '../../guest-image/run-command.ts';

const TEMPORARY = '.unfinished-';

export class DiskFiles {
  readonly #folder: string;

  private constructor(folder: string) {
    this.#folder = folder;
  }

  /** Makes the folder and removes what a killed process left half done in it. */
  static async open(folder: string): Promise<DiskFiles> {
    await fs.mkdir(folder, { recursive: true });
    for (const name of await fs.readdir(folder)) {
      if (name.startsWith(TEMPORARY)) await fs.rm(join(folder, name), { force: true });
    }
    return new DiskFiles(folder);
  }

  path(id: string): string {
    if (!/^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$/.test(id))
      throw new Error(`${JSON.stringify(id)} cannot be the id of a disk or snapshot`);
    return join(this.#folder, `${id}.img`);
  }

  exists(id: string): boolean {
    return existsSync(this.path(id));
  }

  async sizeBytes(id: string): Promise<number> {
    return (await fs.stat(this.path(id))).size;
  }

  async createEmpty(id: string, sizeBytes: number): Promise<void> {
    await (
      await this.#prepare(id, async (path) => {
        await fs.writeFile(path, '');
        await fs.truncate(path, sizeBytes);
      })
    ).publish();
  }

  /**
   * Copies `source` to a temporary name, at least `sizeBytes` long; `publish` puts it in the place of `id`, `discard`
   * removes it.
   */
  async prepareCopy(
    id: string,
    source: string,
    sizeBytes = 0,
  ): Promise<{ publish(): Promise<void>; discard(): Promise<void> }> {
    return this.#prepare(id, async (path) => {
      await runCommand('cp', ['--sparse=always', '--reflink=auto', '--', source, path]);
      await fs.chmod(path, 0o600);
      if ((await fs.stat(path)).size < sizeBytes) await fs.truncate(path, sizeBytes);
    });
  }

  /** A disk never shrinks: a smaller size is an error. */
  async grow(id: string, sizeBytes: number): Promise<void> {
    const now = await this.sizeBytes(id);
    if (sizeBytes < now) throw new Error(`disk ${id} has ${now} bytes and cannot shrink to ${sizeBytes}`);
    if (sizeBytes > now) await fs.truncate(this.path(id), sizeBytes);
  }

  async remove(id: string): Promise<void> {
    await fs.rm(this.path(id), { force: true });
  }

  async #prepare(
    id: string,
    fill: (path: string) => Promise<void>,
  ): Promise<{ publish(): Promise<void>; discard(): Promise<void> }> {
    const final = this.path(id);
    const path = join(this.#folder, `${TEMPORARY}${id}-${randomBytes(4).toString('hex')}`);
    const discard = async (): Promise<void> => fs.rm(path, { force: true });
    try {
      await fill(path);
    } catch (error) {
      await discard();
      throw error;
    }
    return { publish: async () => fs.rename(path, final), discard };
  }
}
