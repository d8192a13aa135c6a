/** The worker as a real process, as far as it comes without a server. */
import { spawn } from 'node:child_process';
import { createServer } from 'node:net';
import { expect, it, onTestFinished } from 'vitest';
import { programArguments } from '../support/program-arguments.ts';

function starts(args: readonly string[], env: Readonly<Record<string, string>> = {}) {
  const child = spawn(process.execPath, [...programArguments('src/worker'), ...args], {
    env: { ...process.env, TEMPORAL_NAMESPACE: 'default', ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => {
    child.kill('SIGKILL');
  });
  let stdout = '';
  child.stdout.on('data', (chunk: Buffer) => {
    stdout += chunk.toString();
  });
  let stderr = '';
  const firstLine = new Promise<string>((resolve) => {
    child.stderr.on('data', (chunk: Buffer) => {
      stderr += chunk.toString();
      const end = stderr.indexOf('\n');
      // Without the time.
      if (end >= 0) resolve(stderr.slice(stderr.indexOf(' ') + 1, end));
    });
  });
  const ended = new Promise<{ code: number | null; stdout: string; stderr: string }>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (code) => resolve({ code, stdout, stderr }));
  });
  return { firstLine, ended, kill: (signal: NodeJS.Signals) => child.kill(signal) };
}

it('--help names every setting that it reads', async () => {
  const { code, stdout, stderr } = await starts(['--help']).ended;
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
  for (const name of ['TASK_QUEUE', 'ENDPOINT', 'POLL_INTERVAL_MS', 'CALL_TIMEOUT_MS', 'DEBUG']) {
    expect(stdout).toContain(`ECS_ROLLBACK_${name}`);
  }
});

it('an argument is refused with exit code 2, in one line', async () => {
  const { code, stdout, stderr } = await starts(['--task-queue', 'q']).ended;
  expect({ code, stdout }).toEqual({ code: 2, stdout: '' });
  expect(stderr).toMatch(/^\S+ unknown argument --task-queue: .*--help.*\n$/);
});

it('waits for a server, and says that nothing listens', async () => {
  const { firstLine } = starts([], { TEMPORAL_ADDRESS: '127.0.0.1:1' });
  expect(await firstLine).toBe('waiting for the Temporal server at 127.0.0.1:1: nothing listens there');
});

it('SIGTERM ends it while it waits', async () => {
  const { firstLine, ended, kill } = starts([], { TEMPORAL_ADDRESS: '127.0.0.1:1' });
  await firstLine;
  kill('SIGTERM');
  const { code, stderr } = await ended;
  expect(code).toBe(0);
  expect(stderr).toMatch(/^\S+ SIGTERM: ended before it took any work$/m);
});

it('says so when something else than Temporal listens', async () => {
  const server = createServer((socket) => {
    socket.on('error', () => undefined).end('HTTP/1.1 400 Bad Request\r\n\r\n');
  });
  await new Promise<void>((resolve) => {
    server.listen(0, '127.0.0.1', resolve);
  });
  onTestFinished(() => {
    server.close();
  });
  const { port } = server.address() as { port: number };
  const { firstLine } = starts([], { TEMPORAL_ADDRESS: `127.0.0.1:${port}` });
  expect(await firstLine).toBe(
    `waiting for the Temporal server at 127.0.0.1:${port}: it does not answer as Temporal does; is TLS needed, or not?`,
  );
});
