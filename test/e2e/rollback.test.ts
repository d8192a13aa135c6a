/**
 * The whole rollback with real bytes, once on each file system: starter, worker, Temporal, the ECS API and a virtual
 * machine, all as processes of their own. What the guest's disk holds decides, not what the product says of it. The disk
 * with LVM was expanded since A, and the service takes its size back with the reset.
 */
import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { RollbackPlan } from '../../src/contract/rollback.ts';
import { beyondLooking, gather } from './evidence.ts';
import { below, type Manifest, notBelow } from './guest.ts';
import { type Evidence, violations } from '../support/invariants.ts';
import { eventually, openStage, type RunDocument, type Stage, type StarterEnd } from './stage.ts';

const PATHS = ['/data/uploads', '/data/db/ledger.db'];
const pathFlags = PATHS.flatMap((path) => ['--path', path]);
/** As the scene has the disk, and as it is expanded. */
const [SIZE_GIB, LARGER_GIB] = [20, 24];
const GIB = 1024 ** 3;

// ext4 on a logical volume; plain partitions are in the other stories.
describe.concurrent.each([
  { fs: 'lvm', expanded: true, kept: 'grown' },
  { fs: 'xfs', expanded: false, kept: 'completed-xfs' },
] as const)('rollback and sync on $fs', ({ fs, expanded, kept }) => {
  const marker = `content-${randomBytes(9).toString('hex')}`;
  let stage: Stage;
  let snapshotA: string;
  let atA: Manifest;
  let beforeDamage: Manifest;
  let damaged: Manifest;
  /** Bytes that the file system grew by from A to the end, where the disk was expanded. */
  let growth: number;
  let after: Manifest;
  let end: StarterEnd;
  let run: RunDocument;
  let evidence: Evidence;

  beforeAll(async () => {
    stage = await openStage({ dataPlane: 'vm', fs });
    const { guest, ecs, diskId } = stage;
    await guest.runFile('tree', { MARKER: marker });
    atA = await guest.manifest();
    const size = async () =>
      expanded ? Number(await guest.run('#!/bin/sh\ndf -B1 --output=size /data | tail -1')) : 0;
    const sizeAtA = await size();
    snapshotA = await stage.snapshot('nightly');
    if (expanded) {
      await stage.control('POST', 'switches', { sizeAfterReset: 'snapshot' });
      await ecs.resizeDisk({ diskId, sizeGiB: LARGER_GIB, clientToken: 'expanded' });
      await eventually('the larger disk', async () =>
        (await ecs.disks([diskId])).get(diskId)?.sizeGiB === LARGER_GIB ? true : undefined,
      );
    }
    await guest.runFile('newer', { MARKER: marker });
    beforeDamage = await guest.manifest();
    await guest.runFile('damage');
    damaged = await guest.manifest();

    const evidenceOf = await gather(stage);
    end = await stage.starter(['start', ...stage.target, '--snapshot', snapshotA, ...pathFlags, '--yes', '-o', 'json']);
    run = JSON.parse(end.stdout) as RunDocument;
    evidence = await evidenceOf({
      workflowId: run.workflowId,
      runId: run.runId,
      snapshotId: snapshotA,
      resets: 1,
      ledger: run.result?.ledger ?? [],
      leftovers: run.result?.leftovers ?? [],
      output: end.stdout + end.stderr,
      marker,
    });
    after = await guest.manifest();
    growth = (await size()) - sizeAtA;
    await stage.keep(kept, run);
  }, 280_000);

  afterAll(() => stage?.close());

  it('has a story worth telling', () => {
    expect(below(beforeDamage, PATHS)).not.toEqual(below(atA, PATHS));
    expect(notBelow(beforeDamage, PATHS)).not.toEqual(notBelow(atA, PATHS));
    expect(notBelow(damaged, PATHS)).not.toEqual(notBelow(beforeDamage, PATHS));
  });

  it('ends with exit code 0 and a completed run', () => {
    expect(end, end.stderr).toMatchObject({ exitCode: 0 });
    expect(run).toMatchObject({ exitCode: 0, execution: 'completed', result: { outcome: 'completed', leftovers: [] } });
    expect(run.result?.receipt).toMatchObject({ verified: true, mismatches: [] });
  });

  it('shows all eight steps done, in the order of the vendor’s page', () => {
    const steps = (run.result?.steps ?? []).filter(({ number }) => number !== undefined);
    expect(steps.map(({ number, state }) => `${number} ${state}`)).toEqual(
      [1, 2, 3, 4, 5, 6, 7, 8].map((n) => `${n} done`),
    );
  });

  it('brings the selected paths back as they were before the damage', () => {
    // Nothing is ever deleted: what was removed after A is there again.
    const removedSinceA = Object.fromEntries(
      Object.entries(below(atA, PATHS)).filter(([path]) => !beforeDamage.has(path)),
    );
    expect(Object.keys(removedSinceA)).toEqual(['./uploads/deleted-later']);
    expect(below(after, PATHS)).toEqual({ ...below(beforeDamage, PATHS), ...removedSinceA });
  });

  it('leaves everything else as snapshot A holds it', () => {
    // A selected file is renamed into its place, which is a change of the folder that it lies in.
    const folder = './db';
    const withoutTime = (manifest: Manifest) => ({
      ...notBelow(manifest, PATHS),
      [folder]: manifest.get(folder)?.replace(/mtime [\d.]+/, ''),
    });
    expect(withoutTime(after)).toEqual(withoutTime(atA));
  });

  if (expanded) {
    it('makes disk, partition, volume and file system as large as before', () => {
      const steps = Object.fromEntries((run.result?.steps ?? []).map(({ id, detail }) => [id, detail]));
      expect(steps).toMatchObject({
        restoreDiskSize: `resized from ${SIZE_GIB} to ${LARGER_GIB} GiB`,
        growFileSystems: expect.stringMatching(/^grown: \/dev\/vdb1, shop\/data, \/data$/),
      });
      const resizes = evidence.calls.filter((call) => call.action === 'ResizeDisk' && call.tookEffect);
      expect(resizes.map(({ parameters }) => parameters['NewSize'])).toEqual([String(LARGER_GIB)]);
      expect(growth).toBeGreaterThan((LARGER_GIB - SIZE_GIB) * 0.95 * GIB);
    });
  }

  it('names where it has kept aside what it replaced', () => {
    const aside = run.result?.receipt?.aside;
    expect(aside).toMatchObject([{ folder: `/data/.ecs-rollback-${run.runId}.aside` }]);
    expect(aside?.[0]?.files).toBeGreaterThan(0);
  });

  it('keeps the invariants', () => {
    expect(violations(evidence)).toEqual([]);
  });

  it('refuses paths that are not there or on another disk, and changes nothing', async () => {
    const before = (await stage.calls()).length;
    const paths = ['--path', '/data/no-such-folder', '--path', '/etc/hosts', '--path', '/data/uploads'];
    const refused = await stage.starter([
      'start',
      ...stage.target,
      '--snapshot',
      snapshotA,
      ...paths,
      '--yes',
      '-o',
      'json',
    ]);
    expect(refused, refused.stderr).toMatchObject({ exitCode: 3 });
    const { plan } = JSON.parse(refused.stdout) as { plan: RollbackPlan };
    const blockers = plan.findings.filter(({ severity }) => severity === 'blocker');
    expect(blockers).toMatchObject([
      { code: 'PathNotFound', field: 'sync.paths', fact: expect.stringContaining('/data/no-such-folder') },
      { code: 'PathNotOnDisk', field: 'sync.paths', fact: expect.stringContaining('/etc/hosts') },
    ]);
    expect(beyondLooking(await stage.calls(before))).toEqual([]);
  });
});
