/**
 * A rollback past an expansion, on LVM and with a service that takes the disk's size back with the reset: disk, partition,
 * volume and file system are as large as before, and the data is that of A.
 */
import { afterAll, beforeAll, expect, it } from 'vitest';
import { violations } from '../support/invariants.ts';
import { gather } from './evidence.ts';
import { eventually, openStage, type RunDocument, type Stage } from './stage.ts';

const LARGER_GIB = 24;
const GIB = 1024 ** 3;

let stage: Stage;

beforeAll(async () => {
  stage = await openStage({ dataPlane: 'vm', fs: 'lvm' });
}, 280_000);

afterAll(() => stage?.close());

it('ends with everything as large as it was', async () => {
  const { guest, ecs, diskId } = stage;
  const size = async () => Number(await guest.run('#!/bin/sh\ndf -B1 --output=size /data | tail -1'));
  await guest.run('#!/bin/sh\necho A >/data/state; sync');
  const before = await size();
  const snapshotA = await stage.snapshot('small');
  await ecs.resizeDisk({ diskId, sizeGiB: LARGER_GIB, clientToken: 'expanded' });
  await eventually('the larger disk', async () =>
    (await ecs.disks([diskId])).get(diskId)?.sizeGiB === LARGER_GIB ? true : undefined,
  );
  await guest.run('#!/bin/sh\necho B >/data/state; sync');
  await stage.control('POST', 'switches', { sizeAfterReset: 'snapshot' });

  const evidenceOf = await gather(stage);
  const since = (await stage.calls()).length;
  const end = await stage.starter(['start', ...stage.target, '--snapshot', snapshotA, '--yes', '-o', 'json']);
  expect(end, end.stderr).toMatchObject({ exitCode: 0 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run.result).toMatchObject({ outcome: 'completed', leftovers: [] });
  const steps = Object.fromEntries((run.result?.steps ?? []).map(({ id, detail }) => [id, detail]));
  expect(steps).toMatchObject({
    restoreDiskSize: 'resized from 20 to 24 GiB',
    growFileSystems: expect.stringMatching(/^grown: \/dev\/vdb1, shop\/data, \/data$/),
  });
  const resizes = (await stage.calls(since)).filter((call) => call.action === 'ResizeDisk' && call.tookEffect);
  expect(resizes.map(({ parameters }) => parameters['NewSize'])).toEqual([String(LARGER_GIB)]);
  expect((await size()) - before).toBeGreaterThan(3.8 * GIB);
  expect(await guest.run('#!/bin/sh\ncat /data/state')).toBe('A\n');
  await stage.keep('grown', run);
  expect(
    violations(
      await evidenceOf({
        workflowId: run.workflowId,
        runId: run.runId,
        snapshotId: snapshotA,
        resets: 1,
        ledger: run.result?.ledger ?? [],
        leftovers: [],
        output: end.stdout + end.stderr,
        marker: 'no file of this story is secret',
      }),
    ),
  ).toEqual([]);
}, 280_000);
