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

export function stepsOfRollback(input: RollbackInput, wasRunning: boolean): StepId[] {
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
    ...(startsAfterReset(input.powerAfter, wasRunning) ? (['startInstance'] as const) : []),
    ...(input.sync === undefined ? [] : SYNC_STEPS),
  ];
}

/** Steps 3 to 8 of the vendor's page. */
export const stepsOfSync = (): StepId[] => ['plan', ...SYNC_STEPS];

/** Whether the instance is to run at the end. */
export const startsAfterReset = (powerAfter: RollbackInput['powerAfter'], wasRunning: boolean): boolean =>
  powerAfter === 'running' || (powerAfter === 'as-found' && wasRunning);
