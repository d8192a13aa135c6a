/**
 * Fetches Debian packages for the guest with the host's own apt, and nothing of it touches the host: apt gets a state
 * folder of its own with an empty list of installed packages, so it resolves everything from nothing, without root.
 */
import { mkdir, readdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { findCommand, runCommand } from './run-command.ts';

const HOST_LISTS = '/var/lib/apt/lists';

interface Chosen {
  readonly name: string;
  readonly version: string;
}

/**
 * Downloads `packages` and what they depend on, without those `leftOut` matches, into `folder`. Answers the paths of the
 * .deb files by package name. apt checks signatures and checksums. Throws one line that says what to do.
 */
export async function downloadPackages(
  packages: readonly string[],
  leftOut: RegExp,
  folder: string,
  log: (line: string) => void,
): Promise<ReadonlyMap<string, string>> {
  for (const tool of ['apt-get', 'dpkg-deb']) {
    if (findCommand(tool) === undefined) {
      throw new Error(
        `the guest image is made of Debian 12 packages and needs ${tool}, which this host lacks; use Debian 12`,
      );
    }
  }
  const apt = await privateApt(folder);
  if (await hasLists(HOST_LISTS)) {
    try {
      return await resolveAndDownload(apt.withLists(HOST_LISTS), packages, leftOut, apt.debs, log);
    } catch (error) {
      // Old lists name files that the mirror no longer has.
      log(`the host's package lists did not do (${firstLine(error)}); reading them anew`);
    }
  }
  const lists = join(folder, 'lists');
  await mkdir(join(lists, 'partial'), { recursive: true });
  log('reading the package lists (apt-get update, in a folder of its own)');
  const own = apt.withLists(lists);
  try {
    await runCommand('apt-get', [...own, '-q', 'update']);
    return await resolveAndDownload(own, packages, leftOut, apt.debs, log);
  } catch (error) {
    throw new Error(
      `cannot fetch the guest's packages: ${firstLine(error)}; check that \`apt-get update\` works on this host and that its sources are Debian 12's`,
      { cause: error },
    );
  }
}

/** As `dpkg-deb -x`, which would put folders where `bin`, `sbin` and `lib` are links. */
export async function unpack(deb: string, folder: string): Promise<void> {
  await mkdir(folder, { recursive: true });
  const script =
    'set -o pipefail; dpkg-deb --fsys-tarfile "$1" | tar -x -p --keep-directory-symlink --no-same-owner -C "$2"';
  await runCommand('bash', ['-c', script, 'unpack', deb, folder]);
}

async function privateApt(folder: string): Promise<{ debs: string; withLists: (lists: string) => string[] }> {
  const state = join(folder, 'apt');
  const debs = join(folder, 'debs');
  await mkdir(join(state, 'archives', 'partial'), { recursive: true });
  await mkdir(join(state, 'preferences.d'), { recursive: true });
  await mkdir(debs, { recursive: true });
  await writeFile(join(state, 'status'), '');
  return {
    debs,
    withLists: (lists) =>
      [
        `Dir::State=${state}`,
        `Dir::State::status=${join(state, 'status')}`,
        `Dir::State::lists=${lists}`,
        `Dir::Cache=${state}`,
        'Debug::NoLocking=1',
        'APT::Sandbox::User=root',
        'APT::Install-Recommends=false',
        'APT::Architecture=amd64',
        'Acquire::Retries=3',
        'Acquire::Languages=none',
      ].flatMap((option) => ['-o', option]),
  };
}

async function hasLists(folder: string): Promise<boolean> {
  try {
    return (await readdir(folder)).some((name) => name.includes('_Packages'));
  } catch {
    return false;
  }
}

async function resolveAndDownload(
  apt: readonly string[],
  packages: readonly string[],
  leftOut: RegExp,
  debs: string,
  log: (line: string) => void,
): Promise<ReadonlyMap<string, string>> {
  const plan = await runCommand('apt-get', [...apt, '-y', '--print-uris', 'install', ...packages]);
  const chosen: Chosen[] = [];
  let bytes = 0;
  for (const match of plan.matchAll(/^'[^']+' ([^_\s]+)_([^_\s]+)_\S+\.deb (\d+)/gm)) {
    const [, name = '', version = '', size = '0'] = match;
    if (leftOut.test(name)) continue;
    chosen.push({ name, version: decodeURIComponent(version) });
    bytes += Number(size);
  }
  if (chosen.length === 0) throw new Error('apt-get named no packages to download');
  log(`downloading ${chosen.length} Debian packages (${Math.round(bytes / 1e6)} MB)`);
  await runCommand('apt-get', [...apt, '-q', 'download', ...chosen.map((one) => `${one.name}=${one.version}`)], {
    cwd: debs,
  });
  const files = new Map<string, string>();
  for (const file of await readdir(debs)) {
    if (file.endsWith('.deb')) files.set(file.slice(0, file.indexOf('_')), join(debs, file));
  }
  const absent = chosen.filter((one) => !files.has(one.name));
  if (absent.length > 0) throw new Error(`apt-get did not deliver ${absent.map((one) => one.name).join(', ')}`);
  return files;
}

function firstLine(error: unknown): string {
  return String(error instanceof Error ? error.message : error).split('\n')[0] ?? '';
}
