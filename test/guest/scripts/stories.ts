/**
 * The whole story on a layout, in one emulated guest with many disks: each disk goes from A to B and back to A, and what B had
 * is brought back from its recovery disk, cut clean and cut in the middle of writing, with rsync and without.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { bootGuest, codeOf, findingOf, type Guest, serialOf } from './guest.ts';
import { fsynced, type Layout, treeA, treeB } from './layouts.ts';
import { describeTree } from './trees.ts';

export const SIZE = 400 * 1024 ** 2;
const CUTS = ['clean', 'dirty'] as const;

const linkOf = (diskId: string) => `/dev/disk/by-id/virtio-${serialOf(diskId)}`;
export const waitFor = (diskId: string): string => `disk=${linkOf(diskId)}; until [ -b $disk ]; do sleep 0.1; done`;

/** Where the disk of a layout is, and what is of it. */
export function placeOf(layout: Layout) {
  const original = `d-original-${layout.id}`;
  const root = `/srv/${layout.id}`;
  return {
    original,
    root,
    snapshot: (name: string) => `s-${name}-${layout.id}`,
    mount: `${waitFor(original)}; ${layout.open}\nmkdir -p ${root}; mount ${layout.mountOptions} ${layout.fs} ${root}`,
    finding: (run: string, recovery: string, paths: string[]) =>
      findingOf(run, { original, recovery, size: SIZE }, paths),
  };
}

/** Defines the tests; answers how to reach the guest in tests of the same file, which come after the stories. */
export function stories(layouts: readonly Layout[]): { guest: Guest } {
  const here = {} as { guest: Guest };

  /** The identities that the copy must not disturb, as LVM and blkid tell them of the original. */
  const identity = (layout: Layout) =>
    here.guest.sh(`${waitFor(placeOf(layout).original)}
    blkid -p -o export ${layout.fs} | grep -v DEVNAME
    [ '${layout.close}' = '' ] || lvm vgs --noheadings -o vg_name,vg_uuid,vg_seqno,pv_uuid shop-data`);

  beforeAll(async () => {
    const guest = await bootGuest('vm');
    here.guest = guest;
    const each = (lines: (layout: Layout) => string) =>
      guest.sh(layouts.map((layout) => `( ${lines(layout)} )`).join('\n'));
    const cut = (name: string) =>
      guest.plane.snapshotDisks(
        layouts.map((layout) => ({ diskId: placeOf(layout).original, snapshotId: placeOf(layout).snapshot(name) })),
      );
    // Far quicker than to make each of them, where every process costs.
    const copies = CUTS.map((tree) => `; cp -a made ${tree}`).join('');
    for (const layout of layouts) {
      await guest.plane.createDisk(placeOf(layout).original, SIZE);
      await guest.attach(placeOf(layout).original);
    }
    await each(
      (layout) => `${waitFor(placeOf(layout).original)}\n${layout.make}\n${placeOf(layout).mount}
      cd ${placeOf(layout).root}${treeA('made')}${copies}; echo outside >untouched`,
    );
    await guest.sh('sync');
    await cut('a');
    await each(
      (layout) =>
        `cd ${placeOf(layout).root}${treeB('made')}\nrm -r ${CUTS.join(' ')}${copies}\n${layout.besideB ?? ''}`,
    );
    await guest.sh('sync');
    await each((layout) => `cd ${placeOf(layout).root}${CUTS.map(fsynced).join('')}`);
    await cut('dirty');
    await each((layout) => `umount ${placeOf(layout).root}; ${layout.close}`);
    await cut('clean');
    for (const layout of layouts) {
      const { original, snapshot } = placeOf(layout);
      await guest.detach(original);
      await guest.plane.resetDisk(original, snapshot('a'), SIZE);
      await guest.attach(original);
    }
    await each((layout) => placeOf(layout).mount);
  }, 240_000);

  afterAll(() => here.guest?.close());

  describe.each(layouts)('$name', (layout) => {
    const { original, root, snapshot, finding } = placeOf(layout);

    it('passes the check of the paths', async () => {
      const { problems } = await here.guest.ok('check-paths', {
        originalSerial: serialOf(original),
        paths: [...CUTS.map((tree) => `${root}/${tree}`), `${root}/not-here`],
      });
      expect(problems).toMatchObject([{ path: `${root}/not-here`, code: 'PathNotFound' }]);
    });

    it.each(CUTS)('brings back what B had, cut %s', async (cut) => {
      const { guest } = here;
      const recovery = `d-${cut}-${layout.id}`;
      const run = `run-${cut}-${layout.id}`;
      const before = await identity(layout);
      await guest.plane.createDisk(recovery, SIZE, snapshot(cut));
      await guest.attach(recovery);
      if (cut === 'dirty' && layout.withoutReplay !== undefined) {
        // Why the mount must replay the journal: without it, files that were fsynced before the cut are not there.
        const seen = await guest.sh(`${waitFor(recovery)}; ${layout.open}
          mount -o ro,${layout.withoutReplay} ${layout.fs} /mnt; find /mnt -name 'fsynced-*' | wc -l; umount /mnt`);
        expect(Number(seen)).toBeLessThan(5 * CUTS.length);
      }
      const input = finding(run, recovery, [`${root}/${cut}`]);
      const { fileSystems } = await guest.ok('find-device', input);
      expect(fileSystems).toMatchObject([
        { partition: layout.partition, fsType: layout.fsType, originalMount: root, paths: [cut] },
      ]);
      if (cut === 'dirty' && layout.refusedDirty !== undefined) {
        expect(codeOf(await guest.run('mount', { run, fileSystems }))).toBe(layout.refusedDirty);
        expect(await guest.ok('unmount', { run })).toEqual({ unmounted: 0 });
        await guest.detach(recovery);
        return;
      }
      const { mounts } = await guest.ok('mount', { run, fileSystems });
      if (cut === 'clean') {
        // Twice is fine, also for what has got a new identity since.
        expect(await guest.ok('find-device', input)).toMatchObject({ fileSystems });
        expect(await guest.ok('mount', { run, fileSystems })).toEqual({ mounts });
      }
      const at = mounts[0]?.recoveryMount ?? '';
      const options = (await guest.sh(`findmnt -no OPTIONS ${at}`)).trim().split(',');
      expect(options).toEqual(
        expect.arrayContaining([
          'ro',
          'nodev',
          'nosuid',
          'noexec',
          ...(layout.fsType === 'ext4' ? ['errors=remount-ro'] : []),
        ]),
      );
      expect(options.filter((option) => /^(noload|norecovery)$/.test(option))).toEqual([]);

      // Whether the guest has rsync is all the same to the copy: one of the two is tried with it, the other without.
      await guest.sh(
        `cd /usr/bin; ${cut === 'dirty' ? 'mv rsync rsync.hidden' : '[ -e rsync ] || mv rsync.hidden rsync'}`,
      );
      await guest.startCopy({ run, mounts, conflictPolicy: 'newer-wins' });
      expect(await guest.ended(run, 'copy')).toMatchObject({ state: 'done' });
      await guest.ok('verify-start', { run });
      expect(await guest.ended(run, 'verify')).toMatchObject({ state: 'done' });
      const verdict = await guest.ok('verify-result', { run });
      expect(verdict).toMatchObject({ verified: true, mismatches: [], filesKeptLive: 0 });
      expect(verdict.notBroughtBack?.notCompared).toEqual(layout.notCompared);
      const beside = verdict.notBroughtBack?.folders.filter(({ folder }) => folder.startsWith(`${root}-other`));
      expect(beside).toEqual(layout.besideB === undefined ? [] : [{ folder: `${root}-other`, entries: 1, bytes: 5 }]);
      // In a shell of their own, for the folder each changes to.
      const [b = '', live = '', rest] = (
        await guest.sh(
          `( ${describeTree(at, cut)} ); echo ===; ( ${describeTree(root, cut)} ); echo ===; cat ${root}/untouched ${root}/${cut}/gone`,
        )
      ).split('===\n');
      expect(b).toContain('fsynced-5');
      expect(live.replace(/^.*gone.*\n/gm, '')).toBe(b);
      expect(rest).toBe('outside\ngone in B\n');
      // That LVM was used shows without the note of it, too.
      if (layout.id === 'lvm' && cut === 'dirty') await guest.sh(`rm /run/ecs-rollback/${run}/groups`);
      expect(await guest.ok('unmount', { run })).toEqual({ unmounted: layout.besideB === undefined ? 1 : 2 });
      if (cut === 'clean') expect(await guest.ok('unmount', { run })).toEqual({ unmounted: 0 });
      // Nothing of the copy is in use, so that it can be detached, and the original is as it was.
      expect(await guest.sh('{ dmsetup ls; cat /proc/self/mountinfo; } | grep -c ecs.rollback || true')).toBe('0\n');
      expect(await identity(layout)).toBe(before);
      await guest.detach(recovery);
    });
  });
  return here;
}
