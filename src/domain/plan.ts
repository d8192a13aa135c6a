/**
 * The rules of the plan: what must hold before a disk may be reset or synced, judged from what was read. Pure: the
 * `plan` activity reads, these functions decide. Every rule speaks, so that one pass reports every blocker at once.
 */
import type { Agent, Disk, Instance, Snapshot } from '../cloud/types.ts';
import type { PlanFinding, RollbackInput, RollbackPlan, SyncInput } from '../contract/rollback.ts';
import { stepsOfRollback, stepsOfSync } from './steps.ts';

/** What the plan activity has read. Absent: the cloud did not show it. */
export interface Observed {
  readonly disk?: Disk | undefined;
  readonly snapshot?: Snapshot | undefined;
  /** Every snapshot of the disk. */
  readonly snapshotsOfDisk: readonly Snapshot[];
  readonly instance?: Instance | undefined;
  readonly agent?: Agent | undefined;
  /** What the guest said of the paths; absent when it could not be asked. */
  readonly paths?:
    | ReadonlyArray<{ readonly path: string; readonly code: string; readonly message: string }>
    | undefined;
  readonly observedAt: string;
}

const UNSAFE_LOCKS = ['security', 'financial', 'Recycling', 'dedicatedhostfinancial', 'refunded'];

type Target = Pick<RollbackInput | SyncInput, 'regionId' | 'diskId' | 'snapshotId' | 'instanceId' | 'sync'>;

const blocker = (code: string, field: string | undefined, fact: string, remedy: string): PlanFinding => ({
  severity: 'blocker',
  code,
  ...(field === undefined ? {} : { field }),
  fact,
  remedy,
});

/** A plan before the activity that made it has put its hash on it: hashing needs the host. */
export type UnhashedPlan = Omit<RollbackPlan, 'hash'>;

/**
 * What the hash of a plan is taken over: what was asked and what was observed, without what changes by itself. Of a finding
 * only what it is about counts, for its wording holds times and free space.
 */
export function planIdentity(input: RollbackInput | SyncInput, plan: UnhashedPlan): unknown {
  const { observedAt: _, findings, ...rest } = plan;
  const asked =
    'powerAfter' in input
      ? {
          powerAfter: input.powerAfter,
          forceStop: input.forceStop,
          snapshotMode: input.snapshotMode,
          freezeFileSystems: input.freezeFileSystems,
        }
      : {};
  return {
    ...rest,
    asked: { ...asked, sync: input.sync },
    findings: findings.map(({ severity, code, field }) => `${severity} ${code} ${field ?? ''}`).sort(),
  };
}

/** The plan of a rollback: the vendor's preconditions of ResetDisk, those of the sync, the data-loss window, the steps. */
export function planRollback(input: RollbackInput, seen: Observed): UnhashedPlan {
  const findings = [
    ...checkSnapshot(input, seen),
    ...checkNothingInProgress(input, seen),
    ...checkDisk(input, seen),
    ...checkInstance(input, seen),
    ...(input.sync === undefined ? [] : checkSync(seen, input.powerAfter === 'running')),
    ...warnings(input, seen),
  ];
  return { ...describe(input, seen), findings, steps: stepsOfRollback(input, seen.instance?.status === 'Running') };
}

/** The plan of a sync on its own: steps 3 to 8 against any finished snapshot of the disk. */
export function planSync(input: SyncInput, seen: Observed): UnhashedPlan {
  const findings = [
    ...checkSnapshot(input, seen),
    ...checkDisk(input, seen),
    ...checkInstance(input, seen),
    ...checkSync(seen, false),
  ];
  return { ...describe(input, seen), findings, steps: stepsOfSync() };
}

export const blockersOf = (plan: Pick<RollbackPlan, 'findings'>): PlanFinding[] =>
  plan.findings.filter((finding) => finding.severity === 'blocker');

function describe(input: Target, seen: Observed): Omit<UnhashedPlan, 'findings' | 'steps'> {
  const { disk, snapshot, instance } = seen;
  return {
    regionId: input.regionId,
    diskId: input.diskId,
    snapshotId: input.snapshotId,
    paths: input.sync?.paths ?? [],
    observedAt: seen.observedAt,
    ...(disk === undefined
      ? {}
      : {
          disk: {
            id: disk.id,
            sizeGiB: disk.sizeGiB,
            category: disk.category,
            ...(disk.performanceLevel === undefined ? {} : { performanceLevel: disk.performanceLevel }),
            kind: disk.kind,
            zoneId: disk.zoneId,
            encrypted: disk.encrypted,
            ...(disk.kmsKeyId === undefined ? {} : { kmsKeyId: disk.kmsKeyId }),
            serial: disk.serial,
          },
        }),
    ...(snapshot === undefined
      ? {}
      : { target: { id: snapshot.id, createdAt: snapshot.createdAt, sizeGiB: snapshot.sourceDiskSizeGiB } }),
    ...(instance === undefined
      ? {}
      : {
          instance: {
            id: instance.id,
            name: instance.name,
            osName: instance.osName,
            wasRunning: instance.status === 'Running',
          },
        }),
  };
}

function* checkSnapshot(input: Target, seen: Observed): Generator<PlanFinding> {
  const { snapshot } = seen;
  if (snapshot === undefined) {
    yield blocker(
      'SnapshotNotFound',
      'snapshotId',
      `snapshot ${input.snapshotId} is not in region ${input.regionId}, or the worker's credentials may not see it`,
      `check the id and the region; ${snapshotsToChooseFrom(input.diskId, seen)}`,
    );
    return;
  }
  if (snapshot.sourceDiskId !== input.diskId) {
    yield blocker(
      'SnapshotOfAnotherDisk',
      'snapshotId',
      `snapshot ${snapshot.id} was taken of disk ${snapshot.sourceDiskId || '(none: a copy or a shared snapshot)'}, not of ${input.diskId}`,
      `a disk can be reset only to its own snapshots; ${snapshotsToChooseFrom(input.diskId, seen)}`,
    );
  }
  if (snapshot.category.toLowerCase() === 'archive') {
    yield blocker(
      'SnapshotArchived',
      'snapshotId',
      `snapshot ${snapshot.id} is archived`,
      'an archived snapshot cannot be used for this; choose a standard one',
    );
  }
  if (snapshot.status === 'failed') {
    yield blocker(
      'SnapshotFailed',
      'snapshotId',
      `snapshot ${snapshot.id} has failed and holds no usable data`,
      snapshotsToChooseFrom(input.diskId, seen),
    );
  } else if (!snapshot.available) {
    yield blocker(
      'SnapshotNotReady',
      'snapshotId',
      `snapshot ${snapshot.id} is unfinished (${snapshot.progressPercent} %)`,
      'wait until it is available, or choose an older one',
    );
  }
}

function snapshotsToChooseFrom(diskId: string, seen: Observed): string {
  const usable = seen.snapshotsOfDisk
    .filter((snapshot) => snapshot.available)
    .sort((a, b) => b.createdAt.localeCompare(a.createdAt))
    .slice(0, 3);
  return usable.length === 0
    ? `disk ${diskId} has no usable snapshot that can be seen`
    : `the newest usable snapshots of ${diskId} are ${usable.map((s) => `${s.id} (${s.createdAt})`).join(', ')}`;
}

function* checkNothingInProgress(input: Target, seen: Observed): Generator<PlanFinding> {
  for (const snapshot of seen.snapshotsOfDisk) {
    if (snapshot.status === 'progressing' && snapshot.id !== input.snapshotId) {
      yield blocker(
        'SnapshotInProgress',
        'diskId',
        `snapshot ${snapshot.id} of disk ${input.diskId} is being created (${snapshot.progressPercent} %)`,
        'the reset is refused while any snapshot of the disk is unfinished, and stopping the instance would spoil it: wait for its end',
      );
    }
  }
}

function* checkDisk(input: Target, seen: Observed): Generator<PlanFinding> {
  const { disk } = seen;
  if (disk === undefined) {
    yield blocker(
      'DiskNotFound',
      'diskId',
      `disk ${input.diskId} is not in region ${input.regionId}, or the worker's credentials may not see it`,
      'check the id and the region',
    );
    return;
  }
  if (disk.attachedTo.length === 0) {
    yield blocker(
      'DiskNotAttached',
      'diskId',
      `disk ${disk.id} is ${disk.status} and attached to no instance`,
      'attach it to its instance first',
    );
  } else if (disk.attachedTo.length > 1) {
    yield blocker(
      'DiskAttachedTwice',
      'diskId',
      `disk ${disk.id} is attached to ${disk.attachedTo.join(' and ')}`,
      'a disk shared by several instances is not supported: detach it from all but one',
    );
  } else if (disk.status.toLowerCase() !== 'in_use') {
    yield blocker(
      'DiskBusy',
      'diskId',
      `disk ${disk.id} is ${disk.status}, expected In_use`,
      'wait until the other operation on it has ended',
    );
  }
  if (input.instanceId !== undefined && disk.attachedTo.length > 0 && !disk.attachedTo.includes(input.instanceId)) {
    yield blocker(
      'DiskOnAnotherInstance',
      'instanceId',
      `disk ${disk.id} is attached to ${disk.attachedTo.join(', ')}, not to ${input.instanceId}`,
      'name the instance it is attached to, or leave the instance out',
    );
  }
  for (const lock of disk.locks.filter((reason) => UNSAFE_LOCKS.includes(reason))) {
    yield blocker('DiskLocked', 'diskId', `disk ${disk.id} is locked (${lock})`, 'clear the lock in the console first');
  }
}

function* checkInstance(input: Target, seen: Observed): Generator<PlanFinding> {
  const { disk, instance } = seen;
  if (instance === undefined) {
    const id = input.instanceId ?? disk?.attachedTo[0];
    if (id !== undefined) {
      yield blocker(
        'InstanceNotFound',
        'instanceId',
        `instance ${id} is not in region ${input.regionId}, or the worker's credentials may not see it`,
        'check the id, the region and the RAM policy',
      );
    }
    return;
  }
  if (instance.status !== 'Running' && instance.status !== 'Stopped') {
    yield blocker(
      'InstanceBusy',
      'instanceId',
      `instance ${instance.id} is ${instance.status}, expected Running or Stopped`,
      'wait until it has settled',
    );
  }
  for (const lock of instance.locks.filter((reason) => UNSAFE_LOCKS.includes(reason))) {
    yield blocker(
      'InstanceLocked',
      'instanceId',
      `instance ${instance.id} is locked (${lock})`,
      'clear the lock in the console first',
    );
  }
}

function* checkSync(seen: Observed, willBeStarted: boolean): Generator<PlanFinding> {
  const { disk, instance, agent } = seen;
  if (disk !== undefined && disk.serial === '') {
    yield blocker(
      'DiskWithoutSerial',
      'diskId',
      `disk ${disk.id} shows no serial number (made before June 2020), so the guest cannot tell it apart for sure`,
      'roll back without paths and copy by hand',
    );
  }
  if (instance === undefined) return;
  if (instance.osType === 'windows') {
    yield blocker(
      'WindowsGuest',
      'instanceId',
      `instance ${instance.id} runs Windows, whose files cannot be brought back by this version`,
      'roll back without paths and copy by hand',
    );
    return;
  }
  if (instance.status === 'Stopped' && !willBeStarted) {
    yield blocker(
      'SyncNeedsRunningInstance',
      'powerAfter',
      `instance ${instance.id} is Stopped, and bringing data back needs it running`,
      'ask for it with powerAfter "running" (--power running), or start the instance',
    );
  }
  if (instance.status === 'Running' && agent?.online !== true) {
    yield blocker(
      'AgentOffline',
      'instanceId',
      `the Cloud Assistant agent of ${instance.id} has not answered for two minutes`,
      'bringing data back needs it: install or restart the agent, or roll back without paths',
    );
  }
  for (const path of seen.paths ?? []) {
    yield blocker(path.code, 'sync.paths', path.message, 'name existing paths on the disk that is rolled back');
  }
  if (seen.paths === undefined && instance.status !== 'Running') {
    yield {
      severity: 'warning',
      code: 'PathsNotChecked',
      field: 'sync.paths',
      fact: `instance ${instance.id} is ${instance.status}, so whether the paths exist is known only after the reset`,
    };
  }
}

function* warnings(input: RollbackInput, seen: Observed): Generator<PlanFinding> {
  const { disk, snapshot } = seen;
  if (disk === undefined || snapshot === undefined) return;
  yield {
    severity: 'warning',
    code: 'DataLossWindow',
    field: 'snapshotId',
    fact: `everything written to ${disk.id} since ${snapshot.createdAt} leaves the disk with the reset`,
    remedy:
      input.sync === undefined
        ? `snapshot B keeps all of it for ${input.safetySnapshotRetentionDays} days; nothing is brought back in this run`
        : `${input.sync.paths.join(', ')} will be brought back; snapshot B keeps all of it for ${input.safetySnapshotRetentionDays} days`,
  };
  if (disk.sizeGiB > snapshot.sourceDiskSizeGiB) {
    yield {
      severity: 'warning',
      code: 'DiskGrownSince',
      field: 'diskId',
      fact: `disk ${disk.id} has grown from ${snapshot.sourceDiskSizeGiB} to ${disk.sizeGiB} GiB since snapshot A`,
      remedy: 'partition and file system are as small as before after the reset: grow them again by hand',
    };
  }
  if (disk.kind === 'system') {
    yield {
      severity: 'warning',
      code: 'SystemDisk',
      field: 'diskId',
      fact: `${disk.id} is the system disk: host name, network and agent settings go back in time with it`,
      remedy: "the instance's current key pair or password stays bound to it",
    };
  }
}
