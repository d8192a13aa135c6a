/** approve, reject, resolve, pause, resume: what is sent, what is shown before, and what each refusal looks like. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { ClientError, type RunView } from '../../../src/client.ts';
import type { WaitingFor } from '../../../src/contract/operator.ts';
import { rollbackInputSchema } from '../../../src/contract/rollback.ts';
import { fakeClient, finished, run } from './fake-client.ts';
import {
  DISK,
  endedView,
  INSTANCE,
  SNAPSHOT_A,
  samplePlan,
  sampleResult,
  sampleStatus,
  sampleView,
  USER,
} from './samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'approve-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  vi.restoreAllMocks();
});

const ID = `rollback-${DISK}`;
const HASH = 'c'.repeat(64);
const reason = ['--reason', 'INC-42'];

const forApproval: WaitingFor = {
  kind: 'approval',
  planHash: HASH,
  quorum: 2,
  approvals: [{ by: 'bob@ops-2', reason: 'looks right', planHash: HASH, at: '2026-11-22T03:05:00Z' }],
  until: '2026-11-22T06:10:00Z',
  reminders: 0,
};
const forOperator: WaitingFor = {
  kind: 'operator',
  step: 'startInstance',
  problem: 'no stock of this instance type in the zone',
  choices: ['retry', 'skip', 'undo', 'abort'],
  since: '2026-11-22T03:00:00Z',
};
const waitsFor = (waitingFor: WaitingFor): RunView =>
  sampleView({
    status: sampleStatus({
      headline: 'Waiting',
      instanceId: INSTANCE,
      waitingFor,
      findings: [{ severity: 'warning', code: 'DataLossWindow', fact: 'everything since 23:00 leaves the disk' }],
    }),
  });
const goesOn = sampleView({ status: sampleStatus({ headline: 'Stop the instance' }) });
const request = rollbackInputSchema.parse({
  regionId: 'cn-hangzhou',
  diskId: DISK,
  snapshotId: SNAPSHOT_A,
  sync: { paths: ['/data/uploads'] },
  approval: { quorum: 2 },
  requestedBy: 'alice@ops-1',
});

const client = (over: Record<string, unknown> = {}) =>
  fakeClient({
    view: () => waitsFor(forApproval),
    requestOf: request,
    approve: () => goesOn,
    reject: () => goesOn,
    ...over,
  });
const sentBy = (verb: string, { sent }: ReturnType<typeof fakeClient>) => sent.find((call) => call.verb === verb)?.args;

describe('approve on a terminal', () => {
  const asked = async (answer: string, more: readonly string[] = []) => {
    const fake = client();
    const { exit, written, stdin } = await run(['approve', DISK, ...reason, ...more], { tty: true });
    await vi.waitFor(() => expect(written.stderr).toContain('Type the id of the disk to approve'));
    expect(fake.verbs()).not.toContain('approve');
    stdin.write(`${answer}\n`);
    return { exit: await exit, ...written, fake };
  };

  it('shows what would happen, who asked and who has approved, before it asks; then sends the hash that was shown', async () => {
    const { exit, stderr, stdout, fake } = await asked(DISK);
    expect(exit).toBe(0);
    const shown = stderr.slice(0, stderr.indexOf('Type the id'));
    for (const part of [
      `roll back disk ${DISK} to snapshot A ${SNAPSHOT_A}`,
      'alice@ops-1',
      '/data/uploads (newer-wins',
      'everything since 23:00 leaves the disk',
      HASH,
      '1 of 2 approvals (bob@ops-2); refused by itself at 2026-11-22 06:10:00 UTC (in 3h 00m)',
    ]) {
      expect(shown).toContain(part);
    }
    expect(sentBy('approve', fake)).toEqual([ID, { by: USER, reason: 'INC-42', planHash: HASH }]);
    expect(stdout).toBe(
      `approved ${ID} as ${USER}\nNow: Stop the instance\nNext: \`ecs-rollback watch ${ID}\` to follow it\n`,
    );
  });

  it('sends nothing on any other answer, and exits 8', async () => {
    const { exit, stderr, fake } = await asked('yes');
    expect(exit).toBe(8);
    expect(stderr).toContain('not confirmed; nothing was approved');
    expect(fake.verbs()).not.toContain('approve');
  });

  it('asks even when the hash is given', async () => {
    expect((await asked(DISK, ['--plan-hash', HASH, '--by', 'carol'])).fake.sent.at(-2)?.args).toEqual([
      ID,
      { by: 'carol', reason: 'INC-42', planHash: HASH },
    ]);
  });
});

describe('approve from a script', () => {
  it('sends the hash it was given; the document says who and what', async () => {
    const fake = client({ approve: () => waitsFor(forApproval) });
    const { exit, stdout } = await finished(['approve', ID, '--yes', '--plan-hash', HASH, ...reason, '-o', 'json']);
    expect(exit).toBe(0);
    expect(sentBy('approve', fake)).toEqual([ID, { by: USER, reason: 'INC-42', planHash: HASH }]);
    expect(JSON.parse(stdout)).toMatchObject({
      command: 'approve',
      by: USER,
      reason: 'INC-42',
      workflowId: ID,
      exitCode: 0,
      status: { waitingFor: { approvals: [{ by: 'bob@ops-2' }] } },
      next: [`ecs-rollback approve ${ID} --reason '…'`, `ecs-rollback reject ${ID} --reason '…'`],
    });
  });

  it('takes the hash of a plan file', async () => {
    const file = join(folder, 'plan.json');
    const document = {
      outcome: 'planned',
      request: { ...request, requestedBy: undefined },
      plan: samplePlan({ hash: HASH }),
    };
    writeFileSync(file, JSON.stringify(document));
    const fake = client();
    expect((await finished(['approve', ID, '--yes', '--plan', file, ...reason])).exit).toBe(0);
    expect(sentBy('approve', fake)).toMatchObject([ID, { planHash: HASH }]);
  });

  it.each<[string, RunView, string]>([
    ['another plan', waitsFor(forApproval), `waits for approval of another plan: ${HASH}, not ${'d'.repeat(64)}`],
    ['a run that does not wait', goesOn, `${ID} does not wait for approval: Stop the instance`],
    [
      'a run that has ended',
      endedView({ result: sampleResult() }),
      `${ID} has ended already (completed): nothing to approve`,
    ],
  ])('is refused with 3 for %s, before anything is sent', async (_name, view, line) => {
    const fake = client({ view: () => view });
    const { exit, stderr } = await finished(['approve', ID, '--yes', '--plan-hash', 'd'.repeat(64), ...reason]);
    expect(exit).toBe(3);
    expect(stderr).toMatch(/^error: [^\n]+\n$/);
    expect(stderr).toContain(line);
    expect(fake.verbs()).toEqual(['view', 'close']);
  });

  it('says that no worker answers, with 7', async () => {
    client({ view: () => sampleView({ statusUnavailable: 'no worker answers' }) });
    const { exit, stderr } = await finished(['approve', ID, '--yes', '--plan-hash', HASH, ...reason]);
    expect({ exit, stderr }).toEqual({ exit: 7, stderr: `error: ${ID}: no worker answers\n` });
  });

  it('is refused by the run itself in one line with 3, as a document with -o json', async () => {
    const refusal = new ClientError('refused', `${ID} refuses to approve: ${USER} has asked for this run`);
    client({ approve: refusal });
    const args = ['approve', ID, '--yes', '--plan-hash', HASH, ...reason];
    expect(await finished(args)).toMatchObject({ exit: 3, stderr: `error: ${refusal.message}\n`, stdout: '' });
    const asJson = await finished([...args, '-o', 'json']);
    expect(JSON.parse(asJson.stdout)).toMatchObject({ exitCode: 3, error: { kind: 'refused' } });
  });

  it('needs to know which plan was read', async () => {
    const { stderr } = await finished(['approve', ID, '--yes', ...reason]);
    expect(stderr).toMatch(/^error: --plan-hash: is missing: --yes approves without showing the plan/);
  });
});

it('reject names the plan it waits with, and asks nothing', async () => {
  const fake = client();
  const { exit, stdout } = await finished(['reject', ID, '--reason', 'wrong snapshot']);
  expect(exit).toBe(0);
  expect(sentBy('reject', fake)).toEqual([ID, { by: USER, reason: 'wrong snapshot', planHash: HASH }]);
  expect(stdout).toContain(`rejected ${ID} as ${USER}`);
});

describe('resolve', () => {
  it.each(['retry', 'skip', 'undo', 'abort', 'force'])('sends %s with who and why', async (decision) => {
    const fake = client({ resolve: () => goesOn });
    const { exit, stdout } = await finished(['resolve', DISK, decision, '--reason', 'capacity is back']);
    expect(exit).toBe(0);
    expect(sentBy('resolve', fake)).toEqual([DISK, { decision, by: USER, reason: 'capacity is back' }]);
    expect(stdout).toContain(`told ${ID} to ${decision}\nNow: Stop the instance\n`);
  });

  it('shows what it waits for now when the decision did not help', async () => {
    client({ resolve: () => waitsFor({ ...forOperator, note: 'the instance is not running' }) });
    const { stdout } = await finished(['resolve', DISK, 'skip', ...reason]);
    expect(stdout).toContain('NEEDS AN OPERATOR');
    expect(stdout).toContain('the last decision was not followed: the instance is not running');
    expect(stdout).toContain(`ecs-rollback resolve ${ID} retry --reason '…'`);
  });

  it('that the run refuses exits 3', async () => {
    client({ resolve: new ClientError('refused', `${ID} refuses to resolve: it waits for nobody`) });
    expect(await finished(['resolve', DISK, 'retry', ...reason])).toMatchObject({
      exit: 3,
      stderr: `error: ${ID} refuses to resolve: it waits for nobody\n`,
    });
  });

  it('says which decisions there are', async () => {
    expect((await finished(['resolve', DISK, 'hope', ...reason])).stderr).toBe(
      'error: decision: "hope" is not accepted: expected retry, skip, undo, abort, force, delete, keep\n',
    );
  });
});

describe('pause and resume', () => {
  const paused = waitsFor({ kind: 'pause', by: USER, reason: '', since: '2026-11-22T03:09:00Z' });

  it('pause says whether it stands still already', async () => {
    const fake = client({ pause: () => goesOn });
    const going = await finished(['pause', DISK]);
    expect(going).toMatchObject({ exit: 0, stdout: expect.stringContaining('goes on to its next safe point') });
    expect(sentBy('pause', fake)).toEqual([DISK, { by: USER, reason: '' }]);
    client({ pause: () => paused });
    const still = await finished(['pause', DISK]);
    expect(still.stdout).toContain(`paused ${ID}: it stands still`);
    expect(still.stdout).toContain(`ecs-rollback resume ${ID}`);
  });

  it('resume lets it go on', async () => {
    const fake = client({ resume: () => goesOn });
    expect((await finished(['resume', DISK, '--by', 'carol'])).stdout).toContain(
      `resumed ${ID}\nNow: Stop the instance`,
    );
    expect(sentBy('resume', fake)).toEqual([DISK, { by: 'carol', reason: '' }]);
  });
});
