import { type IncomingMessage, type Server, type ServerResponse, createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import * as fc from 'fast-check';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest';
import { ACTIONS } from '../../../src/cloud/alicloud/actions.ts';
import { createEcs } from '../../../src/cloud/alicloud/client.ts';
import type { CloudError } from '../../../src/cloud/errors.ts';
import type { EcsRegion } from '../../../src/cloud/port.ts';

const SECRET = 'CanarySecretOfTheKey';
const KEY_ID = 'LTAI5tCanaryKeyIdOfTests';
const SCRIPT = 'echo "canary of the script"';

interface Call {
  readonly action: string;
  readonly query: URLSearchParams;
}
type Handler = (call: Call, response: ServerResponse, request: IncomingMessage) => void;

let server: Server;
let region: EcsRegion;
/** Gives up soon: for answers that never come. The other has time for those that do, however busy the machine is. */
let hasty: EcsRegion;
let endpoint: { host: string; protocol: 'http' };
let handler: Handler;
const calls: Call[] = [];

const json = (response: ServerResponse, body: unknown, status = 200, headers: Record<string, string> = {}): void => {
  response.writeHead(status, { 'content-type': 'application/json', ...headers }).end(JSON.stringify(body));
};
const answer =
  (body: unknown, status = 200): Handler =>
  (_, response) =>
    json(response, body, status);

beforeAll(async () => {
  server = createServer({ maxHeaderSize: 262_144, keepAliveTimeout: 120_000 }, (request, response) => {
    const call = {
      action: String(request.headers['x-acs-action']),
      query: new URL(request.url ?? '/', 'http://ecs.test').searchParams,
    };
    calls.push(call);
    handler(call, response, request);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  endpoint = { host: `127.0.0.1:${port}`, protocol: 'http' };
  const credentials = { accessKeyId: KEY_ID, accessKeySecret: SECRET };
  region = createEcs({ endpoint, credentials }).region('cn-test');
  hasty = createEcs({ endpoint, credentials, timeoutMs: 300 }).region('cn-test');
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});
beforeEach(() => {
  calls.length = 0;
});

const runRequest = { instanceId: 'i-1', name: 'mount', script: SCRIPT, timeoutSeconds: 60, clientToken: 'token-1' };
const failureOf = async (promise: Promise<unknown>): Promise<CloudError> => {
  try {
    await promise;
  } catch (error) {
    return error as CloudError;
  }
  throw new Error('it did not fail');
};

const wireDisk = (id: string, more: object = {}): object => ({
  DiskId: id,
  Status: 'In_use',
  Type: 'data',
  Category: 'cloud_essd',
  Size: 40,
  ZoneId: 'cn-test-a',
  ...more,
});

describe('reads', () => {
  it('maps a disk with all its fields', async () => {
    handler = answer({
      RequestId: 'r',
      Disks: {
        Disk: [
          wireDisk('d-1', {
            PerformanceLevel: 'PL1',
            Encrypted: true,
            KMSKeyId: 'key',
            SerialNumber: 'bp1xyz',
            Portable: true,
            DeleteWithInstance: true,
            DeleteAutoSnapshot: true,
            SourceSnapshotId: 's-1',
            CreationTime: '2026-01-02T03:04:05Z',
            AutoSnapshotPolicyId: 'sp-1',
            InstanceId: 'i-1',
            Attachments: { Attachment: [{ InstanceId: 'i-1' }, { InstanceId: 'i-2' }] },
            OperationLocks: { OperationLock: [{ LockReason: 'security' }] },
            Tags: { Tag: [{ TagKey: 'a', TagValue: '1' }, { TagKey: 'b' }] },
          }),
        ],
      },
    });
    expect((await region.disks(['d-1'])).get('d-1')).toEqual({
      id: 'd-1',
      status: 'In_use',
      kind: 'data',
      category: 'cloud_essd',
      performanceLevel: 'PL1',
      sizeGiB: 40,
      zoneId: 'cn-test-a',
      encrypted: true,
      kmsKeyId: 'key',
      serial: 'bp1xyz',
      sourceSnapshotId: 's-1',
      createdAt: '2026-01-02T03:04:05Z',
      deleteWithInstance: true,
      deleteAutoSnapshot: true,
      autoSnapshotPolicyId: 'sp-1',
      attachedTo: ['i-1', 'i-2'],
      locks: ['security'],
      tags: { a: '1', b: '' },
    });
    expect(calls[0]?.query.get('DiskIds')).toBe('["d-1"]');
    expect(calls[0]?.query.get('RegionId')).toBe('cn-test');
  });

  it('maps a snapshot, its size as text or number, and one whose point in time is not cut', async () => {
    handler = answer({
      RequestId: 'r',
      Snapshots: {
        Snapshot: [
          {
            SnapshotId: 's-1',
            Status: 'progressing',
            Progress: '45%',
            SourceDiskId: 'd-1',
            SourceDiskType: 'Data',
            SourceDiskSize: '40',
            Available: true,
            CreationTime: '2026-01-02T03:04:05Z',
            RetentionDays: 30,
            Category: 'standard',
            SnapshotType: 'user',
          },
          {
            SnapshotId: 's-2',
            Status: 'progressing',
            SourceDiskType: 'system',
            SourceDiskSize: 20,
            SnapshotType: 'timer',
            SourceSnapshotId: 's-0',
          },
        ],
      },
    });
    const seen = await region.snapshots(['s-1', 's-2']);
    expect(seen.get('s-1')).not.toHaveProperty('copyOf');
    expect(seen.get('s-1')).toMatchObject({
      kind: 'manual',
      progressPercent: 45,
      available: true,
      sourceDiskKind: 'data',
      sourceDiskSizeGiB: 40,
      createdAt: '2026-01-02T03:04:05Z',
      retentionDays: 30,
    });
    expect(seen.get('s-2')).toMatchObject({
      kind: 'automatic',
      copyOf: 's-0',
      progressPercent: 0,
      available: false,
      createdAt: '',
      sourceDiskKind: 'system',
    });
  });

  it('maps instances and agents', async () => {
    handler = ({ action }, response) =>
      action === 'DescribeInstances'
        ? json(response, {
            RequestId: 'r',
            Instances: {
              Instance: [
                {
                  InstanceId: 'i-1',
                  Status: 'Stopped',
                  StoppedMode: 'KeepCharging',
                  ZoneId: 'z',
                  OSType: 'windows',
                  OSNameEn: 'Windows Server 2022',
                  InstanceType: 'ecs.g7.large',
                  StartTime: '2026-01-02T03:04Z',
                  AutoReleaseTime: '2026-02-02T03:04Z',
                  KeyPairName: 'ops',
                  OperationLocks: { LockReason: [{ LockReason: 'financial' }] },
                  Tags: { Tag: [{ TagKey: 'acs:autoscaling:scalingGroupId', TagValue: 'asg-1' }] },
                },
              ],
            },
          })
        : json(response, {
            RequestId: 'r',
            InstanceCloudAssistantStatusSet: {
              InstanceCloudAssistantStatus: [
                { InstanceId: 'i-1', CloudAssistantStatus: 'true', CloudAssistantVersion: '2.2.4.1012' },
                { InstanceId: 'i-2', CloudAssistantStatus: 'false', LastHeartbeatTime: '2026-01-02T03:04:05Z' },
                { InstanceId: 'i-3' },
              ],
            },
          });
    expect((await region.instances(['i-1'])).get('i-1')).toEqual({
      id: 'i-1',
      name: '',
      status: 'Stopped',
      stoppedMode: 'KeepCharging',
      zoneId: 'z',
      osType: 'windows',
      osName: 'Windows Server 2022',
      instanceType: 'ecs.g7.large',
      startedAt: '2026-01-02T03:04Z',
      releasedAt: '2026-02-02T03:04Z',
      keyPairName: 'ops',
      locks: ['financial'],
      tags: { 'acs:autoscaling:scalingGroupId': 'asg-1' },
    });
    const agents = await region.agents(['i-1', 'i-2', 'i-3']);
    expect([...agents.values()].map((agent) => agent.online)).toEqual([true, false, false]);
    expect([...agents.values()].map((agent) => agent.installed)).toEqual([true, true, false]);
    expect(calls[1]?.query.get('InstanceId.3')).toBe('i-3');
  });

  it('reads what an instance takes and what a zone offers; what the service does not say stays open', async () => {
    const offers = [
      { Value: 'cloud_essd', Status: 'Available', Min: 1, Max: 65_536, Unit: 'GiB' },
      { Value: 'cloud_ssd', Status: 'SoldOut' },
      { Status: 'Available' },
    ];
    const zone = (ZoneId: string, Type: string) => ({
      ZoneId,
      AvailableResources: { AvailableResource: [{ Type, SupportedResources: { SupportedResource: offers } }] },
    });
    handler = ({ action }, response) =>
      action === 'DescribeInstanceTypes'
        ? json(response, {
            RequestId: 'r',
            InstanceTypes: { InstanceType: [{ InstanceTypeId: 'ecs.g7.large', DiskQuantity: 17 }] },
          })
        : json(response, {
            RequestId: 'r',
            AvailableZones: { AvailableZone: [zone('z-a', 'SystemDisk'), zone('z-b', 'DataDisk'), { ZoneId: 'z-c' }] },
          });
    expect(await region.diskLimit('ecs.g7.large')).toBe(17);
    expect(await region.diskLimit('ecs.none')).toBeUndefined();
    expect(calls[0]?.query.get('InstanceTypes.1')).toBe('ecs.g7.large');
    expect(await region.diskOffers('z-b')).toEqual([
      { category: 'cloud_essd', available: true, minGiB: 1, maxGiB: 65_536 },
      { category: 'cloud_ssd', available: false },
    ]);
    expect(await region.diskOffers('z-a')).toEqual([]);
    expect(await region.diskOffers('z-c')).toEqual([]);
    expect(Object.fromEntries(calls[2]?.query ?? [])).toMatchObject({
      DestinationResource: 'DataDisk',
      ResourceType: 'disk',
      ZoneId: 'z-b',
    });
    handler = answer({ RequestId: 'r', AvailableZones: {} });
    expect(await region.diskOffers('z-b')).toEqual([]);
  });

  it('decodes the output of an invocation, and takes unknown ones for absent', async () => {
    handler = ({ query }, response) => {
      const id = query.get('InvokeId');
      if (id === 't-404')
        return json(response, { Code: 'InvalidInvokeId.NotFound', Message: 'no', RequestId: 'r' }, 404);
      const result =
        id === 't-1'
          ? [{ InvocationStatus: 'Failed', ExitCode: 3, Output: Buffer.from('{"ü":1}').toString('base64'), Dropped: 7 }]
          : [];
      json(response, { RequestId: 'r', Invocation: { InvocationResults: { InvocationResult: result } } });
    };
    const seen = await region.invocations(['t-1', 't-404', 't-empty']);
    expect([...seen.keys()]).toEqual(['t-1']);
    const invocation = seen.get('t-1');
    expect(invocation).toMatchObject({ id: 't-1', status: 'Failed', exitCode: 3, dropped: 7 });
    expect(invocation?.output.toString('utf8')).toBe('{"ü":1}');
  });

  it('asks for 100 ids a call, once each, and for no call at all when there are none', async () => {
    handler = ({ query }, response) => {
      const wanted = JSON.parse(query.get('DiskIds') ?? '[]') as string[];
      expect(Number(query.get('MaxResults'))).toBeGreaterThanOrEqual(wanted.length);
      json(response, { RequestId: 'r', Disks: { Disk: wanted.map((id) => wireDisk(id)) } });
    };
    const many = Array.from({ length: 250 }, (_, index) => `d-${index}`);
    expect((await region.disks([...many, ...many])).size).toBe(250);
    expect(calls.map((call) => (JSON.parse(call.query.get('DiskIds') ?? '') as string[]).length)).toEqual([
      100, 100, 50,
    ]);
    calls.length = 0;
    expect((await region.disks([])).size).toBe(0);
    expect(calls).toHaveLength(0);
  });

  it('follows NextToken to the end and refuses one that turns in circles', async () => {
    handler = ({ query }, response) => {
      const page = Number(query.get('NextToken') ?? 0);
      json(response, {
        RequestId: 'r',
        NextToken: page < 2 ? String(page + 1) : '',
        Disks: { Disk: [wireDisk(`d-${page}`)] },
      });
    };
    expect((await region.disksTagged({ a: '1' })).map((disk) => disk.id)).toEqual(['d-0', 'd-1', 'd-2']);
    expect(calls.map((call) => call.query.get('NextToken'))).toEqual([null, '1', '2']);
    handler = answer({ RequestId: 'r', NextToken: 'again', Disks: { Disk: [] } });
    expect(await failureOf(region.disksTagged({ a: '1' }))).toMatchObject({ kind: 'unreachable' });
  });

  it('finds by tag, but never by no tag', async () => {
    handler = answer({ RequestId: 'r', Snapshots: { Snapshot: [] } });
    await region.snapshotsTagged({ z: '1', a: '2' });
    expect(calls[0]?.query.get('Tag.1.Key')).toBe('a');
    expect(calls[0]?.query.get('Tag.2.Value')).toBe('1');
    expect(await failureOf(region.disksTagged({}))).toMatchObject({ kind: 'invalid' });
    expect(calls).toHaveLength(1);
  });

  it.each([
    ['no list', { RequestId: 'r' }],
    ['a disk without id', { RequestId: 'r', Disks: { Disk: [{ Status: 'In_use' }] } }],
    ['a disk without status', { RequestId: 'r', Disks: { Disk: [wireDisk('d-1', { Status: null })] } }],
    ['a disk of no kind', { RequestId: 'r', Disks: { Disk: [wireDisk('d-1', { Type: 'other' })] } }],
    ['a disk without size', { RequestId: 'r', Disks: { Disk: [wireDisk('d-1', { Size: 0 })] } }],
    ['a list of nothing', { RequestId: 'r', Disks: { Disk: [null] } }],
    ['another type', { RequestId: 'r', Disks: { Disk: { DiskId: 'd-1' } } }],
    ['a text', 'hello'],
    ['null', null],
  ])('takes %s for an endpoint that is not ECS', async (_, body) => {
    handler = answer(body);
    const error = await failureOf(region.disks(['d-1']));
    expect(error.name).toBe('CloudError');
    expect(error.kind).toBe('unreachable');
    expect(error.message).toMatch(
      /^DescribeDisks d-1: the ECS endpoint http:\/\/127\.0\.0\.1:\d+ answered, but not as/,
    );
  });
});

describe('effects', () => {
  it('sends every action it lists and no other, and the parameters that matter', async () => {
    handler = ({ action, query }, response) => {
      if (query.get('DryRun') === 'true') {
        return json(response, { Code: 'DryRunOperation', Message: 'would pass', RequestId: 'r' }, 400);
      }
      const list: Record<string, object> = {
        DescribeInstances: { Instances: { Instance: [] } },
        DescribeDisks: { Disks: { Disk: [] } },
        DescribeSnapshots: { Snapshots: { Snapshot: [] } },
        DescribeInstanceTypes: { InstanceTypes: { InstanceType: [] } },
        DescribeAvailableResource: { AvailableZones: {} },
        DescribeLockedSnapshots: { LockedSnapshotsInfo: [] },
        DescribeCloudAssistantStatus: { InstanceCloudAssistantStatusSet: { InstanceCloudAssistantStatus: [] } },
        DescribeInvocationResults: { Invocation: { InvocationResults: { InvocationResult: [] } } },
        CreateSnapshot: { SnapshotId: 's-new' },
        CreateDisk: { DiskId: 'd-new' },
        RunCommand: { InvokeId: 't-new' },
      };
      json(response, { RequestId: 'r', ...list[action] });
    };
    const tags = { 'ecs-rollback:run': 'run-1', 'ecs-rollback:purpose': 'x' };
    await region.instances(['i-1']);
    await region.disks(['d-1']);
    await region.snapshots(['s-1']);
    await region.invocations(['t-1']);
    await region.agents(['i-1']);
    await region.diskLimit('ecs.g7.large');
    await region.diskOffers('z');
    const common = { name: 'n', description: 'from a test', tags, clientToken: 'token-1' };
    expect(await region.createSnapshot({ diskId: 'd-1', retentionDays: 30, ...common })).toBe('s-new');
    expect(
      await region.createDisk({
        snapshotId: 's-1',
        zoneId: 'z',
        sizeGiB: 40,
        category: 'cloud_essd',
        performanceLevel: 'PL1',
        encrypted: true,
        kmsKeyId: 'key',
        ...common,
      }),
    ).toBe('d-new');
    expect(await region.snapshotLocks(['s-1'])).toEqual(new Map());
    await region.lockSnapshot({ snapshotId: 's-1', days: 7, clientToken: 'token-2' });
    await region.deleteSnapshot('s-2');
    await region.resetDisk('d-1', 's-1');
    expect(await region.probeReset('d-1', 's-1')).toBe('idle');
    await region.resizeDisk({ diskId: 'd-1', sizeGiB: 40, clientToken: 'token-3' });
    await region.attachDisk('d-2', 'i-1');
    await region.detachDisk('d-2', 'i-1');
    await region.deleteDisk('d-2');
    await region.stopInstance('i-1', { force: false });
    await region.startInstance('i-1');
    expect(await region.runScript(runRequest)).toBe('t-new');

    expect([...new Set(calls.map((call) => call.action))].toSorted()).toEqual(Object.keys(ACTIONS).toSorted());
    const sent = (action: string): Record<string, string> =>
      Object.fromEntries(calls.find((call) => call.action === action)?.query ?? []);
    expect(sent('CreateSnapshot')).toEqual({
      DiskId: 'd-1',
      SnapshotName: 'n',
      Description: 'from a test',
      RetentionDays: '30',
      ClientToken: 'token-1',
      'Tag.1.Key': 'ecs-rollback:purpose',
      'Tag.1.Value': 'x',
      'Tag.2.Key': 'ecs-rollback:run',
      'Tag.2.Value': 'run-1',
    });
    expect(sent('CreateDisk')).toMatchObject({
      SnapshotId: 's-1',
      Size: '40',
      DiskCategory: 'cloud_essd',
      PerformanceLevel: 'PL1',
      Encrypted: 'true',
      KMSKeyId: 'key',
      ZoneId: 'z',
      ClientToken: 'token-1',
    });
    expect(sent('CreateDisk')).not.toHaveProperty('InstanceId');
    expect(sent('DescribeLockedSnapshots')).toMatchObject({ RegionId: 'cn-test', 'SnapshotIds.1': 's-1' });
    expect(sent('LockSnapshot')).toEqual({
      RegionId: 'cn-test',
      SnapshotId: 's-1',
      LockMode: 'compliance',
      LockDuration: '7',
      CoolOffPeriod: '0',
      ClientToken: 'token-2',
    });
    // Without Force: disks made from it keep it.
    expect(sent('DeleteSnapshot')).toEqual({ SnapshotId: 's-2' });
    expect(sent('ResetDisk')).toEqual({ DiskId: 'd-1', SnapshotId: 's-1' });
    expect(sent('ResizeDisk')).toEqual({ DiskId: 'd-1', NewSize: '40', Type: 'offline', ClientToken: 'token-3' });
    expect(sent('AttachDisk')).toEqual({ DiskId: 'd-2', InstanceId: 'i-1', DeleteWithInstance: 'false' });
    expect(sent('StopInstance')).toEqual({ InstanceId: 'i-1', StoppedMode: 'KeepCharging', ForceStop: 'false' });
    expect(sent('RunCommand')).toMatchObject({
      'InstanceId.1': 'i-1',
      Type: 'RunShellScript',
      ContentEncoding: 'Base64',
      CommandContent: Buffer.from(SCRIPT).toString('base64'),
      Timeout: '60',
      KeepCommand: 'false',
      TerminationMode: 'ProcessTree',
      ClientToken: 'token-1',
    });
  });

  it('tells a reset under way by the dry run, and is alarmed by a dry run that says done', async () => {
    handler = answer({ Code: 'InvalidOperation.DiskResetInProgress', Message: 'busy', RequestId: 'r' }, 403);
    expect(await region.probeReset('d-1', 's-1')).toBe('in-progress');
    handler = answer({ Code: 'IncorrectInstanceStatus', Message: 'running', RequestId: 'r' }, 403);
    expect(await failureOf(region.probeReset('d-1', 's-1'))).toMatchObject({ kind: 'notReady' });
    handler = answer({ RequestId: 'r' });
    expect(await failureOf(region.probeReset('d-1', 's-1'))).toMatchObject({
      kind: 'unknownOutcome',
      code: 'DryRunIgnored',
    });
  });

  it('a dry run passes, is refused, or says nothing; it never sends the call itself', async () => {
    const dryRuns = [
      () => region.dryRunReset('d-1', 's-1'),
      () => region.dryRunStop('i-1'),
      () => region.dryRunStart('i-1'),
    ];
    for (const dryRun of dryRuns) {
      for (const code of ['DryRunOperation', 'DRYRUN.SUCCESS']) {
        handler = answer({ Code: code, Message: 'would pass', RequestId: 'r' }, 400);
        expect(await dryRun()).toBeUndefined();
      }
      handler = answer({ Code: 'Forbidden.RAM', Message: 'no', RequestId: 'r' }, 403);
      expect(await dryRun()).toMatchObject({ kind: 'denied', code: 'Forbidden.RAM' });
      handler = answer({ Code: 'IncorrectInstanceStatus', Message: 'busy', RequestId: 'r' }, 403);
      expect(await dryRun()).toMatchObject({ kind: 'notReady' });
      for (const [code, kind] of [
        ['Throttling.User', 'throttled'],
        ['ServiceUnavailable', 'transient'],
        ['InvalidAccessKeyId.NotFound', 'credentials'],
      ]) {
        handler = answer({ Code: code, Message: 'no answer', RequestId: 'r' }, 400);
        expect(await failureOf(dryRun())).toMatchObject({ kind });
      }
      handler = answer({ RequestId: 'r' });
      expect(await failureOf(dryRun())).toMatchObject({ kind: 'unknownOutcome', code: 'DryRunIgnored' });
    }
    expect(calls.every((call) => call.query.get('DryRun') === 'true')).toBe(true);
    expect(new Set(calls.map((call) => call.action))).toEqual(new Set(['ResetDisk', 'StopInstance', 'StartInstance']));
  });

  it('does not believe an effect without its receipt', async () => {
    handler = answer({});
    expect(await failureOf(region.resetDisk('d-1', 's-1'))).toMatchObject({ kind: 'unknownOutcome' });
    handler = answer({ RequestId: 'r' });
    expect(await failureOf(region.runScript(runRequest))).toMatchObject({ kind: 'unknownOutcome' });
  });

  it('refuses a script that is too long before it is sent', async () => {
    const error = await failureOf(region.runScript({ ...runRequest, script: 'x'.repeat(18_433) }));
    expect(error).toMatchObject({ kind: 'invalid' });
    expect(error.message).toContain('24580');
    expect(calls).toHaveLength(0);
  });

  it('sends the longest script the service takes', async () => {
    handler = answer({ RequestId: 'r', InvokeId: 't-1' });
    expect(await region.runScript({ ...runRequest, script: 'x'.repeat(18_432) })).toBe('t-1');
  });
});

describe('answers that are none', () => {
  const odd: [what: string, handler: Handler, read: string][] = [
    [
      'a 502 page',
      (_, response) => response.writeHead(502, { 'content-type': 'text/html' }).end('<html>Bad Gateway</html>'),
      'unreachable',
    ],
    ['an empty 200', (_, response) => response.writeHead(200).end(), 'transient'],
    ['an answer cut short', (_, response) => response.writeHead(200).end('{"RequestId":"r","Disks":{"Di'), 'transient'],
    [
      'a body that stops',
      (_, response) => {
        response.writeHead(200, { 'content-length': '1000' }).write('{"RequestId"');
        setTimeout(() => response.destroy(), 20);
      },
      'transient',
    ],
    ['a hung socket', () => {}, 'transient'],
    ['a socket that closes', (_, __, request) => request.socket.destroy(), 'transient'],
    ['an error without Code', answer({ error: 'not found' }, 404), 'unreachable'],
  ];

  it.each(odd)('%s', async (what, odd, read) => {
    handler = odd;
    const asked = what === 'a hung socket' ? hasty : region;
    const errors = [
      await failureOf(asked.disks(['d-1'])),
      await failureOf(asked.resetDisk('d-1', 's-1')),
      await failureOf(asked.runScript(runRequest)),
    ];
    expect(errors.map((error) => error.kind)).toEqual([read, 'unknownOutcome', 'unknownOutcome']);
    for (const error of errors) {
      expect(error.name).toBe('CloudError');
      expect(error.message).toMatch(/^[A-Z]\w+ [^\n]*the ECS endpoint http:\/\/127\.0\.0\.1:\d+/);
      expect(error.message).not.toMatch(/\?[A-Z]/);
      const text = `${error.message}${error.stack}${JSON.stringify(error)}`;
      for (const hidden of [SECRET, KEY_ID, SCRIPT, Buffer.from(SCRIPT).toString('base64')]) {
        expect(text).not.toContain(hidden);
      }
    }
  });

  it('does not retry on its own', async () => {
    handler = answer({ Code: 'ServiceUnavailable', Message: 'later', RequestId: 'r' }, 503);
    await failureOf(region.disks(['d-1']));
    expect(calls).toHaveLength(1);
  });

  it('works again after all that', async () => {
    handler = answer({ RequestId: 'r', Disks: { Disk: [wireDisk('d-1')] } });
    expect((await region.disks(['d-1'])).size).toBe(1);
  });

  it('has a deadline of its own where the timers of the SDK do not hold', async () => {
    // On a connection that was used just before, the SDK's read timer is lost; the idle timer never fires while bytes keep
    // coming. The answer never ends, and without a deadline nor does the call.
    const drip: Handler = (_, response) => {
      response.writeHead(200, { 'content-type': 'application/json' });
      const timer = setInterval(() => response.write(' '), 50);
      response.on('close', () => clearInterval(timer));
    };
    let code: string | undefined;
    // On a busy machine the first call may come too late for the second to find its timer still set.
    for (let tries = 0; tries < 5 && code !== 'DeadlineExceeded'; tries += 1) {
      handler = answer({ RequestId: 'r', Disks: { Disk: [wireDisk('d-1')] } });
      await hasty.disks(['d-1']).catch(() => undefined);
      handler = drip;
      const error = await failureOf(hasty.resetDisk('d-1', 's-1'));
      expect(error).toMatchObject({ kind: 'unknownOutcome' });
      code = error.code;
    }
    expect(code).toBe('DeadlineExceeded');
  });

  it.each([
    ['http', 'ECONNREFUSED'],
    ['https', 'ECONNREFUSED'],
  ] as const)('names an endpoint where nothing listens (%s)', async (protocol, code) => {
    const dead = createEcs({
      endpoint: { host: '127.0.0.1:1', protocol },
      credentials: { accessKeyId: KEY_ID, accessKeySecret: SECRET },
    }).region('cn-test');
    const error = await failureOf(dead.resetDisk('d-1', 's-1'));
    expect(error).toMatchObject({ kind: 'unreachable', code });
    expect(error.message).toBe(
      `ResetDisk d-1 to s-1: cannot reach the ECS endpoint ${protocol}://127.0.0.1:1: nothing listens there (ECONNREFUSED); check ECS_ROLLBACK_ENDPOINT and the worker's network`,
    );
  });
});

describe('whatever comes back', () => {
  const disks = fc.record(
    {
      DiskId: fc.oneof(fc.constant('d-1'), fc.jsonValue()),
      Status: fc.oneof(fc.constant('In_use'), fc.jsonValue()),
      Type: fc.oneof(fc.constant('data'), fc.jsonValue()),
      Category: fc.oneof(fc.constant('cloud_essd'), fc.jsonValue()),
      Size: fc.oneof(fc.constant(20), fc.jsonValue()),
      Attachments: fc.oneof(fc.constant({ Attachment: [{ InstanceId: 'i-1' }] }), fc.jsonValue()),
      Tags: fc.oneof(fc.constant({ Tag: [{ TagKey: 'a', TagValue: 'b' }] }), fc.jsonValue()),
      OperationLocks: fc.jsonValue(),
    },
    { requiredKeys: ['DiskId', 'Status'] },
  );
  const bodies = fc.oneof(
    fc.jsonValue(),
    fc.record({ RequestId: fc.jsonValue(), Disks: fc.record({ Disk: fc.array(disks, { maxLength: 3 }) }) }),
    fc.record({ RequestId: fc.jsonValue(), Code: fc.jsonValue(), Message: fc.jsonValue() }),
  );

  it('is a map of disks or a CloudError of one line', async () => {
    let maps = 0;
    await fc.assert(
      fc.asyncProperty(bodies, fc.constantFrom(200, 200, 302, 400, 403, 404, 429, 500, 503), async (body, status) => {
        handler = answer(body, status);
        try {
          for (const [id, disk] of await region.disks(['d-1'])) {
            expect(id).toBeTypeOf('string');
            expect(disk.sizeGiB).toBeGreaterThan(0);
            expect(disk.attachedTo.every((each) => typeof each === 'string')).toBe(true);
          }
          maps++;
        } catch (error) {
          expect(error).toMatchObject({ name: 'CloudError', action: 'DescribeDisks' });
          expect((error as CloudError).message).toMatch(/^DescribeDisks d-1: [^\n]+$/);
        }
      }),
      // One that is surely a map: chance alone may bring none.
      { numRuns: 300, examples: [[{ RequestId: 'r', Disks: { Disk: [] } }, 200]] },
    );
    expect(maps).toBeGreaterThan(0);
  });
});

describe('who calls', () => {
  afterEach(() => {
    vi.unstubAllEnvs();
  });
  const seenKeys: string[] = [];
  const listing: Handler = (_, response, request) => {
    seenKeys.push(/Credential=([^,]+)/.exec(request.headers.authorization ?? '')?.[1] ?? '');
    json(response, { RequestId: 'r', Disks: { Disk: [] } });
  };
  beforeEach(() => {
    seenKeys.length = 0;
  });

  it('signs with the STS token it was given', async () => {
    const sent: unknown[] = [];
    handler = (_, response, request) => {
      sent.push(request.headers['x-acs-security-token'], request.url?.includes('CanaryToken'));
      json(response, { RequestId: 'r', Disks: { Disk: [] } });
    };
    const credentials = { accessKeyId: 'STS.id', accessKeySecret: SECRET, securityToken: 'CanaryToken' };
    await createEcs({ endpoint, credentials }).region('cn-test').disks(['d-1']);
    expect(sent).toEqual(['CanaryToken', false]);
  });

  it('uses the default chain when it was given none', async () => {
    vi.stubEnv('ALIBABA_CLOUD_ACCESS_KEY_ID', 'chain-id');
    vi.stubEnv('ALIBABA_CLOUD_ACCESS_KEY_SECRET', SECRET);
    handler = listing;
    await createEcs({ endpoint }).region('cn-test').disks(['d-1']);
    expect(seenKeys).toEqual(['chain-id']);
  });

  it('looks the credentials up once more when the token has expired, and only then', async () => {
    vi.stubEnv('ALIBABA_CLOUD_ACCESS_KEY_ID', 'old-id');
    vi.stubEnv('ALIBABA_CLOUD_ACCESS_KEY_SECRET', SECRET);
    const chained = createEcs({ endpoint }).region('cn-test');
    handler = (call, response, request) => {
      if (!request.headers.authorization?.includes('old-id')) return listing(call, response, request);
      vi.stubEnv('ALIBABA_CLOUD_ACCESS_KEY_ID', 'new-id');
      json(response, { Code: 'InvalidSecurityToken.Expired', Message: 'expired', RequestId: 'r' }, 400);
    };
    await chained.disks(['d-1']);
    expect(seenKeys).toEqual(['new-id']);

    calls.length = 0;
    handler = answer({ Code: 'InvalidSecurityToken.Expired', Message: 'expired', RequestId: 'r' }, 400);
    expect(await failureOf(region.disks(['d-1']))).toMatchObject({ kind: 'credentials' });
    expect(calls).toHaveLength(1);
    expect(await failureOf(chained.disks(['d-1']))).toMatchObject({ kind: 'credentials' });
    expect(calls).toHaveLength(3);
    calls.length = 0;
    handler = answer({ Code: 'SignatureDoesNotMatch', Message: 'no', RequestId: 'r' }, 400);
    expect(await failureOf(chained.disks(['d-1']))).toMatchObject({ kind: 'credentials' });
    expect(calls).toHaveLength(1);
  });
});
