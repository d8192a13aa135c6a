/**
 * What a run has kept in the guest, while it goes on or after its end. Each look is a short workflow of its own, so that the
 * history of the run holds no names of files.
 */
import { type ReadReportInput, type ReportPage, readReportSchema } from '../contract/report.ts';
import { parseInput } from './input.ts';
import { reads } from './policies.ts';

export async function readReport(request: ReadReportInput): Promise<ReportPage> {
  const input = parseInput(readReportSchema, request);
  return reads.readReport.executeWithOptions({ summary: `Page ${input.page} of the report` }, [input]);
}
