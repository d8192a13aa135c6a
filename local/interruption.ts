/** Turns Ctrl-C, `kill` and a closed terminal into one AbortSignal, so that a program can end in order. */

/** npm passes on a Ctrl-C that the terminal has sent to us already: one key press, two signals. */
const SAME_KEY_PRESS_MS = 1_000;

/**
 * Aborts at the first SIGINT, SIGTERM or SIGHUP, with the signal's name as reason. A later one ends the process at once;
 * its exit hooks still kill the children.
 */
export function interruption(log: (line: string) => void): AbortSignal {
  const controller = new AbortController();
  let firstAt = 0;
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (!controller.signal.aborted) {
        firstAt = Date.now();
        log(`${name}: stopping everything (once more to stop at once) …`);
        controller.abort(name);
      } else if (Date.now() - firstAt > SAME_KEY_PRESS_MS) {
        process.exit(130);
      }
    });
  }
  return controller.signal;
}
