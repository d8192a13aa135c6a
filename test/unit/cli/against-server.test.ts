/**
 * The client and whole command lines against a real Temporal server and the real workflows; only the activities are
 * stand-ins. What a fake client cannot show: ids, conflicts, attributes, queries, failures as they come back.
 */
import { heartbeat } from '@temporalio/activity';
import { TestWorkflowEnvironment } from '@temporalio/testing';
import { ApplicationFailure } from '@temporalio/common';
import { Worker } from '@temporalio/worker';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { Processes } from '../../../local/processes.ts';
import type { Activities } from '../../../src/activities/index.ts';
import { main } from '../../../src/cli/program.ts';
import { type ClientError, RollbackClient, type RunFailedError } from '../../../src/client.ts';
import { SEARCH_ATTRIBUTES } from '../../../src/contract/messages.ts';
import { workflowBundle } from '../../support/built.ts';
import { latch } from '../../support/latch.ts';
import { DISK, plan, SNAPSHOT_A, SNAPSHOT_B, stubActivities } from '../../support/stub-activities.ts';
import { startTemporalServer } from '../../support/temporal-server.ts';
import { installRuntime } from '../../support/temporal-runtime.ts';
import { sampleWorld } from './samples.ts';

const RUN = `rollback-${DISK}`;
const target = ['--region', 'cn-hangzhou', '--disk', DISK, '--snapshot', SNAPSHOT_A];
const request = { regionId: 'cn-hangzhou', diskId: DISK, snapshotId: SNAPSHOT_A };
const KEYWORD = 2;
const PROGRESS = { stage: 'copying', filesDone: 12, filesTotal: 40, bytesDone: 1024, bytesTotal: 4096 };

let folder: string;
let processes: Processes;
let env: TestWorkflowEnvironment;
let worker: Worker | undefined;
let working: Promise<void> | undefined;
const healthy = stubActivities().activities;
/** Put in place by the tests that are about them. */
let over: Partial<Activities> = {};

beforeAll(async () => {
  installRuntime();
  folder = await mkdtemp(join(tmpdir(), 'ecs-rollback-against-server-'));
  processes = new Processes(folder);
  const address = await startTemporalServer(processes);
  env = await TestWorkflowEnvironment.createFromExistingServer({ address });
}, 120_000);

afterAll(async () => {
  worker?.shutdown();
  await working;
  await env?.teardown();
  await processes?.stopAll();
  await rm(folder, { recursive: true, force: true });
});

async function run(args: readonly string[]) {
  const { world, written } = sampleWorld();
  const exit = await main([...args, '--address', env.address], world);
  return { exit, ...written };
}

const document = ({ stdout }: { stdout: string }) => JSON.parse(stdout) as Record<string, unknown>;

async function withClient<T>(body: (client: RollbackClient) => Promise<T>): Promise<T> {
  const client = await RollbackClient.connect({ address: env.address });
  try {
    return await body(client);
  } finally {
    await client.close();
  }
}

/** What `over` holds at the moment of each call, and healthy stand-ins for the rest. */
function switched(): Activities {
  const names = Object.keys(healthy) as Array<keyof Activities>;
  const now = (name: keyof Activities) => ({ ...healthy, ...over })[name] as (...args: unknown[]) => Promise<unknown>;
  const each = names.map((name) => [name, async (...args: unknown[]) => now(name)(...args)]);
  return Object.fromEntries(each) as Activities;
}

/** Keeps a run between snapshot B and the reset until it is let go. */
function heldAtSnapshotB() {
  const { opened: held, open: letGo } = latch();
  over = {
    awaitSnapshotAccomplished: async () => {
      await held;
      return { createdAt: '2026-11-22T02:01:00Z', sizeGiB: 20 };
    },
  };
  return letGo;
}

const untilAtSnapshotB = () =>
  vi.waitFor(
    async () =>
      expect(await withClient((client) => client.status(RUN))).toMatchObject({ safetySnapshotId: SNAPSHOT_B }),
    { timeout: 25_000, interval: 100 },
  );

// In this order: a server as it is found, then with a worker, then with the attributes.
describe('a server that is not ready', () => {
  it('without a worker: exit 7 and how to start one; nothing is started', async () => {
    const { exit, stderr, stdout } = await run(['start', ...target, '--yes']);
    expect({ exit, stdout }).toEqual({ exit: 7, stdout: '' });
    expect(stderr).toMatch(/^error: no worker polls the task queue "ecs-rollback" .* start one with `npm run worker`/);
    expect(await withClient((client) => client.list({ includePlans: true }))).toEqual([]);
  });

  it('without the namespace: exit 7 and how to make it', async () => {
    const { exit, stderr } = await run(['list', '--namespace', 'nowhere']);
    expect(exit).toBe(7);
    expect(stderr).toContain('temporal operator namespace create --namespace nowhere');
  });

  it('without the search attributes: exit 7 and the command that makes them', async () => {
    worker = await Worker.create({
      connection: env.nativeConnection,
      taskQueue: 'ecs-rollback',
      ...(await workflowBundle()),
      activities: switched(),
    });
    working = worker.run();
    const { exit, stderr } = await run(['plan', ...target]);
    expect(exit).toBe(7);
    expect(stderr).toContain('temporal operator search-attribute create');

    await env.connection.operatorService.addSearchAttributes({
      namespace: 'default',
      searchAttributes: Object.fromEntries(Object.values(SEARCH_ATTRIBUTES).map((name) => [name, KEYWORD])),
    });
  });
});

describe('with a worker', () => {
  it('plan reads and exits 0; a blocker exits 3, an unknown snapshot 6', async () => {
    over = {};
    const clean = await run(['plan', ...target, '-o', 'json']);
    expect(clean.exit).toBe(0);
    expect(document(clean)).toMatchObject({ outcome: 'planned', plan: { diskId: DISK } });

    const blocked = (code: string) => ({
      planRollback: async () => plan({ findings: [{ severity: 'blocker', code, fact: 'x' } as const] }),
    });
    over = blocked('DiskBusy');
    expect((await run(['plan', ...target])).exit).toBe(3);
    expect((await run(['start', ...target, '--yes'])).exit).toBe(3);
    over = blocked('SnapshotNotFound');
    expect((await run(['plan', ...target])).exit).toBe(6);
    expect(await withClient((client) => client.list())).toEqual([]);
  });

  it('one disk has one run: the same request attaches, another is refused with the name of the run', async () => {
    const letGo = heldAtSnapshotB();
    const detached = await run(['start', ...target, '--path', '/data/uploads', '--yes', '--detach', '-o', 'json']);
    expect(detached.exit).toBe(0);
    const { runId } = document(detached);
    await untilAtSnapshotB();

    const again = await run(['start', ...target, '--path', '/data/uploads', '--yes', '--detach', '-o', 'json']);
    expect(document(again)).toMatchObject({ runId, alreadyRunning: true, exitCode: 0 });

    const other = await run(['start', ...target, '--yes']);
    expect(other.exit).toBe(3);
    expect(other.stderr).toContain(`${RUN} is already running with another input (run ${String(runId)})`);
    // Past the look before the plan: the server's own refusal must end the same way.
    const refused = await withClient((client) => client.start(request).catch((error: ClientError) => error));
    expect(refused).toMatchObject({ kind: 'conflict', workflowId: RUN });

    const status = await run(['status', DISK, '-o', 'json']);
    expect(status.exit).toBe(0);
    expect(document(status)).toMatchObject({ workflowId: RUN, runId, execution: 'running', resetHappened: 'no' });

    const open = await withClient((client) => client.list({ running: true, diskId: DISK }));
    expect(open).toMatchObject([{ workflowId: RUN, kind: 'rollback', execution: 'running', regionId: 'cn-hangzhou' }]);
    const seen = await env.client.workflow.getHandle(RUN).describe();
    expect(await seen.staticSummary()).toBe(`Roll back ${DISK} to ${SNAPSHOT_A}, bring back /data/uploads`);
    expect(await seen.staticDetails()).toContain(`target snapshot A: \`${SNAPSHOT_A}\``);

    expect(await run(['watch', DISK, '--timeout', '100ms'])).toMatchObject({ exit: 124 });
    const listeners = process.listenerCount('SIGINT');
    const watched = run(['watch', DISK]);
    await vi.waitFor(() => expect(process.listenerCount('SIGINT')).toBeGreaterThan(listeners), { timeout: 20_000 });
    process.emit('SIGINT');
    const interrupted = await watched;
    expect(interrupted.exit).toBe(130);
    expect(interrupted.stderr).toContain(
      `stopped waiting; run ${RUN} continues – \`ecs-rollback watch ${RUN} --address`,
    );

    letGo();
    const ended = await run(['watch', DISK]);
    expect(ended.exit).toBe(0);
    expect(ended.stdout).toContain('RESET HAPPENED: YES');
    expect(ended.stdout).toContain('verified by content');
    const result = await withClient(async (client) => (await client.attach(DISK)).result());
    expect(result).toMatchObject({ outcome: 'completed', safetySnapshotId: SNAPSHOT_B });
  });

  it('a running copy shows how far it is, from the heartbeat of the wait', async () => {
    const { opened: held, open: letGo } = latch();
    over = {
      awaitCopy: async (...args) => {
        heartbeat({ script: 'copy-status', ...PROGRESS });
        await held;
        return healthy.awaitCopy(...args);
      },
    };
    expect((await run(['start', ...target, '--path', '/data/uploads', '--yes', '--detach'])).exit).toBe(0);
    await vi.waitFor(
      async () => expect((await run(['status', DISK])).stdout).toContain('Copy: copying, 12 of 40 files'),
      { timeout: 25_000, interval: 200 },
    );
    expect(await withClient((client) => client.view(DISK))).toMatchObject({ copyProgress: PROGRESS });
    letGo();
    expect((await run(['watch', DISK])).exit).toBe(0);
  });

  it('a cancelled run ends as cancelled, with exit 1, and the disk untouched', async () => {
    const letGo = heldAtSnapshotB();
    expect((await run(['start', ...target, '--yes', '--detach'])).stdout).toBe(`${RUN}\n`);
    await untilAtSnapshotB();
    const cancelled = await run(['cancel', DISK]);
    expect(cancelled.exit).toBe(0);
    expect(cancelled.stdout).toContain('It will: Start the instance again and end the run');
    letGo();
    const ended = await run(['watch', RUN, '-o', 'json']);
    expect(ended.exit).toBe(1);
    expect(JSON.parse(ended.stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
      type: 'summary',
      execution: 'cancelled',
      resetHappened: 'no',
      exitCode: 1,
    });
    expect((await run(['cancel', RUN])).stdout).toBe(`${RUN} has ended already (cancelled): nothing to cancel\n`);
  });

  it('a run that fails for want of permission exits 4, and the client hands over its report', async () => {
    over = {
      stopInstance: async () => {
        throw ApplicationFailure.nonRetryable('Forbidden.RAM: not allowed to stop', 'CloudDenied');
      },
    };
    const failed = await run(['start', ...target, '--yes', '-o', 'json']);
    expect(failed.exit).toBe(4);
    expect(document(failed)).toMatchObject({
      execution: 'failed',
      resetHappened: 'no',
      failure: { type: 'FailedBeforeReset', report: { failureKind: 'CloudDenied' } },
    });
    const error = await withClient(async (client) =>
      (await client.attach(RUN)).result().catch((reason: RunFailedError) => reason),
    );
    expect(error).toMatchObject({ execution: 'failed', failureType: 'FailedBeforeReset' });
  });

  describe('a run that waits for approval', () => {
    const reason = ['--reason', 'INC-42'];
    const policy = ['--approvals', '2', '--no-self-approval', '--approval-timeout', '2h', '--requested-by', 'alice'];
    const begin = async () => {
      over = {};
      expect((await run(['start', ...target, ...policy, '--yes', '--detach'])).exit).toBe(0);
      const waits = async () => expect((await run(['status', DISK])).stdout).toContain('WAITING FOR APPROVAL: 0 of 2');
      await vi.waitFor(waits, { timeout: 25_000, interval: 100 });
      const status = document(await run(['status', DISK, '-o', 'json']));
      expect(status).toMatchObject({ next: [expect.stringContaining(`approve ${RUN}`), expect.anything()] });
      return (status['status'] as { planHash: string }).planHash;
    };

    it('goes on when enough others have approved this very plan; each refusal is one line and exit 3', async () => {
      const hash = await begin();
      const approve = (by: string, planHash = hash) =>
        run(['approve', DISK, '--yes', '--plan-hash', planHash, '--by', by, ...reason]);
      const refused = async (by: string, planHash?: string) => {
        const { exit, stderr } = await approve(by, planHash);
        expect(exit).toBe(3);
        expect(stderr).toMatch(/^error: [^\n]+\n$/);
        return stderr;
      };
      expect(await refused('alice')).toContain(`${RUN} refuses to approve: alice started this run`);
      expect(await refused('bob', 'b'.repeat(64))).toContain('waits for approval of another plan');
      const first = await approve('bob');
      expect(first).toMatchObject({ exit: 0, stderr: '' });
      expect(first.stdout).toContain('WAITING FOR APPROVAL: 1 of 2');
      expect(await refused('bob')).toContain('bob has approved already');
      expect((await run(['list'])).stdout).toContain(`approve ${RUN}`);
      const second = await run([
        'approve',
        DISK,
        '--yes',
        '--plan-hash',
        hash,
        '--by',
        'carol',
        ...reason,
        '-o',
        'json',
      ]);
      expect(second.exit).toBe(0);
      expect(document(second)).toMatchObject({ command: 'approve', by: 'carol' });
      const ended = await run(['watch', DISK, '-o', 'json']);
      expect(ended.exit).toBe(0);
      expect(JSON.parse(ended.stdout.trimEnd().split('\n').at(-1) ?? '')).toMatchObject({
        outcome: 'completed',
        result: { approvals: [{ by: 'bob', reason: 'INC-42', planHash: hash }, { by: 'carol' }] },
      });
      expect((await approve('dave')).stderr).toContain(`${RUN} has ended already (completed): nothing to approve`);
    });

    it('ends as not approved when it is rejected, with exit 3', async () => {
      await begin();
      expect((await run(['reject', DISK, '--reason', 'wrong snapshot'])).exit).toBe(0);
      const ended = await run(['watch', DISK]);
      expect(ended.exit).toBe(3);
      expect(ended.stdout).toContain('NOT APPROVED');
      expect(ended.stdout).toContain('wrong snapshot');
    });
  });

  it('a run that needs an operator says so to whoever watches, takes what fits, and goes on', async () => {
    let starts = 0;
    over = {
      startInstance: async () => {
        starts += 1;
        if (starts === 1) throw ApplicationFailure.nonRetryable('InstanceLockedForSecurity', 'CloudDenied');
        return { sent: true };
      },
    };
    const { world, written } = sampleWorld();
    const started = main(['start', ...target, '--yes', '--address', env.address], world);
    const said = (text: string) =>
      vi.waitFor(() => expect(written.stderr).toContain(text), { timeout: 25_000, interval: 100 });
    await said('NEEDS AN OPERATOR');
    const watched = await run(['watch', DISK, '-o', 'json', '--timeout', '1s']);
    expect(watched.exit).toBe(124);
    const [first] = watched.stdout.split('\n').map((line) => JSON.parse(line || '{}') as Record<string, unknown>);
    expect(first).toMatchObject({
      type: 'needs-operator',
      resetHappened: 'yes',
      status: { waitingFor: { step: 'startInstance' } },
    });
    expect(first?.['next']).toContain(`ecs-rollback resolve ${RUN} retry --reason '…' --address ${env.address}`);

    const resolve = (decision: string) => run(['resolve', DISK, decision, '--reason', 'unlocked it']);
    const forced = await resolve('force');
    expect(forced.exit).toBe(3);
    expect(forced.stderr).toMatch(
      /^error: .* refuses to resolve: force is no choice for step startInstance now[^\n]*\n$/,
    );
    // Believed only if it is observed: it is not.
    expect((await resolve('skip')).exit).toBe(0);
    const noted = async () => expect((await run(['status', DISK])).stdout).toContain('was not followed');
    await vi.waitFor(noted, { timeout: 25_000, interval: 100 });
    expect((await run(['undo', DISK, '--yes'])).stderr).toContain('waits for a decision: `resolve` it with `undo`');
    expect((await resolve('retry')).exit).toBe(0);
    expect(await started).toBe(0);
    expect(written.stdout).toContain('DONE');
    expect(written.stdout).not.toContain('InstanceLockedForSecurity');
    expect((await resolve('retry')).stderr).toContain('has ended already (completed): nothing to resolve');
  });

  it('a run is paused at its next safe point, and resumed', async () => {
    const letGo = heldAtSnapshotB();
    expect((await run(['start', ...target, '--yes', '--detach'])).exit).toBe(0);
    await untilAtSnapshotB();
    expect((await run(['resume', DISK])).stderr).toContain('refuses to resume: the run is not paused');
    const paused = await run(['pause', DISK, '--reason', 'look first', '--by', 'carol']);
    expect(paused).toMatchObject({ exit: 0, stdout: expect.stringContaining('goes on to its next safe point') });
    expect((await run(['status', DISK])).stdout).toContain('Pause asked for');
    letGo();
    const still = async () => expect((await run(['status', DISK])).stdout).toContain('PAUSED by carol: look first');
    await vi.waitFor(still, { timeout: 25_000, interval: 100 });
    expect((await run(['resume', DISK])).exit).toBe(0);
    expect((await run(['watch', DISK])).exit).toBe(0);
  });

  it('an ended run is undone onto its snapshot B, once', async () => {
    over = {};
    const undone = (await withClient((client) => client.view(DISK))).runId;
    const ended = await run(['undo', DISK, '--accept-data-loss', '--yes', '-o', 'json']);
    expect(ended.exit).toBe(0);
    const request = await withClient(async (client) => client.requestOf(await client.view(DISK)));
    expect(request).toMatchObject({
      snapshotId: SNAPSHOT_B,
      powerAfter: 'running',
      acceptDataLoss: true,
      undoes: { workflowId: RUN, runId: undone, insideRun: false },
    });
    expect(document(ended)).toMatchObject({ command: 'undo', outcome: 'completed' });
    // What was brought back since is not what is undone.
    expect((await run(['sync', ...target, '--path', '/data/uploads', '--yes'])).exit).toBe(0);
    const again = await run(['undo', DISK, '--yes']);
    expect(again.exit).toBe(3);
    expect(again.stderr).toContain(`it is itself the undo of ${RUN}`);
  });

  it('a region is swept by hand, and by a schedule that is made, changed and removed', async () => {
    over = {};
    const region = ['--region', 'cn-hangzhou'];
    const swept = await run(['sweep', ...region, '-o', 'json']);
    expect(swept.exit).toBe(0);
    expect(document(swept)).toMatchObject({ command: 'sweep', rows: [], deleted: 0 });
    expect(document(swept)).not.toHaveProperty('schedule');

    expect((await run(['sweep', ...region, '--every', '6h'])).stdout).toMatch(/^Schedule: every 6h 00m, only shows/);
    const changed = await run(['sweep', ...region, '--every', '90m', '--delete', '-o', 'json']);
    expect(document(changed)).toMatchObject({
      schedule: { scheduleId: 'sweep-cn-hangzhou', everySeconds: 5_400, input: { delete: true }, paused: false },
    });
    // It starts what a sweep by hand starts.
    await env.client.schedule.getHandle('sweep-cn-hangzhou').trigger();
    const scheduled = async () => {
      const { recentActions } = (await env.client.schedule.getHandle('sweep-cn-hangzhou').describe()).info;
      const id = recentActions[0]?.action.workflow.workflowId ?? '';
      expect(id).toMatch(/^sweep-cn-hangzhou-\d{4}-/);
      expect(await env.client.workflow.getHandle(id).result()).toMatchObject({ regionId: 'cn-hangzhou' });
    };
    await vi.waitFor(scheduled, { timeout: 25_000, interval: 200 });
    expect((await run(['sweep', ...region])).stdout).toContain('Schedule: every 1h 30m, deletes; the next one at ');
    expect((await run(['sweep', ...region, '--every', 'off'])).stdout).toBe('the schedule is removed (cn-hangzhou)\n');
    expect((await run(['sweep', ...region, '--every', 'off'])).stdout).toContain('there was no schedule');
  });

  it('a sweep that may not look exits 4 with the reason', async () => {
    over = {
      findLeftovers: async () => {
        throw ApplicationFailure.nonRetryable('Forbidden.RAM: ecs:ListTagResources', 'CloudDenied');
      },
    };
    const { exit, stderr } = await run(['sweep', '--region', 'cn-hangzhou']);
    expect(exit).toBe(4);
    expect(stderr).toContain('error: the sweep ended as failed: Forbidden.RAM: ecs:ListTagResources');
  });

  it('an unknown run exits 6', async () => {
    const { exit, stderr } = await run(['status', 'rollback-d-00000000']);
    expect(exit).toBe(6);
    expect(stderr).toMatch(/^error: no run "rollback-d-00000000" in namespace "default" at /);
    expect((await run(['status', 'd-00000000'])).exit).toBe(6);
  });
});
