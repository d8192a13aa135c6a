/** A run that waits: what is shouted, and exactly what is to be typed; in status, watch, list and while `start` waits. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { listText } from '../../../src/cli/list-text.ts';
import { liveView } from '../../../src/cli/live-view.ts';
import { nextCommands, shellWord, typedWith, waitingLines } from '../../../src/cli/next-commands.ts';
import { statusText, transitions } from '../../../src/cli/status-text.ts';
import type { RunView } from '../../../src/client.ts';
import type { WaitingFor } from '../../../src/contract/operator.ts';
import { fakeClient, finished, target } from './fake-client.ts';
import {
  DISK,
  endedView,
  handleOf,
  INSTANCE,
  NOW,
  plain,
  sampleResult,
  sampleStatus,
  sampleView,
  typed,
} from './samples.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const ID = `rollback-${DISK}`;
const options = { style: plain(), now: NOW, typed };
const waitsFor = (waitingFor: WaitingFor): RunView =>
  sampleView({ status: sampleStatus({ headline: 'NEEDS AN OPERATOR: no stock', waitingFor }) });

const operator: WaitingFor = {
  kind: 'operator',
  step: 'startInstance',
  problem: 'no stock of ecs.g7.large\nin cn-hangzhou-h',
  choices: ['retry', 'undo', 'abort'],
  since: '2026-11-22T03:00:00Z',
};
const approval: WaitingFor = {
  kind: 'approval',
  planHash: 'c'.repeat(64),
  quorum: 2,
  approvals: [{ by: 'bob@ops-2', reason: 'ok', planHash: 'c'.repeat(64), at: '2026-11-22T03:05:00Z' }],
  until: '2026-11-22T06:10:00Z',
  reminders: 0,
};
const lease: WaitingFor = {
  kind: 'lease',
  instanceId: INSTANCE,
  holder: 'rollback-d-bp1other',
  since: '2026-11-22T03:09:00Z',
};
const pause: WaitingFor = { kind: 'pause', by: 'carol', reason: 'look first', since: '2026-11-22T03:08:00Z' };

describe('the commands', () => {
  it.each<[string, WaitingFor, readonly string[]]>([
    [
      'a decision',
      operator,
      [`resolve ${ID} retry --reason '…'`, `resolve ${ID} undo --reason '…'`, `resolve ${ID} abort --reason '…'`],
    ],
    [
      'what would be deleted',
      { ...operator, choices: ['delete', 'keep'], deletions: { entries: 3, bytes: 8, digest: 'd' } },
      [`report ${ID} --action delete`, `resolve ${ID} delete --reason '…'`, `resolve ${ID} keep --reason '…'`],
    ],
    ['an approval', approval, [`approve ${ID} --reason '…'`, `reject ${ID} --reason '…'`]],
    ['another run', lease, ['watch rollback-d-bp1other']],
    ['the end of a pause', pause, [`resume ${ID}`]],
  ])('for %s', (_name, waitingFor, commands) => {
    expect(nextCommands(waitsFor(waitingFor), typed).map(({ command }) => command)).toEqual(commands.map(typed));
  });

  it('are none while the holder of the lease is just ending', () => {
    const view = waitsFor({ ...lease, holder: 'a run that is just ending' });
    expect(nextCommands(view, typed)).toEqual([]);
    expect(waitingLines(view, options)).toHaveLength(1);
  });

  it('are none for a run that goes on, or has ended', () => {
    expect(nextCommands(sampleView({ status: sampleStatus() }), typed)).toEqual([]);
    expect(nextCommands(endedView({ status: sampleStatus({ waitingFor: operator }) }), typed)).toEqual([]);
  });

  it('come from the phase when no worker answers', () => {
    const silent = sampleView({ phase: 'needs-operator', statusUnavailable: 'no worker answers' });
    expect(nextCommands(silent, typed).map(({ command }) => command)).toEqual([typed(`status ${ID}`)]);
    expect(statusText(silent, options)).toContain('NEEDS AN OPERATOR');
  });

  it('lead to the same server, and survive a shell', () => {
    const reach = typedWith({ self: 'npm run -s starter --' }, { address: 'ops:7233', namespace: "it's" });
    expect(reach('watch x')).toBe(String.raw`npm run -s starter -- watch x --address ops:7233 --namespace 'it'\''s'`);
    expect(shellWord('undo/rollback-d-1')).toBe('undo/rollback-d-1');
    expect(shellWord('a; reboot')).toBe("'a; reboot'");
  });
});

describe('status', () => {
  it('of a run that needs an operator says so first and what to type last', () => {
    const lines = statusText(waitsFor(operator), options).split('\n');
    expect(lines[2]).toBe('NEEDS AN OPERATOR: no stock');
    const from = lines.indexOf('NEEDS AN OPERATOR, since 10m 00s');
    expect(lines.slice(from, from + 5)).toEqual([
      'NEEDS AN OPERATOR, since 10m 00s',
      '  Start the instance: no stock of ecs.g7.large in cn-hangzhou-h',
      `  ecs-rollback resolve ${ID} retry --reason '…'  do the step again`,
      `  ecs-rollback resolve ${ID} undo --reason '…'   roll the disk back onto snapshot B`,
      `  ecs-rollback resolve ${ID} abort --reason '…'  end the run here, and list what is missing`,
    ]);
  });

  it('counts approvals, and says until when', () => {
    expect(waitingLines(waitsFor(approval), options).slice(0, 2)).toEqual([
      'WAITING FOR APPROVAL: 1 of 2 approvals so far; refused by itself at 2026-11-22 06:10:00 UTC (in 3h 00m)',
      '  approved by bob@ops-2, 2026-11-22 03:05:00 UTC: ok',
    ]);
  });

  it('names the run in the way, and who has paused', () => {
    expect(waitingLines(waitsFor(lease), options)[0]).toBe(
      `WAITING FOR ANOTHER RUN: rollback-d-bp1other works on instance ${INSTANCE}; since 1m 00s`,
    );
    expect(waitingLines(waitsFor(pause), options)[0]).toBe('PAUSED by carol, since 2m 00s: look first');
  });

  it('-o json carries the commands', async () => {
    fakeClient({ view: () => waitsFor(operator) });
    const { exit, stdout } = await finished(['status', DISK, '-o', 'json', '--namespace', 'ops']);
    expect(exit).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      status: { waitingFor: { kind: 'operator' } },
      next: ['retry', 'undo', 'abort'].map(
        (decision) => `ecs-rollback resolve ${ID} ${decision} --reason '…' --namespace ops`,
      ),
    });
  });
});

describe('watch', () => {
  const goes = sampleView({ status: sampleStatus() });

  it('in a log says it once, again when something is new, and when it goes on', () => {
    expect(transitions(goes, waitsFor(operator), options).slice(-5)[0]).toBe('NEEDS AN OPERATOR, since 10m 00s');
    expect(transitions(waitsFor(operator), waitsFor(operator), options)).toEqual([]);
    const noted = waitsFor({ ...operator, note: 'the instance is not running' });
    expect(transitions(waitsFor(operator), noted, options)).toContain(
      '  the last decision was not followed: the instance is not running',
    );
    expect(transitions(waitsFor(operator), goes, options)).toEqual(['goes on']);
    const reminded = waitsFor({ ...approval, reminders: 1 });
    expect(transitions(waitsFor(approval), reminded, options)[0]).toMatch(/^WAITING FOR APPROVAL/);
    expect(transitions(waitsFor(operator), endedView({ result: sampleResult() }), options)).not.toContain('goes on');
  });

  it('rings the bell of a terminal once', () => {
    const seen = { text: '', isTTY: true, columns: 120, rows: 60, write: (text: string) => (seen.text += text) };
    const live = liveView({ stream: seen, env: {}, ...options, now: () => NOW });
    for (const view of [goes, waitsFor(operator), waitsFor(operator), goes, waitsFor(lease)]) live.show(view);
    expect(seen.text.split('\u0007')).toHaveLength(2);
    const file = { ...seen, text: '', isTTY: false, write: (text: string) => (file.text += text) };
    liveView({ stream: file, env: {}, ...options, now: () => NOW }).show(waitsFor(operator));
    expect(file.text).not.toContain('\u0007');
  });

  it('-o json has lines of their own type for it', async () => {
    const ended = endedView({ result: sampleResult() });
    fakeClient({ attach: () => handleOf([goes, waitsFor(approval), waitsFor(operator), ended]) });
    const { stdout } = await finished(['watch', DISK, '-o', 'json']);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((text) => JSON.parse(text) as { type: string; next?: string[] });
    expect(lines.map(({ type }) => type)).toEqual(['status', 'needs-approval', 'needs-operator', 'summary']);
    expect(lines[2]?.next?.[0]).toBe(`ecs-rollback resolve ${ID} retry --reason '…'`);
  });
});

describe('start', () => {
  const ended = endedView({ result: sampleResult() });

  it('says on stderr what the run waits for, in either format, and goes on waiting', async () => {
    for (const format of ['text', 'json']) {
      fakeClient({ start: () => handleOf([waitsFor(operator), waitsFor(operator), ended]) });
      const { exit, stderr, stdout } = await finished(['start', ...target, '--yes', '-o', format]);
      expect(exit).toBe(0);
      expect(stderr.split('NEEDS AN OPERATOR, since')).toHaveLength(2);
      expect(stderr).toContain(`ecs-rollback resolve ${ID} retry --reason '…'`);
      expect(stdout).not.toContain('NEEDS AN OPERATOR');
    }
  });

  it('that stops waiting leaves the commands behind', async () => {
    fakeClient({ start: () => handleOf([waitsFor(approval)]) });
    const { exit, stdout } = await finished(['start', ...target, '--yes', '--timeout', '50ms', '-o', 'json']);
    expect(exit).toBe(124);
    expect(JSON.parse(stdout)).toMatchObject({ next: [`ecs-rollback approve ${ID} --reason '…'`, expect.anything()] });
  });
});

describe('list', () => {
  const runs = [
    sampleView({ phase: 'needs-operator' }),
    sampleView({ workflowId: 'rollback-d-2', runId: 'run-2', phase: 'copying' }),
    endedView({ workflowId: 'rollback-d-3', runId: 'run-3', phase: 'needs-operator', execution: 'terminated' }),
  ];

  it('asks only the open runs that wait, and shows below the table what to type', async () => {
    const { sent } = fakeClient({ list: () => runs, view: () => waitsFor(operator) });
    const { stdout } = await finished(['list']);
    expect(sent.filter(({ verb }) => verb === 'view').map(({ args }) => args)).toEqual([[ID]]);
    expect(stdout).toContain(`\n\n${ID}\n  NEEDS AN OPERATOR, since 10m 00s\n`);
    expect(stdout).toContain(`ecs-rollback resolve ${ID} retry`);

    const { stdout: json } = await finished(['list', '-o', 'json']);
    const documents = (JSON.parse(json) as { runs: Array<Record<string, unknown>> }).runs;
    expect(documents[0]).toMatchObject({
      waitingFor: { kind: 'operator' },
      next: [`ecs-rollback resolve ${ID} retry --reason '…'`, expect.anything(), expect.anything()],
    });
    expect(documents[1]).not.toHaveProperty('next');
  });

  it('still lists what does not answer', async () => {
    fakeClient({ list: () => runs, view: new Error('boom') });
    const { exit, stdout } = await finished(['list']);
    expect(exit).toBe(0);
    expect(stdout).toContain(`ecs-rollback status ${ID}`);
  });

  it('is a plain table when nothing waits', () => {
    expect(listText(runs.slice(1), { ...options, waiting: [] }).split('\n')).toHaveLength(3);
  });
});
