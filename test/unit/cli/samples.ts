/** A plan, a run and their parts to test with; each test overrides what it is about. */
import { PassThrough } from 'node:stream';
import type { RunHandle, RunView } from '../../../src/client.ts';
import type { Style, Surroundings } from '../../../src/cli/terminal.ts';
import { styleFor } from '../../../src/cli/terminal.ts';
import type {
  FailureReport,
  PlanFinding,
  RollbackPlan,
  RollbackResult,
  RunStatus,
  Step,
} from '../../../src/contract/rollback.ts';

export const DISK = 'd-bp1a2b3c4d5e6f7g8h9i';
export const SNAPSHOT_A = 's-bp1aaaaaaaaaaaaaaaaa';
export const SNAPSHOT_B = 's-bp1bbbbbbbbbbbbbbbbb';
export const INSTANCE = 'i-bp1a2b3c4d5e6f7g8h9i';
export const USER = 'oncall@ops-1';
export const NOW = Date.parse('2026-11-22T03:10:00Z');

export const blocker = (code: string): PlanFinding => ({
  severity: 'blocker',
  code,
  field: 'diskId',
  fact: `fact of ${code}`,
  remedy: `remedy of ${code}`,
});

export const samplePlan = (over: Partial<RollbackPlan> = {}): RollbackPlan => ({
  regionId: 'cn-hangzhou',
  diskId: DISK,
  snapshotId: SNAPSHOT_A,
  disk: {
    id: DISK,
    sizeGiB: 40,
    category: 'cloud_essd',
    performanceLevel: 'PL1',
    kind: 'data',
    zoneId: 'cn-hangzhou-h',
    encrypted: false,
    serial: 'bp1a2b3c4d5e6f7g8h9i',
  },
  target: { id: SNAPSHOT_A, createdAt: '2026-11-21T23:00:00Z', sizeGiB: 40 },
  instance: { id: INSTANCE, name: 'shop-db-1', osName: 'Debian 12', wasRunning: true },
  paths: ['/data/uploads'],
  findings: [],
  steps: ['plan', 'stopInstance', 'takeSafetySnapshot', 'gate', 'resetDisk'],
  observedAt: '2026-11-22T03:00:00Z',
  hash: 'a'.repeat(64),
  ...over,
});

export const sampleSteps: readonly Step[] = [
  {
    id: 'stopInstance',
    title: 'Stop the instance',
    state: 'done',
    startedAt: '2026-11-22T03:00:00Z',
    endedAt: '2026-11-22T03:00:31Z',
  },
  {
    id: 'takeSafetySnapshot',
    number: 1,
    title: 'Take snapshot B',
    state: 'running',
    startedAt: '2026-11-22T03:00:31Z',
    detail: '37 %',
  },
  { id: 'resetDisk', number: 2, title: 'Reset the disk to snapshot A', state: 'pending' },
];

export const sampleStatus = (over: Partial<RunStatus> = {}): RunStatus => ({
  kind: 'rollback',
  phase: 'snapshotting',
  headline: 'Taking snapshot B',
  regionId: 'cn-hangzhou',
  diskId: DISK,
  snapshotId: SNAPSHOT_A,
  steps: sampleSteps,
  resetHappened: 'no',
  cancelPreview: 'Start the instance again and end the run.',
  approvals: [],
  ledger: [],
  findings: [],
  ...over,
});

export const sampleResult = (over: Partial<RollbackResult> = {}): RollbackResult => ({
  outcome: 'completed',
  summary: 'The disk is back at snapshot A.',
  plan: samplePlan(),
  safetySnapshotId: SNAPSHOT_B,
  steps: [{ ...(sampleSteps[2] as Step), state: 'done' }],
  ledger: [{ kind: 'snapshot', id: SNAPSHOT_B, purpose: 'safety-snapshot', state: 'kept' }],
  leftovers: [],
  ...over,
});

export const sampleReport = (over: Partial<FailureReport> = {}): FailureReport => ({
  summary: 'it failed',
  resetHappened: 'no',
  steps: [],
  ledger: [],
  leftovers: [],
  ...over,
});

export const sampleView = (over: Partial<RunView> = {}): RunView => ({
  workflowId: `rollback-${DISK}`,
  runId: 'run-1',
  kind: 'rollback',
  execution: 'running',
  diskId: DISK,
  regionId: 'cn-hangzhou',
  startedAt: '2026-11-22T03:00:00Z',
  ...over,
});

export const endedView = (over: Partial<RunView>): RunView =>
  sampleView({ execution: 'completed', closedAt: '2026-11-22T03:05:00Z', ...over });

export function handleOf(views: readonly RunView[], over: Partial<RunHandle> = {}): RunHandle & { cancelled: number } {
  let at = 0;
  const handle = {
    workflowId: views[0]?.workflowId ?? '',
    runId: 'run-1',
    alreadyRunning: false,
    cancelled: 0,
    view: () => {
      const seen = views[Math.min(at, views.length - 1)];
      at += 1;
      return seen === undefined ? Promise.reject(new Error('no view')) : Promise.resolve(seen);
    },
    result: () => Promise.reject(new Error('not used by the starter')),
    status: () => Promise.reject(new Error('not used by the starter')),
    cancel: () => {
      handle.cancelled += 1;
      return Promise.resolve();
    },
    ...over,
  };
  return handle;
}

/** A process to run commands in: streams that remember, an environment of its own. */
export function sampleWorld(over: { env?: Record<string, string>; tty?: boolean } = {}) {
  const written = { stdout: '', stderr: '' };
  const stdin = Object.assign(new PassThrough(), { isTTY: over.tty === true });
  const stream = (name: 'stdout' | 'stderr') =>
    Object.assign(new PassThrough(), {
      isTTY: over.tty === true,
      columns: 200,
      rows: 50,
    }).on('data', (chunk: Buffer) => {
      written[name] += chunk.toString();
    });
  const world = {
    env: { LANG: 'C.UTF-8', NO_COLOR: '1', CI: '1', ...over.env },
    platform: 'linux',
    stdin,
    stdout: stream('stdout'),
    stderr: stream('stderr'),
    self: 'ecs-rollback',
    user: USER,
    now: () => NOW,
    pollMs: 5,
  };
  return { world: world satisfies Surroundings, written, stdin };
}

/** What is typed, for texts that name commands. */
export const typed = (words: string): string => `ecs-rollback ${words}`;

export const plain = (env: Record<string, string> = { LANG: 'C.UTF-8' }): Style => {
  const { world } = sampleWorld({ env });
  return styleFor(world.stdout, world, false);
};
