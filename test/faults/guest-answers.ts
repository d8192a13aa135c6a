/** What the guests of data plane `none` answer to each script: a machine on which everything goes well at once. */
import type { GuestScripts, ScriptName } from '../../src/guest/scripts.ts';

const pair = {
  partition: 1,
  fsType: 'ext4',
  fsUuid: '3f6a2b6e-5f0e-4c8e-9a39-0d5a5f0c7e11',
  recoveryDevice: '/dev/disk/by-id/virtio-bp1rrrrrrrrrrrrrrrrr-part1',
  originalMount: '/data',
  paths: ['uploads'],
};
const counts = { filesSelected: 3, bytesSelected: 30, filesCopied: 3, bytesCopied: 30, filesKeptLive: 0 };
const done = { state: 'done', stage: 'done', filesDone: 3, filesTotal: 3, bytesDone: 30, bytesTotal: 30 } as const;

export const HEALTHY: { readonly [N in ScriptName]: GuestScripts[N]['result'] } = {
  'check-paths': { problems: [] },
  'look-around': {
    kernel: 'Linux',
    os: 'Debian GNU/Linux 12',
    bash: '5.2',
    missingTools: [],
    canFreeze: true,
    stateFreeBytes: 1024 ** 3,
    fileSystems: [],
    stacks: [],
    hookProblems: [],
  },
  'guest-ready': { bootId: '5f0e0b0e-0000-4000-8000-000000000000', bootedAt: '1790000000.5' },
  'find-device': {
    bootId: '5f0e0b0e-0000-4000-8000-000000000000',
    originalDevice: '/dev/vdb',
    recoveryDevice: '/dev/vdc',
    fileSystems: [pair],
  },
  mount: { mounts: [{ ...pair, recoveryMount: '/run/ecs-rollback/r/p1' }] },
  'copy-engine': {},
  'copy-start': { alreadyRunning: false },
  'copy-status': { ...done, message: '' },
  'verify-start': { alreadyRunning: false },
  'verify-result': {
    ...counts,
    verified: true,
    xattrsCompared: true,
    digest: 'abc',
    mismatches: [],
    mismatchCount: 0,
  },
  report: { entries: [], page: 1, pages: 1, total: 0, bytes: 0 },
  'put-list': {},
  restore: { files: 0, bytes: 0, directories: 0, already: 0, paths: [], problems: [], problemCount: 0 },
  discard: { folders: [], files: 0, bytes: 0, report: false },
  unmount: { unmounted: 1 },
  'original-in-place': {},
  freeze: { fileSystems: ['/data'], alreadyFrozen: false },
  thaw: { fileSystems: 1, frozenMs: 40, byDeadMan: false },
  'disk-use': { uses: [] },
  'look-into-copy': { entries: [] },
  // Nothing to skip: what a decision to skip relies on is never there.
  hook: {
    state: 'done',
    exitCode: 0,
    timedOut: false,
    outputBytes: 0,
    outputFile: '/var/log/ecs-rollback/r/h-1/output',
  },
  'list-disks': { bootId: '5f0e0b0e-0000-4000-8000-000000000000', disks: ['vda', 'vdb'] },
  grow: { grown: [], left: [] },
  'run-state': { mounts: [], verification: 'none', verified: false },
};

/** Which script a body of `POST guest-answers` is for. */
export const ofScript = (name: ScriptName) => ({ contains: `ecs-rollback, guest script ${name}\n` });

export async function healthyGuest(post: (body: object) => Promise<unknown>): Promise<void> {
  await Promise.all(
    Object.entries(HEALTHY).map(([name, result]) =>
      post({ ...ofScript(name as ScriptName), output: JSON.stringify({ ok: true, result }) }),
    ),
  );
}
