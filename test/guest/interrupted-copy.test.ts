/**
 * A copy that is killed, or whose disk fills up, at moments that differ from round to round: it ends exactly, or says that
 * there is no room and goes on when there is; and what it replaced can be had back. On memory file systems, as root.
 */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, describe, expect, it } from 'vitest';
import { random, read, type Tree } from './hostile/trees.ts';
import { hereGuest, mountsOf } from './scripts/here.ts';

const sh = (lines: string) => {
  const ran = spawnSync('bash', ['-euc', lines]);
  if (ran.status !== 0) throw new Error(`${lines}: ${ran.stderr.toString()}`);
};

const FILES = 2000;

/** Runs the shell lines beside; that they come too late is no fault. */
const disturb = (...lines: string[]) =>
  new Promise<void>((resolve) => {
    spawn('bash', ['-ec', lines.join('\n')], { stdio: 'ignore' }).on('exit', () => {
      resolve();
    });
  });

describe.skipIf(process.getuid?.() !== 0)('an interrupted copy', () => {
  const root = mkdtempSync(join(tmpdir(), 'interrupted-'));
  const guest = hereGuest();

  afterAll(() => {
    guest.forget();
    rmSync(root, { recursive: true, force: true });
  });

  it.each(['killed', 'out of space'] as const)(
    '%s at any moment ends exactly',
    async (how) => {
      const outcomes: string[] = [];
      for (let round = 0; round < 6; round += 1) {
        const dice = random(round * 2 + (how === 'killed' ? 1 : 2));
        const run = `interrupted-${how === 'killed' ? 'k' : 's'}${round}`;
        const [from, to] = [join(root, `${run}-b`), join(root, `${run}-live`)];
        sh(`mkdir '${from}' '${to}'; mount -t tmpfs none '${from}'; mount -t tmpfs -o size=64m none '${to}'`);
        try {
          mkdirSync(join(from, 'tree', 'new'), { recursive: true });
          mkdirSync(join(to, 'tree'));
          for (let i = 0; i < FILES; i += 1) {
            const content = `B of ${i} `.repeat(1 + dice.below(80));
            writeFileSync(join(from, 'tree', i % 3 === 0 ? `new/${i}` : `${i}`), content);
            if (i % 3 !== 1) continue;
            writeFileSync(join(to, 'tree', `${i}`), `live ${i}`);
            utimesSync(join(to, 'tree', `${i}`), 1_600_000_000, 1_600_000_000);
          }
          const liveBefore = read(to);
          const input = {
            run,
            mounts: mountsOf(from, to),
            conflictPolicy: 'newer-wins' as const,
          };
          await guest.ok('copy-engine', { run });
          for (let attempt = 0; ; attempt += 1) {
            // From the moment the plan is made.
            const disturbed =
              attempt < 3
                ? disturb(
                    `state=/run/ecs-rollback/${run}/copy; until [ -e $state/planned ]; do [ ! -e $state/result ]; sleep 0.005; done; sleep 0.${dice.below(25).toString().padStart(2, '0')}`,
                    how === 'killed'
                      ? 'read -r pid _ <$state/pid; kill -9 -- -$pid'
                      : `head -c 64M /dev/zero >'${to}/filler'`,
                  )
                : Promise.resolve();
            await guest.run('copy-start', input);
            await disturbed;
            const isWhole = (name: string) =>
              /^(live \d+|(B of \d+ )+)$/.test(readFileSync(join(to, 'tree', name), 'utf8'));
            expect(readdirSync(join(to, 'tree')).filter((name) => name !== 'new' && !isWhole(name))).toEqual([]);
            let state: string;
            do {
              const status = await guest.run('copy-status', { run, job: 'copy', waitSeconds: 60 });
              state = status.ok ? status.result.state : status.code;
            } while (state === 'running');
            rmSync(join(to, 'filler'), { force: true });
            outcomes.push(state);
            if (state === 'done') break;
            expect(['lost', 'NoSpace']).toContain(state);
            expect(attempt, 'attempts').toBeLessThan(10);
          }
          await guest.ok('verify-start', { run });
          expect(await guest.ended(run, 'verify')).toMatchObject({ state: 'done' });
          expect(await guest.ok('verify-result', { run })).toMatchObject({
            mismatches: [],
            verified: true,
            filesCopied: FILES,
            filesKeptLive: 0,
          });
          await guest.ok('unmount', { run });
          const b = read(join(from, 'tree'));
          const plain = (tree: Tree) => new Map([...tree].map(([name, { what }]) => [name, what]));
          expect(plain(read(join(to, 'tree')))).toEqual(plain(b));
          // As docs/copy.md says; that starts a program for each file, so the other rounds do the same with one.
          const back =
            round === 0 && how === 'killed' ? `find . ! -type d -exec ln -fP {} '${to}'/{} \\;` : `cp -alfT . '${to}'`;
          sh(`cd '${to}/.ecs-rollback-${run}.aside' && ${back}`);
          const again = read(to);
          const lost = [...liveBefore].filter(([name, { kind, what, inode }]) => {
            const now = again.get(name);
            return kind === 'file' && (now?.what !== what || now.inode !== inode);
          });
          expect(lost).toEqual([]);
        } finally {
          await guest.ok('unmount', { run });
          sh(`umount '${from}' '${to}'`);
        }
      }
      expect(outcomes).toContain(how === 'killed' ? 'lost' : 'NoSpace');
    },
    120_000,
  );
});
