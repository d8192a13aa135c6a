/**
 * What a tired human gets wrong, each through a real starter process: one clear line with field, fact and fix, the right
 * exit code, and nothing changed in the cloud. The cloud has no machines here, which makes it quick.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Scene } from '../../simulator/state/model.ts';
import { ACTIONS, type Action } from '../../src/cloud/alicloud/actions.ts';
import type { PlanFinding } from '../../src/contract/rollback.ts';
import { beyondLooking } from './evidence.ts';
import { openStage, type Stage, type StarterEnd } from './stage.ts';

const REGION = 'cn-hangzhou';
const UNKNOWN = 'bp1nosuchthing0000000';

/** Ids by the role they play here; known once the scenes are set. */
interface Cast {
  readonly disk: string;
  readonly snapshot: string;
  readonly instance: string;
  readonly foreignDisk: string;
  readonly foreignSnapshot: string;
  readonly foreignInstance: string;
  readonly busyDisk: string;
  readonly unfinishedSnapshot: string;
  readonly detachedDisk: string;
  readonly snapshotOfDetached: string;
}

interface Case {
  readonly it: string;
  /** Flags after `start`, in terms of the cast. */
  readonly flags: (cast: Cast) => Flags;
  readonly env?: Readonly<Record<string, string>>;
  readonly exitCode: number;
  /** Codes of the blockers, all of them; for what is refused by the plan. */
  readonly blockers?: readonly string[];
  /** Field, fact and fix, each to be found in the one line. */
  readonly says: readonly (string | RegExp)[];
}

type Flags = Readonly<Record<string, string | boolean | undefined>>;

const good = ({ disk, snapshot }: Cast): Flags => ({ region: REGION, disk, snapshot, yes: true });
const but =
  (change: (cast: Cast) => Flags): Case['flags'] =>
  (cast) => ({ ...good(cast), ...change(cast) });

const refusedByFlags: readonly Case[] = [
  {
    it: 'no disk at all',
    flags: but(() => ({ disk: undefined })),
    exitCode: 2,
    says: ['--disk', 'is missing', 'give the id of the disk'],
  },
  {
    it: 'paths to bring back to an instance that is to be stopped',
    flags: but(() => ({ path: '/data', power: 'stopped' })),
    exitCode: 2,
    says: ['--power', 'contradicts --path', 'leave out --path'],
  },
  {
    it: 'a conflict policy with nothing to bring back',
    flags: but(() => ({ conflict: 'keep-live' })),
    exitCode: 2,
    says: ['--conflict', 'nothing is brought back without --path', 'leave out --conflict'],
  },
  {
    it: 'a dry run to detach from',
    flags: but(() => ({ 'dry-run': true, detach: true })),
    exitCode: 2,
    says: ['--detach', 'a dry run is waited for', 'leave out --detach or --dry-run'],
  },
  {
    it: 'a time limit on waiting for nothing',
    flags: but(() => ({ timeout: '5m', detach: true })),
    exitCode: 2,
    says: ['--timeout', 'nothing is waited for', 'leave out --timeout or --detach'],
  },
  {
    it: 'no confirmation and nobody to ask',
    flags: but(() => ({ yes: undefined })),
    exitCode: 2,
    says: ['--yes', 'never prompts', 'add --yes, or --dry-run'],
  },
  {
    it: 'no Temporal server',
    flags: good,
    env: { TEMPORAL_ADDRESS: '127.0.0.1:1' },
    exitCode: 7,
    says: ['no Temporal server at 127.0.0.1:1', 'nothing listens there', 'set TEMPORAL_ADDRESS'],
  },
  {
    it: 'an unknown namespace of the server',
    flags: good,
    env: { TEMPORAL_NAMESPACE: 'elsewhere' },
    exitCode: 7,
    says: ['has no namespace "elsewhere"', 'set TEMPORAL_NAMESPACE'],
  },
  {
    it: 'a server without a worker',
    flags: but(() => ({ 'task-queue': 'nobody' })),
    exitCode: 7,
    says: ['no worker polls the task queue "nobody"', 'npm run worker'],
  },
];

const refusedByPlan: readonly Case[] = [
  {
    it: 'an unknown disk',
    flags: but(() => ({ disk: `d-${UNKNOWN}` })),
    exitCode: 6,
    blockers: ['SnapshotOfAnotherDisk', 'DiskNotFound'],
    says: [`disk d-${UNKNOWN} is not in region ${REGION}`, 'check the id and the region'],
  },
  {
    it: 'an unknown snapshot',
    flags: but(() => ({ snapshot: `s-${UNKNOWN}` })),
    exitCode: 6,
    blockers: ['SnapshotNotFound'],
    says: [
      `snapshot s-${UNKNOWN} is not in region ${REGION}`,
      'check the id and the region',
      'newest usable snapshots',
    ],
  },
  {
    it: 'an unknown instance',
    flags: but(() => ({ instance: `i-${UNKNOWN}` })),
    exitCode: 3,
    blockers: ['DiskOnAnotherInstance'],
    says: [`not to i-${UNKNOWN}`, 'name the instance it is attached to'],
  },
  {
    it: 'the disk of another instance',
    flags: but(({ foreignDisk, foreignSnapshot, instance }) => ({
      disk: foreignDisk,
      snapshot: foreignSnapshot,
      instance,
    })),
    exitCode: 3,
    blockers: ['DiskOnAnotherInstance'],
    says: [/disk d-\S+ is attached to i-\S+, not to i-/, 'name the instance it is attached to'],
  },
  {
    it: 'another instance than the disk’s',
    flags: but(({ foreignInstance }) => ({ instance: foreignInstance })),
    exitCode: 3,
    blockers: ['DiskOnAnotherInstance'],
    says: [/is attached to i-\S+, not to i-/, 'leave the instance out'],
  },
  {
    it: 'a snapshot of another disk',
    flags: but(({ foreignSnapshot }) => ({ snapshot: foreignSnapshot })),
    exitCode: 3,
    blockers: ['SnapshotOfAnotherDisk'],
    says: [/snapshot s-\S+ was taken of disk d-\S+, not of d-/, 'only to its own snapshots', 'newest usable snapshots'],
  },
  {
    it: 'an unfinished snapshot',
    flags: but(({ busyDisk, unfinishedSnapshot }) => ({ disk: busyDisk, snapshot: unfinishedSnapshot })),
    exitCode: 3,
    blockers: ['SnapshotNotReady'],
    says: [/snapshot s-\S+ is unfinished/, 'wait until it is available, or choose an older one'],
  },
  {
    it: 'a detached disk',
    flags: but(({ detachedDisk, snapshotOfDetached }) => ({ disk: detachedDisk, snapshot: snapshotOfDetached })),
    exitCode: 3,
    blockers: ['DiskNotAttached'],
    says: [/disk d-\S+ is Available and attached to no instance/, 'attach it to its instance first'],
  },
];

const refusedByCloud: readonly Case[] = [
  {
    it: 'the wrong region',
    flags: but(() => ({ region: 'ap-southeast-1' })),
    exitCode: 6,
    says: ['RegionId "ap-southeast-1" does not exist', 'check the region'],
  },
  {
    it: 'a wrong AccessKey secret',
    flags: but(() => ({ 'task-queue': 'wrong-secret' })),
    exitCode: 4,
    says: ['SignatureDoesNotMatch', 'ALIBABA_CLOUD_ACCESS_KEY_SECRET'],
  },
  {
    it: 'no credentials',
    flags: but(() => ({ 'task-queue': 'no-credentials' })),
    exitCode: 4,
    says: ['credentials', 'ALIBABA_CLOUD_ACCESS_KEY_ID'],
  },
  {
    it: 'an ECS endpoint that is down',
    flags: but(() => ({ 'task-queue': 'endpoint-down' })),
    exitCode: 7,
    says: ['127.0.0.1:1: nothing listens there', 'check ECS_ROLLBACK_ENDPOINT'],
  },
  ...(['html', 'cut', 'other', 'empty'] as const).map((kind) => ({
    it: `an ECS endpoint that answers garbage (${kind})`,
    flags: but(() => ({ disk: `d-garbage${kind}`, 'task-queue': 'garbage' })),
    exitCode: 7,
    says: [/the ECS endpoint http:\S+ answered/, 'check ECS_ROLLBACK_ENDPOINT'],
  })),
];

/** What a captive portal, a proxy, another service or a broken one would say. */
const GARBAGE: Readonly<Record<string, { type: string; body: string }>> = {
  html: { type: 'text/html', body: '<!doctype html><title>Sign in</title><h1>Welcome to the hotel network</h1>' },
  cut: { type: 'application/json', body: '{"RequestId":"473469C7-AA6F-4DC5-B3DB-A3DC0DE3C83E","Disks":{"Di' },
  other: { type: 'application/json', body: '{"name":"another service","version":"8.11.0"}' },
  empty: { type: 'application/json', body: '' },
};

let stage: Stage;
let cast: Cast;
let callsBefore: number;
let nowhere: string;
let garbageServer: Server;
const garbageActions: string[] = [];

beforeAll(async () => {
  nowhere = await mkdtemp(join(tmpdir(), 'ecs-rollback-home-'));
  garbageServer = createServer((request, response) => {
    garbageActions.push(String(request.headers['x-acs-action']));
    const kind = /garbage([a-z]+)/.exec(request.url ?? '')?.[1] ?? 'html';
    const { type, body } = GARBAGE[kind] ?? { type: 'text/plain', body: '' };
    response.writeHead(200, { 'content-type': type }).end(body);
  });
  await new Promise<void>((resolve) => garbageServer.listen(0, '127.0.0.1', resolve));
  const garbage = `http://127.0.0.1:${(garbageServer.address() as AddressInfo).port}`;

  stage = await openStage({ dataPlane: 'none', speed: 200 });
  await Promise.all([
    settle(),
    ...Object.entries({
      'wrong-secret': { ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'not-the-secret-of-this-key' },
      'no-credentials': { ALIBABA_CLOUD_ACCESS_KEY_ID: '', ALIBABA_CLOUD_ACCESS_KEY_SECRET: '', HOME: nowhere },
      'endpoint-down': { ECS_ROLLBACK_ENDPOINT: 'http://127.0.0.1:1' },
      garbage: { ECS_ROLLBACK_ENDPOINT: garbage },
    }).map(([queue, env]) => stage.stack.startWorker(queue, { ...env, ECS_ROLLBACK_TASK_QUEUE: queue })),
  ]);
  callsBefore = (await stage.calls()).length;
}, 240_000);

afterAll(async () => {
  await stage?.close();
  garbageServer?.close();
  await rm(nowhere, { recursive: true, force: true });
});

/** Three more instances: one to take for another, one whose snapshot does not end, one that has lost its disk. */
async function settle(): Promise<void> {
  const scene = (name: string) => stage.control<Scene>('POST', 'scenes', { name });
  const [foreign, busy, bereft] = [await scene('other'), await scene('busy'), await scene('bereft')];
  const [snapshot, foreignSnapshot, snapshotOfDetached] = await Promise.all([
    stage.snapshot('base'),
    stage.snapshot('foreign', foreign.dataDiskId),
    stage.snapshot('bereft', bereft.dataDiskId),
  ]);
  await stage.control('POST', 'durations', { snapshotAvailable: 1_000_000, snapshot: 2_000_000 });
  const unfinishedSnapshot = await stage.snapshot('unfinished', busy.dataDiskId, { wait: false });
  await stage.ecs.detachDisk(bereft.dataDiskId, bereft.instanceId);
  cast = {
    disk: stage.diskId,
    snapshot,
    instance: stage.instanceId,
    foreignDisk: foreign.dataDiskId,
    foreignSnapshot,
    foreignInstance: foreign.instanceId,
    busyDisk: busy.dataDiskId,
    unfinishedSnapshot,
    detachedDisk: bereft.dataDiskId,
    snapshotOfDetached,
  };
}

const start = ({ flags, env }: Case): Promise<StarterEnd> => {
  const given = Object.entries({ ...flags(cast), output: 'json' }).flatMap(([name, value]) =>
    typeof value === 'string' ? [`--${name}`, value] : value === true ? [`--${name}`] : [],
  );
  return stage.starter(['start', ...given], env);
};

interface Refusal {
  readonly exitCode: number;
  readonly error?: { readonly message: string };
  readonly plan?: { readonly findings: readonly PlanFinding[] };
}

/** The exit code is right and said in the JSON, too; there is no stack trace anywhere. */
function readRefusal(end: StarterEnd, { exitCode }: Case): Refusal {
  expect(end, end.stderr).toMatchObject({ exitCode });
  expect(end.stdout + end.stderr).not.toMatch(/^\s+at .*:\d+|node:internal|\bError:/m);
  const refusal = JSON.parse(end.stdout) as Refusal;
  expect(refusal.exitCode).toBe(exitCode);
  return refusal;
}

const errorLines = ({ stderr }: StarterEnd): string[] =>
  stderr.split('\n').filter((line) => line.trim() !== '' && !line.startsWith('trying again: '));

/** One line for each fault of the same command line, so that it is mended in one go. */
const MALFORMED: ReadonlyArray<{ flag: string; value: string; says: string }> = [
  { flag: '--region', value: 'Hangzhou', says: 'is not the id of a region: expected something like cn-hangzhou' },
  { flag: '--disk', value: 'disk-1', says: 'is not the id of a disk: expected something like d-' },
  {
    flag: '--snapshot',
    value: 'd-bp1a2b3c4d5e6f7g8h9i',
    says: 'is not the id of a snapshot: expected something like s-',
  },
  { flag: '--instance', value: 'web-1', says: 'is not the id of an instance: expected something like i-' },
  { flag: '--path', value: 'uploads', says: 'is not an absolute path: write it as the guest sees it' },
];

describe.concurrent('start refuses', () => {
  it('malformed ids and paths', async ({ expect }) => {
    const flags = MALFORMED.flatMap(({ flag, value }) => [flag, value]);
    const end = await stage.starter(['start', ...flags, '--yes']);
    expect(end).toMatchObject({ exitCode: 2, stdout: '' });
    const lines = errorLines(end);
    expect(lines).toHaveLength(MALFORMED.length);
    for (const [index, { flag, value, says }] of MALFORMED.entries()) {
      expect(lines[index]).toContain(`error: ${flag}: "${value}" ${says}`);
    }
  });

  it.for([...refusedByFlags, ...refusedByCloud])('$it', async (given, { expect }) => {
    const end = await start(given);
    const { error } = readRefusal(end, given);
    expect(errorLines(end)).toEqual([`error: ${error?.message}`]);
    for (const part of given.says) expect(error?.message).toMatch(part);
  });

  it.for([...refusedByPlan])('$it', async (given, { expect }) => {
    const end = await start(given);
    const { plan } = readRefusal(end, given);
    expect(errorLines(end)).toEqual([]);
    const blockers = plan?.findings.filter(({ severity }) => severity === 'blocker') ?? [];
    expect(blockers.map(({ code }) => code)).toEqual(given.blockers);
    for (const { field, fact, remedy } of blockers) {
      expect(field).toMatch(/^(diskId|snapshotId|instanceId)$/);
      for (const said of [fact, remedy]) expect(said).toMatch(/^[^\n]{10,}$/);
    }
    const said = blockers.map(({ fact, remedy }) => `${fact}: ${remedy}`).join('\n');
    for (const part of given.says) expect(said).toMatch(part);
  });
});

it('has changed nothing, neither in the cloud nor at the endpoint that answers garbage', async () => {
  const calls = await stage.calls(callsBefore);
  expect(calls.length).toBeGreaterThan(0);
  expect(beyondLooking(calls)).toEqual([]);
  expect(garbageActions.length).toBeGreaterThan(0);
  expect(garbageActions.filter((action) => ACTIONS[action as Action] !== 'read')).toEqual([]);
});
