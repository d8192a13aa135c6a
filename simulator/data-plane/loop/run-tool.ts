/** Runs one program of the host to its end, for the parts of the `loop` data plane that are somebody else's tool. */
import { execFile } from 'node:child_process';

/** A tool that ended with another status than 0, with the end of what it said. */
export class ToolFailed extends Error {
  readonly exitCode: number;
  constructor(command: string, exitCode: number, said: string) {
    super(`${command} ended with ${exitCode}: ${said.trim().slice(-500)}`);
    this.exitCode = exitCode;
  }
}

const PATH = '/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin';

/** Standard output of `command`. Throws ToolFailed; a missing program is exit status 127. */
export function runTool(command: string, args: readonly string[], timeoutMs = 120_000): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      command,
      args,
      { timeout: timeoutMs, killSignal: 'SIGKILL', maxBuffer: 16 << 20, env: { PATH, LC_ALL: 'C' } },
      (error, stdout, stderr) => {
        if (error === null) return resolve(stdout);
        if (error.code === 'ENOENT') return reject(new ToolFailed(command, 127, 'no such program on this host'));
        const status = typeof error.code === 'number' ? error.code : 128;
        reject(new ToolFailed([command, ...args].join(' '), status, stderr === '' ? error.message : stderr));
      },
    );
  });
}
