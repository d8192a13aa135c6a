/** Which calls are about one instance: so that a fault can meet one of many that share a region. */
import type { World } from '../state/model.ts';

const idPattern = /\b[dsit]-bp1[a-z0-9]{17}\b/g;

/**
 * The id is the instance's, or of a disk that is attached to it or was made from what belongs to it, of a snapshot of
 * such a disk, or of an invocation on it. What has been deleted belongs to nobody.
 */
function belongs(world: World, id: string, instanceId: string): boolean {
  if (id === instanceId) return true;
  const disk = world.disks[id];
  if (disk !== undefined) {
    return disk.attachment?.instanceId === instanceId || belongs(world, disk.sourceSnapshotId, instanceId);
  }
  const snapshot = world.snapshots[id];
  if (snapshot !== undefined) return belongs(world, snapshot.sourceDiskId, instanceId);
  return world.invocations[id]?.results.some((result) => result.instanceId === instanceId) ?? false;
}

/** The call names at least one id, and all that it names belong to the instance. */
export function isAbout(world: World, wire: ReadonlyMap<string, string>, instanceId: string): boolean {
  const ids = [...wire]
    .filter(([name]) => /Ids?(\.\d+)?$/.test(name))
    .flatMap(([, value]) => value.match(idPattern) ?? []);
  return ids.length > 0 && ids.every((id) => belongs(world, id, instanceId));
}
