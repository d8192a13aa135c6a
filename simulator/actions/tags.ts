/** Tags of instances, disks and snapshots. */
import { ApiError, missingParameter } from '../protocol/api-error.ts';
import type { Tags } from '../state/model.ts';
import { type Call, type Handler, matchesTags, oneOf, tagsOf } from './call.ts';
import { page } from './paging.ts';

const types = ['instance', 'disk', 'snapshot'] as const;
type ResourceType = (typeof types)[number];

interface Tagged {
  readonly id: string;
  readonly seq: number;
  tags: Tags;
}

function resources(call: Call): { type: ResourceType; all: Record<string, Tagged>; ids: readonly string[] } {
  const type = oneOf(call, 'ResourceType', types, 'InvalidResourceType.NotFound', 404);
  if (type === undefined) throw missingParameter('ResourceType');
  const { instances, disks, snapshots } = call.region.world;
  const all = { instance: instances, disk: disks, snapshot: snapshots }[type];
  const ids = call.p.list('ResourceId');
  if (ids.length > 50) throw new ApiError('NumberExceed.ResourceIds', 400, 'At most 50 resource ids can be given.');
  return { type, all, ids };
}

function existing(all: Record<string, Tagged>, ids: readonly string[]): Tagged[] {
  return ids.map((id) => {
    const found = all[id];
    if (found === undefined) {
      throw new ApiError('InvalidResourceId.NotFound', 404, `The specified resource "${id}" does not exist.`);
    }
    return found;
  });
}

const tagResources: Handler = (call) => {
  const { all, ids } = resources(call);
  const tags = tagsOf(call);
  const targets = existing(all, ids);
  for (const target of targets) {
    if (Object.keys({ ...target.tags, ...tags }).length > 20) {
      throw new ApiError('OperationDenied.QuotaExceed', 400, `Resource "${target.id}" would have more than 20 tags.`);
    }
  }
  call.effect();
  for (const target of targets) target.tags = { ...target.tags, ...tags };
  return {};
};

const untagResources: Handler = (call) => {
  const { all, ids } = resources(call);
  const keys = call.p.list('TagKey');
  const everything = call.p.boolean('All') ?? false;
  if (keys.length > 20) throw new ApiError('NumberExceed.Tags', 400, 'At most 20 tag keys can be given.');
  if (keys.length === 0 && !everything) throw missingParameter('TagKey');
  const targets = existing(all, ids);
  call.effect();
  for (const target of targets) {
    // All counts only without keys.
    target.tags =
      keys.length === 0 ? {} : Object.fromEntries(Object.entries(target.tags).filter(([key]) => !keys.includes(key)));
  }
  return {};
};

const listTagResources: Handler = (call) => {
  const { type, all, ids } = resources(call);
  if (ids.length === 0 && call.p.structs('Tag').length === 0) throw missingParameter('ResourceId');
  const wanted = new Set(call.p.structs('Tag').map((tag) => tag['Key']));
  const rows = Object.values(all)
    .filter((resource) => (ids.length === 0 || ids.includes(resource.id)) && matchesTags(call, resource.tags))
    .flatMap((resource) =>
      Object.entries(resource.tags)
        .filter(([key]) => wanted.size === 0 || wanted.has(key))
        .map(([TagKey, TagValue], index) => ({
          seq: resource.seq + index / 1000,
          row: { ResourceId: resource.id, ResourceType: type, TagKey, TagValue },
        })),
    );
  const { rows: shown, fields } = page(call, rows, { pageSize: 50, maxResults: 50, tokensOnly: true });
  return { NextToken: fields['NextToken'], TagResources: { TagResource: shown.map(({ row }) => row) } };
};

export const tagActions = {
  TagResources: tagResources,
  UntagResources: untagResources,
  ListTagResources: listTagResources,
};
