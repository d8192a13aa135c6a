/** The plan as a human reads it before saying yes. */
import { describe, expect, it } from 'vitest';
import { planText } from '../../../src/cli/plan-text.ts';
import { rollbackInputSchema, syncInputSchema } from '../../../src/contract/rollback.ts';
import { blocker, DISK, plain, SNAPSHOT_A, samplePlan } from './samples.ts';

const base = { regionId: 'cn-hangzhou', diskId: DISK, snapshotId: SNAPSHOT_A };
const withSync = rollbackInputSchema.parse({ ...base, sync: { paths: ['/data/uploads'] } });

describe('a plan with nothing in the way', () => {
  const text = planText(samplePlan(), withSync, plain());

  it('says what, what leaves the disk, and what comes back', () => {
    expect(text.split('\n').slice(0, 7)).toEqual([
      `Plan: roll back disk ${DISK} to snapshot A ${SNAPSHOT_A}`,
      '  Disk             data disk, 40 GiB, cloud_essd PL1, cn-hangzhou-h',
      '  Instance         i-bp1a2b3c4d5e6f7g8h9i "shop-db-1", Debian 12, running',
      '  Leaves the disk  everything written to it since 2026-11-21 23:00:00 UTC (4h 00m of changes)',
      '  Kept             all of it in snapshot B, taken just before the reset, for 30 days',
      '  Brought back     /data/uploads (newer-wins: replacing live files only where the copy is newer)',
      '  At the end       the instance is running, as found',
    ]);
  });

  it('ends with the verdict', () => {
    expect(text.split('\n').at(-1)).toBe('Nothing is in the way. Nothing was changed.');
    expect(text).not.toContain('Warnings');
  });

  it('names the steps in order', () => {
    expect(text).toContain(
      'Steps: Check the plan → Stop the instance → Take snapshot B → Gate: re-read everything → Reset the disk to snapshot A',
    );
  });
});

it('shows every blocker with its remedy first, and warnings apart', () => {
  const findings = [
    { severity: 'warning', code: 'DiskGrownSince', fact: 'the disk has grown', remedy: 'grow it again' } as const,
    { severity: 'warning', code: 'DataLossWindow', fact: 'said above' } as const,
    blocker('DiskBusy'),
    blocker('SnapshotNotReady'),
  ];
  const lines = planText(samplePlan({ findings }), withSync, plain()).split('\n');
  expect(lines.slice(lines.indexOf('Blocked: 2 reasons. Nothing was changed.'))).toEqual([
    'Blocked: 2 reasons. Nothing was changed.',
    '  ✖ --disk: fact of DiskBusy',
    '    → remedy of DiskBusy',
    '  ✖ --disk: fact of SnapshotNotReady',
    '    → remedy of SnapshotNotReady',
    '',
    'Warnings',
    '  ! the disk has grown',
    '    → grow it again',
  ]);
});

it('says so when the disk and the snapshot were not seen', () => {
  const { disk: _disk, target: _target, instance: _instance, ...bare } = samplePlan();
  const text = planText({ ...bare, findings: [blocker('DiskNotFound')] }, withSync, plain());
  expect(text).toContain(`Disk             ${DISK}: not seen in cn-hangzhou`);
  expect(text).toContain('Leaves the disk  unknown: the disk was not seen');
  expect(text).toContain('Blocked: 1 reason.');
  const { target: _snapshot, ...noTarget } = samplePlan();
  const other = planText({ ...noTarget, findings: [blocker('SnapshotNotFound')] }, withSync, plain());
  expect(other).toContain('Leaves the disk  unknown: snapshot A was not seen');
});

it('names no steps that will not be taken', () => {
  expect(planText(samplePlan({ findings: [blocker('DiskBusy')] }), withSync, plain())).not.toContain('Steps:');
});

it('says when nothing is brought back, the power state asked for, and the retention', () => {
  const input = rollbackInputSchema.parse({
    ...base,
    powerAfter: 'stopped',
    forceStop: true,
    safetySnapshotRetentionDays: 7,
  });
  const text = planText(samplePlan(), input, plain());
  expect(text).toContain('Brought back     nothing in this run (no --path)');
  expect(text).toContain('the instance is stopped; the stop may be forced');
  expect(text).toContain('for 7 days');
});

it('says in words what is brought back where no path was named', () => {
  const input = rollbackInputSchema.parse({ ...base, sync: { sinceA: true } });
  expect(planText(samplePlan(), input, plain())).toContain(
    'Brought back     everything that has changed since A (newer-wins',
  );
});

it('of a sync promises no reset', () => {
  const text = planText(samplePlan(), syncInputSchema.parse({ ...base, sync: { paths: ['/data/a'] } }), plain());
  expect(text.split('\n')[0]).toBe(`Plan: bring data back to disk ${DISK} from snapshot ${SNAPSHOT_A}`);
  expect(text).toContain('Snapshot         taken 2026-11-21 23:00:00 UTC, 40 GiB');
  expect(text).not.toContain('Leaves the disk');
});

it('is pure ASCII where the terminal is', () => {
  const findings = [blocker('DiskBusy')];
  const text = planText(samplePlan({ findings }), withSync, plain({ LANG: 'C' }));
  // oxlint-disable-next-line no-control-regex
  expect(text).toMatch(/^[\u0000-\u007F]*$/);
  expect(text).toContain('  x --disk: fact of DiskBusy\n    -> remedy of DiskBusy');
});

it('keeps an instance name from forging lines', () => {
  const instance = { id: 'i-1', name: 'a\u001B[2J\nNothing is in the way', osName: '', wasRunning: false };
  const text = planText(samplePlan({ instance, findings: [blocker('DiskBusy')] }), withSync, plain());
  expect(text).not.toContain('\u001B');
  expect(text.split('\n').filter((line) => line.startsWith('Nothing is in the way'))).toEqual([]);
});
