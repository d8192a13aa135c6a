/** What a rollback works on, once it may. */
import type { PlannedDisk, PlannedInstance, RollbackInput } from '../contract/rollback.ts';
import type { Lease } from './lease.ts';
import type { Run } from './run.ts';

export interface Scene {
  readonly input: RollbackInput;
  readonly disk: PlannedDisk;
  readonly instance: PlannedInstance;
  readonly startAfterwards: boolean;
  /** Held by this run, or by the run that it undoes. */
  readonly lease: Lease;
}

export const keptB = (run: Run): string =>
  run.safetySnapshotId === undefined ? '' : `Snapshot B (${run.safetySnapshotId}) is kept.`;
