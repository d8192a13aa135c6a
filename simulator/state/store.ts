/** Where the world is kept, so that another process can go on with it. */
import { mkdirSync, readFileSync } from 'node:fs';
import { open, rename } from 'node:fs/promises';
import { join } from 'node:path';
import type { InvocationState, World } from './model.ts';

export interface Store {
  /** It is over and will never change again; on disk with the next save. */
  isOver(invocation: InvocationState): void;
  /** Resolves when everything changed before the call is kept. */
  save(): Promise<void>;
  /** Resolves when no change waits for the disk. */
  settle(): Promise<void>;
}

/** For a world that ends with its process. */
export const notKept: Store = {
  isOver: () => {},
  save: async () => {},
  settle: async () => {},
};

/**
 * Keeps the world in one JSON file, and beside it the invocations that are over: they are most of its bytes and change no
 * more, so they are written once. Saves that come while a write runs share the next one.
 */
export class StateFolder implements Store {
  private readonly file: string;
  private readonly overFile: string;
  private readonly world: () => World;
  /** Ids of the invocations that are in, or on their way to, the file beside. */
  private readonly over: Set<string>;
  private toAppend: InvocationState[] = [];
  private running: Promise<void> | undefined;
  private queued: Promise<void> | undefined;

  constructor(stateDir: string, world: () => World) {
    this.file = worldFile(stateDir);
    this.overFile = overFile(stateDir);
    this.world = world;
    this.over = new Set(readOver(stateDir).map(({ id }) => id));
  }

  isOver(invocation: InvocationState): void {
    if (this.over.has(invocation.id)) return;
    this.over.add(invocation.id);
    this.toAppend.push(invocation);
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
    const world = this.world();
    const invocations = Object.values(world.invocations ?? {}).filter(({ id }) => !this.over.has(id));
    const text = JSON.stringify({
      ...world,
      invocations: Object.fromEntries(invocations.map((each) => [each.id, each])),
    });
    const appended = this.toAppend;
    this.toAppend = [];
    if (appended.length > 0) {
      await writeThrough(this.overFile, 'a', appended.map((each) => `\n${JSON.stringify(each)}`).join(''));
    }
    const temporary = `${this.file}.new`;
    await writeThrough(temporary, 'w', text);
    await rename(temporary, this.file);
  }
}

async function writeThrough(file: string, flags: 'a' | 'w', text: string): Promise<void> {
  const handle = await open(file, flags, 0o600);
  try {
    await handle.writeFile(text);
    await handle.datasync();
  } finally {
    await handle.close();
  }
}

const worldFile = (stateDir: string): string => join(stateDir, 'world.json');
const overFile = (stateDir: string): string => join(stateDir, 'invocations.jsonl');

function readOver(stateDir: string): InvocationState[] {
  let text: string;
  try {
    text = readFileSync(overFile(stateDir), 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as InvocationState];
    } catch {
      // Cut off by a crash: the world still has it.
      return [];
    }
  });
}

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
  if (world.format !== 3) throw new Error(`${worldFile(stateDir)} was written by another version of the simulator`);
  const invocations = {
    ...world.invocations,
    ...Object.fromEntries(readOver(stateDir).map((each) => [each.id, each])),
  };
  world.invocations = Object.fromEntries(Object.entries(invocations).sort(([, a], [, b]) => a.seq - b.seq));
  return world;
}
