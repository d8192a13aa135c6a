/** Asks on the terminal before something that cannot be taken back. */
import { createInterface } from 'node:readline/promises';
import { EXIT, type ExitCode } from './exit-codes.ts';
import type { Context } from './session.ts';
import type { Surroundings } from './terminal.ts';

export const canAsk = ({ stdin, stderr }: Surroundings): boolean => stdin.isTTY === true && stderr.isTTY === true;

/**
 * Asks for the id of the disk. An exit code when it was not typed; then `otherwise` has been said, which tells what was
 * not done.
 */
export async function confirm(
  context: Context,
  question: { readonly diskId: string; readonly to: string; readonly otherwise: string },
): Promise<ExitCode | undefined> {
  const { world, signal } = context;
  const answer = signal.aborted ? 'interrupted' : await ask(context, question);
  if (answer === 'yes' && !signal.aborted) return undefined;
  const stopped = answer === 'interrupted' || signal.aborted;
  world.stderr.write(`${stopped ? 'stopped' : 'not confirmed'}; ${question.otherwise}\n`);
  return stopped ? EXIT.interrupted : EXIT.declined;
}

async function ask(
  { world, signal }: Context,
  { diskId, to }: { diskId: string; to: string },
): Promise<'yes' | 'no' | 'interrupted'> {
  const prompt = createInterface({ input: world.stdin, output: world.stderr as NodeJS.WriteStream, terminal: true });
  const closed = new Promise<string>((resolve) => {
    prompt.once('close', () => resolve(''));
  });
  const stopped = new Promise<'interrupted'>((resolve) => {
    prompt.once('SIGINT', () => resolve('interrupted'));
    signal.addEventListener('abort', () => resolve('interrupted'), { once: true });
  });
  try {
    const asked = prompt.question(`Type the id of the disk to ${to} (${diskId}), anything else to leave it alone: `);
    // Ctrl-D rejects the question; it is an answer like any other that is not the id.
    const answer = await Promise.race([asked.catch(() => ''), stopped, closed]);
    if (answer === 'interrupted') return 'interrupted';
    return answer.trim() === diskId ? 'yes' : 'no';
  } finally {
    prompt.close();
  }
}
