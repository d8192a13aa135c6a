/** Rate and time left of a copy, from its counters as they are seen one after the other. */
import type { CopyProgress } from '../contract/rollback.ts';

type Counters = Omit<CopyProgress, 'bytesPerSecond' | 'secondsLeft' | 'changedAt'>;

/** What is older says little about what comes. */
const WINDOW_MS = 60_000;

/** Give it each look in order; `now` in milliseconds since 1970. It answers the counters with what they amount to. */
export function copyPace() {
  let seen: Array<{ at: number; counters: Counters }> = [];
  let changedAt: number | undefined;

  return (counters: Counters, now: number): CopyProgress => {
    const last = seen.at(-1)?.counters;
    if (last === undefined || last.bytesDone !== counters.bytesDone || last.filesDone !== counters.filesDone)
      changedAt = now;
    // Each stage has a pace of its own, and what goes back was begun anew.
    if (last?.stage !== counters.stage || last.bytesDone > counters.bytesDone || last.filesDone > counters.filesDone)
      seen = [];
    seen.push({ at: now, counters });
    // One that is older than the window is kept for the window to be full.
    while (seen.length > 2 && now - (seen[1]?.at ?? now) >= WINDOW_MS) seen.shift();

    const first = seen[0];
    const told = { ...counters, ...(changedAt === undefined ? {} : { changedAt: new Date(changedAt).toISOString() }) };
    const seconds = first === undefined ? 0 : (now - first.at) / 1_000;
    if (first === undefined || seconds <= 0 || counters.stage === 'scanning' || counters.stage === 'done') return told;
    const bytesPerSecond = (counters.bytesDone - first.counters.bytesDone) / seconds;
    const filesPerSecond = (counters.filesDone - first.counters.filesDone) / seconds;
    // Small files are bound by their number, large ones by their bytes: what takes longer is what is left.
    const left = [
      secondsFor(counters.bytesTotal - counters.bytesDone, bytesPerSecond),
      secondsFor(counters.filesTotal - counters.filesDone, filesPerSecond),
    ].filter((value) => value !== undefined);
    return {
      ...told,
      bytesPerSecond: Math.round(bytesPerSecond),
      ...(left.length === 0 ? {} : { secondsLeft: Math.max(...left) }),
    };
  };
}

const secondsFor = (amount: number, perSecond: number): number | undefined =>
  amount <= 0 ? 0 : perSecond > 0 ? Math.ceil(amount / perSecond) : undefined;
