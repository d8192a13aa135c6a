/**
 * Every kept history replays on today's workflows (I12): a run that an earlier version began can be finished by this one.
 * New histories are added with `scripts/record-history.ts`; kept ones are never recorded anew.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { Worker } from '@temporalio/worker';
import { beforeAll, describe, expect, it } from 'vitest';
import { workflowBundle } from '../support/built.ts';
import { installRuntime } from '../support/temporal-runtime.ts';
import { HISTORIES, machineTraces } from './history-file.ts';

interface Payload {
  readonly data?: string;
}
interface HistoryEvent {
  readonly eventId: string;
  readonly eventType: string;
  activityTaskScheduledEventAttributes?: { activityType: { name: string } };
  readonly workflowExecutionCompletedEventAttributes?: { readonly result?: { readonly payloads?: readonly Payload[] } };
  readonly workflowExecutionFailedEventAttributes?: {
    readonly failure?: { readonly applicationFailureInfo?: { readonly type?: string } };
  };
}
interface KeptHistory {
  readonly workflowId: string;
  readonly events: HistoryEvent[];
}

const names = readdirSync(HISTORIES).filter((name) => name.endsWith('.json'));
const textOf = (name: string): string => readFileSync(new URL(name, HISTORIES), 'utf8');
const kept = (name: string): KeptHistory => JSON.parse(textOf(name)) as KeptHistory;

/** How a run may end; each way has at least one kept history. */
const ENDINGS = [
  'completed',
  'planned',
  'rolled-back-not-synced',
  'cancelled before the reset',
  'cancelled after the reset',
  'Refused',
  'FailedBeforeReset',
  'swept',
] as const;

function endingOf({ events }: KeptHistory): string {
  const last = events.at(-1);
  const payload = last?.workflowExecutionCompletedEventAttributes?.result?.payloads?.[0]?.data;
  if (payload !== undefined) {
    const result = JSON.parse(Buffer.from(payload, 'base64').toString()) as { outcome?: string; deleted?: number };
    // A sweep has no outcome of its own: it tells what it deleted.
    return result.outcome ?? (result.deleted === undefined ? 'unknown' : 'swept');
  }
  if (last?.eventType === 'EVENT_TYPE_WORKFLOW_EXECUTION_CANCELED') {
    const wasReset = activities(events).some(({ name }) => name === 'resetDisk');
    return `cancelled ${wasReset ? 'after' : 'before'} the reset`;
  }
  return last?.workflowExecutionFailedEventAttributes?.failure?.applicationFailureInfo?.type ?? String(last?.eventType);
}

const activities = (events: readonly HistoryEvent[]): Array<{ name: string }> =>
  events.flatMap(({ activityTaskScheduledEventAttributes: scheduled }) => scheduled?.activityType ?? []);

beforeAll(installRuntime);

const replay = async ({ workflowId, ...history }: KeptHistory): Promise<void> =>
  Worker.runReplayHistory(await workflowBundle(), history, workflowId);

describe('kept histories', () => {
  it('cover every ending', () => {
    expect(names.map((name) => endingOf(kept(name)))).toEqual(expect.arrayContaining([...ENDINGS]));
  });

  it.for(names)('%s replays', async (name) => {
    await replay(kept(name));
  });

  it.for(names)('%s does not say where it was recorded', (name) => {
    expect(machineTraces(textOf(name))).toEqual([]);
  });
});

describe('a replay fails', () => {
  const withReset = (): KeptHistory => {
    const found = names.map(kept).find(({ events }) => activities(events).some(({ name }) => name === 'resetDisk'));
    if (found === undefined) throw new Error('no history of a run that came to its reset is kept');
    return found;
  };

  it('when two steps have changed places', async () => {
    const history = withReset();
    const [first, second] = ['stopInstance', 'createSafetySnapshot'].map((name) =>
      activities(history.events).find((activity) => activity.name === name),
    );
    if (first === undefined || second === undefined) throw new Error('the history has no such steps');
    [first.name, second.name] = [second.name, first.name];
    await expect(replay(history)).rejects.toThrow(/TMPRL1100|[Nn]ondeterminism/);
  });

  it('when a step of the history is no longer taken', async () => {
    const history = withReset();
    const gate = activities(history.events).find(({ name }) => name === 'checkGate');
    if (gate === undefined) throw new Error('the history has no gate');
    gate.name = 'checkAnotherGate';
    await expect(replay(history)).rejects.toThrow(/TMPRL1100|[Nn]ondeterminism/);
  });
});
