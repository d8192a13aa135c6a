/**
 * One running guest: its QEMU process, the monitor that plugs disks and stops time, and the agent that runs programs
 * inside. The process dies with the simulator, however that dies (parent-death signal set by setpriv).
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { findCommand } from '../../guest-image/run-command.ts';
import type { GuestImage } from '../../guest-image/build.ts';
import {
  AgentUnavailable,
  type AttachedDisk,
  type ExecRequest,
  type ExecResult,
  type FileToSend,
  shownSerial,
} from '../port.ts';
import { GUEST_SHELL, RECEIVE_FILE, RUN_SCRIPT, STOP_SCRIPT } from './guest-scripts.ts';
import { CommandRefused, JsonSocket, NoAnswer } from './json-socket.ts';

export type Accelerator = 'tcg' | 'kvm';

/** The guest's memory. 256 MiB are enough for rsync over thousands of files; QEMU takes about as much for itself. */
const MEMORY_MIB = 256;
/**
 * The second line switches off hardening and self-tests that only cost an emulated guest time. Most of all `norandmaps`:
 * QEMU keeps what it has translated by address, so a program that is always at the same one starts in a quarter of the time.
 */
const KERNEL_ARGUMENTS =
  'console=ttyS0 quiet panic=0 reboot=t norandmaps ' +
  'mitigations=off nokaslr init_on_alloc=0 hardened_usercopy=off randomize_kstack_offset=off cryptomgr.notests';
const WITHOUT_SELINUX = 'lsm=capability audit=0';
/** What it denies is in the kernel's log. */
const WITH_SELINUX = 'lsm=capability,selinux selinux=1 audit=1';
/** An agent heard from so lately is not asked again whether it is there. */
const AGENT_HEARD_MS = 1_000;
const UNPLUG_RETRY_MS = 5_000;
const UNPLUG_LIMIT_MS = 120_000;

export interface MachineOptions {
  readonly instanceId: string;
  /** Of this instance alone; holds sockets, logs and the process number. */
  readonly folder: string;
  readonly image: GuestImage;
  readonly accelerator: Accelerator;
  /** In the kernel, without a policy. */
  readonly selinux: boolean;
  readonly disks: ReadonlyArray<AttachedDisk & { readonly path: string }>;
}

/**
 * Arguments every QEMU of ours begins with; also those of the boot probe. With RDRAND the guest has random numbers from its
 * start, as on the real service; else each UUID that mkfs, sfdisk or LVM makes waits a second for one. What QEMU has translated
 * has room in `tb-size` (MiB) from the boot on: all of it is thrown away whenever that is full. One processor needs no thread
 * of its own (`thread=single`): a fourteenth less time.
 */
export function baseArguments(accelerator: Accelerator): string[] {
  return [
    accelerator === 'kvm'
      ? ['-accel', 'kvm', '-cpu', 'host']
      : ['-accel', 'tcg,thread=single,tb-size=96', '-cpu', 'Nehalem,+rdrand'],
    ['-M', 'pc,usb=off', '-m', String(MEMORY_MIB), '-smp', '1', '-nodefaults', '-no-user-config', '-display', 'none'],
  ].flat();
}

/** Starts QEMU so that it is killed when this process ends, even by SIGKILL. */
export function spawnQemu(args: readonly string[], options: { cwd: string; stderr: number | 'ignore' }): ChildProcess {
  const qemu = findCommand('qemu-system-x86_64');
  const setpriv = findCommand('setpriv');
  if (qemu === undefined)
    throw new Error(
      'qemu-system-x86_64 is not installed; as root: apt-get install --no-install-recommends qemu-system-x86',
    );
  if (setpriv === undefined) throw new Error('setpriv is not installed; as root: apt-get install util-linux');
  // A session of its own: Ctrl-C in the terminal is for the simulator to handle.
  return spawn(setpriv, ['--pdeathsig', 'KILL', '--', qemu, ...args], {
    cwd: options.cwd,
    detached: true,
    stdio: ['ignore', 'ignore', options.stderr],
  });
}

function blockNode(disk: { serial: string; path: string }): object {
  return {
    driver: 'raw',
    'node-name': `n-${disk.serial}`,
    discard: 'unmap',
    // The host's page cache outlives QEMU, so flushing to the host's disk would only cost time.
    cache: { 'no-flush': true },
    file: { driver: 'file', filename: disk.path, cache: { 'no-flush': true } },
  };
}

const driverOf = ({ bus }: AttachedDisk): string => (bus === 'nvme' ? 'nvme' : 'virtio-blk-pci');

/** virtio-blk cuts a serial at 20 bytes without a word. */
export function checkSerial(disk: AttachedDisk): void {
  if (!/^[A-Za-z0-9_-]{1,20}$/.test(disk.serial)) {
    throw new Error(`disk ${disk.diskId}: the serial ${JSON.stringify(disk.serial)} is not 1 to 20 letters or digits`);
  }
}

export class Machine {
  readonly instanceId: string;
  /** Resolves when the process has ended. */
  readonly ended: Promise<void>;
  readonly #process: ChildProcess;
  readonly #folder: string;
  readonly #disks: Map<string, AttachedDisk>;
  #monitor!: JsonSocket;
  #agent!: JsonSocket;
  #ping: Promise<boolean> | undefined;
  #agentQueue: Promise<unknown> = Promise.resolve();
  #agentHeardAt = 0;
  #isRunning = true;

  private constructor(child: ChildProcess, options: MachineOptions) {
    this.instanceId = options.instanceId;
    this.#process = child;
    this.#folder = options.folder;
    this.#disks = new Map(options.disks.map((disk) => [disk.diskId, { diskId: disk.diskId, serial: disk.serial }]));
    this.ended = new Promise((resolve) => {
      child.once('exit', () => {
        this.#isRunning = false;
        resolve();
      });
    });
  }

  /** Resolves when QEMU runs and its monitor answers; the guest boots from then on. */
  static async start(options: MachineOptions): Promise<Machine> {
    const { folder, image } = options;
    for (const disk of options.disks) checkSerial(disk);
    await fs.mkdir(folder, { recursive: true });
    for (const name of ['monitor.sock', 'agent.sock', 'console.log']) await fs.rm(join(folder, name), { force: true });
    const args = [
      ['-name', options.instanceId],
      baseArguments(options.accelerator),
      // Paths are relative to the folder: a socket's path may have 107 bytes only.
      ['-serial', 'file:console.log', '-qmp', 'unix:monitor.sock,server=on,wait=off'],
      ['-kernel', image.kernel, '-initrd', image.initrd],
      ['-append', `${KERNEL_ARGUMENTS} ${options.selinux ? WITH_SELINUX : WITHOUT_SELINUX}`],
      ...options.disks.map((disk) => [
        '-blockdev',
        JSON.stringify(blockNode(disk)),
        '-device',
        `${driverOf(disk)},id=v-${disk.serial},drive=n-${disk.serial},serial=${shownSerial(disk)}`,
      ]),
      ['-device', 'virtio-serial-pci', '-chardev', 'socket,path=agent.sock,server=on,wait=off,id=agent'],
      ['-device', 'virtserialport,chardev=agent,name=org.qemu.guest_agent.0'],
    ].flat();
    const stderr = openSync(join(folder, 'qemu.log'), 'w');
    const child = spawnQemu(args, { cwd: folder, stderr });
    closeSync(stderr);
    const machine = new Machine(child, options);
    await once(child, 'spawn');
    await fs.writeFile(join(folder, 'qemu.pid'), String(child.pid));
    const directory = await fs.open(folder);
    try {
      machine.#monitor = await machine.#connect(directory.fd, 'monitor.sock');
      await machine.#monitor.command('qmp_capabilities');
      machine.#agent = await machine.#connect(directory.fd, 'agent.sock');
    } catch (error) {
      child.kill('SIGKILL');
      await machine.ended;
      const said = readFileSync(join(folder, 'qemu.log'), 'utf8').trim().split('\n').slice(-3).join(' | ');
      throw new Error(`guest ${options.instanceId} did not start: ${said || String(error)}`, { cause: error });
    } finally {
      await directory.close();
    }
    return machine;
  }

  get isRunning(): boolean {
    return this.#isRunning;
  }

  hasDisk(diskId: string): boolean {
    return this.#disks.has(diskId);
  }

  /** The last lines of the guest's console, for error messages. */
  consoleTail(): string {
    try {
      const lines = readFileSync(join(this.#folder, 'console.log'), 'utf8').trim().split(/\r?\n/);
      return lines.slice(-5).join(' | ') || '(empty)';
    } catch {
      return '(none)';
    }
  }

  /** Asks the guest to shut down, again and again until it is off: a button pressed in early boot is not heard. */
  async shutDown(log: (line: string) => void): Promise<void> {
    for (let tries = 1; this.#isRunning; tries++) {
      await this.#monitor.command('system_powerdown').catch(() => undefined);
      if (tries > 2) await this.#askAgent('guest-shutdown', {}, 500).catch(() => undefined);
      if (tries % 30 === 0)
        log(`guest ${this.instanceId} is asked to shut down for ${tries * 2} s; console: ${this.consoleTail()}`);
      await Promise.race([this.ended, sleep(2_000, undefined, { ref: false })]);
    }
  }

  /** As pulling the plug. */
  async powerOff(): Promise<void> {
    await Promise.race([this.#monitor.command('quit', {}, 2_000).catch(() => undefined), this.ended]);
    if (this.#isRunning) await Promise.race([this.ended, sleep(1_000)]);
    if (this.#isRunning) this.#process.kill('SIGKILL');
    await this.ended;
  }

  /** Stops the guest's time, with nothing in flight to its disks. */
  async pause(): Promise<void> {
    await this.#monitor.command('stop');
  }

  async resume(): Promise<void> {
    if (this.#isRunning) await this.#monitor.command('cont');
  }

  async attach(disk: AttachedDisk, path: string): Promise<void> {
    if (this.#disks.has(disk.diskId)) return;
    checkSerial(disk);
    await this.#monitor.command('blockdev-add', blockNode({ serial: disk.serial, path }));
    try {
      await this.#monitor.command('device_add', {
        driver: driverOf(disk),
        id: `v-${disk.serial}`,
        drive: `n-${disk.serial}`,
        serial: shownSerial(disk),
      });
    } catch (error) {
      await this.#monitor.command('blockdev-del', { 'node-name': `n-${disk.serial}` }).catch(() => undefined);
      throw error;
    }
    this.#disks.set(disk.diskId, disk);
  }

  /** The guest has to let go of the device, which it does not while it boots: asked again until it has. */
  async detach(diskId: string): Promise<void> {
    const disk = this.#disks.get(diskId);
    if (disk === undefined) return;
    const device = `v-${disk.serial}`;
    const unplug = { isDone: false, wake: (): void => undefined };
    const onDeleted = (data: { device?: string }): void => {
      if (data.device !== device) return;
      unplug.isDone = true;
      unplug.wake();
    };
    this.#monitor.events.on('DEVICE_DELETED', onDeleted);
    try {
      const limit = Date.now() + UNPLUG_LIMIT_MS;
      while (!unplug.isDone && this.#isRunning) {
        if (Date.now() > limit) {
          throw new Error(
            `guest ${this.instanceId} did not let go of disk ${diskId} within ${UNPLUG_LIMIT_MS / 1000} s; console: ${this.consoleTail()}`,
          );
        }
        await this.#monitor.command('device_del', { id: device }).catch((error: unknown) => {
          // Refused: already being unplugged, or gone since.
          if (!(error instanceof CommandRefused)) throw error;
          if (error.message.includes('not found')) unplug.isDone = true;
        });
        if (unplug.isDone) break;
        const deleted = new Promise<void>((resolve) => {
          unplug.wake = resolve;
        });
        await Promise.race([deleted, this.ended, sleep(UNPLUG_RETRY_MS, undefined, { ref: false })]);
      }
      if (this.#isRunning) await this.#monitor.command('blockdev-del', { 'node-name': `n-${disk.serial}` });
    } finally {
      this.#monitor.events.off('DEVICE_DELETED', onDeleted);
    }
    this.#disks.delete(diskId);
  }

  async resize(diskId: string, sizeBytes: number): Promise<void> {
    const disk = this.#disks.get(diskId);
    if (disk !== undefined)
      await this.#monitor.command('block_resize', { 'node-name': `n-${disk.serial}`, size: sizeBytes });
  }

  /** One ping at a time: what is sent to an agent that is not there yet waits for it, and would pile up. */
  async agentAnswers(timeoutMs: number): Promise<boolean> {
    if (!this.#isRunning) return false;
    if (Date.now() - this.#agentHeardAt < AGENT_HEARD_MS) return true;
    this.#ping ??= this.#askAgent('guest-ping', {}, 60_000)
      .then(
        () => true,
        () => false,
      )
      .finally(() => {
        this.#ping = undefined;
      });
    return Promise.race([this.#ping, sleep(timeoutMs, false, { ref: false })]);
  }

  /** One command at a time: of several sent at once the agent has been seen to lose one. */
  async #askAgent(command: string, args: object = {}, timeoutMs?: number): Promise<unknown> {
    const answer = this.#agentQueue.then(async () => {
      const said = await this.#agent.command(command, args, timeoutMs);
      this.#agentHeardAt = Date.now();
      return said;
    });
    this.#agentQueue = answer.catch(() => undefined);
    return answer;
  }

  async exec(request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    const name = randomBytes(8).toString('hex');
    const pid = await this.#startInGuest(RUN_SCRIPT, [name, request.user, request.workingDir], request.script);
    let timedOut = false;
    const stop = (): void => {
      this.#startInGuest(STOP_SCRIPT, [name]).catch(() => undefined);
    };
    const timer = setTimeout(() => {
      timedOut = true;
      stop();
    }, request.timeoutMs);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
    try {
      return { ...(await this.#waitInGuest(pid)), timedOut };
    } finally {
      clearTimeout(timer);
      signal.removeEventListener('abort', stop);
    }
  }

  async sendFile(file: FileToSend): Promise<{ exitCode: number; message: string }> {
    const args = [file.path, file.mode, file.owner, file.group, String(file.overwrite)];
    const pid = await this.#startInGuest(RECEIVE_FILE, args, file.content);
    const { exitCode, output } = await this.#waitInGuest(pid);
    return { exitCode, message: output.toString('utf8').trim() };
  }

  /** Starts a shell in the guest, answers its process number there. Throws AgentUnavailable when it was not started. */
  async #startInGuest(script: string, args: readonly string[], input: Buffer = Buffer.alloc(0)): Promise<number> {
    if (!(await this.agentAnswers(10_000))) {
      throw new AgentUnavailable(
        `the agent of guest ${this.instanceId} does not answer; console: ${this.consoleTail()}`,
      );
    }
    try {
      const answer = (await this.#askAgent('guest-exec', {
        path: GUEST_SHELL,
        arg: ['sh', '-c', script, 'ecs-exec', ...args],
        'input-data': input.toString('base64'),
        'capture-output': true,
      })) as { pid: number };
      return answer.pid;
    } catch (error) {
      throw new AgentUnavailable(`guest ${this.instanceId} did not start the script: ${String(error)}`, {
        cause: error,
      });
    }
  }

  async #waitInGuest(pid: number): Promise<{ exitCode: number; output: Buffer }> {
    for (let pause = 20; ; pause = Math.min(pause * 1.3, 400)) {
      await sleep(pause);
      let status: { exited: boolean; exitcode?: number; signal?: number; 'out-data'?: string; 'err-data'?: string };
      try {
        status = (await this.#askAgent('guest-exec-status', { pid })) as typeof status;
      } catch (error) {
        if (error instanceof NoAnswer && this.#isRunning && (await this.agentAnswers(30_000))) continue;
        throw new Error(
          `guest ${this.instanceId} lost its agent while a script ran (${String(error)}); console: ${this.consoleTail()}`,
          { cause: error },
        );
      }
      if (!status.exited) continue;
      const output = Buffer.concat(
        [status['out-data'], status['err-data']].map((data) => Buffer.from(data ?? '', 'base64')),
      );
      return { exitCode: status.exitcode ?? 128 + (status.signal ?? 0), output };
    }
  }

  async #connect(directory: number, name: string): Promise<JsonSocket> {
    const limit = Date.now() + 30_000;
    for (;;) {
      try {
        // By way of the folder's descriptor the path is short wherever the folder is.
        return await JsonSocket.connect(`/proc/self/fd/${directory}/${name}`);
      } catch (error) {
        if (!this.#isRunning) throw new Error('QEMU ended at once', { cause: error });
        if (Date.now() > limit) throw error;
      }
      await sleep(10);
    }
  }
}
