/**
 * What the guest image is made of: Debian packages, kernel modules, our few files, and what must be in it at the end.
 * The image's folder in the cache is named after a hash of all this, so a change here makes a new image.
 */
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Folder of our own files: `init` and friends. */
export const FILES_FOLDER = fileURLToPath(new URL('./files/', import.meta.url));

export const GIB = 1024 ** 3;
/** The guest image's size: the smallest system disk that can be made of it. Sparse, about 90 MB of it are used. */
export const IMAGE_BYTES = 1 * GIB;

/** Raise it when a change in `build.ts` changes the image. */
const FORMAT = 2;

/** Meta package: depends on the kernel that Debian has now. */
export const KERNEL_PACKAGE = 'linux-image-cloud-amd64';

/** Asked for by name; apt adds what they depend on. */
export const PACKAGES = [
  KERNEL_PACKAGE,
  'acl',
  'attr',
  'base-files',
  'base-passwd',
  'bash',
  'btrfs-progs',
  'busybox-static',
  'cloud-guest-utils',
  'coreutils',
  'cpio',
  'diffutils',
  'e2fsprogs',
  'fdisk',
  'findutils',
  'grep',
  'gzip',
  'hostname',
  'kmod',
  'libc-bin',
  'lvm2',
  'mawk',
  'mdadm',
  'mount',
  'passwd',
  'procps',
  'psmisc',
  'qemu-guest-agent',
  'rsync',
  'sed',
  'tar',
  'udev',
  'util-linux',
  'xfsprogs',
] as const;

/**
 * Dependencies that nothing we run in the guest needs: maintainer scripts' tools, the init system (ours is `init`), and
 * the Python that xfs_scrub and ec2metadata would use.
 */
export const LEFT_OUT =
  /^(adduser|dash|debconf|dpkg|gcc-.*|init-system-helpers|initramfs-.*|klibc-.*|libklibc|libfile-.*|libgdbm.*|libicu.*|libkrb5.*|libk5.*|libgssapi.*|libnsl.*|libnumber-.*|libperl.*|libpython.*|libsqlite.*|libstdc.*|libtext-.*|libtirpc.*|linux-base|logsave|lsb-base|media-types|perl.*|python.*|readline-common|systemd.*|usrmerge)$/;

/** Used while building, on the host or by way of a copy; not unpacked into the guest. */
export const BUILD_ONLY = /^(busybox-static|cpio)$/;

/** Loaded by the initrd, in this order after what each depends on. */
export const INITRD_MODULES = ['virtio_pci', 'virtio_blk', 'virtio_console'] as const;

/** In the guest's /lib/modules with what they depend on; ext4 is part of the kernel. */
export const GUEST_MODULES = [
  ...INITRD_MODULES,
  'btrfs',
  'button',
  'crc32c_generic',
  'crc32c-intel',
  'dm-mod',
  'dm-snapshot',
  'evdev',
  'loop',
  'nvme',
  'raid1',
  'xfs',
] as const;

/** Where the rest of udev's rules would only cost boot time. */
export const UDEV_RULES =
  /^(50-udev-default|55-dm|56-lvm|60-block|60-persistent-storage|60-persistent-storage-dm|60-persistent-storage-lvm|64-btrfs|69-lvm|80-drivers|95-dm-notify)\.rules$/;

/** What scripts may count on. The build fails when one of them is missing or lacks a library. */
export const GUEST_COMMANDS = [
  'awk bash blkid btrfs btrfstune chmod chown cmp cp dd df dmsetup du fdisk find findmnt flock fsfreeze fuser getfacl getfattr grep growpart gzip',
  'head ls lsblk lvcreate lvs mdadm mkfs.btrfs mkfs.ext4 mkfs.xfs mktemp modprobe mount mountpoint nice ionice ps pvcreate qemu-ga readlink',
  'resize2fs rm rsync sed setfacl setfattr setpriv setsid sfdisk sh sha256sum sleep sort stat sync tar timeout truncate',
  'udevadm umount useradd vgchange vgimportclone xargs xfs_growfs xfs_repair xfs_info e2fsck dumpe2fs blockdev partx',
]
  .join(' ')
  .split(' ');

/** Names the recipe: 16 hexadecimal digits. */
export function recipeHash(): string {
  const hash = createHash('sha256');
  hash.update(
    JSON.stringify([
      FORMAT,
      PACKAGES,
      LEFT_OUT.source,
      BUILD_ONLY.source,
      INITRD_MODULES,
      GUEST_MODULES,
      UDEV_RULES.source,
      GUEST_COMMANDS,
      IMAGE_BYTES,
    ]),
  );
  for (const name of readdirSync(FILES_FOLDER).sort()) hash.update(name).update(readFileSync(FILES_FOLDER + name));
  return hash.digest('hex').slice(0, 16);
}
