/** The stories that the demo can tell. */
import type { Scenario } from '../story.ts';
import { cancel } from './cancel.ts';
import { killWorker } from './kill-worker.ts';
import { lostReply } from './lost-reply.ts';
import { postgres } from './postgres.ts';
import { recover } from './recover.ts';
import { undo } from './undo.ts';

export const scenarios = {
  recover,
  cancel,
  'kill-worker': killWorker,
  'lost-reply': lostReply,
  undo,
  postgres,
} as const satisfies Readonly<Record<string, Scenario>>;
export type ScenarioName = keyof typeof scenarios;
export const scenarioNames = Object.keys(scenarios) as ScenarioName[];
