/** Durations and sizes, read and written. */
import { assert, integer, property } from 'fast-check';
import { describe, expect, it } from 'vitest';
import { formatBytes, formatDuration, parseDuration } from '../../../src/cli/durations.ts';

describe('parseDuration', () => {
  it.each([
    ['90s', 90_000],
    ['1h30m', 5_400_000],
    ['1.5h', 5_400_000],
    ['45', 45_000],
    ['250ms', 250],
    ['2d', 172_800_000],
  ])('%s is %i ms', (text, expected) => {
    expect(parseDuration(text)).toBe(expected);
  });

  it.each(['', 'soon', '-5s', '0', '0s', '5 m', '1h30', 'm5', '1y', '1e3', '30d'])('%j is none', (text) => {
    // 30 d is beyond what a timer takes; it would fire at once.
    expect(parseDuration(text)).toBeUndefined();
  });

  it('adds up units', () => {
    assert(
      property(integer({ min: 0, max: 100 }), integer({ min: 0, max: 59 }), integer({ min: 1, max: 59 }), (h, m, s) => {
        expect(parseDuration(`${h}h${m}m${s}s`)).toBe(((h * 60 + m) * 60 + s) * 1_000);
      }),
    );
  });
});

it.each([
  [-5, '0s'],
  [400, '0s'],
  [59_600, '1m 00s'],
  [125_000, '2m 05s'],
  [3_599_999, '1h 00m'],
  [11_220_000, '3h 07m'],
  [187_200_000, '2d 04h'],
])('formatDuration(%i) is %s', (ms, expected) => {
  expect(formatDuration(ms)).toBe(expected);
});

it.each([
  [0, '0 B'],
  [1023, '1023 B'],
  [1024, '1 KiB'],
  [1536, '1.5 KiB'],
  [13_207_024_435, '12.3 GiB'],
  [214_748_364_800, '200 GiB'],
])('formatBytes(%i) is %s', (bytes, expected) => {
  expect(formatBytes(bytes)).toBe(expected);
});
