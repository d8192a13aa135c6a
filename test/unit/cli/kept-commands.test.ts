/** report: what is sent, and what is shown. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ClientError } from '../../../src/client.ts';
import { fakeClient, finished } from './fake-client.ts';
import { DISK } from './samples.ts';

afterEach(() => {
  vi.restoreAllMocks();
});

const page = {
  workflowId: `rollback-${DISK}`,
  entries: [
    { verdict: 'conflict', action: 'keep', bytes: 1536, path: '/data/new\\nline' },
    { verdict: 'only-in-B', action: 'left', bytes: 3, path: '/data/b' },
  ],
  page: 1,
  pages: 3,
  total: 250,
  bytes: 4096,
};

describe('report', () => {
  it('shows a page, and how to get the next one with the same choices', async () => {
    const fake = fakeClient({ report: page });
    const args = ['report', DISK, '--verdict', 'conflict,only-in-B', '--under', '/data/x y'];
    const { exit, stdout } = await finished(args);
    expect(exit).toBe(0);
    expect(fake.sent.find(({ verb }) => verb === 'report')?.args).toEqual([
      DISK,
      { verdicts: ['conflict', 'only-in-B'], under: '/data/x y', page: 1 },
    ]);
    expect(stdout).toMatch(/^conflict +keep +1\.5 KiB {2}\/data\/new\\nline\n/);
    expect(stdout).toContain('Page 1 of 3; in all 250 paths, 4 KiB');
    expect(stdout).toContain(
      `\`ecs-rollback report rollback-${DISK} --verdict conflict,only-in-B --under '/data/x y' --page 2\``,
    );
  });

  it('prints the page as JSON', async () => {
    const fake = fakeClient({ report: page });
    const { exit, stdout } = await finished(['report', DISK, '--action', 'left,keep', '--page', '2', '-o', 'json']);
    expect(exit).toBe(0);
    expect(fake.sent.find(({ verb }) => verb === 'report')?.args).toEqual([
      DISK,
      { actions: ['left', 'keep'], page: 2 },
    ]);
    expect(JSON.parse(stdout)).toMatchObject({ command: 'report', exitCode: 0, pages: 3, entries: page.entries });
  });

  it.each([
    [['--verdict', 'conflict,x'], '--verdict: "conflict,x" is not accepted: expected one or more of only-in-B'],
    [['--action', ''], '--action: "" is not accepted: expected one or more of take'],
    [['--under', 'data'], '--under: "data" is not an absolute path'],
    [['--page', '0'], '--page: "0" is not the number of a page'],
    [['--page', 'two'], '--page: "two" is not the number of a page'],
  ])('refuses %j before anything is sent', async (flags, line) => {
    const fake = fakeClient({ report: page });
    expect(await finished(['report', DISK, ...flags])).toMatchObject({
      exit: 2,
      stderr: expect.stringContaining(line),
    });
    expect(fake.verbs()).not.toContain('report');
  });

  it('says why there is none', async () => {
    fakeClient({ report: new ClientError('refused', 'rollback-d: the guest keeps no report of the run') });
    expect(await finished(['report', DISK])).toMatchObject({
      exit: 3,
      stderr: expect.stringContaining('the guest keeps no report'),
    });
  });
});
