/** Each test that `docs/guarantees.md` calls as a witness is there. */
import { existsSync, readFileSync } from 'node:fs';
import { expect, it } from 'vitest';

const text = readFileSync(new URL('../../docs/guarantees.md', import.meta.url), 'utf8');
const PROJECTS = ['unit', 'activities', 'conformance', 'static', 'workflow', 'replay', 'guest', 'e2e', 'faults'];
const named = [...text.matchAll(/`(([a-z0-9]+)\/[a-z0-9/-]+)`/g)].filter(([, , project = '']) =>
  PROJECTS.includes(project),
);

it('names tests', () => {
  expect(named.length).toBeGreaterThan(40);
});

it.for([...new Set(named.map(([, path = '']) => path))])('%s is there', (path) => {
  const file = new URL(`../${path}.test.ts`, import.meta.url);
  expect(existsSync(file) || existsSync(new URL(`../${path}/`, import.meta.url))).toBe(true);
});

it('has a witness in each row', () => {
  const [promises = ''] = text.split('## Figures');
  const rows = promises.split('\n').filter((line) => line.startsWith('| ') && !/^\| (what fails|---)/.test(line));
  expect(rows.filter((row) => !/`[a-z0-9]+\/[a-z0-9/-]+`[^|]*\|$/.test(row))).toEqual([]);
});
