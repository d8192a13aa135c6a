/**
 * The read-only pass behind `plan`: gathers what the rules of `domain/plan/` judge. Changes nothing in the cloud. What a read
 * cannot tell becomes a finding of its own, so that one pass says all that can be said.
 */
import { createHash } from 'node:crypto';
import { activityInfo } from '@temporalio/activity';
import { isGrpcServiceError, ServiceError } from '@temporalio/client';
import { ApplicationFailure } from '@temporalio/common';
import { CloudError, type CloudErrorKind } from '../cloud/errors.ts';
import type { Ecs, EcsRegion } from '../cloud/port.ts';
import type { Disk, Instance } from '../cloud/types.ts';
import { HOOK_POINTS } from '../contract/hooks.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import type { RollbackInput, RollbackPlan, SyncInput } from '../contract/rollback.ts';
import { planIdentity, planRollback, planSync, type UnhashedPlan } from '../domain/plan/index.ts';
import type { DryRunAnswer, Observed, Unread } from '../domain/plan/observed.ts';
import { startsAfterReset } from '../domain/steps.ts';
import type { LookAroundInput } from '../guest/scripts.ts';
import { alive } from './alive.ts';
import { refuse } from './failures.ts';
import type { GuestRunner } from './guest-runner.ts';
import { otherRunsOn } from './other-runs.ts';

/** Of the `reads` policy: what passes by itself is left to a next attempt, while there is one. */
const ATTEMPTS = 3;
const PASSES: ReadonlySet<CloudErrorKind> = new Set(['throttled', 'transient', 'unreachable', 'notReady']);
type Planned = RollbackInput | SyncInput;

export function planningActivities(ecs: Ecs, guest: GuestRunner, options: { guestPatienceMs: number }) {
  /** In as few rounds as what each read must know allows; the reads of a round run beside each other. */
  async function observe(input: Planned): Promise<Observed> {
    const region = ecs.region(input.regionId);
    const observedAt = new Date().toISOString();
    const { read, unread, failures } = reader();
    const [disks, snapshots, snapshotsOfDisk] = await Promise.all([
      read('disk', region.disks([input.diskId])),
      read('snapshot', region.snapshots([input.snapshotId])),
      read('snapshotsOfDisk', region.snapshotsOf(input.diskId)),
    ]);
    // Nothing can be said then, and the reason is one and the same.
    if (failures.length === 3) throw failures[0];
    const disk = disks?.get(input.diskId);
    const snapshot = snapshots?.get(input.snapshotId);
    const instanceId = disk?.attachedTo[0] ?? input.instanceId;
    const sourceDiskId = snapshot?.sourceDiskId ?? '';
    const isOwn = disk !== undefined && sourceDiskId === disk.id;

    const [sourceDisks, instances, disksOfInstance, agents, otherRuns, offers, resetAnswer] = await Promise.all([
      isOwn || sourceDiskId === '' ? undefined : read('sourceDiskThere', region.disks([sourceDiskId])),
      instanceId === undefined ? undefined : read('instance', region.instances([instanceId])),
      instanceId === undefined ? undefined : read('disksOfInstance', region.disksOf(instanceId)),
      instanceId === undefined ? undefined : read('agent', region.agents([instanceId])),
      instanceId === undefined ? undefined : read('otherRuns', otherRunsOn(instanceId, input.diskId, undoneBy(input))),
      input.sync === undefined || disk === undefined ? undefined : read('offers', region.diskOffers(disk.zoneId)),
      // Nothing but the disk's own snapshot is ever named to ResetDisk, not even in a dry run.
      isOwn && 'powerAfter' in input
        ? read('ResetDisk', answerOf(region.dryRunReset(disk.id, input.snapshotId)))
        : undefined,
    ]);
    const instance = instanceId === undefined ? undefined : instances?.get(instanceId);
    const agent = instanceId === undefined ? undefined : agents?.get(instanceId);

    const [diskLimit, powerAnswers, fromGuest] = await Promise.all([
      input.sync === undefined || instance === undefined
        ? undefined
        : read('diskLimit', region.diskLimit(instance.instanceType)),
      instance === undefined ? {} : powerDryRuns(input, region, instance, read),
      agent?.online === true ? askGuest(input, disk, instance) : {},
    ]);
    return {
      disk,
      snapshot,
      sourceDiskThere: sourceDisks?.has(sourceDiskId),
      snapshotsOfDisk: snapshotsOfDisk ?? [],
      instance,
      disksOfInstance,
      agent,
      diskLimit,
      offers,
      dryRuns: { ...powerAnswers, ResetDisk: resetAnswer },
      otherRuns,
      ...fromGuest,
      unread,
      observedAt,
    };
  }

  /** What only the running guest can tell; in vain becomes `guestSilence`. */
  async function askGuest(
    input: Planned,
    disk: Disk | undefined,
    instance: Instance | undefined,
  ): Promise<Pick<Observed, 'guest' | 'paths' | 'guestSilence'>> {
    if (instance?.status !== 'Running' || disk === undefined || disk.serial === '') {
      return {};
    }
    const { id: instanceId, osType } = instance;
    const ref = { regionId: input.regionId, instanceId, osType, originalSerial: disk.serial };
    const tooLong = AbortSignal.timeout(options.guestPatienceMs);
    // When one of the two scripts has failed, nobody waits for the other.
    const end = new AbortController();
    const giveUp = AbortSignal.any([tooLong, end.signal]);
    try {
      const [look, paths] = await Promise.all([
        guest.lookAround({ ...ref, hooks: hooksOf(input) }, giveUp),
        input.sync === undefined ? undefined : guest.checkPaths({ ...ref, paths: input.sync.paths }, giveUp),
      ]);
      return { guest: look, paths };
    } catch (error) {
      const why = tooLong.aborted
        ? { message: `no answer within ${options.guestPatienceMs / 1_000} s`, passes: false }
        : guestSilence(error);
      if (why === undefined || (why.passes && needsGuest(input) && !isLastAttempt())) throw error;
      return { guestSilence: why.message };
    } finally {
      end.abort();
    }
  }

  return {
    planRollback: alive(
      async (input: RollbackInput): Promise<RollbackPlan> => hashed(input, planRollback(input, await observe(input))),
    ),
    planSync: alive(
      async (input: SyncInput): Promise<RollbackPlan> => hashed(input, planSync(input, await observe(input))),
    ),
  };
}

/** The instance as the run finds it, and what it would be told; the wrong state for the one or the other is expected. */
async function powerDryRuns(
  input: Planned,
  region: EcsRegion,
  instance: Instance,
  read: Read,
): Promise<Pick<Observed['dryRuns'], 'StopInstance' | 'StartInstance'>> {
  if (!('powerAfter' in input)) return {};
  const running = instance.status === 'Running';
  const [StopInstance, StartInstance] = await Promise.all([
    running ? read('StopInstance', answerOf(region.dryRunStop(instance.id))) : undefined,
    startsAfterReset(input.powerAfter, running)
      ? read('StartInstance', answerOf(region.dryRunStart(instance.id)))
      : undefined,
  ]);
  return { StopInstance, StartInstance };
}

async function answerOf(dryRun: Promise<CloudError | undefined>): Promise<DryRunAnswer> {
  try {
    return (await dryRun) ?? 'passes';
  } catch (error) {
    // It may have done what was not to be done: never asked again, and nothing to plan on.
    if (error instanceof CloudError && error.kind === 'unknownOutcome') {
      throw refuse(ACTIVITY_FAILURE.unknownOutcome, error.message);
    }
    throw error;
  }
}

/** Undefined for what is no word on the guest, such as a cancel. */
function guestSilence(error: unknown): { message: string; passes: boolean } | undefined {
  if (error instanceof CloudError && error.kind !== 'credentials') {
    return { message: error.message, passes: PASSES.has(error.kind) };
  }
  return error instanceof ApplicationFailure
    ? { message: error.message, passes: error.nonRetryable !== true }
    : undefined;
}

const undoneBy = (input: Planned): string | undefined =>
  'undoes' in input && input.undoes?.insideRun === true ? input.undoes.workflowId : undefined;

const hooksOf = (input: Planned): LookAroundInput['hooks'] =>
  HOOK_POINTS.flatMap((at) => {
    const hook = input.hooks?.[at];
    return hook === undefined ? [] : [{ at, command: hook.command, user: hook.user }];
  });

const needsGuest = (input: Planned): boolean =>
  input.sync !== undefined || hooksOf(input).length > 0 || ('freezeFileSystems' in input && input.freezeFileSystems);

const isLastAttempt = (): boolean => activityInfo().attempt >= ATTEMPTS;

type Read = <T>(part: Unread['part'], asked: Promise<T>) => Promise<T | undefined>;

/** Reads that fail are noted and leave nothing; thrown is only what a next attempt may mend, and what says that all will fail. */
function reader(): { read: Read; unread: Unread[]; failures: unknown[] } {
  const unread: Unread[] = [];
  const failures: unknown[] = [];
  return {
    unread,
    failures,
    async read(part, asked) {
      try {
        return await asked;
      } catch (error) {
        const message = tellable(error);
        if (message === undefined) throw error;
        unread.push({ part, message });
        failures.push(error);
        return undefined;
      }
    },
  };
}

/** What a finding says of a failed read; undefined for what is to be thrown. */
function tellable(error: unknown): string | undefined {
  if (error instanceof ServiceError) {
    return `Temporal: ${isGrpcServiceError(error.cause) ? error.cause.details : error.message}`;
  }
  if (!(error instanceof CloudError) || error.kind === 'credentials') return undefined;
  return PASSES.has(error.kind) && !isLastAttempt() ? undefined : error.message;
}

function hashed(input: Planned, plan: UnhashedPlan): RollbackPlan {
  const text = JSON.stringify(planIdentity(input, plan), sortedKeys);
  return { ...plan, hash: createHash('sha256').update(text).digest('hex') };
}

const sortedKeys = (_key: string, value: unknown): unknown =>
  typeof value === 'object' && value !== null && !Array.isArray(value)
    ? Object.fromEntries(Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1)))
    : value;
