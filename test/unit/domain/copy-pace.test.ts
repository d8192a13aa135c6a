/** Rate, time left and time of the last change, from counters seen one after the other. */
import { expect, it } from 'vitest';
import { copyPace } from '../../../src/domain/copy-pace.ts';

const MIB = 1024 ** 2;
const at = (stage: 'scanning' | 'copying' | 'verifying' | 'done', filesDone: number, bytesDone: number) => ({
  stage,
  filesDone,
  filesTotal: 100,
  bytesDone,
  bytesTotal: 100 * MIB,
});

it('says nothing of a rate before it has seen two looks of one stage', () => {
  const paced = copyPace();
  expect(paced(at('scanning', 7, 0), 0)).toEqual({ ...at('scanning', 7, 0), changedAt: '1970-01-01T00:00:00.000Z' });
  expect(paced(at('copying', 0, 0), 5_000).bytesPerSecond).toBeUndefined();
  expect(paced(at('copying', 10, 20 * MIB), 15_000)).toMatchObject({ bytesPerSecond: 2 * MIB });
  // The verification begins anew.
  expect(paced(at('verifying', 0, 0), 20_000).bytesPerSecond).toBeUndefined();
});

it('goes by files where they take longer than their bytes', () => {
  const paced = copyPace();
  paced(at('copying', 0, 0), 0);
  expect(paced(at('copying', 50, 90 * MIB), 10_000).secondsLeft).toBe(10);
  expect(copyPace()(at('done', 100, 100 * MIB), 0).secondsLeft).toBeUndefined();
});

it('forgets what is more than a minute old', () => {
  const paced = copyPace();
  paced(at('copying', 0, 0), 0);
  for (let second = 10; second <= 60; second += 10) paced(at('copying', 1, 50 * MIB), second * 1_000);
  let last = {};
  for (let second = 70; second <= 130; second += 10)
    last = paced(at('copying', 1, 50 * MIB + second * 1024), second * 1_000);
  expect(last).toMatchObject({ bytesPerSecond: expect.closeTo(1024, -3) });
});

it('says since when nothing has changed, and has no time left then', () => {
  const paced = copyPace();
  paced(at('copying', 3, 3 * MIB), 1_000);
  const stuck = paced(at('copying', 3, 3 * MIB), 41_000);
  expect(stuck).toMatchObject({ changedAt: '1970-01-01T00:00:01.000Z', bytesPerSecond: 0 });
  expect(stuck.secondsLeft).toBeUndefined();
});
