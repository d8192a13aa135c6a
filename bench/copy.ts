/**
 * `npm run bench:copy`: our copy, verified, against what one would type, on the same two loop devices in one run. Needs root
 * and rsync. All run as nicely as our job does. `--scale 0.1` makes it a tenth as large, `--rounds 2` does it again, interleaved,
 * `--only small|changed|large` does one of the three; several can be named. `--latency 1` adds so many ms to each read and write
 * of the devices, as a network disk has it (not for `changed`; needs nbdkit and nbdfuse). Interrupted, it leaves nothing behind.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { hereGuest, mountsOf } from '../test/guest/scripts/here.ts';

const { values } = parseArgs({
  options: {
    scale: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '1' },
    latency: { type: 'string', default: '0' },
    only: { type: 'string', multiple: true, default: ['small', 'changed', 'large'] },
  },
});
// Its devices are made anew each time, and a delayed one would take long for that.
const wanted = (title: string) => values.only.includes(title) && !(title === 'changed' && LATENCY_MS > 0);
const scale = Number(values.scale);
const FILES = Math.round(100_000 * scale);
const LARGE_MIB = Math.round(1024 * scale);
const LATENCY_MS = Number(values.latency);
const RUN = 'bench-copy';

const folder = mkdtempSync(join(tmpdir(), 'bench-copy-'));
const [src, dst] = [join(folder, 'src'), join(folder, 'dst')];
const guest = hereGuest();

let running: ChildProcess | undefined;
let interrupted: NodeJS.Signals | undefined;
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) {
  process.on(signal, () => {
    interrupted ??= signal;
    // Its group: what it has started ends, too.
    if (running?.pid !== undefined) process.kill(-running.pid, 'SIGKILL');
  });
}

/** Shell lines below the bench's folder. `evenIf` interrupted: for what puts things in order. */
async function sh(lines: string, evenIf = false): Promise<void> {
  if (interrupted !== undefined && !evenIf) throw new Error(`interrupted by ${interrupted}`);
  const child = spawn('nice', ['-n', '10', 'ionice', '-c', '3', 'bash', '-euc', lines], {
    cwd: folder,
    stdio: ['ignore', 'ignore', 'pipe'],
    detached: true,
  });
  if (!evenIf) running = child;
  let said = '';
  child.stderr.on('data', (chunk: Buffer) => {
    said += chunk.toString();
  });
  const status = await new Promise((resolve) => child.once('close', resolve));
  running = undefined;
  if (interrupted !== undefined && !evenIf) throw new Error(`interrupted by ${interrupted}`);
  if (status !== 0) throw new Error(`${lines}: ${said.slice(0, 500)}`);
}
const cold = () => sh('sync; echo 3 >/proc/sys/vm/drop_caches');

async function seconds(body: () => unknown): Promise<number> {
  const start = performance.now();
  await body();
  return (performance.now() - start) / 1000;
}

interface Side {
  readonly name: string;
  readonly copy: () => unknown;
  readonly verify: () => unknown;
}

const byRsync = () => sh('rsync -aHAXnc --itemize-changes src/tree dst/ | if grep -q "^[<>]"; then exit 1; fi');
const mounts = () => mountsOf(src, dst);
const OURS: Side = {
  name: 'ecs-rollback',
  copy: () => guest.copy({ run: RUN, mounts: mounts(), conflictPolicy: 'newer-wins' }),
  async verify() {
    const verdict = await guest.verify(RUN);
    if (!verdict.verified) throw new Error(`not verified: ${verdict.mismatches.slice(0, 3).join(', ')}`);
  },
};
const FIRST_COPY: readonly Side[] = [
  OURS,
  { name: 'rsync -aHAX', copy: () => sh('rsync -aHAX src/tree dst/; sync -f dst'), verify: byRsync },
  { name: 'cp -a', copy: () => sh('cp -a src/tree dst/; sync -f dst'), verify: byRsync },
  { name: 'tar | tar', copy: () => sh('tar -C src -cf - tree | tar -C dst -xpf -; sync -f dst'), verify: byRsync },
];
/** What the devices give at best. */
const RAW: Side = {
  name: '`dd`, direct, two at a time',
  copy: () =>
    sh(
      'mkdir dst/tree; ls src/tree | xargs -P 2 -I@ dd if=src/tree/@ of=dst/tree/@ bs=4M iflag=direct oflag=direct; cp -a --attributes-only src/tree dst/; sync -f dst',
    ),
  verify: byRsync,
};
const CHANGED: readonly Side[] = [
  OURS,
  { name: 'rsync -aHAX', copy: () => sh('rsync -aHAX src/tree dst/; sync -f dst'), verify: byRsync },
  { name: 'cp -au', copy: () => sh('cp -au src/tree dst/; sync -f dst'), verify: byRsync },
];

/** Interleaved rounds; prints the least of each. `before` makes the target anew. */
async function compare(title: string, sides: readonly Side[], before: () => Promise<void>): Promise<void> {
  const best = new Map<string, { copy: number; verify: number }>();
  // The first to write to an image pays for its blocks: that is nobody who is measured.
  await before();
  await sides.at(-1)?.copy();
  for (let round = 0; round < Number(values.rounds); round += 1) {
    for (const side of sides) {
      await before();
      await cold();
      const copy = await seconds(side.copy);
      await cold();
      const verify = await seconds(side.verify);
      await guest.ok('unmount', { run: RUN });
      const seen = best.get(side.name);
      if (seen === undefined || copy + verify < seen.copy + seen.verify) best.set(side.name, { copy, verify });
    }
  }
  const ours = best.get(OURS.name) ?? { copy: 0, verify: 0 };
  console.log(
    `\n${title}\n| | copy | verify | ours, verified, is × as fast: without its verification | with |\n|---|---|---|---|---|`,
  );
  for (const [name, { copy, verify }] of best) {
    const total = ours.copy + ours.verify;
    const ratio = (theirs: number) => (name === OURS.name ? '' : (theirs / total).toFixed(2));
    console.log(
      `| ${name} | ${copy.toFixed(1)} s | ${verify.toFixed(1)} s | ${ratio(copy)} | ${ratio(copy + verify)} |`,
    );
  }
}

/** Mounts the image. A delayed one goes through a network block device, whose file the loop device reads without a cache. */
const attach = (name: string) =>
  LATENCY_MS === 0
    ? `mount -o loop ${name}.img ${name}`
    : `: >${name}.nbd
      setsid nbdfuse ${name}.nbd --command nbdkit -s --filter=delay file ${name}.img delay-read=${LATENCY_MS}ms delay-write=${LATENCY_MS}ms >nbd.log 2>&1 &
      until [ -s ${name}.nbd ]; do sleep 0.1; done
      loop=$(losetup --direct-io=on --show -f ${name}.nbd); mount $loop ${name}; losetup -d $loop`;
const detach = (name: string) =>
  `if mountpoint -q ${name}; then umount ${name}; fi; if mountpoint -q ${name}.nbd; then umount ${name}.nbd; fi`;
const device = (name: string, gib: number) =>
  sh(`truncate -s ${gib}G ${name}.img; mkfs.ext4 -q -F ${name}.img; mkdir -p ${name}; ${attach(name)}`);
const empty = () => sh('rm -rf dst/* dst/.ecs-rollback*');
/** As the cloud does it: both disks are copies of one snapshot, and B has changed since. */
const twins = (change: string) => async () => {
  await sh('sync; umount src dst; cp --sparse=always a.img src.img; cp --sparse=always a.img dst.img');
  await sh(`${attach('src')}; ${attach('dst')}; cd src/tree; ${change}; sync`);
};

try {
  mkdirSync(folder, { recursive: true });
  const gib = Math.ceil(10 * scale) + 2;
  await device('src', gib);
  await device('dst', gib);
  await sh('mkdir src/tree');
  if (wanted('small') || wanted('changed')) {
    await sh(`cd src/tree; head -c 8192 /dev/urandom >../seed
      awk -v n=${FILES} 'BEGIN { srand(1); for (i = 0; i < n; i++) print "d" int(i / 500) "/f" i, 1024 + int(rand() * 7168) }' >../list
      cut -d/ -f1 ../list | uniq | xargs mkdir
      while read -r name size; do head -c "$size" ../seed >"$name"; done <../list`);
  }
  if (wanted('small')) await compare(`${FILES} files of 1 to 8 KiB, to an empty disk`, FIRST_COPY, empty);
  if (wanted('changed')) {
    await sh(`cp --sparse=always src.img a.img; umount src; e2fsck -fy a.img || [ $? = 1 ]; ${attach('src')}`);
    const every100th = `awk 'NR % 100 == 0 { print $1 }' ../list | while read -r name; do echo changed >>"$name"; done`;
    await compare(`${FILES} files of 1 to 8 KiB, one in a hundred changed since`, CHANGED, twins(every100th));
  }
  if (wanted('large')) {
    await sh(`rm -rf src/tree/*; for i in 1 2 3 4; do head -c ${LARGE_MIB}M /dev/urandom >src/tree/$i; done`);
    await compare(`4 files of ${LARGE_MIB} MiB, to an empty disk`, [...FIRST_COPY, RAW], empty);
  }
} catch (error) {
  if (interrupted === undefined) throw error;
  console.error(`interrupted by ${interrupted}`);
  process.exitCode = 1;
} finally {
  // Ends our job, if it is at work.
  await guest.run('unmount', { run: RUN });
  guest.forget();
  await sh(`${detach('src')}; ${detach('dst')}`, true);
  rmSync(folder, { recursive: true, force: true });
}
