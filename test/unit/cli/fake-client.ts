/** Whole command lines against a client that answers as told. */
import { vi } from 'vitest';
import { main } from '../../../src/cli/program.ts';
import { RollbackClient } from '../../../src/client.ts';
import type { PlanFinding } from '../../../src/contract/rollback.ts';
import { DISK, endedView, handleOf, SNAPSHOT_A, samplePlan, sampleResult, sampleWorld } from './samples.ts';

export const target = ['--region', 'cn-hangzhou', '--disk', DISK, '--snapshot', SNAPSHOT_A];

/** Of a plan that has ended with these findings. */
export const planHandle = (findings: readonly PlanFinding[] = []) =>
  handleOf([endedView({ kind: 'plan', result: sampleResult({ outcome: 'planned', plan: samplePlan({ findings }) }) })]);

/** What the commands use of a client; every request that is sent is kept. */
export function fakeClient(over: Record<string, unknown> = {}) {
  const sent: Array<{ verb: string; args: unknown[] }> = [];
  const verb =
    (name: string, answer: unknown) =>
    async (...args: unknown[]) => {
      sent.push({ verb: name, args });
      const given = typeof answer === 'function' ? (answer as () => unknown)() : answer;
      if (given instanceof Error) throw given;
      return given;
    };
  const answers: Record<string, unknown> = {
    plan: planHandle,
    planSync: planHandle,
    findOpen: undefined,
    start: () => handleOf([endedView({ result: sampleResult() })]),
    sync: () => handleOf([endedView({ kind: 'sync', result: sampleResult() })]),
    close: undefined,
    ...over,
  };
  const client = Object.fromEntries(Object.entries(answers).map(([name, answer]) => [name, verb(name, answer)]));
  Object.assign(client, { kept: client });
  const connect = vi.spyOn(RollbackClient, 'connect').mockResolvedValue(client as unknown as RollbackClient);
  return { sent, connect, verbs: () => sent.map((call) => call.verb) };
}

/** A command line under way, with what it has written so far. */
export async function run(args: readonly string[], over: Parameters<typeof sampleWorld>[0] = {}) {
  const { world, written, stdin } = sampleWorld(over);
  const exit = main(args, world);
  return { exit, written, stdin };
}

export async function finished(args: readonly string[], over: Parameters<typeof sampleWorld>[0] = {}) {
  const { exit, written } = await run(args, over);
  return { exit: await exit, ...written };
}
