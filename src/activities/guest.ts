/** Steps 6 and 7 in the guest: find the device, mount it, copy, verify, unmount. One script each. */
import { createHash } from 'node:crypto';
import { cancelled, heartbeat, sleep } from '@temporalio/activity';
import { ApplicationFailure } from '@temporalio/common';
import type { Hook, HookPoint } from '../contract/hooks.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import type { Discarded, ReadReportInput, ReportPage, Restored } from '../contract/report.ts';
import type { CopyReceipt } from '../contract/rollback.ts';
import type { LookRequest, LookResult } from '../contract/selection.ts';
import type {
  CopyStartInput,
  CopyStartResult,
  CopyStatusResult,
  DiscardInput,
  FindDeviceResult,
  FreezeResult,
  GrowResult,
  GuestReadyResult,
  HookResult,
  ListDisksResult,
  MountResult,
  RestoreInput,
  ThawResult,
  UnmountResult,
} from '../guest/scripts.ts';
import { copyPace } from '../domain/copy-pace.ts';
import type { GuestRef, GuestRunner } from './guest-runner.ts';
import { guestRunName } from './identity.ts';
import { progressTeller } from './progress.ts';

export type { BootRef } from '../guest/scripts.ts';

export interface GuestStep extends GuestRef {
  readonly run: string;
  /** The boot that the step belongs to; refused (`GuestRebooted`) in a later one. */
  readonly bootId?: string;
}

const GIB = 1024 ** 3;
const SHORT = { timeoutSeconds: 120 };
/** Characters of Base64, whole groups of four, that fit one command beside the script. */
const LIST_PART = 8_000;
/** A look at a job waits for its end in the guest, seconds: short at first, so that progress shows soon, then longer. */
const FIRST_LOOK = 4;
const LONGEST_LOOK = 10;
/** Within an attempt of the scripts' policy; what is not done by then is done by the next one. */
const LONG = { timeoutSeconds: 540 };

export function guestActivities(guest: GuestRunner, options: { copyPollMs: number; tellEveryMs: number }) {
  const runOf = (step: GuestStep) => ({
    run: guestRunName(step.run),
    ...(step.bootId === undefined ? {} : { bootId: step.bootId }),
  });

  /** Polls the detached job until it ends; its own counters, and what they amount to, are the heartbeat. */
  async function awaitJob(step: GuestStep, job: 'copy' | 'verify'): Promise<CopyStatusResult> {
    let progress = {};
    const paced = copyPace();
    const tell = progressTeller(options.tellEveryMs);
    for (let waitSeconds = FIRST_LOOK; ; waitSeconds = Math.min(waitSeconds * 2, LONGEST_LOOK)) {
      const began = Date.now();
      const input = { ...runOf(step), job, waitSeconds };
      const status = await guest.run(step, 'copy-status', input, { ...SHORT, look: true, progress });
      const { state: _, message: __, openFiles: ___, ...counters } = status;
      const now = paced(counters, Date.now());
      progress = { ...status, ...now };
      heartbeat(progress);
      await tell(now);
      if (status.state !== 'running') return status;
      await Promise.race([sleep(Math.max(0, options.copyPollMs - (Date.now() - began))), cancelled()]);
    }
  }

  function mustHaveEnded(status: CopyStatusResult, job: string): void {
    if (status.state === 'done' || status.state === 'held') return;
    // Lost and failed alike: the job goes on where it stopped when it is started again, so the workflow may repeat it.
    throw ApplicationFailure.nonRetryable(
      `the ${job} job in the guest has ${status.state === 'lost' ? 'lost its process' : 'failed'}: ${status.message}`,
      ACTIVITY_FAILURE.guest,
      { state: status.state },
    );
  }

  return {
    /**
     * Runs the hook once for each `attempt` and answers how it ended; an exit status other than 0 is an answer, too. What
     * it prints stays in the guest.
     */
    async runHook(input: GuestStep & Hook & { at: HookPoint; attempt: number }): Promise<HookResult> {
      const { command, args, user, timeoutSeconds } = input;
      const id = `${input.at}-${input.attempt}`;
      for (;;) {
        const hook = await guest.run(
          input,
          'hook',
          { ...runOf(input), id, command, args, user, timeoutSeconds, waitSeconds: 20 },
          { ...SHORT, look: true, progress: { hook: id } },
        );
        heartbeat({ hook: id, state: hook.state });
        if (hook.state === 'done') return hook;
        if (hook.state === 'lost') {
          throw ApplicationFailure.nonRetryable(
            `the process of the hook is gone without a result; its output is in ${hook.outputFile} of the guest`,
            ACTIVITY_FAILURE.guest,
          );
        }
        await Promise.race([sleep(options.copyPollMs), cancelled()]);
      }
    },

    /** Grows the original disk's last partition and what is on it to the disk again. May run twice. */
    async growFileSystems(input: GuestStep & { originalSerial: string }): Promise<GrowResult> {
      return guest.run(
        input,
        'grow',
        { ...runOf(input), originalSerial: input.originalSerial },
        { timeoutSeconds: 600 },
      );
    },

    /** Until the guest has booted to the end, local file systems mounted. */
    async awaitGuestReady(input: GuestRef): Promise<GuestReadyResult> {
      return guest.run(input, 'guest-ready', { waitSeconds: 90 }, SHORT);
    },

    /**
     * Freezes the original disk's file systems in the running guest for at most `seconds` (1 to 120): the guest thaws them
     * by itself then. Thaw as soon as the snapshot is cut.
     */
    async freezeFileSystems(input: GuestStep & { originalSerial: string; seconds: number }): Promise<FreezeResult> {
      const { originalSerial, seconds } = input;
      return guest.run(input, 'freeze', { ...runOf(input), originalSerial, seconds }, SHORT);
    },

    async thawFileSystems(input: GuestStep): Promise<ThawResult> {
      return guest.run(input, 'thaw', runOf(input), SHORT);
    },

    /** Before the attach: what is there then is not the recovery disk. */
    async listDisks(input: GuestStep): Promise<ListDisksResult> {
      return guest.run(input, 'list-disks', runOf(input), { ...SHORT, look: true });
    },

    async findRecoveryDevice(
      input: GuestStep & {
        originalSerial: string;
        originalSizeGiB: number;
        recoverySerial: string;
        recoverySizeGiB: number;
        disksBefore?: readonly string[];
        paths: readonly string[];
      },
    ): Promise<FindDeviceResult> {
      return guest.run(
        input,
        'find-device',
        {
          ...runOf(input),
          originalSerial: input.originalSerial,
          originalSizeBytes: input.originalSizeGiB * GIB,
          recoverySerial: input.recoverySerial,
          recoverySizeBytes: input.recoverySizeGiB * GIB,
          waitSeconds: 60,
          ...(input.disksBefore === undefined ? {} : { disksBefore: input.disksBefore }),
          paths: input.paths,
        },
        SHORT,
      );
    },

    async mountRecoveryDisk(input: GuestStep & { fileSystems: FindDeviceResult['fileSystems'] }): Promise<MountResult> {
      return guest.run(input, 'mount', { ...runOf(input), fileSystems: input.fileSystems }, SHORT);
    },

    /** What is on the mounted copy, and how it differs from what is live. */
    async lookIntoCopy(input: GuestStep & LookRequest & { mounts: MountResult['mounts'] }): Promise<LookResult> {
      const { regionId: _, instanceId: __, ...look } = input;
      return guest.run(input, 'look-into-copy', { ...look, ...runOf(input) }, { ...SHORT, look: true });
    },

    /** Brings a gzipped list of paths (Base64) into the guest, in parts that fit a command; answers its SHA-256. */
    async sendList({ gzip, ...input }: GuestStep & { gzip: string }): Promise<{ sha256: string }> {
      const sha256 = createHash('sha256').update(Buffer.from(gzip, 'base64')).digest('hex');
      const pieces = gzip.match(new RegExp(`.{1,${LIST_PART}}`, 'g')) ?? [];
      for (const [index, data] of pieces.entries()) {
        const part = { ...runOf(input), part: index + 1, parts: pieces.length, sha256, data };
        await guest.run(input, 'put-list', part, { ...SHORT, look: true, progress: { part: part.part } });
      }
      return { sha256 };
    },

    /** Plans and starts the copy in the guest, or finds it at work. `base`: the first boot after the reset, if there was one. */
    async startCopy(input: GuestStep & Omit<CopyStartInput, 'run'>): Promise<CopyStartResult> {
      const { regionId: _, instanceId: __, ...copy } = input;
      await guest.run(input, 'copy-engine', runOf(input), SHORT);
      return guest.run(input, 'copy-start', { ...copy, ...runOf(input) }, SHORT);
    },

    async awaitCopy(input: GuestStep): Promise<CopyStatusResult> {
      const status = await awaitJob(input, 'copy');
      mustHaveEnded(status, 'copy');
      return status;
    },

    async startVerification(input: GuestStep): Promise<void> {
      await guest.run(input, 'verify-start', runOf(input), SHORT);
    },

    async awaitVerification(input: GuestStep): Promise<CopyReceipt> {
      mustHaveEnded(await awaitJob(input, 'verify'), 'verification');
      const { mismatchCount: _, ...receipt } = await guest.run(input, 'verify-result', runOf(input), SHORT);
      return receipt;
    },

    /** A page of what the run's comparison has found; of an ended run, too. */
    async readReport({ regionId, instanceId, run, ...request }: ReadReportInput): Promise<ReportPage> {
      return guest.run(
        { regionId, instanceId },
        'report',
        { ...request, run: guestRunName(run) },
        { ...SHORT, look: true },
      );
    },

    /** Puts back what the run keeps aside. May run twice. */
    async restoreKept({ regionId, instanceId, run, ...request }: GuestRef & RestoreInput): Promise<Restored> {
      return guest.run({ regionId, instanceId }, 'restore', { ...request, run: guestRunName(run) }, LONG);
    },

    /** Removes all that the run keeps in the guest. May run twice. */
    async discardKept({ regionId, instanceId, run, ...request }: GuestRef & DiscardInput): Promise<Discarded> {
      return guest.run({ regionId, instanceId }, 'discard', { ...request, run: guestRunName(run) }, LONG);
    },

    /** Refused while the recovery disk is mounted elsewhere than by the run, as a reboot can do. */
    async unmountRecoveryDisk(input: GuestStep & { recoverySerial?: string }): Promise<UnmountResult> {
      const { recoverySerial } = input;
      const also = recoverySerial === undefined ? {} : { recoverySerial };
      return guest.run(input, 'unmount', { ...runOf(input), ...also }, SHORT);
    },

    /** After the detach. Refused when a reboot just before it had put the recovery disk in the original's place. */
    async confirmOriginalInPlace(input: GuestStep & { originalSerial: string }): Promise<void> {
      const { originalSerial } = input;
      await guest.run(input, 'original-in-place', { ...runOf(input), originalSerial }, { ...SHORT, look: true });
    },
  };
}
