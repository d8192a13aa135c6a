/**
 * Histories as files: Temporal's own JSON, without anything that tells on which machine a run was made. Replaying needs
 * none of what is taken out.
 */
import { existsSync } from 'node:fs';
import { writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

export const HISTORIES = new URL('./histories/', import.meta.url);

/** The JSON of `temporal workflow show -o json`, as `Worker.runReplayHistory` takes it. */
export const exportHistory = (history: History): string => historyToJSON(history);

/**
 * Keeps a history as `histories/<name>.json` and returns the file. One that is there already is never overwritten: what it
 * recorded is how runs went that may still be open somewhere.
 */
export async function keepHistory(name: string, workflowId: string, historyJson: string): Promise<URL> {
  if (!/^[a-z0-9-]+$/.test(name)) throw new Error(`"${name}" is no name for a history: use a-z, 0-9 and "-"`);
  const file = new URL(`${name}.json`, HISTORIES);
  if (existsSync(file)) throw new Error(`${file.pathname} is there already: kept histories are not overwritten`);
  const clean = withoutMachine(historyJson);
  const traces = machineTraces(clean);
  if (traces.length > 0) throw new Error(`the history tells where it was made: ${traces.join(', ')}`);
  const document = { workflowId, ...(JSON.parse(clean) as object) };
  await writeFile(file, `${JSON.stringify(document, null, 1)}\n`, { flag: 'wx' });
  return file;
}

/** Processes name themselves pid@host, and a sticky queue is named after its worker; stack traces hold paths. */
export const withoutMachine = (historyJson: string): string => JSON.stringify(scrubbed(JSON.parse(historyJson)));

function scrubbed(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(scrubbed);
  if (typeof value !== 'object' || value === null) return value;
  const fields = value as Readonly<Record<string, unknown>>;
  const sticky = fields['kind'] === 'TASK_QUEUE_KIND_STICKY';
  return Object.fromEntries(
    Object.entries(fields).flatMap(([name, inner]) => {
      if (name === 'stackTrace') return [];
      if (name === 'identity') return [[name, 'recorded']];
      if (sticky && name === 'name') return [[name, 'sticky']];
      return [[name, scrubbed(inner)]];
    }),
  );
}

/** What in a history, its payloads included, says where it was made; empty when nothing does. */
export function machineTraces(historyJson: string): string[] {
  const text = withPayloads(historyJson);
  const found = [
    ...text.matchAll(/\b\d+@[\w.-]+/g),
    ...text.matchAll(/\/(?:work|home|root|Users|usr|opt|tmp|builds?)\/[\w./-]+/g),
    ...text.matchAll(/node_modules|file:\/\/|\n\s+at /g),
  ].map(([trace]) => trace.trim());
  // A name of three letters turns up in any Base64.
  if (hostname().length > 3 && text.includes(hostname())) found.push(hostname());
  return [...new Set(found)];
}

/** The text with every Base64 payload in it decoded, twice over: a payload may hold Base64 in its turn. */
export function withPayloads(written: string): string {
  const all = [written];
  let found = [written];
  for (let depth = 0; depth < 2; depth += 1) {
    found = found.flatMap((part) =>
      [...part.matchAll(/[A-Za-z0-9+/]{24,}={0,2}/g)].map(([base64]) => Buffer.from(base64, 'base64').toString()),
    );
    all.push(...found);
  }
  return all.join('\n');
}
