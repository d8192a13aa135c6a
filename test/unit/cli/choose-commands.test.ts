/** browse, diff, find, select: what is sent, and what is shown. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ClientError } from '../../../src/client.ts';
import type { LookResult } from '../../../src/contract/selection.ts';
import { fakeClient, finished } from './fake-client.ts';
import { DISK, sampleStatus, sampleView, USER } from './samples.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const waits = sampleView({
  status: sampleStatus({
    waitingFor: { kind: 'selection', paths: ['/data/uploads', '/data/orders'], since: '2026-11-22T03:00:00Z' },
  }),
});
const seen: LookResult = {
  entries: [
    { path: '/data/uploads/2026', type: 'directory', size: 0, modifiedAt: '2026-11-22T01:00:00Z', verdict: 'same' },
    { path: '/data/uploads/a\nb', type: 'file', size: 1536, modifiedAt: '2026-11-22T01:02:03Z', verdict: 'only-in-b' },
  ],
  next: 'a b',
};
const client = () =>
  fakeClient({
    view: () => waits,
    offered: ['/data/uploads', '/data/orders'],
    look: () => seen,
    select: () => waits,
  });

describe('a look', () => {
  it('goes into what the run was started for, unless a folder is named', async () => {
    const fake = client();
    const { exit, stdout } = await finished(['browse', DISK]);
    expect(exit).toBe(0);
    expect(fake.sent.find(({ verb }) => verb === 'look')?.args).toEqual([
      DISK,
      { what: 'browse', path: '/data/uploads' },
    ]);
    expect(stdout).toMatch(/^same +directory {2}2026-11-22 01:00:00 UTC {2}\/data\/uploads\/2026\n/);
    expect(stdout).toMatch(/^only in B +1\.5 KiB {2}2026-11-22 01:02:03 UTC {2}\/data\/uploads\/a b\n/m);
    expect(stdout).toContain(`There is more: \`ecs-rollback browse ${DISK} /data/uploads --after 'a b'\``);
  });

  it.each([
    [['diff', DISK, '/data/x'], { what: 'diff', path: '/data/x' }],
    [['find', DISK, '*.sql', '--below', '/data/x'], { what: 'find', path: '/data/x', pattern: '*.sql' }],
    [['browse', DISK, '/data/x', '--after', 'k'], { what: 'browse', path: '/data/x', after: 'k' }],
  ])('%j', async (args, request) => {
    const fake = client();
    const { exit, stdout } = await finished([...args, '-o', 'json']);
    expect(exit).toBe(0);
    expect(fake.sent.find(({ verb }) => verb === 'look')?.args).toEqual([DISK, request]);
    expect(JSON.parse(stdout)).toMatchObject({ command: args[0], entries: [{}, {}], next: 'a b' });
  });

  it('says so when the run does not wait for one, with or without a folder', async () => {
    const refusal = new ClientError('refused', 'it does not wait for a selection');
    fakeClient({ offered: refusal, look: refusal });
    for (const folder of [[], ['/data']]) {
      expect(await finished(['browse', DISK, ...folder])).toMatchObject({
        exit: 3,
        stderr: expect.stringContaining('does not wait for a selection'),
      });
    }
  });

  it('refuses a relative folder before anything is sent', async () => {
    const fake = client();
    expect(await finished(['browse', DISK, 'data'])).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining('path: is not an absolute path'),
    });
    expect(fake.verbs()).not.toContain('look');
  });
});

describe('select', () => {
  it('sends the choice, with who and why', async () => {
    const fake = client();
    const { exit } = await finished(['select', DISK, '--path', '/data/a', '--path', '/data/b', '--reason', 'INC-42']);
    expect(exit).toBe(0);
    expect(fake.sent.find(({ verb }) => verb === 'select')?.args).toEqual([
      DISK,
      { by: USER, reason: 'INC-42', paths: ['/data/a', '/data/b'] },
    ]);
  });

  it.each([
    [['--reason', 'x'], '--path: is missing'],
    [['--path', 'data', '--reason', 'x'], '--path: "data" is not an absolute path'],
    [['--path', '/data'], '--reason: is missing'],
  ])('refuses %j', async (args, line) => {
    const fake = client();
    expect(await finished(['select', DISK, ...args])).toMatchObject({ exit: 2, stderr: expect.stringContaining(line) });
    expect(fake.verbs()).not.toContain('select');
  });
});

it('status says what to type for a run that waits for a selection', async () => {
  client();
  const { stdout } = await finished(['status', DISK]);
  expect(stdout).toContain('WAITING FOR A SELECTION');
  expect(stdout).toContain(`ecs-rollback select rollback-${DISK} --path /data/uploads --reason '…'`);
});
