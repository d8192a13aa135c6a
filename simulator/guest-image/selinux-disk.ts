/**
 * SELinux for a guest, on a disk of its own: Debian's reference policy, built as its package does it, and the tools that
 * load it and give labels. An ext4 file system without partitions, for `ENABLE_SELINUX`.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { builtOnce } from './cache.ts';
import { downloadPackages, unpack } from './debian-packages.ts';
import { findCommand, runCommand } from './run-command.ts';

export const SELINUX_DISK_BYTES = 32 * 1024 ** 2;

const PACKAGES = ['policycoreutils', 'selinux-policy-default', 'selinux-utils'];

/** All but these, which the tools need besides the C library: maintainer scripts' tools, PAM, Python. */
const LEFT_OUT =
  /^(?!(libaudit1|libbz2-1\.0|libcap-ng0|libpcre2-8-0|libselinux1|libsemanage2|libsepol2|policycoreutils|selinux-policy-default|selinux-utils)$)/;

const COMMANDS = ['getenforce', 'load_policy', 'restorecon', 'selinuxenabled', 'setenforce', 'setfiles'];
/** What a guest lacks of their libraries. */
const LIBRARIES = /^lib(audit|cap-ng|sepol)\.so/;

/**
 * Shell lines for root of a guest that has booted with SELinux in its kernel and has this disk at /opt/selinux: loads the
 * policy, and gives the guest's programs and devices their labels. The guest's agent starts anew in the domain of services
 * (its init changes no domains), and so does all that it runs from then on. Nothing is denied until `setenforce 1`.
 */
export const ENABLE_SELINUX = `here=/opt/selinux
mount --bind $here/etc /etc/selinux
cp $here/bin/* /usr/sbin/
cp -n $here/lib/* /usr/lib/x86_64-linux-gnu/
load_policy -i
mv /usr/sbin/qemu-ga /usr/sbin/qemu-ga.real
printf '#!/bin/bash\nexec runcon system_u:system_r:initrc_t:s0 /usr/sbin/qemu-ga.real "$@"\n' >/usr/sbin/qemu-ga
chmod 755 /usr/sbin/qemu-ga
restorecon -R -e /usr/lib/modules $here /etc /run /usr/bin /usr/lib /usr/libexec /usr/sbin
restorecon / /bin /lib /lib64 /sbin /mnt /opt /root /srv /tmp /usr /var /var/*
udevadm control --exit
/lib/systemd/systemd-udevd --daemon
restorecon -R /dev
(sleep 1.5; kill $(pidof qemu-ga)) </dev/null >/dev/null 2>&1 &`;

/** Path of the image, built first when the cache lacks it. Throws one line that says what is missing. */
export async function ensureSelinuxDisk(log: (line: string) => void): Promise<string> {
  if (findCommand('mke2fs') === undefined) {
    throw new Error('the disk with SELinux is made with mke2fs, which this host lacks: install e2fsprogs');
  }
  const recipe = createHash('sha256').update(
    JSON.stringify([1, PACKAGES, LEFT_OUT.source, COMMANDS, LIBRARIES.source, SELINUX_DISK_BYTES]),
  );
  const name = `selinux-${recipe.digest('hex').slice(0, 16)}`;
  const folder = await builtOnce(name, 'a disk with an SELinux policy', log, async (work) => {
    const root = join(work, 'root');
    for (const deb of (await downloadPackages(PACKAGES, LEFT_OUT, work, log)).values()) await unpack(deb, root);
    await buildPolicy(root);
    const disk = join(work, 'disk');
    await fillDisk(root, disk);
    const image = join(work, 'result', 'disk.img');
    await runCommand('truncate', ['-s', String(SELINUX_DISK_BYTES), image]);
    await runCommand('mke2fs', ['-q', '-F', '-t', 'ext4', '-E', 'root_owner=0:0', '-d', disk, image]);
  });
  return join(folder, 'disk.img');
}

const librariesOf = (root: string): string[] =>
  ['lib', 'usr/lib'].map((folder) => join(root, folder, 'x86_64-linux-gnu'));

/** All modules of the policy into one, and the labels of paths, in `etc/selinux` of the unpacked packages. */
async function buildPolicy(root: string): Promise<void> {
  const modules = join(root, 'usr/share/selinux/default');
  const names = (await fs.readFile(join(modules, '.modules'), 'utf8')).trim().split(/\s+/);
  await fs.writeFile(
    join(root, 'etc/selinux/semanage.conf'),
    `module-store = direct
compiler-directory = ${root}/usr/libexec/selinux/hll
expand-check = 0
bzip-blocksize = 0
[sefcontext_compile]
path = ${root}/usr/sbin/sefcontext_compile
args = $@
[end]
[setfiles]
path = ${root}/sbin/setfiles
args = -q -c $@ $<
[end]
`,
  );
  const options = ['--noreload', '--path', root, '--store', 'default', '--priority', '100'];
  const install = names.flatMap((name) => ['--install', join(modules, `${name}.pp.bz2`)]);
  await runCommand(join(root, 'usr/sbin/semodule'), [...options, ...install], {
    env: { LD_LIBRARY_PATH: librariesOf(root).join(':') },
  });
}

async function fillDisk(root: string, disk: string): Promise<void> {
  const [bin, lib, etc] = ['bin', 'lib', 'etc'].map((name) => join(disk, name)) as [string, string, string];
  for (const folder of [bin, lib]) await fs.mkdir(folder, { recursive: true });
  await fs.cp(join(root, 'etc/selinux/default'), join(etc, 'default'), { recursive: true });
  await fs.writeFile(join(etc, 'config'), 'SELINUX=permissive\nSELINUXTYPE=default\n');
  for (const name of COMMANDS) {
    const found = ['sbin', 'usr/sbin'].map((folder) => join(root, folder, name));
    for (const path of found) await fs.copyFile(path, join(bin, name)).catch(() => undefined);
  }
  for (const folder of librariesOf(root)) {
    for (const name of await fs.readdir(folder)) {
      if (LIBRARIES.test(name)) await fs.copyFile(join(folder, name), join(lib, name));
    }
  }
}
