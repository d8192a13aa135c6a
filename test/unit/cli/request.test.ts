/** From flags to a request: what is understood, what is refused, and in which words. */
import { describe, expect, it } from 'vitest';
import { checkWaiting, type RequestFlags, rollbackInput, syncInput, timeoutMs } from '../../../src/cli/request.ts';
import { UsageError } from '../../../src/cli/usage-error.ts';
import { DISK, INSTANCE, SNAPSHOT_A } from './samples.ts';

const good: RequestFlags = { region: 'cn-hangzhou', disk: DISK, snapshot: SNAPSHOT_A };

function faults(body: () => unknown): readonly string[] {
  try {
    body();
  } catch (error) {
    if (error instanceof UsageError) return error.lines;
    throw error;
  }
  return [];
}

describe('a rollback', () => {
  it('gets the defaults of the contract', () => {
    expect(rollbackInput(good, {})).toEqual({
      regionId: 'cn-hangzhou',
      diskId: DISK,
      snapshotId: SNAPSHOT_A,
      powerAfter: 'as-found',
      forceStop: false,
      safetySnapshotRetentionDays: 30,
      snapshotMode: 'cold',
      freezeFileSystems: false,
      onLeaseHeld: 'fail',
      onFailureAfterReset: 'ask',
      acceptDataLoss: false,
      dryRun: false,
    });
  });

  it('takes every flag', () => {
    const flags = {
      ...good,
      instance: INSTANCE,
      path: ['/data/a', '/data/b', '/data/a'],
      conflict: 'take-b',
      power: 'running',
      forceStop: true,
      retentionDays: '7',
    };
    expect(rollbackInput(flags, {})).toMatchObject({
      instanceId: INSTANCE,
      sync: { paths: ['/data/a', '/data/b'], conflictPolicy: 'take-b' },
      powerAfter: 'running',
      forceStop: true,
      safetySnapshotRetentionDays: 7,
    });
  });

  it('takes the region of the environment, and the flag over it', () => {
    const { region: _, ...rest } = good;
    const env = { ALIBABA_CLOUD_REGION_ID: 'ap-southeast-1' };
    expect(rollbackInput(rest, env).regionId).toBe('ap-southeast-1');
    expect(rollbackInput(good, env).regionId).toBe('cn-hangzhou');
  });

  it.each<[string, RequestFlags, string]>([
    [
      'malformed disk',
      { ...good, disk: 'foo' },
      `--disk: "foo" is not the id of a disk: expected something like d-bp1a2b3c4d5e6f7g8h9i`,
    ],
    [
      'snapshot id as disk',
      { ...good, disk: SNAPSHOT_A },
      `--disk: "${SNAPSHOT_A}" is not the id of a disk: expected something like d-bp1a2b3c4d5e6f7g8h9i`,
    ],
    [
      'malformed snapshot',
      { ...good, snapshot: 'S-1' },
      `--snapshot: "S-1" is not the id of a snapshot: expected something like s-bp1a2b3c4d5e6f7g8h9i`,
    ],
    [
      'malformed instance',
      { ...good, instance: 'web-1' },
      `--instance: "web-1" is not the id of an instance: expected something like i-bp1a2b3c4d5e6f7g8h9i`,
    ],
    [
      'malformed region',
      { ...good, region: 'Hangzhou' },
      `--region: "Hangzhou" is not the id of a region: expected something like cn-hangzhou or ap-southeast-1`,
    ],
    [
      'relative path',
      { ...good, path: ['uploads'] },
      `--path: "uploads" is not an absolute path: write it as the guest sees it, such as /data/uploads`,
    ],
    [
      'path upwards',
      { ...good, path: ['/ok', '/data/../etc'] },
      `--path: "/data/../etc" has a "." or ".." part: write the path without it`,
    ],
    ['root path', { ...good, path: ['/'] }, `--path: "/" is the root directory: name the directories to bring back`],
    [
      'unknown conflict policy',
      { ...good, path: ['/a'], conflict: 'best' },
      `--conflict: "best" is not accepted: expected newer-wins, keep-live or take-b`,
    ],
    [
      'unknown power state',
      { ...good, power: 'off' },
      `--power: "off" is not accepted: expected as-found, running or stopped`,
    ],
    [
      'retention that is no number',
      { ...good, retentionDays: 'x' },
      `--retention-days: "x" is not accepted: expected a whole number of days from 1 to 65536, such as 30`,
    ],
    [
      'retention of a fraction',
      { ...good, retentionDays: '1.5' },
      `--retention-days: "1.5" is not accepted: expected a whole number of days from 1 to 65536, such as 30`,
    ],
    [
      'retention of zero',
      { ...good, retentionDays: '0' },
      `--retention-days: "0" is not accepted: expected a whole number of days from 1 to 65536, such as 30`,
    ],
    [
      'retention out of range',
      { ...good, retentionDays: '70000' },
      `--retention-days: "70000" is not accepted: expected a whole number of days from 1 to 65536, such as 30`,
    ],
    [
      'conflict without path',
      { ...good, conflict: 'take-b' },
      `--conflict: nothing is brought back without --path: add --path, or leave out --conflict`,
    ],
    [
      'path with power stopped',
      { ...good, path: ['/a'], power: 'stopped' },
      `--power: "stopped" contradicts --path, since bringing data back needs a running instance: use --power as-found or running, or leave out --path`,
    ],
    [
      'too many paths',
      { ...good, path: Array.from({ length: 201 }, (_, index) => `/d/${index}`) },
      `--path: 201 paths are too many: at most 200 in one run`,
    ],
  ])('refuses a %s in one line', (_name, flags, expected) => {
    expect(faults(() => rollbackInput(flags, {}))).toEqual([expected]);
  });

  it('names every missing flag at once', () => {
    expect(faults(() => rollbackInput({}, {}))).toEqual([
      '--region: is missing: give the region of the disk, such as cn-hangzhou (or set ALIBABA_CLOUD_REGION_ID)',
      '--disk: is missing: give the id of the disk, such as d-bp1a2b3c4d5e6f7g8h9i',
      '--snapshot: is missing: give the id of the snapshot, such as s-bp1a2b3c4d5e6f7g8h9i',
    ]);
  });

  it('blames the variable for a bad region that came from it, and treats an empty one as unset', () => {
    const { region: _, ...rest } = good;
    expect(faults(() => rollbackInput(rest, { ALIBABA_CLOUD_REGION_ID: 'X' }))[0]).toMatch(
      /^ALIBABA_CLOUD_REGION_ID: "X" is not the id of a region/,
    );
    expect(faults(() => rollbackInput(rest, { ALIBABA_CLOUD_REGION_ID: '' }))[0]).toMatch(/^--region: is missing/);
  });

  it('cuts a value that would fill the screen', () => {
    const [line] = faults(() => rollbackInput({ ...good, disk: 'x'.repeat(5_000) }, {}));
    expect(line?.length).toBeLessThan(200);
  });

  it('shows control characters of a value escaped', () => {
    expect(faults(() => rollbackInput({ ...good, disk: 'd-\u001B[2J' }, {}))[0]).toContain(String.raw`d-\u001b[2J`);
  });
});

describe('a sync', () => {
  it('needs a path', () => {
    expect(faults(() => syncInput(good, {}))).toEqual([
      '--path: is missing: give what to bring back as the guest sees it, such as /data/uploads',
    ]);
  });

  it('is made of the same flags', () => {
    expect(syncInput({ ...good, path: ['/data'] }, {})).toEqual({
      regionId: 'cn-hangzhou',
      diskId: DISK,
      snapshotId: SNAPSHOT_A,
      sync: { paths: ['/data'], conflictPolicy: 'newer-wins' },
      onLeaseHeld: 'fail',
      dryRun: false,
    });
  });
});

describe('how to wait and ask', () => {
  it.each([
    [{ dryRun: true, detach: true }, true, /^--detach: a dry run is waited for/],
    [{ yes: true, detach: true, timeout: '5m' }, true, /^--timeout: with --detach nothing is waited for/],
    [{ output: 'json' }, true, /^--yes: -o json never prompts/],
    [{ output: 'text' }, false, /^--yes: no terminal to ask for confirmation on/],
  ])('%j (terminal: %s) is refused', (flags, terminal, expected) => {
    const lines = faults(() => checkWaiting(flags, terminal));
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(expected);
  });

  it.each([
    [{ output: 'text' }, true],
    [{ output: 'json', yes: true }, false],
    [{ output: 'json', dryRun: true }, false],
    [{ yes: true, detach: true }, false],
    [{ yes: true, timeout: '5m' }, false],
  ])('%j (terminal: %s) is fine', (flags, terminal) => {
    expect(faults(() => checkWaiting(flags, terminal))).toEqual([]);
  });

  it('reads the timeout, and refuses what is none', () => {
    expect(timeoutMs({})).toBeUndefined();
    expect(timeoutMs({ timeout: '1h30m' })).toBe(5_400_000);
    expect(faults(() => timeoutMs({ timeout: 'soon' }))).toEqual([
      '--timeout: "soon" is not a duration: expected something like 90s, 30m or 1h30m',
    ]);
  });
});
