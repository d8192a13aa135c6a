/**
 * Histories as files: Temporal's own JSON, without anything that tells on which machine a run was made. Replaying needs
 * none of what is taken out.
 */
import type { History } from '@temporalio/common/lib/proto-utils.js';
import { historyToJSON } from '@temporalio/common/lib/proto-utils.js';

/** The JSON of `temporal workflow show -o json`, as `Worker.runReplayHistory` takes it. */
export const exportHistory = (history: History): string => historyToJSON(history);

/** Processes name themselves pid@host, and a sticky queue is named after its worker; stack traces hold paths. */
export function withoutMachine(historyJson: string): string {
  return JSON.stringify(scrubbed(JSON.parse(historyJson)), null, 1);
}

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
