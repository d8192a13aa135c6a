/**
 * Every call of the story that changes something, and everything that can come back instead of its answer: each error code
 * that the documents name, a lost answer, a broken one, a refused connection. What passes is tried again and does its effect
 * once; what stays puts things back before the reset, and after it asks somebody or follows the policy.
 *
 * What does not end a run can meet all of its calls: one run has one trouble that passes at each call, another some that stay
 * at each call after the reset, with somebody who says each time: try again.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { CallRecord, FaultRule } from '../../simulator/state/model.ts';
import type { RollbackClient, RunHandle } from '../../src/client.ts';
import { rollbackWorkflowId, undoWorkflowId } from '../../src/contract/ids.ts';
import type { Decision } from '../../src/contract/operator.ts';
import type { FailurePolicy, RollbackRequest } from '../../src/contract/rollback.ts';
import { type Evidence, violations } from '../support/invariants.ts';
import { type Answer, type Asked, type Desk, openDesk } from './desk.ts';
import { COMMON_CODES, DOCUMENTED_CODES, type DocumentedCode, type MutatingAction } from './documented-codes.ts';
import { type Beginning, beginning, type Ended, endOf, gatherAll, inParallel, type Said } from './evidence.ts';
import { type FaultStage, openFaultStage, type Tenant } from './stage.ts';

const ACTIONS = Object.keys(DOCUMENTED_CODES) as MutatingAction[];
/** Runs under way at a time. */
const WIDTH = 40;

type Trouble = Pick<FaultRule, 'error' | 'afterEffect' | 'answer'>;
interface Passing {
  readonly name: string;
  readonly trouble: Partial<Trouble>;
}

const answered = ({ code, status }: DocumentedCode, afterEffect = false): Passing => ({
  name: `${code} (${status})${afterEffect ? ', although it took effect' : ''}`,
  trouble: { error: { code, status, message: `${code}, said by a fault.` }, afterEffect },
});

/** What each call must outlast, by call. */
const PASSING = Object.fromEntries(
  ACTIONS.map((action): [MutatingAction, Passing[]] => {
    const documented = [...DOCUMENTED_CODES[action], ...COMMON_CODES];
    const unlike = documented.filter(
      ({ code, status }, index) =>
        documented.findIndex((other) => other.code === code && other.status === status) === index,
    );
    return [
      action,
      [
        { name: 'its answer lost', trouble: { answer: 'lost' } },
        { name: 'its answer broken', trouble: { answer: 'garbage' } },
        { name: 'its connection refused', trouble: { answer: 'refused' } },
        answered({ code: 'InternalError', status: 500, class: 'passes' }, true),
        ...unlike.filter((each) => each.class === 'passes').map((each) => answered(each)),
        ...unlike.filter((each) => each.class === 'reached').map((each) => answered(each, true)),
      ],
    ];
  }),
) as Record<MutatingAction, Passing[]>;
const ROUNDS = Math.max(...ACTIONS.map((action) => PASSING[action].length));

const SCRIPTS = [
  'guest-ready',
  'find-device',
  'mount',
  'copy-start',
  'verify-start',
  'unmount',
  'original-in-place',
] as const;
const scriptOf = (nth: number): string => SCRIPTS[nth % SCRIPTS.length] ?? 'mount';
const AFTER_RESET = ['StartInstance', 'CreateDisk', 'AttachDisk', 'RunCommand', 'DetachDisk', 'DeleteDisk'] as const;
const isAfterReset = (action: MutatingAction): boolean => (AFTER_RESET as readonly string[]).includes(action);

/** Of what each call is refused for good; the common codes are shared out among the calls. */
const REFUSING = Object.fromEntries(
  ACTIONS.map((action, nth): [MutatingAction, DocumentedCode[]] => {
    const own = DOCUMENTED_CODES[action].filter((each) => each.class === 'stays');
    const common = COMMON_CODES.filter((each) => each.class === 'stays');
    return [action, [...own, ...common.filter((_, index) => index % ACTIONS.length === nth)]];
  }),
) as Record<MutatingAction, DocumentedCode[]>;

/** One call refused once, and what is decided then. */
interface Staying {
  readonly action: MutatingAction;
  readonly code: DocumentedCode;
  readonly policy: 'ask, abort' | 'ask, undo' | 'abort' | 'undo';
  readonly script: string;
}
const STAYING: readonly Staying[] = ACTIONS.flatMap((action): Staying[] => {
  const [first] = REFUSING[action];
  if (!isAfterReset(action)) {
    return REFUSING[action].map((code) => ({ action, code, policy: 'abort', script: '' }));
  }
  const policies = (['ask, abort', 'abort', 'undo', 'ask, undo'] as const).filter(
    (policy) => !(policy.endsWith('undo') && ['DetachDisk', 'DeleteDisk'].includes(action)),
  );
  return (action === 'RunCommand' ? SCRIPTS : ['']).flatMap((script, nth) =>
    policies
      .filter((policy) => nth === 0 || policy === 'ask, abort')
      .flatMap((policy): Staying[] => (first === undefined ? [] : [{ action, code: first, policy, script }])),
  );
});

/** So many refusals of each call, one after the other, does one run meet that is always told to try again. */
const REFUSALS = 4;
const PATIENT = Math.ceil(Math.max(...AFTER_RESET.map((action) => REFUSING[action].length)) / REFUSALS);
const refusalsOf = (action: MutatingAction, nth: number): readonly DocumentedCode[] =>
  REFUSING[action].slice(nth * REFUSALS, (nth + 1) * REFUSALS);

/** Which calls a fault meets, beside those of the plan's dry runs: of two snapshots B, of many scripts one. */
function matching(action: MutatingAction, { dataDiskId }: Tenant, script: string): Record<string, string> {
  if (action === 'CreateSnapshot') return { SnapshotName: `rollback-B-${dataDiskId}` };
  if (action === 'RunCommand') return { Name: `ecs-rollback-${script}` };
  return ['StopInstance', 'StartInstance', 'ResetDisk'].includes(action) ? { DryRun: '' } : {};
}
/** The step that asks when this call is refused for good, which also ends the run there when nobody is asked. */
function stepOf({ action, script }: Pick<Staying, 'action' | 'script'>): Asked['step'] {
  const steps: Partial<Record<string, Asked['step']>> = {
    StartInstance: 'startInstance',
    CreateDisk: 'createRecoveryDisk',
    AttachDisk: 'attachRecoveryDisk',
    DetachDisk: 'releaseRecoveryDisk',
    DeleteDisk: 'releaseRecoveryDisk',
    'guest-ready': 'startInstance',
    'find-device': 'connect',
    mount: 'mountRecoveryDisk',
    'copy-start': 'copyBack',
    'verify-start': 'copyBack',
    unmount: 'releaseRecoveryDisk',
    'original-in-place': 'releaseRecoveryDisk',
  };
  return steps[action === 'RunCommand' ? script : action] ?? '';
}

/** How a run ends whose call is refused for good. */
function endingOf(staying: Staying): string {
  const { action, policy } = staying;
  if (action === 'DeleteSnapshot') return 'completed-with-leftovers';
  if (!isAfterReset(action)) return 'FailedBeforeReset';
  if (policy === 'undo' || policy === 'ask, undo') return 'undone';
  const step = stepOf(staying);
  if (step === 'startInstance') return 'FailedAfterReset';
  return step === 'releaseRecoveryDisk' ? 'completed-with-leftovers' : 'rolled-back-not-synced';
}

interface Told extends Ended {
  readonly asked: readonly Asked[];
}

let stage: FaultStage;
let client: RollbackClient;
let desk: Desk;
const rounds: Told[] = [];
const refused: Told[] = [];
const patient: Told[] = [];
const children = new Map<Told, Told>();
let evidence: Map<Ended, Evidence>;

beforeAll(async () => {
  stage = await openFaultStage({ dataPlane: 'none', speed: 1000 });
  // Those that take longest first.
  const names = [
    ...Array.from({ length: PATIENT }, (_, n) => `patient-${n}`),
    ...Array.from({ length: ROUNDS }, (_, n) => `round-${n}`),
    ...STAYING.map((_, n) => `refused-${n}`),
  ];
  const tenants = await inParallel(16, names, (name) => stage.tenant(name));
  const began: Beginning = await beginning(stage);
  await stage.startWorker('faults');
  client = await stage.client('faults');
  desk = openDesk(stage, client);

  const jobs = tenants.map((tenant, index) => async (): Promise<void> => {
    const staying = STAYING[index - ROUNDS - PATIENT];
    if (staying !== undefined) refused[index - ROUNDS - PATIENT] = await playRefusal(tenant, staying);
    else if (index < PATIENT) patient[index] = await playPatience(tenant, index);
    else rounds[index - PATIENT] = await playRound(tenant, index - PATIENT);
  });
  await inParallel(WIDTH, jobs, (job) => job());
  await inParallel(8, refused, async (run) => {
    if (run.said.undo !== undefined) children.set(run, await undoOf(run));
  });
  const all = [...rounds, ...patient, ...refused, ...children.values()];
  const { gathered, strays } = await gatherAll(stage, began, all);
  evidence = new Map(gathered.map((each) => [each.run, each.evidence]));
  expect(strays).toEqual([]);
}, 600_000);

afterAll(async () => {
  await desk?.close();
  await stage?.close();
});

type Wishes = Omit<RollbackRequest, 'regionId' | 'diskId' | 'snapshotId'>;
const BRING_BACK: Wishes = { sync: { paths: ['/data/uploads'] } };
/** The request with the least in it that leads to this call. */
function wishesFor(action: MutatingAction): Wishes {
  if (action === 'LockSnapshot') return { lockSafetySnapshotDays: 1 };
  if (action === 'DeleteSnapshot') return { snapshotMode: 'warm' };
  return isAfterReset(action) ? BRING_BACK : {};
}

async function play(
  tenant: Tenant,
  wishes: Wishes,
  rules: ReadonlyArray<Partial<FaultRule> & { action: string }>,
  answer: Answer,
  during: (handle: RunHandle) => Promise<void> = async () => {},
): Promise<{ said: Said; runId: string; workflowId: string }> {
  const { dataDiskId: diskId, snapshotA: snapshotId, instanceId: about } = tenant;
  const set = await Promise.all(rules.map((rule) => stage.fault({ about, ...rule })));
  desk.sit(rollbackWorkflowId(diskId), answer);
  const handle = await client.start({ regionId: stage.regionId, diskId, snapshotId, ...wishes });
  const [said] = await Promise.all([endOf(client, handle), during(handle)]);
  await Promise.all(set.map((rule) => stage.liftFault(rule)));
  return { said, runId: handle.runId, workflowId: handle.workflowId };
}

/** One trouble at each call that changes something. */
async function playRound(tenant: Tenant, round: number): Promise<Told> {
  const script = scriptOf(round);
  const troubles = ACTIONS.flatMap((action) => {
    const trouble = PASSING[action][round]?.trouble;
    return trouble === undefined ? [] : [{ action, match: matching(action, tenant, script), ...trouble }];
  });
  // A real reset takes longer than it takes us to look for it; here it must be made to.
  await stage.control('POST', 'holds', { resourceId: tenant.dataDiskId });
  const untilSeen = async ({ workflowId }: RunHandle): Promise<void> => {
    const run = stage.temporal.workflow.getHandle(workflowId);
    for (;;) {
      const { raw, status } = await run.describe();
      const waits = raw.pendingActivities?.some(({ activityType }) => activityType?.name === 'awaitResetEnded');
      if (waits === true || status.name !== 'RUNNING') break;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    await stage.control('DELETE', `holds/${tenant.dataDiskId}`);
  };
  const played = await play(
    tenant,
    { ...BRING_BACK, snapshotMode: 'warm', lockSafetySnapshotDays: 1 },
    troubles,
    () => 'abort',
    untilSeen,
  );
  const injected = troubles.flatMap(({ error }) => error?.code ?? []);
  return {
    ...played,
    tenant,
    snapshotId: tenant.snapshotA,
    resets: 1,
    power: 'Running',
    mode: 'warm',
    injected,
    asked: desk.asked(played.workflowId),
  };
}

/** Each call after the reset refused several times, and somebody who always says: try again. */
async function playPatience(tenant: Tenant, nth: number): Promise<Told> {
  const script = scriptOf(nth);
  const troubles = AFTER_RESET.flatMap((action) =>
    refusalsOf(action, nth).map(({ code, status }, skip) => ({
      action,
      match: matching(action, tenant, script),
      skip,
      error: { code, status, message: `${code}, said by a fault.` },
    })),
  );
  const played = await play(tenant, BRING_BACK, troubles, () => 'retry');
  return {
    ...played,
    tenant,
    snapshotId: tenant.snapshotA,
    resets: 1,
    power: 'Running',
    injected: troubles.map(({ error }) => error.code),
    asked: desk.asked(played.workflowId),
  };
}

async function playRefusal(tenant: Tenant, staying: Staying): Promise<Told> {
  const { action, code, policy, script } = staying;
  const [onFailureAfterReset, answer = 'abort'] = policy.split(', ') as [FailurePolicy, Decision?];
  const error = { code: code.code, status: code.status, message: `${code.code}, said by a fault.` };
  const played = await play(
    tenant,
    { ...wishesFor(action), onFailureAfterReset },
    [{ action, match: matching(action, tenant, script), error }],
    () => answer,
  );
  const ending = endingOf(staying);
  return {
    ...played,
    tenant,
    snapshotId: tenant.snapshotA,
    resets: ending === 'FailedBeforeReset' ? 0 : 1,
    power: ending === 'FailedAfterReset' && action === 'StartInstance' ? 'Stopped' : 'Running',
    ...(action === 'DeleteSnapshot' ? { mode: 'warm' } : {}),
    injected: [code.code],
    asked: desk.asked(played.workflowId),
  };
}

/** The rollback onto B that a run has started and waited for. */
async function undoOf({ tenant, said, workflowId }: Told): Promise<Told> {
  const handle = await client.attach(undoWorkflowId(workflowId));
  const b = said.ledger.find(({ purpose }) => purpose === 'safety-snapshot')?.id ?? '';
  const ofUndo = { tenant, workflowId: handle.workflowId, runId: handle.runId, snapshotId: b };
  return { ...ofUndo, said: await endOf(client, handle), resets: 1, power: 'Running', asked: [] };
}

const callsOf = (run: Ended, action: MutatingAction, script: string): readonly CallRecord[] => {
  const match = matching(action, run.tenant, script);
  return (evidence.get(run)?.calls ?? []).filter(
    (call) =>
      call.action === action && Object.entries(match).every(([name, value]) => (call.parameters[name] ?? '') === value),
  );
};
const breachesOf = (run: Ended): string[] => violations(evidence.get(run) as Evidence);

describe('goes on, and does each effect once, when', () => {
  const cases = ACTIONS.flatMap((action) =>
    PASSING[action].map(({ name, trouble }, round) => ({ action, name: `${action} meets ${name}`, trouble, round })),
  );
  for (const { action, name, trouble, round } of cases)
    it(name, () => {
      const run = rounds[round] as Told;
      const calls = callsOf(run, action, scriptOf(round));
      const [first] = calls;
      // The trouble was met, and it was the first thing that came back.
      if (trouble.error === undefined) expect(first?.answered).toBe(trouble.answer === 'garbage');
      else expect(first?.code).toBe('injected');
      expect(calls.filter(({ tookEffect }) => tookEffect)).toHaveLength(1);
      expect(run.said.steps.filter(({ state }) => state === 'failed')).toEqual([]);
    });

  for (let round = 0; round < ROUNDS; round += 1)
    it(`each call meets its trouble ${round}`, () => {
      const run = rounds[round] as Told;
      expect(run.said, run.said.summary).toMatchObject({ ending: 'completed', leftovers: [] });
      expect(run.asked).toEqual([]);
      expect(breachesOf(run)).toEqual([]);
    });
});

describe('asks, and does its effect once when told to try again, each time that', () => {
  for (let nth = 0; nth < PATIENT; nth += 1) {
    for (const action of AFTER_RESET) {
      for (const [index, { code }] of refusalsOf(action, nth).entries()) {
        const script = scriptOf(nth);
        it(`${action}${action === 'RunCommand' ? ` of ${script}` : ''} is answered ${code}`, () => {
          const run = patient[nth] as Told;
          const calls = callsOf(run, action, script);
          expect(calls[index]).toMatchObject({ code: 'injected', tookEffect: false });
          expect(calls.filter(({ tookEffect }) => tookEffect)).toHaveLength(1);
          const asked = run.asked.filter(({ problem }) => problem.includes(code));
          expect(asked.map(({ step }) => step)).toContain(stepOf({ action, script }));
        });
      }
    }
    it(`each call is refused, set ${nth}`, () => {
      const run = patient[nth] as Told;
      expect(run.said, run.said.summary).toMatchObject({ ending: 'completed', leftovers: [] });
      // Once for each refusal: none is tried again by itself.
      expect(run.asked).toHaveLength(AFTER_RESET.flatMap((action) => refusalsOf(action, nth)).length);
      expect(breachesOf(run)).toEqual([]);
    });
  }
});

describe('ends as the policy says when', () => {
  const cases = STAYING.map((staying, index) => {
    const { action, script, code, policy } = staying;
    const call = action === 'RunCommand' ? `RunCommand of ${script}` : action;
    const after = isAfterReset(action) ? `, ${policy}` : '';
    return { ...staying, index, name: `${call} is answered ${code.code}${after}` };
  });
  for (const { index, name, ...staying } of cases)
    it(name, () => {
      const { action, policy, script } = staying;
      const run = refused[index] as Told;
      const ending = endingOf(staying);
      expect(run.said.ending, run.said.summary).toBe(ending);
      expect(callsOf(run, action, script)[0]).toMatchObject({ code: 'injected', tookEffect: false });
      expect(run.said.resetHappened).toBe(ending === 'FailedBeforeReset' ? 'no' : 'yes');
      // Refused for good is said once: the same call is not made again.
      if (ending !== 'undone') expect(callsOf(run, action, script)).toHaveLength(1);
      if (ending === 'undone') expect(run.said.leftovers).toEqual([]);
      else expect(run.said.summary + run.said.leftovers.join()).toContain(staying.code.code);

      const asks = isAfterReset(action) && policy.startsWith('ask');
      expect(run.asked.map(({ step }) => step)).toEqual(asks ? [stepOf(staying)] : []);
      for (const { problem } of run.asked) expect(problem).toContain(staying.code.code);
      expect(breachesOf(run)).toEqual([]);
      const child = children.get(run);
      if (child !== undefined) expect(breachesOf(child)).toEqual([]);
    });
});
