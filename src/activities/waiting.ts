/**
 * Waits: activities that only read. They hang on the worker's shared poller, heartbeat what they see, and may be retried
 * for ever.
 */
import { cancellationSignal, heartbeat } from '@temporalio/activity';
import { CloudError } from '../cloud/errors.ts';
import type { Poller, WatchKind, Watched } from '../cloud/poller.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import { asActivityFailure, refuse } from './failures.ts';

/** Half of the shortest heartbeat timeout of the wait policies, so that one lost beat does no harm. */
const HEARTBEAT_INTERVAL_MS = 5_000;

/** Looks in a row after which it is believed that an accepted call came to nothing: describe calls lag by seconds at most. */
const LOOKS_UNTIL_BELIEVED = 20;

/** Watches for an accepted call that does not begin to show: throws `CameToNothing` once the thing was as before in many looks. */
export function unlessInVain<T>(asBefore: (seen: T | undefined) => boolean, message: string) {
  let looks = 0;
  return (seen: T | undefined): void => {
    looks = asBefore(seen) ? looks + 1 : 0;
    if (looks >= LOOKS_UNTIL_BELIEVED) throw refuse(ACTIVITY_FAILURE.cameToNothing, message);
  };
}

/**
 * Waits until the thing is as wanted. `until` may throw to end the wait for good. Heartbeats `describe(seen)` at once
 * on every change and otherwise every five seconds.
 */
export async function waitFor<K extends WatchKind>(
  poller: Poller,
  kind: K,
  regionId: string,
  id: string,
  until: (seen: Watched[K] | undefined) => boolean,
  describe: (seen: Watched[K] | undefined) => Record<string, unknown>,
  /** Stays in every heartbeat, whatever is seen. */
  always: Record<string, unknown> = {},
  /** Ends the wait: it rejects with the signal's reason. */
  giveUp?: AbortSignal,
): Promise<Watched[K] | undefined> {
  let last: Record<string, unknown> = { ...always, waitingFor: kind, id };
  heartbeat(last);
  const beat = setInterval(() => heartbeat(last), HEARTBEAT_INTERVAL_MS);
  try {
    return await poller.watch(kind, regionId, id, until, {
      signal: giveUp === undefined ? cancellationSignal() : AbortSignal.any([cancellationSignal(), giveUp]),
      onSeen: (seen) => {
        last = { ...always, ...describe(seen) };
        heartbeat(last);
      },
      onTrouble: (error) => {
        last = { ...last, trouble: error.message };
        heartbeat(last);
      },
    });
  } catch (error) {
    // A wait changes nothing, so it outlasts even what only a human can mend, such as credentials that have expired.
    if (error instanceof CloudError) {
      throw asActivityFailure(error, { retryEverything: true });
    }
    throw error;
  } finally {
    clearInterval(beat);
  }
}
