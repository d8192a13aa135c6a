// A run that stands still with the copy mounted until somebody says what to bring back – on the time-skipping server.
import type { TestWorkflowEnvironment } from '@temporalio/testing';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Activities } from '../../src/activities/index.ts';
import { UPDATE } from '../../src/contract/messages.ts';
import type { RollbackRequest } from '../../src/contract/rollback.ts';
import { REQUEST, type Running, runRollback } from '../support/rollback-run.ts';
import { RECEIPT } from '../support/stub-activities.ts';
import { timeSkippingEnvironment } from '../support/temporal-time-skipping.ts';

let env: TestWorkflowEnvironment;
beforeAll(async () => {
  env = await timeSkippingEnvironment();
});
afterAll(() => env?.teardown());

const request: RollbackRequest = { ...REQUEST, sync: { paths: ['/data/uploads'], choose: true } };
const run = (over: Partial<Activities>, during?: (running: Running) => Promise<void>) =>
  runRollback(env, over, request, during);
const waits = (running: Running) => running.until(({ phase }) => phase === 'awaiting-selection');
const choice = (...paths: string[]) => ({ paths, by: 'ada', reason: 'INC-42' });

test('brings back what was chosen, at or below what it was started for, by the policy that was chosen', async () => {
  let copied: unknown;
  const { result, calls } = await run(
    {
      startCopy: async ({ mounts, conflictPolicy }) => {
        copied = { paths: mounts.map(({ paths }) => paths), conflictPolicy };
        return { tool: 'rsync', alreadyRunning: false };
      },
    },
    async (running) => {
      expect(await waits(running)).toMatchObject({
        headline: expect.stringContaining('WAITING FOR A SELECTION'),
        waitingFor: { kind: 'selection', paths: ['/data/uploads'] },
        resetHappened: 'yes',
      });
      expect(await running.update(UPDATE.select, choice('/data/secret'))).toMatch(/\/data\/secret is not at or below/);
      expect(await running.update(UPDATE.select, choice())).toMatch(/paths is empty/);
      expect(await running.update(UPDATE.select, { ...choice('/data/uploads'), by: ' ' })).toMatch(/by is empty/);
      await running.update(UPDATE.select, { ...choice('/data/uploads/2026'), conflictPolicy: 'keep-live' });
    },
  );
  expect(copied).toEqual({ paths: [['uploads/2026']], conflictPolicy: 'keep-live' });
  expect(result).toMatchObject({
    outcome: 'completed',
    chosen: { paths: ['/data/uploads/2026'], by: 'ada', reason: 'INC-42' },
    summary: expect.stringContaining('/data/uploads/2026 brought back and verified'),
  });
  expect(calls.indexOf('startCopy')).toBeGreaterThan(calls.indexOf('mountRecoveryDisk'));
});

test('offers all that is mounted where no path was named, for what has changed since A', async () => {
  const all: RollbackRequest = { ...REQUEST, sync: { sinceA: true, choose: true } };
  let found: unknown;
  let copied: unknown;
  const at = (originalMount: string, partition: number) => ({
    partition,
    fsType: 'ext4',
    fsUuid: 'u',
    recoveryDevice: '/dev/vdc',
    recoveryMount: `/run/p${partition}`,
    originalMount,
    paths: [''],
  });
  const { result } = await runRollback(
    env,
    {
      findRecoveryDevice: async ({ paths }) => {
        found = paths;
        return { bootId: 'b', originalDevice: '/dev/vdb', recoveryDevice: '/dev/vdc', fileSystems: [] };
      },
      mountRecoveryDisk: async () => ({ mounts: [at('/', 1), at('/data', 2)] }),
      startCopy: async ({ mounts, sinceA }) => {
        copied = { mounts: mounts.map(({ originalMount, paths }) => [originalMount, paths]), sinceA };
        return { alreadyRunning: false };
      },
    },
    all,
    async (running) => {
      expect(await waits(running)).toMatchObject({ waitingFor: { paths: ['/', '/data'] } });
      await running.update(UPDATE.select, choice('/data/uploads'));
    },
  );
  expect(found).toEqual([]);
  expect(copied).toEqual({ mounts: [['/data', ['uploads']]], sinceA: true });
  expect(result?.outcome).toBe('completed');
});

test('says in its step what of B did not come back, and what is not known', async () => {
  const notBroughtBack = { entries: 2, bytes: 1500, folders: [], notCompared: ['partition 3 is swap space', 'more'] };
  const { result } = await runRollback(
    env,
    {
      awaitVerification: async () => ({ ...RECEIPT, notBroughtBack }),
    },
    { ...REQUEST, sync: { paths: ['/data/uploads'] } },
  );
  expect(result?.steps.find(({ id }) => id === 'copyBack')?.detail).toMatch(
    /; 2 paths, 1,500 bytes of B not brought back; not compared: partition 3 is swap space and 1 more$/,
  );
});

test('sends a list of paths into the guest before the copy, which gets its digest only', async () => {
  const sent: unknown[] = [];
  const filesFrom = { gzip: 'H4sIAAAA', entries: 2 };
  const { result } = await runRollback(
    env,
    {
      sendList: async ({ gzip }) => {
        sent.push(gzip);
        return { sha256: 'e'.repeat(64) };
      },
      startCopy: async (start) => {
        sent.push(start.list, 'filesFrom' in start);
        return { alreadyRunning: false };
      },
    },
    { ...REQUEST, sync: { paths: ['/data/uploads'], filesFrom } },
  );
  expect(result?.outcome).toBe('completed');
  expect(sent).toEqual(['H4sIAAAA', 'e'.repeat(64), false]);
});

test('answers looks into the copy while it waits, and says why one was refused', async () => {
  const entry = {
    path: '/data/uploads/a',
    type: 'file',
    size: 1,
    modifiedAt: '2026-11-27T01:02:03Z',
    verdict: 'only-in-b',
  } as const;
  const { result } = await run(
    {
      lookIntoCopy: async ({ what, path }) => {
        if (path === '/data/uploads/none') throw new Error('it is no directory');
        return { entries: what === 'browse' ? [entry] : [] };
      },
    },
    async (running) => {
      await waits(running);
      const look = (argument: object) => running.update(UPDATE.look, argument);
      expect(await look({ what: 'browse', path: '/data/uploads' })).toEqual({ entries: [entry] });
      expect(await look({ what: 'diff', path: '/data/uploads' })).toEqual({ entries: [] });
      expect(await look({ what: 'browse', path: '/data/uploads/none' })).toMatch(/it is no directory/);
      expect(await look({ what: 'find', path: '/data' })).toMatch(/pattern belongs to find/);
      expect(await look({ what: 'browse', path: 'data' })).toMatch(/path is not an absolute path/);
      await running.update(UPDATE.select, choice('/data/uploads'));
    },
  );
  expect(result?.outcome).toBe('completed');
});

test('a cancel while it waits releases the recovery disk, and nothing is brought back', async () => {
  const { calls, status, result } = await run({}, async (running) => {
    await waits(running);
    await running.handle.cancel();
  });
  expect(result).toBeUndefined();
  expect(status).toMatchObject({ phase: 'cancelled', ledger: [{ state: 'kept' }, { state: 'released' }] });
  expect(calls).not.toContain('startCopy');
});
