import { describe, expect, test } from 'vitest';
import {
  type Checksums,
  type CloudState,
  type Evidence,
  leftoversOf,
  prove,
  type Readings,
} from '../../../local/proof.ts';

const sums = (whole: string, rolledBack: string, broughtBack: string, other: string): Checksums => ({
  whole,
  rolledBack,
  broughtBack,
  other,
  files: 1,
});

const readings: Readings = {
  atSnapshotA: sums('w-a', 'catalog-a', 'orders-a', 'reports-a'),
  beforeDamage: sums('w-before', 'catalog-a', 'orders-new', 'reports-new'),
  afterDamage: sums('w-damaged', 'catalog-ruined', 'orders-new', 'reports-bad'),
  afterRollback: sums('w-a', 'catalog-a', 'orders-a', 'reports-a'),
  afterSync: sums('w-before', 'catalog-a', 'orders-new', 'reports-a'),
};
const good: Evidence = {
  readings,
  resetCalls: 1,
  leftovers: [],
  starterExitCode: 0,
  readAfterRollbackAt: '2026-11-22T03:00:06.500Z',
  steps: [1, 2, 3, 4, 5, 6, 7, 8].map((number) => ({
    number,
    outcome: 'done',
    startedAt: `2026-11-22T03:00:0${number}.000Z`,
  })),
};
const broken = (evidence: Evidence): string[] =>
  prove(evidence)
    .filter(({ holds }) => !holds)
    .map(({ claim }) => claim);

describe('what the demo claims', () => {
  test('holds for a true recovery', () => {
    expect(broken(good)).toEqual([]);
  });

  const lies: Array<[what: string, change: Partial<Evidence> & { readings?: Readings }, claim: RegExp]> = [
    ['a demo without damage', { readings: { ...readings, afterDamage: readings.beforeDamage } }, /bad deploy/],
    ['a demo without new data', { readings: { ...readings, beforeDamage: readings.atSnapshotA } }, /new data/],
    ['a reset that did nothing', { readings: { ...readings, afterRollback: readings.afterDamage } }, /held snapshot A/],
    [
      'a reset that left one file behind',
      { readings: { ...readings, afterRollback: { ...readings.afterRollback, other: 'reports-bad' } } },
      /held snapshot A/,
    ],
    [
      'orders that came back with another owner',
      { readings: { ...readings, afterSync: { ...readings.afterSync, broughtBack: 'orders-owner' } } },
      /orders and uploads/,
    ],
    [
      'a copy that brought the ruined catalogue along',
      { readings: { ...readings, afterSync: { ...readings.afterSync, rolledBack: 'catalog-ruined' } } },
      /catalogue and configuration are/,
    ],
    [
      'a copy that touched what was not asked for',
      { readings: { ...readings, afterSync: { ...readings.afterSync, other: 'reports-bad' } } },
      /not asked back/,
    ],
    ['a reading taken while the copy ran', { readAfterRollbackAt: '2026-11-22T03:00:07.500Z' }, /before the copy/],
    ['two resets', { resetCalls: 2 }, /exactly one ResetDisk/],
    ['no reset', { resetCalls: 0 }, /exactly one ResetDisk/],
    ['a disk left over', { leftovers: ['disk d-x'] }, /nothing temporary/],
    ['a failing starter', { starterExitCode: 5 }, /exit code 0/],
    ['a step not done', { steps: good.steps.map((s) => (s.number === 7 ? { ...s, outcome: 'skipped' } : s)) }, /eight/],
    ['a step missing', { steps: good.steps.slice(1) }, /eight/],
  ];
  test.each(lies)('%s is found out', (_, change, claim) => {
    expect(broken({ ...good, ...change }).join('\n')).toMatch(claim);
  });
});

describe('leftovers', () => {
  const scene = { instanceId: 'i-1', systemDiskId: 'd-sys', dataDiskId: 'd-data' };
  const attachment = { instanceId: 'i-1' };
  const clean: CloudState = {
    disks: { 'd-sys': { status: 'In_use', attachment }, 'd-data': { status: 'In_use', attachment } },
    snapshots: { 's-a': { status: 'accomplished' }, 's-b': { status: 'accomplished' } },
    instances: { 'i-1': { status: 'Running' } },
  };
  const left = (change: Partial<CloudState>, guest: string[] = []) =>
    leftoversOf({ ...clean, ...change }, scene, ['s-a', 's-b'], guest);

  test('none after a clean run', () => {
    expect(left({})).toEqual([]);
  });

  test('a recovery disk, attached or not', () => {
    expect(left({ disks: { ...clean.disks, 'd-rec': { status: 'In_use', attachment } } })).toEqual([
      'disk d-rec (In_use, attached to i-1)',
    ]);
    expect(left({ disks: { ...clean.disks, 'd-rec': { status: 'Available', attachment: null } } })).toEqual([
      'disk d-rec (Available)',
    ]);
  });

  test('the original disk detached or gone', () => {
    expect(left({ disks: { ...clean.disks, 'd-data': { status: 'Available', attachment: null } } })).toEqual([
      'disk d-data is no longer attached to i-1',
    ]);
    expect(left({ disks: { 'd-sys': { status: 'In_use', attachment } } })).toEqual([
      'disk d-data of the scene is gone',
    ]);
  });

  test('a snapshot too many, and a kept one gone', () => {
    expect(left({ snapshots: { ...clean.snapshots, 's-c': { status: 'progressing' } } })).toEqual([
      'snapshot s-c (progressing)',
    ]);
    expect(left({ snapshots: { 's-a': { status: 'accomplished' } } })).toEqual([
      'snapshot s-b, which must be kept, is not there',
    ]);
  });

  test('an instance that was left stopped, and what the guest tells', () => {
    expect(left({ instances: { 'i-1': { status: 'Stopped' } } })).toEqual(['instance i-1 is Stopped, but ran before']);
    expect(left({}, ['mount /run/ecs-rollback/x of /dev/vdc'])).toEqual([
      'guest: mount /run/ecs-rollback/x of /dev/vdc',
    ]);
  });
});
