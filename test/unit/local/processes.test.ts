import { spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { freePorts, Processes } from '../../../local/processes.ts';

const alive = (pid: number): boolean => {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
};

const waitUntil = async (what: () => boolean): Promise<boolean> => {
  for (let tries = 0; tries < 400; tries += 1) {
    if (what()) return true;
    await delay(50);
  }
  return false;
};

describe('child processes', () => {
  let folder: string;
  beforeEach(async () => {
    folder = await mkdtemp(join(tmpdir(), 'ecs-rollback-processes-'));
  });
  afterEach(async () => {
    await rm(folder, { recursive: true, force: true });
  });

  const script = (code: string) => ({ command: process.execPath, args: ['-e', code] });

  test('lines reach the caller and the log file', async () => {
    const processes = new Processes(folder);
    const lines: string[] = [];
    const child = await processes.start({
      name: 'talker',
      ...script('console.log("one"); console.error("two")'),
      onLine: (line) => lines.push(line),
    });
    expect(await child.ended).toEqual({ code: 0, signal: null });
    await processes.stopAll();
    expect(lines).toEqual(['one']);
    expect((await readFile(child.logFile, 'utf8')).split('\n').filter(Boolean).sort()).toEqual(['one', 'two']);
  });

  test('a child that ignores SIGTERM is killed after its grace, with what it started', async () => {
    const processes = new Processes(folder);
    let grandchild = 0;
    const child = await processes.start({
      name: 'stubborn',
      ...script(
        `process.on('SIGTERM', () => {});
         const c = require('node:child_process').spawn('sleep', ['60'], { stdio: 'ignore' });
         console.log(c.pid); setInterval(() => {}, 1000);`,
      ),
      onLine: (line) => {
        grandchild = Number(line);
      },
      graceMs: 200,
    });
    await processes.ready(child, () => (grandchild > 0 ? true : undefined), 20_000);
    expect(alive(grandchild)).toBe(true);
    await processes.stopAll();
    expect(alive(child.pid)).toBe(false);
    expect(await waitUntil(() => !alive(grandchild))).toBe(true);
  });

  test('the youngest stops first', async () => {
    const processes = new Processes(folder);
    const order: string[] = [];
    for (const name of ['server', 'client']) {
      const child = await processes.start({ name, ...script('console.log("up"); setInterval(() => {}, 1000)') });
      void child.ended.then(() => order.push(name));
    }
    await processes.stopAll();
    expect(order).toEqual(['client', 'server']);
  });

  test('waiting for one that ends says how it ended and what it printed', async () => {
    const processes = new Processes(folder);
    const child = await processes.start({
      name: 'broken',
      ...script('console.error("no such luck"); process.exit(3)'),
    });
    await expect(processes.ready(child, () => undefined, 20_000)).rejects.toThrow(
      /broken ended before it was ready \(exit code 3\).*no such luck/s,
    );
    await processes.stopAll();
  });

  test('none is started once all are being stopped', async () => {
    const processes = new Processes(folder);
    const late = processes.start({ name: 'late', ...script('setInterval(() => {}, 1000)') });
    const stopped = processes.stopAll();
    await expect(late).rejects.toThrow('late is not started');
    await stopped;
  });

  test('a program that does not exist fails instead of hanging', async () => {
    const processes = new Processes(folder);
    const child = await processes.start({ name: 'absent', command: join(folder, 'nothing-here'), args: [] });
    await expect(processes.ready(child, () => undefined, 20_000)).rejects.toThrow('absent ended before it was ready');
    await processes.stopAll();
  });

  test.runIf(process.platform === 'linux')('a child dies with its parent, even when that is killed', async () => {
    const module = pathToFileURL(fileURLToPath(new URL('../../../local/processes.ts', import.meta.url))).href;
    const pidFile = join(folder, 'pid');
    const parentFile = join(folder, 'parent.mts');
    await writeFile(
      parentFile,
      `import { writeFileSync } from 'node:fs';
       import { Processes } from ${JSON.stringify(module)};
       const child = await new Processes(${JSON.stringify(folder)}).start({ name: 'c', command: 'sleep', args: ['60'] });
       writeFileSync(${JSON.stringify(pidFile)}, String(child.pid)); setInterval(() => {}, 1000);`,
    );
    const parent = spawn(process.execPath, ['--import', 'tsx', parentFile], { stdio: 'ignore' });
    try {
      expect(await waitUntil(() => existsSync(pidFile) && readFileSync(pidFile, 'utf8') !== '')).toBe(true);
      const pid = Number(await readFile(pidFile, 'utf8'));
      // Only once it is `sleep` has setpriv armed the kernel's promise.
      expect(await waitUntil(() => readFileSync(`/proc/${pid}/comm`, 'utf8') === 'sleep\n')).toBe(true);
    } finally {
      parent.kill('SIGKILL');
    }
    const pid = Number(await readFile(pidFile, 'utf8'));
    expect(await waitUntil(() => !alive(pid))).toBe(true);
  });

  test('free ports are different and can be listened on', async () => {
    const ports = await freePorts(5);
    expect(new Set(ports).size).toBe(5);
    for (const port of ports) {
      const server = createServer();
      await new Promise<void>((resolve, reject) => {
        server.once('error', reject);
        server.listen(port, '127.0.0.1', resolve);
      });
      await new Promise((resolve) => server.close(resolve));
    }
  });
});
