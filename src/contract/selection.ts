/** Choosing what to bring back when the copy is mounted already: looking into it, and the choice. Both are Temporal Updates. */
import { z } from 'zod';
import { personSchema, reasonSchema } from './operator.ts';
import { conflictPolicySchema, guestPathSchema, selectedPathsSchema } from './rollback.ts';

/** Argument of the update `select`: at or below the paths that the run was started with. */
export const choiceSchema = z.strictObject({
  paths: selectedPathsSchema,
  /** Default: that of the request. */
  conflictPolicy: conflictPolicySchema.optional(),
  by: personSchema,
  reason: reasonSchema.default(''),
});
export type ChoiceRequest = z.input<typeof choiceSchema>;
export type Choice = z.infer<typeof choiceSchema>;

/**
 * Argument of the update `look`; changes nothing.
 * - `browse`: what is directly in the folder `path`.
 * - `find`: what has a name like `pattern` (`*`, `?`, `[…]`, as find's -name) anywhere below `path`.
 * - `diff`: what differs between the copy and what is live, anywhere below `path`.
 */
export const lookSchema = z
  .strictObject({
    what: z.enum(['browse', 'find', 'diff']),
    path: guestPathSchema,
    pattern: z.string().min(1, 'is empty').max(255, 'is longer than 255 characters').optional(),
    /** Goes on after this entry: `next` of an earlier look. */
    after: z.string().max(4095).optional(),
  })
  .refine(({ what, pattern }) => (what === 'find') === (pattern !== undefined), {
    path: ['pattern'],
    message: 'belongs to find, and find needs it: a name such as "*.sql"',
  });
export type LookRequest = z.infer<typeof lookSchema>;

/** By type, size, modification time and link target; contents are not read. */
export type LookVerdict = 'same' | 'changed' | 'only-in-b' | 'only-live';

export interface LookEntry {
  /** As the guest sees it; bytes that are no UTF-8 as `\xNN`. */
  readonly path: string;
  readonly type: 'file' | 'directory' | 'link' | 'other';
  /** Bytes on the copy; where it has none, of what is live. */
  readonly size: number;
  /** ISO 8601, likewise. */
  readonly modifiedAt: string;
  readonly verdict: LookVerdict;
}

export interface LookResult {
  /** In the order of their names' bytes; at most 100. */
  readonly entries: readonly LookEntry[];
  /** Set when there is more: give it as `after`. */
  readonly next?: string;
}
