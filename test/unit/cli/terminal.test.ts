/** Colour, animation and glyphs: who decides, and in which order. */
import { describe, expect, it } from 'vitest';
import { oneLine, plainPunctuation, speaksUtf8, wantsAnimation, wantsColor } from '../../../src/cli/terminal.ts';

const tty = { isTTY: true };
const pipe = {};

describe('colour', () => {
  it.each([
    ['a terminal', tty, {}, true, true],
    ['a pipe', pipe, {}, true, false],
    ['--no-color', tty, { FORCE_COLOR: '1' }, false, false],
    ['FORCE_COLOR on a pipe', pipe, { FORCE_COLOR: '1' }, true, true],
    ['FORCE_COLOR over NO_COLOR', tty, { FORCE_COLOR: '1', NO_COLOR: '1' }, true, true],
    ['FORCE_COLOR=0', tty, { FORCE_COLOR: '0' }, true, false],
    ['NO_COLOR of any value', tty, { NO_COLOR: 'no' }, true, false],
    ['empty NO_COLOR', tty, { NO_COLOR: '' }, true, true],
    ['TERM=dumb', tty, { TERM: 'dumb' }, true, false],
    ['CI', tty, { CI: 'true' }, true, false],
  ] as const)('%s', (_name, stream, env, flag, expected) => {
    expect(wantsColor(stream, env, flag)).toBe(expected);
  });
});

it.each([
  [tty, {}, true],
  [pipe, {}, false],
  [tty, { CI: '1' }, false],
  [tty, { TERM: 'dumb' }, false],
  [tty, { NO_COLOR: '1' }, true],
])('animation on %j with %j: %s', (stream, env, expected) => {
  expect(wantsAnimation(stream, env)).toBe(expected);
});

it.each([
  [{ LANG: 'en_US.UTF-8' }, 'linux', true],
  [{ LANG: 'C.utf8' }, 'linux', true],
  [{ LANG: 'en_US.UTF-8', LC_ALL: 'C' }, 'linux', false],
  [{ LANG: 'C', LC_CTYPE: 'C.UTF-8' }, 'linux', true],
  [{}, 'linux', false],
  [{}, 'darwin', true],
  [{}, 'win32', false],
  [{ WT_SESSION: 'x' }, 'win32', true],
])('UTF-8 with %j on %s: %s', (env, platform, expected) => {
  expect(speaksUtf8(env, platform)).toBe(expected);
});

it('makes one harmless line of text from elsewhere', () => {
  expect(oneLine('a\nb\u001B[2Jc\u2028d ')).toBe('a b [2Jc d');
});

it('has an ASCII form of our own punctuation', () => {
  expect(plainPunctuation('a … b – c → d · e')).toBe('a ... b - c -> d - e');
});
