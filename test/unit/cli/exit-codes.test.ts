/** The exit code table, row by row. */
import { describe, expect, it } from 'vitest';
import {
  exitCodeOfClientError,
  exitCodeOfFailure,
  exitCodeOfPlan,
  exitCodeOfResult,
  exitCodeOfView,
} from '../../../src/cli/exit-codes.ts';
import type { ClientErrorKind } from '../../../src/client.ts';
import { ACTIVITY_FAILURE, FAILURE } from '../../../src/contract/messages.ts';
import { blocker, endedView, samplePlan, sampleReport, sampleResult, sampleView } from './samples.ts';

describe('of a plan', () => {
  it.each([
    [[], 0],
    [[{ severity: 'warning', code: 'DiskGrownSince', fact: 'grown' } as const], 0],
    [[blocker('DiskBusy')], 3],
    [[blocker('DiskNotFound')], 6],
    [[blocker('SnapshotNotFound')], 6],
    [[blocker('DiskBusy'), blocker('InstanceNotFound')], 6],
    [[{ ...blocker('DiskNotFound'), severity: 'warning' as const }], 0],
  ])('%j exits %i', (findings, expected) => {
    expect(exitCodeOfPlan(samplePlan({ findings }))).toBe(expected);
  });
});

describe('of a result', () => {
  it.each([
    ['completed', 0],
    ['completed-with-leftovers', 5],
    ['rolled-back-not-synced', 5],
    ['planned', 0],
  ] as const)('%s exits %i', (outcome, expected) => {
    expect(exitCodeOfResult(sampleResult({ outcome }))).toBe(expected);
  });

  it('of a plan with blockers is that of its plan', () => {
    const plan = samplePlan({ findings: [blocker('DiskBusy')] });
    expect(exitCodeOfResult(sampleResult({ outcome: 'planned', plan }))).toBe(3);
  });
});

describe('of a failure', () => {
  it.each([
    [FAILURE.invalidInput, undefined, 2],
    [FAILURE.refused, undefined, 3],
    [FAILURE.refused, ACTIVITY_FAILURE.credentials, 4],
    [FAILURE.refused, ACTIVITY_FAILURE.notFound, 6],
    [FAILURE.failedBeforeReset, undefined, 1],
    [FAILURE.failedBeforeReset, ACTIVITY_FAILURE.credentials, 4],
    [FAILURE.failedBeforeReset, ACTIVITY_FAILURE.denied, 4],
    [FAILURE.failedBeforeReset, ACTIVITY_FAILURE.notFound, 6],
    [FAILURE.failedBeforeReset, ACTIVITY_FAILURE.unreachable, 7],
    [FAILURE.failedBeforeReset, ACTIVITY_FAILURE.snapshotFailed, 1],
    [FAILURE.failedBeforeReset, 'KindOfTheFuture', 1],
    [FAILURE.syncFailed, undefined, 1],
    [FAILURE.syncFailed, ACTIVITY_FAILURE.denied, 4],
    [FAILURE.failedAfterReset, undefined, 1],
    [FAILURE.failedAfterReset, ACTIVITY_FAILURE.credentials, 1],
    [FAILURE.failedAfterReset, ACTIVITY_FAILURE.unreachable, 1],
    ['TypeOfTheFuture', ACTIVITY_FAILURE.denied, 1],
  ])('%s with %s exits %i', (type, failureKind, expected) => {
    const report = sampleReport(failureKind === undefined ? {} : { failureKind });
    expect(exitCodeOfFailure({ type, report })).toBe(expected);
  });

  it('of a refusal for something that is not there exits 6', () => {
    const report = sampleReport({ plan: samplePlan({ findings: [blocker('SnapshotNotFound')] }) });
    expect(exitCodeOfFailure({ type: FAILURE.refused, report })).toBe(6);
  });

  it('without a type or a report exits 1', () => {
    expect(exitCodeOfFailure({})).toBe(1);
  });
});

describe('of a run', () => {
  it.each(['cancelled', 'terminated', 'timed-out', 'failed', 'unknown'] as const)('%s exits 1', (execution) => {
    expect(exitCodeOfView(endedView({ execution, failure: { message: 'x' } }))).toBe(1);
  });

  it('that goes on exits 0', () => {
    expect(exitCodeOfView(sampleView())).toBe(0);
  });

  it('that is said to be completed but has no readable result exits 1', () => {
    expect(exitCodeOfView(endedView({}))).toBe(1);
  });
});

describe('of a client error', () => {
  const table: Record<ClientErrorKind, number> = {
    config: 2,
    invalidInput: 2,
    conflict: 3,
    refused: 3,
    denied: 4,
    notFound: 6,
    unreachable: 7,
    noWorker: 7,
    searchAttributes: 7,
    server: 1,
  };
  it.each(Object.entries(table))('%s exits %i', (kind, expected) => {
    expect(exitCodeOfClientError(kind as ClientErrorKind)).toBe(expected);
  });
});
