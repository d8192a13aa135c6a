import { describe, expect, it } from 'vitest';
import { chosenMounts, notOffered } from '../../../src/domain/chosen-mounts.ts';

describe('what was not offered', () => {
  it.each([
    [['/data/uploads'], ['/data/uploads'], []],
    [['/data/uploads/2026/'], ['/data/uploads'], []],
    [['/data//uploads/a'], ['/data/uploads/'], []],
    [['/data/uploads-old'], ['/data/uploads'], ['/data/uploads-old']],
    [['/data'], ['/data/uploads'], ['/data']],
    [['/etc', '/data/x'], ['/data'], ['/etc']],
  ])('%j of %j', (chosen, offered, outside) => expect(notOffered(chosen, offered)).toEqual(outside));
});

describe('the mounts of a choice', () => {
  const root = { originalMount: '/', paths: ['srv'], recoveryMount: '/run/p1' };
  const data = { originalMount: '/data', paths: ['uploads', 'orders'], recoveryMount: '/run/p2' };
  const whole = { originalMount: '/mnt', paths: [''], recoveryMount: '/run/p3' };

  it('are those with something chosen, with the paths relative to each', () => {
    expect(chosenMounts([root, data, whole], ['/data/uploads/2026', '/data/orders'])).toEqual([
      { ...data, paths: ['uploads/2026', 'orders'] },
    ]);
    expect(chosenMounts([root, data, whole], ['/srv/www/', '/mnt'])).toEqual([
      { ...root, paths: ['srv/www'] },
      { ...whole, paths: [''] },
    ]);
  });

  it('are the nearest, where all of the disk is offered and one is mounted below another', () => {
    const [all, below] = [
      { ...root, paths: [''] },
      { ...data, paths: [''] },
    ];
    expect(chosenMounts([all, below], ['/data/uploads', '/srv'])).toEqual([
      { ...all, paths: ['srv'] },
      { ...below, paths: ['uploads'] },
    ]);
    expect(chosenMounts([all, below], ['/data'])).toEqual([{ ...below, paths: [''] }]);
  });

  it('never hold what was not asked for', () => expect(chosenMounts([data], ['/data/secret', '/data/up'])).toEqual([]));
});
