/** What the plan asks a running guest: its tools, the disk's file systems, and what else the disk is a part of. On real disks. */
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { LookAroundInput } from '../../src/guest/scripts.ts';
import { bootGuest, codeOf, type Guest, serialOf } from './scripts/guest.ts';

const MIB = 1024 ** 2;
const SIZE = 256 * MIB;
const [DISK, OTHER] = ['d-looksaround00001', 'd-looksaround00002'];

let guest: Guest;
const link = (diskId: string) => `/dev/disk/by-id/virtio-${serialOf(diskId)}`;
const look = (diskId: string, hooks: LookAroundInput['hooks'] = []) =>
  guest.ok('look-around', { originalSerial: serialOf(diskId), hooks });

// Device mapper is the kernel's own: only a machine has it for sure.
beforeAll(async () => {
  guest = await bootGuest('vm');
  for (const diskId of [DISK, OTHER]) {
    await guest.plane.createDisk(diskId, SIZE);
    await guest.attach(diskId);
    await guest.sh(`until [ -b ${link(diskId)} ]; do sleep 0.1; done`);
  }
}, 240_000);

afterAll(async () => {
  await guest?.close();
});

it('knows the guest, and a disk with nothing on it', async () => {
  const seen = await look(DISK);
  expect(seen).toMatchObject({
    kernel: 'Linux',
    os: expect.stringMatching(/^Debian GNU\/Linux/),
    bash: expect.stringMatching(/^5\.\d+$/),
    missingTools: [],
    canFreeze: true,
    fileSystems: [],
    stacks: [],
    hookProblems: [],
  });
  expect(seen.stateFreeBytes).toBeGreaterThan(MIB);
  expect(codeOf(await guest.run('look-around', { originalSerial: 'nosuchdisk0000000', hooks: [] }))).toBe(
    'failed DeviceNotFound',
  );
});

it('measures file systems as df does, and knows which are mounted at boot', async () => {
  await guest.sh(`mkfs.ext4 -q ${link(DISK)}; mkdir -p '/srv/shop floor'; mount ${link(DISK)} '/srv/shop floor'
    dd if=/dev/zero of='/srv/shop floor/fill' bs=1M count=100 status=none; sync
    mkdir -p /srv/again; mount --bind '/srv/shop floor' /srv/again`);
  const [size, free, inodes, freeInodes] = (
    await guest.sh(`df --output=size,avail,itotal,iavail -B1 '/srv/shop floor' | tail -1`)
  )
    .trim()
    .split(/\s+/)
    .map(Number);
  const at = '/srv/shop floor';
  const fileSystem = { at, type: 'ext4', readOnly: false, sizeBytes: size, freeBytes: free, inodes, freeInodes };
  expect(free).toBeLessThan(SIZE - 100 * MIB);
  expect((await look(DISK)).fileSystems).toEqual([{ ...fileSystem, atBoot: false }]);

  await guest.sh(String.raw`echo '${link(DISK)} /srv/shop\040floor ext4 noauto 0 2' >>/etc/fstab`);
  expect((await look(DISK)).fileSystems).toMatchObject([{ atBoot: false }]);
  await guest.sh(`sed -i 's/noauto/defaults/' /etc/fstab`);
  expect((await look(DISK)).fileSystems).toMatchObject([{ atBoot: true, readOnly: false }]);
  await guest.sh(`mount -o remount,ro '${at}'`);
  expect((await look(DISK)).fileSystems).toMatchObject([{ readOnly: true }]);
  expect((await look(OTHER)).fileSystems).toEqual([]);
  await guest.sh(`umount /srv/again; umount '${at}'; wipefs -aq ${link(DISK)}`);
});

const lvm = (name: string, withOthers: boolean | null) => ({ kind: 'LVM', name, withOthers });

it('tells a volume group on the disk alone from one with other disks, whichever disk a volume is on', async () => {
  await guest.sh(`pvcreate -qq -y ${link(DISK)}; vgcreate -qq shop-vg ${link(DISK)}
    lvcreate -qq -y -L 100M -n data shop-vg ${link(DISK)}; udevadm settle
    mkfs.ext4 -q /dev/shop-vg/data; mkdir -p /srv/lvm; mount /dev/shop-vg/data /srv/lvm`);
  const alone = await look(DISK);
  expect(alone.stacks).toEqual([lvm('shop-vg', false)]);
  expect(alone.fileSystems).toMatchObject([{ at: '/srv/lvm', type: 'ext4' }]);
  expect((await look(OTHER)).stacks).toEqual([]);

  // A second volume, on another disk: none of the two is on both.
  await guest.sh(`pvcreate -qq -y ${link(OTHER)}; vgextend -qq shop-vg ${link(OTHER)}
    lvcreate -qq -y -L 100M -n more shop-vg ${link(OTHER)}; udevadm settle`);
  expect((await look(DISK)).stacks).toEqual([lvm('shop-vg', true)]);
  expect((await look(OTHER)).stacks).toEqual([lvm('shop-vg', true)]);
});

it('says that it does not know of one that is not active', async () => {
  await guest.sh('umount /srv/lvm; vgchange -qq -an shop-vg');
  expect((await look(DISK)).stacks).toEqual([lvm('', null)]);
});

it('names the tools that are missing', async () => {
  await guest.sh('mv "$(command -v flock)" /root/flock; mv "$(command -v fsfreeze)" /root/fsfreeze');
  expect(await look(DISK)).toMatchObject({ missingTools: ['flock'], canFreeze: false });
  await guest.sh('mv /root/flock /root/fsfreeze /usr/bin/');
});

it('says which hooks would not be run', async () => {
  await guest.sh(
    `cd /root; echo '#!/bin/sh' >good; echo '#!/bin/sh' >open; echo text >plain; chmod 755 good; chmod 757 open`,
  );
  const hook = (at: LookAroundInput['hooks'][number]['at'], command: string, user = 'root') => ({ at, command, user });
  const { hookProblems } = await look(DISK, [
    hook('beforeStop', '/root/good'),
    hook('afterStart', '/root/plain'),
    hook('beforeCopy', '/root/open'),
    hook('afterCopy', '/root/good', 'nobody-here'),
    hook('healthCheck', '/root/missing'),
  ]);
  expect(hookProblems).toEqual([
    { at: 'afterStart', message: '/root/plain is not an executable file in the guest' },
    { at: 'beforeCopy', message: '/root/open would run as root and everybody may write to it' },
    { at: 'afterCopy', message: 'the guest has no user nobody-here' },
    { at: 'healthCheck', message: '/root/missing is not an executable file in the guest' },
  ]);
});
