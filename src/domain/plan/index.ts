/**
 * The rules of the plan: what must hold before a disk may be reset or synced, judged from what was read. Pure: the
 * `plan` activity reads, these functions decide. Every rule speaks, so that one pass reports every blocker at once.
 */
import type { PlanFinding, RollbackInput, RollbackPlan, SyncInput } from '../../contract/rollback.ts';
import { stepsOfRollback, stepsOfSync } from '../steps.ts';
import { checkDataLoss } from './data-loss.ts';
import { checkDisk, checkResetOfDisk, toGrow } from './disk.ts';
import { checkDryRuns } from './dry-runs.ts';
import type { PlanCode } from './findings.ts';
import { checkGuestOfRollback, checkGuestOfSync } from './guest.ts';
import { checkInstance, checkPowerCycle } from './instance.ts';
import { isRunning, type Observed, type Target } from './observed.ts';
import { checkOtherRuns } from './other-runs.ts';
import { checkRecoveryDisk } from './recovery-disk.ts';
import { checkSnapshot } from './snapshot.ts';
import { checkSnapshotsOfDisk } from './snapshots-of-disk.ts';
import { checkUnread } from './unread.ts';

export { blockersOf } from './findings.ts';
export type { Observed } from './observed.ts';

/** A plan before the activity that made it has put its hash on it: hashing needs the host. */
export type UnhashedPlan = Omit<RollbackPlan, 'hash'>;

/** Come and go by themselves in a world that is otherwise the same: other runs, and space that an application uses. */
const PASSING: ReadonlySet<string> = new Set<PlanCode>(['InstanceHeldByRun', 'OtherRunsOpen', 'LittleSpace']);

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
    asked: { ...asked, sync: input.sync, hooks: input.hooks },
    findings: findings
      .filter(({ code }) => !PASSING.has(code))
      .map(({ severity, code, field }) => `${severity} ${code} ${field ?? ''}`)
      .sort(),
  };
}

/** The plan of a rollback: the vendor's preconditions of ResetDisk, those of the sync, the data-loss window, the steps. */
export function planRollback(input: RollbackInput, seen: Observed): UnhashedPlan {
  const findings = [
    ...checkUnread(seen, input.sync !== undefined || input.hooks !== undefined),
    ...checkSnapshot(input, seen, 'reset'),
    ...checkSnapshotsOfDisk(input, seen),
    ...checkDisk(input, seen),
    ...checkInstance(input, seen),
    ...checkPowerCycle(input, seen),
    ...(input.sync === undefined ? [] : checkRecoveryDisk(input, seen)),
    ...checkGuestOfRollback(input, seen),
    ...checkResetOfDisk(input, seen),
    ...checkDataLoss(input, seen),
    ...checkOtherRuns(input, seen),
  ];
  return {
    ...describe(input, seen),
    findings: blockersFirst([...findings, ...checkDryRuns(input, seen, findings)]),
    steps: stepsOfRollback(input, isRunning(seen), toGrow(input, seen)),
  };
}

/** The plan of a sync on its own: steps 3 to 8 against any finished snapshot of the disk. */
export function planSync(input: SyncInput, seen: Observed): UnhashedPlan {
  const findings = [
    ...checkUnread(seen, true),
    ...checkSnapshot(input, seen, 'sync'),
    ...checkDisk(input, seen),
    ...checkInstance(input, seen),
    ...checkRecoveryDisk(input, seen),
    ...checkGuestOfSync(input, seen),
    ...checkOtherRuns(input, seen),
  ];
  return { ...describe(input, seen), findings: blockersFirst(findings), steps: stepsOfSync() };
}

/** What is in the way first; otherwise in the order of the rules. */
function blockersFirst(findings: readonly PlanFinding[]): PlanFinding[] {
  const rank = { blocker: 0, warning: 1, info: 2 };
  return [...findings].sort((a, b) => rank[a.severity] - rank[b.severity]);
}

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
