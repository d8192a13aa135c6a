/**
 * One guest for the tests of the guest scripts: scripts run through the data plane exactly as Cloud Assistant runs them,
 * shell lines prepare and look at real disks.
 */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { createDataPlane } from '../../../simulator/data-plane/index.ts';
import { guestScript, parseAnswer } from '../../../src/guest/assemble.ts';
import type {
  CopyStartInput,
  CopyStatusResult,
  FindDeviceInput,
  GuestScripts,
  ScriptAnswer,
  ScriptName,
} from '../../../src/guest/scripts.ts';

const GIB = 1024 ** 3;
const INSTANCE = 'i-guestscripts';

export type Guest = Awaited<ReturnType<typeof bootGuest>>;

export async function bootGuest(kind: 'vm' | 'loop', { selinux = false } = {}) {
  const stateDir = await mkdtemp(join(tmpdir(), 'guest-scripts-'));
  const plane = await createDataPlane(kind, { stateDir, log: (line) => console.log(line), selinux });
  await plane.createSystemDisk('d-system', 2 * GIB);
  await plane.startInstance(INSTANCE, [{ diskId: 'd-system', serial: 'system' }]);
  while (!(await plane.agentAnswers(INSTANCE))) await sleep(20);
  const never = new AbortController().signal;

  const exec = (script: string) =>
    plane.exec(INSTANCE, { script: Buffer.from(script), timeoutMs: 100_000, workingDir: '/root', user: 'root' }, never);

  /** Runs shell lines (`set -eu`); throws with their output when they fail. */
  async function sh(lines: string): Promise<string> {
    const { exitCode, output } = await exec(`#!/bin/bash\nset -eu\nexport LC_ALL=C\n${lines}\n`);
    if (exitCode !== 0)
      throw new Error(`exit ${exitCode} of ${lines.slice(0, 400)}: ${output.toString().slice(-1500)}`);
    return output.toString();
  }

  async function run<N extends ScriptName>(name: N, input: GuestScripts[N]['input']) {
    const { output } = await exec(guestScript(name, input));
    return parseAnswer<GuestScripts[N]['result']>(output, 0);
  }

  async function ok<N extends ScriptName>(name: N, input: GuestScripts[N]['input']) {
    const answer = await run(name, input);
    if (!answer.ok) throw new Error(`${name}: ${answer.code}: ${answer.message}`);
    return answer.result;
  }

  /** As the activity does it: what the copy works with first. */
  async function startCopy(input: CopyStartInput) {
    await ok('copy-engine', { run: input.run });
    return ok('copy-start', input);
  }

  async function ended(run: string, job: 'copy' | 'verify'): Promise<CopyStatusResult> {
    for (;;) {
      const status = await ok('copy-status', { run, job, waitSeconds: 60 });
      if (status.state !== 'running') return status;
    }
  }

  return {
    plane,
    sh,
    run,
    ok,
    startCopy,
    ended,
    attach: (diskId: string, serial = serialOf(diskId), bus: 'virtio' | 'nvme' = 'virtio') =>
      plane.attachDisk(INSTANCE, { diskId, serial, bus }),
    /** The guest sees no serial of it. */
    attachWithoutSerial: (diskId: string) =>
      plane.attachDisk(INSTANCE, { diskId, serial: serialOf(diskId), showsSerial: false }),
    detach: (diskId: string, serial = serialOf(diskId)) => plane.detachDisk(INSTANCE, { diskId, serial }),
    /** With these disks and the system disk. */
    async reboot(diskIds: readonly string[]) {
      await plane.stopInstance(INSTANCE, { force: false });
      const disks = diskIds.map((diskId) => ({ diskId, serial: serialOf(diskId) }));
      await plane.startInstance(INSTANCE, [{ diskId: 'd-system', serial: 'system' }, ...disks]);
      while (!(await plane.agentAnswers(INSTANCE))) await sleep(20);
    },
    async close() {
      await plane.close();
      await rm(stateDir, { recursive: true, force: true });
    },
  };
}

export const serialOf = (diskId: string) => diskId.replace(/^d-/, '');

/** What `find-device` is asked, for two disks of the same size. */
export const findingOf = (
  run: string,
  { original, recovery, size }: { readonly original: string; readonly recovery: string; readonly size: number },
  paths: readonly string[],
): FindDeviceInput => ({
  run,
  originalSerial: serialOf(original),
  originalSizeBytes: size,
  recoverySerial: serialOf(recovery),
  recoverySizeBytes: size,
  waitSeconds: 20,
  paths,
});

/** `code` of an answer that must be a refusal or failure. */
export function codeOf(answer: ScriptAnswer<unknown>): string {
  if (answer.ok) throw new Error(`was not refused: ${JSON.stringify(answer.result)}`);
  return `${answer.refused ? 'refused' : 'failed'} ${answer.code}`;
}
