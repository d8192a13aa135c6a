/**
 * SELinux really on, in one emulated guest: Debian's reference policy, enforcing, the scripts in the domain of services. What
 * was made while it was off has no label, what was made while it was on has one.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { ENABLE_SELINUX, ensureSelinuxDisk, SELINUX_DISK_BYTES } from '../../simulator/guest-image/selinux-disk.ts';
import type { MountResult } from '../../src/guest/scripts.ts';
import { bootGuest, findingOf, type Guest, serialOf } from './scripts/guest.ts';
import { waitFor } from './scripts/stories.ts';

const SIZE = 200 * 1024 ** 2;
const [ORIGINAL, COPY] = ['d-labelled', 'd-copied'];
const RUN = 'run-labels';
/** The policy has a label of its own for what is in the second, and says that it has none for what is in the third. */
const PATHS = ['/var/spool/shop', '/var/spool/mail', '/var/spool/cron/crontabs'];
const [SHOP, MAIL, CRONTABS] = PATHS as [string, string, string];

let guest: Guest;
let mounts: MountResult['mounts'];

const mount = `${waitFor(ORIGINAL)}; mount $disk /var/spool`;
/** Before there is a policy the kernel takes any label. */
const label = `label() { setfattr -h -n security.selinux -v "system_u:object_r:$1:s0" "\${@:2}"; }`;

const stateA = `${label}
  cd /var/spool; mkdir shop; echo A | tee shop/{same,changed,relabelled,pair} >/dev/null; ln shop/pair shop/pair-too
  label var_spool_t . shop shop/{same,changed,relabelled}`;

const stateB = String.raw`cd /var/spool; mkdir -p shop/{folder,own-folder} mail cron/crontabs
  echo 'B, longer' | tee shop/{changed,own,bare,lost,old,stranger,hard,folder/inside,own-folder/inside} shop/$'odd\nname' \
    mail/box cron/crontabs/{job,own} >/dev/null
  cd shop; ln hard hard-too; mkfifo fifo own-fifo; ln -s bare link; ln -s bare own-link; truncate -s 70M large; echo end >>large
  label httpd_sys_rw_content_t changed; label httpd_log_t relabelled; label public_content_t own-folder{,/inside}
  label etc_t own own-fifo own-link large ../cron/crontabs/own; label unlabeled_t lost; label file_t old; label nosuch_t stranger`;

/** The label's type of each entry below folder `at` that the find tests choose; what prints goes through a pipe, as it must. */
async function labels(at: string): Promise<Record<string, string>> {
  const rows = await guest.sh(`cd ${at}; find . -printf '%Z %P\\0' | tr '\\n\\0' '?\\n'`);
  return Object.fromEntries(
    rows
      .trimEnd()
      .split('\n')
      .map((row) => [row.slice(row.indexOf(' ') + 1), row.split(':')[2] ?? row]),
  );
}

beforeAll(async () => {
  guest = await bootGuest('vm', { selinux: true });
  const selinux = await ensureSelinuxDisk((line) => console.log(line));
  await guest.plane.createDiskFromImage('d-selinux', SELINUX_DISK_BYTES, selinux);
  await guest.plane.createDisk(ORIGINAL, SIZE);
  for (const diskId of [ORIGINAL, 'd-selinux']) await guest.attach(diskId);
  await guest.sh(
    `${waitFor(ORIGINAL)}; mkfs.ext4 -q -E nodiscard $disk; mkdir -p /var/spool; ${mount}\n${stateA}\nsync`,
  );
  await guest.plane.snapshotDisks([{ diskId: ORIGINAL, snapshotId: 's-a' }]);
  await guest.sh(`${label}\n${stateB}\ncd /; umount /var/spool`);
  await guest.plane.snapshotDisks([{ diskId: ORIGINAL, snapshotId: 's-b' }]);
  await guest.detach(ORIGINAL);
  await guest.plane.resetDisk(ORIGINAL, 's-a', SIZE);
  await guest.plane.createDisk(COPY, SIZE, 's-b');
  await guest.sh(`${waitFor('d-selinux')}; mkdir -p /opt/selinux; mount $disk /opt/selinux\n${ENABLE_SELINUX}`);
  await guest.attach(ORIGINAL);
  // The agent that was asked may be the one that is about to go.
  await sleep(3_000);
  const domain = () => guest.sh('id -Z').catch(() => 'none');
  while (!(await domain()).startsWith('system_u:system_r:initrc_t:')) await sleep(200);
  // As at boot, before anything is denied. The kernel's log is to have every denial.
  await guest.sh(`${mount}; echo 0 >/proc/sys/kernel/printk_ratelimit; setenforce 1`);
}, 240_000);

afterAll(() => guest?.close());

it('the guest enforces a policy, and the scripts run under it', async () => {
  expect(await guest.sh('getenforce; id -Z')).toBe('Enforcing\nsystem_u:system_r:initrc_t:s0\n');
  // Not everything is allowed to them, or this would prove nothing.
  expect(await guest.sh(`mount -t tmpfs none ${SHOP} 2>&1 | cat`)).toContain('cannot mount');
  expect(await labels(SHOP)).toEqual({
    '': 'var_spool_t',
    same: 'var_spool_t',
    changed: 'var_spool_t',
    relabelled: 'var_spool_t',
    pair: 'unlabeled_t',
    'pair-too': 'unlabeled_t',
  });
});

describe('a copy', () => {
  it('is found and mounted, with the labels that it has', async () => {
    const { fileSystems: seen } = await guest.ok('look-around', { originalSerial: serialOf(ORIGINAL), hooks: [] });
    expect(seen).toMatchObject([{ at: '/var/spool', type: 'ext4' }]);
    await guest.attach(COPY);
    const finding = findingOf(RUN, { original: ORIGINAL, recovery: COPY, size: SIZE }, PATHS);
    const { fileSystems } = await guest.ok('find-device', finding);
    ({ mounts } = await guest.ok('mount', { run: RUN, fileSystems }));
    const at = mounts[0]?.recoveryMount ?? '';
    expect((await guest.sh(`findmnt -no OPTIONS ${at} | cat`)).trim().split(',')).toEqual(
      expect.arrayContaining(['ro', 'nosuid', 'seclabel']),
    );
    expect(await labels(`${at}/shop`)).toMatchObject({ changed: 'httpd_sys_rw_content_t', bare: 'unlabeled_t' });
    const { entries } = await guest.ok('look-into-copy', { run: RUN, mounts, what: 'diff', path: MAIL });
    expect(entries).toMatchObject([{ path: `${MAIL}/box`, verdict: 'only-in-b' }]);
  });

  it('keeps the labels of B, and gives those of the policy to what has none', async () => {
    // Somebody has given the right labels to what has the same content on B.
    await guest.sh(`chcon -t var_spool_t ${SHOP}/pair`);
    await guest.startCopy({ run: RUN, mounts, conflictPolicy: 'newer-wins' });
    expect(await guest.ended(RUN, 'copy')).toMatchObject({ state: 'done', message: '' });
    const policy = 'var_spool_t';
    expect(await labels(SHOP)).toEqual({
      '': policy,
      same: policy,
      pair: policy,
      'pair-too': policy,
      changed: 'httpd_sys_rw_content_t',
      relabelled: 'httpd_log_t',
      own: 'etc_t',
      'own-fifo': 'etc_t',
      'own-link': 'etc_t',
      large: 'etc_t',
      'own-folder': 'public_content_t',
      'own-folder/inside': 'public_content_t',
      bare: policy,
      lost: policy,
      old: policy,
      stranger: policy,
      'odd?name': policy,
      hard: policy,
      'hard-too': policy,
      fifo: policy,
      link: policy,
      folder: policy,
      'folder/inside': policy,
    });
    expect(await labels(MAIL)).toEqual({ '': 'mail_spool_t', box: 'mail_spool_t' });
    expect(await labels(CRONTABS)).toEqual({ '': 'cron_spool_t', job: 'unlabeled_t', own: 'etc_t' });
    const wrong = (names: string) => guest.sh(`cd ${SHOP}; restorecon -n -v -F -R ${names} | cat`);
    expect(await wrong('../mail bare lost old stranger odd* hard fifo link folder')).toBe('');
    expect(await wrong('own')).toContain('Would relabel');
  });

  it('is verified, labels and all', async () => {
    await guest.ok('verify-start', { run: RUN });
    expect(await guest.ended(RUN, 'verify')).toMatchObject({ state: 'done', message: '' });
    expect(await guest.ok('verify-result', { run: RUN })).toMatchObject({
      verified: true,
      xattrsCompared: true,
      mismatches: [],
    });
    expect(await guest.ok('report', { run: RUN, page: 1 })).toMatchObject({ total: 20 });
    expect(await guest.ok('unmount', { run: RUN })).toEqual({ unmounted: 1 });
    await guest.detach(COPY);
  });

  it('what it replaced has its label aside, and when it is put back', async () => {
    expect(await labels(`/var/spool/.ecs-rollback-${RUN}.aside/shop`)).toMatchObject({ changed: 'var_spool_t' });
    const path = `${SHOP}/changed`;
    expect(await guest.ok('restore', { run: RUN, dryRun: false, path })).toMatchObject({ files: 1, problems: [] });
    expect(await labels(SHOP)).toMatchObject({ changed: 'var_spool_t', own: 'etc_t' });
  });

  it('the disk is frozen and thawed, what cannot be grown is named, and a hook runs as a user', async () => {
    const originalSerial = serialOf(ORIGINAL);
    const fileSystems = ['/var/spool'];
    expect(await guest.ok('freeze', { run: RUN, originalSerial, seconds: 60 })).toMatchObject({ fileSystems });
    expect(await guest.ok('thaw', { run: RUN })).toMatchObject({ fileSystems: 1, byDeadMan: false });
    await guest.plane.resizeDisk(ORIGINAL, 2 * SIZE);
    await guest.sh(
      `${waitFor(ORIGINAL)}; until [ "$(lsblk -bdno SIZE $disk | cat)" = ${2 * SIZE} ]; do sleep 0.1; done`,
    );
    // This policy lets resize2fs open few mount points. What it denies is named.
    const { left } = await guest.ok('grow', { run: RUN, originalSerial });
    expect(left).toEqual([expect.stringContaining('Permission denied while trying to open mountpoint /var/spool')]);
    const hook = { run: RUN, id: 'afterCopy-1', command: '/usr/bin/id', args: ['-un'], user: 'games' };
    const ended = await guest.ok('hook', { ...hook, timeoutSeconds: 60, waitSeconds: 20 });
    expect(ended).toMatchObject({ state: 'done', exitCode: 0 });
    expect(await guest.sh(`cat '${ended.outputFile}'`)).toBe('games\n');
  });

  it('nothing else that the scripts need is denied', async () => {
    const denied = await guest.sh(`dmesg | grep -a 'avc:  denied.*permissive=0'`);
    const what = denied
      .trimEnd()
      .split('\n')
      // Our own descriptors, which the tools that inherit them have no use for.
      .filter((line) => !/\{ write \}.* path="\/run\/ecs-[er]/.test(line))
      .map((line) => /\{ (\w+) \} .*comm="(\w+)"/.exec(line)?.slice(1).join(' ') ?? line);
    // The two that are asked for above.
    expect([...new Set(what)]).toEqual(['mounton mount', 'read resize2fs']);
  });
});
