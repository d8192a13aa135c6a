/** What the stories claim: each claim holds for a true ending, and fails for the lie it is there to find. */
import { describe, expect, it } from 'vitest';
import { type DemoDocument, demoDocument, summary } from '../../../local/demo-document.ts';
import type { Checksums, Claim } from '../../../local/proof.ts';
import { proveCancelled } from '../../../local/scenarios/cancel.ts';
import { scenarioNames } from '../../../local/scenarios/index.ts';
import { proveKilled } from '../../../local/scenarios/kill-worker.ts';
import { LOST, proveLost } from '../../../local/scenarios/lost-reply.ts';
import { provePostgres } from '../../../local/scenarios/postgres.ts';
import { proveUndone } from '../../../local/scenarios/undo.ts';
import type { CallRecord } from '../../../local/simulator-control.ts';
import type { Run } from '../../../local/story.ts';

const shop = (state: string, files = 100): Checksums => ({
  whole: `whole ${state}`,
  rolledBack: `rolledBack ${state}`,
  broughtBack: `broughtBack ${state}`,
  other: `other ${state}`,
  files,
});
const call = (action: string, over: Partial<CallRecord> = {}): CallRecord => ({
  action,
  parameters: {},
  code: '',
  tookEffect: true,
  answered: true,
  ...over,
});
/** What the plan asks. */
const DRY_RUN = call('ResetDisk', { tookEffect: false, parameters: { DryRun: 'true' } });
const broken = (claims: readonly Claim[]): string[] => claims.filter(({ holds }) => !holds).map(({ claim }) => claim);

it('there are six stories', () => {
  expect(scenarioNames).toEqual(['recover', 'cancel', 'kill-worker', 'lost-reply', 'undo', 'postgres']);
});

describe('cancel', () => {
  type Given = Parameters<typeof proveCancelled>[0];
  const ended = { exitCode: 1, view: { execution: 'cancelled' } } as const;
  const good: Given = {
    readings: {
      atSnapshotA: shop('A'),
      afterDamage: shop('ruined'),
      afterFirst: shop('ruined'),
      afterSecond: shop('A'),
    },
    leftovers: [],
    first: {
      run: ended,
      preview: 'Start the instance again and end the run; the disk stays as it is.',
      calls: [DRY_RUN, call('StopInstance'), call('CreateSnapshot'), call('StartInstance')],
      power: 'Running',
    },
    second: {
      run: ended,
      preview: 'Stop bringing data back, leave the disk at snapshot A with what was copied so far.',
      calls: [call('ResetDisk', { tookEffect: false }), call('ResetDisk'), call('CreateDisk'), call('DeleteDisk')],
      power: 'Running',
    },
  };
  it('holds for the true story', () => expect(broken(proveCancelled(good))).toEqual([]));

  const { first, second, readings } = good;
  it.each<[string, Partial<Given>, RegExp]>([
    [
      'nothing to roll back',
      { readings: { ...readings, afterDamage: shop('A'), afterFirst: shop('A') } },
      /not at snapshot A before/,
    ],
    [
      'a run that completed',
      { first: { ...first, run: { exitCode: 0, view: { execution: 'completed' } } } },
      /both runs ended/,
    ],
    ['another exit code', { second: { ...second, run: { ...ended, exitCode: 0 } } }, /both runs ended/],
    ['a cancel that said nothing', { first: { ...first, preview: '' } }, /first: the cancel said/],
    ['a cancel before anything was done', { first: { ...first, calls: [call('StartInstance')] } }, /had been stopped/],
    [
      'a ResetDisk, even one that was refused',
      { first: { ...first, calls: [...first.calls, call('ResetDisk', { tookEffect: false })] } },
      /no ResetDisk/,
    ],
    ['an instance left stopped', { first: { ...first, power: 'Stopped' } }, /first: the instance runs/],
    ['a changed byte', { readings: { ...readings, afterFirst: { ...shop('ruined'), other: 'x' } } }, /not a byte/],
    ['a lost file', { readings: { ...readings, afterFirst: shop('ruined', 99) } }, /not a byte/],
    ['a second cancel that said nothing', { second: { ...second, preview: '' } }, /second: the cancel said/],
    ['two resets', { second: { ...second, calls: [...second.calls, call('ResetDisk')] } }, /exactly one ResetDisk/],
    [
      'a disk that is not at A',
      { readings: { ...readings, afterSecond: shop('ruined') } },
      /second: the disk is at snapshot A/,
    ],
    ['an instance not started', { second: { ...second, power: 'Stopped' } }, /second: the instance runs/],
    ['a recovery disk left', { second: { ...second, calls: [call('ResetDisk'), call('CreateDisk')] } }, /is released/],
    ['a leftover', { leftovers: ['disk d-1'] }, /nothing temporary/],
  ])('finds %s', (_name, lie, claim) => {
    const found = broken(proveCancelled({ ...good, ...lie }));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(claim);
  });
});

describe('kill-worker', () => {
  const good = { signal: 'SIGKILL', resetting: true };
  it('holds for the true story', () => expect(broken(proveKilled(good))).toEqual([]));
  it.each([
    [{ ...good, signal: null }, /killed by SIGKILL/],
    [{ ...good, resetting: false }, /under way/],
  ])('finds %j', (lie, claim) => expect(broken(proveKilled(lie))).toEqual([expect.stringMatching(claim)]));
});

describe('lost-reply', () => {
  const lost = LOST.flatMap((action) => [call(action, { answered: false }), call(action, { tookEffect: false })]);
  const without = (action: string) => lost.filter((each) => each.action !== action);
  const dryRun = call('ResetDisk', { tookEffect: false, answered: false, parameters: { DryRun: 'true' } });

  it('holds when each was applied once and lost once', () => expect(broken(proveLost([dryRun, ...lost]))).toEqual([]));
  it.each(LOST)('finds %s done twice', (action) => {
    expect(broken(proveLost([...lost, call(action)]))).toEqual([`${action}: it took effect exactly once`]);
  });
  it.each(LOST)('finds a story in which the answer of %s was not lost', (action) => {
    expect(broken(proveLost([...without(action), call(action)]))).toEqual([
      `${action}: it took effect and the answer was lost`,
    ]);
  });
  it('does not take an answer for lost whose call had no effect', () => {
    const refused = [...without('ResetDisk'), call('ResetDisk', { tookEffect: false, answered: false })];
    expect(broken(proveLost(refused))).toHaveLength(2);
  });
});

describe('undo', () => {
  type Given = Parameters<typeof proveUndone>[0];
  const gate = { safetySnapshotId: 's-b2' } as NonNullable<NonNullable<Given['undoResult']>['gate']>;
  const good: Given = {
    readings: {
      beforeDamage: shop('good'),
      afterDamage: shop('ruined'),
      afterRun: shop('good'),
      afterUndo: shop('ruined'),
    },
    leftovers: [],
    refusal: { exitCode: 3, resets: 0 },
    snapshotA: 's-a',
    snapshotB: 's-b',
    runCalls: [call('ResetDisk', { parameters: { SnapshotId: 's-a' } })],
    undoCalls: [call('CreateSnapshot'), call('ResetDisk', { parameters: { SnapshotId: 's-b' } })],
    exitCodes: [0, 0],
    undoResult: { outcome: 'completed', gate },
  };
  it('holds for the true story', () => expect(broken(proveUndone(good))).toEqual([]));

  const { readings } = good;
  it.each<[string, Partial<Given>, RegExp]>([
    ['a run that recovered nothing', { readings: { ...readings, afterRun: shop('A') } }, /had recovered/],
    ['an undo without consent', { refusal: { exitCode: 0, resets: 0 } }, /without consent/],
    ['a reset in the refusal', { refusal: { exitCode: 3, resets: 1 } }, /without consent/],
    ['a failed undo', { exitCodes: [0, 1] }, /exit code 0/],
    ['a run onto another snapshot', { snapshotA: 's-x' }, /to snapshot A/],
    ['an undo that reset twice', { undoCalls: [...good.undoCalls, ...good.undoCalls.slice(1)] }, /to snapshot B/],
    ['an undo without a gate', { undoResult: { outcome: 'completed' } }, /the same gate/],
    ['an undo without a snapshot of its own', { undoCalls: good.undoCalls.slice(1) }, /the same gate/],
    [
      'a disk that is not as it was',
      { readings: { ...readings, afterUndo: { ...shop('ruined'), other: 'x' } } },
      /every byte/,
    ],
    ['a leftover', { leftovers: ['snapshot s-1'] }, /nothing temporary/],
  ])('finds %s', (_name, lie, claim) => {
    const found = broken(proveUndone({ ...good, ...lie }));
    expect(found).toHaveLength(1);
    expect(found[0]).toMatch(claim);
  });
});

describe('postgres', () => {
  type Given = Parameters<typeof provePostgres>[0];
  const sums = (rolledBack: string, broughtBack: string, other: string): Checksums => ({
    whole: `${rolledBack} ${broughtBack}`,
    rolledBack,
    broughtBack,
    other,
    files: 100,
  });
  const good: Given = {
    readings: {
      atSnapshotA: sums('A', 'A', 'A'),
      beforeDamage: sums('A', 'newer', 'newer'),
      afterDamage: sums('ruined', 'newer', 'newer'),
      afterRollback: sums('A', 'A', 'A'),
      afterBringingBack: sums('A', 'newer', 'A'),
    },
    resetCalls: 1,
    leftovers: [],
    starterExitCode: 0,
    stockUnreadableInB: true,
    stepsDone: 8,
  };
  it('holds for the true story', () => expect(broken(provePostgres(good))).toEqual([]));

  const { readings } = good;
  it.each<[string, Partial<Given>, RegExp]>([
    ['nothing to bring back', { readings: { ...readings, beforeDamage: sums('A', 'A', 'newer') } }, /were written/],
    ['nothing ruined', { readings: { ...readings, afterDamage: sums('A', 'newer', 'newer') } }, /ruined products/],
    ['a failed run', { starterExitCode: 5 }, /exit code 0/],
    ['a step not done', { stepsDone: 7 }, /all eight steps/],
    ['two resets', { resetCalls: 2 }, /exactly one ResetDisk/],
    [
      'a disk not at A',
      { readings: { ...readings, afterRollback: sums('A', 'newer', 'A') } },
      /was that of snapshot A/,
    ],
    ['a B without damage', { stockUnreadableInB: false }, /could not be read/],
    [
      'ruined tables at the end',
      { readings: { ...readings, afterBringingBack: sums('ruined', 'newer', 'A') } },
      /products and stock are those/,
    ],
    [
      'rows that are missing',
      { readings: { ...readings, afterBringingBack: sums('A', 'A', 'A') } },
      /customers and orders are those/,
    ],
    [
      'more than was asked for',
      { readings: { ...readings, afterBringingBack: sums('A', 'newer', 'newer') } },
      /stayed/,
    ],
    ['a leftover', { leftovers: ['disk d-1'] }, /nothing temporary/],
  ])('finds %s', (_name, lie, claim) => {
    const found = broken(provePostgres({ ...good, ...lie }));
    // Without newer rows, those at the end are not what they were before the damage either.
    expect(found.some((each) => claim.test(each))).toBe(true);
  });
});

describe('the document', () => {
  const simulator = {
    regionId: 'cn-hangzhou',
    dataPlane: 'loop',
    scene: { instanceId: 'i-1', systemDiskId: 'd-0', dataDiskId: 'd-1', mountPoint: '/data', fileSystem: 'ext4' },
  } as never;
  const run = {
    exitCode: 0,
    view: {
      workflowId: 'rollback-d-1',
      runId: 'run-1',
      execution: 'completed',
      result: { outcome: 'completed', steps: [] },
    },
  } as unknown as Run;
  const stack = { simulator, runUrl: (workflowId: string, runId: string) => `http://ui/${workflowId}/${runId}` };
  const made = (claims: Claim[]): DemoDocument =>
    demoDocument(
      'cancel',
      stack,
      {
        runs: [run, run],
        snapshotA: 's-a',
        snapshotB: 's-b',
        readings: { atSnapshotA: shop('A') },
        resetCalls: 1,
        leftovers: [],
        claims,
      },
      { total: 61.5 },
    );

  it('is verified only when there are claims and all hold', () => {
    expect(made([{ claim: 'x', holds: true }])).toMatchObject({
      verified: true,
      scenario: 'cancel',
      outcome: 'completed',
      runs: [{ temporalUi: 'http://ui/rollback-d-1/run-1' }, {}],
      checksums: { atSnapshotA: 'whole A', parts: { atSnapshotA: { other: 'other A' } } },
    });
    expect(
      made([
        { claim: 'x', holds: true },
        { claim: 'y', holds: false },
      ]).verified,
    ).toBe(false);
    expect(made([]).verified).toBe(false);
  });

  it('reads well', () => {
    const text = summary(made([{ claim: 'it was so', holds: false }]));
    expect(text).toContain('NOT PROVEN: cancel, disk d-1 of i-1');
    expect(text).toContain('  at snapshot A whole A\n');
    expect(text).toContain('  ✖ it was so\n');
    expect(text).toContain('total 61.5 s');
  });
});
