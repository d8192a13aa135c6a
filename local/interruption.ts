/** Turns Ctrl-C, `kill` and a closed terminal into one AbortSignal, so that a program can end in order. */

/**
 * Aborts at the first SIGINT, SIGTERM or SIGHUP, with the signal's name as reason. A second one ends the process at once;
 * its exit hooks still kill the children.
 */
export function interruption(log: (line: string) => void): AbortSignal {
  const controller = new AbortController();
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
    process.on(name, () => {
      if (controller.signal.aborted) process.exit(130);
      log(`${name}: stopping everything (once more to stop at once) …`);
      controller.abort(name);
    });
  }
  return controller.signal;
}
