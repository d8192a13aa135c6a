/**
 * Builds the guest image (kernel, initrd, sparse system disk) once per recipe and keeps it in the user's cache. Needs
 * no root and installs nothing: packages are unpacked into a folder, and the tools that make the disk (sfdisk, mke2fs,
 * debugfs, depmod, cpio) run from that folder too, with its own C library.
 */
import { existsSync, lstatSync, readlinkSync } from 'node:fs';
import * as fs from 'node:fs/promises';
import { basename, dirname, isAbsolute, join, relative } from 'node:path';
import { builtOnce } from './cache.ts';
import { downloadPackages, unpack } from './debian-packages.ts';
import {
  BUILD_ONLY,
  FILES_FOLDER,
  GUEST_COMMANDS,
  GUEST_MODULES,
  IMAGE_BYTES,
  INITRD_MODULES,
  LEFT_OUT,
  PACKAGES,
  recipeHash,
  UDEV_RULES,
} from './recipe.ts';
import { runCommand } from './run-command.ts';

export interface GuestImage {
  readonly kernel: string;
  readonly initrd: string;
  /** Raw, sparse, `IMAGE_BYTES` long; its first partition is the guest's root file system. */
  readonly systemDisk: string;
}

const PARTITION_OFFSET = 1024 ** 2;
/** GPT keeps a second copy of itself at the end of the disk. */
const PARTITION_BYTES = IMAGE_BYTES - 2 * PARTITION_OFFSET;

/** The guest image, built first when the cache lacks it. Throws one line that says what is missing. */
export async function ensureGuestImage(log: (line: string) => void): Promise<GuestImage> {
  const folder = await builtOnce(recipeHash(), 'the guest image', log, (work) => build(work, log));
  return {
    kernel: join(folder, 'vmlinuz'),
    initrd: join(folder, 'initrd'),
    systemDisk: join(folder, 'system-disk.img'),
  };
}

async function build(work: string, log: (line: string) => void): Promise<void> {
  const root = join(work, 'root');
  const tools = join(work, 'tools');
  const result = join(work, 'result');
  for (const folder of [root, tools]) await fs.mkdir(folder, { recursive: true });

  const debs = await downloadPackages(PACKAGES, LEFT_OUT, work, log);
  log('unpacking the packages');
  for (const top of ['bin', 'sbin', 'lib', 'lib64']) {
    await fs.mkdir(join(root, 'usr', top), { recursive: true });
    await fs.symlink(`usr/${top}`, join(root, top));
  }
  const kernelTree = join(work, 'kernel');
  for (const [name, deb] of debs) {
    await unpack(deb, name.startsWith('linux-image-') ? kernelTree : BUILD_ONLY.test(name) ? tools : root);
  }
  const kernel = (await fs.readdir(join(kernelTree, 'boot'))).find((name) => name.startsWith('vmlinuz-'));
  if (kernel === undefined) throw new Error('the kernel package holds no boot/vmlinuz-*');
  await fs.copyFile(join(kernelTree, 'boot', kernel), join(result, 'vmlinuz'));

  const guest = new GuestTree(root);
  log('making the guest image');
  await trim(root);
  await ownFiles(root);
  // A shell that starts fast in an emulated guest, for the data plane's own work.
  await fs.mkdir(join(root, 'usr/libexec/data-plane'), { recursive: true });
  await fs.copyFile(join(tools, 'bin/busybox'), join(root, 'usr/libexec/data-plane/busybox'));
  await fs.chmod(join(root, 'usr/libexec/data-plane/busybox'), 0o755);
  const modules = await installModules(guest, kernelTree, root);
  await checkCommands(guest);
  await makeInitrd(guest, modules, tools, join(work, 'initrd-root'), join(result, 'initrd'));
  await makeSystemDisk(guest, root, join(work, 'root.img'), join(result, 'system-disk.img'));
}

/** The unpacked root folder, and its programs run on the host by its own dynamic linker. */
class GuestTree {
  readonly root: string;
  constructor(root: string) {
    this.root = root;
  }

  /** A program's file; absolute links are followed inside the tree. */
  find(name: string): string | undefined {
    for (const folder of ['usr/bin', 'usr/sbin']) {
      let path = join(this.root, folder, name);
      for (let hops = 0; hops < 5 && lstatSync(path, { throwIfNoEntry: false })?.isSymbolicLink() === true; hops++) {
        const target = readlinkSync(path);
        path = isAbsolute(target) ? join(this.root, target) : join(dirname(path), target);
      }
      if (existsSync(path)) return path;
    }
    return undefined;
  }

  /** Runs a program of this tree, or with `--list` in front shows the libraries it would load. */
  async run(
    program: string,
    args: readonly string[],
    options: { cwd?: string; input?: string; list?: boolean } = {},
  ): Promise<string> {
    const libraries = ['usr/lib/x86_64-linux-gnu', 'usr/lib'].map((folder) => join(this.root, folder)).join(':');
    const path = program.includes('/') ? program : this.find(program);
    if (path === undefined) throw new Error(`the guest's packages hold no ${program}`);
    return runCommand(
      join(this.root, 'usr/lib64/ld-linux-x86-64.so.2'),
      [
        '--inhibit-cache',
        '--library-path',
        libraries,
        // One binary may serve many names (depmod is kmod).
        '--argv0',
        basename(program),
        ...(options.list === true ? ['--list'] : []),
        path,
        ...args,
      ],
      {
        env: { MKE2FS_CONFIG: join(this.root, 'etc/mke2fs.conf') },
        ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
        ...(options.input === undefined ? {} : { input: options.input }),
      },
    );
  }
}

async function trim(root: string): Promise<void> {
  const useless = [
    'usr/share/doc',
    'usr/share/man',
    'usr/share/info',
    'usr/share/locale',
    'usr/share/i18n',
    'usr/share/lintian',
    'usr/share/bug',
    'usr/share/bash-completion',
    'usr/share/zoneinfo',
    'usr/share/common-licenses',
    'usr/lib/systemd/system',
    'usr/lib/udev/hwdb.d',
    'usr/lib/x86_64-linux-gnu/gconv',
    'usr/lib/x86_64-linux-gnu/perl-base',
  ];
  for (const folder of useless) await fs.rm(join(root, folder), { recursive: true, force: true });
  const rules = join(root, 'usr/lib/udev/rules.d');
  for (const name of await fs.readdir(rules)) if (!UDEV_RULES.test(name)) await fs.rm(join(rules, name));
}

async function ownFiles(root: string): Promise<void> {
  for (const folder of [
    'dev',
    'proc',
    'sys',
    'run',
    'tmp',
    'root',
    'mnt',
    'data',
    'srv',
    'var/tmp',
    'var/log',
    'etc',
  ]) {
    await fs.mkdir(join(root, folder), { recursive: true });
  }
  await fs.chmod(join(root, 'root'), 0o700);
  for (const folder of ['tmp', 'var/tmp']) await fs.chmod(join(root, folder), 0o1777);
  for (const name of ['passwd', 'group']) {
    await fs.copyFile(join(root, `usr/share/base-passwd/${name}.master`), join(root, 'etc', name));
  }
  await fs.writeFile(join(root, 'etc/hostname'), 'guest\n');
  await fs.writeFile(join(root, 'etc/hosts'), '127.0.0.1 localhost guest\n');
  await fs.writeFile(join(root, 'etc/fstab'), '');
  await fs.writeFile(join(root, 'etc/nsswitch.conf'), 'passwd: files\ngroup: files\nshadow: files\nhosts: files\n');
  await fs.rm(join(root, 'etc/mtab'), { force: true });
  await fs.symlink('../proc/self/mounts', join(root, 'etc/mtab'));
  await fs.rm(join(root, 'var/run'), { recursive: true, force: true });
  await fs.symlink('/run', join(root, 'var/run'));
  // awk and sh are links that the packages' own scripts would make.
  for (const [name, target] of [
    ['awk', 'mawk'],
    ['sh', 'bash'],
  ] as const) {
    await fs.rm(join(root, 'usr/bin', name), { force: true });
    await fs.symlink(target, join(root, 'usr/bin', name));
  }
  await fs.copyFile(join(FILES_FOLDER, '61-nvme-names.rules'), join(root, 'usr/lib/udev/rules.d/61-nvme-names.rules'));
  for (const [file, names] of [
    ['init', ['init']],
    ['shutdown', ['shutdown', 'poweroff', 'halt', 'reboot']],
  ] as const) {
    for (const name of names) {
      await fs.rm(join(root, 'usr/sbin', name), { force: true });
      await fs.copyFile(join(FILES_FOLDER, file), join(root, 'usr/sbin', name));
      await fs.chmod(join(root, 'usr/sbin', name), 0o755);
    }
  }
}

/** Copies the wanted modules with what they depend on. Answers the initrd's modules as paths, in order of loading. */
async function installModules(guest: GuestTree, kernelTree: string, root: string): Promise<string[]> {
  const versions = await fs.readdir(join(kernelTree, 'lib/modules'));
  const version = versions[0];
  if (version === undefined) throw new Error('the kernel package holds no lib/modules/*');
  await guest.run('depmod', ['-b', kernelTree, version]);
  const from = join(kernelTree, 'lib/modules', version);
  const dependencies = new Map<string, string[]>();
  for (const line of (await fs.readFile(join(from, 'modules.dep'), 'utf8')).split('\n')) {
    const [file = '', needs = ''] = line.split(':');
    if (file !== '') dependencies.set(file, needs.trim().split(' ').filter(Boolean));
  }
  const byName = new Map([...dependencies.keys()].map((file) => [moduleName(file), file]));
  // modules.dep lists the nearest need first, so the order of loading is the reverse.
  const closure = (names: readonly string[]): string[] => {
    const files = new Set<string>();
    for (const name of names) {
      const file = byName.get(moduleName(name));
      if (file === undefined) continue;
      for (const needed of (dependencies.get(file) ?? []).toReversed()) files.add(needed);
      files.add(file);
    }
    return [...files];
  };
  for (const name of INITRD_MODULES) {
    if (!byName.has(moduleName(name))) throw new Error(`the kernel package holds no module ${name}`);
  }
  const to = join(root, 'usr/lib/modules', version);
  for (const file of closure(GUEST_MODULES)) {
    await fs.mkdir(join(to, dirname(file)), { recursive: true });
    await fs.copyFile(join(from, file), join(to, file));
  }
  for (const name of ['modules.order', 'modules.builtin', 'modules.builtin.modinfo']) {
    await fs.copyFile(join(from, name), join(to, name));
  }
  await guest.run('depmod', ['-b', root, version]);
  return closure(INITRD_MODULES).map((file) => join(from, file));
}

function moduleName(file: string): string {
  return basename(file)
    .replace(/\.ko.*$/, '')
    .replaceAll('-', '_');
}

async function checkCommands(guest: GuestTree): Promise<void> {
  const problems: string[] = [];
  const binaries: string[] = [];
  for (const name of GUEST_COMMANDS) {
    const path = guest.find(name);
    if (path === undefined) problems.push(name);
    else binaries.push(relative(guest.root, path));
  }
  for (const name of binaries) {
    const path = join(guest.root, name);
    const head = Buffer.alloc(4);
    const file = await fs.open(path);
    await file.read(head, 0, 4, 0);
    await file.close();
    if (head.toString('latin1') !== '\x7fELF') continue;
    const listing = await guest.run(path, [], { list: true }).catch((error: Error) => `${error.message} not found`);
    if (listing.includes('not found'))
      problems.push(`${name} (${/\S+ => not found|error while .*/.exec(listing)?.[0] ?? listing})`);
  }
  if (problems.length > 0) throw new Error(`the guest image would lack: ${problems.join(', ')}`);
}

async function makeInitrd(
  guest: GuestTree,
  modules: readonly string[],
  tools: string,
  folder: string,
  result: string,
): Promise<void> {
  for (const name of ['bin', 'sbin', 'dev', 'proc', 'sys', 'root', 'modules']) {
    await fs.mkdir(join(folder, name), { recursive: true });
  }
  await fs.copyFile(join(tools, 'bin/busybox'), join(folder, 'bin/busybox'));
  await fs.chmod(join(folder, 'bin/busybox'), 0o755);
  for (const applet of ['sh', 'mount', 'cat', 'echo', 'insmod', 'ip', 'sleep', 'poweroff', 'switch_root']) {
    await fs.symlink('busybox', join(folder, 'bin', applet));
  }
  await fs.copyFile(join(FILES_FOLDER, 'initrd-init'), join(folder, 'init'));
  await fs.chmod(join(folder, 'init'), 0o755);
  for (const [index, module] of modules.entries()) {
    await fs.copyFile(module, join(folder, 'modules', `${String(index).padStart(2, '0')}-${basename(module)}`));
  }
  const names = (await fs.readdir(folder, { recursive: true })).sort();
  // Not compressed: the emulated processor would spend longer on unpacking than the host on reading.
  await guest.run(
    join(tools, 'bin/cpio'),
    ['--quiet', '-o', '-H', 'newc', '-R', '0:0', '--reproducible', '-O', result],
    { cwd: folder, input: `${names.join('\n')}\n` },
  );
}

async function makeSystemDisk(guest: GuestTree, root: string, partition: string, disk: string): Promise<void> {
  await runCommand('truncate', ['-s', String(PARTITION_BYTES), partition]);
  await guest.run('mke2fs', [
    '-q',
    '-F',
    '-t',
    'ext4',
    '-L',
    'system',
    '-N',
    '32768',
    // Initialised here, or the guest's kernel would do it after every first boot.
    '-E',
    'lazy_itable_init=0,lazy_journal_init=0,root_owner=0:0',
    '-d',
    root,
    partition,
  ]);
  // The files belong to whoever unpacked them; in the guest all belong to root.
  const commands: string[] = [];
  for (const name of await fs.readdir(root, { recursive: true })) {
    for (const field of ['uid', 'gid']) commands.push(`set_inode_field "/${name}" ${field} 0`);
  }
  await guest.run('debugfs', ['-w', '-f', '-', partition], { input: `${commands.join('\n')}\n` });
  await runCommand('truncate', ['-s', String(IMAGE_BYTES), disk]);
  await guest.run('sfdisk', ['--quiet', '--no-reread', '--no-tell-kernel', disk], {
    input: `label: gpt\nstart=${PARTITION_OFFSET / 512}, size=${PARTITION_BYTES / 512}, type=linux\n`,
  });
  await runCommand('dd', [
    `if=${partition}`,
    `of=${disk}`,
    `seek=${PARTITION_OFFSET / 1024 ** 2}`,
    'bs=1M',
    'conv=sparse,notrunc',
    'status=none',
  ]);
}
