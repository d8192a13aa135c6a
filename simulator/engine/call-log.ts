/** Every call that was received, kept in memory and, line by line, on disk; scripts and contents only as hash and size. */
import { createHash } from 'node:crypto';
import { appendFileSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { CallRecord } from '../state/model.ts';

const secretParameters = new Set(['CommandContent', 'Content', 'Parameters']);
const gateway = /^(Signature|AccessKeyId|SecurityToken|Timestamp|Format|Version|Action$)/;

/** Wire parameters fit for a log. */
export function loggable(wire: ReadonlyMap<string, string>): Record<string, unknown> {
  const shown: Record<string, unknown> = {};
  for (const [name, value] of wire) {
    if (gateway.test(name)) continue;
    shown[name] = secretParameters.has(name)
      ? { sha256: createHash('sha256').update(value).digest('hex'), bytes: Buffer.byteLength(value) }
      : value;
  }
  return shown;
}

export class CallLog {
  readonly records: CallRecord[];
  private readonly file: string;

  constructor(stateDir: string) {
    this.file = join(stateDir, 'calls.jsonl');
    this.records = read(this.file);
  }

  add(record: Omit<CallRecord, 'seq'>): void {
    const full = { seq: this.records.length + 1, ...record };
    this.records.push(full);
    appendFileSync(this.file, `${JSON.stringify(full)}\n`, { mode: 0o600 });
  }
}

function read(file: string): CallRecord[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  // A line that a killed process left half written is no call that was answered.
  return text.split('\n').flatMap((line) => {
    try {
      return [JSON.parse(line) as CallRecord];
    } catch {
      return [];
    }
  });
}
