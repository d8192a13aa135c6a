/** What a sweep may delete: one thing that every rule lets go, and for each rule one that only this rule keeps. */
import { describe, expect, it } from 'vitest';
import { inOrder, judge, type Leftover, rowOf, RULES, sweepDetails, sweepSummary } from '../../../src/domain/sweep.ts';

const AT = '2026-11-22T12:00:00Z';
const disk: Leftover = {
  kind: 'disk',
  id: 'd-bp1rrrrrrrrrrrrrrrrr',
  status: 'Available',
  purpose: 'recovery-disk',
  runId: 'run-1',
  workflowId: 'rollback-d-bp1ooooooooooooooooo',
  expiresAt: '2026-11-29T11:00:00Z',
  createdAt: '2026-11-22T11:00:00Z',
  sizeGiB: 40,
  attachedTo: [],
  diskKind: 'data',
  madeFrom: { snapshotId: 's-bp1bbbbbbbbbbbbbbbbb', diskId: 'd-bp1ooooooooooooooooo' },
  snapshotsOfIt: [],
  run: 'closed',
  openRuns: [],
};
const snapshot: Leftover = {
  kind: 'snapshot',
  id: 's-bp1wwwwwwwwwwwwwwwww',
  status: 'accomplished',
  purpose: 'warm-up-snapshot',
  runId: 'run-1',
  workflowId: 'rollback-d-bp1ooooooooooooooooo',
  createdAt: '2026-11-22T11:00:00Z',
  sizeGiB: 40,
  attachedTo: [],
  snapshotsOfIt: [],
  run: 'closed',
  openRuns: [],
};
const host = { instanceId: 'i-bp1', status: 'Running', agentOnline: true, heldBy: null };
const attached: Leftover = { ...disk, status: 'In_use', attachedTo: ['i-bp1'], host };
const choices = { releaseAttached: false, minAgeSeconds: 0 };
const releasing = { ...choices, releaseAttached: true };

it('lets a detached recovery disk and a warm-up snapshot of an ended run go', () => {
  for (const leftover of [disk, snapshot]) {
    expect(judge(leftover, choices, AT)).toEqual({
      doomed: true,
      reason: `left over by run ${leftover.workflowId}, which has ended`,
    });
  }
});

it('lets an attached one go only when asked to release it', () => {
  expect(judge(attached, choices, AT).doomed).toBe(false);
  expect(judge(attached, releasing, AT)).toMatchObject({
    doomed: true,
    reason: expect.stringMatching(/attached to i-bp1$/),
  });
  // Nothing in the guest of a stopped instance can use it.
  const stopped = { ...attached, host: { ...host, status: 'Stopped', agentOnline: false } };
  expect(judge(stopped, releasing, AT).doomed).toBe(true);
});

interface Breach {
  readonly rule: string;
  readonly of: Leftover;
  readonly asked?: { releaseAttached: boolean; minAgeSeconds: number };
  readonly reason: RegExp;
}
const breaches: readonly Breach[] = [
  { rule: 'ours', of: { ...disk, runId: '' }, reason: /all three tags/ },
  { rule: 'ours', of: { ...disk, workflowId: '' }, reason: /all three tags/ },
  { rule: 'temporary', of: { ...snapshot, purpose: 'safety-snapshot' }, reason: /a safety snapshot is never swept$/ },
  {
    rule: 'temporary',
    of: { ...snapshot, purpose: 'safety-snapshot', expiresAt: '2026-12-22T11:00:00Z' },
    reason: /the cloud deletes it after 2026-12-22/,
  },
  { rule: 'temporary', of: { ...disk, purpose: 'warm-up-snapshot' }, reason: /not the purpose of a temporary disk/ },
  { rule: 'temporary', of: { ...snapshot, purpose: 'recovery-disk' }, reason: /not the purpose of a temporary snap/ },
  { rule: 'run ended', of: { ...disk, openRuns: ['rollback-d-1'] }, reason: /^run rollback-d-1 is open$/ },
  { rule: 'run known', of: { ...disk, run: 'unknown' }, reason: /knows no run .* until 2026-11-29/ },
  { rule: 'run known', of: { ...snapshot, run: 'unknown' }, reason: /until somebody deletes it by hand/ },
  {
    rule: 'old enough',
    of: disk,
    asked: { ...choices, minAgeSeconds: 3_601 },
    reason: /it is 3600 s old, younger than 3601 s/,
  },
  { rule: 'old enough', of: { ...snapshot, createdAt: '' }, reason: /still being made/ },
  { rule: 'not an original disk', of: { ...disk, snapshotsOfIt: ['s-1'] }, reason: /original disk: s-1 was taken/ },
  { rule: 'not an original disk', of: { ...disk, diskKind: 'system' }, reason: /not a data disk/ },
  {
    rule: 'made from a snapshot of another disk',
    of: { ...disk, madeFrom: { snapshotId: 's-1', diskId: disk.id } },
    reason: /snapshot of itself/,
  },
  {
    rule: 'made from a snapshot of another disk',
    of: { ...disk, madeFrom: { snapshotId: 's-1' } },
    reason: /s-1, which it was made from, is not to be seen/,
  },
  { rule: 'settled', of: { ...disk, status: 'Creating' }, reason: /it is Creating/ },
  { rule: 'settled', of: { ...snapshot, status: 'progressing' }, reason: /it is progressing/ },
  { rule: 'detached, or to be released', of: attached, reason: /attached to i-bp1: a sweep that releases/ },
  { rule: 'detached, or to be released', of: { ...disk, status: 'In_use' }, reason: /it is In_use/ },
  {
    rule: 'detached, or to be released',
    of: { ...attached, attachedTo: ['i-bp1', 'i-bp2'] },
    asked: releasing,
    reason: /attached to i-bp1, i-bp2$/,
  },
  {
    rule: 'detached, or to be released',
    of: { ...attached, host: { ...host, heldBy: 'rollback-d-9' } },
    asked: releasing,
    reason: /^run rollback-d-9 works on i-bp1$/,
  },
  {
    rule: 'detached, or to be released',
    of: { ...attached, host: { ...host, agentOnline: false } },
    asked: releasing,
    reason: /agent of i-bp1 is offline/,
  },
  {
    rule: 'detached, or to be released',
    of: { ...attached, host: { ...host, status: 'Starting' } },
    asked: releasing,
    reason: /instance i-bp1 is Starting/,
  },
  {
    rule: 'release of a known run',
    of: { ...attached, run: 'unknown', expiresAt: '2026-11-20T00:00:00Z' },
    asked: releasing,
    reason: /it is attached, and this Temporal namespace knows no run/,
  },
];

describe('keeps', () => {
  it.each(breaches.map((breach) => [breach.rule, breach.reason, breach] as const))(
    'by the rule "%s" and no other: %s',
    (name, reason, { of, asked = choices }) => {
      const verdict = judge(of, asked, AT);
      expect(verdict.doomed).toBe(false);
      expect(verdict.reason).toMatch(reason);
      const without = RULES.filter((rule) => rule.name !== name);
      expect(without).toHaveLength(RULES.length - 1);
      expect(judge(of, asked, AT, without).doomed).toBe(true);
    },
  );

  it('what no rule is tried for here does not exist', () => {
    expect([...new Set(breaches.map(({ rule }) => rule))].sort()).toEqual(RULES.map(({ name }) => name).sort());
  });

  it('a disk that was made from nothing', () => {
    const { madeFrom: _, ...bare } = disk;
    expect(judge(bare, choices, AT)).toMatchObject({ doomed: false, reason: 'it was not made from a snapshot' });
  });

  it('nothing for its expiry alone: an expired one of an open run stays', () => {
    const expired = { ...disk, expiresAt: '2026-11-20T00:00:00Z' };
    expect(judge({ ...expired, openRuns: ['rollback-d-1'] }, choices, AT).doomed).toBe(false);
    expect(judge({ ...expired, run: 'unknown' }, choices, AT).doomed).toBe(true);
  });
});

describe('is told', () => {
  const rows = [
    rowOf(disk, AT, 'would-delete', 'left over'),
    rowOf({ ...snapshot, purpose: 'safety-snapshot' }, AT, 'kept', 'never | swept'),
    rowOf(attached, AT, 'kept', 'attached'),
  ];

  it('with age, size and verdict', () => {
    expect(rows[0]).toEqual({
      kind: 'disk',
      id: disk.id,
      purpose: 'recovery-disk',
      runId: 'run-1',
      workflowId: disk.workflowId,
      createdAt: disk.createdAt,
      ageSeconds: 3_600,
      sizeGiB: 40,
      attachedTo: [],
      expiresAt: '2026-11-29T11:00:00Z',
      verdict: 'would-delete',
      reason: 'left over',
    });
    expect(rowOf({ ...snapshot, createdAt: '' }, AT, 'kept', '').ageSeconds).toBe(0);
  });

  it('in one sentence', () => {
    expect(sweepSummary('cn-hangzhou', rows, { delete: false })).toBe(
      'cn-hangzhou: 1 leftover would be deleted, 1 temporary thing kept; 1 safety snapshot left to the cloud.',
    );
    expect(sweepSummary('cn-hangzhou', [], { delete: true })).toBe(
      'cn-hangzhou: 0 leftovers deleted, 0 temporary things kept; 0 safety snapshots left to the cloud.',
    );
  });

  it('as a table that no reason can break, cut where it gets too long', () => {
    const page = sweepDetails('Done', rows);
    expect(page).toContain('| `d-bp1rrrrrrrrrrrrrrrrr` recovery-disk | 1 h | 40 GiB |');
    expect(page).toContain('never \\| swept');
    expect(sweepDetails('Done', [])).toBe('### Done\n');
    const long = sweepDetails(
      'Done',
      Array.from({ length: 100 }, () => rows[0]!),
    );
    expect(long.split('\n').filter((line) => line.startsWith('| `d-'))).toHaveLength(40);
    expect(long).toContain('… and 60 more');
  });

  it('temporary things first, the oldest first', () => {
    const safety = { ...snapshot, id: 's-old', purpose: 'safety-snapshot', createdAt: '2026-01-01T00:00:00Z' };
    const young = { ...disk, id: 'd-young', createdAt: '2026-11-22T11:59:00Z' };
    const uncut = { ...snapshot, id: 's-uncut', createdAt: '' };
    expect([safety, uncut, young, disk].sort(inOrder).map(({ id }) => id)).toEqual([
      disk.id,
      'd-young',
      's-uncut',
      's-old',
    ]);
  });
});
