/**
 * The ECS port on the vendor's SDK. One request a call and no retries: those belong to Temporal, where they are seen
 * and the world can be re-read in between. Every rejection is a `CloudError` without keys, scripts or addresses of
 * requests in it.
 */
import { CloudError, type CloudErrorKind } from '../errors.ts';
import type { Ecs, EcsRegion } from '../port.ts';
import type { Agent, Disk, Instance, Invocation, Snapshot, SnapshotLock } from '../types.ts';
import type { Action } from './actions.ts';
import { type AccessKey, type CredentialSource, chainedCredentials, fixedCredentials } from './credentials.ts';
import { DeadlineExceeded, MalformedAnswer, toCloudError } from './failures.ts';
import {
  required,
  toAgent,
  toDisk,
  toDiskOffers,
  toInstance,
  toInvocation,
  toSnapshot,
  toSnapshotLock,
} from './models.ts';
import { type Credential, type EcsClient, type Runtime, type Sdk, loadSdk } from './sdk.ts';

export interface EcsEndpoint {
  /** Host, with a port when it is not the protocol's own. */
  readonly host: string;
  readonly protocol: 'http' | 'https';
}

export interface EcsOptions {
  /** Absent: the region's own public endpoint. */
  readonly endpoint?: EcsEndpoint;
  /** Absent: the default chain of the vendor's SDK (environment, OIDC, CLI profile, instance role, URI). */
  readonly credentials?: AccessKey;
  /** Bound of one call, milliseconds; default 15,000. Must be well above the 3 s of the SDK, which real calls exceed. */
  readonly timeoutMs?: number;
}

const DEFAULT_TIMEOUT_MS = 15_000;
/** The SDK's own timers come first where they work; on a reused connection they may not (measured with SDK 7.11.6). */
const DEADLINE_MARGIN_MS = 2_000;
const CREDENTIALS_DEADLINE_MS = 20_000;
/** Ids a Describe call takes. */
const IDS_PER_CALL = 100;
const AGENTS_PER_CALL = 50;
const MAX_PAGES = 1_000;
/** DescribeInvocationResults takes one id, so many ids are many calls. */
const PARALLEL_INVOCATIONS = 8;
/** How a passed dry run ends: with an error. StopInstances and StartInstances use the second. */
const PASSED: ReadonlySet<string> = new Set(['DryRunOperation', 'DRYRUN.SUCCESS']);
/** Kinds that answer a dry run's question; the others say nothing about it. */
const ANSWERS: ReadonlySet<CloudErrorKind> = new Set([
  'denied',
  'notFound',
  'conflict',
  'quota',
  'noStock',
  'invalid',
  'notReady',
] satisfies CloudErrorKind[]);
/** What RunCommand takes after Base64 when the command is not kept. */
const MAX_SCRIPT_BASE64 = 24 * 1024;

/** One for the whole process: it keeps a client per region and the credentials they share. */
export function createEcs(options: EcsOptions = {}): Ecs {
  const source =
    options.credentials === undefined
      ? chainedCredentials(async () => new (await loadSdk()).Credential(), CREDENTIALS_DEADLINE_MS)
      : fixedCredentials(options.credentials);
  const regions = new Map<string, EcsRegion>();
  return {
    region(regionId) {
      let region = regions.get(regionId);
      if (region === undefined) {
        region = createRegion(regionId, options, source);
        regions.set(regionId, region);
      }
      return region;
    },
  };
}

interface Reply<Body> {
  readonly body?: Body | undefined;
}

interface CallOptions {
  readonly what: string;
  readonly dryRun?: boolean;
  readonly secrets?: readonly string[];
}

function createRegion(regionId: string, options: EcsOptions, source: CredentialSource): EcsRegion {
  const timeout = options.timeoutMs ?? DEFAULT_TIMEOUT_MS;
  const endpoint =
    options.endpoint === undefined
      ? `the ECS endpoint of region ${regionId}`
      : `the ECS endpoint ${options.endpoint.protocol}://${options.endpoint.host}`;
  let opening: Promise<{ sdk: Sdk; client: EcsClient; runtime: Runtime }> | undefined;

  const open = async (): Promise<{ sdk: Sdk; client: EcsClient; runtime: Runtime }> => {
    const sdk = await loadSdk();
    const config = new sdk.Config({
      regionId,
      credential: await sdkCredential(sdk, source),
      readTimeout: timeout,
      connectTimeout: timeout,
      ...(options.endpoint === undefined
        ? {}
        : { endpoint: options.endpoint.host, protocol: options.endpoint.protocol.toUpperCase() }),
    });
    const runtime = new sdk.RuntimeOptions({ readTimeout: timeout, connectTimeout: timeout });
    return { sdk, client: new sdk.Client(config), runtime };
  };

  async function call<Body>(
    action: Action,
    send: (client: EcsClient, models: Sdk['models'], runtime: Runtime) => Promise<Reply<Body>>,
    about: CallOptions,
  ): Promise<Body> {
    const attempt = async (): Promise<Body> => {
      try {
        opening ??= open().catch((error: unknown) => {
          opening = undefined;
          throw error;
        });
        const { sdk, client, runtime } = await opening;
        // Before the clock of the call starts: a slow lookup must not look like a lost answer.
        await source.lookup();
        const reply = await within(send(client, sdk.models, runtime), timeout + DEADLINE_MARGIN_MS);
        return required(reply.body, 'a body');
      } catch (thrown) {
        throw toCloudError(thrown, {
          action,
          what: about.what,
          endpoint,
          dryRun: about.dryRun ?? false,
          secrets: [...source.secrets(), ...(about.secrets ?? [])],
        });
      }
    };
    try {
      return await attempt();
    } catch (error) {
      if (!(error instanceof CloudError) || error.kind !== 'credentials') throw error;
      source.forget();
      // Refused at the door, so nothing was done: a token that ran out is worth one more lookup.
      if (source.renewable && error.code === 'InvalidSecurityToken.Expired') return attempt();
      throw error;
    }
  }

  /** Every page. The service says "end" with an empty NextToken and nothing else. */
  async function pages<Body extends { nextToken?: string | undefined }, Item>(
    action: Action,
    what: string,
    send: (
      client: EcsClient,
      models: Sdk['models'],
      runtime: Runtime,
      nextToken: string | undefined,
    ) => Promise<Reply<Body>>,
    items: (body: Body) => Item[],
  ): Promise<Item[]> {
    const all: Item[] = [];
    const seen = new Set<string>();
    let nextToken: string | undefined;
    for (let page = 0; page < MAX_PAGES; page++) {
      const body = await call<Body>(action, (client, models, runtime) => send(client, models, runtime, nextToken), {
        what,
      });
      all.push(...check(action, what, () => items(body)));
      if (!body.nextToken) return all;
      if (seen.has(body.nextToken)) break;
      seen.add(body.nextToken);
      nextToken = body.nextToken;
    }
    throw toCloudError(new MalformedAnswer('its pages do not end'), { action, what, endpoint, secrets: [] });
  }

  /** What cannot be read of an answer is the endpoint's fault, told as such. */
  function check<T>(action: Action, what: string, read: () => T): T {
    try {
      return read();
    } catch (thrown) {
      const fault = thrown instanceof MalformedAnswer ? thrown : new MalformedAnswer('of another shape');
      throw toCloudError(fault, { action, what, endpoint, secrets: source.secrets() });
    }
  }

  const effect = async (
    action: Action,
    send: (
      client: EcsClient,
      models: Sdk['models'],
      runtime: Runtime,
    ) => Promise<Reply<{ requestId?: string | undefined }>>,
    what: string,
  ): Promise<void> => {
    const body = await call(action, send, { what });
    check(action, what, () => required(body.requestId, 'RequestId'));
  };

  /** Sends a call with DryRun. Undefined when it passed. */
  async function dryRun(
    action: Action,
    send: (
      client: EcsClient,
      models: Sdk['models'],
      runtime: Runtime,
    ) => Promise<Reply<{ requestId?: string | undefined }>>,
    subject: string,
  ): Promise<CloudError | undefined> {
    const what = `${subject} (dry run)`;
    try {
      await call(action, send, { what, dryRun: true });
    } catch (error) {
      if (!(error instanceof CloudError)) throw error;
      if (PASSED.has(error.code)) return undefined;
      if (!ANSWERS.has(error.kind)) throw error;
      return error;
    }
    // A passed dry run is an error by contract. An endpoint that says "done" may have done it.
    throw new CloudError({
      kind: 'unknownOutcome',
      action,
      code: 'DryRunIgnored',
      message: `${action} ${what}: ${endpoint} answered a dry run as if it had done it`,
    });
  }

  const dryRunReset = (diskId: string, snapshotId: string): Promise<CloudError | undefined> =>
    dryRun(
      'ResetDisk',
      (client, models, runtime) =>
        client.resetDiskWithOptions(new models.ResetDiskRequest({ diskId, snapshotId, dryRun: true }), runtime),
      `${diskId} to ${snapshotId}`,
    );

  const disksWhere = (
    what: string,
    where: { diskIds?: string; instanceId?: string; tag?: WireTag[] },
  ): Promise<Disk[]> =>
    pages(
      'DescribeDisks',
      what,
      (client, models, runtime, nextToken) =>
        client.describeDisksWithOptions(
          new models.DescribeDisksRequest({ regionId, maxResults: IDS_PER_CALL, ...where, ...paged(nextToken) }),
          runtime,
        ),
      (body) => required(body.disks?.disk, 'Disks').map(toDisk),
    );

  const snapshotsWhere = (
    what: string,
    where: { snapshotIds?: string; diskId?: string; tag?: WireTag[] },
  ): Promise<Snapshot[]> =>
    pages(
      'DescribeSnapshots',
      what,
      (client, models, runtime, nextToken) =>
        client.describeSnapshotsWithOptions(
          new models.DescribeSnapshotsRequest({ regionId, maxResults: IDS_PER_CALL, ...where, ...paged(nextToken) }),
          runtime,
        ),
      (body) => required(body.snapshots?.snapshot, 'Snapshots').map(toSnapshot),
    );

  const invocation = async (invokeId: string): Promise<Invocation | undefined> => {
    try {
      const body = await call(
        'DescribeInvocationResults',
        (client, models, runtime) =>
          client.describeInvocationResultsWithOptions(
            new models.DescribeInvocationResultsRequest({
              regionId,
              invokeId,
              contentEncoding: 'Base64',
              maxResults: 50,
            }),
            runtime,
          ),
        { what: invokeId },
      );
      return check('DescribeInvocationResults', invokeId, () => {
        if (body.invocation === undefined) required(body.requestId, 'Invocation');
        const [result] = body.invocation?.invocationResults?.invocationResult ?? [];
        return result === undefined ? undefined : toInvocation(invokeId, result);
      });
    } catch (error) {
      if (error instanceof CloudError && error.kind === 'notFound') return undefined;
      throw error;
    }
  };

  return {
    regionId,

    async instances(ids) {
      const lists = await inBatches(ids, IDS_PER_CALL, (batch) =>
        pages(
          'DescribeInstances',
          naming(batch),
          (client, models, runtime, nextToken) =>
            client.describeInstancesWithOptions(
              new models.DescribeInstancesRequest({
                regionId,
                instanceIds: JSON.stringify(batch),
                maxResults: IDS_PER_CALL,
                ...paged(nextToken),
              }),
              runtime,
            ),
          (body) => required(body.instances?.instance, 'Instances').map(toInstance),
        ),
      );
      return byId<Instance>(lists, (each) => each.id);
    },

    async disks(ids) {
      const lists = await inBatches(ids, IDS_PER_CALL, (batch) =>
        disksWhere(naming(batch), { diskIds: JSON.stringify(batch) }),
      );
      return byId<Disk>(lists, (each) => each.id);
    },

    async snapshots(ids) {
      const lists = await inBatches(ids, IDS_PER_CALL, (batch) =>
        snapshotsWhere(naming(batch), { snapshotIds: JSON.stringify(batch) }),
      );
      return byId<Snapshot>(lists, (each) => each.id);
    },

    async invocations(ids) {
      const lists = await inBatches(ids, PARALLEL_INVOCATIONS, async (batch) => {
        const found = await Promise.all(batch.map(invocation));
        return found.filter((each) => each !== undefined);
      });
      return byId<Invocation>(lists, (each) => each.id);
    },

    async agents(instanceIds) {
      const lists = await inBatches(instanceIds, AGENTS_PER_CALL, (batch) =>
        pages(
          'DescribeCloudAssistantStatus',
          naming(batch),
          (client, models, runtime, nextToken) =>
            client.describeCloudAssistantStatusWithOptions(
              new models.DescribeCloudAssistantStatusRequest({
                regionId,
                instanceId: batch,
                maxResults: AGENTS_PER_CALL,
                ...paged(nextToken),
              }),
              runtime,
            ),
          (body) =>
            required(
              body.instanceCloudAssistantStatusSet?.instanceCloudAssistantStatus,
              'InstanceCloudAssistantStatusSet',
            ).map(toAgent),
        ),
      );
      return byId<Agent>(lists, (each) => each.instanceId);
    },

    snapshotsOf: (diskId) => snapshotsWhere(`of ${diskId}`, { diskId }),
    disksOf: (instanceId) => disksWhere(`of ${instanceId}`, { instanceId }),

    async diskLimit(instanceType) {
      const types = await pages(
        'DescribeInstanceTypes',
        instanceType,
        (client, models, runtime, nextToken) =>
          client.describeInstanceTypesWithOptions(
            new models.DescribeInstanceTypesRequest({
              instanceTypes: [instanceType],
              maxResults: IDS_PER_CALL,
              ...paged(nextToken),
            }),
            runtime,
          ),
        (body) => required(body.instanceTypes?.instanceType, 'InstanceTypes'),
      );
      return types.find((type) => type.instanceTypeId === instanceType)?.diskQuantity;
    },

    async diskOffers(zoneId) {
      const what = `data disks in ${zoneId}`;
      const body = await call(
        'DescribeAvailableResource',
        (client, models, runtime) =>
          client.describeAvailableResourceWithOptions(
            new models.DescribeAvailableResourceRequest({
              regionId,
              zoneId,
              resourceType: 'disk',
              destinationResource: 'DataDisk',
            }),
            runtime,
          ),
        { what },
      );
      return check('DescribeAvailableResource', what, () => {
        required(body.requestId, 'RequestId');
        return (body.availableZones?.availableZone ?? [])
          .filter((zone) => zone.zoneId === zoneId)
          .flatMap(toDiskOffers);
      });
    },

    disksTagged: async (tags) => disksWhere('by tag', { tag: someTags('DescribeDisks', tags) }),
    snapshotsTagged: async (tags) => snapshotsWhere('by tag', { tag: someTags('DescribeSnapshots', tags) }),

    async createSnapshot(request) {
      const what = `of ${request.diskId}`;
      const body = await call(
        'CreateSnapshot',
        (client, models, runtime) =>
          client.createSnapshotWithOptions(
            new models.CreateSnapshotRequest({
              diskId: request.diskId,
              snapshotName: request.name,
              description: request.description,
              retentionDays: request.retentionDays,
              tag: wireTags(request.tags),
              clientToken: request.clientToken,
            }),
            runtime,
          ),
        { what },
      );
      return check('CreateSnapshot', what, () => required(body.snapshotId, 'SnapshotId'));
    },

    async lockSnapshot({ snapshotId, days, clientToken }) {
      await effect(
        'LockSnapshot',
        (client, models, runtime) =>
          client.lockSnapshotWithOptions(
            new models.LockSnapshotRequest({
              regionId,
              snapshotId,
              lockMode: 'compliance',
              lockDuration: days,
              coolOffPeriod: 0,
              clientToken,
            }),
            runtime,
          ),
        snapshotId,
      );
    },

    async snapshotLocks(ids) {
      const lists = await inBatches(ids, IDS_PER_CALL, (batch) =>
        pages(
          'DescribeLockedSnapshots',
          naming(batch),
          (client, models, runtime, nextToken) =>
            client.describeLockedSnapshotsWithOptions(
              new models.DescribeLockedSnapshotsRequest({
                regionId,
                snapshotIds: batch,
                maxResults: IDS_PER_CALL,
                ...paged(nextToken),
              }),
              runtime,
            ),
          (body) => {
            required(body.requestId, 'RequestId');
            return (body.lockedSnapshotsInfo ?? []).map(toSnapshotLock);
          },
        ),
      );
      return byId<SnapshotLock>(lists, (each) => each.snapshotId);
    },

    deleteSnapshot: (snapshotId) =>
      effect(
        'DeleteSnapshot',
        (client, models, runtime) =>
          client.deleteSnapshotWithOptions(new models.DeleteSnapshotRequest({ snapshotId }), runtime),
        snapshotId,
      ),

    async createDisk(request) {
      const what = `from ${request.snapshotId}`;
      const body = await call(
        'CreateDisk',
        (client, models, runtime) =>
          client.createDiskWithOptions(
            new models.CreateDiskRequest({
              regionId,
              zoneId: request.zoneId,
              snapshotId: request.snapshotId,
              size: request.sizeGiB,
              diskCategory: request.category,
              ...(request.performanceLevel === undefined ? {} : { performanceLevel: request.performanceLevel }),
              ...(request.encrypted ? { encrypted: true } : {}),
              ...(request.kmsKeyId === undefined ? {} : { KMSKeyId: request.kmsKeyId }),
              diskName: request.name,
              description: request.description,
              tag: wireTags(request.tags),
              clientToken: request.clientToken,
            }),
            runtime,
          ),
        { what },
      );
      return check('CreateDisk', what, () => required(body.diskId, 'DiskId'));
    },

    resetDisk: (diskId, snapshotId) =>
      effect(
        'ResetDisk',
        (client, models, runtime) =>
          client.resetDiskWithOptions(new models.ResetDiskRequest({ diskId, snapshotId }), runtime),
        `${diskId} to ${snapshotId}`,
      ),

    resizeDisk: ({ diskId, sizeGiB, clientToken }) =>
      effect(
        'ResizeDisk',
        (client, models, runtime) =>
          client.resizeDiskWithOptions(
            new models.ResizeDiskRequest({ diskId, newSize: sizeGiB, type: 'offline', clientToken }),
            runtime,
          ),
        `${diskId} to ${sizeGiB} GiB`,
      ),

    async probeReset(diskId, snapshotId) {
      const refusal = await dryRunReset(diskId, snapshotId);
      if (refusal === undefined) return 'idle';
      if (refusal.code === 'InvalidOperation.DiskResetInProgress') return 'in-progress';
      throw refusal;
    },

    dryRunReset,
    dryRunStop: (instanceId) =>
      dryRun(
        'StopInstance',
        (client, models, runtime) =>
          client.stopInstanceWithOptions(
            new models.StopInstanceRequest({ instanceId, stoppedMode: 'KeepCharging', dryRun: true }),
            runtime,
          ),
        instanceId,
      ),
    dryRunStart: (instanceId) =>
      dryRun(
        'StartInstance',
        (client, models, runtime) =>
          client.startInstanceWithOptions(new models.StartInstanceRequest({ instanceId, dryRun: true }), runtime),
        instanceId,
      ),

    attachDisk: (diskId, instanceId) =>
      effect(
        'AttachDisk',
        (client, models, runtime) =>
          client.attachDiskWithOptions(
            new models.AttachDiskRequest({ diskId, instanceId, deleteWithInstance: false }),
            runtime,
          ),
        `${diskId} to ${instanceId}`,
      ),

    detachDisk: (diskId, instanceId) =>
      effect(
        'DetachDisk',
        (client, models, runtime) =>
          client.detachDiskWithOptions(new models.DetachDiskRequest({ diskId, instanceId }), runtime),
        `${diskId} from ${instanceId}`,
      ),

    deleteDisk: (diskId) =>
      effect(
        'DeleteDisk',
        (client, models, runtime) => client.deleteDiskWithOptions(new models.DeleteDiskRequest({ diskId }), runtime),
        diskId,
      ),

    stopInstance: (instanceId, { force }) =>
      effect(
        'StopInstance',
        (client, models, runtime) =>
          client.stopInstanceWithOptions(
            // Said explicitly: the default is an account setting, and releasing the capacity may make the start fail.
            new models.StopInstanceRequest({ instanceId, stoppedMode: 'KeepCharging', forceStop: force }),
            runtime,
          ),
        instanceId,
      ),

    startInstance: (instanceId) =>
      effect(
        'StartInstance',
        (client, models, runtime) =>
          client.startInstanceWithOptions(new models.StartInstanceRequest({ instanceId }), runtime),
        instanceId,
      ),

    async runScript(request) {
      const content = Buffer.from(request.script, 'utf8').toString('base64');
      const what = `${request.name} on ${request.instanceId}`;
      if (content.length > MAX_SCRIPT_BASE64) {
        throw new CloudError({
          kind: 'invalid',
          action: 'RunCommand',
          code: 'CmdContent.ExceedLimit',
          message: `RunCommand ${what}: the script is ${content.length} bytes after Base64; the service takes ${MAX_SCRIPT_BASE64}`,
        });
      }
      const body = await call(
        'RunCommand',
        (client, models, runtime) =>
          client.runCommandWithOptions(
            new models.RunCommandRequest({
              regionId,
              type: request.osType === 'windows' ? 'RunPowerShellScript' : 'RunShellScript',
              instanceId: [request.instanceId],
              name: request.name,
              commandContent: content,
              contentEncoding: 'Base64',
              timeout: request.timeoutSeconds,
              keepCommand: false,
              repeatMode: 'Once',
              terminationMode: 'ProcessTree',
              clientToken: request.clientToken,
            }),
            runtime,
          ),
        { what, secrets: [content, request.script] },
      );
      return check('RunCommand', what, () => required(body.invokeId, 'InvokeId'));
    },
  };
}

/** The SDK asks its `credential` for every request. */
async function sdkCredential(sdk: Sdk, source: CredentialSource): Promise<Credential> {
  const getCredential = async (): Promise<InstanceType<Sdk['CredentialModel']>> => {
    const { provider, ...key } = await source.lookup();
    return new sdk.CredentialModel({
      ...key,
      type: key.securityToken === undefined ? 'access_key' : 'sts',
      providerName: provider,
    });
  };
  const inner = {
    getCredential,
    getAccessKeyId: async () => (await source.lookup()).accessKeyId,
    getAccessKeySecret: async () => (await source.lookup()).accessKeySecret,
    getSecurityToken: async () => (await source.lookup()).securityToken ?? '',
    getBearerToken: () => '',
    getType: () => 'access_key',
  };
  // A real `Credential` around ours, since the SDK's types ask for the class.
  const credential = new sdk.Credential({
    type: 'access_key',
    accessKeyId: 'unused',
    accessKeySecret: 'unused',
  } as never);
  credential.credential = inner;
  return credential;
}

interface WireTag {
  key: string;
  value: string;
}

/** Sorted, so that a repeated call is the same to the byte: another order under the same ClientToken is a mismatch. */
const wireTags = (tags: Readonly<Record<string, string>>): never =>
  Object.entries(tags)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([key, value]): WireTag => ({ key, value })) as never;

/** No tag at all would match everything in the region. */
function someTags(action: Action, tags: Readonly<Record<string, string>>): never {
  if (Object.keys(tags).length === 0) {
    throw new CloudError({ kind: 'invalid', action, code: 'NoTags', message: `${action} by tag: no tag was given` });
  }
  return wireTags(tags);
}

const paged = (nextToken: string | undefined): { nextToken?: string } => (nextToken === undefined ? {} : { nextToken });

const naming = (ids: readonly string[]): string =>
  ids.length <= 3 ? ids.join(', ') : `${ids.slice(0, 2).join(', ')} and ${ids.length - 2} more`;

function byId<T>(lists: readonly T[][], id: (item: T) => string): Map<string, T> {
  return new Map(lists.flat().map((item) => [id(item), item]));
}

async function inBatches<T>(
  ids: readonly string[],
  size: number,
  fetch: (batch: string[]) => Promise<T[]>,
): Promise<T[][]> {
  const unique = [...new Set(ids)];
  const lists: T[][] = [];
  for (let start = 0; start < unique.length; start += size) lists.push(await fetch(unique.slice(start, start + size)));
  return lists;
}

async function within<T>(promise: Promise<T>, milliseconds: number): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const expiry = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new DeadlineExceeded(milliseconds)), milliseconds);
  });
  try {
    return await Promise.race([promise, expiry]);
  } finally {
    clearTimeout(timer);
  }
}
