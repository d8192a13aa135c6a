/**
 * Runs one guest script through Cloud Assistant and reads its answer. The invocation is found again after a crash or a
 * lost reply by its ClientToken; a script that never started is delivered again.
 */
import { randomUUID } from 'node:crypto';
import { activityInfo, heartbeat } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import { CloudError } from '../cloud/errors.ts';
import type { Ecs } from '../cloud/port.ts';
import type { Poller } from '../cloud/poller.ts';
import type { Instance, Invocation } from '../cloud/types.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import { guestScript, parseAnswer } from '../guest/assemble.ts';
import type {
  CheckPathsInput,
  CheckPathsResult,
  GuestScripts,
  LookAroundInput,
  LookAroundResult,
  ScriptName,
} from '../guest/scripts.ts';
import { refuse } from './failures.ts';
import { clientToken } from './identity.ts';
import { waitFor } from './waiting.ts';

export interface GuestRef {
  readonly regionId: string;
  readonly instanceId: string;
  /** Looked up where the caller does not know it. */
  readonly osType?: OsType;
}
type OsType = Instance['osType'];

/** The service's own names for "the script did not start" (`ErrorCode` of an invocation result). */
const NEVER_RAN = new Set([
  'ClientNotRunning',
  'ClientNotResponse',
  'ClientIsUpgrading',
  'DeliveryTimeout',
  'InstanceNotRunning',
]);
const ENDED = new Set(['Success', 'Failed', 'Error', 'Timeout', 'Aborted', 'Invalid', 'Cancelled', 'Terminated']);
const MAX_DELIVERIES = 5;

interface RunOptions {
  /** The agent ends the script after this long. */
  readonly timeoutSeconds: number;
  /** A new invocation each time, instead of one found again by its token. */
  readonly look?: boolean;
  /** Ends the wait for its answer; the call then rejects with the signal's reason. */
  readonly giveUp?: AbortSignal;
  /** Kept in the heartbeats while the script runs. */
  readonly progress?: Record<string, unknown>;
}

/** What an attempt leaves for the next one in its heartbeat. */
interface Delivered {
  readonly script: ScriptName;
  readonly nextDelivery: number;
}

function assembled<N extends ScriptName>(name: N, input: GuestScripts[N]['input'], osType: OsType): string {
  try {
    return guestScript(name, input, osType);
  } catch (error) {
    if (error instanceof RangeError) throw refuse(ACTIVITY_FAILURE.invalid, error.message);
    throw error;
  }
}

export type GuestRunner = ReturnType<typeof createGuestRunner>;

export function createGuestRunner(ecs: Ecs, poller: Poller) {
  /** An instance keeps its system until its system disk is replaced; then the service refuses the command. */
  const osTypes = new Map<string, OsType>();

  async function osTypeOf({ regionId, instanceId, osType }: GuestRef): Promise<OsType> {
    const known = osType ?? osTypes.get(instanceId);
    const found = known ?? (await ecs.region(regionId).instances([instanceId])).get(instanceId)?.osType;
    if (found !== undefined) osTypes.set(instanceId, found);
    return found ?? 'linux';
  }

  async function deliver(
    ref: GuestRef,
    name: ScriptName,
    { script, osType }: { script: string; osType: OsType },
    delivery: { token: string; number: number },
    { timeoutSeconds, progress, giveUp }: RunOptions,
  ) {
    const sent = ecs.region(ref.regionId).runScript({
      instanceId: ref.instanceId,
      osType,
      name: `ecs-rollback-${name}`,
      script,
      timeoutSeconds,
      clientToken: delivery.token,
    });
    const invocationId = await sent.catch((error: unknown) => {
      if (error instanceof CloudError && error.code === 'InvalidInstance.NotMatch') osTypes.delete(ref.instanceId);
      throw error;
    });
    return waitFor(
      poller,
      'invocation',
      ref.regionId,
      invocationId,
      (seen) => seen !== undefined && ENDED.has(seen.status),
      (seen) => ({
        script: name,
        nextDelivery: delivery.number,
        invocationId,
        status: seen?.status ?? 'not to be seen yet',
      }),
      progress,
      giveUp,
    );
  }

  const neverRan = (invocation: Invocation | undefined) =>
    invocation?.status === 'Aborted' || (invocation?.errorCode !== undefined && NEVER_RAN.has(invocation.errorCode));

  /**
   * Runs the script and returns its result. A refusal of the script is final (`GuestRefused`); anything else that went
   * wrong may be tried again (`GuestScriptFailed`), for every script may run twice.
   */
  async function run<N extends ScriptName>(
    ref: GuestRef,
    name: N,
    input: GuestScripts[N]['input'],
    options: RunOptions,
  ): Promise<GuestScripts[N]['result']> {
    const osType = await osTypeOf(ref);
    const command = { script: assembled(name, input, osType), osType };
    const { workflowExecution, activityId, heartbeatDetails } = activityInfo();
    const effect = options.look === true ? randomUUID() : `${workflowExecution?.runId}/${activityId}/${name}`;
    // An attempt whose reply was lost finds its invocation by the token; one that ended badly is followed by another.
    for (let delivery = (heartbeatDetails as Delivered | undefined)?.nextDelivery ?? 1; ; delivery += 1) {
      const invocation = await deliver(
        ref,
        name,
        command,
        { token: clientToken(effect, String(delivery)), number: delivery },
        options,
      );
      if (neverRan(invocation) && delivery < MAX_DELIVERIES) {
        await waitFor(
          poller,
          'agent',
          ref.regionId,
          ref.instanceId,
          (seen) => seen?.online === true,
          (seen) => ({ script: name, undelivered: delivery, agentOnline: seen?.online ?? false }),
          options.progress,
          options.giveUp,
        );
        continue;
      }
      if (invocation?.status === 'Success' || invocation?.status === 'Failed') {
        const answer = parseAnswer<GuestScripts[N]['result']>(invocation.output, invocation.dropped);
        if (answer.ok) return answer.result;
        const message = `guest script ${name} on ${ref.instanceId}: ${answer.message} (${answer.code})`;
        if (answer.refused) throw refuse(ACTIVITY_FAILURE.guestRefused, message, { code: answer.code });
        heartbeat({ script: name, nextDelivery: delivery + 1 } satisfies Delivered);
        throw ApplicationFailure.retryable(message, ACTIVITY_FAILURE.guest, { code: answer.code });
      }
      heartbeat({ script: name, nextDelivery: delivery + 1 } satisfies Delivered);
      throw ApplicationFailure.retryable(
        `guest script ${name} on ${ref.instanceId} ended as ${invocation?.status ?? 'unknown'}${invocation?.errorCode === undefined ? '' : ` (${invocation.errorCode})`}`,
        ACTIVITY_FAILURE.guest,
      );
    }
  }

  return {
    run,
    /** What is wrong with the paths, empty when nothing is. Reads only. */
    async checkPaths(ref: GuestRef & CheckPathsInput, giveUp: AbortSignal): Promise<CheckPathsResult['problems']> {
      const { originalSerial, paths } = ref;
      const options = { timeoutSeconds: 60, look: true, giveUp };
      return (await run(ref, 'check-paths', { originalSerial, paths }, options)).problems;
    },
    /** What the guest is, and what it has of the disk. Reads only. */
    async lookAround(ref: GuestRef & LookAroundInput, giveUp: AbortSignal): Promise<LookAroundResult> {
      const { originalSerial, hooks } = ref;
      return run(ref, 'look-around', { originalSerial, hooks }, { timeoutSeconds: 60, look: true, giveUp });
    },
  };
}
