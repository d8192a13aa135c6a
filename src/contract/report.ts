/** What a run keeps in the guest after its end: the full report of its comparison, and what was replaced or deleted. */
import { z } from 'zod';
import { instanceIdSchema, regionIdSchema } from './ids.ts';
import { personSchema } from './operator.ts';
import { type CopyVerdict, guestPathSchema } from './rollback.ts';

/**
 * `differs`: not selected, and live is another one than in B. `changed-since-plan`: live has changed while the copy ran.
 * `not-compared`: in place of a path it has a sentence about a part of B that could not be compared.
 */
export type ReportVerdict = CopyVerdict | 'differs' | 'changed-since-plan' | 'not-compared';
const REPORT_VERDICTS = [
  'only-in-B',
  'changed-in-B',
  'changed-live',
  'conflict',
  'deleted-live',
  'deleted-since-A',
  'only-live',
  'live-is-newer',
  'directory-in-the-way',
  'immutable',
  'other-file-system',
  'not-in-B',
  'differs',
  'changed-since-plan',
  'not-compared',
] as const satisfies readonly ReportVerdict[];

/**
 * What the copy does about an entry: `take` B's, `replace` a file by a directory, `keep` what is live, `beside`: B's copy
 * goes beside it, `delete`, `none` where B has nothing, `left`: in B, not selected and not live.
 */
export const REPORT_ACTIONS = ['take', 'replace', 'keep', 'beside', 'delete', 'none', 'left'] as const;

export const reportRequestSchema = z.strictObject({
  verdicts: z.array(z.enum(REPORT_VERDICTS)).min(1).optional(),
  actions: z.array(z.enum(REPORT_ACTIONS)).min(1).optional(),
  /** Only what is there or below. */
  under: guestPathSchema.optional(),
  page: z.number().int().min(1).max(1_000_000).default(1),
});
export type ReportRequest = z.input<typeof reportRequestSchema>;

/** Which run's, and where that ran. */
const keptBySchema = z.strictObject({
  regionId: regionIdSchema,
  instanceId: instanceIdSchema,
  /** The original run id of the workflow. */
  run: z.string().min(1).max(64),
});

/** Input of the workflow `readReport`. */
export const readReportSchema = keptBySchema.extend(reportRequestSchema.shape);
export type ReadReportInput = z.infer<typeof readReportSchema>;

export interface ReportEntry {
  readonly verdict: ReportVerdict;
  readonly action: (typeof REPORT_ACTIONS)[number];
  readonly bytes: number;
  /** As the guest sees it, escaped: `\\`, `\n`, `\t`, and `\xNN` for bytes that are no UTF-8; cut beyond 2,500 bytes. */
  readonly path: string;
}

/** At most 100 entries, in the order of their paths' bytes. */
export interface ReportPage {
  readonly entries: readonly ReportEntry[];
  readonly page: number;
  readonly pages: number;
  /** Of all pages. */
  readonly total: number;
  readonly bytes: number;
}

/** Input of the workflow `handleKept`: what was kept aside is put back, or all that is kept is removed. */
export const handleKeptSchema = keptBySchema.extend({
  /** The run that has kept it. */
  workflowId: z.string().min(1),
  action: z.enum(['restore', 'discard']),
  /** With `restore`: only what is there or below. */
  path: guestPathSchema.optional(),
  /** Only say what would be done. */
  dryRun: z.boolean().default(false),
  requestedBy: personSchema.optional(),
});
export type HandleKeptInput = z.infer<typeof handleKeptSchema>;

export interface Restored {
  readonly files: number;
  readonly bytes: number;
  /** Folders that were missing. */
  readonly directories: number;
  /** What is live already. */
  readonly already: number;
  /** The first of the files, as far as they fit. */
  readonly paths: readonly string[];
  /** One sentence for each that could not be put back, as far as they fit. */
  readonly problems: readonly string[];
  readonly problemCount: number;
}

export interface Discarded {
  readonly folders: readonly string[];
  readonly files: number;
  readonly bytes: number;
  /** Whether there was a report. */
  readonly report: boolean;
}
