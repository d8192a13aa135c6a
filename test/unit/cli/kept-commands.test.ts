/** report, restore, close: what is sent, and what is shown. */
import { afterEach, describe, expect, it, vi } from 'vitest';
import { ClientError } from '../../../src/client.ts';
import { fakeClient, finished, run } from './fake-client.ts';
import { DISK, sampleView, USER } from './samples.ts';

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

const restored = {
  files: 3,
  bytes: 2048,
  directories: 1,
  already: 2,
  paths: ['/data/a', '/data/b\nc'],
  problems: ['/data/d: a live directory is in its place'],
  problemCount: 1,
};
const discarded = { folders: ['/data/.ecs-rollback-r.aside'], files: 3, bytes: 2048, report: true };
const kept = () => fakeClient({ restore: restored, discard: discarded, view: () => sampleView() });

describe('restore and close', () => {
  it('put back, and say what could not be', async () => {
    const fake = kept();
    const { exit, stdout } = await finished(['restore', DISK, '--path', '/data', '--yes']);
    expect(exit).toBe(5);
    expect(fake.sent.filter(({ verb }) => verb === 'restore').map(({ args }) => args)).toEqual([
      [DISK, { path: '/data', dryRun: false, requestedBy: USER }],
    ]);
    expect(stdout).toBe(`  /data/a
  /data/b c
  … and 1 more
Put back: 3 files, 2 KiB, and 1 missing folder; 2 files are back already
  not put back: /data/d: a live directory is in its place
`);
  });

  it('remove what is kept, or say what would be', async () => {
    const fake = kept();
    const would = await finished(['close', DISK, '--dry-run']);
    expect(would).toMatchObject({
      exit: 0,
      stdout: '  /data/.ecs-rollback-r.aside\nWould remove: 3 files, 2 KiB kept aside, and the report\n',
    });
    const { exit, stdout } = await finished(['close', DISK, '--yes', '-o', 'json']);
    expect(exit).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ command: 'close', dryRun: false, ...discarded });
    expect(fake.sent.filter(({ verb }) => verb === 'discard').map(({ args }) => args[1])).toEqual([
      { dryRun: true, requestedBy: USER },
      { dryRun: false, requestedBy: USER },
    ]);
  });

  it.each([
    [['restore', DISK], '--yes: no terminal to ask for confirmation on, and this replaces live files'],
    [['close', DISK, '-o', 'json'], '--yes: -o json never prompts, and what is removed cannot be had back'],
    [['restore', DISK, '--path', 'data', '--yes'], '--path: "data" is not an absolute path'],
  ])('refuse %j before anything is sent', async (args, line) => {
    const fake = kept();
    expect(await finished(args)).toMatchObject({ exit: 2, stderr: expect.stringContaining(line) });
    expect(fake.verbs()).toEqual([]);
  });

  it('show first what would be done, and do it only when the disk is named', async () => {
    const fake = kept();
    const { exit, written, stdin } = await run(['close', DISK], { tty: true });
    stdin.write('no\n');
    expect(await exit).toBe(8);
    expect(written.stderr).toContain('Would remove: 3 files');
    expect(fake.sent.filter(({ verb }) => verb === 'discard').map(({ args }) => args[1])).toEqual([
      { dryRun: true, requestedBy: USER },
    ]);
  });
});
