/** What goes into and comes out of the workflow `sweep`, which finds what ended runs have left behind. */
import { z } from 'zod';
import { regionIdSchema } from './ids.ts';

export const sweepInputSchema = z.strictObject({
  regionId: regionIdSchema,
  /** False: only show what would be deleted. */
  delete: z.boolean().default(false),
  /** Also free a leftover recovery disk from its instance: unmount it in the guest, detach it, then delete it. */
  releaseAttached: z.boolean().default(false),
  /** Leave what is younger than this. Seconds, up to a year. */
  minAgeSeconds: z
    .number()
    .int()
    .min(0)
    .max(365 * 86_400)
    .default(0),
});
export type SweepInput = z.infer<typeof sweepInputSchema>;
/** What a client may leave out. */
export type SweepRequest = z.input<typeof sweepInputSchema>;

export type SweepVerdict = 'deleted' | 'would-delete' | 'kept';

/** One thing that carries our tags. */
export interface SweepRow {
  readonly kind: 'disk' | 'snapshot';
  readonly id: string;
  /** Value of its purpose tag. */
  readonly purpose: string;
  /** Of the run that made it. */
  readonly runId: string;
  readonly workflowId: string;
  /** ISO 8601; empty while a snapshot is not cut. */
  readonly createdAt: string;
  readonly ageSeconds: number;
  readonly sizeGiB: number;
  readonly attachedTo: readonly string[];
  /** Value of its expiry tag, ISO 8601: until when its run meant it to be kept. */
  readonly expiresAt?: string;
  readonly verdict: SweepVerdict;
  /** One sentence: why. */
  readonly reason: string;
}

export interface SweepResult {
  readonly regionId: string;
  /** ISO 8601: of the look that the rows are about. */
  readonly observedAt: string;
  /** Disks and warm-up snapshots first, then safety snapshots; the oldest first. */
  readonly rows: readonly SweepRow[];
  /** Tagged things that are not among the rows, for there are too many; the next sweep sees more of them. */
  readonly notShown: number;
  readonly deleted: number;
  /** One sentence for a human. */
  readonly summary: string;
}
