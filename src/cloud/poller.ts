/**
 * One poller for all runs of a worker. Every wait on the cloud is a row in a table here; each kind of resource has one
 * loop per region that reads up to 100 of them with one call. Ten thousand waiting runs cost a hundred calls a round.
 */
import { CloudError } from './errors.ts';
import type { Ecs, EcsRegion } from './port.ts';
import type { Agent, Disk, Instance, Invocation, Snapshot } from './types.ts';

export interface Watched {
  disk: Disk;
  snapshot: Snapshot;
  instance: Instance;
  invocation: Invocation;
  agent: Agent;
}
export type WatchKind = keyof Watched;

export interface WatchOptions<T> {
  /** Ends the wait; the promise rejects with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Called after each look at it, before `until`; `undefined` when the service does not list it. */
  readonly onSeen?: ((seen: T | undefined) => void) | undefined;
  /** Called when a look failed in a way that may pass; the wait goes on. */
  readonly onTrouble?: ((error: CloudError) => void) | undefined;
}

export interface Poller {
  /**
   * Resolves with what was seen when `until` first holds. What is shown to `until` was always asked for after this
   * call, never before. Rejects with a permanent `CloudError` (credentials, denied, invalid …), with whatever `until`
   * throws, or with the signal's reason.
   */
  watch<K extends WatchKind>(
    kind: K,
    regionId: string,
    id: string,
    until: (seen: Watched[K] | undefined) => boolean | Promise<boolean>,
    options?: WatchOptions<Watched[K]>,
  ): Promise<Watched[K] | undefined>;
  /** Waits now open. */
  waiting(): number;
}

export interface PollerOptions {
  /** Time from the first look to the second, milliseconds; later ones grow from it. Default 1,000. */
  readonly intervalMs?: number;
}

interface Pace {
  /** First and last interval between two looks at one thing, in multiples of the base interval. */
  readonly first: number;
  readonly last: number;
  readonly idsPerCall: number;
  readonly parallelCalls: number;
}

const PACE: Readonly<Record<WatchKind, Pace>> = {
  disk: { first: 1, last: 3, idsPerCall: 100, parallelCalls: 4 },
  instance: { first: 1, last: 3, idsPerCall: 100, parallelCalls: 4 },
  snapshot: { first: 1, last: 5, idsPerCall: 100, parallelCalls: 4 },
  agent: { first: 1, last: 3, idsPerCall: 50, parallelCalls: 4 },
  // DescribeInvocationResults takes a single id.
  invocation: { first: 1, last: 3, idsPerCall: 1, parallelCalls: 8 },
};
const GROWTH = 1.25;
const DEFAULT_INTERVAL_MS = 1_000;
/** Newcomers within this time share their first look. */
const GATHER_MS = 10;
/** Quota windows are a minute long: after a throttled call the others wait behind one probe. */
const PROBE_FIRST_MS = 1_000;
const PROBE_LAST_MS = 10_000;

type Look<T> = (region: EcsRegion, ids: readonly string[]) => Promise<ReadonlyMap<string, T>>;
const LOOKS: { readonly [K in WatchKind]: Look<Watched[K]> } = {
  disk: (region, ids) => region.disks(ids),
  snapshot: (region, ids) => region.snapshots(ids),
  instance: (region, ids) => region.instances(ids),
  invocation: (region, ids) => region.invocations(ids),
  agent: (region, ids) => region.agents(ids),
};

export function createPoller(ecs: Ecs, options: PollerOptions = {}): Poller {
  const intervalMs = options.intervalMs ?? DEFAULT_INTERVAL_MS;
  // A scaled interval scales the pauses too: a compressed clock has compressed quota windows.
  const scale = intervalMs / DEFAULT_INTERVAL_MS;
  const loops = new Map<string, Loop<Watched[WatchKind]>>();

  return {
    watch(kind, regionId, id, until, watchOptions = {}) {
      const key = `${kind} ${regionId}`;
      let loop = loops.get(key);
      if (loop === undefined) {
        const look = LOOKS[kind] as Look<Watched[WatchKind]>;
        loop = new Loop((ids) => look(ecs.region(regionId), ids), PACE[kind], intervalMs, scale);
        // Kept when nobody waits: it has no timer then, but remembers that the API was throttled.
        loops.set(key, loop);
      }
      // One loop holds one kind only, which the key guarantees and the types cannot say.
      return (loop as unknown as Loop<Watched[typeof kind]>).add(id, until, watchOptions);
    },
    waiting: () => [...loops.values()].reduce((sum, loop) => sum + loop.size, 0),
  };
}

interface Waiter<T> {
  readonly until: (seen: T | undefined) => boolean | Promise<boolean>;
  readonly options: WatchOptions<T>;
  readonly settle: (outcome: { value: T | undefined } | { error: unknown }) => void;
  /** An answer is being judged; the next one is not shown before it is. */
  judging: boolean;
}

interface Entry<T> {
  readonly waiters: Set<Waiter<T>>;
  dueAt: number;
  interval: number;
  inFlight: boolean;
}

/** The waits for one kind of thing in one region. */
class Loop<T> {
  private readonly look: (ids: readonly string[]) => Promise<ReadonlyMap<string, T>>;
  private readonly pace: Pace;
  private readonly intervalMs: number;
  private readonly scale: number;
  private readonly entries = new Map<string, Entry<T>>();
  private timer: NodeJS.Timeout | undefined;
  private timerAt = 0;
  private callsInFlight = 0;
  private lastCallAt = Number.NEGATIVE_INFINITY;
  /** Length of the last pause after a failed call; 0 while all is well. While it is not, one call goes out at a time. */
  private pause = 0;
  private closedAt = Number.NEGATIVE_INFINITY;

  constructor(
    look: (ids: readonly string[]) => Promise<ReadonlyMap<string, T>>,
    pace: Pace,
    intervalMs: number,
    scale: number,
  ) {
    this.look = look;
    this.pace = pace;
    this.intervalMs = intervalMs;
    this.scale = scale;
  }

  get size(): number {
    let sum = 0;
    for (const entry of this.entries.values()) sum += entry.waiters.size;
    return sum;
  }

  add(
    id: string,
    until: (seen: T | undefined) => boolean | Promise<boolean>,
    options: WatchOptions<T>,
  ): Promise<T | undefined> {
    const { signal } = options;
    return new Promise((resolve, reject) => {
      if (signal?.aborted === true) {
        reject(signal.reason as Error);
        return;
      }
      const abort = (): void => waiter.settle({ error: signal?.reason });
      const waiter: Waiter<T> = {
        until,
        options,
        judging: false,
        settle: (outcome) => {
          signal?.removeEventListener('abort', abort);
          this.remove(id, waiter);
          if ('error' in outcome) reject(outcome.error);
          else resolve(outcome.value);
        },
      };
      signal?.addEventListener('abort', abort, { once: true });

      const dueAt = this.firstLookAt();
      const interval = this.pace.first * this.intervalMs;
      const entry = this.entries.get(id);
      if (entry === undefined) {
        this.entries.set(id, { waiters: new Set([waiter]), dueAt, interval, inFlight: false });
      } else {
        entry.waiters.add(waiter);
        entry.dueAt = Math.min(entry.dueAt, dueAt);
        entry.interval = interval;
      }
      // With thousands of waits, one that comes must not cost a look at all of them.
      if (this.timer === undefined || Math.max(dueAt, this.opensAt()) < this.timerAt) this.schedule();
    });
  }

  private opensAt(): number {
    return this.pause > 0 ? this.closedAt + this.pause : Number.NEGATIVE_INFINITY;
  }

  /** At once, but those who come one after the other share a call: at most four first looks per interval. */
  private firstLookAt(): number {
    const soon = Date.now() + Math.min(GATHER_MS, this.intervalMs);
    return this.pace.idsPerCall === 1 ? soon : Math.max(soon, this.lastCallAt + this.intervalMs / 4);
  }

  private remove(id: string, waiter: Waiter<T>): void {
    const entry = this.entries.get(id);
    if (entry === undefined || !entry.waiters.delete(waiter) || entry.waiters.size > 0) return;
    this.entries.delete(id);
    if (this.entries.size > 0) return;
    clearTimeout(this.timer);
    this.timer = undefined;
  }

  private freeCalls(): number {
    return (this.pause > 0 ? 1 : this.pace.parallelCalls) - this.callsInFlight;
  }

  private schedule(): void {
    clearTimeout(this.timer);
    this.timer = undefined;
    if (this.freeCalls() <= 0) return;
    let next = Number.POSITIVE_INFINITY;
    for (const entry of this.entries.values()) if (!entry.inFlight) next = Math.min(next, entry.dueAt);
    if (next === Number.POSITIVE_INFINITY) return;
    this.timerAt = Math.max(next, this.opensAt());
    this.timer = setTimeout(() => this.tick(), Math.max(0, this.timerAt - Date.now()));
  }

  /** Sends the calls for everything that is due, as far as calls are free. */
  private tick(): void {
    for (const batch of this.takeDue()) {
      this.callsInFlight++;
      this.lastCallAt = Date.now();
      for (const [, entry] of batch) entry.inFlight = true;
      void this.ask(batch).finally(() => {
        this.callsInFlight--;
        for (const [, entry] of batch) entry.inFlight = false;
        this.schedule();
      });
    }
    this.schedule();
  }

  private takeDue(): [string, Entry<T>][][] {
    const now = Date.now();
    const order = [...this.entries].filter(([, entry]) => !entry.inFlight).sort(([, a], [, b]) => a.dueAt - b.dueAt);
    const due = order.filter(([, entry]) => entry.dueAt <= now).length;
    const { idsPerCall } = this.pace;
    const calls = Math.min(Math.ceil(due / idsPerCall), this.freeCalls());
    // A call costs the same with one id as with a hundred: the last one is filled up with those due soonest.
    return Array.from({ length: calls }, (_, call) => order.slice(call * idsPerCall, (call + 1) * idsPerCall));
  }

  /** Never rejects. */
  private async ask(batch: readonly [string, Entry<T>][]): Promise<void> {
    // Those that are there now. Who comes while the call is under way is not served by its answer.
    const asked = batch
      .map(([id, entry]) => ({ id, entry, waiters: [...entry.waiters] }))
      .filter(({ waiters }) => waiters.length > 0);
    if (asked.length === 0) return;
    const startedAt = Date.now();
    let seen: ReadonlyMap<string, T>;
    try {
      seen = await this.look(asked.map(({ id }) => id));
    } catch (thrown) {
      await this.onFailure(
        batch,
        asked.flatMap(({ waiters }) => waiters),
        startedAt,
        thrown,
      );
      return;
    }
    // Calls that left before the gate closed say nothing about the quota now.
    if (startedAt > this.closedAt) this.pause = 0;
    const now = Date.now();
    for (const { id, entry, waiters } of asked) {
      if ([...entry.waiters].every((waiter) => waiters.includes(waiter))) {
        entry.dueAt = Math.max(now, startedAt + entry.interval);
        entry.interval = Math.min(entry.interval * GROWTH, this.pace.last * this.intervalMs);
      }
      for (const waiter of waiters) this.show(waiter, seen.get(id));
    }
  }

  private show(waiter: Waiter<T>, seen: T | undefined): void {
    if (waiter.judging) return;
    waiter.judging = true;
    void (async () => {
      try {
        waiter.options.onSeen?.(seen);
        if (await waiter.until(seen)) waiter.settle({ value: seen });
      } catch (error) {
        waiter.settle({ error });
      } finally {
        waiter.judging = false;
      }
    })();
  }

  private async onFailure(
    batch: readonly [string, Entry<T>][],
    waiters: readonly Waiter<T>[],
    startedAt: number,
    thrown: unknown,
  ): Promise<void> {
    if (thrown instanceof CloudError && MAY_PASS.has(thrown.kind)) {
      this.close(thrown, startedAt);
      // All of this kind wait now, so all are told.
      for (const entry of this.entries.values()) for (const waiter of entry.waiters) tell(waiter, thrown);
      return;
    }
    const oneOfMany = thrown instanceof CloudError && (thrown.kind === 'invalid' || thrown.kind === 'notFound');
    if (oneOfMany && batch.length > 1) {
      // One bad id must not end the waits of other runs that shared its call: halve until it stands alone.
      const middle = Math.ceil(batch.length / 2);
      await this.ask(batch.slice(0, middle));
      await this.ask(batch.slice(middle));
      return;
    }
    for (const waiter of waiters) waiter.settle({ error: thrown });
  }

  private close(error: CloudError, startedAt: number): void {
    // Several calls may fail together; only a probe sent after the gate closed doubles the pause.
    if (this.pause > 0 && startedAt <= this.closedAt) return;
    const first = Math.max(error.retryAfterMs ?? 0, PROBE_FIRST_MS * this.scale);
    this.pause = Math.max(first, Math.min(this.pause * 2, PROBE_LAST_MS * this.scale));
    this.closedAt = Date.now();
  }
}

/** A failed look changes nothing, so whatever may pass is simply looked at again. */
const MAY_PASS: ReadonlySet<CloudError['kind']> = new Set<CloudError['kind']>([
  'throttled',
  'transient',
  'unreachable',
  'unknownOutcome',
  'notReady',
]);

function tell<T>(waiter: Waiter<T>, error: CloudError): void {
  try {
    waiter.options.onTrouble?.(error);
  } catch (thrown) {
    waiter.settle({ error: thrown });
  }
}
