/** `start --plan FILE`: what a plan document must hold, what may be added to it, and that a world that drifted is refused. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { drift, readPlanFile } from '../../../src/cli/plan-file.ts';
import { main } from '../../../src/cli/program.ts';
import { rollbackInput } from '../../../src/cli/request.ts';
import { UsageError } from '../../../src/cli/usage-error.ts';
import { RollbackClient } from '../../../src/client.ts';
import { rollbackInputSchema } from '../../../src/contract/rollback.ts';
import {
  blocker,
  DISK,
  endedView,
  handleOf,
  SNAPSHOT_A,
  samplePlan,
  sampleResult,
  sampleWorld,
  USER,
} from './samples.ts';

const folder = mkdtempSync(join(tmpdir(), 'plan-file-'));
afterAll(() => rmSync(folder, { recursive: true }));
afterEach(() => {
  vi.restoreAllMocks();
});

const request = rollbackInputSchema.parse({
  regionId: 'cn-hangzhou',
  diskId: DISK,
  snapshotId: SNAPSHOT_A,
  sync: { paths: ['/data/a', '/data/b'] },
  snapshotMode: 'warm',
});
const document = { schemaVersion: 1, command: 'plan', outcome: 'planned', request, plan: samplePlan() };
const path = join(folder, 'plan.json');

function written(content: unknown): string {
  writeFileSync(path, typeof content === 'string' ? content : JSON.stringify(content));
  return path;
}

function faults(body: () => unknown): readonly string[] {
  try {
    body();
  } catch (error) {
    if (error instanceof UsageError) return error.lines;
    throw error;
  }
  return [];
}

describe('a file that is no plan', () => {
  const without = (field: 'request' | 'plan') => ({ ...document, [field]: undefined });
  it.each<[string, unknown, string]>([
    ['not JSON', 'Plan: roll back disk', 'is not JSON'],
    ['JSON of another kind', [1], 'holds no plan'],
    ['a run, not a plan', { ...document, outcome: 'completed' }, 'holds no plan'],
    ['no plan', without('plan'), 'holds no plan'],
    ['no request', without('request'), 'holds a plan without its request'],
    ['a sync', { ...document, request: { ...request, powerAfter: undefined } }, 'holds the plan of a sync'],
    ['a bad request', { ...document, request: { ...request, diskId: 'x' } }, 'not accepted (diskId is not the id'],
    ['an unknown field', { ...document, request: { ...request, extra: 1 } }, 'not accepted'],
    ['no hash', { ...document, plan: { ...samplePlan(), hash: 'abc' } }, 'without hash'],
    [
      'another disk',
      { ...document, plan: samplePlan({ diskId: 'd-bp1zzzzzzzzzzzzzzzzz' }) },
      'contradicts itself (diskId',
    ],
    ['half a plan', { ...document, plan: { ...samplePlan(), steps: undefined } }, 'holds half a plan'],
  ])('%s', (_name, content, fact) => {
    const [line, ...more] = faults(() => readPlanFile(written(content)));
    expect(line).toContain(fact);
    expect(line).toMatch(/^--plan: .*plan\.json .*: expected a file written by `plan … -o json > /);
    expect(more).toEqual([]);
  });

  it('is not there', () => {
    expect(faults(() => readPlanFile(join(folder, 'none.json')))[0]).toContain('cannot be read (no such file)');
  });
});

describe('the request of a plan file', () => {
  const asker = () => ({ env: {}, user: USER, file: readPlanFile(written(document)) });

  it('is that of the file, held to its hash, whatever the environment says', () => {
    expect(rollbackInput({}, { ...asker(), env: { ALIBABA_CLOUD_REGION_ID: 'eu-central-1' } })).toEqual({
      ...request,
      requestedBy: USER,
      expectedPlanHash: samplePlan().hash,
    });
  });

  it('may be said again by flags', () => {
    const flags = { region: 'cn-hangzhou', disk: DISK, path: ['/data/a', '/data/b'], conflict: 'newer-wins' };
    expect(rollbackInput({ ...flags, power: 'as-found', retentionDays: '30' }, asker())).toMatchObject(request);
  });

  it('leaves to the start who asks, who approves, and whether it waits for another run', () => {
    const flags = { approvals: '2', onLease: 'wait', requestedBy: 'carol' };
    expect(rollbackInput(flags, asker())).toMatchObject({
      ...request,
      approval: { quorum: 2 },
      onLeaseHeld: 'wait',
      requestedBy: 'carol',
    });
    expect(
      faults(() => rollbackInput({ mode: 'hot', lockDays: '3', onFailure: 'undo' }, asker())).map(
        (line) => line.split(':')[0],
      ),
    ).toEqual(['--mode', '--lock-days', '--on-failure']);
  });

  it('is not to be contradicted, and every contradiction is named with its flag', () => {
    const flags = {
      region: 'eu-central-1',
      disk: 'd-bp1zzzzzzzzzzzzzzzzz',
      path: ['/data/a'],
      conflict: 'take-b',
      power: 'running',
      forceStop: true,
      retentionDays: '7',
      instance: 'i-bp1aaaaaaaaaaaaaaaaa',
    };
    const lines = faults(() => rollbackInput(flags, asker()));
    expect(lines.map((line) => line.split(':')[0])).toEqual([
      '--region',
      '--disk',
      '--instance',
      '--path',
      '--conflict',
      '--power',
      '--force-stop',
      '--retention-days',
    ]);
    expect(lines[5]).toBe(
      `--power: "running" contradicts the plan in ${path}, which has "as-found": leave the flag out, or plan again with it`,
    );
    expect(lines[2]).toContain('which has nothing');
  });
});

describe('start --plan', () => {
  function client(seen = samplePlan()) {
    const start = vi.fn(async () => handleOf([endedView({ result: sampleResult() })]));
    const plan = vi.fn(async () =>
      handleOf([endedView({ kind: 'plan', result: sampleResult({ outcome: 'planned', plan: seen }) })]),
    );
    vi.spyOn(RollbackClient, 'connect').mockResolvedValue({
      start,
      plan,
      findOpen: async () => undefined,
      close: async () => undefined,
    } as unknown as RollbackClient);
    return { start, plan };
  }
  async function run(...args: string[]) {
    const { world, written: out } = sampleWorld();
    return { exit: await main(['start', '--plan', path, '--yes', ...args], world), ...out };
  }

  it('starts what was planned, held to the hash; the plan before it is not', async () => {
    written(document);
    const { start, plan } = client();
    expect((await run()).exit).toBe(0);
    const input = { ...request, requestedBy: USER, expectedPlanHash: samplePlan().hash };
    expect(start).toHaveBeenCalledWith(input, {});
    expect(plan).toHaveBeenCalledWith({ ...input, expectedPlanHash: undefined }, {});
  });

  it('does not start when the world has drifted, and says how', async () => {
    written(document);
    const { start } = client(samplePlan({ hash: 'b'.repeat(64), instance: { ...instance, wasRunning: false } }));
    const text = await run();
    expect(text.exit).toBe(3);
    expect(text.stderr).toMatch(
      /drifted from the plan in .*: instance\.wasRunning was true, is false; read a new plan/,
    );
    const json = await run('-o', 'json');
    expect(JSON.parse(json.stdout)).toMatchObject({ exitCode: 3, error: { kind: 'planDrifted' } });
    expect(start).not.toHaveBeenCalled();
  });

  it('writes a document that it reads back', async () => {
    client();
    const { world, written: out } = sampleWorld();
    const paths = ['--path', '/data/a', '--path', '/data/b'];
    const target = ['--region', 'cn-hangzhou', '--disk', DISK, '--snapshot', SNAPSHOT_A];
    expect(await main(['plan', ...target, ...paths, '-o', 'json'], world)).toBe(0);
    expect(readPlanFile(written(out.stdout)).request).toEqual({ ...request, snapshotMode: 'cold' });
  });
});

const instance = { id: 'i-bp1a2b3c4d5e6f7g8h9i', name: 'shop-db-1', osName: 'Debian 12', wasRunning: true };

it('drift names changed fields and findings that came or went', () => {
  const before = samplePlan({ findings: [{ severity: 'warning', code: 'DiskGrownSince', fact: 'x' }] });
  const { target: _, ...rest } = samplePlan({ findings: [blocker('SnapshotNotFound')] });
  expect(drift(before, rest).split('; ')).toEqual([
    `target.id was "${SNAPSHOT_A}", is nothing`,
    'target.createdAt was "2026-11-21T23:00:00Z", is nothing',
    'target.sizeGiB was 40, is nothing',
    'new: blocker SnapshotNotFound',
    'gone: warning DiskGrownSince',
  ]);
  expect(drift(before, before)).toBe('what would be done is no longer the same');
});
