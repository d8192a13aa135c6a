/** Every call that was received, in memory and, where the state is kept, line by line on disk; scripts and contents only as hash and size. */
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
  private readonly file: string | undefined;

  /**
   * Without `kept` it ends with the process. `lastEffect`: of the world that goes with it; a later call took effect in a
   * world that was not written any more.
   */
  constructor(kept?: { readonly stateDir: string; readonly lastEffect: number }) {
    this.file = kept && join(kept.stateDir, 'calls.jsonl');
    this.records = this.file === undefined ? [] : read(this.file);
    const lastEffect = kept?.lastEffect ?? 0;
    for (const record of this.records) {
      if (record.tookEffect && record.seq > lastEffect)
        this.amend(record, { tookEffect: false, code: 'lost in a crash' });
    }
  }

  add(record: Omit<CallRecord, 'seq'>): CallRecord {
    const full = { seq: this.records.length + 1, ...record };
    this.records.push(full);
    this.write(full);
    return full;
  }

  amend(record: CallRecord, changes: Partial<CallRecord>): void {
    Object.assign(record, changes);
    this.write(record);
  }

  private write(record: CallRecord): void {
    if (this.file === undefined) return;
    // The line end comes first: what a killed process left half written must not swallow the next one.
    appendFileSync(this.file, `\n${JSON.stringify(record)}`, { mode: 0o600 });
  }
}

/** A call's last line counts: one that takes effect is written down before its answer, and again with it. */
function read(file: string): CallRecord[] {
  let text: string;
  try {
    text = readFileSync(file, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return [];
    throw error;
  }
  const bySeq = new Map<number, CallRecord>();
  for (const line of text.split('\n')) {
    try {
      const record = JSON.parse(line) as CallRecord;
      bySeq.set(record.seq, record);
    } catch {
      // A line that a killed process left half written is no call that was answered.
    }
  }
  return [...bySeq.values()];
}
