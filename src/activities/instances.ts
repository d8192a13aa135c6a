/** Stop and start. ECS offers no ClientToken for either, so each effect reads the state first. */
import { CloudError } from '../cloud/errors.ts';
import type { Ecs } from '../cloud/port.ts';
import type { Poller } from '../cloud/poller.ts';
import type { Instance } from '../cloud/types.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import { alive } from './alive.ts';
import { refuse } from './failures.ts';
import { unlessInVain, waitFor } from './waiting.ts';

export interface InstanceRef {
  readonly regionId: string;
  readonly instanceId: string;
}

export function instanceActivities(ecs: Ecs, poller: Poller) {
  async function read({ regionId, instanceId }: InstanceRef): Promise<Instance> {
    const instance = (await ecs.region(regionId).instances([instanceId])).get(instanceId);
    if (instance === undefined) {
      throw refuse(ACTIVITY_FAILURE.notFound, `instance ${instanceId} is no longer to be seen in region ${regionId}`);
    }
    return instance;
  }

  const awaitStatus = (ref: InstanceRef, wanted: string, mayShow: (seen: Instance) => void = () => undefined) =>
    waitFor(
      poller,
      'instance',
      ref.regionId,
      ref.instanceId,
      (seen) => {
        if (seen === undefined) {
          throw refuse(ACTIVITY_FAILURE.notFound, `instance ${ref.instanceId} is no longer to be seen`);
        }
        mayShow(seen);
        return seen.status === wanted;
      },
      (seen) => ({ instanceId: ref.instanceId, status: seen?.status ?? 'not to be seen', wanted }),
    );

  return {
    /** Sends StopInstance, with KeepCharging always, unless the instance is stopping or stopped already. */
    stopInstance: alive(async (input: InstanceRef & { force: boolean }): Promise<{ sent: boolean }> => {
      const { status } = await read(input);
      if (status === 'Stopped' || (status === 'Stopping' && !input.force)) return { sent: false };
      try {
        await ecs.region(input.regionId).stopInstance(input.instanceId, { force: input.force });
        return { sent: true };
      } catch (error) {
        // The service may not take a power cut during a graceful stop (it does not say): then the wait for that one goes on.
        const refused =
          error instanceof CloudError && error.code === 'IncorrectInstanceStatus' && status === 'Stopping';
        if (refused) return { sent: false };
        throw error;
      }
    }),

    /**
     * Until it is Stopped. Refused when that released its capacity all the same, such as by a stop that somebody else sent:
     * then it may not start again, and nothing has been reset yet.
     */
    async awaitInstanceStopped(input: InstanceRef): Promise<{ stoppedMode: string }> {
      const stopped = await awaitStatus(input, 'Stopped');
      if (stopped?.stoppedMode === 'StopCharging') {
        throw refuse(
          ACTIVITY_FAILURE.gateClosed,
          `instance ${input.instanceId} was stopped in economical mode (StopCharging), which releases its capacity: start it and stop it with KeepCharging before a rollback`,
        );
      }
      return { stoppedMode: stopped?.stoppedMode ?? '' };
    },

    /**
     * Sends StartInstance unless the instance is starting or running already. Waits in the retry while it is stopping, and
     * slowly (`NoStock`) while there is no capacity for it.
     */
    startInstance: alive(async (input: InstanceRef): Promise<{ sent: boolean }> => {
      const { status } = await read(input);
      if (status === 'Running' || status === 'Starting') return { sent: false };
      await ecs.region(input.regionId).startInstance(input.instanceId);
      return { sent: true };
    }),

    async awaitInstanceRunning(input: InstanceRef): Promise<void> {
      const mayShow = unlessInVain<Instance>(
        (seen) => seen?.status === 'Stopped',
        `instance ${input.instanceId} is Stopped as before: StartInstance was taken and came to nothing`,
      );
      await awaitStatus(input, 'Running', mayShow);
    },

    /** Until the Cloud Assistant agent has a fresh heartbeat: step 5, "connect". */
    async awaitAgentOnline(input: InstanceRef): Promise<void> {
      await waitFor(
        poller,
        'agent',
        input.regionId,
        input.instanceId,
        (seen) => seen?.online === true,
        (seen) => ({ instanceId: input.instanceId, agentOnline: seen?.online ?? false }),
      );
    },
  };
}
