/**
 * The system disk of a `loop` guest: a GPT with one ext4 partition that is the guest's true root (vda1 at /), with its own
 * /etc, /var, /root and home folders. Programs are not on it: /usr is the host's, under an overlay whose changes are
 * on this disk. So a snapshot or reset of the system disk concerns all that the guest can write.
 */
import { lstat, mkdir, readFile, readlink, symlink, writeFile } from 'node:fs/promises';
import { growTo, makeHole } from './images.ts';
import { runTool } from './run-tool.ts';
import { spawn } from 'node:child_process';

const MIB = 1 << 20;
const FIRST_BYTE = MIB;

/** What programs need of the host's /etc; nothing of its secrets, mounts or services. */
const ETC = [
  'alternatives',
  'bash.bashrc',
  'group',
  'ld.so.cache',
  'ld.so.conf',
  'ld.so.conf.d',
  'localtime',
  'login.defs',
  'mke2fs.conf',
  'nsswitch.conf',
  'os-release',
  'passwd',
  'profile',
  'protocols',
  'services',
  'xattr.conf',
];
const FOLDERS: ReadonlyArray<readonly [path: string, mode: number]> = [
  ['dev', 0o755],
  ['etc', 0o755],
  ['home', 0o755],
  ['media', 0o755],
  ['mnt', 0o755],
  ['opt', 0o755],
  ['proc', 0o555],
  ['root', 0o700],
  ['run', 0o755],
  ['srv', 0o755],
  ['sys', 0o555],
  ['tmp', 0o1777],
  ['usr', 0o755],
  ['var', 0o755],
  ['var/cache', 0o755],
  ['var/lib', 0o755],
  ['var/lib/guest-usr', 0o755],
  ['var/lib/guest-usr/upper', 0o755],
  ['var/lib/guest-usr/upper/local', 0o755],
  ['var/lib/guest-usr/upper/local/sbin', 0o755],
  ['var/lib/guest-usr/work', 0o755],
  ['var/log', 0o755],
  ['var/spool', 0o755],
  ['var/tmp', 0o1777],
];

/** Makes the files that a new system disk holds, below the new folder `tree`. */
export async function makeSystemTree(tree: string): Promise<void> {
  for (const [path, mode] of FOLDERS) {
    await mkdir(`${tree}/${path}`, { recursive: true });
    await runTool('chmod', [mode.toString(8), `${tree}/${path}`]);
  }
  for (const name of ETC) {
    if ((await lstat(`/etc/${name}`).catch(() => undefined)) === undefined) continue;
    await runTool('cp', ['-a', `/etc/${name}`, `${tree}/etc/${name}`]);
  }
  for (const name of ['bin', 'sbin', 'lib', 'lib32', 'lib64', 'libx32']) {
    const host = await lstat(`/${name}`).catch(() => undefined);
    if (host?.isSymbolicLink() === true) await symlink(await readlink(`/${name}`), `${tree}/${name}`);
    else if (host?.isDirectory() === true) await mkdir(`${tree}/${name}`);
  }
  await symlink('/run', `${tree}/var/run`);
  await symlink('../proc/self/mounts', `${tree}/etc/mtab`);
  await writeFile(`${tree}/etc/fstab`, '# <file system> <mount point> <type> <options> <dump> <pass>\n');
  await writeFile(`${tree}/etc/hosts`, '127.0.0.1 localhost\n::1 localhost\n');
  const udevadm = `${tree}/var/lib/guest-usr/upper/local/sbin/udevadm`;
  await writeFile(udevadm, await readFile(new URL('./udevadm.sh', import.meta.url)), { mode: 0o755 });
}

function partition(image: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', image], {
      stdio: ['pipe', 'ignore', 'pipe'],
      env: { PATH: process.env['PATH'] ?? '', LC_ALL: 'C' },
    });
    let said = '';
    child.stderr.on('data', (chunk: Buffer) => (said += chunk.toString()));
    child.on('error', reject);
    child.on('close', (status) =>
      status === 0 ? resolve() : reject(new Error(`sfdisk on ${image} ended with ${status}: ${said.trim()}`)),
    );
    child.stdin.end(`label: gpt\nstart=${FIRST_BYTE / 512}, type=linux\n`);
  });
}

/** Makes a system disk of `sizeBytes` (at least 64 MiB) with the files of `tree` at the new path `image`. */
export async function makeSystemDisk(image: string, sizeBytes: number, tree: string): Promise<void> {
  if (sizeBytes < 64 * MIB) throw new Error(`a system disk needs 64 MiB; ${sizeBytes} bytes were asked for`);
  await makeHole(image, sizeBytes);
  await partition(image);
  // The second GPT has the last 33 sectors; a MiB keeps clear of it.
  const blocks = Math.floor((sizeBytes - FIRST_BYTE - MIB) / 4096);
  const options = `offset=${FIRST_BYTE},root_owner=0:0,lazy_itable_init=1,lazy_journal_init=1`;
  await runTool('mke2fs', [
    '-q',
    '-F',
    '-t',
    'ext4',
    '-b',
    '4096',
    '-L',
    'system',
    '-E',
    options,
    '-d',
    tree,
    image,
    String(blocks),
  ]);
  await growTo(image, sizeBytes);
}
