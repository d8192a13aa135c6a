/**
 * What a copy has to be careful with besides names and content, on real ext4 and XFS: inode flags, files that are too large for
 * the page cache, attributes of hard links. As root.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
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

    it('names of one file that is the same but for its attributes stay as they are live, as a file with one name does', async () => {
      sh(`for side in ${b} ${live}; do chattr -R -f -ia $side || true; rm -rf $side/tree $side/.ecs*; mkdir $side/tree; cd $side/tree
        echo same >one; echo same >two; ln two also-two; touch -d 2023-01-02 *; done
        setfattr -n user.colour -v red ${live}/tree/one ${live}/tree/two`);
      const input = { run: `attributes-${fsType}`, mounts, conflictPolicy: 'newer-wins' as const };
      const { verdict } = await guest.copyAndVerify(input);
      expect(verdict).toMatchObject({ verified: true, mismatches: [], filesCopied: 0, filesKeptLive: 0 });
      expect(sh(`getfattr --only-values -n user.colour ${live}/tree/also-two`)).toBe('red');
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
});
