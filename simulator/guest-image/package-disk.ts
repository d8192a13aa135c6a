/**
 * Debian packages on a disk of their own, for guests that need more than their system disk holds, such as a database: an
 * ext4 file system without partitions, unpacked and not configured, so nothing of it starts by itself.
 */
import { createHash } from 'node:crypto';
import * as fs from 'node:fs/promises';
import { join } from 'node:path';
import { builtOnce } from './cache.ts';
import { downloadPackages, unpack } from './debian-packages.ts';
import { findCommand, runCommand } from './run-command.ts';

const IMAGE_BYTES = 1024 ** 3;

/**
 * The C library is the guest's own, as the host's programs in a `loop` guest need it; the rest are tools of maintainer
 * scripts, and the compiler that a database may do without.
 */
const LEFT_OUT =
  /^(libc6|libc-bin|libc-l10n|locales|gcc-.*|adduser|debconf|dpkg|init-system-helpers|libllvm.*|llvm.*|logrotate|lsb-base|lsb-release|media-types|passwd|perl.*|libperl.*|libgdbm.*|postgresql-client-common|postgresql-common.*|python.*|libpython.*|readline-common|sensible-utils|ssl-cert|openssl|systemd.*|tar|tzdata|ucf|util-linux.*)$/;

/** Of no use in a guest, and most of the bytes. */
const USELESS = ['usr/share/doc', 'usr/share/man', 'usr/share/locale', 'usr/share/lintian', 'usr/lib/llvm-14'];

/** Path of the image, built first when the cache lacks it. Throws one line that says what is missing. */
export async function ensurePackageDisk(packages: readonly string[], log: (line: string) => void): Promise<string> {
  if (findCommand('mke2fs') === undefined) {
    throw new Error('a disk of packages is made with mke2fs, which this host lacks: install e2fsprogs');
  }
  const recipe = createHash('sha256').update(JSON.stringify([1, packages, LEFT_OUT.source, USELESS]));
  const name = `packages-${recipe.digest('hex').slice(0, 16)}`;
  const folder = await builtOnce(name, `a disk with ${packages.join(', ')}`, log, async (work) => {
    const root = join(work, 'root');
    for (const deb of (await downloadPackages(packages, LEFT_OUT, work, log)).values()) await unpack(deb, root);
    for (const useless of USELESS) await fs.rm(join(root, useless), { recursive: true, force: true });
    const image = join(work, 'result', 'disk.img');
    await runCommand('truncate', ['-s', String(IMAGE_BYTES), image]);
    await runCommand('mke2fs', ['-q', '-F', '-t', 'ext4', '-E', 'root_owner=0:0', '-d', root, image]);
  });
  return join(folder, 'disk.img');
}
