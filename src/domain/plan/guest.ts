/** The guest, as far as it can be asked: it must be running, with the Cloud Assistant agent. */
import type { Instance } from '../../cloud/types.ts';
import type { PlanFinding, RollbackInput, SyncInput } from '../../contract/rollback.ts';
import type { LookAroundResult } from '../../guest/scripts.ts';
import { modeOf } from '../steps.ts';
import { toGrow } from './disk.ts';
import { blocker, type PlanCode, warning } from './findings.ts';
import { couldNotRead, isRunning, type Observed } from './observed.ts';
import { checkPathForms, checkWindows, foreignPaths } from './windows.ts';

const OLDEST_BASH = '4.2';
const OLDEST_POWERSHELL = '5.1';
const LITTLE = 0.05;
const LITTLE_STATE_BYTES = 64 * 1024 ** 2;
const MIB = 1024 ** 2;
const BY_HAND = 'roll back without paths and copy by hand';

/** `needs`: what the run does in the guest; without any of it, a guest that cannot be asked is no blocker. */
interface Needs {
  readonly sync: boolean;
  /** Some are named. */
  readonly paths: boolean;
  readonly freeze: boolean;
  readonly hooks: boolean;
}

export function* checkGuestOfRollback(input: RollbackInput, seen: Observed): Generator<PlanFinding> {
  const { instance } = seen;
  if (instance === undefined) return;
  const needs = {
    sync: input.sync !== undefined,
    paths: (input.sync?.paths ?? []).length > 0,
    freeze: input.freezeFileSystems && modeOf(input, isRunning(seen)) !== 'cold',
    // Of an instance that is stopped and stays so none is run.
    hooks: hasHooks(input) && (isRunning(seen) || input.powerAfter === 'running'),
  };
  yield* checkGuest(instance, input, needs, seen);
  yield* checkHooks(seen);
  if (seen.guest !== undefined) yield* checkStacks(seen.guest, input.diskId);
  if (needs.freeze) yield* checkFreeze(instance, input.diskId, seen);
}

export function* checkGuestOfSync(input: SyncInput, seen: Observed): Generator<PlanFinding> {
  if (seen.instance === undefined) return;
  yield* checkGuest(seen.instance, input, { sync: true, paths: true, freeze: false, hooks: hasHooks(input) }, seen);
  yield* checkHooks(seen);
}

const hasHooks = ({ hooks }: RollbackInput | SyncInput): boolean => Object.keys(hooks ?? {}).length > 0;

function* checkGuest(
  instance: Instance,
  input: RollbackInput | SyncInput,
  needs: Needs,
  seen: Observed,
): Generator<PlanFinding> {
  const willBeStarted = 'powerAfter' in input && input.powerAfter === 'running';
  const paths = input.sync?.paths ?? [];
  yield* checkWindows(instance, input, 'powerAfter' in input && toGrow(input, seen).guest);
  yield* checkPathForms(instance, paths);
  if (needs.sync && instance.status === 'Stopped' && !willBeStarted) {
    yield blocker(
      'SyncNeedsRunningInstance',
      'powerAfter',
      `instance ${instance.id} is Stopped, and bringing data back needs it running`,
      'ask for it with powerAfter "running" (--power running), or start the instance',
    );
  }
  const why = whyNotAsked(instance, seen);
  if (why !== undefined) yield* notAsked(instance, needs, why, seen);
  const foreign = foreignPaths(instance, paths);
  for (const { path, code, message } of seen.paths ?? []) {
    // Said already.
    if (foreign.includes(path)) continue;
    yield blocker(
      codeOfPath(code),
      'sync.paths',
      message,
      REMEDY_OF_PATH[code] ?? 'name existing paths on the disk that is rolled back',
    );
  }
  if (seen.guest !== undefined) {
    yield* checkFileSystems(seen.guest, needs);
    if (needs.sync) yield* checkAbilities(instance, seen.guest);
  }
}

/** Why the guest has said nothing; undefined when it has, or when it was asked in vain (`guestSilence`). */
function whyNotAsked(instance: Instance, seen: Observed): PlanCode | 'Stopped' | undefined {
  if (seen.guest !== undefined) return undefined;
  if (seen.guestSilence !== undefined) return 'GuestNotAnswering';
  if (instance.status !== 'Running') return seen.agent?.installed === false ? 'AgentNotInstalled' : 'Stopped';
  if (couldNotRead(seen, 'agent')) return 'NotReadable';
  if (seen.agent?.installed === false) return 'AgentNotInstalled';
  if (seen.agent?.online !== true) return 'AgentOffline';
  return 'DiskWithoutSerial';
}

function* notAsked(
  instance: Instance,
  needs: Needs,
  why: PlanCode | 'Stopped',
  seen: Observed,
): Generator<PlanFinding> {
  const reasons: Partial<Record<PlanCode | 'Stopped', string>> = {
    Stopped: `instance ${instance.id} is ${instance.status}`,
    AgentNotInstalled: `instance ${instance.id} has no Cloud Assistant agent`,
    AgentOffline: `the Cloud Assistant agent of ${instance.id} has not answered for two minutes`,
    GuestNotAnswering: `the guest of ${instance.id} was asked in vain (${seen.guestSilence})`,
    NotReadable: `whether ${instance.id} has a Cloud Assistant agent could not be read`,
    DiskWithoutSerial: `disk ${seen.disk?.id} has no serial number to find it by in the guest`,
  };
  const reason = reasons[why] ?? '';
  const matters = needs.sync || needs.freeze || needs.hooks;
  const what = needs.sync ? 'bringing data back' : needs.hooks ? 'a hook' : 'freezing file systems';
  if (matters && (why === 'AgentNotInstalled' || why === 'AgentOffline' || why === 'GuestNotAnswering')) {
    yield blocker(why, 'instanceId', reason, `${what} needs it: mend the agent, or roll back without`);
    return;
  }
  yield warning(
    'GuestNotChecked',
    'instanceId',
    `${reason}, so its operating system, file systems, tools, free space and stacked devices were not checked`,
    'make sure that the disk is no part of LVM or RAID with other disks, or look in the guest first',
  );
  if (needs.paths && seen.paths === undefined) {
    yield warning(
      'PathsNotChecked',
      'sync.paths',
      `${reason}, so whether the paths exist is known only after the reset`,
      'what is not there then is named, and snapshot B keeps everything',
    );
  }
}

const PATH_CODES: ReadonlySet<string> = new Set<PlanCode>([
  'PathNotFound',
  'PathNotOnDisk',
  'PathThroughSymlink',
  'UnsupportedLayout',
  'OriginalReadOnly',
]);
/** Where another path is not the answer. */
const REMEDY_OF_PATH: Readonly<Record<string, string>> = {
  ToolMissing: 'install it, or leave this path out',
  UnsupportedLayout: 'leave this path out',
  OriginalReadOnly: 'mount it writable, or leave this path out',
  PathThroughSymlink: 'name the real path',
};
const codeOfPath = (code: string): PlanCode => {
  if (code === 'ToolMissing') return 'GuestToolMissing';
  return PATH_CODES.has(code) ? (code as PlanCode) : 'PathUnusable';
};

function* checkAbilities(instance: Instance, guest: LookAroundResult): Generator<PlanFinding> {
  const windows = instance.osType === 'windows';
  const is = `the guest of ${instance.id} is ${guest.os || guest.kernel} with`;
  if (windows && (guest.kernel !== 'Windows' || isOlder(guest.powershell ?? '0', OLDEST_POWERSHELL))) {
    yield blocker(
      'GuestNotSupported',
      'instanceId',
      `${is} PowerShell ${guest.powershell}; Windows PowerShell ${OLDEST_POWERSHELL} or newer is needed to bring files back`,
      `install Windows Management Framework 5.1, or ${BY_HAND}`,
    );
  }
  if (!windows && (guest.kernel !== 'Linux' || isOlder(guest.bash, OLDEST_BASH))) {
    yield blocker(
      'GuestNotSupported',
      'instanceId',
      `${is} bash ${guest.bash}; Linux with bash ${OLDEST_BASH} or newer is needed to bring files back`,
      BY_HAND,
    );
  }
  if (guest.missingTools.length > 0) {
    yield blocker(
      'GuestToolMissing',
      'instanceId',
      `the guest of ${instance.id} lacks ${guest.missingTools.join(', ')}, which bringing files back needs`,
      `install them, or ${BY_HAND}`,
    );
  }
  if (guest.stateFreeBytes < LITTLE_STATE_BYTES) {
    yield warning(
      'LittleSpace',
      'instanceId',
      `${windows ? 'the system drive' : '/run'} of the guest has ${mib(guest.stateFreeBytes)} left, where the lists of what is copied are kept`,
      'free some of it, or name fewer files',
    );
  }
}

function isOlder(version: string, oldest: string): boolean {
  const [major = 0, minor = 0] = version.split('.').map(Number);
  const [leastMajor = 0, leastMinor = 0] = oldest.split('.').map(Number);
  return major < leastMajor || (major === leastMajor && minor < leastMinor);
}

function* checkFileSystems(guest: LookAroundResult, needs: Needs): Generator<PlanFinding> {
  for (const fileSystem of guest.fileSystems) {
    const { at } = fileSystem;
    if (fileSystem.readOnly) {
      yield warning(
        'FileSystemReadOnly',
        'diskId',
        `the file system at ${at} is mounted read-only now, perhaps because of errors on it`,
        'see in the kernel log of the guest what has happened',
      );
    }
    if (!needs.sync) continue;
    if (!fileSystem.atBoot) {
      yield warning(
        'NotMountedAtBoot',
        'sync.paths',
        `nothing in the guest's /etc/fstab or systemd units mounts ${at} when it boots`,
        'enter it there, or be ready to mount it once the instance runs again: files are brought back only to a mounted disk',
      );
    }
    if (isNearlyFull(fileSystem)) {
      yield warning(
        'LittleSpace',
        'sync.paths',
        `the file system at ${at} has ${mib(fileSystem.freeBytes)} and ${fileSystem.freeInodes} inodes left`,
        'what is brought back may not fit beside what snapshot A holds: name less, or make room after the reset',
      );
    }
  }
}

const isNearlyFull = ({ sizeBytes, freeBytes, inodes, freeInodes }: LookAroundResult['fileSystems'][number]): boolean =>
  freeBytes < sizeBytes * LITTLE || (inodes > 0 && freeInodes < inodes * LITTLE);

const mib = (bytes: number): string => `${Math.floor(bytes / MIB)} MiB`;

function* checkStacks(guest: LookAroundResult, diskId: string): Generator<PlanFinding> {
  for (const { kind, name, withOthers } of guest.stacks) {
    if (withOthers === true) {
      yield blocker(
        'DiskStackedWithOthers',
        'diskId',
        `disk ${diskId} is a part of ${kind} ${name}, which has parts on other disks`,
        'reset alone, it would no longer fit to them: take a consistent set of snapshots and roll all of them back by hand',
      );
    } else if (withOthers === null) {
      yield warning(
        'DiskStackNotKnown',
        'diskId',
        `disk ${diskId} carries ${kind}${name === '' ? '' : ` (${name})`}, which is not active in the guest: whether other disks belong to it is not known`,
        'make sure that none do: reset alone, the disk would no longer fit to them',
      );
    }
  }
}

function* checkHooks({ guest, disk }: Observed): Generator<PlanFinding> {
  for (const { at, message } of guest?.hookProblems ?? []) {
    // What a system disk holds now says nothing of what it holds after the reset.
    const say = disk?.kind === 'system' && at !== 'beforeStop' ? warning : blocker;
    yield say('HookUnusable', 'hooks', `hook ${at}: ${message}`, 'mend it in the guest, or leave the hook out');
  }
}

function* checkFreeze(instance: Instance, diskId: string, seen: Observed): Generator<PlanFinding> {
  const why =
    instance.osType === 'windows'
      ? `instance ${instance.id} runs Windows`
      : seen.disk?.kind === 'system'
        ? `${diskId} is the system disk, which the system itself writes to`
        : seen.guest?.canFreeze === false
          ? `the guest of ${instance.id} has no fsfreeze (util-linux)`
          : undefined;
  if (why === undefined) return;
  yield blocker(
    'FreezeImpossible',
    'freezeFileSystems',
    `${why}, so its file systems cannot be frozen`,
    'leave the freeze out',
  );
}
