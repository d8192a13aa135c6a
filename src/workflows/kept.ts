/**
 * What a run has kept in the guest, while it goes on or after its end. Each look is a short workflow of its own, so that the
 * history of the run holds no names of files. What changes the guest holds the lease, as every run does.
 */
import { ApplicationFailure, workflowInfo } from '@temporalio/workflow';
import {
  type Discarded,
  type HandleKeptInput,
  handleKeptSchema,
  type ReadReportInput,
  type ReportPage,
  type Restored,
  readReportSchema,
} from '../contract/report.ts';
import { parseInput } from './input.ts';
import { type LeaseTaker, takeLease } from './lease.ts';
import { reads, scripts } from './policies.ts';

export async function readReport(request: ReadReportInput): Promise<ReportPage> {
  const input = parseInput(readReportSchema, request);
  return reads.readReport.executeWithOptions({ summary: `Page ${input.page} of the report` }, [input]);
}

export async function handleKept(request: HandleKeptInput): Promise<Restored | Discarded> {
  const input = parseInput(handleKeptSchema, request);
  if (input.dryRun) return work(input, 'See');
  const taker: LeaseTaker = {
    workflowId: workflowInfo().workflowId,
    failed: (type, summary) => ApplicationFailure.nonRetryable(summary, type),
    whileWaiting: (_, body) => body(),
  };
  const lease = await takeLease(taker, input.instanceId, 'fail');
  try {
    return await work(input, input.action === 'restore' ? 'Put back' : 'Remove');
  } finally {
    await lease.release();
  }
}

function work(input: HandleKeptInput, does: string): Promise<Restored | Discarded> {
  const options = { summary: `${does} what ${input.workflowId} has kept aside` };
  const { requestedBy: _, workflowId: __, action, path, ...where } = input;
  return action === 'restore'
    ? scripts.restoreKept.executeWithOptions(options, [{ ...where, ...(path === undefined ? {} : { path }) }])
    : scripts.discardKept.executeWithOptions(options, [where]);
}
