/**
 * One run at a time per instance on a real Temporal server, which ends a lease with its holder – the time-skipping server
 * of the workflow tests does not.
 */
import { setTimeout as delay } from 'node:timers/promises';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { RunHandle } from '../../src/client.ts';
import { RollbackClient } from '../../src/client.ts';
import { leaseWorkflowId } from '../../src/contract/ids.ts';
import { beyondLooking, gather } from './evidence.ts';
import { violations } from '../support/invariants.ts';
import { eventually, openStage, type Stage } from './stage.ts';

let stage: Stage;
let client: RollbackClient;
let snapshotA: string;

beforeAll(async () => {
  stage = await openStage({ dataPlane: 'none', speed: 100 });
  client = await RollbackClient.connect({ address: stage.stack.temporalAddress });
  snapshotA = await stage.snapshot('nightly');
}, 120_000);

afterAll(async () => {
  await client?.close();
  await stage?.close();
});

const start = (workflowId: string, onLeaseHeld: 'fail' | 'wait' = 'fail'): Promise<RunHandle> =>
  client.start(
    { regionId: stage.stack.simulator.regionId, diskId: stage.diskId, snapshotId: snapshotA, onLeaseHeld },
    { workflowId },
  );
const untilPhase = (handle: RunHandle, phase: string) =>
  eventually(`phase ${phase}`, async () => ((await handle.view()).status?.phase === phase ? true : undefined), 30);
const lease = () => stage.temporal.workflow.getHandle(leaseWorkflowId(stage.instanceId));

/** The instance stays in `Stopping` until it is released. */
const holdInstance = () => stage.control('POST', 'holds', { resourceId: stage.instanceId });
const releaseInstance = () => stage.control('DELETE', `holds/${stage.instanceId}`);

it('is named by a second run, which changes nothing; terminating its holder frees it for one that waits', async () => {
  const evidenceOf = await gather(stage);
  await holdInstance();
  const first = await start('first');
  await untilPhase(first, 'stopping');
  const second = await start('second');
  await expect(second.result()).rejects.toMatchObject({
    failureType: 'LeaseHeld',
    message: expect.stringContaining('in the hands of run first'),
  });
  const third = await start('third', 'wait');
  await untilPhase(third, 'waiting-for-lease');
  expect((await third.status()).waitingFor).toMatchObject({ kind: 'lease', holder: 'first' });
  const sinceThen = beyondLooking(await stage.calls(evidenceOf.callsBefore));
  expect(sinceThen.map(({ action }) => action)).toEqual(['StopInstance']);

  await stage.temporal.workflow.getHandle('first').terminate('an operator did it');
  await releaseInstance();
  const result = await third.result();
  expect(result.outcome).toBe('completed');
  const evidence = await evidenceOf({
    workflowId: third.workflowId,
    runId: third.runId,
    snapshotId: snapshotA,
    resets: 1,
    // The first run had stopped it, and the third promised to leave it as found.
    power: (await third.result()).plan.instance?.wasRunning === true ? 'Running' : 'Stopped',
    ledger: result.ledger,
    leftovers: result.leftovers,
    output: '-',
  });
  expect(violations(evidence)).toEqual([]);
  expect((await lease().describe()).status.name).not.toBe('RUNNING');
}, 120_000);

it('that was ended from outside closes the gate: nothing is reset, and the instance is put back', async () => {
  await client
    .start(
      { regionId: stage.stack.simulator.regionId, diskId: stage.diskId, snapshotId: snapshotA, powerAfter: 'running' },
      { workflowId: 'to-running' },
    )
    .then((handle) => handle.result());
  const evidenceOf = await gather(stage);
  await holdInstance();
  const run = await start('robbed');
  await untilPhase(run, 'stopping');
  await lease().terminate('by hand');
  await delay(500);
  await releaseInstance();
  const failure = await run.result().catch((error: unknown) => error);
  expect(failure).toMatchObject({
    failureType: 'FailedBeforeReset',
    message: expect.stringContaining('the lease on'),
    report: { resetHappened: 'no', leftovers: [] },
  });
  const evidence = await evidenceOf({
    workflowId: run.workflowId,
    runId: run.runId,
    snapshotId: snapshotA,
    resets: 0,
    ledger: (failure as { report: { ledger: never[] } }).report.ledger,
    leftovers: [],
    output: '-',
  });
  expect(violations(evidence)).toEqual([]);
}, 120_000);
