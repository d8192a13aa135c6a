/** The name that approvals, decisions and requests carry in the history by default. */
import { hostname, userInfo } from 'node:os';

/** `user@host`; behind sudo the one who called it. Cut to what the contract takes. */
export function whoIsTyping(env: Readonly<Record<string, string | undefined>>): string {
  return `${env.SUDO_USER || accountName() || env.USER || env.USERNAME || 'somebody'}@${hostname()}`.slice(0, 128);
}

function accountName(): string {
  try {
    return userInfo().username;
  } catch {
    // In a container a process may run under a number that has no name.
    return '';
  }
}
