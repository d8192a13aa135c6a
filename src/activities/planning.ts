/** The read-only pass behind `plan`: gathers what the rules of `domain/plan.ts` judge. Changes nothing in the cloud. */
import { createHash } from 'node:crypto';
import type { Ecs } from '../cloud/port.ts';
import type { RollbackInput, RollbackPlan, SyncInput } from '../contract/rollback.ts';
import { type Observed, planIdentity, planRollback, planSync, type UnhashedPlan } from '../domain/plan.ts';
import type { GuestRunner } from './guest-runner.ts';

export function planningActivities(ecs: Ecs, guest: GuestRunner) {
  async function observe(input: RollbackInput | SyncInput): Promise<Observed> {
    const region = ecs.region(input.regionId);
    const [disks, snapshots, snapshotsOfDisk] = await Promise.all([
      region.disks([input.diskId]),
      region.snapshots([input.snapshotId]),
      region.snapshotsOf(input.diskId),
    ]);
    const disk = disks.get(input.diskId);
    const instanceId = disk?.attachedTo[0] ?? input.instanceId;
    const instance = instanceId === undefined ? undefined : (await region.instances([instanceId])).get(instanceId);
    const running = instance?.status === 'Running' && instance.osType === 'linux' ? instance : undefined;
    const agent =
      input.sync === undefined || running === undefined
        ? undefined
        : (await region.agents([running.id])).get(running.id);
    const paths =
      input.sync !== undefined && agent?.online === true && disk !== undefined && disk.serial !== ''
        ? await guest.checkPaths({
            regionId: input.regionId,
            instanceId: agent.instanceId,
            originalSerial: disk.serial,
            paths: input.sync.paths,
          })
        : undefined;
    return {
      disk,
      snapshot: snapshots.get(input.snapshotId),
      snapshotsOfDisk,
      instance,
      agent,
      paths,
      observedAt: new Date().toISOString(),
    };
  }

  return {
    planRollback: async (input: RollbackInput): Promise<RollbackPlan> =>
      hashed(input, planRollback(input, await observe(input))),
    planSync: async (input: SyncInput): Promise<RollbackPlan> => hashed(input, planSync(input, await observe(input))),
  };
}

function hashed(input: RollbackInput | SyncInput, plan: UnhashedPlan): RollbackPlan {
  const text = JSON.stringify(planIdentity(input, plan), sortedKeys);
  return { ...plan, hash: createHash('sha256').update(text).digest('hex') };
}

const sortedKeys = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;
