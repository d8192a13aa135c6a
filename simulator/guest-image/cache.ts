/** What is built once per recipe and kept in the user's cache, by one builder at a time over all processes of the host. */
import { randomBytes } from 'node:crypto';
import { existsSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Folder of everything this project keeps for the user between runs. */
export function cacheFolder(): string {
  return join(process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache'), 'ecs-rollback');
}

/**
 * The folder `name` of the cache, filled first by `build` when it is not there: what that leaves in the folder `result` of its
 * work folder. `what` names it in the log.
 */
export async function builtOnce(
  name: string,
  what: string,
  log: (line: string) => void,
  build: (work: string) => Promise<void>,
): Promise<string> {
  const parent = join(cacheFolder(), 'guest-image');
  const folder = join(parent, name);
  if (existsSync(folder)) return folder;
  await fs.mkdir(parent, { recursive: true });
  await withLock(`${folder}.lock`, what, log, async () => {
    if (existsSync(folder)) return;
    await removeUnfinished(parent);
    const work = join(parent, `building-${process.pid}-${randomBytes(4).toString('hex')}`);
    const started = Date.now();
    log(`building ${what} (once)`);
    try {
      await fs.mkdir(join(work, 'result'), { recursive: true });
      await build(work);
      await fs.rename(join(work, 'result'), folder);
    } finally {
      await fs.rm(work, { recursive: true, force: true });
    }
    log(`built ${what} in ${Math.round((Date.now() - started) / 1000)} s: ${folder}`);
  });
  return folder;
}

/** A lock whose owner is gone is taken over. */
async function withLock(
  path: string,
  what: string,
  log: (line: string) => void,
  work: () => Promise<void>,
): Promise<void> {
  let said = false;
  for (;;) {
    const mine = `${path}.${process.pid}`;
    await fs.writeFile(mine, String(process.pid));
    try {
      // A link is made whole, with its owner's number in it, or not at all.
      await fs.link(mine, path);
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
    } finally {
      await fs.rm(mine, { force: true });
    }
    const owner = Number(await fs.readFile(path, 'utf8').catch(() => '0'));
    if (owner > 0 && !isAlive(owner)) {
      await fs.rm(path, { force: true });
      continue;
    }
    if (!said) log(`waiting for process ${owner}, which builds ${what} now`);
    said = true;
    await new Promise((resolve) => setTimeout(resolve, 300));
  }
  try {
    await work();
  } finally {
    await fs.rm(path, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

/** What a killed builder left; called by the holder of the lock only. */
async function removeUnfinished(parent: string): Promise<void> {
  for (const name of await fs.readdir(parent)) {
    const pid = /^building-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isAlive(Number(pid))) await fs.rm(join(parent, name), { recursive: true, force: true });
  }
}
