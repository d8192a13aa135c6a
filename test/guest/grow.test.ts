/**
 * Growing again after a rollback past an expansion; disks that are found in other ways, what is refused with what was seen, and
 * a reboot while the copy is attached: in one emulated guest, on real disks.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { FindDeviceInput } from '../../src/guest/scripts.ts';
import { bootGuest, codeOf, type Guest, serialOf } from './scripts/guest.ts';
import { LAYOUTS, type Layout } from './scripts/layouts.ts';
import { placeOf, SIZE, waitFor } from './scripts/stories.ts';

const LARGER = 700 * 1024 ** 2;
const layout = (id: string): Layout => LAYOUTS.find((one) => one.id === id) as Layout;
const GROWN = ['part', 'xfs', 'lvm', 'btrfs'].map(layout);

let guest: Guest;

beforeAll(async () => {
  guest = await bootGuest('vm');
  for (const one of GROWN) {
    await guest.plane.createDisk(placeOf(one).original, SIZE);
    await guest.attach(placeOf(one).original);
  }
  await guest.sh(
    GROWN.map((one) => `( ${waitFor(placeOf(one).original)}\n${one.make}\n${placeOf(one).mount} )`).join('\n'),
  );
  // One volume, as the simplest groups have.
  await guest.sh(
    'umount /srv/lvm-other; lvremove -q -y shop-data/the_other shop-data/spare; lvextend -q -l 100%VG shop-data/up-loads; resize2fs /dev/shop-data/up-loads',
  );
}, 240_000);

afterAll(() => guest?.close());

describe.each(GROWN)('$name', (one) => {
  const { original, root } = placeOf(one);

  it('is grown to the disk, and a second time nothing is to be done', async () => {
    const bytes = async () => Number(await guest.sh(`df -B1 --output=size ${root} | tail -1`));
    const input = { run: `run-${one.id}`, originalSerial: serialOf(original) };
    expect(await guest.ok('grow', input)).toEqual({ grown: [], left: [] });
    const before = await bytes();
    await guest.plane.resizeDisk(original, LARGER);
    await guest.sh(
      `${waitFor(original)}; until [ "$(lsblk -bdno SIZE $disk)" = ${LARGER} ]; do sleep 0.1; done; echo kept >${root}/kept`,
    );
    const { grown, left } = await guest.ok('grow', input);
    expect(left).toEqual([]);
    expect(grown.map(({ what }) => what)).toEqual([
      'partition',
      ...(one.id === 'lvm' ? ['logical volume'] : []),
      `${one.fsType} file system`,
    ]);
    expect((await bytes()) - before).toBeGreaterThan((LARGER - SIZE) * 0.9);
    expect(await guest.sh(`cat ${root}/kept`)).toBe('kept\n');
    expect(await guest.ok('grow', input)).toEqual({ grown: [], left: [] });
    expect(await guest.sh('ls -A /run/ecs-rollback 2>/dev/null || true')).toBe('');
  });
});

describe('what cannot be found again on a copy', () => {
  it('leaves it to people which of several volumes is to grow', async () => {
    const { original, root } = placeOf(layout('lvm'));
    await guest.sh(`umount ${root}; e2fsck -fy /dev/shop-data/up-loads >/dev/null; resize2fs /dev/shop-data/up-loads 100M
      lvreduce -q -f -y -L 120M shop-data/up-loads; lvcreate -q -y -n second -L 20M shop-data; mount /dev/shop-data/up-loads ${root}`);
    const { left } = await guest.ok('grow', { run: 'run-two', originalSerial: serialOf(original) });
    expect(left).toEqual([expect.stringMatching(/shop-data has 2 logical volumes and \d+ bytes free/)]);
  });

  it('refuses LUKS, md and a volume group over two disks, with what was seen and the way out', async () => {
    const disks = { md: 'd-raid', luks: 'd-crypt', one: 'd-group-one', two: 'd-group-two' };
    for (const id of Object.values(disks)) {
      await guest.plane.createDisk(id, 64 * 1024 ** 2);
      await guest.attach(id);
    }
    const on = (id: string) => `/dev/disk/by-id/virtio-${serialOf(id)}`;
    await guest.sh(`${Object.values(disks).map(waitFor).join('; ')}
      mdadm --create /dev/md7 --run --force --level=1 --raid-devices=1 --metadata=1.2 ${on(disks.md)}
      # Named as cryptsetup names its devices; what it encrypts with does not matter here.
      echo "0 $(blockdev --getsz ${on(disks.luks)}) linear ${on(disks.luks)} 0" | dmsetup create secret --uuid CRYPT-LUKS2-0123-secret
      pvcreate -q ${on(disks.one)} ${on(disks.two)}; vgcreate -q wide ${on(disks.one)} ${on(disks.two)}; lvcreate -q -y -n thin -L 16M wide ${on(disks.one)}
      mkdir -p /srv/md /srv/luks /srv/wide
      for f in md7:md mapper/secret:luks wide/thin:wide; do mkfs.ext4 -q /dev/\${f%:*}; mount /dev/\${f%:*} /srv/\${f#*:}; mkdir /srv/\${f#*:}/x; done`);
    const said = async (id: string, path: string) =>
      (await guest.ok('check-paths', { originalSerial: serialOf(id), paths: [path] })).problems;
    expect(await said(disks.md, '/srv/md/x')).toMatchObject([
      { code: 'UnsupportedLayout', message: expect.stringMatching(/software RAID \(md\).*helper instance/) },
    ]);
    expect(await said(disks.luks, '/srv/luks/x')).toMatchObject([
      { code: 'UnsupportedLayout', message: expect.stringMatching(/encrypted \(LUKS\).*helper instance/) },
    ]);
    expect(await said(disks.one, '/srv/wide/x')).toMatchObject([
      {
        code: 'UnsupportedLayout',
        message: expect.stringMatching(/volume group wide, which has 2 physical volumes.*helper instance/),
      },
    ]);
    await guest.sh(
      'umount /srv/md /srv/luks /srv/wide; mdadm -q --stop /dev/md7; dmsetup remove secret; vgchange -q -an wide',
    );
  });

  it('refuses a copy whose partition lies elsewhere or holds another file system', async () => {
    const { original, root } = placeOf(layout('part'));
    const strange = 'd-strange';
    await guest.plane.createDisk(strange, LARGER);
    await guest.attach(strange);
    const prepare = (start: string) =>
      guest.sh(`${waitFor(strange)}; wipefs -qa $disk; echo 'start=${start},type=L' | sfdisk -q -X gpt --wipe always $disk; udevadm settle
        uuid=$(blkid -p -s UUID -o value /dev/disk/by-id/virtio-${serialOf(original)}-part1)
        mkfs.ext4 -q -F -U \${uuid:?} $disk-part1; mkdir -p ${root}/x`);
    const find = () =>
      guest.run('find-device', {
        ...placeOf(layout('part')).finding('run-strange', strange, [`${root}/x`]),
        originalSizeBytes: LARGER,
        recoverySizeBytes: LARGER,
      });
    await prepare('4096');
    const elsewhere = await find();
    expect(codeOf(elsewhere)).toBe('refused LayoutMismatch');
    expect(elsewhere).toMatchObject({
      message: expect.stringMatching(/ext4 .* from sector 2048, the recovery disk's is ext4 .* from sector 4096/),
    });
    await prepare('2048');
    expect(await find()).toMatchObject({ ok: true });
    await guest.sh(`${waitFor(strange)}; mkfs.ext4 -q -F $disk-part1`);
    expect(codeOf(await find())).toBe('refused LayoutMismatch');
    await guest.detach(strange);
  });
});

describe('disks without a serial', () => {
  it('are told apart by what was there before the attach, and refused where that does not tell', async () => {
    const size = 96 * 1024 ** 2;
    const ids = { original: 'd-old', recovery: 'd-new', third: 'd-third' };
    await guest.plane.createDisk(ids.original, size);
    const known = await guest.ok('list-disks', { run: 'run-old' });
    await guest.attachWithoutSerial(ids.original);
    const name = (
      await guest.sh(`for i in {1..200}; do for f in /sys/block/vd*; do f=\${f##*/}
      [[ ' ${known.disks.join(' ')} ' != *" $f "* && -b /dev/$f ]] && echo $f && exit; done; sleep 0.1; done; exit 1`)
    ).trim();
    await guest.sh(
      `mkfs.ext4 -q /dev/${name}; mkdir -p /srv/old; mount /dev/${name} /srv/old; mkdir /srv/old/x; echo old >/srv/old/x/f; sync`,
    );
    await guest.plane.snapshotDisks([{ diskId: ids.original, snapshotId: 's-old' }]);
    const { disks } = await guest.ok('list-disks', { run: 'run-old' });
    expect(disks).toContain(name);
    const input: FindDeviceInput = {
      run: 'run-old',
      originalSerial: '',
      originalSizeBytes: size,
      recoverySerial: '',
      recoverySizeBytes: size,
      disksBefore: disks,
      waitSeconds: 3,
      paths: ['/srv/old/x'],
    };
    expect(codeOf(await guest.run('find-device', input))).toBe('failed DeviceNotFound');
    await guest.plane.createDisk(ids.recovery, size, 's-old');
    await guest.attachWithoutSerial(ids.recovery);
    const { disksBefore: _, ...unlisted } = input;
    expect(codeOf(await guest.run('find-device', unlisted))).toBe('refused DeviceAmbiguous');
    const { fileSystems } = await guest.ok('find-device', { ...input, waitSeconds: 20 });
    const { mounts } = await guest.ok('mount', { run: input.run, fileSystems });
    const at = mounts[0]?.recoveryMount;
    expect(await guest.sh(`cat ${at}/x/f; findmnt -no SOURCE ${at}`)).toMatch(
      new RegExp(`^old\\n/dev/vd(?!${name.slice(2)}\\b)`),
    );
    expect(await guest.ok('unmount', { run: input.run })).toEqual({ unmounted: 1 });

    await guest.plane.createDisk(ids.third, size);
    await guest.attachWithoutSerial(ids.third);
    await guest.sh('sleep 2');
    expect(codeOf(await guest.run('find-device', input))).toBe('refused DeviceAmbiguous');
    await guest.sh('umount /srv/old');
    for (const id of Object.values(ids)) await guest.detach(id);
  });
});

describe('a recovery disk on NVMe', () => {
  it('is found by its link, and by what sysfs says where there is none', async () => {
    const one = layout('part');
    const { original, root, finding } = placeOf(one);
    const recovery = 'd-nvme';
    await guest.sh(`mkdir -p ${root}/x; echo new >${root}/x/file; sync`);
    const size = Number(await guest.sh(`${waitFor(original)}; blockdev --getsize64 $disk`));
    await guest.plane.snapshotDisks([{ diskId: original, snapshotId: 's-nvme' }]);
    await guest.plane.createDisk(recovery, size, 's-nvme');
    await guest.attach(recovery, serialOf(recovery), 'nvme');
    const input = {
      ...finding('run-nvme', recovery, [`${root}/x`]),
      originalSizeBytes: size,
      recoverySizeBytes: size,
    };
    const link = '/dev/disk/by-id/nvme-Alibaba_Cloud_Elastic_Block_Storage_nvme';
    expect(await guest.ok('find-device', input)).toMatchObject({
      recoveryDevice: link,
      fileSystems: [{ partition: 1, recoveryDevice: `${link}-part1` }],
    });
    // A guest whose udev makes no links at all.
    await guest.sh('rm /dev/disk/by-id/nvme-*');
    const { recoveryDevice, fileSystems } = await guest.ok('find-device', { ...input, waitSeconds: 1 });
    expect(recoveryDevice).toBe('/run/ecs-rollback/run-nvme/by-id/nvme');
    const { mounts } = await guest.ok('mount', { run: input.run, fileSystems });
    expect(
      await guest.sh(`cat ${mounts[0]?.recoveryMount}/x/file; findmnt -no SOURCE ${mounts[0]?.recoveryMount}`),
    ).toBe('new\n/dev/nvme0n1p1\n');
    expect(await guest.ok('unmount', { run: input.run, recoverySerial: serialOf(recovery) })).toEqual({ unmounted: 1 });
    await guest.detach(recovery);
  });
});

describe('a reboot while the recovery disk is attached', () => {
  it('is seen, and so is the copy in the original’s place; nothing goes on until that is put right', async () => {
    const one = layout('part');
    const { original, root, finding } = placeOf(one);
    const recovery = 'd-copy';
    // As large as the tests before have made it.
    const size = Number(await guest.sh(`${waitFor(original)}; blockdev --getsize64 $disk`));
    await guest.sh(
      `mkdir -p ${root}/x; echo "UUID=$(blkid -p -s UUID -o value $(findmnt -no SOURCE ${root})) ${root} ext4 nofail 0 0" >>/etc/fstab; sync`,
    );
    await guest.plane.snapshotDisks([{ diskId: original, snapshotId: 's-copy' }]);
    await guest.plane.createDisk(recovery, size, 's-copy');
    const input = {
      ...finding('run-boot', recovery, [`${root}/x`]),
      originalSizeBytes: size,
      recoverySizeBytes: size,
    };
    await guest.attach(recovery);
    const { bootId, fileSystems } = await guest.ok('find-device', input);
    await guest.ok('mount', { run: input.run, fileSystems, bootId });

    await guest.reboot([original, recovery]);
    const inOldBoot = { run: input.run, bootId };
    for (const answer of [
      await guest.run('find-device', { ...input, bootId }),
      await guest.run('mount', { ...inOldBoot, fileSystems }),
      await guest.run('copy-start', { ...inOldBoot, mounts: [], conflictPolicy: 'newer-wins' }),
      await guest.run('copy-status', inOldBoot),
    ]) {
      expect(codeOf(answer)).toBe('refused GuestRebooted');
    }
    // Which of the two fstab has taken is a race that the copy mostly wins; here it has.
    await guest.sh(`umount ${root}; ${waitFor(recovery)}; mount $disk-part1 ${root}`);
    const displaced = await guest.run('find-device', input);
    expect(codeOf(displaced)).toBe('refused OriginalDisplaced');
    expect(displaced).toMatchObject({
      message: expect.stringContaining(`is mounted at ${root}, in place of the original`),
    });
    const unmount = { run: input.run, recoverySerial: serialOf(recovery) };
    expect(codeOf(await guest.run('unmount', unmount))).toBe('refused RecoveryDiskMounted');
    expect(await guest.sh(`findmnt -no SOURCE ${root}`)).toBe(
      await guest.sh(`${waitFor(recovery)}; echo $(readlink -f $disk-part1)`),
    );

    await guest.sh(`umount ${root}; ${placeOf(one).mount}`);
    const found = await guest.ok('find-device', input);
    expect(found).toMatchObject({ fileSystems });
    expect(found.bootId).not.toBe(bootId);
    expect(await guest.ok('unmount', unmount)).toEqual({ unmounted: 0 });

    // A reboot after the unmount may put the copy there once more, before it is detached.
    const afterDetach = { run: input.run, originalSerial: serialOf(original) };
    await guest.sh(`umount ${root}; ${waitFor(recovery)}; mount $disk-part1 ${root}`);
    expect(await guest.ok('original-in-place', afterDetach)).toEqual({});
    await guest.detach(recovery);
    const gone = await guest.run('original-in-place', afterDetach);
    expect(codeOf(gone)).toBe('refused OriginalDisplaced');
    expect(gone).toMatchObject({ message: expect.stringMatching(new RegExp(`^/dev/vd.1 at ${root} is mounted`)) });
    await guest.sh(`umount -l ${root}; ${placeOf(one).mount}`);
    expect(await guest.ok('original-in-place', afterDetach)).toEqual({});
  });
});
