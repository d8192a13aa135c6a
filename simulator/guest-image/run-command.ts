/**
 * Runs a program of the host to its end. Programs of `sbin` folders are found even when PATH lacks them, as it does
 * for ordinary users of Debian.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants } from 'node:fs';
import { basename, delimiter, join } from 'node:path';

const EXTRA_FOLDERS = ['/usr/local/sbin', '/usr/sbin', '/sbin'];

/** The full path of a program, or undefined where the host has none of that name. */
export function findCommand(name: string): string | undefined {
  for (const folder of [...(process.env['PATH'] ?? '').split(delimiter), ...EXTRA_FOLDERS]) {
    const path = join(folder || '.', name);
    try {
      accessSync(path, constants.X_OK);
      return path;
    } catch {
      // not in this folder
    }
  }
  return undefined;
}

export interface CommandOptions {
  readonly cwd?: string;
  readonly env?: Readonly<Record<string, string>>;
  /** Written to the program's standard input, which is then closed. */
  readonly input?: string;
}

/**
 * Runs a program and answers its standard output. Throws an error that names the program and ends with the last lines
 * it wrote to standard error.
 */
export async function runCommand(file: string, args: readonly string[], options: CommandOptions = {}): Promise<string> {
  const path = file.includes('/') ? file : findCommand(file);
  if (path === undefined) throw new Error(`the program ${file} is not installed on this host`);
  return new Promise((resolve, reject) => {
    const child = execFile(
      path,
      args,
      {
        maxBuffer: 64 * 1024 * 1024,
        encoding: 'utf8',
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        env: { ...process.env, LC_ALL: 'C', ...options.env },
      },
      (error, stdout, stderr) => {
        if (error === null) return resolve(stdout);
        const said = (stderr || stdout).trim().split('\n').slice(-5).join(' | ');
        reject(new Error(`${basename(file)} failed (${String(error.code ?? error.signal)}): ${said || error.message}`));
      },
    );
    child.stdin?.on('error', () => undefined);
    child.stdin?.end(options.input ?? '');
  });
}
