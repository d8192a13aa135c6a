/** A run as text: the first three lines must be enough at 3 a.m. */
import { describe, expect, it } from 'vitest';
import { listText } from '../../../src/cli/list-text.ts';
import { copyLine, statusText, transitions } from '../../../src/cli/status-text.ts';
import { resetOf, type RunView } from '../../../src/client.ts';
import type { CopyReceipt, NotBroughtBack, Step } from '../../../src/contract/rollback.ts';
import {
  blocker,
  DISK,
  endedView,
  NOW,
  plain,
  SNAPSHOT_A,
  SNAPSHOT_B,
  samplePlan,
  sampleReport,
  sampleResult,
  sampleStatus,
  sampleSteps,
  sampleView,
  typed,
} from './samples.ts';

const ascii = { style: plain({ LANG: 'C' }), now: NOW, typed };
const utf8 = { ...ascii, style: plain() };
const text = (view: RunView, options = utf8) => statusText(view, options);

it('shows an open run', () => {
  expect(text(sampleView({ status: sampleStatus() })).split('\n')).toEqual([
    `Rollback of disk ${DISK} to snapshot A ${SNAPSHOT_A}`,
    `rollback-${DISK} · 10m 00s`,
    'RUNNING  Taking snapshot B',
    'RESET HAPPENED: no – the disk still holds its newest data',
    '',
    '  ✔   Stop the instance                 31s',
    '  ● 1 Take snapshot B                9m 29s  37 %',
    '  ◷ 2 Reset the disk to snapshot A',
    '',
    'Cancel now would: Start the instance again and end the run.',
    `Next: \`ecs-rollback watch rollback-${DISK}\` to follow it`,
    `      \`ecs-rollback cancel rollback-${DISK}\` to stop it`,
  ]);
});

it('uses words where glyphs would be garbled', () => {
  const shown = text(sampleView({ status: sampleStatus() }), ascii);
  // oxlint-disable-next-line no-control-regex
  expect(shown).toMatch(/^[\u0000-\u007F]*$/);
  expect(shown).toContain('  ok     Stop the instance');
  expect(shown).toContain('  RUN  1 Take snapshot B');
  expect(shown).toContain('  wait 2 Reset the disk to snapshot A');
});

it.each([
  ['no', 'RESET HAPPENED: no – the disk still holds its newest data'],
  ['maybe', 'RESET HAPPENED: maybe – ResetDisk was sent; its outcome is not known yet'],
  ['yes', 'RESET HAPPENED: YES – the disk went back to snapshot A'],
] as const)('says whether the reset has happened: %s', (reset, expected) => {
  expect(text(sampleView({ status: sampleStatus({ resetHappened: reset }) })).split('\n')[3]).toBe(expected);
});

it('shows how far the copy is', () => {
  const copyProgress = {
    stage: 'copying',
    filesDone: 12,
    filesTotal: 40,
    bytesDone: 1_073_741_824,
    bytesTotal: 4_294_967_296,
  } as const;
  expect(copyLine(copyProgress)).toBe('copying, 12 of 40 files, 1 GiB of 4 GiB (25 %)');
  expect(text(sampleView({ status: sampleStatus(), copyProgress }))).toContain('\nCopy: copying, 12 of 40 files');
  expect(copyLine({ ...copyProgress, bytesTotal: 0, bytesDone: 0 })).toBe('copying, 12 of 40 files, 0 B of 0 B');
  const paced = { ...copyProgress, bytesPerSecond: 104_857_600, secondsLeft: 31 };
  expect(copyLine(paced)).toBe('copying, 12 of 40 files, 1 GiB of 4 GiB (25 %), 100 MiB/s, 31s left');
  // All bytes are there, and the last names are still put into their places.
  expect(copyLine({ ...copyProgress, bytesDone: copyProgress.bytesTotal })).toContain('(99 %)');
  expect(copyLine({ ...copyProgress, stage: 'done', bytesDone: copyProgress.bytesTotal })).toContain('(100 %)');
  expect(copyLine({ ...copyProgress, stage: 'scanning' })).toBe('scanning, 12 entries so far');
  const stuck = { ...copyProgress, changedAt: '2026-11-28T03:00:00.000Z' };
  expect(copyLine(stuck, Date.parse('2026-11-28T03:02:00.000Z'))).toContain('; nothing has changed for 2m 00s');
});

it('shows what is being retried and that nobody answers', () => {
  const shown = text(
    sampleView({
      phase: 'stopping',
      statusUnavailable: 'no worker answers',
      retrying: [{ activity: 'stopInstance', attempt: 4, message: 'Throttling\nsecond line' }],
    }),
  );
  expect(shown).toContain('RUNNING  phase: stopping');
  expect(shown).toContain('RESET HAPPENED: unknown');
  expect(shown).toContain('No live status: no worker answers');
  expect(shown).toContain('Retrying stopInstance (attempt 4): Throttling second line');
});

const RECEIPT: CopyReceipt = {
  filesSelected: 1,
  bytesSelected: 1,
  filesCopied: 1,
  bytesCopied: 1,
  filesKeptLive: 0,
  verified: true,
  xattrsCompared: true,
  digest: 'x',
  mismatches: [],
};

describe('an ended run', () => {
  it('that completed shows what came back and what is kept, and no next step', () => {
    const receipt = {
      filesSelected: 3,
      bytesSelected: 2048,
      filesCopied: 1,
      bytesCopied: 2048,
      filesKeptLive: 2,
      verified: true,
      xattrsCompared: true,
      digest: 'x',
      mismatches: [],
      notBroughtBack: {
        entries: 9,
        bytes: 3072,
        folders: Array.from({ length: 6 }, (_, i) => ({ folder: `/data/${i}`, entries: 1, bytes: 512 })),
      },
      report: { file: '/var/lib/ecs-rollback/r/report.gz', entries: 12, sha256: 'x' },
    } as const;
    // While the run goes on, too: before the recovery disk is released.
    const open = text(sampleView({ status: sampleStatus({ receipt }) }));
    expect(open).toContain('Not brought back, and in B only: 9 paths, 3 KiB\n  1 path, 512 B in /data/0\n');
    const shown = text(endedView({ result: sampleResult({ receipt }) }));
    expect(shown).toContain('  1 path, 512 B in /data/4\n  4 paths elsewhere\n');
    expect(shown).toMatch(/Path by path: `ecs-rollback report \S+` \(12 paths; --action keep,left/);
    expect(shown).toContain('DONE  The disk is back at snapshot A.');
    expect(shown).toContain('RESET HAPPENED: YES');
    expect(shown).toContain('Brought back: 1 file, 2 KiB; verified by content; 2 live files kept');
    expect(shown).toContain(`Snapshot B ${SNAPSHOT_B}: kept`);
    expect(shown).not.toContain('Next:');
    expect(shown).not.toContain('Cancel now');
  });

  it('says what of B was not compared, when nothing is missing, and when the report is not kept', () => {
    const of = (notBroughtBack: NotBroughtBack) =>
      text(endedView({ result: sampleResult({ receipt: { ...RECEIPT, notBroughtBack } }) }));
    const none = { entries: 0, bytes: 0, folders: [] };
    expect(of(none)).toContain('Not brought back: nothing, all that B has is live\nPath by path: not kept');
    const notCompared = ['/data/x: comparing took longer than 300 s', 'partition 3 of the recovery disk is swap space'];
    const lines = notCompared.map((what) => `  not compared: ${what}\n`).join('');
    expect(of({ ...none, notCompared })).toContain(`nothing, all that was compared is live\n${lines}`);
    expect(of({ entries: 1, bytes: 5, folders: [{ folder: '/data', entries: 1, bytes: 5 }], notCompared })).toContain(
      `Not brought back, and in B only: 1 path, 5 B\n  1 path, 5 B in /data\n${lines}`,
    );
  });

  it('whose copy differs says so loudly', () => {
    const receipt = {
      filesSelected: 1,
      bytesSelected: 1,
      filesCopied: 1,
      bytesCopied: 1,
      filesKeptLive: 0,
      verified: false,
      xattrsCompared: false,
      digest: 'x',
      mismatches: ['/data/a: content'],
    } as const;
    const shown = text(endedView({ result: sampleResult({ receipt }) }));
    expect(shown).toContain('NOT VERIFIED by content');
    expect(shown).toContain('differs: /data/a: content');
  });

  it('with leftovers names them', () => {
    const result = sampleResult({ outcome: 'completed-with-leftovers', leftovers: ['disk d-1 is still attached'] });
    const shown = text(endedView({ result }));
    expect(shown).toContain('DONE, LEFTOVERS');
    expect(shown).toContain('Left over, to be removed by hand: disk d-1 is still attached');
  });

  it('that was not synced says how to do it later', () => {
    const shown = text(endedView({ result: sampleResult({ outcome: 'rolled-back-not-synced' }) }));
    expect(shown).toContain('ROLLED BACK, NOT SYNCED');
    expect(shown).toContain(
      `\`ecs-rollback sync --region cn-hangzhou --disk ${DISK} --snapshot ${SNAPSHOT_B} --path …\``,
    );
  });

  it('that was refused lists why', () => {
    const report = sampleReport({
      summary: 'refused: 1 blocker',
      plan: samplePlan({ findings: [blocker('DiskBusy')] }),
    });
    const shown = text(
      endedView({ execution: 'failed', failure: { type: 'Refused', message: report.summary, report } }),
    );
    expect(shown).toContain('REFUSED  refused: 1 blocker');
    expect(shown).toContain('RESET HAPPENED: no');
    expect(shown).toContain('✖ fact of DiskBusy\n  → remedy of DiskBusy');
  });

  it('that failed after the reset says that it happened', () => {
    const report = sampleReport({ resetHappened: 'yes' });
    const shown = text(
      endedView({ execution: 'failed', failure: { type: 'FailedAfterReset', message: 'no start', report } }),
    );
    expect(shown).toContain('FAILED  no start');
    expect(shown).toContain('RESET HAPPENED: YES');
  });

  it('stops the clock of what was running when it ended', () => {
    const status = sampleStatus();
    const view = endedView({ execution: 'cancelled', status, failure: { message: 'the run was cancelled' } });
    const shown = text(view);
    expect(shown).toContain('CANCELLED  the run was cancelled');
    expect(shown).toContain(`rollback-${DISK} · 5m 00s`);
    expect(shown).toMatch(/● 1 Take snapshot B\s+4m 29s/);
  });

  it('that never said anything leaves the reset open rather than deny it', () => {
    const view = endedView({ execution: 'terminated', failure: { message: 'terminated' } });
    expect(resetOf(view)).toBeUndefined();
    expect(text(view)).toContain('RESET HAPPENED: unknown');
  });
});

it('of a sync is silent about resets', () => {
  const view = sampleView({ kind: 'sync', status: sampleStatus({ kind: 'sync' }) });
  expect(text(view)).not.toContain('RESET');
  expect(text(view).split('\n')[0]).toBe(`Sync of disk ${DISK} from snapshot ${SNAPSHOT_A}`);
});

describe('line by line', () => {
  const running = sampleView({ status: sampleStatus() });
  const [stop, take, reset] = sampleSteps as [Step, Step, Step];

  it('reports what has begun and ended at the first look', () => {
    expect(transitions(undefined, running, utf8)).toEqual([
      '✔ Stop the instance (31s)',
      '● step 1: Take snapshot B: 37 %',
    ]);
  });

  it('reports nothing when nothing has changed', () => {
    expect(transitions(running, running, utf8)).toEqual([]);
  });

  it('reports the end of a step, the next one and the point of no return', () => {
    const steps = [
      stop,
      { ...take, state: 'done', endedAt: '2026-11-22T03:01:01Z', detail: SNAPSHOT_B } as const,
      { ...reset, state: 'running', startedAt: '2026-11-22T03:01:01Z' } as const,
    ];
    const after = sampleView({ status: sampleStatus({ steps, resetHappened: 'maybe' }) });
    expect(transitions(running, after, utf8)).toEqual([
      `✔ step 1: Take snapshot B (30s): ${SNAPSHOT_B}`,
      '● step 2: Reset the disk to snapshot A',
      'RESET HAPPENED: maybe – ResetDisk was sent; its outcome is not known yet',
    ]);
  });

  it('reports a worker that goes and comes back', () => {
    const { status: _, ...silent } = { ...running, statusUnavailable: 'no worker answers' };
    expect(transitions(running, silent, utf8)).toEqual(['no live status: no worker answers']);
    expect(transitions(silent, running, utf8)).toContain('live status is back');
  });
});

describe('list', () => {
  it('aligns its columns', () => {
    const runs = [
      sampleView({ phase: 'copying' }),
      endedView({ workflowId: 'sync-x', execution: 'failed', phase: 'failed' }),
    ];
    expect(listText(runs, { ...utf8, waiting: [] }).split('\n')).toEqual([
      'RUN                              STATE    PHASE    DISK                    REGION       STARTED (UTC)     TOOK',
      `rollback-${DISK}  running  copying  ${DISK}  cn-hangzhou  2026-11-22 03:00  10m 00s`,
      `sync-x                           failed   failed   ${DISK}  cn-hangzhou  2026-11-22 03:00  5m 00s`,
    ]);
  });

  it('says when there is nothing', () => {
    expect(listText([], { ...utf8, waiting: [] })).toBe('No runs.');
  });
});
