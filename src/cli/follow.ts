/**
 * Waiting for a run: look, show, wait a second, look again. Polling rather than one long call, because a wait of hours
 * must live through restarts of the worker, of the server and of the network, and show that they happened.
 */
import { ClientError, type Execution, type RunView } from '../client.ts';

type Seen = { readonly execution: Execution };

export type Followed<View extends Seen = RunView> =
  | { readonly how: 'ended'; readonly view: View }
  | { readonly how: 'timeout'; readonly view: View | undefined }
  | { readonly how: 'interrupted'; readonly view: View | undefined };

export interface FollowOptions<View extends Seen = RunView> {
  /** Stops the wait, never the run. */
  readonly signal: AbortSignal;
  /** Undefined: as long as it takes. */
  readonly timeoutMs?: number | undefined;
  readonly intervalMs?: number | undefined;
  /** How long the server may be away before the wait gives up with its error. Default two minutes. */
  readonly patienceMs?: number;
  onView(view: View): void;
  /** The server did not answer; called once per outage. */
  onOutage(error: ClientError): void;
}

export async function follow<View extends Seen = RunView>(
  look: () => Promise<View>,
  options: FollowOptions<View>,
): Promise<Followed<View>> {
  const { signal, intervalMs = 1_000, patienceMs = 120_000 } = options;
  const startedAt = Date.now();
  let view: View | undefined;
  let silentSince: number | undefined;
  const stopped = aborted(signal);
  for (;;) {
    if (signal.aborted) return { how: 'interrupted', view };
    try {
      const seen = await Promise.race([look(), stopped]);
      if (seen === undefined) return { how: 'interrupted', view };
      silentSince = undefined;
      view = seen;
      options.onView(seen);
      if (seen.execution !== 'running') return { how: 'ended', view: seen };
    } catch (error) {
      if (!(error instanceof ClientError) || error.kind !== 'unreachable') throw error;
      if (silentSince === undefined) {
        silentSince = Date.now();
        options.onOutage(error);
      } else if (Date.now() - silentSince > patienceMs) {
        throw error;
      }
    }
    const left = options.timeoutMs === undefined ? intervalMs : startedAt + options.timeoutMs - Date.now();
    if (left <= 0) return { how: 'timeout', view };
    await pause(Math.min(intervalMs, left), signal);
  }
}

function aborted(signal: AbortSignal): Promise<undefined> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve(undefined);
    else signal.addEventListener('abort', () => resolve(undefined), { once: true });
  });
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener('abort', done);
    if (signal.aborted) done();
  });
}
