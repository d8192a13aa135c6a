/** The name that the history shows by default. */
import { hostname, userInfo } from 'node:os';
import { expect, it } from 'vitest';
import { whoIsTyping } from '../../../src/cli/who-is-typing.ts';

it('is the account and the host', () => {
  expect(whoIsTyping({})).toBe(`${userInfo().username}@${hostname()}`);
});

it('is whoever called sudo, not root', () => {
  expect(whoIsTyping({ SUDO_USER: 'carol' })).toBe(`carol@${hostname()}`);
});

it('fits what the contract takes', () => {
  expect(whoIsTyping({ SUDO_USER: 'x'.repeat(500) })).toHaveLength(128);
});
