/** What a cancel would do at each moment; the same words in the query, the current details and the CLI. */

export interface CancelMoment {
  readonly kind: 'rollback' | 'sync';
  readonly finished: boolean;
  readonly changedAnything: boolean;
  readonly resetHappened: 'no' | 'maybe' | 'yes';
  readonly stoppedByUs: boolean;
  readonly startsAfterReset: boolean;
  readonly safetySnapshotId: string | undefined;
  readonly recoveryDiskMayExist: boolean;
  /** The run that rolls the disk back onto B, while it does. */
  readonly undoRun?: string | undefined;
}

export function cancelPreview(at: CancelMoment): string {
  if (at.finished) return 'Nothing: the run has ended.';
  if (at.undoRun !== undefined) {
    return `Cancel the undo (${at.undoRun}), too: before its own reset it puts things back and the disk stays at snapshot A; after it the disk is at snapshot B.`;
  }
  if (at.kind === 'sync') {
    return at.recoveryDiskMayExist
      ? 'Stop bringing data back and release the recovery disk; what was copied so far stays on the disk.'
      : 'End the run; nothing has been changed yet.';
  }
  const keep = at.safetySnapshotId === undefined ? '' : `; snapshot B (${at.safetySnapshotId}) is kept`;
  if (at.resetHappened === 'no') {
    if (!at.changedAnything) return 'End the run; nothing has been changed yet.';
    return `${at.stoppedByUs ? 'Start the instance again and end' : 'End'} the run; the disk stays as it is${keep}.`;
  }
  const release = at.recoveryDiskMayExist ? ', release the recovery disk' : '';
  if (at.resetHappened === 'maybe') {
    return `The reset to snapshot A cannot be called back: wait for its end${at.startsAfterReset ? ', start the instance' : ''}${release}; nothing is brought back${keep}.`;
  }
  return `Stop bringing data back${release}, leave the disk at snapshot A with what was copied so far${keep}.`;
}
