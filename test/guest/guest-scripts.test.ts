/**
 * The guest scripts on real disks: ext4 on a partition and XFS on a whole disk. Each disk was
 * really rolled back from B to A, and its recovery disk is a copy of B taken while mounted. On loop devices, which need
 * root; without root in an emulated guest, slowly. The end-to-end tests run them in emulated guests, too.
 */
import { afterAll, afterEach, beforeAll, describe, expect, it } from 'vitest';
import type { CopyStartInput, FindDeviceInput, MountResult, VerifyResult } from '../../src/guest/scripts.ts';
import { whyNoLoopDevices } from '../support/loop-devices.ts';
import { bootGuest, codeOf, type Guest, serialOf } from './scripts/guest.ts';
import { describeTree, fromAToB, liveSince, manyFiles, stateA } from './scripts/trees.ts';

const SIZE = 512 * 1024 ** 2;

const kind = whyNoLoopDevices() === undefined ? 'loop' : 'vm';

let guest: Guest;

afterEach(async () => {
  // One test's failure is not the next one's.
  const runs = await guest.sh('ls /run/ecs-rollback 2>/dev/null | grep ^run- || true');
  for (const run of runs.split('\n').filter(Boolean)) await guest.run('unmount', { run });
});

describe(`in a ${kind} guest`, () => {
  const MANY_FILES = manyFiles(kind);

  beforeAll(async () => {
    guest = await bootGuest(kind);
  }, 240_000);

  afterAll(async () => {
    await guest?.close();
  });

  describe.each([
    { fsType: 'ext4', partition: 1, original: 'd-extoriginal0000001', recovery: 'd-extrecovery0000001' },
    { fsType: 'xfs', partition: 0, original: 'd-xfsoriginal0000001', recovery: 'd-xfsrecovery0000001' },
  ])('$fsType', ({ fsType, partition, original, recovery }) => {
    const root = `/srv/${fsType} data`;
    const quoted = `'${root}'`;
    // What does not depend on the file system is tried on one of them only.
    const onExt4 = fsType === 'ext4';
    const onXfs = fsType === 'xfs';
    let base: NonNullable<CopyStartInput['base']>;
    const node = (diskId: string) =>
      `/dev/disk/by-id/virtio-${serialOf(diskId)}${partition === 0 ? '' : `-part${partition}`}`;
    const waitFor = (diskId: string) => guest.sh(`until [ -b ${node(diskId)} ]; do sleep 0.1; done`);
    const finding = (run: string, paths: string[], change: Partial<FindDeviceInput> = {}): FindDeviceInput => ({
      run,
      originalSerial: serialOf(original),
      originalSizeBytes: SIZE,
      recoverySerial: serialOf(recovery),
      recoverySizeBytes: SIZE,
      waitSeconds: 20,
      paths,
      ...change,
    });

    async function mounted(run: string, ...names: string[]): Promise<MountResult['mounts']> {
      const found = await guest.ok(
        'find-device',
        finding(
          run,
          names.map((name) => `${root}/${name}`),
        ),
      );
      return (await guest.ok('mount', { run, fileSystems: found.fileSystems })).mounts;
    }

    async function copy(
      run: string,
      how: CopyStartInput['conflictPolicy'] | Omit<CopyStartInput, 'run' | 'mounts'>,
      ...names: string[]
    ) {
      const mounts = await mounted(run, ...names);
      const started = await guest.startCopy({
        run,
        mounts,
        ...(typeof how === 'string' ? { conflictPolicy: how } : how),
      });
      return { started, mounts, status: await guest.ended(run, 'copy') };
    }

    async function verify(run: string): Promise<VerifyResult> {
      await guest.ok('verify-start', { run });
      expect(await guest.ended(run, 'verify')).toMatchObject({ state: 'done', stage: 'done' });
      return guest.ok('verify-result', { run });
    }

    /** Both sides in words of `describeTree`, the recovery disk's first. */
    async function bothSides(run: string, path: string): Promise<[string, string]> {
      return [
        await guest.sh(describeTree(`/run/ecs-rollback/${run}/mnt/p${partition}`, path)),
        await guest.sh(describeTree(quoted, path)),
      ];
    }

    beforeAll(async () => {
      await guest.plane.createDisk(original, SIZE);
      await guest.attach(original);
      const link = `/dev/disk/by-id/virtio-${serialOf(original)}`;
      await guest.sh(`until [ -b ${link} ]; do sleep 0.1; done`);
      if (partition === 1) await guest.sh(`echo ',,L' | sfdisk -q -X gpt ${link}; udevadm settle`);
      await waitFor(original);
      await guest.sh(`mkfs.${fsType} -q ${node(original)}; mkdir -p ${quoted}; mount ${node(original)} ${quoted}`);
      await guest.sh(stateA(quoted));
      await guest.plane.snapshotDisks([{ diskId: original, snapshotId: `s-a-${fsType}` }]);
      await guest.sh(fromAToB(quoted, MANY_FILES));
      // Of the mounted, running file system: the newest files are in its journal only.
      await guest.plane.snapshotDisks([{ diskId: original, snapshotId: `s-b-${fsType}` }]);
      await guest.sh(`umount ${quoted}`);
      await guest.detach(original);
      await guest.plane.resetDisk(original, `s-a-${fsType}`, SIZE);
      await guest.attach(original);
      await waitFor(original);
      await guest.sh(`mount ${node(original)} ${quoted}`);
      // As after a boot that nothing was written before.
      const [bootId = '', bootedAt = ''] = (
        await guest.sh('sleep 0.1; cat /proc/sys/kernel/random/boot_id; date +%s.%N; sleep 0.1')
      ).split('\n');
      base = { bootId, bootedAt };
      await guest.sh(liveSince(quoted));
      await guest.plane.createDisk(recovery, SIZE, `s-b-${fsType}`);
      await guest.attach(recovery);
    }, 240_000);

    it('finds the pair of file systems by serial, and the same again', async () => {
      const input = finding('run-find', [`${root}/rich`, `${root}//other/`]);
      const found = await guest.ok('find-device', input);
      expect(found).toEqual({
        bootId: (await guest.sh('cat /proc/sys/kernel/random/boot_id')).trim(),
        originalDevice: `/dev/disk/by-id/virtio-${serialOf(original)}`,
        recoveryDevice: `/dev/disk/by-id/virtio-${serialOf(recovery)}`,
        fileSystems: [
          {
            partition,
            fsType,
            fsUuid: (await guest.sh(`blkid -p -s UUID -o value ${node(original)}`)).trim(),
            recoveryDevice: node(recovery),
            originalMount: root,
            paths: ['rich', 'other'],
          },
        ],
      });
      expect(await guest.ok('find-device', input)).toEqual(found);
    });

    if (onExt4)
      it('refuses what it must not guess about', async () => {
        const find = async (paths: string[], change: Partial<FindDeviceInput> = {}) =>
          guest.run('find-device', finding('run-refused', paths, { waitSeconds: 1, ...change }));
        const here = [`${root}/rich`];
        expect(codeOf(await find(here, { recoverySizeBytes: SIZE + 1 }))).toBe('refused DeviceSizeWrong');
        expect(codeOf(await find(here, { recoverySerial: 'nosuchserial' }))).toBe('failed DeviceNotFound');
        const elsewhere = await find(['/etc/passwd']);
        expect(codeOf(elsewhere)).toBe('refused PathNotOnDisk');
        expect(elsewhere).toMatchObject({ message: expect.stringMatching(/\/etc\/passwd .*\/dev\/vda/) });
        expect(codeOf(await find([`${root}/trap/d/f`]))).toBe('refused PathThroughSymlink');
        await guest.sh(`mkdir -p /mnt/x; mount -o ro ${node(recovery)} /mnt/x`);
        expect(codeOf(await find(here))).toBe('refused RecoveryDiskMounted');
        await guest.sh('umount /mnt/x');
      });

    if (onExt4)
      it('checks paths before anything is changed', async () => {
        const { problems } = await guest.ok('check-paths', {
          originalSerial: serialOf(original),
          paths: [`${root}/other`, `${root}/not here`, '/etc/passwd', `${root}/trap/d/f`],
        });
        expect(problems.map(({ path, code }) => [path, code])).toEqual([
          [`${root}/not here`, 'PathNotFound'],
          ['/etc/passwd', 'PathNotOnDisk'],
          [`${root}/trap/d/f`, 'PathThroughSymlink'],
        ]);
      });

    it('mounts read-only below a private folder, twice the same, and refuses a path that B lacks', async () => {
      const run = 'run-mount';
      const mounts = await mounted(run, 'rich');
      const at = `/run/ecs-rollback/${run}/mnt/p${partition}`;
      expect(mounts).toMatchObject([{ partition, fsType, originalMount: root, recoveryMount: at, paths: ['rich'] }]);
      expect(await mounted(run, 'rich')).toEqual(mounts);
      const options = (await guest.sh(`findmnt -no OPTIONS ${at}`)).trim().split(',');
      expect(options).toEqual(expect.arrayContaining(['ro', 'nodev', 'nosuid', 'noexec']));
      expect(options).not.toContain('norecovery');
      expect(await guest.sh(`findmnt -n ${at} | wc -l; stat -c %a /run/ecs-rollback/${run}`)).toBe('1\n700\n');
      expect(await guest.ok('unmount', { run })).toEqual({ unmounted: 1 });

      const found = await guest.ok('find-device', finding(run, [`${root}/rich/gone-in-b`]));
      expect(codeOf(await guest.run('mount', { run, fileSystems: found.fileSystems }))).toBe('refused PathNotFound');
      expect(await guest.sh('grep -c /run/ecs-rollback/ /proc/self/mountinfo || true')).toBe('0\n');
      expect(await guest.ok('unmount', { run })).toEqual({ unmounted: 0 });
    });

    it('brings a tree with everything back exactly', async () => {
      const run = 'run-rich';
      const tree = 'rich';
      const before = await guest.sh(`cd ${quoted}; find other -printf '%p %i %s %m %T@ %n\\n'; stat -c '%y %i' .`);
      const mounts = await mounted(run, tree);
      const input = { run, mounts, conflictPolicy: 'newer-wins' as const };
      const starts = await Promise.all([guest.startCopy(input), guest.startCopy(input)]);
      expect(starts.filter((start) => start.alreadyRunning)).toHaveLength(1);
      const status = await guest.ended(run, 'copy');
      expect(status).toMatchObject({ state: 'done', stage: 'done', filesDone: status.filesTotal });
      expect(status.filesTotal).toBeGreaterThan(20);
      expect((await guest.startCopy(input)).alreadyRunning).toBe(true);

      const [b, live] = await bothSides(run, tree);
      expect(b).toContain('invalid-');
      expect(live.replace(/^.*gone-in-b.*\n/gm, '')).toBe(b);
      expect(live).toContain('gone-in-b');
      expect(await guest.sh(`cd ${quoted}; stat -c %b ${tree}/sparse`)).toMatch(/^\d{1,3}\n$/);
      expect(await guest.sh(`cd ${quoted}; find other -printf '%p %i %s %m %T@ %n\\n'; stat -c '%y %i' .`)).toBe(
        before,
      );
      // What was replaced is the file it was, other hard links and all.
      expect(await guest.sh(`cd ${quoted}; ls -A | grep ecs-rollback`)).toBe(`.ecs-rollback-${run}.aside\n`);
      expect(
        await guest.sh(
          `cd ${quoted}; stat -c %i .ecs-rollback-${run}.aside/${tree}/changed other/${tree}-changed | uniq -c`,
        ),
      ).toMatch(/^ *2 \d+\n$/);

      const verdict = await verify(run);
      expect(verdict).toMatchObject({ verified: true, xattrsCompared: true, mismatches: [], filesKeptLive: 0 });
      expect(verdict.filesSelected).toBe(
        Number(await guest.sh(`cd ${mounts[0]?.recoveryMount}; find ${tree} ! -type d -printf x | wc -c`)),
      );
      expect(verdict.filesCopied).toBe(status.filesTotal);
      expect(verdict.digest).toMatch(/^[0-9a-f]{64}$/);
      expect(await guest.ok('unmount', { run })).toEqual({ unmounted: 1 });
      expect(await guest.ok('unmount', { run })).toEqual({ unmounted: 0 });
      expect(await guest.sh('ls -A /run/ecs-rollback 2>/dev/null || true')).toBe('');
    });

    if (onExt4)
      it.each([
        {
          policy: 'newer-wins' as const,
          says: ['B of older', 'live now', 'A', 'B of missing', 'only live', 'below', '600'],
          kept: 1,
        },
        {
          policy: 'keep-live' as const,
          says: ['A', 'live now', 'A', 'B of missing', 'only live', 'A', '644'],
          kept: 4,
        },
        {
          policy: 'take-b' as const,
          says: ['B of older', 'B of newer', 'A', 'B of missing', 'only live', 'below', '600'],
          kept: 0,
        },
      ])('$policy decides file by file', async ({ policy, says, kept }) => {
        const run = `run-${policy}`;
        expect((await copy(run, policy, policy)).status.state).toBe('done');
        const live = await guest.sh(`cd ${quoted}/${policy}
      cat older newer same missing only-live; [ -f type ] && cat type || cat type/below; stat -c %a mode`);
        expect(live.trimEnd().split('\n')).toEqual(says);
        expect(await verify(run)).toMatchObject({ verified: true, filesKeptLive: kept, mismatchCount: 0 });
        await guest.ok('unmount', { run });
      });

    if (onExt4)
      it.each([
        {
          policy: 'newer-wins' as const,
          now: 'b-changed:B, older time both-alike:alike conflict:live fresh:live live-changed:live new:B renamed-dir/f:A same:A',
          aside: 'b-changed:A dropped:A moved-dir/f:A',
          kept: 3,
        },
        {
          policy: 'keep-live' as const,
          now: 'b-changed:A both-alike:alike conflict:live fresh:live gone:A live-changed:live new:B renamed-dir/f:A same:A',
          aside: 'dropped:A moved-dir/f:A',
          kept: 3,
        },
        {
          policy: 'take-b' as const,
          now: 'b-changed:B, older time both-alike:alike conflict:B fresh:live gone:A live-changed:A new:B renamed-dir/f:A same:A',
          aside: 'b-changed:A both-alike:alike conflict:live dropped:A live-changed:live moved-dir/f:A',
          kept: 0,
        },
        {
          policy: 'both' as const,
          now: 'b-changed:B, older time both-alike:alike conflict:live conflict.from-b-run-merge-both:B fresh:live live-changed:live new:B renamed-dir/f:A same:A',
          aside: 'b-changed:A dropped:A moved-dir/f:A',
          kept: 3,
        },
      ])('compares A, B and live: $policy', async ({ policy, now, aside, kept }) => {
        const run = `run-merge-${policy}`;
        const tree = `merge-${policy}`;
        const files = (at: string) =>
          guest.sh(
            `cd ${at}; find . -type f -printf '%P\\n' | sort | while read -r f; do echo "$f:$(cat $f)"; done | paste -sd' '`,
          );
        const { status } = await copy(run, { conflictPolicy: policy, base, delete: true, deletions: 'all' }, tree);
        expect(status).toMatchObject({ state: 'done' });
        const there = (await files(`${quoted}/${tree}`)).trim();
        expect(there).toBe(now);
        expect((await files(`${quoted}/.ecs-rollback-${run}.aside/${tree}`)).trim()).toBe(aside);
        const verdict = await verify(run);
        expect(verdict).toMatchObject({ verified: true, mismatches: [], filesKeptLive: kept });
        expect(verdict.aside).toEqual([
          { folder: `${root}/.ecs-rollback-${run}.aside`, files: aside.split(':').length - 1 },
        ]);
        expect(verdict.verdicts).toMatchObject({
          'changed-in-B': { entries: expect.any(Number) },
          'changed-live': { entries: 1 },
          'deleted-live': { entries: 1 },
          'only-live': { entries: expect.any(Number) },
        });
        await guest.ok('unmount', { run });
      });

    if (onExt4)
      it.each([
        [
          { include: ['*.jpg'] },
          '2026/e.jpg a.jpg cache/c.jpg cache/deep/d.jpg keep/*.jpg keep/cache/g.jpg keep/f.jpg',
        ],
        [{ exclude: ['/cache', '*.tmp'] }, '2026/e.jpg a.jpg keep/*.jpg keep/cache/g.jpg keep/f.jpg'],
        [{ include: ['keep/f.jpg', '*.tmp'] }, 'b.tmp keep/f.jpg'],
        [{ include: ['*.jpg'], exclude: ['cache', '2026/*', '\\*.jpg'] }, 'a.jpg keep/f.jpg'],
      ])('brings back what the patterns %j say', async (patterns, now) => {
        const run = 'run-patterns';
        await guest.sh(`rm -rf ${quoted}/patterns`);
        const { status } = await copy(run, { conflictPolicy: 'newer-wins', ...patterns }, 'patterns');
        expect(status).toMatchObject({ state: 'done' });
        const files = await guest.sh(`cd ${quoted}/patterns; find . -type f -printf '%P\\n' | sort | paste -sd' '`);
        expect(files.trim()).toBe(now);
        expect(await verify(run)).toMatchObject({ verified: true, filesSelected: now.split(' ').length });
        await guest.ok('unmount', { run });
      });

    if (onExt4)
      it('deletes nothing when the state after the reset is not known', async () => {
        const run = 'run-no-base';
        const mounts = await mounted(run, 'merge-both');
        await guest.ok('copy-engine', { run });
        const input = { run, mounts, conflictPolicy: 'newer-wins' as const, delete: true };
        expect(codeOf(await guest.run('copy-start', input))).toBe('refused NoBase');
        const otherBoot = { ...base, bootId: '00000000-0000-4000-8000-000000000000' };
        expect(codeOf(await guest.run('copy-start', { ...input, base: otherBoot }))).toBe('refused NoBase');
        await guest.ok('unmount', { run });
      });

    if (onExt4)
      it('sees whatever differs afterwards: content, mode, a missing file, an attribute', async () => {
        const run = 'run-damage';
        expect((await copy(run, 'take-b', 'take-b', 'rich')).status.state).toBe('done');
        await guest.sh(`cd ${quoted}/take-b
      touch -r older stamp; printf 'X of older' | dd of=older conv=notrunc status=none; touch -r stamp older; rm stamp
      chmod 0666 missing; rm mode
      cd ../rich; setfattr -x user.colour changed; rm sub/hard2; cp -a hard1 sub/hard2; rm -- -rf; ln same/file -- -rf`);
        const verdict = await verify(run);
        expect(verdict.verified).toBe(false);
        expect([...verdict.mismatches].sort()).toEqual(
          ['rich/-rf', 'rich/changed', 'rich/sub/hard2', 'take-b/missing', 'take-b/mode', 'take-b/older'].map(
            (name) => `${root}/${name}`,
          ),
        );
        expect(verdict.mismatchCount).toBe(6);
        await guest.ok('unmount', { run });
      });

    if (onXfs)
      it.each(['a new tree', 'files among live ones'] as const)(
        'goes on after its job was killed, and never shows half a file: %s',
        async (what) => {
          const whole = what === 'a new tree';
          const run = `run-killed-${whole ? 'tree' : 'files'}`;
          await guest.sh(
            `rm -rf ${quoted}/many; ${whole ? '' : `mkdir ${quoted}/many; touch -d 2001-01-01 ${quoted}/many`}`,
          );
          const mounts = await mounted(run, 'many');
          const input = { run, mounts, conflictPolicy: 'newer-wins' as const };
          await guest.startCopy(input);
          const state = `/run/ecs-rollback/${run}/copy`;
          const kill = (when: string) =>
            guest.sh(`until ${when}; do sleep 0.02; [ ! -e ${state}/result ]; done; read -r pid _ <${state}/pid; kill -9 -- -$pid
        while [ -d /proc/$pid ]; do sleep 0.05; done
        cd ${quoted}; [ -e many ] || { echo 0; exit 0; }; cd many; for f in *; do [ "$f" = '*' ] || [ "$(<"$f")" = "content of $f" ]; done; ls | wc -l`);
          const seen = Number(await kill(`[ "$(cat ${state}/journal 2>/dev/null | wc -l)" -ge 1 ]`));
          if (whole) expect(seen).toBe(0);
          else expect(seen).toBeLessThan(MANY_FILES);
          expect(await guest.ok('copy-status', { run })).toMatchObject({ state: 'lost' });
          // As it is when a job has only just begun.
          await guest.sh(`mv ${state}/progress ${state}/progress.told`);
          expect(await guest.ok('copy-status', { run })).toMatchObject({
            stage: 'scanning',
            bytesDone: 0,
            bytesTotal: 0,
          });
          await guest.sh(`mv ${state}/progress.told ${state}/progress`);
          // Another process has got the job's id since.
          await guest.sh(`echo '1 12345' >${state}/pid`);
          expect(await guest.ok('copy-status', { run })).toMatchObject({ state: 'lost' });
          expect(await guest.startCopy(input)).toMatchObject({ alreadyRunning: false });
          await kill(`[ -e ${quoted}/.ecs-rollback-${run} ]`);
          expect(await guest.startCopy(input)).toMatchObject({ alreadyRunning: false });
          expect(await guest.ended(run, 'copy')).toMatchObject({ state: 'done', filesDone: MANY_FILES });
          const [b, live] = await bothSides(run, 'many');
          expect(live).toBe(b);
          expect(await verify(run)).toMatchObject({
            verified: true,
            filesCopied: MANY_FILES,
            filesSelected: MANY_FILES,
          });
          await guest.ok('unmount', { run });
        },
      );

    if (onExt4)
      it('never follows a live link out of the tree, and replaces it only when it is older', async () => {
        const run = 'run-trap';
        expect((await copy(run, 'newer-wins', 'trap', 'trap2')).status.state).toBe('done');
        expect(await guest.sh(`cd ${quoted}; ls other; readlink trap/d; cat trap2/d/f`)).toBe(
          'rich-changed\nuntouched\n../other\nf\n',
        );
        expect(await verify(run)).toMatchObject({ verified: true, filesKeptLive: 1 });
        const mounts = (await mounted(run, 'trap')).map((mount) => ({ ...mount, paths: ['trap/d/f'] }));
        await guest.ok('copy-engine', { run: `${run}-2` });
        const answer = await guest.run('copy-start', { run: `${run}-2`, mounts, conflictPolicy: 'take-b' });
        expect(codeOf(answer)).toBe('refused PathThroughSymlink');
        await guest.ok('unmount', { run: `${run}-2` });
        await guest.ok('unmount', { run });
      });

    if (onXfs)
      it('makes missing parents as they are on B, and nothing beside the selection', async () => {
        const run = 'run-deep';
        const { status } = await copy(run, 'newer-wins', 'deep/one/two/leaf');
        expect(status).toMatchObject({ state: 'done', filesTotal: 1 });
        const look = (at: string) =>
          guest.sh(
            `cd ${at}/deep; find . ! -name unselected -printf '%p %m %U:%G\\n' | sort; stat -c %y one/two; getfattr -d one`,
          );
        expect(await look(quoted)).toBe(await look(`/run/ecs-rollback/${run}/mnt/p${partition}`));
        expect(await guest.sh(`ls ${quoted}/deep/one`)).toBe('two\n');
        await guest.ok('unmount', { run });
      });

    if (onXfs)
      it('leaves a live directory that is in the way of a file, and says so', async () => {
        const run = 'run-blocked';
        expect((await copy(run, 'take-b', 'blocked')).status.state).toBe('done');
        expect(await guest.sh(`cat ${quoted}/blocked/thing/inside`)).toBe('x\n');
        expect(await verify(run)).toMatchObject({ verified: false, mismatches: [`${root}/blocked/thing`] });
        await guest.ok('unmount', { run });
      });

    if (onExt4)
      it('refuses to start when the space does not suffice, before the first byte', async () => {
        const run = 'run-space';
        await guest.sh(`cd ${quoted}; fallocate -l $(( $(stat -f -c '%a*%S' .) - 20*1024*1024 )) fill`);
        const mounts = await mounted(run, 'big');
        await guest.ok('copy-engine', { run });
        const started = await guest.run('copy-start', { run, mounts, conflictPolicy: 'newer-wins' });
        const answer = started.ok ? await guest.run('copy-status', { run }) : started;
        expect(codeOf(answer)).toBe('refused NoSpace');
        expect(answer).toMatchObject({ message: expect.stringMatching(/\d+ bytes free, and up to \d+ are needed/) });
        await guest.sh(`[ ! -e ${quoted}/big ]; rm ${quoted}/fill`);
        await guest.ok('unmount', { run });
      });

    if (onXfs)
      it('ends the running copy and cleans up when unmounted in the middle; refuses while somebody is inside', async () => {
        const run = 'run-cancel';
        await guest.sh(`rm -rf ${quoted}/many`);
        const mounts = await mounted(run, 'many');
        const at = mounts[0]?.recoveryMount ?? '';
        await guest.startCopy({ run, mounts, conflictPolicy: 'newer-wins' });
        await guest.sh(`cd ${at}; setsid nohup sleep 1000 >/dev/null 2>&1 3>&- & echo $! >/run/holder`);
        const busy = await guest.run('unmount', { run });
        expect(codeOf(busy)).toBe('failed Busy');
        expect(busy).toMatchObject({ message: expect.stringContaining('sleep (pid ') });
        await guest.sh('kill -9 $(cat /run/holder)');
        expect(await guest.ok('unmount', { run })).toEqual({ unmounted: 1 });
        expect(await guest.sh(`ls -A /run/ecs-rollback ${quoted} 2>/dev/null | grep rollback-${run} || true`)).toBe('');
        expect(codeOf(await guest.run('copy-status', { run }))).toBe('failed NotStarted');
        expect(codeOf(await guest.run('verify-start', { run }))).toBe('refused NotCopied');
      });

    if (onXfs)
      it('refuses when two disks have the serial, or the copy is another file system', async () => {
        const strange = `d-strange-${fsType}`;
        await guest.plane.createDisk(strange, SIZE);
        await guest.attach(strange);
        const link = `/dev/disk/by-id/virtio-${serialOf(strange)}`;
        const second = `/dev/disk/by-id/nvme-Alibaba_Cloud_Elastic_Block_Storage_${serialOf(recovery)}`;
        await guest.sh(`until [ -b ${link} ]; do sleep 0.1; done; ln -s "$(readlink -f ${link})" ${second}`);
        const input = finding('run-two', [`${root}/other`]);
        expect(codeOf(await guest.run('find-device', input))).toBe('refused DeviceAmbiguous');
        await guest.sh(`rm ${second}`);
        const blank = { ...input, recoverySerial: serialOf(strange), waitSeconds: 2 };
        expect(codeOf(await guest.run('find-device', blank))).toBe('refused LayoutMismatch');
        await guest.detach(strange);
      });
  });

  describe('check of the boot', () => {
    it('tells one boot from another', async () => {
      const { bootId } = await guest.ok('guest-ready', { waitSeconds: 5 });
      expect(`${bootId}\n`).toBe(await guest.sh('cat /proc/sys/kernel/random/boot_id'));
    });
  });
});
