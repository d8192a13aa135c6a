/**
 * The whole story of a Windows guest on the control plane: starter, worker and a cloud without machines. Which script goes
 * out as what and with which input, what its answers become, how the run ends. Nothing here runs PowerShell.
 */
import { afterAll, beforeAll, beforeEach, expect, it } from 'vitest';
import type { RollbackPlan } from '../../src/contract/rollback.ts';
import type { GuestScripts, ScriptName } from '../../src/guest/scripts.ts';
import { ofScript } from '../faults/guest-answers.ts';
import { violations } from '../support/invariants.ts';
import { beyondLooking, factsOf, gather } from './evidence.ts';
import { openStage, type RunDocument, type Stage, type StarterEnd } from './stage.ts';

const PATH = String.raw`D:\data\Shop's uploads`;
const bootId = '5f0e0b0e-0000-4000-8000-000000000000';
const pair = {
  partition: 2,
  fsType: 'NTFS',
  fsUuid: '5c2b1a09',
  recoveryDevice: 'serial:bp1rrrrrrrrrrrrrrrrr/partition:2',
  originalMount: 'D:\\',
  paths: [String.raw`data\Shop's uploads`],
};
const mounts = [{ ...pair, recoveryMount: String.raw`C:\ProgramData\ecs-rollback\r\mnt\p2` }];
const ended = {
  state: 'done',
  stage: 'done',
  filesDone: 3,
  filesTotal: 3,
  bytesDone: 30,
  bytesTotal: 30,
  message: '',
} as const;

type Answers = { readonly [N in ScriptName]?: GuestScripts[N]['result'] };
/** As the scripts for Windows answer on a machine where everything goes well at once. */
const ANSWERS: Answers = {
  'look-around': {
    kernel: 'Windows',
    os: 'Microsoft Windows Server 2022 Datacenter 10.0.20348',
    bash: '',
    powershell: '5.1',
    missingTools: [],
    canFreeze: false,
    stateFreeBytes: 20 * 1024 ** 3,
    fileSystems: [
      {
        at: 'D:\\',
        type: 'NTFS',
        readOnly: false,
        sizeBytes: 2e10,
        freeBytes: 1e10,
        inodes: 0,
        freeInodes: 0,
        atBoot: true,
      },
    ],
    stacks: [],
    hookProblems: [],
  },
  'check-paths': { problems: [] },
  'guest-ready': { bootId, bootedAt: '1790000000.500' },
  'find-device': { bootId, originalDevice: 'disk 1 (o)', recoveryDevice: 'disk 2 (r)', fileSystems: [pair] },
  mount: { mounts },
  'copy-engine': {},
  'copy-start': { alreadyRunning: false },
  'copy-status': ended,
  'verify-start': { alreadyRunning: false },
  'verify-result': {
    filesSelected: 4,
    bytesSelected: 40,
    filesCopied: 3,
    bytesCopied: 30,
    filesKeptLive: 1,
    bytesKeptLive: 10,
    verified: true,
    xattrsCompared: false,
    digest: 'f'.repeat(64),
    mismatches: [],
    mismatchCount: 0,
    aside: [{ folder: String.raw`D:\.ecs-rollback-r.aside`, files: 2 }],
    verdicts: { 'changed-in-B': { entries: 3, bytes: 30 }, 'live-is-newer': { entries: 1, bytes: 10 } },
  },
  unmount: { unmounted: 1 },
  'original-in-place': {},
  grow: { grown: [{ what: 'NTFS volume', name: 'D:\\', fromBytes: 2e10, toBytes: 4e10 }], left: [] },
};

let stage: Stage;
let snapshotA: string;
beforeAll(async () => {
  stage = await openStage({ dataPlane: 'none', speed: 100 });
  await stage.control('POST', `instances/${stage.instanceId}`, { osType: 'windows' });
  snapshotA = await stage.snapshot('nightly');
}, 120_000);
afterAll(() => stage?.close());
beforeEach(async () => {
  await stage.control('DELETE', 'guest-answers');
});

/** A line end as Windows writes it, and nothing but ASCII, as the scripts write it. */
const say = (name: ScriptName, answer: object) =>
  stage.control('POST', 'guest-answers', { ...ofScript(name), output: `${JSON.stringify(answer)}\r\n` });
async function guestSays(answers: Answers): Promise<void> {
  for (const [name, result] of Object.entries(answers)) await say(name as ScriptName, { ok: true, result });
}
const start = (...more: string[]): Promise<StarterEnd> =>
  stage.starter(['start', ...stage.target, '--snapshot', snapshotA, ...more, '--yes', '-o', 'json']);
/** What the guest was sent from the `since`th invocation on, in order. */
async function sent(since = 0) {
  const invocations = Object.values((await stage.state()).invocations).sort((a, b) => a.seq - b.seq);
  return invocations.slice(since).map(({ type, content }) => {
    const script = Buffer.from(content, 'base64').toString('utf8');
    const blob = /^\$InputB64 = '(.*)'$/m.exec(script)?.[1] ?? '';
    return {
      type,
      name: /guest script (\S+)\n/.exec(script)?.[1],
      input: JSON.parse(Buffer.from(blob, 'base64').toString('utf8') || 'null') as Record<string, unknown>,
    };
  });
}
const sentSoFar = async () => Object.keys((await stage.state()).invocations).length;

it('goes all the way: each step with the PowerShell twin of its script', async () => {
  await guestSays(ANSWERS);
  const evidenceOf = await gather(stage);
  const since = await sentSoFar();
  const end = await start('--path', PATH);
  expect(end, end.stderr).toMatchObject({ exitCode: 0 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run.result).toMatchObject({
    outcome: 'completed',
    leftovers: [],
    receipt: { filesCopied: 3, filesKeptLive: 1, verified: true, xattrsCompared: false },
  });
  expect(run.result?.plan.findings.filter(({ code }) => code.startsWith('Windows'))).toMatchObject([
    { severity: 'warning', code: 'WindowsGuest', fact: expect.stringContaining('untried') },
  ]);

  const scripts = await sent(since);
  expect(new Set(scripts.map(({ type }) => type))).toEqual(new Set(['RunPowerShellScript']));
  const looks = new Set(['look-around', 'check-paths']);
  expect(scripts.filter(({ name = '' }) => !looks.has(name)).map(({ name }) => name)).toEqual([
    'guest-ready',
    'find-device',
    'mount',
    'copy-engine',
    'copy-start',
    'copy-status',
    'verify-start',
    'copy-status',
    'verify-result',
    'unmount',
    'original-in-place',
  ]);
  const inputOf = (wanted: ScriptName) => scripts.find(({ name }) => name === wanted)?.input;
  expect(inputOf('check-paths')).toMatchObject({ paths: [PATH] });
  expect(inputOf('find-device')).toMatchObject({ bootId, paths: [PATH], originalSizeBytes: 20 * 1024 ** 3 });
  expect(inputOf('mount')).toMatchObject({ bootId, fileSystems: [pair] });
  expect(inputOf('copy-start')).toMatchObject({ bootId, mounts, conflictPolicy: 'newer-wins' });
  expect(inputOf('unmount')).toHaveProperty('recoverySerial');

  const evidence = await evidenceOf({ ...factsOf(run, end, snapshotA), resets: 1 });
  expect(violations(evidence)).toEqual([]);
});

it('is refused with every option that is not there, and nothing is changed', async () => {
  await guestSays(ANSWERS);
  const calls = (await stage.calls()).length;
  const flags = ['--path', '/data/uploads', '--conflict', 'both', '--delete', '--hook', 'beforeCopy=/bin/stop'];
  const end = await start(...flags);
  expect(end, end.stderr).toMatchObject({ exitCode: 3 });
  const looked = await stage.starter(['plan', ...stage.target, '--snapshot', snapshotA, ...flags, '-o', 'json']);
  const { plan } = JSON.parse(looked.stdout) as { plan: RollbackPlan };
  const fields = plan.findings
    .filter(({ severity }) => severity === 'blocker')
    .map(({ code, field }) => `${code} ${field}`);
  expect(fields.sort()).toEqual([
    'PathUnusable sync.paths',
    'WindowsUnsupported hooks',
    'WindowsUnsupported sync.conflictPolicy',
    'WindowsUnsupported sync.delete',
  ]);
  expect(beyondLooking(await stage.calls(calls))).toEqual([]);
});

it('says that it was rolled back and not synced when the copy is refused, and leaves nothing behind', async () => {
  const message = String.raw`D:\data\Shop's uploads\current is a link`;
  const { 'copy-start': _, ...others } = ANSWERS;
  await guestSays(others);
  await say('copy-start', { ok: false, refused: true, code: 'UnsupportedEntry', message });
  const evidenceOf = await gather(stage);
  const since = await sentSoFar();
  const end = await start('--path', PATH, '--on-failure', 'abort');
  expect(end, end.stderr).toMatchObject({ exitCode: 5 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run.result).toMatchObject({
    outcome: 'rolled-back-not-synced',
    summary: expect.stringContaining(`${message} (UnsupportedEntry)`),
    leftovers: [],
  });
  expect((await sent(since)).at(-1)).toMatchObject({ type: 'RunPowerShellScript', name: 'original-in-place' });
  const evidence = await evidenceOf({ ...factsOf(run, end, snapshotA), resets: 1 });
  expect(violations(evidence)).toEqual([]);
});

it('grows the volume again after a rollback past an expansion', async () => {
  await guestSays(ANSWERS);
  await stage.ecs.resizeDisk({ diskId: stage.diskId, sizeGiB: 40, clientToken: 'windows-grow' });
  const since = await sentSoFar();
  const end = await start();
  expect(end, end.stderr).toMatchObject({ exitCode: 0 });
  const run = JSON.parse(end.stdout) as RunDocument;
  expect(run.status?.steps.find(({ id }) => id === 'growFileSystems')).toMatchObject({ state: 'done' });
  expect((await sent(since)).filter(({ name }) => name === 'grow')).toMatchObject([
    { type: 'RunPowerShellScript', input: { originalSerial: expect.stringMatching(/./) } },
  ]);
});
