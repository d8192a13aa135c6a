/**
 * What a copy has to be careful with besides names and content, on real ext4 and XFS: inode flags, files that are too large for
 * the page cache, and SELinux by a stand-in. As root.
 */
import { execFile, spawnSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { hereGuest, mountsOf } from './scripts/here.ts';

function sh(lines: string): string {
  const ran = spawnSync('bash', ['-euc', lines], { encoding: 'utf8' });
  if (ran.status !== 0) throw new Error(`${lines}: ${ran.stderr}`);
  return ran.stdout;
}

/** Runs beside what comes after. */
const shBeside = async (lines: string) => (await promisify(execFile)('bash', ['-euc', lines])).stdout;

describe.skipIf(process.getuid?.() !== 0)('special things', () => {
  const root = mkdtempSync(join(tmpdir(), 'special-'));
  const guest = hereGuest();
  const [b, live] = [join(root, 'b'), join(root, 'live')];
  const mounts = mountsOf(b, live);
  const flagsOf = (path: string) => sh(`lsattr -d ${path}`).split(' ')[0]?.replaceAll(/[^ia]/g, '');

  afterAll(() => {
    guest.forget();
    rmSync(root, { recursive: true, force: true });
  });

  describe.each(['ext4', 'xfs'])('on %s', (fsType) => {
    beforeAll(() => {
      for (const side of [b, live]) {
        mkdirSync(side, { recursive: true });
        const options = fsType === 'ext4' ? '-q -F' : '-q';
        sh(`truncate -s 400M ${side}.img; mkfs.${fsType} ${options} ${side}.img; mount -o loop ${side}.img ${side}`);
      }
    });
    afterAll(() => {
      sh(`for side in ${b} ${live}; do chattr -R -f -ia $side || true; umount $side; rm $side.img; done`);
    });

    /** B's `config` and `log` have a flag; live, so have the old `shut/file`, and the folder `closed`. */
    function prepare(): void {
      sh(`for side in ${b} ${live}; do
          chattr -R -f -ia $side || true; rm -rf $side/tree $side/.ecs*; mkdir -p $side/tree/closed $side/tree/shut; cd $side/tree
          echo "$side" >config; echo "$side" >log; echo "$side" >closed/old; echo "$side" >shut/file; echo "$side" >shut/other
        done
        cd ${live}; find tree -type f -exec touch -d 2001-01-01 {} +; chattr +i tree/shut/file; chattr +a tree/closed
        cd ${b}/tree; echo new >closed/new; mkdir closed/folder; echo new >closed/folder/deep
        printf x >$'line\\nbreak'; chattr +i config $'line\\nbreak'; chattr +a log`);
    }

    it('what live flags protect stays, and the receipt says so; the flags of B come along', async () => {
      prepare();
      const input = { run: `flags-${fsType}`, mounts, conflictPolicy: 'newer-wins' as const };
      const { verdict } = await guest.copyAndVerify(input);
      expect(verdict).toMatchObject({ verified: true, mismatches: [], filesKeptLive: 4 });
      expect(verdict.verdicts).toMatchObject({ immutable: { entries: 4 } });
      expect(readFileSync(`${live}/tree/shut/file`, 'utf8')).toBe(`${live}\n`);
      expect(flagsOf(`${live}/tree/shut/file`)).toBe('i');
      expect(sh(`ls ${live}/tree/closed`)).toBe('old\n');
      expect(flagsOf(`${live}/tree/closed`)).toBe('a');
      expect(readFileSync(`${live}/tree/shut/other`, 'utf8')).toBe(`${b}\n`);
      expect(readFileSync(`${live}/tree/config`, 'utf8')).toBe(`${b}\n`);
      expect(flagsOf(`${live}/tree/config`)).toBe('i');
      expect(flagsOf(`${live}/tree/log`)).toBe('a');
      expect(flagsOf(`${live}/tree/$'line\\nbreak'`)).toBe('i');
    });

    it('take-b replaces what they protect, and gives the flags to what it keeps aside', async () => {
      prepare();
      const run = `flags-b-${fsType}`;
      const { verdict } = await guest.copyAndVerify({ run, mounts, conflictPolicy: 'take-b' });
      expect(verdict).toMatchObject({ verified: true, mismatches: [], filesKeptLive: 0 });
      expect(readFileSync(`${live}/tree/shut/file`, 'utf8')).toBe(`${b}\n`);
      expect(flagsOf(`${live}/tree/shut/file`)).toBe('');
      const aside = `${live}/.ecs-rollback-${run}.aside/tree/shut/file`;
      expect(readFileSync(aside, 'utf8')).toBe(`${live}\n`);
      expect(flagsOf(aside)).toBe('i');
      expect(sh(`ls ${live}/tree/closed`)).toBe('folder\nnew\nold\n');
      expect(flagsOf(`${live}/tree/closed`)).toBe('a');
    });

    it('a large file comes past the page cache, with all that it is, and its holes stay', async () => {
      sh(`for side in ${b} ${live}; do chattr -R -f -ia $side || true; rm -rf $side/tree $side/.ecs*; mkdir $side/tree; done
        cd ${b}/tree; head -c 68000123 /dev/urandom >large; chown 1001:1002 large; chmod 4751 large
        setfattr -n user.colour -v blue large; setfacl -m u:1234:rw large; ln large other
        head -c 68000123 /dev/zero >zeros; truncate -s 90M holes; echo end >>holes; touch -d '2023-01-02 03:04:05.123456789' *
        echo before >${live}/tree/large; touch -d 2001-01-01 ${live}/tree/large`);
      const run = `large-${fsType}`;
      await guest.copy({ run, mounts, conflictPolicy: 'newer-wins' });
      // Not every Debian has it.
      expect(Number(sh(`! hash fincore || fincore -nb -o res ${live}/tree/large`))).toBe(0);
      expect(await guest.verify(run)).toMatchObject({ verified: true, mismatches: [], filesCopied: 4 });
      await guest.ok('unmount', { run });
      const told = (side: string) =>
        sh(`cd ${side}/tree; stat -c '%n %f %u:%g %s %h %y' *; getfacl -n large; getfattr -d large; sha256sum *`);
      expect(told(live)).toBe(told(b));
      const [holes, zeros] = sh(`cd ${live}/tree; stat -c %b holes zeros`).trim().split('\n').map(Number);
      expect(holes).toBeLessThan(1000);
      expect(zeros).toBeGreaterThan(130_000);
    });

    it('an aborted take-b gives the flags back', async () => {
      prepare();
      const run = `flags-c-${fsType}`;
      await guest.ok('copy-engine', { run });
      const killedWhenCleared = shBeside(`state=/run/ecs-rollback/${run}/copy
        until [ -e $state/m0/locked ]; do sleep 0.002; done
        while [[ $(lsattr -d ${live}/tree/closed) == *a*' '* ]]; do [ ! -e $state/result ]; done
        read -r pid _ <$state/pid; kill -9 -- -$pid; echo cleared`);
      await guest.ok('copy-start', { run, mounts, conflictPolicy: 'take-b' });
      expect(await killedWhenCleared).toBe('cleared\n');
      await guest.ok('unmount', { run });
      expect(flagsOf(`${live}/tree/closed`)).toBe('a');
    });
  });

  it('SELinux on, by a stand-in: what came without a label gets one, what has one keeps it', async () => {
    const tools = join(root, 'tools');
    const seen = join(root, 'restorecon.seen');
    mkdirSync(tools);
    writeFileSync(`${tools}/selinuxenabled`, '#!/bin/sh\nexit 0\n');
    // Gives a label, as the real one does, so that a verification that knows nothing of it fails.
    writeFileSync(
      `${tools}/restorecon`,
      `#!/bin/bash\nwhile [ "$1" != -f ]; do shift; done; cp "$2" ${seen}; xargs -0 -a "$2" setfattr -h -n security.selinux -v system_u:object_r:var_t:s0 --\n`,
    );
    for (const tool of ['selinuxenabled', 'restorecon']) chmodSync(`${tools}/${tool}`, 0o755);
    for (const side of [b, live]) mkdirSync(join(side, 'tree'), { recursive: true });
    const label = (name: string, text: string) => sh(`setfattr -n security.selinux -v ${text} '${b}/tree/${name}'`);
    for (const name of ['labelled', 'bare', 'lost']) writeFileSync(`${b}/tree/${name}`, name);
    writeFileSync(`${b}/tree/odd\nname`, 'odd');
    label('labelled', 'system_u:object_r:etc_t:s0');
    label('lost', 'system_u:object_r:unlabeled_t:s0');
    const here = hereGuest({ env: { ...process.env, PATH: `${tools}:${process.env['PATH']}` } });
    const input = { run: 'selinux', mounts, conflictPolicy: 'newer-wins' as const };
    const { verdict } = await here.copyAndVerify(input);
    here.forget();
    expect(verdict).toMatchObject({ verified: true, mismatches: [] });
    const names = readFileSync(seen, 'utf8')
      .split('\0')
      .filter((name) => name !== '')
      .sort();
    expect(names).toEqual(['./tree', './tree/bare', './tree/lost', './tree/odd\nname']);
    const labelOf = (name: string) => sh(`getfattr --only-values -n security.selinux '${live}/tree/${name}'`);
    expect(labelOf('labelled')).toContain('etc_t');
    expect(labelOf('bare')).toContain('var_t');
  });
});
