/**
 * Chooses between emulation (TCG) and KVM. That /dev/kvm exists, opens and makes a VM proves nothing: some hosts emulate
 * it so slowly that no kernel ever starts. So a kernel is booted to its first line of output, once per host.
 */
import { createHash } from 'node:crypto';
import { constants, openSync, closeSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { release } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { GuestImage } from '../../guest-image/build.ts';
import { cacheFolder } from '../../guest-image/cache.ts';
import { runCommand } from '../../guest-image/run-command.ts';
import { type Accelerator, baseArguments, spawnQemu } from './machine.ts';

const PROBE_LIMIT_MS = 5_000;

/** The fastest accelerator that is proven to boot a guest here. */
export async function chooseAccelerator(image: GuestImage, log: (line: string) => void): Promise<Accelerator> {
  try {
    closeSync(openSync('/dev/kvm', constants.O_RDWR));
  } catch {
    return 'tcg';
  }
  const qemu = (await runCommand('qemu-system-x86_64', ['--version'])).split('\n')[0];
  const host = createHash('sha256')
    .update(JSON.stringify([release(), qemu, await processorName(), image.kernel]))
    .digest('hex')
    .slice(0, 16);
  const file = join(cacheFolder(), 'kvm-probe', host);
  const known = await fs.readFile(file, 'utf8').catch(() => '');
  if (known === 'kvm' || known === 'tcg') return known;
  log('trying whether KVM works here (once, at most 5 s)');
  const result = (await probe(image)) ? 'kvm' : 'tcg';
  log(
    result === 'kvm'
      ? 'KVM works: guests run at full speed'
      : 'KVM does not boot a guest here: guests are emulated (TCG)',
  );
  await fs.mkdir(join(cacheFolder(), 'kvm-probe'), { recursive: true });
  await fs.writeFile(`${file}.${process.pid}`, result);
  await fs.rename(`${file}.${process.pid}`, file);
  return result;
}

async function processorName(): Promise<string> {
  const text = await fs.readFile('/proc/cpuinfo', 'utf8').catch(() => '');
  return /^model name\s*:\s*(.*)$/m.exec(text)?.[1] ?? '';
}

async function probe(image: GuestImage): Promise<boolean> {
  const folder = await fs.mkdtemp(join(cacheFolder(), 'probe-'));
  const consoleLog = join(folder, 'console.log');
  const child = spawnQemu(
    [
      baseArguments('kvm'),
      ['-no-reboot', '-serial', 'file:console.log', '-kernel', image.kernel, '-initrd', image.initrd],
      ['-append', 'console=ttyS0 quiet panic=-1 boot_probe'],
    ].flat(),
    { cwd: folder, stderr: 'ignore' },
  );
  let ended = false;
  child.once('exit', () => {
    ended = true;
  });
  try {
    const limit = Date.now() + PROBE_LIMIT_MS;
    while (Date.now() < limit) {
      const text = await fs.readFile(consoleLog, 'utf8').catch(() => '');
      if (text.includes('ecs-rollback-boot-probe-ok')) return true;
      if (ended) return false;
      await sleep(50);
    }
    return false;
  } finally {
    child.kill('SIGKILL');
    await fs.rm(folder, { recursive: true, force: true });
  }
}
