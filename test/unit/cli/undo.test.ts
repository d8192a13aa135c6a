/** What undoes a run: read from whatever the run has left, or refused with the reason. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ClientError, type RunView } from '../../../src/client.ts';
import { undoRequest } from '../../../src/client/undo.ts';
import { FAILURE } from '../../../src/contract/messages.ts';
import { type RollbackInput, rollbackInputSchema } from '../../../src/contract/rollback.ts';
import { fakeClient, finished, planHandle, run } from './fake-client.ts';
import {
  blocker,
  DISK,
  endedView,
  INSTANCE,
  SNAPSHOT_A,
  SNAPSHOT_B,
  samplePlan,
  sampleReport,
  sampleResult,
  sampleStatus,
  sampleView,
  USER,
} from './samples.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const ID = `rollback-${DISK}`;
const input = rollbackInputSchema.parse({ regionId: 'cn-hangzhou', diskId: DISK, snapshotId: SNAPSHOT_A });
const expected = {
  regionId: 'cn-hangzhou',
  diskId: DISK,
  snapshotId: SNAPSHOT_B,
  instanceId: INSTANCE,
  powerAfter: 'running',
  undoes: { workflowId: ID, runId: 'run-1' },
};
const failed = (over: Parameters<typeof sampleReport>[0]): RunView =>
  endedView({
    execution: 'failed',
    failure: { type: FAILURE.failedAfterReset, message: 'x', report: sampleReport({ plan: samplePlan(), ...over }) },
  });
const ledger = [{ kind: 'snapshot', id: SNAPSHOT_B, purpose: 'safety-snapshot', state: 'kept' } as const];

describe('the rollback that undoes', () => {
  it.each<[string, RunView]>([
    ['a completed run', endedView({ result: sampleResult() })],
    ['one rolled back but not synced', endedView({ result: sampleResult({ outcome: 'rolled-back-not-synced' }) })],
    ['one that failed after the reset', failed({ resetHappened: 'yes', ledger })],
    ['one whose reset is in doubt', failed({ resetHappened: 'maybe', ledger })],
    [
      'a cancelled one',
      endedView({
        execution: 'cancelled',
        failure: { message: 'cancelled' },
        status: sampleStatus({ resetHappened: 'yes', safetySnapshotId: SNAPSHOT_B, instanceId: INSTANCE }),
      }),
    ],
  ])('of %s goes onto its snapshot B', (_name, view) => {
    // The status of a run does not hold whether the instance ran.
    const { powerAfter: _, ...target } = expected;
    expect(undoRequest(view, input)).toMatchObject(view.status === undefined ? expected : target);
    expect(rollbackInputSchema.safeParse(undoRequest(view, input)).success).toBe(true);
  });

  it('leaves an instance stopped that was stopped before the run', () => {
    const instance = { id: INSTANCE, name: '', osName: '', wasRunning: false };
    const view = endedView({ result: sampleResult({ plan: samplePlan({ instance }) }) });
    expect(undoRequest(view, input).powerAfter).toBe('stopped');
  });
});

const undo: RollbackInput = { ...input, undoes: { workflowId: 'rollback-x', runId: 'r', insideRun: false } };
const atOperator = sampleStatus({
  resetHappened: 'yes',
  waitingFor: {
    kind: 'operator',
    step: 'startInstance',
    problem: 'no stock',
    choices: ['retry', 'undo'],
    since: '2026-11-22T03:00:00Z',
  },
});

it.each<[string, RunView, RollbackInput | undefined, string]>([
  ['open', sampleView({ status: sampleStatus() }), input, 'it is still open: `cancel` it, or wait for its end'],
  [
    'waiting for a decision',
    sampleView({ status: atOperator }),
    input,
    'waits for a decision: `resolve` it with `undo`',
  ],
  [
    'an undo under way',
    sampleView({ status: sampleStatus() }),
    undo,
    'it is the undo of rollback-x and still going on',
  ],
  ['an undo', endedView({ result: sampleResult() }), undo, `start a rollback to ${SNAPSHOT_B}`],
  ['a sync', endedView({ kind: 'sync', result: sampleResult() }), undefined, 'no disk was reset'],
  ['undone', endedView({ result: sampleResult({ outcome: 'undone' }) }), input, 'it has undone itself already'],
  ['refused', failed({ resetHappened: 'no' }), input, 'the disk was not reset'],
  ['without B', failed({ resetHappened: 'yes' }), input, 'it has no snapshot B'],
  [
    'terminated, with nobody to ask',
    endedView({ execution: 'terminated', failure: { message: 'terminated' } }),
    input,
    'find snapshot B by its tag ecs-rollback:run=run-1',
  ],
])('a run that is %s cannot be undone', (_name, view, started, why) => {
  let error: unknown;
  try {
    undoRequest(view, started);
  } catch (thrown) {
    error = thrown;
  }
  expect(error).toBeInstanceOf(ClientError);
  expect(error).toMatchObject({ kind: 'refused', workflowId: ID });
  expect((error as Error).message).toContain(`${ID} cannot be undone: `);
  expect((error as Error).message).toContain(why);
});

describe('the command', () => {
  it('plans and starts it, with the flags over it and its target left alone', async () => {
    const { sent, verbs } = fakeClient({ undoRequest: expected });
    const flags = ['--accept-data-loss', '--mode', 'warm', '--approvals', '1', '--power', 'stopped', '--yes'];
    expect(
      (await finished(['undo', DISK, ...flags, '-o', 'json'], { env: { ALIBABA_CLOUD_REGION_ID: 'x' } })).exit,
    ).toBe(0);
    expect(verbs()).toEqual(['undoRequest', 'findOpen', 'plan', 'start', 'close']);
    expect(sent.find(({ verb }) => verb === 'start')?.args[0]).toMatchObject({
      ...expected,
      undoes: { workflowId: ID, runId: 'run-1', insideRun: false },
      powerAfter: 'stopped',
      acceptDataLoss: true,
      snapshotMode: 'warm',
      approval: { quorum: 1 },
      requestedBy: USER,
    });
  });

  it('shows whose undo it is and asks, as start does', async () => {
    const { verbs } = fakeClient({ undoRequest: expected });
    const { exit, written, stdin } = await run(['undo', DISK], { tty: true });
    await vi.waitFor(() => expect(written.stderr).toContain('Type the id of the disk to go on'));
    expect(written.stderr).toContain(`Plan: undo ${ID} by rolling disk ${DISK} back to its snapshot B`);
    expect(verbs()).not.toContain('start');
    stdin.write('no\n');
    expect(await exit).toBe(8);
  });

  it('exits 3 with the reason when there is nothing to undo, and 6 when B is gone', async () => {
    const reason = `${ID} cannot be undone: the disk was not reset`;
    fakeClient({ undoRequest: new ClientError('refused', reason) });
    expect(await finished(['undo', DISK, '--yes'])).toMatchObject({ exit: 3, stderr: `error: ${reason}\n` });

    const { verbs } = fakeClient({ undoRequest: expected, plan: () => planHandle([blocker('SnapshotNotFound')]) });
    expect((await finished(['undo', DISK, '--yes'])).exit).toBe(6);
    expect(verbs()).not.toContain('start');
  });
});
