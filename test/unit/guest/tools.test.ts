/** The plan names the tools that the guest lacks: its list is that of what the scripts of steps 4 to 8 call. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const text = (name: string): string =>
  readFileSync(new URL(`../../../src/guest/scripts/${name}.sh`, import.meta.url), 'utf8')
    .replaceAll(/^\s*#.*$/gm, '')
    .replaceAll(/'[^'\n]*'/g, "''");

const USED =
  'lib disks others find-device mount group copy-start copy-engine plan copy-status verify-start verify-result unmount job tree flags protected attributes open-files rate kept residue put-list'
    .split(' ')
    .map(text)
    .join('\n');
/** What a minimal guest may lack. What only one layout needs (lvm, btrfstune), check-paths asks for. */
const CANDIDATES = [
  'awk blkid bc chmod chown cmp comm cp cut dd diff expr file find flock fuser getent grep head join less ln ls lsblk lsof',
  'md5sum mount mv nohup od paste pgrep perl pv python3 readlink realpath rm sed seq setsid sha256sum shuf sort split',
  'stat sync tac tail tar tee timeout touch tr truncate umount unshare wc xargs xxd',
].flatMap((line) => line.split(' '));
/** Where bash expects a command. */
const calls = (tool: string): boolean =>
  new RegExp(`(^|[|;&(!{]|[$<]\\(|\\b(then|do|else|must|exec|if|setsid|-r|-0))[ \\t]*${tool}([ \\t)]|$)`, 'm').test(
    USED,
  );

it('lists what they call, and nothing else', () => {
  const [, listed = ''] = /for tool in ([^;]+); do/.exec(text('look-around')) ?? [];
  const names = listed.split(/[\s\\]+/).filter(Boolean);
  expect(CANDIDATES.filter(calls)).toEqual(names);
});
