/** From flags to a request: what is understood, what is refused, and in which words. */
import { describe, expect, it } from 'vitest';
import { checkWaiting, type RequestFlags, rollbackInput, syncInput, timeoutMs } from '../../../src/cli/request.ts';
import { UsageError } from '../../../src/cli/usage-error.ts';
import { DISK, INSTANCE, SNAPSHOT_A, USER } from './samples.ts';

const asker = { env: {}, user: USER };
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
    expect(rollbackInput(good, asker)).toEqual({
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
      requestedBy: USER,
      dryRun: false,
    });
  });

  it('takes hooks as files, or with all that can be said of them', () => {
    const full = { command: '/opt/check', args: ['a b'], user: 'shop', timeoutSeconds: 5, onFailure: 'ask' };
    const hook = ['beforeCopy=/opt/stop=now', `healthCheck=${JSON.stringify(full)}`];
    const plain = { command: '/opt/stop=now', args: [], user: 'root', timeoutSeconds: 300, onFailure: 'fail' };
    expect(rollbackInput({ ...good, hook }, asker).hooks).toEqual({ beforeCopy: plain, healthCheck: full });
    expect(syncInput({ ...good, path: ['/data/a'], hook }, asker).hooks).toEqual({
      beforeCopy: plain,
      healthCheck: full,
    });
    expect(rollbackInput(good, asker)).not.toHaveProperty('hooks');
  });

  it('takes what is to be brought back, by patterns, to the side, or to be chosen later', () => {
    const flags = {
      ...good,
      path: ['/data'],
      include: ['*.jpg'],
      exclude: ['/cache', '*.tmp'],
      delete: true,
      choose: true,
    };
    expect(rollbackInput(flags, asker).sync).toEqual({
      paths: ['/data'],
      conflictPolicy: 'newer-wins',
      include: ['*.jpg'],
      exclude: ['/cache', '*.tmp'],
      delete: true,
      choose: true,
    });
    expect(rollbackInput({ ...good, path: ['/data'], sinceA: true }, asker).sync).toMatchObject({ sinceA: true });
    // Of all of the disk.
    expect(rollbackInput({ ...good, sinceA: true, delete: true }, asker).sync).toEqual({
      paths: [],
      conflictPolicy: 'newer-wins',
      sinceA: true,
      delete: true,
    });
    for (const path of [['/data'], undefined]) {
      expect(faults(() => syncInput({ ...good, ...(path && { path }), sinceA: true }, asker))).toEqual([
        '--since-a: "true" works within a rollback only: without a reset nothing tells what has changed since A',
      ]);
    }
    expect(syncInput({ ...good, path: ['/data'], into: '/data/b' }, asker).sync).toMatchObject({ into: '/data/b' });
  });

  it.each([
    [{ into: 'data/b', path: ['/data'] }, '--into: "data/b" is not an absolute path'],
    [{ into: '/data/b' }, '--into: nothing is brought back without --path'],
    [{ choose: true }, '--choose: nothing is brought back without --path'],
    [{ include: ['*.jpg'] }, '--include: nothing is brought back without --path'],
    [{ delete: true }, '--delete: nothing is brought back without --path'],
    [{ maxRate: '0', path: ['/data'] }, '--max-rate: "0"'],
    [{ maxRate: '1.5', path: ['/data'] }, '--max-rate: "1.5"'],
    [{ ioClass: 'realtime', path: ['/data'] }, '--io-class: "realtime"'],
    [{ openFiles: 'maybe', path: ['/data'] }, '--open-files: "maybe"'],
    [{ maxRate: '10' }, '--max-rate: nothing is brought back without --path'],
    [{ exclude: [''], path: ['/data'] }, '--exclude: ""'],
    [{ sinceA: true, power: 'stopped' }, '--power: "stopped" contradicts --since-a'],
    [{ sinceA: true, path: ['/data'], into: '/data/b' }, '--since-a: in the folder of --into nothing tells'],
    [{ deleteUnseen: true, path: ['/data'] }, '--delete-unseen: nothing is deleted without --delete'],
    [{ delete: true, path: ['/data'], onFailure: 'undo' }, '--delete: shows first what would be deleted and waits'],
  ])('refuses %j', (flags, line) => {
    expect(faults(() => rollbackInput({ ...good, ...flags }, asker))).toEqual([expect.stringContaining(line)]);
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
      mode: 'warm',
      freeze: true,
      lockDays: '3',
      approvals: '2',
      selfApproval: false,
      approvalTimeout: '4h',
      remindEvery: '90s',
      requestedBy: 'runbook 7',
      onLease: 'wait',
      onFailure: 'undo',
      acceptDataLoss: true,
    };
    expect(rollbackInput(flags, asker)).toMatchObject({
      instanceId: INSTANCE,
      sync: { paths: ['/data/a', '/data/b'], conflictPolicy: 'take-b' },
      powerAfter: 'running',
      forceStop: true,
      safetySnapshotRetentionDays: 7,
      snapshotMode: 'warm',
      freezeFileSystems: true,
      lockSafetySnapshotDays: 3,
      approval: { quorum: 2, requesterMayApprove: false, timeoutSeconds: 14_400, remindEverySeconds: 90 },
      requestedBy: 'runbook 7',
      onLeaseHeld: 'wait',
      onFailureAfterReset: 'undo',
      acceptDataLoss: true,
    });
  });

  it('with --approvals alone gets the rest of the policy by default, and takes 30 days', () => {
    expect(rollbackInput({ ...good, approvals: '1', selfApproval: true }, asker).approval).toEqual({
      quorum: 1,
      requesterMayApprove: true,
      timeoutSeconds: 86_400,
      remindEverySeconds: 3_600,
    });
    expect(rollbackInput({ ...good, approvals: '1', approvalTimeout: '30d' }, asker).approval?.timeoutSeconds).toBe(
      30 * 86_400,
    );
  });

  it('takes the region of the environment, and the flag over it', () => {
    const { region: _, ...rest } = good;
    const env = { ALIBABA_CLOUD_REGION_ID: 'ap-southeast-1' };
    expect(rollbackInput(rest, { ...asker, env }).regionId).toBe('ap-southeast-1');
    expect(rollbackInput(good, { ...asker, env }).regionId).toBe('cn-hangzhou');
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
      String.raw`--path: "uploads" is not an absolute path: write it as the guest sees it, such as /data/uploads or D:\data\uploads`,
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
      `--conflict: "best" is not accepted: expected newer-wins, keep-live, take-b or both`,
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
      'unknown snapshot mode',
      { ...good, mode: 'lukewarm' },
      `--mode: "lukewarm" is not accepted: expected cold, warm or hot`,
    ],
    [
      'freeze in the default mode',
      { ...good, freeze: true },
      '--freeze: in mode cold the instance is stopped when the snapshot is cut, so there is nothing to freeze: add --mode warm or hot, or leave out --freeze',
    ],
    [
      'lock of no days',
      { ...good, lockDays: '0' },
      `--lock-days: "0" is not accepted: expected a whole number of days from 1 to 36500, such as 7`,
    ],
    [
      'lock that ends with the snapshot',
      { ...good, lockDays: '30' },
      '--lock-days: "30" is not fewer days than snapshot B is kept: the cloud takes a lock only if it ends before the snapshot does; keep B longer, or lock it for less',
    ],
    [
      'quorum of eleven',
      { ...good, approvals: '11' },
      `--approvals: "11" is not accepted: expected how many people have to approve, from 1 to 10`,
    ],
    [
      'self-approval rule without approvals',
      { ...good, selfApproval: false },
      '--no-self-approval: nobody is asked without --approvals: add --approvals 1, or leave out --no-self-approval',
    ],
    [
      'approval timeout without approvals',
      { ...good, approvalTimeout: '4h' },
      '--approval-timeout: nobody is asked without --approvals: add --approvals 1, or leave out --approval-timeout',
    ],
    [
      'reminder without approvals',
      { ...good, remindEvery: '4h' },
      '--remind-every: nobody is asked without --approvals: add --approvals 1, or leave out --remind-every',
    ],
    [
      'approval timeout that is none',
      { ...good, approvals: '1', approvalTimeout: 'soon' },
      `--approval-timeout: "soon" is not accepted: expected a duration from 1m to 30d, such as 4h`,
    ],
    [
      'reminder every second',
      { ...good, approvals: '1', remindEvery: '1s' },
      `--remind-every: "1s" is not accepted: expected a duration from 1m to 30d, such as 30m`,
    ],
    [
      'nameless requester',
      { ...good, requestedBy: ' ' },
      `--requested-by: " " is not accepted: expected a name of at most 128 characters`,
    ],
    [
      'unknown lease policy',
      { ...good, onLease: 'steal' },
      `--on-lease: "steal" is not accepted: expected fail or wait`,
    ],
    [
      'unknown failure policy',
      { ...good, onFailure: 'hope' },
      `--on-failure: "hope" is not accepted: expected ask, abort or undo`,
    ],
    [
      'consent without an undo',
      { ...good, acceptDataLoss: true },
      '--accept-data-loss: only an undo loses data that is not in snapshot B: add --on-failure undo, or leave out --accept-data-loss',
    ],
    [
      'hook at an unknown point',
      { ...good, hook: ['later=/opt/x'] },
      `--hook: "later=/opt/x" does not begin with a point and "=": the points are beforeStop, afterStart, beforeCopy, afterCopy, healthCheck`,
    ],
    [
      'hook that is no file',
      { ...good, hook: ['beforeCopy=stop-shop'] },
      `--hook: "beforeCopy=stop-shop" is not an absolute path: name an executable file as the guest sees it, such as /usr/local/bin/stop-shop`,
    ],
    [
      'hook with a field of another kind',
      { ...good, hook: ['beforeCopy={"command":"/opt/x","timeoutSeconds":"5"}'] },
      String.raw`--hook: "beforeCopy={\"command\":\"/opt/x\",\"timeoutSeconds\":\"5\"}" is not accepted: expected POINT=/file, or POINT={"command":"/file","args":[…],"user":…,"timeoutSeconds":…,"onFailure":"fail|continue|ask"}`,
    ],
    [
      'too many paths',
      { ...good, path: Array.from({ length: 201 }, (_, index) => `/d/${index}`) },
      `--path: 201 paths are too many: at most 200 in one run`,
    ],
  ])('refuses a %s in one line', (_name, flags, expected) => {
    expect(faults(() => rollbackInput(flags, asker))).toEqual([expected]);
  });

  it('names every missing flag at once', () => {
    expect(faults(() => rollbackInput({}, asker))).toEqual([
      '--region: is missing: give the region of the disk, such as cn-hangzhou (or set ALIBABA_CLOUD_REGION_ID)',
      '--disk: is missing: give the id of the disk, such as d-bp1a2b3c4d5e6f7g8h9i',
      '--snapshot: is missing: give the id of the snapshot, such as s-bp1a2b3c4d5e6f7g8h9i',
    ]);
  });

  it('blames the variable for a bad region that came from it, and treats an empty one as unset', () => {
    const { region: _, ...rest } = good;
    expect(faults(() => rollbackInput(rest, { ...asker, env: { ALIBABA_CLOUD_REGION_ID: 'X' } }))[0]).toMatch(
      /^ALIBABA_CLOUD_REGION_ID: "X" is not the id of a region/,
    );
    expect(faults(() => rollbackInput(rest, { ...asker, env: { ALIBABA_CLOUD_REGION_ID: '' } }))[0]).toMatch(
      /^--region: is missing/,
    );
  });

  it('cuts a value that would fill the screen', () => {
    const [line] = faults(() => rollbackInput({ ...good, disk: 'x'.repeat(5_000) }, asker));
    expect(line?.length).toBeLessThan(200);
  });

  it('shows control characters of a value escaped', () => {
    expect(faults(() => rollbackInput({ ...good, disk: 'd-\u001B[2J' }, asker))[0]).toContain(String.raw`d-\u001b[2J`);
  });
});

describe('a sync', () => {
  it('needs a path', () => {
    expect(faults(() => syncInput(good, asker))).toEqual([
      '--path: is missing: give what to bring back as the guest sees it, such as /data/uploads',
    ]);
  });

  it('is made of the same flags', () => {
    expect(syncInput({ ...good, path: ['/data'] }, asker)).toEqual({
      regionId: 'cn-hangzhou',
      diskId: DISK,
      snapshotId: SNAPSHOT_A,
      sync: { paths: ['/data'], conflictPolicy: 'newer-wins' },
      onLeaseHeld: 'fail',
      requestedBy: USER,
      dryRun: false,
    });
    const more = { ...good, path: ['/data'], onLease: 'wait', requestedBy: 'carol' };
    expect(syncInput(more, asker)).toMatchObject({ onLeaseHeld: 'wait', requestedBy: 'carol' });
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
