/** The guest scripts on this very machine, as root: for what needs many files and no disks. */
import { spawn } from 'node:child_process';
import { rmSync } from 'node:fs';
import { gunzipSync, gzipSync } from 'node:zlib';
import { guestScript, parseAnswer } from '../../../src/guest/assemble.ts';
import type { CopyStartInput, CopyStatusResult, GuestScripts, ScriptName } from '../../../src/guest/scripts.ts';

/** As `mount` answers it: folder `copy` stands for the file system of the recovery disk, `live` for that of the original. */
export const mountsOf = (copy: string, live: string, paths: readonly string[] = ['tree']): CopyStartInput['mounts'] => [
  {
    partition: 0,
    fsType: 'ext4',
    fsUuid: 'none',
    recoveryDevice: 'none',
    recoveryMount: copy,
    originalMount: live,
    paths,
  },
];

/** The script with the text that it unpacks changed. */
const changed = (script: string, change: (text: string) => string) =>
  script.replace(/(?<=<<'PACKED'.*\n)[^]*?(?=\nPACKED\n)/, (packed) =>
    gzipSync(change(gunzipSync(Buffer.from(packed, 'base64')).toString())).toString('base64'),
  );

export interface HereOptions {
  /** Is made to the text of each script: for a limit that nobody wants to wait for. */
  readonly change?: (text: string) => string;
}

export function hereGuest({ change }: HereOptions = {}) {
  const runs = new Set<string>();

  async function run<N extends ScriptName>(name: N, input: GuestScripts[N]['input']) {
    if ('run' in input) runs.add(input.run);
    const bash = spawn('bash', ['-s'], { stdio: ['pipe', 'pipe', 'ignore'] });
    const script = guestScript(name, input);
    bash.stdin.end(change === undefined ? script : changed(script, change));
    const chunks: Buffer[] = [];
    for await (const chunk of bash.stdout) chunks.push(chunk as Buffer);
    return parseAnswer<GuestScripts[N]['result']>(Buffer.concat(chunks), 0);
  }

  async function ok<N extends ScriptName>(name: N, input: GuestScripts[N]['input']) {
    const answer = await run(name, input);
    if (!answer.ok) throw new Error(`${name}: ${answer.code}: ${answer.message}`);
    return answer.result;
  }

  async function ended(name: string, job: 'copy' | 'verify'): Promise<CopyStatusResult> {
    for (;;) {
      const status = await ok('copy-status', { run: name, job, waitSeconds: 60 });
      if (status.state !== 'running') return status;
    }
  }

  async function done(name: string, job: 'copy' | 'verify') {
    const status = await ended(name, job);
    if (status.state !== 'done') throw new Error(`${job} ended as ${status.state}: ${status.message}`);
    return status;
  }

  return {
    run,
    ok,
    ended,
    /** What runs keep outlives their `unmount`: this machine shall not keep it. */
    forget() {
      for (const each of runs) rmSync(`/var/lib/ecs-rollback/${each}`, { recursive: true, force: true });
    },
    async copy(input: CopyStartInput) {
      await ok('copy-engine', { run: input.run });
      await ok('copy-start', input);
      return done(input.run, 'copy');
    },
    async verify(name: string) {
      await ok('verify-start', { run: name });
      await done(name, 'verify');
      return ok('verify-result', { run: name });
    },
    /** Both jobs to their ends; removes the run's folder. */
    async copyAndVerify(input: CopyStartInput) {
      await this.copy(input);
      const verdict = await this.verify(input.run);
      await ok('unmount', { run: input.run });
      return { verdict };
    },
  };
}
