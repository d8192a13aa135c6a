/** Hooks: executables of the guest's owner that a run starts at fixed points. */
import { z } from 'zod';

/**
 * - `beforeStop`: the instance runs as it was found.
 * - `afterStart`: it has started after the reset and has booted.
 * - `beforeCopy`: the recovery disk is mounted; stop what uses the files.
 * - `afterCopy`: the copy has ended, well or not; start it again. Runs whenever `beforeCopy` was begun.
 * - `healthCheck`: the last word, after the start or after the copy.
 */
export const HOOK_POINTS = ['beforeStop', 'afterStart', 'beforeCopy', 'afterCopy', 'healthCheck'] as const;
export type HookPoint = (typeof HOOK_POINTS)[number];

export const hookSchema = z.strictObject({
  /** An executable file in the guest, absolute. It is started as it is, never by way of a shell. */
  command: z
    .string()
    .max(1024, 'is longer than 1,024 characters')
    .refine(
      (path) => path.startsWith('/') && !path.includes('\0'),
      'is not an absolute path: name an executable file as the guest sees it, such as /usr/local/bin/stop-shop',
    ),
  /** Kept in the history and seen in the guest's list of processes: no place for secrets. */
  args: z
    .array(
      z
        .string()
        .max(1024)
        .refine((arg) => !arg.includes('\0'), 'contains a NUL character'),
    )
    .max(20)
    .default([]),
  /** A user of the guest. */
  user: z
    .string()
    .regex(/^[a-z_][a-z0-9_.-]{0,31}$/i, 'is not the name of a user')
    .default('root'),
  /** The hook is ended after this long, and counts as failed. */
  timeoutSeconds: z.number().int().min(1).max(86_400).default(300),
  /** What an exit status other than 0 means: the step fails, the run goes on, or somebody is asked. */
  onFailure: z.enum(['fail', 'continue', 'ask']).default('fail'),
});
export type Hook = z.infer<typeof hookSchema>;

export const hooksSchema = z.partialRecord(z.enum(HOOK_POINTS), hookSchema);
export type Hooks = z.infer<typeof hooksSchema>;

/** How a hook ended. Its output stays in the guest. */
export interface HookReport {
  readonly at: HookPoint;
  readonly exitCode: number;
  readonly timedOut: boolean;
  readonly outputBytes: number;
  /** In the guest; its last MiB at most. */
  readonly outputFile: string;
}
