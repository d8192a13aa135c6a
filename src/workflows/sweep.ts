/**
 * Finds what runs have left behind, such as the recovery disk of a run that was terminated, shows it, and deletes what every
 * rule of `domain/sweep.ts` lets go. Started by hand or by a schedule.
 */
import { isCancellation, setCurrentDetails } from '@temporalio/workflow';
import {
  type SweepInput,
  type SweepRequest,
  type SweepResult,
  type SweepRow,
  sweepInputSchema,
} from '../contract/sweep.ts';
import { judge, rowOf, sweepDetails, sweepSummary } from '../domain/sweep.ts';
import { failureText } from './failure-text.ts';
import { parseInput } from './input.ts';
import { scripts, sweeps } from './policies.ts';
import { isExpected } from './run.ts';

export async function sweep(request: SweepRequest): Promise<SweepResult> {
  const input = parseInput(sweepInputSchema, request);
  setCurrentDetails(sweepDetails(`Looking in ${input.regionId} for what runs have left behind`, []));
  const { observedAt, leftovers, notShown } = await sweeps.findLeftovers.executeWithOptions(
    { summary: 'Look for everything that carries our tags' },
    [input],
  );
  const rows = leftovers.map((leftover) => {
    const { doomed, reason } = judge(leftover, input, observedAt);
    return rowOf(leftover, observedAt, doomed ? 'would-delete' : 'kept', reason);
  });

  if (input.delete) {
    for (const [index, row] of rows.entries()) {
      if (row.verdict !== 'would-delete') continue;
      setCurrentDetails(sweepDetails(`Deleting ${row.id}`, rows));
      rows[index] = await letGo(input, row);
    }
  }
  const summary = sweepSummary(input.regionId, rows, input);
  setCurrentDetails(sweepDetails(summary, rows));
  return {
    regionId: input.regionId,
    observedAt,
    rows,
    notShown,
    deleted: rows.filter(({ verdict }) => verdict === 'deleted').length,
    summary,
  };
}

/** Unmount, detach, delete. What cannot be freed is kept, with the reason; the next sweep tries again. */
async function letGo(input: SweepInput, row: SweepRow): Promise<SweepRow> {
  const { kind, id } = row;
  const ref = { kind, id, input };
  const [instanceId] = row.attachedTo;
  const waitFor = {
    run: row.runId,
    regionId: input.regionId,
    recoveryDiskId: id,
    originalDiskId: '',
    instanceId: instanceId ?? '',
  };
  try {
    if (instanceId !== undefined) {
      const { inGuest } = await scripts.unmountLeftover.executeWithOptions(
        { summary: `Unmount ${id} in ${instanceId}` },
        [ref],
      );
      await sweeps.detachLeftover.executeWithOptions({ summary: `Detach ${id} from ${instanceId}` }, [ref]);
      await sweeps.awaitRecoveryDiskDetached.executeWithOptions({ summary: `Wait until ${id} is detached` }, [waitFor]);
      if (inGuest) {
        await scripts.confirmOriginalInPlace.executeWithOptions(
          { summary: `See that no reboot has put ${id} in the original's place` },
          [{ run: row.runId, regionId: input.regionId, instanceId, originalSerial: '' }],
        );
      }
    }
    await sweeps.deleteLeftover.executeWithOptions({ summary: `Delete ${id}` }, [ref]);
    if (kind === 'disk') {
      await sweeps.awaitRecoveryDiskGone.executeWithOptions({ summary: `Wait until ${id} is gone` }, [waitFor]);
    }
    return { ...row, verdict: 'deleted' };
  } catch (error) {
    if (!isExpected(error) || isCancellation(error)) throw error;
    return { ...row, verdict: 'kept', reason: failureText(error).message };
  }
}
