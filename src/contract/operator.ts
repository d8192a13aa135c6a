/** What people can say to a run while it goes on: approve, decide, pause. Each is a Temporal Update with a validator. */
import { z } from 'zod';

export const personSchema = z
  .string()
  .trim()
  .min(1, 'is empty: say who you are, such as a user name or an e-mail address')
  .max(128, 'is longer than 128 characters');
export const reasonSchema = z.string().trim().max(1_000, 'is longer than 1,000 characters');

/** Who may let a run pass the point of no return. Without a policy nobody is asked. */
export const approvalPolicySchema = z.strictObject({
  /** Approvals of different people that are needed (1–10). */
  quorum: z.number().int().min(1).max(10).default(1),
  /** When false, whoever started the run cannot approve it. */
  requesterMayApprove: z.boolean().default(true),
  /** Without enough approvals after this long the run ends as refused. Seconds, from a minute to 30 days. */
  timeoutSeconds: z
    .number()
    .int()
    .min(60)
    .max(30 * 86_400)
    .default(86_400),
  /** A reminder in the run's log and details this often. Seconds. */
  remindEverySeconds: z
    .number()
    .int()
    .min(60)
    .max(30 * 86_400)
    .default(3_600),
});
export type ApprovalPolicy = z.infer<typeof approvalPolicySchema>;

/** Argument of the updates `approve` and `reject`. */
export const approvalSchema = z.strictObject({
  /** Of the plan that was read; an approval of another plan is refused. */
  planHash: z.string().min(1, 'is missing: copy it from the plan'),
  by: personSchema,
  reason: reasonSchema.default(''),
});
export type ApprovalRequest = z.input<typeof approvalSchema>;

export interface Approval {
  readonly by: string;
  readonly reason: string;
  readonly planHash: string;
  /** ISO 8601, workflow time. */
  readonly at: string;
}

/**
 * - `retry`: do the step again; every effect looks first at what an earlier try has done.
 * - `skip`: go on without it; believed only if the step's outcome is observed to hold.
 * - `undo`: roll the disk back onto snapshot B.
 * - `abort`: end the run here, and say what is missing.
 * - `force`: while an instance does not stop: cut its power. Unflushed data is lost.
 * - `delete`, `keep`: what was deleted from A to B is, or is not, deleted live.
 */
export const decisionSchema = z.enum(['retry', 'skip', 'undo', 'abort', 'force', 'delete', 'keep']);
export type Decision = z.infer<typeof decisionSchema>;

/** Argument of the update `resolve`. */
export const resolutionSchema = z.strictObject({
  decision: decisionSchema,
  by: personSchema,
  reason: reasonSchema.default(''),
});
export type ResolutionRequest = z.input<typeof resolutionSchema>;

/** What a copy would delete. The digest is of the list of it, with the times at which each last changed. */
export interface Deletions {
  readonly entries: number;
  readonly bytes: number;
  readonly digest: string;
}

/** Argument of the updates `pause` and `resume`. */
export const pauseSchema = z.strictObject({ by: personSchema, reason: reasonSchema.default('') });
export type PauseRequest = z.input<typeof pauseSchema>;

/** What a run waits for that a person, or another run, has to do. */
export type WaitingFor =
  | {
      readonly kind: 'approval';
      readonly planHash: string;
      readonly quorum: number;
      readonly approvals: readonly Approval[];
      /** ISO 8601; then the run ends as refused. */
      readonly until: string;
      readonly reminders: number;
    }
  | {
      /** What to bring back, while the copy is mounted. */
      readonly kind: 'selection';
      /** The choice is made at or below these. */
      readonly paths: readonly string[];
      readonly since: string;
    }
  | { readonly kind: 'lease'; readonly instanceId: string; readonly holder: string; readonly since: string }
  | {
      readonly kind: 'operator';
      readonly step: string;
      /** One sentence: what went wrong. */
      readonly problem: string;
      readonly choices: readonly Decision[];
      /** When it is about these; the run's report lists them. */
      readonly deletions?: Deletions;
      readonly since: string;
      /** Why the last answer was not followed, such as a `skip` whose outcome was not there. */
      readonly note?: string;
    }
  | { readonly kind: 'pause'; readonly by: string; readonly reason: string; readonly since: string };
