/**
 * The Debian packages that the demo and the tests need on the host. Root gets them installed; anyone else gets the one
 * command that installs them.
 */
import { execFile } from 'node:child_process';
import { accessSync, constants, readdirSync, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** For each purpose: a program that has to be there, and the Debian package that brings it. */
const NEEDS = {
  /** QEMU guests; what builds their image comes with the image's own packages. */
  vm: { 'qemu-system-x86_64': 'qemu-system-x86', setpriv: 'util-linux', 'dpkg-deb': 'dpkg', 'apt-get': 'apt' },
  /** Guests that are namespaces of this host and use its programs. */
  loop: {
    blkid: 'util-linux',
    getfacl: 'acl',
    getfattr: 'attr',
    losetup: 'mount',
    'mkfs.xfs': 'xfsprogs',
    mke2fs: 'e2fsprogs',
    partx: 'util-linux',
    rsync: 'rsync',
    setpriv: 'util-linux',
    sfdisk: 'fdisk',
  },
  /** Modules of Python are no programs: asked of dpkg. */
  'python3-pip': {},
} as const;

export type SystemNeed = keyof typeof NEEDS;

/** Something is missing and cannot be installed from here; the message is one line that says what to run. */
export class SystemPackagesMissing extends Error {
  override readonly name = 'SystemPackagesMissing';
}

export interface Host {
  readonly isRoot: boolean;
  readonly hasProgram: (name: string) => boolean;
  readonly hasPackage: (name: string) => Promise<boolean>;
  readonly aptGet: (args: readonly string[]) => Promise<void>;
  /** When the package lists were last read, in milliseconds since 1970; undefined where there are none. */
  readonly listsReadAt: () => number | undefined;
}

const LISTS_GROW_OLD_MS = 24 * 60 * 60 * 1000;

/**
 * Makes sure that the host has what `needs` ask for. Says through `log` what it installs. Throws SystemPackagesMissing
 * when not root, when the host has no apt, or when apt fails.
 */
export async function ensureSystemPackages(
  needs: SystemNeed | readonly SystemNeed[],
  log: (line: string) => void,
  host: Host = thisHost,
): Promise<void> {
  const missing = new Map<string, string[]>();
  for (const need of typeof needs === 'string' ? [needs] : needs) {
    const programs = Object.entries<string>(NEEDS[need]);
    for (const [program, name] of programs) {
      if (!host.hasProgram(program)) missing.set(name, [...(missing.get(name) ?? []), program]);
    }
    if (programs.length === 0 && !(await host.hasPackage(need))) missing.set(need, []);
  }
  if (missing.size === 0) return;
  const names = [...missing.keys()].sort();
  const lacking = names.map((name) => missing.get(name)?.join(', ') || name).join(', ');
  if (!host.hasProgram('apt-get')) {
    throw new SystemPackagesMissing(
      `this host lacks ${lacking}, and has no apt-get; install them with its own package manager (Debian's names: ${names.join(' ')})`,
    );
  }
  const install = ['install', '-y', '--no-install-recommends', ...names];
  if (!host.isRoot) {
    throw new SystemPackagesMissing(
      `this host lacks ${lacking}; run: sudo apt-get update && sudo apt-get ${install.join(' ')}`,
    );
  }
  const started = Date.now();
  try {
    const readAt = host.listsReadAt();
    let isFresh = readAt !== undefined && Date.now() - readAt < LISTS_GROW_OLD_MS;
    if (!isFresh) await update(host, log);
    log(`installing Debian packages: ${names.join(' ')}`);
    await host.aptGet(install).catch(async (error: unknown) => {
      // Lists of this morning may name a version that the mirror has replaced since.
      if (!isFresh) throw error;
      isFresh = false;
      await update(host, log);
      await host.aptGet(install);
    });
  } catch (error) {
    const said = error instanceof Error ? (error.message.split('\n')[0] ?? '') : String(error);
    throw new SystemPackagesMissing(`cannot install ${names.join(' ')}: ${said}; try: apt-get ${install.join(' ')}`, {
      cause: error,
    });
  }
  log(`installed in ${Math.round((Date.now() - started) / 1000)} s`);
}

async function update(host: Host, log: (line: string) => void): Promise<void> {
  log('reading the package lists (apt-get update)');
  await host.aptGet(['update']);
}

const thisHost: Host = {
  isRoot: process.getuid?.() === 0,
  hasProgram,
  hasPackage: (name) =>
    run('dpkg-query', ['-W', '-f', '${db:Status-Status}', name]).then(
      ({ stdout }) => stdout === 'installed',
      () => false,
    ),
  listsReadAt: () => {
    try {
      const folder = '/var/lib/apt/lists';
      const lists = readdirSync(folder).filter((name) => /_(InRelease|Release)$/.test(name));
      return lists.length === 0
        ? undefined
        : Math.max(...lists.map((name) => statSync(`${folder}/${name}`).mtimeMs), statSync(folder).mtimeMs);
    } catch {
      return undefined;
    }
  },
  aptGet: async (args) => {
    for (let tries = 1; ; tries++) {
      try {
        await run('apt-get', ['-q', '-o', 'DPkg::Lock::Timeout=180', '-o', 'Acquire::Retries=3', ...args], {
          env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive', LC_ALL: 'C' },
          maxBuffer: 16 * 1024 * 1024,
        });
        return;
      } catch (error) {
        const said = (error as { stderr?: string }).stderr ?? '';
        // Another apt reads the lists or downloads; its own waiting covers dpkg's lock only.
        if (tries < 30 && said.includes('Could not get lock')) await sleep(2_000);
        else throw new Error(/^E: .*$/m.exec(said)?.[0] ?? (error as Error).message, { cause: error });
      }
    }
  },
};

/** Ordinary users of Debian have no `sbin` folder on their PATH, and need not. */
function hasProgram(name: string): boolean {
  const folders = [...(process.env['PATH'] ?? '').split(delimiter), '/usr/local/sbin', '/usr/sbin', '/sbin'];
  return folders.some((folder) => {
    try {
      accessSync(join(folder || '.', name), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}
