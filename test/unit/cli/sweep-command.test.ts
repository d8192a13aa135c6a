/** `sweep`: what is asked for, the table it prints, and the schedule it makes, changes and removes. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { RollbackClient, type SweepSchedule, type SweepView } from '../../../src/client.ts';
import { ACTIVITY_FAILURE } from '../../../src/contract/messages.ts';
import { type SweepResult, type SweepRow, sweepInputSchema } from '../../../src/contract/sweep.ts';
import { finished } from './fake-client.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const REGION = 'cn-hangzhou';
const row = (over: Partial<SweepRow>): SweepRow => ({
  kind: 'disk',
  id: 'd-bp1leftover',
  purpose: 'recovery-disk',
  runId: 'run-1',
  workflowId: 'rollback-d-bp1original',
  createdAt: '2026-11-22T01:00:00Z',
  ageSeconds: 7_800,
  sizeGiB: 40,
  attachedTo: [],
  verdict: 'would-delete',
  reason: 'its run was terminated',
  ...over,
});
const result = (over: Partial<SweepResult> = {}): SweepResult => ({
  regionId: REGION,
  observedAt: '2026-11-22T03:10:00Z',
  rows: [
    row({}),
    row({
      kind: 'snapshot',
      id: 's-bp1bbb',
      purpose: 'safety-snapshot',
      createdAt: '',
      ageSeconds: 0,
      verdict: 'kept',
      reason: 'it is the only way back',
    }),
  ],
  notShown: 3,
  deleted: 0,
  summary: '1 of 2 things in cn-hangzhou would be deleted.',
  ...over,
});
const view = (over: Partial<SweepView> = {}): SweepView => ({
  workflowId: `sweep-${REGION}`,
  runId: 'run-9',
  execution: 'completed',
  startedAt: '2026-11-22T03:10:00Z',
  result: result(),
  ...over,
});
const schedule: SweepSchedule = {
  scheduleId: `sweep-${REGION}`,
  everySeconds: 21_600,
  input: sweepInputSchema.parse({ regionId: REGION, delete: true }),
  paused: false,
  nextAt: '2026-11-22T06:00:00Z',
};

function fakeSweeps(views: readonly SweepView[] = [view()], scheduled?: SweepSchedule) {
  let at = 0;
  const sweeps = {
    start: vi.fn(async (_request: unknown) => ({
      workflowId: `sweep-${REGION}`,
      runId: 'run-9',
      alreadyRunning: false,
      view: async () => views[Math.min(at++, views.length - 1)],
      cancel: async () => undefined,
    })),
    schedule: vi.fn(async (_request: unknown, _every: number) => schedule),
    scheduled: vi.fn(async () => scheduled),
    unschedule: vi.fn(async () => scheduled !== undefined),
  };
  const connect = vi
    .spyOn(RollbackClient, 'connect')
    .mockResolvedValue({ sweeps, close: async () => undefined } as unknown as RollbackClient);
  return { sweeps, connect };
}

describe('a sweep by hand', () => {
  it('only shows by default: what, id, age, size, run, verdict and why', async () => {
    const { sweeps } = fakeSweeps();
    const { exit, stdout } = await finished(['sweep', '--region', REGION]);
    expect(exit).toBe(0);
    expect(sweeps.start).toHaveBeenCalledWith({
      regionId: REGION,
      delete: false,
      releaseAttached: false,
      minAgeSeconds: 0,
    });
    expect(stdout.split('\n')).toEqual([
      '1 of 2 things in cn-hangzhou would be deleted.',
      '',
      'WHAT           ID             AGE     SIZE    RUN                     VERDICT       WHY',
      'recovery disk  d-bp1leftover  2h 10m  40 GiB  rollback-d-bp1original  would-delete  its run was terminated',
      'snapshot B     s-bp1bbb       -       40 GiB  rollback-d-bp1original  kept          it is the only way back',
      '',
      '… and 3 more, for the next sweep',
      '',
      'Next: `ecs-rollback sweep --region cn-hangzhou --delete` to delete what it may',
      '',
      'No schedule: `ecs-rollback sweep --region cn-hangzhou --delete --every 6h` makes one',
      '',
    ]);
  });

  it('sends every choice', async () => {
    const { sweeps } = fakeSweeps();
    const flags = ['--delete', '--release-attached', '--min-age', '2d'];
    expect((await finished(['sweep', ...flags], { env: { ALIBABA_CLOUD_REGION_ID: 'ap-southeast-1' } })).exit).toBe(0);
    expect(sweeps.start).toHaveBeenCalledWith({
      regionId: 'ap-southeast-1',
      delete: true,
      releaseAttached: true,
      minAgeSeconds: 172_800,
    });
  });

  it('-o json is the result, with the schedule there is', async () => {
    fakeSweeps([view({ execution: 'running' }), view()], schedule);
    const { exit, stdout, stderr } = await finished(['sweep', '--region', REGION, '-o', 'json']);
    expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    expect(JSON.parse(stdout)).toMatchObject({
      schemaVersion: 1,
      command: 'sweep',
      workflowId: `sweep-${REGION}`,
      exitCode: 0,
      rows: [{ id: 'd-bp1leftover' }, { id: 's-bp1bbb' }],
      schedule: { everySeconds: 21_600 },
    });
  });

  it('says what is being tried again, and ends with the exit code of the failure', async () => {
    const retrying = [{ activity: 'findLeftovers', attempt: 2, message: 'nothing answers' }];
    const { result: _, ...failed } = view({ execution: 'failed' });
    const failure = { type: ACTIVITY_FAILURE.denied, message: 'ecs:ListTagResources is not allowed' };
    fakeSweeps([view({ execution: 'running', retrying }), { ...failed, failure }]);
    const { exit, stdout, stderr } = await finished(['sweep', '--region', REGION]);
    expect({ exit, stdout }).toEqual({ exit: 4, stdout: '' });
    expect(stderr).toContain('trying again: nothing answers\n');
    expect(stderr).toContain('error: the sweep ended as failed: ecs:ListTagResources is not allowed\n');
  });

  it('stops waiting at --timeout', async () => {
    fakeSweeps([view({ execution: 'running' })]);
    const { exit, stderr } = await finished(['sweep', '--region', REGION, '--timeout', '50ms']);
    expect(exit).toBe(124);
    expect(stderr).toContain(`the sweep sweep-${REGION} continues`);
  });
});

describe('the schedule', () => {
  it('is made with --every, and nothing is swept now', async () => {
    const { sweeps } = fakeSweeps();
    const { exit, stdout } = await finished(['sweep', '--region', REGION, '--delete', '--every', '6h']);
    expect(exit).toBe(0);
    expect(sweeps.schedule).toHaveBeenCalledWith(expect.objectContaining({ regionId: REGION, delete: true }), 21_600);
    expect(sweeps.start).not.toHaveBeenCalled();
    expect(stdout).toBe('Schedule: every 6h 00m, deletes; the next one at 2026-11-22 06:00:00 UTC\n');
  });

  it('is removed with --every off, and it is no error when there is none', async () => {
    fakeSweeps([], schedule);
    const removed = await finished(['sweep', '--region', REGION, '--every', 'off']);
    expect(removed).toMatchObject({ exit: 0, stdout: `the schedule is removed (${REGION})\n` });
    fakeSweeps([]);
    const none = await finished(['sweep', '--region', REGION, '--every', 'off', '-o', 'json']);
    expect(JSON.parse(none.stdout)).toMatchObject({ removed: false, exitCode: 0 });
  });
});

it.each([
  [[], '--region: is missing: give a region, such as cn-hangzhou (or set ALIBABA_CLOUD_REGION_ID)'],
  [['--region', 'X'], '--region: "X" is not the id of a region'],
  [['--region', REGION, '--min-age', 'old'], '--min-age: "old" is not a duration up to a year'],
  [['--region', REGION, '--every', '1s'], '--every: "1s" is not accepted: expected a duration from 5m to a year'],
  [['--region', REGION, '--every', 'off', '--delete'], '--every: "off" removes the schedule and sweeps nothing'],
  [['--region', REGION, '--every', '6h', '--timeout', '1m'], '--timeout: a schedule is made at once'],
])('%j is refused in one line, without a connection', async (flags, said) => {
  const { connect } = fakeSweeps();
  const { exit, stderr } = await finished(['sweep', ...flags]);
  expect(exit).toBe(2);
  expect(stderr).toMatch(/^error: [^\n]+\n$/);
  expect(stderr).toContain(said);
  expect(connect).not.toHaveBeenCalled();
});
