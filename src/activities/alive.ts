/** A heartbeat beside a short call. */
import { heartbeat } from '@temporalio/activity';

/** A fifth of the heartbeat timeout of the effect policies. */
const INTERVAL_MS = 2_000;

/**
 * Heartbeats while the call runs, so that a dead worker is missed within seconds and not only at the time limit of the
 * call. For ResetDisk it matters most: the next attempt then comes while the reset it must find is still running.
 */
export const alive =
  <A extends unknown[], R>(call: (...args: A) => Promise<R>) =>
  async (...args: A): Promise<R> => {
    heartbeat();
    const beat = setInterval(() => heartbeat(), INTERVAL_MS);
    try {
      return await call(...args);
    } finally {
      clearInterval(beat);
    }
  };
