/**
 * How what a run makes is named, so that a repeated call and a later sweep find it: ClientToken and tags. The run is the
 * workflow's *first* run id, which survives `temporal workflow reset`.
 */
import { createHash } from 'node:crypto';
import { type Purpose, TAG } from '../contract/ids.ts';

/** Which run an effect belongs to; the workflow puts it into every input. */
export interface RunIdentity {
  readonly run: string;
  readonly workflowId: string;
}

/** At most 64 ASCII characters, the same for every attempt of the same effect of the same run. */
export const clientToken = (run: string, effect: string): string =>
  createHash('sha256').update(`${run}/${effect}`).digest('hex');

export const tagsFor = (identity: RunIdentity, purpose: Purpose): Record<string, string> => ({
  [TAG.run]: identity.run,
  [TAG.purpose]: purpose,
  [TAG.workflow]: identity.workflowId.slice(0, 128),
});

/** As `tagsFor`, and until when the thing is meant to be kept. The date is the workflow's, the same for every attempt. */
export const expiringTags = (
  identity: RunIdentity,
  purpose: Purpose,
  expiresAt: string | undefined,
): Record<string, string> => ({
  ...tagsFor(identity, purpose),
  ...(expiresAt === undefined ? {} : { [TAG.expires]: expiresAt }),
});

/** Names the run's folders in the guest: short, and of a safe alphabet. */
export const guestRunName = (run: string): string =>
  run
    .toLowerCase()
    .replaceAll(/[^a-z0-9-]/g, '-')
    .slice(0, 64);
