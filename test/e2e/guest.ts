/** The instance as the end-to-end tests see it: scripts run by Cloud Assistant, and the contents of its data disk. */
import { randomUUID } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { gunzipSync } from 'node:zlib';
import type { EcsRegion } from '../../src/cloud/port.ts';

/** Path below /data (`.` is /data itself) → all that a copy can get wrong, in one readable line. */
export type Manifest = ReadonlyMap<string, string>;

export class Guest {
  readonly #ecs: EcsRegion;
  readonly #instanceId: string;
  #scripts = 0;

  constructor(ecs: EcsRegion, instanceId: string) {
    this.#ecs = ecs;
    this.#instanceId = instanceId;
  }

  /** Runs a script as root and returns what it printed; rejects when it fails, or is not done in four minutes. */
  async run(script: string): Promise<string> {
    const deadline = Date.now() + 240_000;
    const until = async <T>(what: string, look: () => Promise<T | undefined>): Promise<T> => {
      for (;;) {
        const value = await look();
        if (value !== undefined) return value;
        if (Date.now() > deadline) throw new Error(`${what}: not in time`);
        await delay(100);
      }
    };
    await until('the agent', async () =>
      (await this.#ecs.agents([this.#instanceId])).get(this.#instanceId)?.online ? true : undefined,
    );
    this.#scripts += 1;
    const id = await this.#ecs.runScript({
      instanceId: this.#instanceId,
      name: `e2e-${this.#scripts}`,
      script,
      timeoutSeconds: 3_600,
      clientToken: `e2e-${randomUUID()}`,
    });
    const done = await until('a script of the test', async () => {
      const invocation = (await this.#ecs.invocations([id])).get(id);
      return invocation && !['Pending', 'Scheduled', 'Running', 'Stopping'].includes(invocation.status)
        ? invocation
        : undefined;
    });
    const output = done.output.toString();
    if (done.status !== 'Success' || done.dropped > 0) {
      throw new Error(
        `a script of the test ended as ${done.status} (${done.exitCode}), ${done.dropped} B cut: ${output}`,
      );
    }
    return output;
  }

  /** Runs a script of `guest/`, with each `@NAME@` in it replaced. */
  async runFile(name: string, values: Readonly<Record<string, string>> = {}): Promise<string> {
    const text = await readFile(new URL(`./guest/${name}.sh`, import.meta.url), 'utf8');
    return this.run(text.replaceAll(/@([A-Z]+)@/g, (_, key: string) => values[key] ?? ''));
  }

  async manifest(): Promise<Manifest> {
    const [entries = '', sums = '', attributes = ''] = (await this.runFile('manifest'))
      .trim()
      .split('\n')
      .map((text) => gunzipSync(Buffer.from(text, 'base64')).toString('latin1'));
    return readManifest(entries, sums, attributes);
  }

  /** What a run may have left: one readable line each. */
  async leftovers(): Promise<string[]> {
    const script = await readFile(new URL('../../local/shop/leftovers.sh', import.meta.url), 'utf8');
    // What was replaced is kept aside, and the receipt says so: no leftover.
    const folders =
      '\n[ ! -d /run/ecs-rollback ] || find /run/ecs-rollback -mindepth 1\nfind /data -name "*ecs-rollback*" ! -name "*.aside"\n';
    return (await this.run(script + folders)).split('\n').filter((line) => line !== '');
  }
}

/** Text is Latin-1, so that every byte of a name is kept. */
function readManifest(entries: string, sums: string, attributes: string): Manifest {
  const sumOf = new Map(
    sums
      .split('\0')
      .filter(Boolean)
      .map((line) => [line.slice(66), line.slice(0, 64)]),
  );
  const attributesOf = new Map<string, string>();
  for (const block of attributes.split('\n\n').filter((text) => text.trim() !== '')) {
    const [head = '', ...lines] = block.trim().split('\n');
    const path = head
      .replace(/^# file: /, '')
      .replaceAll(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
    attributesOf.set(path, lines.toSorted().join(' '));
  }

  const fields = entries.split('\0');
  const rows: string[][] = [];
  for (let at = 0; at + 10 <= fields.length; at += 10) rows.push(fields.slice(at, at + 10));
  const namesOf = new Map<string, string[]>();
  for (const [path = '', type, , , , , , inode, , device] of rows) {
    if (type === 'd') continue;
    const key = `${device}/${inode}`;
    namesOf.set(key, [...(namesOf.get(key) ?? []), path].toSorted());
  }
  return new Map(
    rows.map(([path = '', type, mode, owner, mtime, size, target, inode, blocks, device]) => {
      const names = namesOf.get(`${device}/${inode}`) ?? [];
      const sparse = Number(size) >= 1_048_576 && Number(blocks) * 1024 < Number(size);
      const facts = [
        `type ${type}`,
        `mode ${mode}`,
        `owner ${owner}`,
        `mtime ${mtime}`,
        type === 'd' ? '' : `size ${size}`,
        target === '' ? '' : `to ${target}`,
        names.length > 1 ? `names ${names.join(' = ')}` : '',
        sparse ? 'sparse' : '',
        sumOf.has(path) ? `sha256 ${sumOf.get(path)}` : '',
        attributesOf.get(path) ?? '',
      ];
      return [path, facts.filter((fact) => fact !== '').join(', ')];
    }),
  );
}

/** The part of a manifest at and below the given paths, as the guest sees them, such as `/data/uploads`. */
export function below(manifest: Manifest, paths: readonly string[]): Record<string, string> {
  return Object.fromEntries([...manifest].filter(([path]) => isBelow(path, paths)));
}

export function notBelow(manifest: Manifest, paths: readonly string[]): Record<string, string> {
  return Object.fromEntries([...manifest].filter(([path]) => !isBelow(path, paths)));
}

function isBelow(path: string, paths: readonly string[]): boolean {
  return paths.some((selected) => {
    const local = selected.replace(/^\/data\//, './');
    return path === local || path.startsWith(`${local}/`);
  });
}
