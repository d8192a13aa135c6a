/** Whether what a step was to bring about is there, whoever did it: what a `skip` is believed by. Reads only. */
import type { Ecs } from '../cloud/port.ts';
import type { Disk } from '../cloud/types.ts';
import { TAG } from '../contract/ids.ts';
import type { StepId } from '../contract/rollback.ts';
import type { RunStateResult } from '../guest/scripts.ts';
import type { GuestRunner } from './guest-runner.ts';
import { guestRunName, type RunIdentity, tagsFor } from './identity.ts';

export interface ObserveInput extends RunIdentity {
  readonly step: StepId;
  readonly regionId: string;
  readonly instanceId: string;
  readonly originalDiskId: string;
  /** Absent while the run does not know it: then it is looked for by tag. */
  readonly recoveryDiskId?: string;
}

export interface Observation {
  readonly holds: boolean;
  /** One sentence: what was seen. */
  readonly seen: string;
}

const CANNOT_SKIP =
  'the steps after it need its result: it cannot be skipped, only tried again, and then it looks first at what is there';

export function observationActivities(ecs: Ecs, guest: GuestRunner) {
  /** This run's recovery disk, if there is one. */
  async function recoveryDisk(input: ObserveInput): Promise<Disk | undefined> {
    const region = ecs.region(input.regionId);
    const { recoveryDiskId } = input;
    const [tagged] = await region.disksTagged(tagsFor(input, 'recovery-disk'));
    if (tagged !== undefined || recoveryDiskId === undefined) return tagged;
    const disk = (await region.disks([recoveryDiskId])).get(recoveryDiskId);
    return disk?.id !== input.originalDiskId && disk?.tags[TAG.run] === input.run ? disk : undefined;
  }

  async function inGuest(input: ObserveInput, judge: (state: RunStateResult) => Observation): Promise<Observation> {
    const agent = (await ecs.region(input.regionId).agents([input.instanceId])).get(input.instanceId);
    if (agent?.online !== true) {
      return {
        holds: false,
        seen: `the Cloud Assistant agent of ${input.instanceId} is offline: its guest cannot be asked`,
      };
    }
    const run = guestRunName(input.run);
    return judge(await guest.run(input, 'run-state', { run }, { timeoutSeconds: 60, look: true }));
  }

  const looks: Record<StepId, (input: ObserveInput) => Promise<Observation>> = {
    startInstance: async ({ regionId, instanceId }) => {
      const status = (await ecs.region(regionId).instances([instanceId])).get(instanceId)?.status;
      return { holds: status === 'Running', seen: `instance ${instanceId} is ${status ?? 'not to be seen'}` };
    },
    createRecoveryDisk: async (input) => {
      const disk = await recoveryDisk(input);
      if (disk === undefined)
        return { holds: false, seen: "there is no disk with the tags of this run's recovery disk" };
      const made = ['available', 'in_use'].includes(disk.status.toLowerCase());
      return { holds: made, seen: `recovery disk ${disk.id} is ${disk.status}` };
    },
    attachRecoveryDisk: async (input) => {
      const disk = await recoveryDisk(input);
      if (disk === undefined)
        return { holds: false, seen: "there is no disk with the tags of this run's recovery disk" };
      const attached = disk.status.toLowerCase() === 'in_use' && disk.attachedTo.includes(input.instanceId);
      return {
        holds: attached,
        seen: `recovery disk ${disk.id} is ${disk.status}, on ${disk.attachedTo.join(', ') || 'no instance'}`,
      };
    },
    mountRecoveryDisk: (input) =>
      inGuest(input, ({ mounts }) => ({
        holds: mounts.length > 0,
        seen:
          mounts.length === 0
            ? 'nothing of the recovery disk is mounted by this run'
            : `mounted at ${mounts.join(', ')}`,
      })),
    copyBack: (input) =>
      inGuest(input, ({ verification, verified }) => ({
        holds: verification === 'ended' && verified,
        seen: {
          none: 'no copy of this run was verified since the guest booted',
          running: 'the verification of the copy has not ended',
          failed: 'the verification of the copy did not come to its end',
          ended: verified ? 'all that was copied was compared and is equal' : 'what was copied differs from its source',
        }[verification],
      })),
    releaseRecoveryDisk: async (input) => {
      const disk = await recoveryDisk(input);
      return disk === undefined
        ? { holds: true, seen: 'no recovery disk of this run is left' }
        : { holds: false, seen: `recovery disk ${disk.id} is still there (${disk.status})` };
    },
    resetDisk: async ({ originalDiskId }) => ({
      holds: false,
      seen: `whether ${originalDiskId} holds the bytes of snapshot A cannot be read from the cloud: retry, undo or abort`,
    }),
    restoreDiskSize: async () => ({ holds: false, seen: CANNOT_SKIP }),
    growFileSystems: async () => ({ holds: false, seen: CANNOT_SKIP }),
    plan: async () => ({ holds: false, seen: CANNOT_SKIP }),
    takeWarmUpSnapshot: async () => ({ holds: false, seen: CANNOT_SKIP }),
    stopInstance: async () => ({ holds: false, seen: CANNOT_SKIP }),
    takeSafetySnapshot: async () => ({ holds: false, seen: CANNOT_SKIP }),
    gate: async () => ({ holds: false, seen: 'the gate is never skipped' }),
    connect: async () => ({ holds: false, seen: CANNOT_SKIP }),
  };

  return {
    /** What a step was to bring about: does it hold now? */
    observeStep: (input: ObserveInput): Promise<Observation> => looks[input.step](input),
  };
}
