/** Which steps a run has, in the order in which they begin. */
import type { RollbackInput, StepId } from '../contract/rollback.ts';

const SYNC_STEPS: readonly StepId[] = [
  'createRecoveryDisk',
  'attachRecoveryDisk',
  'connect',
  'mountRecoveryDisk',
  'copyBack',
  'releaseRecoveryDisk',
];

/** A snapshot of a running instance makes no sense without one: then every mode is `cold`. */
export const modeOf = (
  input: Pick<RollbackInput, 'snapshotMode'>,
  wasRunning: boolean,
): RollbackInput['snapshotMode'] => (wasRunning ? input.snapshotMode : 'cold');

/** What a rollback past an expansion has to make as large as it was: the disk, and what the guest has on it. */
export interface ToGrow {
  readonly disk: boolean;
  readonly guest: boolean;
}

export function stepsOfRollback(
  input: RollbackInput,
  wasRunning: boolean,
  grow: ToGrow = { disk: false, guest: false },
): StepId[] {
  const stop: StepId[] = wasRunning ? ['stopInstance'] : [];
  const snapshots: Record<RollbackInput['snapshotMode'], StepId[]> = {
    cold: [...stop, 'takeSafetySnapshot'],
    warm: ['takeWarmUpSnapshot', ...stop, 'takeSafetySnapshot'],
    hot: ['takeSafetySnapshot', ...stop],
  };
  return [
    'plan',
    ...snapshots[modeOf(input, wasRunning)],
    'gate',
    'resetDisk',
    ...(grow.disk ? (['restoreDiskSize'] as const) : []),
    ...(startsAfterReset(input.powerAfter, wasRunning) ? (['startInstance'] as const) : []),
    ...(grow.guest ? (['growFileSystems'] as const) : []),
    ...(input.sync === undefined ? [] : SYNC_STEPS),
  ];
}

/** Steps 3 to 8 of the vendor's page. */
export const stepsOfSync = (): StepId[] => ['plan', ...SYNC_STEPS];

/** Whether the instance is to run at the end. */
export const startsAfterReset = (powerAfter: RollbackInput['powerAfter'], wasRunning: boolean): boolean =>
  powerAfter === 'running' || (powerAfter === 'as-found' && wasRunning);
