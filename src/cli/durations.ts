/** Durations and sizes as people type and read them. `1h30m` is what users of Temporal's own CLI type. */

const UNIT_MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** setTimeout turns anything above 2^31-1 ms into 1 ms. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/**
 * Milliseconds of `90s`, `1h30m` or `1.5h`; a bare number is seconds. Undefined when it is none of these, not above zero,
 * or above `longestMs`, by default the longest that this program can wait itself (24 days).
 */
export function parseDuration(text: string, longestMs = LONGEST_TIMER_MS): number | undefined {
  if (/^\d+(\.\d+)?$/.test(text)) return within(Number(text) * 1_000, longestMs);
  if (!/^(\d+(\.\d+)?(ms|s|m|h|d))+$/.test(text)) return undefined;
  let total = 0;
  for (const [, amount, unit] of text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h|d)/g)) {
    total += Number(amount) * (UNIT_MS[unit ?? ''] ?? Number.NaN);
  }
  return within(total, longestMs);
}

function within(ms: number, longestMs: number): number | undefined {
  return ms > 0 && ms <= longestMs ? Math.round(ms) : undefined;
}

/** `4s`, `2m 05s`, `3h 07m`, `2d 04h`: two units at most. */
export function formatDuration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1_000));
  const pad = (value: number) => String(value).padStart(2, '0');
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  if (minutes < 60) return `${minutes}m ${pad(seconds % 60)}s`;
  const hours = Math.floor(minutes / 60);
  if (hours < 24) return `${hours}h ${pad(minutes % 60)}m`;
  return `${Math.floor(hours / 24)}d ${pad(hours % 24)}h`;
}

/** Binary units, three significant digits at most: `0 B`, `1.5 KiB`, `12.3 GiB`. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  let value = bytes;
  let unit = 0;
  while (value >= 1024 && unit < units.length - 1) {
    value /= 1024;
    unit += 1;
  }
  const shown = unit === 0 || value >= 100 ? Math.round(value).toString() : value.toFixed(1).replace(/\.0$/, '');
  return `${shown} ${units[unit]}`;
}
