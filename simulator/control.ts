/**
 * The control API below `/__sim/`, for tests and people: faults, clock, switches, scenes, dump of state and calls. It needs
 * no signature and is documented in README.md. Bad input is answered with one line that names the field.
 */
import type { ServerResponse } from 'node:http';
import type { Region } from './engine/region.ts';
import { splitTarget } from './protocol/signature.ts';
import { createScene, defaultScene, SCENE_FILE_SYSTEMS } from './scene.ts';
import type { Simulator } from './server.ts';
import { type Durations, type FaultRule, instanceTypes, type SwitchName, switchChoices } from './state/model.ts';

/** The tag that Auto Scaling puts on its instances. */
const SCALING_GROUP_TAG = 'acs:autoscaling:scalingGroupId';

class BadRequest extends Error {
  readonly status: number;
  constructor(message: string, status = 400) {
    super(message);
    this.status = status;
  }
}

type Body = Readonly<Record<string, unknown>>;

/** Reads known fields of a JSON body; anything else in it is an error, so that a typo cannot pass as a default. */
class Fields {
  private readonly body: Body;
  private readonly known = new Set<string>();

  constructor(body: Body) {
    this.body = body;
  }

  text(name: string, fallback = ''): string {
    const value = this.take(name) ?? fallback;
    if (typeof value !== 'string') throw new BadRequest(`${name} must be a text`);
    return value;
  }

  need(name: string): string {
    const value = this.text(name);
    if (value === '') throw new BadRequest(`${name} is missing`);
    return value;
  }

  number(name: string): number | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'number' || !Number.isFinite(value)) throw new BadRequest(`${name} must be a number`);
    return value;
  }

  boolean(name: string): boolean | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'boolean') throw new BadRequest(`${name} must be true or false`);
    return value;
  }

  object(name: string): Fields | undefined {
    const value = this.take(name);
    if (value === undefined) return undefined;
    if (typeof value !== 'object' || value === null || Array.isArray(value))
      throw new BadRequest(`${name} must be an object`);
    return new Fields(value as Body);
  }

  names(): string[] {
    return Object.keys(this.body);
  }

  end(): void {
    const unknown = Object.keys(this.body).filter((name) => !this.known.has(name));
    if (unknown.length > 0)
      throw new BadRequest(`unknown field ${unknown.join(', ')}; known: ${[...this.known].join(', ')}`);
  }

  private take(name: string): unknown {
    this.known.add(name);
    return this.body[name];
  }
}

type Route = (simulator: Simulator, fields: Fields, rest: string) => unknown;

const routes: Record<string, Route> = {
  'GET health': ({ region }) => ({
    ready: true,
    regionId: region.world.regionId,
    dataPlane: region.dataPlane.kind,
    speed: region.clock.speed,
    scene: region.world.scene,
    transitions: region.world.tasks.length,
    incidents: region.world.incidents,
  }),

  // The credentials are the simulator's own and worthless, but tools copy dumps around.
  'GET state': ({ region }) => ({ ...region.world, accessKeySecret: undefined, simTime: region.clock.now() }),

  'GET calls': ({ calls }, _fields, rest) => {
    if (!/^\d*$/.test(rest)) throw new BadRequest(`calls/${rest}: it is the number of a call`);
    return { calls: calls.records.slice(Number(rest)) };
  },

  'POST clock': ({ region }, fields) => {
    const speed = fields.number('speed');
    fields.end();
    if (speed === undefined || speed <= 0) throw new BadRequest('speed must be a number above 0');
    region.clock.setSpeed(speed);
    return { speed };
  },

  'POST switches': ({ region }, fields) => {
    for (const name of fields.names()) {
      if (!Object.hasOwn(switchChoices, name)) {
        throw new BadRequest(`unknown switch ${name}; known: ${Object.keys(switchChoices).join(', ')}`);
      }
      const choices: readonly string[] = switchChoices[name as SwitchName];
      const value = fields.text(name);
      if (!choices.includes(value)) throw new BadRequest(`switch ${name} is one of ${choices.join(', ')}`);
    }
    for (const name of fields.names()) Object.assign(region.world.switches, { [name]: fields.text(name) });
    return region.world.switches;
  },

  'POST durations': ({ region }, fields) => {
    const { durations } = region.world;
    for (const name of fields.names()) {
      const seconds = fields.number(name);
      if (!Object.hasOwn(durations, name)) {
        throw new BadRequest(`unknown duration ${name}; known: ${Object.keys(durations).join(', ')}`);
      }
      if (seconds === undefined || seconds < 0) throw new BadRequest(`duration ${name} must be 0 or more seconds`);
      durations[name as keyof Durations] = seconds;
    }
    return durations;
  },

  'POST throttle': ({ region }, fields) => {
    const action = fields.text('action', '*');
    const perMinute = fields.number('perMinute');
    fields.end();
    if (perMinute === undefined) delete region.world.throttle[action];
    else region.world.throttle[action] = perMinute;
    return region.world.throttle;
  },

  'POST faults': ({ region }, fields) => {
    const rule: FaultRule = {
      id: region.nextSeq(),
      action: fields.need('action'),
      match: matchOf(fields),
      skip: fields.number('skip') ?? 0,
      times: fields.number('times') ?? 1,
      hits: 0,
    };
    const about = fields.text('about');
    if (about !== '') {
      if (region.world.instances[about] === undefined) throw new BadRequest(`about: no instance ${about}`, 404);
      rule.about = about;
    }
    const error = fields.object('error');
    if (error !== undefined) {
      const retryAfterMs = error.number('retryAfterMs');
      rule.error = {
        code: error.need('code'),
        status: error.number('status') ?? 400,
        message: error.text('message', 'Injected by a fault rule of the simulator.'),
        ...(retryAfterMs !== undefined && { retryAfterMs }),
      };
      error.end();
    }
    const afterEffect = fields.boolean('afterEffect');
    if (afterEffect !== undefined) {
      if (error === undefined) throw new BadRequest('afterEffect says when the error is answered: error is missing');
      rule.afterEffect = afterEffect;
    }
    const delayMs = fields.number('delayMs');
    if (delayMs !== undefined) rule.delayMs = delayMs;
    const delayAfterMs = fields.number('delayAfterMs');
    if (delayAfterMs !== undefined) rule.delayAfterMs = delayAfterMs;
    const answer = fields.text('answer');
    if (answer === 'refused' || answer === 'lost' || answer === 'garbage') rule.answer = answer;
    else if (answer !== '') throw new BadRequest('answer is one of refused, lost, garbage');
    const garbage = fields.object('garbage');
    if (garbage !== undefined) {
      rule.garbage = {
        status: garbage.number('status') ?? 502,
        contentType: garbage.text('contentType', 'text/html'),
        body: garbage.text('body'),
      };
      garbage.end();
    }
    fields.end();
    if (!error && delayMs === undefined && delayAfterMs === undefined && rule.answer === undefined) {
      throw new BadRequest('a rule needs one of error, delayMs, delayAfterMs, answer');
    }
    region.world.faults.push(rule);
    return rule;
  },

  'DELETE faults': ({ region }, _fields, rest) => {
    region.world.faults = rest === '' ? [] : region.world.faults.filter((rule) => rule.id !== Number(rest));
    return { faults: region.world.faults };
  },

  /** Stuck transitions: those of this resource do not end until it is released. */
  'POST holds': ({ region }, fields) => {
    const resourceId = fields.need('resourceId');
    fields.end();
    if (!region.world.held.includes(resourceId)) region.world.held.push(resourceId);
    return { held: region.world.held };
  },

  'DELETE holds': ({ region }, _fields, rest) => {
    region.world.held = rest === '' ? [] : region.world.held.filter((id) => id !== rest);
    region.recheckHolds();
    return { held: region.world.held };
  },

  'POST instances': ({ region }, fields, rest) => {
    const instance = region.world.instances[rest];
    if (instance === undefined) throw new BadRequest(`no instance ${rest}`, 404);
    const offline = fields.boolean('agentOffline');
    const ignoresShutdown = fields.boolean('ignoresShutdown');
    const installed = fields.boolean('agentInstalled');
    const lock = fields.text('lock', '-');
    const keyPairName = fields.text('keyPairName', instance.keyPairName);
    const autoReleaseTime = fields.text('autoReleaseTime', instance.autoReleaseTime);
    // As another product of the cloud would: TagResources refuses keys of the system.
    const scalingGroupId = fields.text('scalingGroupId', '-');
    const startedAt = fields.text('startedAt', instance.startedAt);
    const osType = osTypeOf(region, fields, instance.osType);
    fields.end();
    instance.osType = osType;
    if (offline !== undefined) instance.agentOffline = offline;
    if (ignoresShutdown !== undefined) {
      instance.ignoresShutdown = ignoresShutdown;
      region.recheckHolds();
    }
    if (installed !== undefined) {
      instance.agentInstalled = installed;
      if (!installed) instance.lastHeartbeat = '';
    }
    if (lock !== '-') instance.locks = lock === '' ? [] : [lock];
    instance.keyPairName = keyPairName;
    instance.autoReleaseTime = autoReleaseTime;
    if (scalingGroupId !== '-') {
      const { [SCALING_GROUP_TAG]: _, ...tags } = instance.tags;
      instance.tags = scalingGroupId === '' ? tags : { ...tags, [SCALING_GROUP_TAG]: scalingGroupId };
    }
    instance.startedAt = startedAt;
    return instance;
  },

  'POST instance-types': ({ region }, fields, rest) => {
    if (!Object.hasOwn(instanceTypes, rest)) {
      throw new BadRequest(`no instance type ${rest}; known: ${Object.keys(instanceTypes).join(', ')}`, 404);
    }
    const diskQuantity = fields.number('diskQuantity');
    fields.end();
    if (diskQuantity === undefined || diskQuantity < 1) throw new BadRequest('diskQuantity must be a number above 0');
    region.world.diskQuantities[rest] = diskQuantity;
    return { instanceType: rest, diskQuantity };
  },

  'POST zones': ({ region }, fields, rest) => {
    const soldOut = fields.text('soldOut');
    const onSale = fields.text('onSale');
    fields.end();
    const kept = region.world.soldOut.filter((each) => each !== `${rest}/${onSale}`);
    region.world.soldOut = soldOut === '' ? kept : [...new Set([...kept, `${rest}/${soldOut}`])];
    return { soldOut: region.world.soldOut };
  },

  'POST disks': ({ region }, fields, rest) => {
    const disk = region.world.disks[rest];
    if (disk === undefined) throw new BadRequest(`no disk ${rest}`, 404);
    const lock = fields.text('lock', '-');
    const portable = fields.boolean('portable');
    const category = fields.text('category');
    const encrypted = fields.boolean('encrypted');
    const deleteWithInstance = fields.boolean('deleteWithInstance');
    const hasSerial = fields.boolean('hasSerial');
    const autoSnapshotPolicyId = fields.text('autoSnapshotPolicyId', disk.autoSnapshotPolicyId);
    fields.end();
    if (encrypted !== undefined) disk.encrypted = encrypted;
    if (hasSerial !== undefined) disk.hasSerial = hasSerial;
    if (deleteWithInstance !== undefined) disk.deleteWithInstance = deleteWithInstance;
    disk.autoSnapshotPolicyId = autoSnapshotPolicyId;
    if (lock !== '-') disk.locks = lock === '' ? [] : [lock];
    if (portable !== undefined) disk.portable = portable;
    if (category !== '') {
      disk.category = category;
      disk.performanceLevel = category === 'cloud_essd' ? 'PL1' : '';
    }
    return disk;
  },

  'POST snapshots': ({ region }, fields, rest) => {
    const snapshot = region.world.snapshots[rest];
    if (snapshot === undefined) throw new BadRequest(`no snapshot ${rest}`, 404);
    const doomed = fields.boolean('doomed');
    const copyOf = fields.text('copyOf');
    const automatic = fields.boolean('automatic');
    const archived = fields.boolean('archived');
    const encrypted = fields.boolean('encrypted');
    const retentionDays = fields.number('retentionDays');
    const createdAt = fields.text('createdAt', snapshot.createdAt);
    const sourceDiskId = fields.text('sourceDiskId', snapshot.sourceDiskId);
    fields.end();
    if (doomed !== undefined) snapshot.doomed = doomed;
    if (copyOf !== '') snapshot.copyOf = copyOf;
    if (automatic !== undefined) snapshot.automatic = automatic;
    if (archived !== undefined) snapshot.archived = archived;
    if (encrypted !== undefined) snapshot.encrypted = encrypted;
    if (retentionDays !== undefined) snapshot.retentionDays = retentionDays;
    snapshot.createdAt = createdAt;
    snapshot.sourceDiskId = sourceDiskId;
    return snapshot;
  },

  'POST guest-answers': ({ region }, fields) => {
    if (region.dataPlane.kind !== 'none') {
      throw new BadRequest('answers can be set with data plane none only: the others run the script');
    }
    const answer = {
      id: region.nextSeq(),
      instanceId: fields.text('instanceId'),
      contains: fields.text('contains'),
      exitCode: fields.number('exitCode') ?? 0,
      output: fields.text('output'),
      delayMs: fields.number('delayMs') ?? 0,
      times: fields.number('times') ?? -1,
    };
    fields.end();
    region.world.guestAnswers.push(answer);
    return answer;
  },

  'DELETE guest-answers': ({ region }, _fields, rest) => {
    region.world.guestAnswers =
      rest === '' ? [] : region.world.guestAnswers.filter((answer) => answer.id !== Number(rest));
    return { guestAnswers: region.world.guestAnswers };
  },

  'POST scenes': async ({ region }, fields) => {
    const fileSystem = fields.text('fileSystem', defaultScene.fileSystem);
    const known = SCENE_FILE_SYSTEMS.find((name) => name === fileSystem);
    if (known === undefined) throw new BadRequest(`fileSystem is one of ${SCENE_FILE_SYSTEMS.join(', ')}`);
    const options = {
      osType: osTypeOf(region, fields, defaultScene.osType),
      fileSystem: known,
      name: fields.text('name', defaultScene.name),
      dataSizeGiB: fields.number('dataSizeGiB') ?? defaultScene.dataSizeGiB,
      category: fields.text('category', defaultScene.category),
      format: fields.boolean('format') ?? true,
      packages: [],
    } as const;
    fields.end();
    return await createScene(region, options);
  },
};

function osTypeOf(region: Region, fields: Fields, otherwise: 'linux' | 'windows'): 'linux' | 'windows' {
  const osType = fields.text('osType', otherwise);
  if (osType !== 'linux' && osType !== 'windows') throw new BadRequest('osType is linux or windows');
  if (osType === 'windows' && region.dataPlane.kind !== 'none') {
    throw new BadRequest('instances with Windows need data plane none: the others run Linux only');
  }
  return osType;
}

function matchOf(fields: Fields): Record<string, string> {
  const match = fields.object('match');
  if (match === undefined) return {};
  return Object.fromEntries(match.names().map((name) => [name, match.text(name)]));
}

/** Answers one request to the control API. */
export async function handleControl(
  simulator: Simulator,
  method: string,
  target: string,
  body: Buffer,
  response: ServerResponse,
): Promise<void> {
  const [path] = splitTarget(target);
  const [name = '', rest = ''] = path.slice('/__sim/'.length).split('/');
  let status = 200;
  let answer: unknown;
  try {
    const route = routes[`${method} ${name}`];
    if (route === undefined) {
      throw new BadRequest(`no ${method} /__sim/${name}; known: ${Object.keys(routes).join(', ')}`, 404);
    }
    answer = await route(simulator, new Fields(parse(body)), decodeURIComponent(rest));
    if (method !== 'GET') await simulator.region.store.save();
  } catch (error) {
    status = error instanceof BadRequest ? error.status : 500;
    answer = { error: error instanceof Error ? error.message : String(error) };
  }
  const text = JSON.stringify(answer);
  response
    .writeHead(status, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(text) })
    .end(text);
}

function parse(body: Buffer): Body {
  if (body.length === 0) return {};
  let value: unknown;
  try {
    value = JSON.parse(body.toString());
  } catch {
    throw new BadRequest('the body is not JSON');
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new BadRequest('the body is not a JSON object');
  return value as Body;
}
