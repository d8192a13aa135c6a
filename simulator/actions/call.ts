/** What an action's handler gets, and the checks that many actions share. */
import type { Region } from '../engine/region.ts';
import { ApiError, invalidParameter } from '../protocol/api-error.ts';
import type { Parameters } from '../protocol/parameters.ts';
import type { DiskState, InstanceState, SnapshotState, Tags } from '../state/model.ts';

export interface Call {
  readonly region: Region;
  readonly p: Parameters;
  /** To be called by a handler when it changes the world. */
  readonly effect: () => void;
}

/** Synchronous on purpose: one call is one atomic step of the world. */
export type Handler = (call: Call) => Record<string, unknown>;

export function findDisk(call: Call, id: string): DiskState {
  const disk = call.region.world.disks[id];
  if (disk === undefined) {
    throw new ApiError('InvalidDiskId.NotFound', 404, `The specified disk "${id}" does not exist.`);
  }
  return disk;
}

export function findSnapshot(call: Call, id: string): SnapshotState {
  const snapshot = call.region.world.snapshots[id];
  if (snapshot === undefined) {
    throw new ApiError('InvalidSnapshotId.NotFound', 404, `The specified snapshot "${id}" does not exist.`);
  }
  return snapshot;
}

export function findInstance(call: Call, id: string): InstanceState {
  const instance = call.region.world.instances[id];
  if (instance === undefined) {
    throw new ApiError('InvalidInstanceId.NotFound', 404, `The specified InstanceId "${id}" does not exist.`);
  }
  return instance;
}

export function refuseLockedInstance(instance: InstanceState): void {
  if (instance.locks.includes('security')) {
    throw new ApiError('InstanceLockedForSecurity', 403, 'The instance is locked for security reasons.');
  }
  if (instance.locks.some((lock) => lock === 'financial' || lock === 'Recycling')) {
    throw new ApiError('InstanceExpiredOrInArrears', 403, 'The instance has expired or is in arrears.');
  }
}

/** The refusal of every operation for which the disk is in the wrong state. */
export const incorrectDiskStatus = (disk: DiskState): ApiError =>
  new ApiError('IncorrectDiskStatus', 403, `The current disk status "${disk.status}" does not support this operation.`);

export function refuseLockedDisk(disk: DiskState): void {
  if (disk.locks.length > 0) {
    throw new ApiError('DiskInArrears', 403, 'The specified disk is in arrears or locked.');
  }
}

export function unfinishedSnapshots(call: Call, diskId: string): SnapshotState[] {
  return call.region.snapshotsOf(diskId).filter((snapshot) => snapshot.status === 'progressing');
}

/** Tags of a create call or of TagResources, by the service's rules. */
export function tagsOf(call: Call, limit = 20, keyLimit = 128): Tags {
  const structs = call.p.structs('Tag');
  if (structs.length > limit) {
    throw new ApiError('NumberExceed.Tags', 400, `The number of tags exceeds the limit of ${limit}.`);
  }
  const tags: Tags = {};
  for (const { Key: key = '', Value: value = '' } of structs) {
    if (key === '' || key.length > keyLimit || /^(aliyun|acs:)/i.test(key) || /https?:\/\//i.test(key)) {
      throw new ApiError('InvalidTagKey.Malformed', 400, `The specified tag key "${key}" is not valid.`);
    }
    if (value.length > 128 || /https?:\/\//i.test(value)) {
      throw new ApiError('InvalidTagValue.Malformed', 400, `The specified tag value of "${key}" is not valid.`);
    }
    if (Object.hasOwn(tags, key)) {
      throw new ApiError('Duplicate.TagKey', 400, `The tag key "${key}" is used more than once.`);
    }
    tags[key] = value;
  }
  return tags;
}

/** Whether a resource has all tags of the call's `Tag.N` filter; a filter without value matches any value. */
export function matchesTags(call: Call, tags: Tags): boolean {
  return call.p.structs('Tag').every(({ Key: key = '', Value: value }) => {
    const has = tags[key];
    return has !== undefined && (value === undefined || value === '' || value === has);
  });
}

export const wireTags = (tags: Tags): object => ({
  Tag: Object.entries(tags).map(([TagKey, TagValue]) => ({ TagKey, TagValue })),
});

export function nameOf(call: Call, parameter: string, code: string): string {
  const name = call.p.text(parameter);
  if (name === undefined) return '';
  if (!/^\p{L}[\p{L}0-9:_.-]{1,127}$/u.test(name)) {
    throw invalidParameter(
      parameter,
      'a name has 2 to 128 characters, begins with a letter and goes on with letters, digits, ":", "_", "." or "-"',
      code,
    );
  }
  return name;
}

export function descriptionOf(call: Call, status: number): string {
  const text = call.p.text('Description');
  if (text === undefined) return '';
  if (text.length < 2 || text.length > 256 || /^https?:\/\//i.test(text)) {
    throw invalidParameter(
      'Description',
      'it has 2 to 256 characters and does not begin with http:// or https://',
      'InvalidDescription.Malformed',
      status,
    );
  }
  return text;
}

export function refuseDryRun(call: Call): void {
  if (call.p.boolean('DryRun') === true) {
    throw new ApiError('DryRunOperation', 400, 'Request validation has been passed with DryRun flag set.');
  }
}

/** A value out of a fixed set, undefined when not sent. */
export function oneOf<T extends string>(
  call: Call,
  parameter: string,
  values: readonly T[],
  code: string,
  status: number,
): T | undefined {
  const text = call.p.text(parameter);
  if (text === undefined) return undefined;
  const found = values.find((value) => value.toLowerCase() === text.toLowerCase());
  if (found === undefined) throw invalidParameter(parameter, `it is one of ${values.join(', ')}`, code, status);
  return found;
}

/** Filters by a name that may contain `*`. */
export function matchesName(pattern: string | undefined, name: string): boolean {
  if (pattern === undefined) return true;
  const expression = pattern
    .split('*')
    .map((part) => part.replace(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('.*');
  return new RegExp(`^${expression}$`, 'u').test(name);
}
