import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, readFile, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Checksums } from '../../../local/proof.ts';

const run = promisify(execFile);
const script = fileURLToPath(new URL('../../../local/shop/checksums.sh', import.meta.url));

/** The demo's whole proof rests on these sums, so each thing a copy can get wrong has to move them. Needs GNU tools. */
describe.runIf(process.platform === 'linux')('checksums of the shop', () => {
  let shop: string;
  const moment = new Date('2026-11-20T03:00:00.123Z');
  beforeEach(async () => {
    shop = await mkdtemp(join(tmpdir(), 'ecs-rollback-shop-'));
    for (const folder of ['catalog', 'config', 'orders', 'uploads', 'reports']) await mkdir(join(shop, folder));
    await writeFile(join(shop, 'orders/1.json'), 'one');
    await writeFile(join(shop, 'orders/2.json'), 'two');
    await run('ln', [join(shop, 'orders/1.json'), join(shop, 'orders/linked')]);
    await run('ln', ['-s', '1.json', join(shop, 'orders/latest')]);
    await run('truncate', ['-s', '4M', join(shop, 'orders/sparse')]);
    await writeFile(join(shop, 'reports/day.log'), 'day');
  });
  afterEach(async () => {
    await rm(shop, { recursive: true, force: true });
  });

  const checksums = async (): Promise<Checksums> =>
    JSON.parse((await run('bash', [script], { env: { ...process.env, SHOP: shop } })).stdout) as Checksums;

  test('an exact copy has the same sums', async () => {
    const copy = `${shop}-copy`;
    const before = await checksums();
    await run('cp', ['-a', '--sparse=always', shop, copy]);
    await rm(shop, { recursive: true });
    await rename(copy, shop);
    expect(await checksums()).toEqual(before);
  });

  const changes: Array<[what: string, change: () => Promise<unknown>]> = [
    [
      'content',
      () =>
        writeFile(join(shop, 'orders/2.json'), 'owt').then(() => utimes(join(shop, 'orders/2.json'), moment, moment)),
    ],
    ['mode', () => chmod(join(shop, 'orders/2.json'), 0o600)],
    ['modification time', () => utimes(join(shop, 'orders/2.json'), moment, moment)],
    ['a lost file', () => rm(join(shop, 'orders/2.json'))],
    ['a stray file', () => writeFile(join(shop, 'orders/3.json'), '')],
    ['a link target', () => run('ln', ['-sfn', '2.json', join(shop, 'orders/latest')])],
    [
      'a hard link become a copy',
      () => run('bash', ['-c', 'cp -p "$0/1.json" "$0/x" && mv "$0/x" "$0/linked"', join(shop, 'orders')]),
    ],
    [
      'holes written out',
      () =>
        run('bash', ['-c', 'cp -p --sparse=never "$0/sparse" "$0/x" && mv "$0/x" "$0/sparse"', join(shop, 'orders')]),
    ],
  ];
  test.each(changes)('%s changes the sum of its part and of the whole, and no other', async (_, change) => {
    await utimes(join(shop, 'orders'), moment, moment);
    const before = await checksums();
    await change();
    await utimes(join(shop, 'orders'), moment, moment);
    const after = await checksums();
    expect(after.broughtBack).not.toBe(before.broughtBack);
    expect(after.whole).not.toBe(before.whole);
    expect([after.rolledBack, after.other]).toEqual([before.rolledBack, before.other]);
  });

  test('scripts fit into RunCommand, which takes 24 KB after Base64', async () => {
    for (const name of ['open', 'trade', 'bad-deploy', 'checksums', 'leftovers']) {
      const text = await readFile(new URL(`../../../local/shop/${name}.sh`, import.meta.url));
      expect(text.toString('base64').length, name).toBeLessThan(24 * 1024);
    }
  });
});
