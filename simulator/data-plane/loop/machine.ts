/**
 * One running `loop` guest: a process tree in its own mount, pid, uts and ipc namespaces on the host's kernel, with loop
 * devices as its disks. It is no security border: root in the guest is root on the host, so run only scripts you trust.
 */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { mkdir, open, readFile, rm } from 'node:fs/promises';
import { constants } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { AgentUnavailable, shownSerial } from '../port.ts';
import type { AttachedDisk, ExecRequest, ExecResult, FileToSend } from '../port.ts';
import { GuestUdev } from './guest-udev.ts';
import { LoopDevice } from './loop-devices.ts';
import { runTool } from './run-tool.ts';

const INIT = fileURLToPath(new URL('./guest-init.sh', import.meta.url));
const GUEST_PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';
const GUEST_ENVIRONMENT = {
  PATH: GUEST_PATH,
  HOME: '/root',
  USER: 'root',
  LOGNAME: 'root',
  SHELL: '/bin/bash',
  // libudev believes only a real sysfs otherwise, and lsblk then knows no serials.
  SYSTEMD_DEVICE_VERIFY_SYSFS: '0',
};
const BOOT_TIMEOUT_MS = 60_000;
/** How long processes have between TERM and KILL at a shutdown. */
const SHUTDOWN_GRACE_MS = 5_000;
/** How long the kernel may take to write back and give up a loop device. */
const RELEASE_TIMEOUT_MS = 60_000;

/**
 * Started in the guest for each command, as root: its own copy of the script, then the script itself in its place.
 * Arguments: file for the script, user, working directory. The script's bytes come on standard input.
 */
const RUN_SCRIPT = `
file=$1 user=$2 dir=$3
umask 077
cat >"$file" || exit 125
chmod 700 "$file"
umask 022
if [ "$user" = root ]; then
  cd "$dir" 2>/dev/null || { echo "cannot cd to $dir: no such folder"; exit 125; }
  exec "$file" </dev/null
fi
group=$(id -g -- "$user" 2>/dev/null) || { echo "user $user does not exist"; exit 125; }
chown "$user" "$file"
HOME=$(awk -F: -v user="$user" '$1 == user { print $6 }' /etc/passwd)
export HOME USER="$user" LOGNAME="$user"
cd "$dir" 2>/dev/null || { echo "cannot cd to $dir: no such folder"; exit 125; }
exec setpriv --reuid="$user" --regid="$group" --init-groups -- "$file" </dev/null
`;

/** Arguments: path, mode, owner, group, 1 to overwrite. The content comes on standard input. */
const RECEIVE_FILE = `
path=$1
if [ "$5" != 1 ] && [ -e "$path" ]; then echo "$path exists" >&2; exit 17; fi
mkdir -p -- "$(dirname -- "$path")" || exit 1
part=$(mktemp -- "$path.XXXXXX") || exit 1
if cat >"$part" && chown -- "$3:$4" "$part" && chmod -- "$2" "$part" && mv -T -- "$part" "$path"; then exit 0; fi
rm -f -- "$part"
exit 1
`;

/** A disk to plug in, and the file that has its bytes. */
export interface DiskImage extends AttachedDisk {
  readonly image: string;
}

interface PluggedDisk {
  readonly name: string;
  readonly loop: LoopDevice;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function signalGroup(pid: number, signal: NodeJS.Signals): void {
  try {
    process.kill(-pid, signal);
  } catch {
    // Nobody is left in it.
  }
}

async function isStopped(pid: number): Promise<boolean> {
  const stat = await readFile(`/proc/${pid}/stat`, 'utf8').catch(() => '');
  return stat.slice(stat.lastIndexOf(')') + 2).startsWith('T');
}

export class Machine {
  readonly instanceId: string;
  private readonly folder: string;
  private readonly log: (line: string) => void;
  private readonly disks = new Map<string, PluggedDisk>();
  private readonly commands = new Set<number>();
  private namespace: ChildProcess | undefined;
  private initPid = 0;
  private udev: GuestUdev | undefined;
  private frozen = false;
  private starting: Promise<void> | undefined;
  private ending: Promise<void> | undefined;
  private plugging: Promise<void> = Promise.resolve();
  private commandNumber = 0;

  /** `folder` is the machine's own: mount point, console log, output of commands. */
  constructor(instanceId: string, folder: string, log: (line: string) => void) {
    this.instanceId = instanceId;
    this.folder = folder;
    this.log = log;
  }

  /** Process 1 of the guest runs, whether or not it has booted to the end. */
  get running(): boolean {
    return !this.ended && this.initPid !== 0 && this.udev !== undefined;
  }

  get ended(): boolean {
    return this.ending !== undefined;
  }

  has(diskId: string): boolean {
    return this.disks.has(diskId);
  }

  loopOf(diskId: string): LoopDevice | undefined {
    return this.disks.get(diskId)?.loop;
  }

  /** Boots from the first disk; the guest's fstab is mounted when it resolves. On failure nothing is left attached. */
  start(disks: readonly DiskImage[]): Promise<void> {
    this.starting ??= this.boot(disks).catch(async (error: unknown) => {
      await this.end();
      throw error;
    });
    return this.starting;
  }

  private async boot(disks: readonly DiskImage[]): Promise<void> {
    const [system, ...others] = disks;
    if (system === undefined) throw new Error(`${this.instanceId} has no system disk to start from`);
    await rm(this.folder, { recursive: true, force: true });
    await mkdir(`${this.folder}/root`, { recursive: true });
    const vda = await this.plug('vda', system);
    const [root] = await vda.partitions();
    if (root === undefined) throw new Error(`${this.instanceId} does not boot: ${system.diskId} has no partition`);

    this.initPid = await this.startNamespace([
      `${this.folder}/root`,
      this.instanceId,
      ...[vda.number, root].flatMap(({ major, minor }) => [String(major), String(minor)]),
    ]);
    const udev = new GuestUdev(`/proc/${this.initPid}/root`, (line) => this.log(`${this.instanceId}: ${line}`));
    this.udev = udev;
    await udev.add('vda', system.serial, vda);
    for (const disk of others) {
      const name = this.freeName();
      await udev.add(name, shownSerial(disk), await this.plug(name, disk));
    }
    // As after a boot with `nofail`: what cannot be mounted is in the console log, and the machine runs.
    const mount = await this.inGuest(['mount', '-a'], Buffer.alloc(0));
    if (mount.exitCode !== 0) this.log(`${this.instanceId}: mount -a: ${mount.output.toString().trim()}`);
  }

  private async startNamespace(args: readonly string[]): Promise<number> {
    const console = await open(`${this.folder}/console.log`, 'a', 0o600);
    try {
      const namespaces = '--mount --pid --uts --ipc --propagation private --fork --kill-child=KILL'.split(' ');
      // Both layers die with this process: the kernel kills `unshare`, and `unshare` dying kills the guest's process 1.
      const child = spawn(
        'setpriv',
        ['--pdeathsig', 'KILL', '--', 'unshare', ...namespaces, '--', 'bash', INIT, ...args],
        { stdio: ['pipe', console.fd, console.fd, 'pipe'], env: { PATH: GUEST_PATH, LC_ALL: 'C' }, cwd: '/' },
      );
      this.namespace = child;
      child.stdin?.on('error', () => undefined);
      child.on('exit', () => void this.end());
      const ready = child.stdio[3];
      return await new Promise<number>((resolve, reject) => {
        let said = '';
        const fail = (why: string): void => {
          clearTimeout(timer);
          void readFile(`${this.folder}/console.log`, 'utf8')
            .catch(() => '')
            .then((text) => reject(new Error(`${this.instanceId} does not boot: ${why}; ${text.trim().slice(-400)}`)));
        };
        const timer = setTimeout(() => {
          child.kill('SIGKILL');
          fail(`no answer in ${BOOT_TIMEOUT_MS / 1000} s`);
        }, BOOT_TIMEOUT_MS);
        child.on('error', (error) => fail(error.message));
        child.on('exit', (status, signal) => fail(`process 1 ended with ${status ?? signal}`));
        ready?.on('data', (chunk: Buffer) => {
          said += chunk.toString();
          if (!said.endsWith('\n')) return;
          clearTimeout(timer);
          resolve(Number(said.trim()));
        });
      });
    } finally {
      await console.close();
    }
  }

  private freeName(): string {
    const taken = new Set([...this.disks.values()].map((disk) => disk.name));
    for (const letter of 'bcdefghijklmnopqrstuvwxyz') {
      if (!taken.has(`vd${letter}`)) return `vd${letter}`;
    }
    throw new Error(`${this.instanceId} has no room for another disk`);
  }

  private async plug(name: string, disk: DiskImage): Promise<LoopDevice> {
    const loop = await LoopDevice.attach(disk.image);
    this.disks.set(disk.diskId, { name, loop });
    return loop;
  }

  /** One plug or unplug after the other. */
  private inTurn(change: () => Promise<void>): Promise<void> {
    const done = this.plugging.then(change);
    this.plugging = done.catch(() => undefined);
    return done;
  }

  attach(disk: DiskImage): Promise<void> {
    return this.inTurn(async () => {
      if (this.disks.has(disk.diskId) || this.ended) return;
      const name = this.freeName();
      const loop = await this.plug(name, disk);
      await this.udev?.add(name, shownSerial(disk), loop);
    });
  }

  /**
   * Pulls the disk. File systems that the guest has mounted from it are shut down first, so that from then on they
   * answer EIO and write nothing, as after a surprise removal; the loop device goes when the guest unmounts them.
   */
  detach(diskId: string): Promise<void> {
    return this.inTurn(() => this.pull(diskId));
  }

  private async pull(diskId: string): Promise<void> {
    const disk = this.disks.get(diskId);
    if (disk === undefined) return;
    this.disks.delete(diskId);
    const mounted = await this.shutDownFileSystems(disk.loop);
    await this.udev?.remove(disk.name);
    const gone = await disk.loop.release(mounted ? 200 : RELEASE_TIMEOUT_MS);
    if (!gone)
      this.log(`${this.instanceId}: ${diskId} was pulled while in use; its loop device goes with the last user`);
  }

  /** Whether there were any. What is only in the page cache is lost. */
  private async shutDownFileSystems(loop: LoopDevice): Promise<boolean> {
    const numbers = new Set([loop.number, ...(await loop.partitions())].map(({ major, minor }) => `${major}:${minor}`));
    const mounts = await readFile(`/proc/${this.initPid}/mountinfo`, 'utf8').catch(() => '');
    const points = mounts
      .split('\n')
      .map((line) => line.split(' '))
      .filter((fields) => numbers.has(fields[2] ?? ''))
      .map((fields) =>
        (fields[4] ?? '').replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(parseInt(octal, 8))),
      );
    for (const point of points) {
      const shutdown = ['xfs_io', '-x', '-c', 'shutdown', point];
      await runTool('nsenter', [`--target=${this.initPid}`, '--mount', '--', ...shutdown]).catch((error: unknown) =>
        this.log(`${this.instanceId}: ${point} was not shut down: ${String(error)}`),
      );
    }
    return points.length > 0;
  }

  /** The guest sees a disk whose file has grown. */
  async diskGrew(diskId: string): Promise<void> {
    const disk = this.disks.get(diskId);
    if (disk === undefined) return;
    await disk.loop.growWithFile();
    await this.udev?.refresh();
  }

  /**
   * Runs `during` while no process of the guest runs. The kernel may still write back for it: see snapshots in loop.ts.
   */
  async whileFrozen<T>(during: () => Promise<T>): Promise<T> {
    if (!this.running) return during();
    const signal = (name: string): Promise<string> =>
      runTool('nsenter', [`--target=${this.initPid}`, '--pid', '--', 'sh', '-c', `kill -${name} -1 2>/dev/null || :`]);
    this.frozen = true;
    try {
      await signal('STOP');
      return await during();
    } finally {
      await signal('CONT').catch((error: unknown) => this.log(`${this.instanceId}: not thawed: ${String(error)}`));
      this.frozen = false;
      for (const pid of this.commands) signalGroup(pid, 'SIGCONT');
    }
  }

  async exec(request: ExecRequest, signal: AbortSignal): Promise<ExecResult> {
    this.commandNumber += 1;
    const script = `/run/simulator/command-${this.commandNumber}`;
    try {
      const args = ['sh', '-c', RUN_SCRIPT, 'run', script, request.user, request.workingDir];
      return await this.inGuest(args, request.script, request.timeoutMs, signal);
    } finally {
      await rm(`/proc/${this.initPid}/root${script}`, { force: true }).catch(() => undefined);
    }
  }

  async sendFile(file: FileToSend): Promise<{ exitCode: number; message: string }> {
    const { path, mode, owner, group, overwrite } = file;
    const args = ['sh', '-c', RECEIVE_FILE, 'receive', path, mode, owner, group, overwrite ? '1' : '0'];
    const { exitCode, output } = await this.inGuest(args, file.content, 60_000);
    return { exitCode, message: output.toString().trim() };
  }

  /** Runs a program in all of the guest's namespaces, in a process group of its own. */
  private async inGuest(
    args: readonly string[],
    input: Buffer,
    timeoutMs = 60_000,
    signal?: AbortSignal,
  ): Promise<ExecResult> {
    if (this.ended || !isAlive(this.initPid)) throw new AgentUnavailable(`${this.instanceId} is not running`);
    this.commandNumber += 1;
    const outputPath = `${this.folder}/output-${this.commandNumber}`;
    // A file, not a pipe: stdout and stderr keep their order, and a child that stays behind never gets SIGPIPE.
    const output = await open(outputPath, 'ax+', 0o600);
    try {
      const child = spawn(
        'nsenter',
        [`--target=${this.initPid}`, '--mount', '--uts', '--ipc', '--pid', '--', ...args],
        {
          stdio: ['pipe', output.fd, output.fd],
          detached: true,
          cwd: '/',
          env: GUEST_ENVIRONMENT,
        },
      );
      const pid = child.pid ?? 0;
      let timedOut = false;
      const kill = (): void => {
        if (pid > 0) signalGroup(pid, 'SIGKILL');
      };
      const ended = new Promise<number>((resolve, reject) => {
        child.on('error', reject);
        child.on('exit', (status, name) => resolve(status ?? 128 + (name === null ? 0 : constants.signals[name])));
      });
      const timer = setTimeout(() => {
        timedOut = true;
        kill();
      }, timeoutMs);
      // nsenter stops itself when its child is stopped, after a snapshot's CONT if it is slow to be scheduled.
      const unstick = setInterval(() => {
        void this.wakeIfStopped(pid);
      }, 200);
      this.commands.add(pid);
      signal?.addEventListener('abort', kill, { once: true });
      if (signal?.aborted === true) kill();
      child.stdin?.on('error', () => undefined);
      child.stdin?.end(input);
      try {
        const exitCode = await ended;
        return { exitCode, output: await readFile(outputPath), timedOut };
      } finally {
        clearTimeout(timer);
        clearInterval(unstick);
        this.commands.delete(pid);
        signal?.removeEventListener('abort', kill);
      }
    } finally {
      await output.close();
      await rm(outputPath, { force: true });
    }
  }

  private async wakeIfStopped(pid: number): Promise<void> {
    if ((await isStopped(pid)) && !this.frozen) signalGroup(pid, 'SIGCONT');
  }

  async agentAnswers(): Promise<boolean> {
    if (!this.running || this.frozen) return false;
    return this.inGuest(['true'], Buffer.alloc(0), 5_000).then(
      (result) => result.exitCode === 0,
      () => false,
    );
  }

  /**
   * Not forced: TERM, a grace, KILL, then the kernel unmounts everything cleanly as the namespaces go. Forced: a power
   * cut; the file systems are shut down first, so that what was not synced is lost.
   */
  async stop(options: { force: boolean }): Promise<void> {
    if (this.initPid !== 0 && isAlive(this.initPid)) {
      if (options.force) for (const disk of this.disks.values()) await this.shutDownFileSystems(disk.loop);
      else await this.endProcesses();
    }
    await this.end();
  }

  private async endProcesses(): Promise<void> {
    const inPidNamespace = (script: string): Promise<string> =>
      runTool('nsenter', [`--target=${this.initPid}`, '--mount', '--pid', '--', 'sh', '-c', script]);
    await inPidNamespace('kill -TERM -1 2>/dev/null || :').catch(() => '');
    const end = Date.now() + SHUTDOWN_GRACE_MS;
    // Counted in the guest: process 1 and the two that count.
    const others =
      'n=0; for p in /proc/[0-9]*; do [ "$p" = /proc/1 ] || [ "$p" = "/proc/$$" ] || n=$((n + 1)); done; echo "$n"';
    while (Date.now() < end) {
      if (Number(await inPidNamespace(others).catch(() => '0')) === 0) break;
      await sleep(50);
    }
  }

  /** Kills process 1, and waits until the kernel has taken everything down. */
  private end(): Promise<void> {
    this.ending ??= this.takeDown();
    return this.ending;
  }

  private async takeDown(): Promise<void> {
    await this.udev?.close();
    if (this.initPid !== 0 && isAlive(this.initPid)) process.kill(this.initPid, 'SIGKILL');
    const namespace = this.namespace;
    if (namespace?.pid !== undefined && namespace.exitCode === null && namespace.signalCode === null) {
      if (this.initPid === 0) namespace.kill('SIGKILL');
      await new Promise((resolve) => namespace.once('exit', resolve));
    }
    for (const [diskId, disk] of this.disks) {
      if (!(await disk.loop.release(RELEASE_TIMEOUT_MS))) {
        const seconds = RELEASE_TIMEOUT_MS / 1000;
        this.log(`${this.instanceId}: ${disk.loop.path} of ${diskId} is still in use ${seconds} s after the end`);
      }
    }
    this.disks.clear();
  }
}
