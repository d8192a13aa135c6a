/**
 * The layouts of the matrix: how a disk is made, opened and closed in the guest, by shell lines that know the disk as
 * `$disk` (its by-id link) and set `$fs` to the device of its file system.
 */

/** Waits for a partition's link; other layouts lie on it. */
const part = (n: number): string => `until [ -b $disk-part${n} ]; do sleep 0.1; done`;

export interface Layout {
  readonly name: string;
  /** Part of the names of its disks and folders. */
  readonly id: string;
  readonly fsType: string;
  /** As `find-device` must find it. */
  readonly partition: number;
  /** Once, on the empty disk; ends with the file system made. */
  readonly make: string;
  /** After each attach, before the mount. */
  readonly open: string;
  /** Before each detach, after the unmount. */
  readonly close: string;
  readonly fs: string;
  readonly mountOptions: string;
  /** Of the mount by hand that does not replay the journal; undefined where there is none. */
  readonly withoutReplay?: string;
  /** Something that B has on another file system of the disk, which is mounted at /srv/ID-other. */
  readonly besideB?: string;
  /** What of the recovery disk cannot be compared. */
  readonly notCompared?: readonly string[];
  /** What `mount` says of a copy that was cut while mounted, where that cannot be mounted. */
  readonly refusedDirty?: string;
}

const plain = { close: '', mountOptions: '' };

export const LAYOUTS: readonly Layout[] = [
  {
    ...plain,
    name: 'ext4 on a partition',
    id: 'part',
    fsType: 'ext4',
    partition: 1,
    make: `echo ',,L' | sfdisk -q -X gpt $disk; ${part(1)}; mkfs.ext4 -q -L files $disk-part1`,
    open: part(1),
    fs: '$disk-part1',
    withoutReplay: 'noload',
  },
  {
    ...plain,
    name: 'XFS on the second partition',
    id: 'xfs',
    fsType: 'xfs',
    partition: 2,
    make: `printf 'size=16M\\n,,L\\n' | sfdisk -q -X gpt $disk; ${part(2)}; mkfs.xfs -q $disk-part2`,
    open: part(2),
    fs: '$disk-part2',
    notCompared: ['partition 1 of the recovery disk has no file system that is known'],
    withoutReplay: 'nouuid,norecovery',
  },
  {
    name: 'ext4 on LVM',
    id: 'lvm',
    fsType: 'ext4',
    partition: 1,
    make: `echo ',,V' | sfdisk -q -X gpt $disk; ${part(1)}; pvcreate -q $disk-part1; vgcreate -q shop-data $disk-part1
      lvcreate -q -y -n the_other -l 10%VG shop-data; lvcreate -q -y -n up-loads -l 60%VG shop-data; lvcreate -q -y -n spare -l 5%VG shop-data
      mkfs.ext4 -q /dev/shop-data/up-loads; mkfs.ext4 -q /dev/shop-data/the_other`,
    open: `${part(1)}; vgchange -q -ay shop-data; mkdir -p /srv/lvm-other; mount /dev/shop-data/the_other /srv/lvm-other`,
    close: 'umount /srv/lvm-other; vgchange -q -an shop-data',
    fs: '/dev/shop-data/up-loads',
    mountOptions: '',
    besideB: 'echo "of B" >/srv/lvm-other/new',
    notCompared: ['partition 1 of the recovery disk has the logical volume spare, which the guest has not mounted'],
  },
  {
    ...plain,
    name: 'ext4 on the whole disk',
    id: 'whole',
    fsType: 'ext4',
    partition: 0,
    make: 'mkfs.ext4 -q $disk',
    open: '',
    fs: '$disk',
  },
  {
    ...plain,
    name: 'a Btrfs subvolume',
    id: 'btrfs',
    fsType: 'btrfs',
    partition: 1,
    make: `echo ',,L' | sfdisk -q -X gpt $disk; ${part(1)}; mkfs.btrfs -q $disk-part1
      mkdir -p /run/top; mount $disk-part1 /run/top; btrfs -q subvolume create /run/top/@files
      btrfs -q subvolume create /run/top/@files/inside; btrfs -q subvolume create /run/top/@spare; echo top >/run/top/top; umount /run/top`,
    open: part(1),
    fs: '$disk-part1',
    mountOptions: '-o subvol=@files',
    notCompared: ['partition 1 has 3 subvolumes of Btrfs, such as /@spare, which the guest has not mounted'],
    refusedDirty: 'refused UnsupportedLayout',
  },
];

/** A small tree `name` at state A in the current folder. */
export const treeA = (name: string): string => `
mkdir -p ${name}/sub; echo A >${name}/changed; echo A >${name}/same; touch -d '2021-01-01' ${name}/*; echo 'gone in B' >${name}/gone`;

/** The same tree at state B: every kind of entry and attribute. */
export const treeB = (name: string): string => String.raw`
echo 'B, and longer' >${name}/changed; rm ${name}/gone
echo newline >${name}/$'new\nline -- "q"'; printf bad >${name}/$'bad-\xff'; ln -s /etc/passwd ${name}/link
echo hard >${name}/hard; ln ${name}/hard ${name}/sub/hard; mkfifo ${name}/fifo
truncate -s 5M ${name}/sparse; printf end >>${name}/sparse
setfattr -n user.colour -v blue ${name}/changed; setfacl -m u:1234:r ${name}/changed
chown 1001:1002 ${name}/sub ${name}/hard; chmod 2750 ${name}/sub; touch -d '2023-01-02 03:04:05.123456789' ${name}/sub`;

/** Files that were fsynced, and that for some seconds only the journal knows of. */
export const fsynced = (name: string): string => `
for i in {1..5}; do echo "fsynced $i" >${name}/fsynced-$i; done; sync ${name}/fsynced-*`;
