/** For calls that were accepted and then came to nothing, without a word: they are sent again, a few times. */
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import { failureText } from './failure-text.ts';

const SENDS = 3;

/** `send` looks before it acts, so what has happened after all is not done twice. `seen` waits for it. */
export async function sendUntilSeen(send: () => Promise<unknown>, seen: () => Promise<unknown>): Promise<void> {
  for (let sent = 1; ; sent += 1) {
    await send();
    try {
      await seen();
      return;
    } catch (error) {
      if (failureText(error).kind !== ACTIVITY_FAILURE.cameToNothing || sent >= SENDS) throw error;
    }
  }
}
