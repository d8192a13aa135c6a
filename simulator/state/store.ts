/**
 * Keeps the world in one JSON file. `save` resolves when everything changed before the call is on disk; calls that come
 * while a write runs share the next one.
 */
import { mkdirSync, readFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { World } from './model.ts';

export class Store {
  private readonly file: string;
  private readonly world: () => World;
  private running: Promise<void> | undefined;
  private queued: Promise<void> | undefined;

  constructor(stateDir: string, world: () => World) {
    this.file = worldFile(stateDir);
    this.world = world;
  }

  async save(): Promise<void> {
    if (this.running === undefined) {
      this.running = this.write().finally(() => {
        this.running = undefined;
      });
      return await this.running;
    }
    this.queued ??= this.writeAfter(this.running);
    await this.queued;
  }

  /** Resolves when no change waits for the disk. */
  async settle(): Promise<void> {
    await (this.queued ?? this.running);
  }

  private async writeAfter(earlier: Promise<void>): Promise<void> {
    await earlier.catch(() => undefined);
    this.queued = undefined;
    this.running = this.write().finally(() => {
      this.running = undefined;
    });
    await this.running;
  }

  private async write(): Promise<void> {
    const text = JSON.stringify(this.world());
    const temporary = `${this.file}.new`;
    const handle = await open(temporary, 'w', 0o600);
    try {
      await handle.writeFile(text);
      await handle.datasync();
    } finally {
      await handle.close();
    }
    await rename(temporary, this.file);
  }
}

const worldFile = (stateDir: string): string => join(stateDir, 'world.json');

/** The world of an earlier process in this folder, if there is one. */
export function loadWorld(stateDir: string): World | undefined {
  mkdirSync(stateDir, { recursive: true, mode: 0o700 });
  let text: string;
  try {
    text = readFileSync(worldFile(stateDir), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const world = JSON.parse(text) as World;
  if (world.format !== 2) throw new Error(`${worldFile(stateDir)} was written by another version of the simulator`);
  return world;
}
