/**
 * Choosing what to bring back while the copy is mounted, and bringing it back to the side: through the starter, on real
 * disks.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { rollbackWorkflowId, syncWorkflowId } from '../../src/contract/ids.ts';
import type { RunStatus } from '../../src/contract/rollback.ts';
import type { LookResult } from '../../src/contract/selection.ts';
import { violations } from '../support/invariants.ts';
import { whyNoLoopDevices } from '../support/loop-devices.ts';
import { factsOf, gather } from './evidence.ts';
import { below, type Manifest, notBelow } from './guest.ts';
import { eventually, openStage, type RunDocument, type Stage } from './stage.ts';

const marker = `content-${randomBytes(9).toString('hex')}`;
let stage: Stage;
let snapshot: string;
let atSnapshot: Manifest;
let live: Manifest;

beforeAll(async () => {
  stage = await openStage({ dataPlane: whyNoLoopDevices() === undefined ? 'loop' : 'vm' });
  await stage.guest.runFile('tree', { MARKER: marker });
  snapshot = await stage.snapshot('nightly');
  atSnapshot = await stage.guest.manifest();
  await stage.guest.run(
    '#!/bin/sh\ncd /data && rm -r uploads/2026/01.txt db/index.db && echo changed | tee app/config/01.conf other/02.log',
  );
  live = await stage.guest.manifest();
}, 280_000);

afterAll(() => stage?.close());

const say = async (...args: string[]) => {
  const { exitCode, stdout, stderr } = await stage.starter([...args, '-o', 'json']);
  expect(exitCode, stderr).toBe(0);
  return JSON.parse(stdout) as unknown;
};
const look = async (...args: string[]) =>
  ((await say(...args)) as LookResult).entries.map(({ path, verdict }) => `${path} ${verdict}`);

/** The history of the newest workflow of a type: what the starter asks for has ids of its own. */
async function keepNewest(name: string, type: string): Promise<void> {
  const run = await eventually(`a ${type}`, async () => {
    for await (const found of stage.temporal.workflow.list({ query: `WorkflowType = '${type}'`, pageSize: 1 })) {
      return found.status.name === 'COMPLETED' ? found : undefined;
    }
    return undefined;
  });
  await stage.keep(name, run);
}

it('waits with the copy mounted, shows what is on it, and brings back what is chosen, and only that', async () => {
  const evidenceOf = await gather(stage);
  const flags = `--snapshot ${snapshot} --path /data --choose --conflict take-b --yes -o json`;
  const ended = stage.starter(['sync', ...stage.target, ...flags.split(' ')]);
  await eventually('the run to wait for a selection', async () => {
    const status = await stage.temporal.workflow
      .getHandle(syncWorkflowId(stage.diskId))
      .query<RunStatus>('status')
      .catch(() => undefined);
    return status?.phase === 'awaiting-selection' ? true : undefined;
  });
  expect(await look('diff', stage.diskId)).toEqual([
    '/data/app/config/01.conf changed',
    '/data/db/index.db only-in-b',
    '/data/other/02.log changed',
    '/data/uploads/2026/01.txt only-in-b',
  ]);
  expect(await look('browse', stage.diskId, '/data/db')).toEqual([
    '/data/db/index.db only-in-b',
    '/data/db/ledger.db same',
  ]);
  expect(await look('find', stage.diskId, '01.*')).toEqual([
    '/data/app/config/01.conf changed',
    '/data/other/01.log same',
    '/data/uploads/2026/01.txt only-in-b',
  ]);
  const chosen = ['/data/uploads', '/data/db/index.db', '/data/app/config/01.conf'];
  await say('select', stage.diskId, ...chosen.flatMap((path) => ['--path', path]), '--reason', 'INC-42');

  const end = await ended;
  expect(end, end.stderr).toMatchObject({ exitCode: 0 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run.result).toMatchObject({
    outcome: 'completed',
    chosen: { paths: chosen, reason: 'INC-42' },
    receipt: {
      verified: true,
      notBroughtBack: { entries: 1, folders: [{ folder: '/data/other', entries: 1 }] },
      report: { entries: 4 },
    },
  });
  // Long after the copy was unmounted.
  const left = { verdict: 'differs', action: 'left', path: '/data/other/02.log' };
  expect(await say('report', stage.diskId, '--action', 'left,keep')).toMatchObject({ total: 1, entries: [left] });
  expect(await say('report', stage.diskId, '--under', '/data/uploads')).toMatchObject({
    entries: [{ verdict: 'only-in-B', action: 'take', path: '/data/uploads/2026/01.txt' }],
  });
  await keepNewest('report-read', 'readReport');
  const after = await stage.guest.manifest();
  expect(below(after, chosen)).toEqual(below(atSnapshot, chosen));
  // The folders that a file came back to have new times.
  const changed = [...chosen, './db', './app/config'];
  expect(notBelow(after, changed)).toEqual(notBelow(live, changed));
  for (const path of ['./db/ledger.db', './app/config/02.conf']) expect(after.get(path)).toBe(live.get(path));
  const evidence = await evidenceOf({
    ...factsOf(run, end, snapshot),
    resets: 0,
    marker,
  });
  expect(violations(evidence)).toEqual([]);
  await stage.keep('completed-after-selection', run);

  // What was replaced is had back, and what the run keeps goes when asked.
  const [replaced = ''] = chosen.slice(-1);
  expect(await say('restore', stage.diskId, '--dry-run')).toMatchObject({ files: 1, paths: [replaced] });
  expect(await say('restore', stage.diskId, '--path', '/data/app', '--yes')).toMatchObject({ files: 1, problems: [] });
  await keepNewest('kept-restored', 'handleKept');
  expect(below(await stage.guest.manifest(), [replaced])).toEqual(below(live, [replaced]));
  expect(await say('close', stage.diskId, '--yes')).toMatchObject({
    report: true,
    folders: [expect.any(String), expect.any(String)],
  });
  expect(
    await stage.guest.run('#!/bin/sh\nfind /data /var/lib/ecs-rollback -name "*ecs-rollback*" 2>/dev/null || true'),
  ).toBe('');
  const gone = await stage.starter(['report', stage.diskId]);
  expect(gone).toMatchObject({ exitCode: 3, stderr: expect.stringContaining('the guest keeps no report of the run') });
}, 240_000);

it('brings what a file lists back below another folder, between hooks, and touches nothing where it was', async () => {
  await stage.guest.run(
    '#!/bin/sh\nprintf \'#!/bin/sh\\necho "$ECS_ROLLBACK_HOOK" >>/srv/hooks\\n\' >/srv/mark-hook; chmod 755 /srv/mark-hook',
  );
  const before = await stage.guest.manifest();
  const folder = mkdtempSync(join(tmpdir(), 'list-'));
  const list = join(folder, 'list');
  writeFileSync(list, '/data/app\n');
  const sync = ['sync', ...stage.target, '--snapshot', snapshot, '--yes'];
  const hooks = ['beforeCopy', 'afterCopy', 'healthCheck'];
  const flags = [
    '--files-from',
    list,
    '--into',
    '/data/from-b',
    ...hooks.flatMap((at) => ['--hook', `${at}=/srv/mark-hook`]),
  ];
  const run = (await say(...sync, ...flags)) as RunDocument;
  rmSync(folder, { recursive: true });
  expect(run.result).toMatchObject({
    outcome: 'completed',
    receipt: { verified: true, filesCopied: 20 },
    hooks: hooks.map((at) => ({ at, exitCode: 0 })),
  });
  expect(await stage.guest.run('#!/bin/sh\ncat /srv/hooks')).toBe(`${hooks.join('\n')}\n`);
  await stage.keep('completed-with-hooks', run);
  const after = await stage.guest.manifest();
  const untouched = (manifest: Manifest) => {
    const { '.': _, ...rest } = notBelow(manifest, ['/data/from-b']);
    return rest;
  };
  expect(untouched(after)).toEqual(untouched(before));
  const side = Object.entries(below(after, ['/data/from-b/app']));
  const moved = Object.fromEntries(side.map(([path, seen]) => [path.replace('from-b/', ''), seen]));
  expect(moved).toEqual(below(atSnapshot, ['/data/app']));

  const elsewhere = await stage.starter([...sync, '--path', '/data/app', '--into', '/srv/from-b', '-o', 'json']);
  expect(elsewhere.exitCode).not.toBe(0);
  expect(elsewhere.stdout).toContain('/srv/from-b is on the file system at /, and has to be on that of the paths');
}, 240_000);

it('brings back everything that has changed since A, and deletes what somebody has let go', async () => {
  const newest = await stage.snapshot('newest');
  await stage.guest.runFile('newer', { MARKER: marker });
  const atB = await stage.guest.manifest();
  const evidenceOf = await gather(stage);
  const flags = ['--snapshot', newest, '--since-a', '--delete', '--yes', '-o', 'json'];
  const ended = stage.starter(['start', ...stage.target, ...flags]);
  const { waitingFor } = await eventually('the run to show what it would delete', async () => {
    const status = await stage.temporal.workflow
      .getHandle(rollbackWorkflowId(stage.diskId))
      .query<RunStatus>('status')
      .catch(() => undefined);
    return status?.phase === 'needs-operator' ? status : undefined;
  });
  expect(waitingFor).toMatchObject({ step: 'copyBack', choices: ['delete', 'keep'], deletions: { entries: 2 } });
  const gone = ['/data/other/05.log', '/data/uploads/deleted-later'];
  const listed = (await say('report', stage.diskId, '--action', 'delete')) as { entries: Array<{ path: string }> };
  expect(listed.entries.map(({ path }) => path)).toEqual(gone);
  // As in A still.
  expect(Object.keys(below(await stage.guest.manifest(), gone))).toHaveLength(2);
  await say('resolve', stage.diskId, 'delete', '--reason', 'INC-42');

  const end = await ended;
  expect(end, end.stderr).toMatchObject({ exitCode: 0 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run.result).toMatchObject({
    outcome: 'completed',
    summary: expect.stringContaining('everything that has changed since A brought back and verified'),
    receipt: { verified: true, notBroughtBack: { entries: 0 } },
  });
  const aside = run.result?.receipt?.aside?.map(({ folder }) => folder) ?? [];
  expect(notBelow(await stage.guest.manifest(), aside)).toEqual(notBelow(atB, []));
  expect(violations(await evidenceOf({ ...factsOf(run, end, newest), resets: 1, marker }))).toEqual([]);
  await stage.keep('completed-after-deletions', run);
}, 240_000);

it('brings back from a disk that shows no serial, when asked to compare before and after the attach', async () => {
  await stage.control('POST', `disks/${stage.diskId}`, { hasSerial: false });
  const paths = ['/data/uploads', '/data/app'];
  const start = ['start', ...stage.target, '--snapshot', snapshot, ...paths.flatMap((path) => ['--path', path])];
  const blocked = await stage.starter([...start, '--yes', '-o', 'json']);
  expect(blocked.exitCode).toBe(3);
  expect(blocked.stdout).toContain('"DiskWithoutSerial"');

  await stage.guest.run('#!/bin/sh\necho since >/data/uploads/since-a');
  const before = await stage.guest.manifest();
  const evidenceOf = await gather(stage);
  const end = await stage.starter([...start, '--without-serial', '--yes', '-o', 'json']);
  expect(end, end.stderr).toMatchObject({ exitCode: 0 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run.result).toMatchObject({ outcome: 'completed', receipt: { verified: true } });
  // The guest has booted since, and sees one disk less by serial.
  expect(await stage.guest.run('#!/bin/sh\nls /dev/disk/by-id; cat /sys/block/vdb/serial 2>&1 || true')).not.toContain(
    stage.diskId.replace('d-', ''),
  );
  const after = await stage.guest.manifest();
  expect(after.has('./uploads/since-a')).toBe(true);
  expect(below(after, paths)).toMatchObject(below(before, paths));
  expect(violations(await evidenceOf({ ...factsOf(run, end, snapshot), resets: 1, marker }))).toEqual([]);
  await stage.keep('completed-without-serial', run);
}, 240_000);
