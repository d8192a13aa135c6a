import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { CloudError, type CloudErrorKind } from '../../../src/cloud/errors.ts';
import { createPoller } from '../../../src/cloud/poller.ts';
import type { Ecs, EcsRegion } from '../../../src/cloud/port.ts';
import type { Disk } from '../../../src/cloud/types.ts';

const disk = (id: string, status: string): Disk => ({
  id,
  status,
  kind: 'data',
  category: 'cloud_essd',
  sizeGiB: 20,
  zoneId: 'cn-test-a',
  encrypted: false,
  serial: '',
  createdAt: '2026-11-22T00:00:00Z',
  deleteWithInstance: false,
  deleteAutoSnapshot: false,
  attachedTo: [],
  locks: [],
  tags: {},
});

const failure = (kind: CloudErrorKind, retryAfterMs?: number): CloudError =>
  new CloudError({ kind, action: 'DescribeDisks', code: kind, message: `DescribeDisks: ${kind}`, retryAfterMs });

/** A cloud whose disks have the statuses of `world`; counts its calls. */
function cloud() {
  const world = new Map<string, string>();
  const calls: { at: number; regionId: string; ids: string[] }[] = [];
  const state = {
    world,
    calls,
    fail: undefined as ((ids: readonly string[]) => CloudError | undefined) | undefined,
    delayMs: 0,
  };
  const region = (regionId: string): EcsRegion =>
    ({
      regionId,
      async disks(ids: readonly string[]) {
        calls.push({ at: Date.now(), regionId, ids: [...ids] });
        const error = state.fail?.(ids);
        const found = new Map(
          ids.flatMap((id) => {
            const status = world.get(id);
            return status === undefined ? [] : [[id, disk(id, status)] as const];
          }),
        );
        if (state.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, state.delayMs));
        if (error !== undefined) throw error;
        return found;
      },
      async invocations(ids: readonly string[]) {
        calls.push({ at: Date.now(), regionId, ids: [...ids] });
        if (state.delayMs > 0) await new Promise((resolve) => setTimeout(resolve, state.delayMs));
        return new Map();
      },
    }) as unknown as EcsRegion;
  const ecs: Ecs = { region };
  return Object.assign(state, { ecs });
}

const ids = (count: number): string[] => Array.from({ length: count }, (_, index) => `d-${index}`);
const available = (seen: Disk | undefined): boolean => seen?.status === 'Available';
const quiet = (promise: Promise<unknown>): void => void promise.catch(() => {});

describe('poller', () => {
  let fake: ReturnType<typeof cloud>;
  beforeEach(() => {
    vi.useFakeTimers();
    fake = cloud();
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  it('looks at once and resolves with what it saw', async () => {
    fake.world.set('d-1', 'Available');
    const seen = createPoller(fake.ecs).watch('disk', 'r', 'd-1', available);
    await vi.advanceTimersByTimeAsync(20);
    await expect(seen).resolves.toMatchObject({ id: 'd-1', status: 'Available' });
    expect(fake.calls).toHaveLength(1);
  });

  it('goes on until it holds, ever more slowly up to a bound', async () => {
    fake.world.set('d-1', 'Creating');
    const seen = createPoller(fake.ecs).watch('disk', 'r', 'd-1', available);
    await vi.advanceTimersByTimeAsync(60_000);
    const gaps = fake.calls.slice(1).map(({ at }, index) => at - (fake.calls[index]?.at ?? 0));
    expect(gaps[0]).toBe(1_000);
    expect(gaps).toEqual(gaps.toSorted((a, b) => a - b));
    expect(gaps.at(-1)).toBe(3_000);
    fake.world.set('d-1', 'Available');
    await vi.advanceTimersByTimeAsync(3_000);
    await expect(seen).resolves.toMatchObject({ status: 'Available' });
  });

  it('tells of a thing that is gone', async () => {
    const gone = createPoller(fake.ecs).watch('disk', 'r', 'd-none', (seen) => seen === undefined);
    await vi.advanceTimersByTimeAsync(20);
    await expect(gone).resolves.toBeUndefined();
  });

  it('asks three times a round for 250 waits, each id once', async () => {
    const poller = createPoller(fake.ecs);
    for (const id of ids(250)) quiet(poller.watch('disk', 'r', id, available));
    await vi.advanceTimersByTimeAsync(20);
    expect(fake.calls.map((call) => call.ids.length)).toEqual([100, 100, 50]);
    expect(new Set(fake.calls.flatMap((call) => call.ids)).size).toBe(250);
    await vi.advanceTimersByTimeAsync(1_000);
    expect(fake.calls.map((call) => call.ids.length)).toEqual([100, 100, 50, 100, 100, 50]);
    expect(poller.waiting()).toBe(250);
  });

  it('asks once for many waits on one id and answers each', async () => {
    fake.world.set('d-1', 'Available');
    const poller = createPoller(fake.ecs);
    const all = Array.from({ length: 40 }, () => poller.watch('disk', 'r', 'd-1', available));
    await vi.advanceTimersByTimeAsync(20);
    expect(await Promise.all(all)).toHaveLength(40);
    expect(fake.calls.map((call) => call.ids)).toEqual([['d-1']]);
  });

  it('keeps regions and kinds apart', async () => {
    const poller = createPoller(fake.ecs);
    quiet(poller.watch('disk', 'r1', 'd-1', available));
    quiet(poller.watch('disk', 'r2', 'd-1', available));
    quiet(poller.watch('invocation', 'r1', 't-1', () => false));
    await vi.advanceTimersByTimeAsync(20);
    expect(fake.calls.map((call) => `${call.regionId} ${call.ids.join()}`).toSorted()).toEqual([
      'r1 d-1',
      'r1 t-1',
      'r2 d-1',
    ]);
  });

  it('asks for invocations one by one, eight at a time', async () => {
    fake.delayMs = 100;
    const poller = createPoller(fake.ecs);
    for (const id of ids(20)) quiet(poller.watch('invocation', 'r', id, () => false));
    await vi.advanceTimersByTimeAsync(50);
    expect(fake.calls).toHaveLength(8);
    await vi.advanceTimersByTimeAsync(100);
    expect(fake.calls).toHaveLength(16);
    await vi.advanceTimersByTimeAsync(100);
    expect(fake.calls).toHaveLength(20);
    expect(fake.calls.every((call) => call.ids.length === 1)).toBe(true);
  });

  it('lets newcomers who trickle in share their first looks', async () => {
    const poller = createPoller(fake.ecs);
    for (const id of ids(100)) {
      quiet(poller.watch('disk', 'r', id, available));
      await vi.advanceTimersByTimeAsync(10);
    }
    // One second, one hundred waits that came one by one.
    expect(fake.calls.length).toBeLessThanOrEqual(6);
  });

  it('never serves a wait with an answer that was asked for before it came', async () => {
    fake.world.set('d-1', 'Available');
    fake.delayMs = 500;
    const poller = createPoller(fake.ecs);
    const first = poller.watch('disk', 'r', 'd-1', available);
    await vi.advanceTimersByTimeAsync(100);
    // The first call is under way with the old state; this wait starts after the effect.
    fake.world.set('d-1', 'Attaching');
    const shown: (string | undefined)[] = [];
    quiet(poller.watch('disk', 'r', 'd-1', available, { onSeen: (seen) => shown.push(seen?.status) }));
    await vi.advanceTimersByTimeAsync(450);
    await expect(first).resolves.toMatchObject({ status: 'Available' });
    expect(shown).toEqual([]);
    // Nor has it to wait for the next round.
    await vi.advanceTimersByTimeAsync(550);
    expect(shown).toEqual(['Attaching']);
  });

  it('does not let a slow call hold up newcomers', async () => {
    fake.delayMs = 10_000;
    const poller = createPoller(fake.ecs);
    quiet(poller.watch('disk', 'r', 'd-slow', available));
    await vi.advanceTimersByTimeAsync(1_000);
    fake.delayMs = 0;
    fake.world.set('d-2', 'Available');
    const second = poller.watch('disk', 'r', 'd-2', available);
    await vi.advanceTimersByTimeAsync(300);
    await expect(second).resolves.toMatchObject({ id: 'd-2' });
  });

  it('waits behind one probe when throttled, twice as long each time up to ten seconds', async () => {
    const poller = createPoller(fake.ecs);
    const troubles: string[] = [];
    for (const id of ids(250)) {
      quiet(poller.watch('disk', 'r', id, available, { onTrouble: (error) => troubles.push(error.kind) }));
    }
    fake.fail = () => failure('throttled');
    await vi.advanceTimersByTimeAsync(60_000);
    const times = fake.calls.map((call) => call.at);
    const round = times.filter((at) => at === times[0]).length;
    expect(round).toBe(3);
    const gaps = times.slice(3).map((at, index) => at - (times[index + 2] ?? 0));
    expect(gaps.slice(0, 6)).toEqual([1_000, 2_000, 4_000, 8_000, 10_000, 10_000]);
    expect(new Set(troubles)).toEqual(new Set(['throttled']));
    expect(poller.waiting()).toBe(250);

    const before = fake.calls.length;
    fake.fail = undefined;
    for (const id of ids(250)) fake.world.set(id, 'Available');
    await vi.advanceTimersByTimeAsync(10_000);
    expect(poller.waiting()).toBe(0);
    expect(fake.calls.length - before).toBe(3);
  });

  it('does not take the late success of an earlier call for a sign that the quota is back', async () => {
    const poller = createPoller(fake.ecs);
    const region = fake.ecs.region('r');
    const look = region.disks.bind(region);
    const slow = vi.fn(async (asked: readonly string[]) => {
      if (asked.includes('d-0')) return look(asked);
      const seen = await look(asked);
      await new Promise((resolve) => setTimeout(resolve, 500));
      return seen;
    });
    vi.spyOn(fake.ecs, 'region').mockReturnValue({ ...region, disks: slow });
    for (const id of ids(150)) quiet(poller.watch('disk', 'r', id, available));
    fake.fail = (asked) => (asked.includes('d-0') ? failure('throttled') : undefined);
    await vi.advanceTimersByTimeAsync(950);
    expect(slow).toHaveBeenCalledTimes(2);
    await vi.advanceTimersByTimeAsync(100);
    expect(slow).toHaveBeenCalledTimes(3);
  });

  it('honours the hint of the service', async () => {
    fake.fail = () => failure('throttled', 30_000);
    quiet(createPoller(fake.ecs).watch('disk', 'r', 'd-1', available));
    await vi.advanceTimersByTimeAsync(30_000);
    expect(fake.calls).toHaveLength(1);
    await vi.advanceTimersByTimeAsync(20);
    expect(fake.calls).toHaveLength(2);
  });

  it.each(['transient', 'unreachable', 'unknownOutcome', 'notReady'] as const)('outlives %s', async (kind) => {
    fake.world.set('d-1', 'Available');
    fake.fail = () => failure(kind);
    const onTrouble = vi.fn();
    const seen = createPoller(fake.ecs).watch('disk', 'r', 'd-1', available, { onTrouble });
    await vi.advanceTimersByTimeAsync(2_000);
    expect(onTrouble).toHaveBeenCalledWith(expect.objectContaining({ kind }));
    fake.fail = undefined;
    await vi.advanceTimersByTimeAsync(10_000);
    await expect(seen).resolves.toMatchObject({ id: 'd-1' });
  });

  it.each(['credentials', 'denied'] as const)('%s ends every wait of the call', async (kind) => {
    fake.fail = () => failure(kind);
    const poller = createPoller(fake.ecs);
    const all = ids(50).map((id) => poller.watch('disk', 'r', id, available));
    const settled = Promise.allSettled(all);
    await vi.advanceTimersByTimeAsync(20);
    for (const result of await settled) expect(result).toMatchObject({ status: 'rejected', reason: { kind } });
    expect(fake.calls).toHaveLength(1);
    expect(poller.waiting()).toBe(0);
    await vi.advanceTimersByTimeAsync(60_000);
    expect(fake.calls).toHaveLength(1);
  });

  it('lets one bad id end its own wait only', async () => {
    fake.fail = (asked) => (asked.includes('d-bad') ? failure('invalid') : undefined);
    const poller = createPoller(fake.ecs);
    for (const id of ids(60)) fake.world.set(id, 'Available');
    const good = Promise.all(ids(60).map((id) => poller.watch('disk', 'r', id, available)));
    const bad = poller.watch('disk', 'r', 'd-bad', available);
    quiet(bad);
    await vi.advanceTimersByTimeAsync(100);
    expect(await good).toHaveLength(60);
    await expect(bad).rejects.toMatchObject({ kind: 'invalid' });
  });

  it('ends with the reason of the signal and stops asking', async () => {
    const poller = createPoller(fake.ecs);
    const controller = new AbortController();
    const aborted = poller.watch('disk', 'r', 'd-1', available, { signal: controller.signal });
    quiet(aborted);
    await vi.advanceTimersByTimeAsync(20);
    controller.abort(new Error('cancelled by the run'));
    await expect(aborted).rejects.toThrow('cancelled by the run');
    await vi.advanceTimersByTimeAsync(60_000);
    expect(fake.calls).toHaveLength(1);
    expect(vi.getTimerCount()).toBe(0);
    await expect(poller.watch('disk', 'r', 'd-1', available, { signal: controller.signal })).rejects.toThrow();
    expect(fake.calls).toHaveLength(1);
  });

  it('ends one wait and leaves the other on the same id', async () => {
    const poller = createPoller(fake.ecs);
    const controller = new AbortController();
    quiet(poller.watch('disk', 'r', 'd-1', available, { signal: controller.signal }));
    const other = poller.watch('disk', 'r', 'd-1', available);
    await vi.advanceTimersByTimeAsync(20);
    controller.abort();
    fake.world.set('d-1', 'Available');
    await vi.advanceTimersByTimeAsync(2_000);
    await expect(other).resolves.toMatchObject({ id: 'd-1' });
  });

  it('ends with what the condition throws, and with a defect of the port', async () => {
    fake.world.set('d-1', 'failed');
    const poller = createPoller(fake.ecs);
    const thrown = poller.watch('disk', 'r', 'd-1', () => {
      throw new Error('it will never be');
    });
    quiet(thrown);
    await vi.advanceTimersByTimeAsync(20);
    await expect(thrown).rejects.toThrow('it will never be');
    fake.fail = () => {
      throw new TypeError('a defect');
    };
    const defect = poller.watch('disk', 'r', 'd-1', available);
    quiet(defect);
    await vi.advanceTimersByTimeAsync(1_000);
    await expect(defect).rejects.toThrow('a defect');
  });

  it('does not ask a slow condition twice at a time', async () => {
    fake.world.set('d-1', 'Available');
    let running = 0;
    let most = 0;
    const seen = createPoller(fake.ecs).watch('disk', 'r', 'd-1', async () => {
      most = Math.max(most, ++running);
      await new Promise((resolve) => setTimeout(resolve, 5_000));
      running--;
      return true;
    });
    await vi.advanceTimersByTimeAsync(6_000);
    await expect(seen).resolves.toMatchObject({ id: 'd-1' });
    expect(most).toBe(1);
  });

  it('runs on a compressed clock', async () => {
    const poller = createPoller(fake.ecs, { intervalMs: 20 });
    quiet(poller.watch('disk', 'r', 'd-1', available));
    await vi.advanceTimersByTimeAsync(1_000);
    expect(fake.calls.length).toBeGreaterThan(15);
  });
});
