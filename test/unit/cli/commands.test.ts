/** Whole command lines against a client that answers as told: exit code, stdout and stderr. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ClientError, type RunHandle, type RunView } from '../../../src/client.ts';
import { ACTIVITY_FAILURE, FAILURE } from '../../../src/contract/messages.ts';
import { fakeClient, finished, planHandle, run, target } from './fake-client.ts';
import {
  blocker,
  DISK,
  endedView,
  handleOf,
  SNAPSHOT_A,
  sampleReport,
  sampleResult,
  sampleStatus,
  sampleView,
} from './samples.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

describe('the outcome of `start --yes` is its exit code', () => {
  const failed = (type: string, failureKind?: string): RunView =>
    endedView({
      execution: 'failed',
      failure: {
        type,
        message: 'it failed',
        report: sampleReport(failureKind === undefined ? {} : { failureKind }),
      },
    });
  const rows: Array<[string, RunView, number]> = [
    ['completed', endedView({ result: sampleResult() }), 0],
    ['completed with leftovers', endedView({ result: sampleResult({ outcome: 'completed-with-leftovers' }) }), 5],
    ['rolled back, not synced', endedView({ result: sampleResult({ outcome: 'rolled-back-not-synced' }) }), 5],
    ['failed before the reset', failed(FAILURE.failedBeforeReset), 1],
    ['failed after the reset for want of permission', failed(FAILURE.failedAfterReset, ACTIVITY_FAILURE.denied), 1],
    ['credentials gone before the reset', failed(FAILURE.failedBeforeReset, ACTIVITY_FAILURE.credentials), 4],
    ['snapshot gone before the reset', failed(FAILURE.failedBeforeReset, ACTIVITY_FAILURE.notFound), 6],
    ['ECS not reachable', failed(FAILURE.failedBeforeReset, ACTIVITY_FAILURE.unreachable), 7],
    ['refused by the workflow', failed(FAILURE.refused), 3],
    ['cancelled', endedView({ execution: 'cancelled', failure: { message: 'the run was cancelled' } }), 1],
    ['terminated', endedView({ execution: 'terminated', failure: { message: 'terminated' } }), 1],
    ['timed out', endedView({ execution: 'timed-out', failure: { message: 'timed out' } }), 1],
  ];

  it.each(rows)('%s', async (_name, view, expected) => {
    fakeClient({ start: () => handleOf([sampleView({ status: sampleStatus() }), view]) });
    const asText = await finished(['start', ...target, '--yes']);
    expect(asText.exit).toBe(expected);
    expect(asText.stdout.split('\n')[0]).toContain(`Rollback of disk ${DISK}`);

    const asJson = await finished(['start', ...target, '--yes', '-o', 'json']);
    expect(asJson.exit).toBe(expected);
    expect(JSON.parse(asJson.stdout)).toMatchObject({
      schemaVersion: 1,
      command: 'start',
      workflowId: `rollback-${DISK}`,
      alreadyRunning: false,
      execution: view.execution,
      exitCode: expected,
    });
  });
});

describe('plan', () => {
  it.each([
    [[], 0],
    [[blocker('DiskBusy')], 3],
    [[blocker('DiskNotFound')], 6],
  ])('with findings %j', async (findings, expected) => {
    const { verbs } = fakeClient({ plan: () => planHandle(findings) });
    const { exit, stdout } = await finished(['plan', ...target, '-o', 'json']);
    expect(exit).toBe(expected);
    expect(JSON.parse(stdout)).toMatchObject({
      schemaVersion: 1,
      exitCode: expected,
      plan: { diskId: DISK, findings },
    });
    expect(verbs()).toEqual(['plan', 'close']);
  });

  it('that failed says why in one line and keeps stdout for data', async () => {
    const failure = {
      type: FAILURE.failedBeforeReset,
      message: 'Nothing was changed: InvalidAccessKeyId.NotFound',
      report: sampleReport({ failureKind: ACTIVITY_FAILURE.credentials }),
    };
    fakeClient({ plan: () => handleOf([endedView({ kind: 'plan', execution: 'failed', failure })]) });
    expect(await finished(['plan', ...target])).toEqual({
      exit: 4,
      stdout: '',
      stderr: 'reading disk, snapshots and instance …\nerror: Nothing was changed: InvalidAccessKeyId.NotFound\n',
    });
  });

  it('that hangs on an unreachable ECS endpoint is given up, cancelled and exits 7', async () => {
    const stuck = sampleView({
      kind: 'plan',
      retrying: [
        { activity: 'planRollback', attempt: 3, failureKind: ACTIVITY_FAILURE.unreachable, message: 'nothing answers' },
      ],
    });
    const handle = handleOf([stuck]);
    fakeClient({ plan: () => handle });
    const { exit, stderr } = await finished(['plan', ...target, '--timeout', '50ms']);
    expect(exit).toBe(7);
    expect(stderr).toContain('nothing answers');
    expect(handle.cancelled).toBe(1);
  });

  it('that is only slow exits 124', async () => {
    fakeClient({ plan: () => handleOf([sampleView({ kind: 'plan', status: sampleStatus() })]) });
    expect((await finished(['plan', ...target, '--timeout', '50ms'])).exit).toBe(124);
  });
});

describe('start', () => {
  it('sends exactly what was asked for, after the plan', async () => {
    const { sent, verbs } = fakeClient();
    const flags = ['--path', '/data/a', '--path', '/data/b', '--conflict', 'take-b', '--power', 'running'];
    const more = ['--retention-days', '7', '--force-stop', '--workflow-id', 'incident-42', '--yes'];
    expect((await finished(['rollback', ...target, ...flags, ...more])).exit).toBe(0);
    expect(verbs()).toEqual(['findOpen', 'plan', 'start', 'close']);
    expect(sent.find((call) => call.verb === 'start')?.args).toEqual([
      {
        regionId: 'cn-hangzhou',
        diskId: DISK,
        snapshotId: SNAPSHOT_A,
        sync: { paths: ['/data/a', '/data/b'], conflictPolicy: 'take-b' },
        powerAfter: 'running',
        forceStop: true,
        safetySnapshotRetentionDays: 7,
        snapshotMode: 'cold',
        freezeFileSystems: false,
        onLeaseHeld: 'fail',
        onFailureAfterReset: 'ask',
        acceptDataLoss: false,
        requestedBy: 'oncall@ops-1',
        dryRun: false,
      },
      { workflowId: 'incident-42' },
    ]);
  });

  it('does not start past a blocker', async () => {
    const { verbs } = fakeClient({ plan: () => planHandle([blocker('DiskBusy')]) });
    const { exit, stdout } = await finished(['start', ...target, '--yes']);
    expect(exit).toBe(3);
    expect(stdout).toContain('Blocked: 1 reason. Nothing was changed.');
    expect(verbs()).not.toContain('start');
  });

  it('with --dry-run ends after the plan', async () => {
    const { verbs } = fakeClient();
    const { exit, stdout } = await finished(['start', ...target, '--dry-run']);
    expect(exit).toBe(0);
    expect(stdout).toContain('Nothing is in the way. Nothing was changed.');
    expect(verbs()).toEqual(['plan', 'close']);
  });

  it('with --detach prints the id alone and does not look again', async () => {
    const handle = { ...handleOf([sampleView()]), view: () => Promise.reject(new Error('must not look')) };
    fakeClient({ start: () => handle });
    const { exit, stdout } = await finished(['start', ...target, '--yes', '--detach']);
    expect({ exit, stdout }).toEqual({ exit: 0, stdout: `rollback-${DISK}\n` });
  });

  it('stops waiting at --timeout, says that the run continues, and exits 124', async () => {
    fakeClient({ start: () => handleOf([sampleView({ status: sampleStatus() })]) });
    const { exit, stderr, stdout } = await finished(['start', ...target, '--yes', '--timeout', '60ms']);
    expect({ exit, stdout }).toEqual({ exit: 124, stdout: '' });
    expect(stderr).toContain(
      `stopped waiting; run rollback-${DISK} continues – \`ecs-rollback watch rollback-${DISK}\` to reattach, \`ecs-rollback cancel rollback-${DISK}\` to stop it`,
    );
  });

  it('attaches to the same run without planning again, and says so', async () => {
    const handle = handleOf([endedView({ result: sampleResult() })], { alreadyRunning: true });
    const { verbs } = fakeClient({ findOpen: { runId: 'run-1', sameInput: true }, attach: () => handle });
    const { exit, stderr, stdout } = await finished(['start', ...target, '--yes', '-o', 'json']);
    expect(exit).toBe(0);
    expect(verbs()).toEqual(['findOpen', 'attach', 'close']);
    expect(stderr).toContain('already running with the same input: attached to');
    expect(JSON.parse(stdout)).toMatchObject({ alreadyRunning: true });
  });

  it('names the run in the way when its input is another', async () => {
    const conflict = new ClientError('conflict', 'rollback-x is already running with another input', {
      workflowId: 'rollback-x',
    });
    // Seen only by the start: the other run began after the look.
    fakeClient({ start: conflict });
    const { exit, stderr } = await finished(['start', ...target, '--yes']);
    expect(exit).toBe(3);
    expect(stderr).toContain(
      'error: rollback-x is already running with another input (`ecs-rollback watch rollback-x`, `ecs-rollback cancel rollback-x`)\n',
    );

    const { verbs } = fakeClient({ findOpen: { runId: 'run-1', sameInput: false } });
    const before = await finished(['start', ...target, '--yes', '--address', 'ops:7233']);
    expect(before.exit).toBe(3);
    expect(before.stderr).toContain(`\`ecs-rollback watch rollback-${DISK} --address ops:7233\``);
    expect(verbs()).toEqual(['findOpen', 'close']);
  });
});

describe('confirmation on a terminal', () => {
  const asked = async (answer: string | undefined) => {
    const { verbs } = fakeClient();
    const { exit, written, stdin } = await run(['start', ...target], { tty: true });
    await vi.waitFor(() => expect(written.stderr).toContain('Type the id of the disk to go on'));
    expect(verbs()).not.toContain('start');
    if (answer === undefined) stdin.end();
    else stdin.write(`${answer}\n`);
    return { exit: await exit, stderr: written.stderr, verbs: verbs() };
  };

  it('goes on only with the id of the disk, after showing the plan', async () => {
    const { exit, stderr, verbs } = await asked(DISK);
    expect(exit).toBe(0);
    expect(verbs).toContain('start');
    expect(stderr.indexOf('Leaves the disk')).toBeGreaterThan(-1);
    expect(stderr.indexOf('Leaves the disk')).toBeLessThan(stderr.indexOf('Type the id'));
  });

  it.each(['yes', '', SNAPSHOT_A, `${DISK}x`])('declines on %j with 8', async (answer) => {
    const { exit, stderr, verbs } = await asked(answer);
    expect(exit).toBe(8);
    expect(verbs).not.toContain('start');
    expect(stderr).toContain('not confirmed; nothing was started and nothing was changed');
  });

  it.each([
    ['holds the run to the plan that was read', [], 'a'.repeat(64)],
    ['leaves it to those who approve, if any do', ['--approvals', '1'], undefined],
  ])('%s', async (_name, flags, hash) => {
    const { sent } = fakeClient();
    const { exit, written, stdin } = await run(['start', ...target, ...flags], { tty: true });
    await vi.waitFor(() => expect(written.stderr).toContain('Type the id of the disk to go on'));
    stdin.write(`${DISK}\n`);
    expect(await exit).toBe(0);
    const input = sent.find(({ verb }) => verb === 'start')?.args[0] as { expectedPlanHash?: string };
    expect(input.expectedPlanHash).toBe(hash);
  });

  it('declines at the end of input with 8', async () => {
    expect(await asked(undefined)).toMatchObject({ exit: 8 });
  });
});

describe('watch, status, list and cancel', () => {
  const ended = endedView({ result: sampleResult() });

  it('watch -o json prints one line per change, then the summary', async () => {
    const before = sampleView({ status: sampleStatus() });
    const after = sampleView({ status: sampleStatus({ resetHappened: 'maybe' }) });
    fakeClient({ attach: () => handleOf([before, before, after, ended]) });
    const { exit, stdout } = await finished(['watch', DISK, '-o', 'json']);
    expect(exit).toBe(0);
    const lines = stdout
      .trimEnd()
      .split('\n')
      .map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(lines.map((line) => [line.type, line.resetHappened, line.exitCode])).toEqual([
      ['status', 'no', undefined],
      ['status', 'maybe', undefined],
      ['summary', 'yes', 0],
    ]);
    expect(lines.every((line) => line.schemaVersion === 1)).toBe(true);
  });

  it('watch exits with the outcome', async () => {
    const failure = { type: FAILURE.failedAfterReset, message: 'x', report: sampleReport({ resetHappened: 'yes' }) };
    fakeClient({ attach: () => handleOf([endedView({ execution: 'failed', failure })]) });
    expect((await finished(['watch', DISK])).exit).toBe(1);
  });

  it('status of an open run exits 0 and carries the whole answer of the run', async () => {
    fakeClient({ view: () => sampleView({ status: sampleStatus() }) });
    const { exit, stdout } = await finished(['status', DISK, '-o', 'json']);
    expect(exit).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      schemaVersion: 1,
      command: 'status',
      execution: 'running',
      resetHappened: 'no',
      status: sampleStatus(),
    });
  });

  it('status of a run that nobody knows exits 6', async () => {
    fakeClient({ view: new ClientError('notFound', 'no run "x"') });
    expect(await finished(['status', 'x'])).toMatchObject({ exit: 6, stderr: 'error: no run "x"\n' });
  });

  it('list passes its filters on', async () => {
    const { sent } = fakeClient({ list: () => [sampleView()] });
    const { exit, stdout } = await finished(['list', '--running', '--disk', DISK, '--limit', '5', '-o', 'json']);
    expect(exit).toBe(0);
    expect(sent[0]).toEqual({ verb: 'list', args: [{ limit: 5, diskId: DISK, running: true }] });
    expect(JSON.parse(stdout)).toMatchObject({ runs: [{ workflowId: `rollback-${DISK}`, execution: 'running' }] });
  });

  it.each(['0', 'many', '1001'])('list --limit %s is refused', async (limit) => {
    fakeClient();
    expect(await finished(['list', '--limit', limit])).toMatchObject({
      exit: 2,
      stderr: `error: --limit: "${limit}" is not a number of runs: expected 1 to 1000\n`,
    });
  });

  it('cancel says what the run will do', async () => {
    fakeClient({ cancel: () => sampleView({ status: sampleStatus() }) });
    const { exit, stdout } = await finished(['cancel', DISK]);
    expect(exit).toBe(0);
    expect(stdout).toContain('It will: Start the instance again and end the run.');
  });

  it('cancel of an ended run says that there is nothing to cancel', async () => {
    fakeClient({ cancel: () => ended });
    expect((await finished(['cancel', DISK])).stdout).toBe(
      `rollback-${DISK} has ended already (completed): nothing to cancel\n`,
    );
  });
});

describe('errors', () => {
  it('of the user come before any connection', async () => {
    const { connect } = fakeClient();
    for (const args of [
      ['plan'],
      ['start', ...target],
      ['start', ...target, '-o', 'json'],
      ['start', ...target, '--yes', '--conflict', 'take-b'],
      ['start', ...target, '--dry-run', '--detach'],
      ['start', ...target, '--yes', '--freeze'],
      ['undo', 'x', '--yes', '--freeze'],
      ['undo', 'x'],
      ['approve', 'x', '--yes', '--reason', 'y'],
      ['approve', 'x', '--reason', 'y'],
      ['approve', 'x', '--plan-hash', 'a'.repeat(64), '--yes'],
      ['approve', 'x', '--plan-hash', 'abc', '--yes', '--reason', 'y'],
      ['approve', 'x', '--plan', 'no-such-file', '--yes', '--reason', 'y'],
      ['reject', 'x'],
      ['resolve', 'x', 'retry'],
      ['resolve', 'x', 'hope', '--reason', 'y'],
      ['resume', 'x', '--by', ' '],
      ['sync', ...target, '--yes'],
      ['watch', 'x', '--timeout', 'soon'],
      ['list', '--disk', 'foo'],
      ['plan', ...target, '-o', 'xml'],
      ['frobnicate'],
      ['status'],
    ]) {
      expect({ args, exit: (await finished(args)).exit }).toEqual({ args, exit: 2 });
    }
    expect(connect).not.toHaveBeenCalled();
  });

  it('are a document, too, with -o json', async () => {
    fakeClient({ plan: new ClientError('noWorker', 'no worker polls') });
    const { exit, stdout } = await finished(['plan', ...target, '-o', 'json']);
    expect(exit).toBe(7);
    expect(JSON.parse(stdout)).toEqual({
      schemaVersion: 1,
      exitCode: 7,
      error: { kind: 'noWorker', message: 'no worker polls' },
    });
  });

  it('that nobody foresaw are one line, and a stack only when asked for', async () => {
    fakeClient({ view: new TypeError('x is not a function\n    at somewhere') });
    const quiet = await finished(['status', 'x']);
    expect(quiet).toMatchObject({
      exit: 1,
      stderr: 'error: x is not a function\nset ECS_ROLLBACK_DEBUG=1 to see where this comes from\n',
    });
    fakeClient({ view: new TypeError('x is not a function') });
    const loud = await finished(['status', 'x'], { env: { ECS_ROLLBACK_DEBUG: '1' } });
    expect(loud.stderr).toMatch(/\n\s+at /);
  });
});

it.each([
  'plan',
  'start',
  'sync',
  'undo',
  'status',
  'watch',
  'list',
  'approve',
  'reject',
  'resolve',
  'pause',
  'resume',
  'cancel',
  'sweep',
])('%s --help has examples', async (command) => {
  const { connect } = fakeClient();
  const { exit, stdout, stderr } = await finished([command, '--help']);
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
  expect(stdout).toContain(`Examples:\n  ecs-rollback ${command}`);
  expect(connect).not.toHaveBeenCalled();
});

it('closes the connection whatever happens', async () => {
  const { verbs } = fakeClient({ view: new Error('boom') });
  await finished(['status', 'x']);
  expect(verbs()).toEqual(['view', 'close']);
});

it('hands --address, --namespace, --profile and --task-queue to the connection', async () => {
  const { connect } = fakeClient({ list: () => [] as RunHandle[] });
  const flags = ['--address', 'h:1', '-n', 'ops', '--profile', 'prod', '--task-queue', 'q'];
  await finished(['list', ...flags]);
  expect(connect).toHaveBeenCalledWith({ address: 'h:1', namespace: 'ops', profile: 'prod', taskQueue: 'q' });
});
