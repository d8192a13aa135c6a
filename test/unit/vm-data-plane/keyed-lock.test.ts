/** Order of work on the same disks and instances. */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, it } from 'vitest';
import { KeyedLock } from '../../../simulator/data-plane/vm/keyed-lock.ts';

it('runs work on one key in its order and on different keys side by side', async () => {
  const lock = new KeyedLock();
  const events: string[] = [];
  const work = (name: string, ms: number) => async () => {
    events.push(`${name} begins`);
    await sleep(ms);
    events.push(`${name} ends`);
  };
  await Promise.all([
    lock.run(['disk-1', 'snapshot-1'], work('first', 40)),
    lock.run(['snapshot-1', 'disk-1'], work('second', 5)),
    lock.run(['disk-2'], work('other', 5)),
  ]);
  expect(events).toEqual(['first begins', 'other begins', 'other ends', 'first ends', 'second begins', 'second ends']);
});

it('goes on after work that failed', async () => {
  const lock = new KeyedLock();
  const failing = lock.run(['disk'], async () => {
    throw new Error('no space');
  });
  const next = lock.run(['disk'], async () => 'done');
  await expect(failing).rejects.toThrow('no space');
  expect(await next).toBe('done');
});
