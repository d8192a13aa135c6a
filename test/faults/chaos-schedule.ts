/**
 * What happens to one run of the chaos test, drawn from its seed alone: what it is asked to do, what goes wrong with which
 * call, and what people do when. Moments are lengths of the run's history, so that a busy machine changes nothing.
 */
import type { FaultRule } from '../../simulator/state/model.ts';
import type { Decision } from '../../src/contract/operator.ts';
import type { RollbackRequest } from '../../src/contract/rollback.ts';
import { COMMON_CODES, DOCUMENTED_CODES, type MutatingAction } from './documented-codes.ts';

export type Wishes = Omit<RollbackRequest, 'regionId' | 'diskId' | 'snapshotId'>;

/** Something that happens once the run's history has so many events. */
export interface Happening {
  readonly at: number;
  readonly what:
    | 'cancel'
    | 'pause'
    | 'hold the instance'
    | 'hold the disk'
    | 'agent offline'
    | 'restart the worker'
    | 'a second run';
  /** Until it is over, for what passes: milliseconds. */
  readonly for: number;
}

export interface Schedule {
  readonly seed: number;
  readonly wishes: Wishes;
  readonly foundStopped: boolean;
  readonly faults: ReadonlyArray<Partial<FaultRule> & { readonly action: string }>;
  readonly happenings: readonly Happening[];
  readonly approve: 'approve' | 'reject';
  /** Answers to what the run asks, one after the other; then `abort`. */
  readonly decisions: readonly Decision[];
  /** After the end of a run that has reset the disk, somebody undoes it. */
  readonly regret: boolean;
}

/** Mulberry32: numbers in [0, 1), the same for the same seed everywhere. */
export function random(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

const MUTATING = Object.keys(DOCUMENTED_CODES) as MutatingAction[];
/** What a run calls after the reset, each with what tells that call from those before the reset. */
const AFTER_RESET: ReadonlyArray<{ action: MutatingAction; match: Record<string, string> }> = [
  { action: 'StartInstance', match: { DryRun: '' } },
  { action: 'CreateDisk', match: { DryRun: '' } },
  { action: 'AttachDisk', match: {} },
  { action: 'DetachDisk', match: {} },
  { action: 'DeleteDisk', match: {} },
  ...['guest-ready', 'find-device', 'mount', 'copy-start', 'verify-start', 'unmount'].map(
    (script): { action: MutatingAction; match: Record<string, string> } => ({
      action: 'RunCommand',
      match: { Name: `ecs-rollback-${script}` },
    }),
  ),
];
const LOOKS = ['DescribeInstances', 'DescribeDisks', 'DescribeSnapshots', 'DescribeCloudAssistantStatus'] as const;
/** A run with everything has about so many events. */
const EVENTS = 190;

export function scheduleOf(seed: number): Schedule {
  const next = random(seed);
  const chance = (probability: number): boolean => next() < probability;
  const upTo = (most: number): number => Math.floor(next() * (most + 1));
  const oneOf = <T>(choices: readonly T[]): T => choices[Math.floor(next() * choices.length)] as T;
  const maybe = <K extends string, V>(probability: number, key: K, value: () => V): { [P in K]?: V } =>
    chance(probability) ? ({ [key]: value() } as { [P in K]?: V }) : {};

  const foundStopped = chance(0.1);
  const sync = chance(0.75);
  const wishes: Wishes = {
    snapshotMode: oneOf(['cold', 'cold', 'warm', 'hot']),
    ...(sync ? { sync: { paths: ['/data/uploads'] } } : {}),
    ...maybe(0.2, 'lockSafetySnapshotDays', () => 1),
    ...maybe(0.15, 'forceStop', () => true),
    ...maybe(0.2, 'approval', () => ({ quorum: 1 + upTo(1) })),
    ...(sync ? {} : maybe(0.3, 'powerAfter', () => oneOf(['running', 'stopped'] as const))),
    onFailureAfterReset: oneOf(['ask', 'ask', 'abort', 'undo']),
    onLeaseHeld: oneOf(['wait', 'fail']),
  };

  const faults = Array.from({ length: upTo(5) }, (): Partial<FaultRule> & { action: string } => {
    const mutating = chance(0.75);
    const action: string = mutating ? oneOf(MUTATING) : oneOf(LOOKS);
    const often = { action, match: { DryRun: '' }, skip: upTo(2), times: 1 + upTo(2) };
    const documented = mutating ? [...DOCUMENTED_CODES[action as MutatingAction], ...COMMON_CODES] : COMMON_CODES;
    const {
      code,
      status,
      class: className,
    } = oneOf(documented.filter((each) => each.class !== 'stays' || chance(0.3)));
    const error = { code, status, message: `${code}, said by a fault.` };
    switch (oneOf(['error', 'error', 'lost', 'lost', 'refused', 'garbage', 'slow', 'throttled'] as const)) {
      case 'error':
        // "Not found", of something that is there, would be a lie about the world and not about a call.
        return {
          ...often,
          error,
          afterEffect: className === 'reached',
          // What only a person can mend is looked at twice a minute by a wait.
          ...(className === 'passes' ? {} : { times: 1 }),
        };
      case 'throttled':
        return {
          ...often,
          error: { code: 'Throttling.User', status: 400, message: 'Too many.', retryAfterMs: upTo(500) },
        };
      case 'slow':
        return { ...often, delayMs: upTo(800), delayAfterMs: upTo(800) };
      case 'lost':
        return { ...often, answer: 'lost' };
      case 'garbage':
        return { ...often, answer: 'garbage' };
      case 'refused':
      default:
        return { ...often, answer: 'refused' };
    }
  });

  /** Refused for good, so often in a row, as a call is of which only a person can make anything. */
  const staying = (action: MutatingAction, match: Record<string, string>): Schedule['faults'][number] => {
    const { code, status } = oneOf(DOCUMENTED_CODES[action].filter((each) => each.class === 'stays'));
    const error = { code, status, message: `${code}, said by a fault.` };
    return { action, match, times: oneOf([1, 1, 2, 5]), error };
  };
  if (chance(0.35)) {
    const { action, match } = chance(0.3) ? (AFTER_RESET[0] as (typeof AFTER_RESET)[0]) : oneOf(AFTER_RESET);
    faults.push(staying(action, match));
  }
  if (chance(0.05)) {
    // Not heard, which nobody can know, and then refused: whether it took effect is for a person to find out.
    const first = { action: 'ResetDisk', match: { DryRun: '' }, times: 1, answer: 'refused' as const };
    faults.push(first, { ...staying('ResetDisk', { DryRun: '' }), skip: 1 });
  }

  const happenings: Happening[] = (
    [
      ['cancel', 0.25],
      ['pause', 0.2],
      ['hold the instance', 0.15],
      ['hold the disk', 0.15],
      ['agent offline', 0.2],
      ['restart the worker', 0.08],
      ['a second run', 0.12],
    ] as const
  ).flatMap(([what, probability]): Happening[] =>
    chance(probability) ? [{ what, at: 3 + upTo(EVENTS), for: 300 + upTo(1700) }] : [],
  );
  return {
    seed,
    wishes,
    foundStopped,
    faults,
    happenings: happenings.sort((a, b) => a.at - b.at),
    approve: chance(0.85) ? 'approve' : 'reject',
    decisions: Array.from({ length: 4 }, () => oneOf(['retry', 'retry', 'skip', 'undo', 'abort'] as const)),
    regret: chance(0.1),
  };
}
