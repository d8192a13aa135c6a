/** Every change of `npm run test:mutants` still fits the product, and the test that must miss the guard is there. */
import { readFileSync } from 'node:fs';
import { expect, it } from 'vitest';
import { MUTANTS } from '../faults/mutants.ts';

const read = (path: string): string => readFileSync(new URL(`../../${path}`, import.meta.url), 'utf8');

for (const { without, file, find, replace, testFile, test } of MUTANTS) {
  it(`without ${without}`, () => {
    expect(read(file).split(find).length - 1, `times in ${file}`).toBe(1);
    expect(replace).not.toBe(find);
    expect(read(`test/${testFile}`)).toContain(`'${test}'`);
  });
}
