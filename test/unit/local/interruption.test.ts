import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { setTimeout as delay } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';

const module = new URL('../../../local/interruption.ts', import.meta.url).href;

/** A program that needs `cleanUpMs` to end in order; resolves with what it printed and how it ended. */
async function interrupted(cleanUpMs: number, signals: ReadonlyArray<[afterMs: number, name: NodeJS.Signals]>) {
  const program = `import { interruption } from ${JSON.stringify(module)};
    const signal = interruption((line) => console.log(line));
    const alive = setInterval(() => {}, 1000);
    signal.addEventListener('abort', () => setTimeout(() => { console.log('cleaned up'); clearInterval(alive); process.exit(0); }, ${cleanUpMs}));
    console.log('up');`;
  const child = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', program]);
  let printed = '';
  child.stdout.on('data', (chunk: Buffer) => {
    printed += chunk.toString();
  });
  const ended = once(child, 'exit');
  const untilPrinted = async (text: string): Promise<void> => {
    while (!printed.includes(text) && child.exitCode === null) await delay(20);
  };
  await untilPrinted('up');
  for (const [afterMs, name] of signals) {
    await delay(afterMs);
    child.kill(name);
    // The pause until the next signal counts from when this one was noticed.
    await untilPrinted('stopping everything');
  }
  const [code] = (await ended) as [number | null];
  return { printed, code };
}

describe('interruption', () => {
  test.each(['SIGINT', 'SIGTERM', 'SIGHUP'] as const)('%s lets the program end in order', async (name) => {
    const { printed, code } = await interrupted(200, [[0, name]]);
    expect(printed).toContain(`${name}: stopping everything`);
    expect(printed).toContain('cleaned up');
    expect(code).toBe(0);
  });

  test('one Ctrl-C that arrives twice, from terminal and npm, is one', async () => {
    const { printed, code } = await interrupted(400, [
      [0, 'SIGINT'],
      [0, 'SIGINT'],
    ]);
    expect(printed).toContain('cleaned up');
    expect(code).toBe(0);
  });

  test('a second one later ends it at once', async () => {
    const { printed, code } = await interrupted(20_000, [
      [0, 'SIGINT'],
      [1300, 'SIGINT'],
    ]);
    expect(printed).not.toContain('cleaned up');
    expect(code).toBe(130);
  });
});
