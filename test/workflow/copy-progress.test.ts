// What the run says of its copy while it runs: how far it is, what throttles it, and who writes to what it replaces.
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { ApplicationFailure } from '@temporalio/common';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { ACTIVITY_FAILURE, COPY_PROGRESS_SIGNAL, UPDATE } from '../../src/contract/messages.ts';
import type { CopyProgress } from '../../src/contract/rollback.ts';
import { currentDetails } from '../../src/domain/run-report.ts';
import { latch } from '../support/latch.ts';
import { ASKING, REQUEST, runRollback } from '../support/rollback-run.ts';
import { stubActivities } from '../support/stub-activities.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

const { activities: healthy } = stubActivities();
const OPEN = { files: 2, processes: 'postgres (pid 812)', paths: ['/data/uploads/a', '/data/uploads/b'] };
const HALF: CopyProgress = {
  stage: 'copying',
  filesDone: 5,
  filesTotal: 10,
  bytesDone: 50 * 1024 ** 2,
  bytesTotal: 100 * 1024 ** 2,
  bytesPerSecond: 1024 ** 2,
  secondsLeft: 50,
  changedAt: '2026-11-28T03:00:00.000Z',
};

test('status and details have the rate, the time left and the throttle while it copies', async () => {
  const { opened: copied, open: goOn } = latch();
  const awaitCopy = async (input: Parameters<typeof healthy.awaitCopy>[0]) => {
    await copied;
    return healthy.awaitCopy(input);
  };
  const throttle = { mibPerSecond: 20, ioClass: 'best-effort' } as const;
  const request = { ...REQUEST, sync: { paths: ['/data/uploads'], throttle } };
  const { status, result } = await runRollback(env, { awaitCopy }, request, async (running) => {
    await running.until(({ phase }) => phase === 'copying');
    await running.handle.signal(COPY_PROGRESS_SIGNAL, HALF);
    const told = await running.until(({ copy }) => copy !== undefined);
    expect(told).toMatchObject({ copy: HALF, throttle });
    const details = currentDetails(told, 'w');
    expect(details).toContain(
      'Copying: 5 of 10 files, 50 MiB of 100 MiB, 1.0 MiB/s, about 1 min left, last change 2026',
    );
    expect(details).toContain('at most 20 MiB/s, I/O class best-effort');
    goOn();
  });
  expect(result?.outcome).toBe('completed');
  expect(status.copy).toBeUndefined();
});

test('who writes to live files is a finding, once, with hooks for the remedy', async () => {
  const startCopy = async () => ({ alreadyRunning: false, openFiles: OPEN });
  const awaitCopy = async (input: Parameters<typeof healthy.awaitCopy>[0]) => ({
    ...(await healthy.awaitCopy(input)),
    openFiles: OPEN,
  });
  const { status } = await runRollback(env, { startCopy, awaitCopy }, REQUEST, async () => {});
  const found = status.findings.filter(({ code }) => code === 'OpenFiles');
  expect(found).toHaveLength(1);
  expect(found[0]?.fact).toContain('postgres (pid 812)');
  expect(found[0]?.remedy).toContain('beforeCopy');
});

test('a copy refused for open files asks, and goes on when somebody has stopped the process', async () => {
  const tried: unknown[] = [];
  const startCopy = async (input: { openFiles?: string | undefined }) => {
    tried.push(input.openFiles);
    if (tried.length > 1) return { alreadyRunning: false };
    throw ApplicationFailure.nonRetryable('2 of the live files are open for writing', ACTIVITY_FAILURE.guestRefused, {
      code: 'OpenFiles',
    });
  };
  const request = { ...ASKING, sync: { paths: ['/data/uploads'], openFiles: 'refuse' as const } };
  const { result } = await runRollback(env, { startCopy }, request, async (running) => {
    const asked = await running.until(({ waitingFor }) => waitingFor?.kind === 'operator');
    expect(asked.headline).toContain('open for writing');
    await running.update(UPDATE.resolve, { decision: 'retry', by: 'ada', reason: 'stopped it' });
  });
  expect(result?.outcome).toBe('completed');
  expect(tried).toEqual(['refuse', 'refuse']);
});
