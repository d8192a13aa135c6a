/**
 * The state of one run and its window to the outside: the `status` query, the current details, the phase search attribute,
 * the steps and the ledger. It decides nothing; the plot is in `rollback-disk.ts` and `sync-from-snapshot.ts`.
 */
import { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
import {
  ApplicationFailure,
  createEventGroup,
  defineQuery,
  defineSignal,
  isCancellation,
  log,
  setCurrentDetails,
  setHandler,
  TemporalFailure,
  upsertSearchAttributes,
  workflowInfo,
} from '@temporalio/workflow';
import type { BootRef } from '../activities/guest.ts';
import type { HookReport } from '../contract/hooks.ts';
import type { Purpose } from '../contract/ids.ts';
import {
  CANCEL_PREVIEW_QUERY,
  COPY_PROGRESS_SIGNAL,
  FAILURE,
  SEARCH_ATTRIBUTES,
  STATUS_QUERY,
} from '../contract/messages.ts';
import type { WaitingFor } from '../contract/operator.ts';
import {
  type Chosen,
  type CopyProgress,
  type CopyReceipt,
  type FailureReport,
  type GateEvidence,
  type LedgerEntry,
  type OpenFiles,
  type Outcome,
  pathsInWords,
  type Phase,
  type PlanFinding,
  type RollbackInput,
  type RollbackPlan,
  type RollbackResult,
  type RunStatus,
  STEP_TITLES,
  type Step,
  type StepId,
  type SyncInput,
} from '../contract/rollback.ts';
import { cancelPreview } from '../domain/cancel-preview.ts';
import { blockersOf } from '../domain/plan/index.ts';
import { currentDetails } from '../domain/run-report.ts';
import { startsAfterReset } from '../domain/steps.ts';
import { failureText } from './failure-text.ts';
import { Operator } from './operator.ts';

export const statusQuery = defineQuery<RunStatus>(STATUS_QUERY);
const copyProgressSignal = defineSignal<[CopyProgress]>(COPY_PROGRESS_SIGNAL);
export const cancelPreviewQuery = defineQuery<string>(CANCEL_PREVIEW_QUERY);

const phaseKey = defineSearchAttributeKey(SEARCH_ATTRIBUTES.phase, SearchAttributeType.KEYWORD);
const instanceKey = defineSearchAttributeKey(SEARCH_ATTRIBUTES.instance, SearchAttributeType.KEYWORD);

const PHASE_OF: Record<StepId, Phase> = {
  plan: 'planning',
  takeWarmUpSnapshot: 'snapshotting',
  stopInstance: 'stopping',
  takeSafetySnapshot: 'snapshotting',
  gate: 'gate',
  resetDisk: 'resetting',
  restoreDiskSize: 'resetting',
  startInstance: 'starting',
  growFileSystems: 'starting',
  createRecoveryDisk: 'attaching',
  attachRecoveryDisk: 'attaching',
  connect: 'attaching',
  mountRecoveryDisk: 'mounting',
  copyBack: 'copying',
  releaseRecoveryDisk: 'releasing',
};

const PHASE_WHILE_WAITING: Record<WaitingFor['kind'], Phase> = {
  approval: 'awaiting-approval',
  selection: 'awaiting-selection',
  lease: 'waiting-for-lease',
  operator: 'needs-operator',
  pause: 'paused',
};

const KIND_OF: Record<Purpose, LedgerEntry['kind']> = {
  'safety-snapshot': 'snapshot',
  'warm-up-snapshot': 'snapshot',
  'recovery-disk': 'disk',
};

/** Options that show what an activity is for in the UI's timeline, with the number of its step. */
export type Summary = (text: string) => { summary: string };

const now = () => new Date().toISOString();

export class Run {
  readonly kind: 'rollback' | 'sync';
  readonly input: RollbackInput | SyncInput;
  /** The workflow's original run id, the same after `temporal workflow reset`: all that the run makes is named after it. */
  readonly id: string;
  readonly runId: string;
  readonly workflowId: string;
  /** Milliseconds since 1970, workflow time. */
  readonly startedAt = Date.now();

  plan: RollbackPlan | undefined;
  resetHappened: 'no' | 'maybe' | 'yes' = 'no';
  stoppedByUs = false;
  safetySnapshotId: string | undefined;
  safetySnapshotSizeGiB = 0;
  recoveryDiskId: string | undefined;
  recoverySerial: string | undefined;
  /** A reboot may have mounted it elsewhere than the run does: to be looked at before it is detached. */
  recoveryDiskMayBeInUse = false;
  gate: GateEvidence | undefined;
  receipt: CopyReceipt | undefined;
  chosen: Chosen | undefined;
  /** Digest of what somebody has said may be deleted. */
  deletionsSeen: string | undefined;
  /** The first boot after the reset, as the guest tells it: what is live and was not written since is A. */
  base: BootRef | undefined;
  undo: RollbackResult['undo'];
  readonly operator: Operator;

  #phase: Phase = 'planning';
  #shownPhase: Phase = 'planning';
  #waitingFor: WaitingFor | undefined;
  #headline = 'Checking the plan';
  #finished = false;
  #steps: Step[] = [];
  #ledger: LedgerEntry[] = [];
  #leftovers: string[] = [];
  readonly #found: PlanFinding[] = [];
  #copy: CopyProgress | undefined;
  readonly #hooks: HookReport[] = [];
  #hookAttempts = 0;

  constructor(kind: 'rollback' | 'sync', input: RollbackInput | SyncInput) {
    const { workflowId, runId, originalExecutionRunId } = workflowInfo();
    this.kind = kind;
    this.input = input;
    this.id = originalExecutionRunId;
    this.runId = runId;
    this.workflowId = workflowId;
    this.#steps = STEP_TITLES.filter(({ id }) => id === 'plan').map((step) => ({ ...step, state: 'pending' }));
    setHandler(statusQuery, () => this.status(), {
      description: 'Where the run stands, and what a cancel would do now',
    });
    setHandler(cancelPreviewQuery, () => this.status().cancelPreview, {
      description: 'What a cancel would do now, in one sentence',
    });
    setHandler(
      copyProgressSignal,
      (progress) => {
        this.#copy = progress;
        this.#show();
      },
      { description: 'How far the copy is, from the activity that waits for it' },
    );
    this.operator = new Operator({
      status: () => this.status(),
      changed: () => this.#show(),
      isOver: () => this.#finished,
    });
    this.#show();
  }

  get identity() {
    return { run: this.id, workflowId: this.workflowId };
  }

  /** The first step; what the plan activity could not read at all ends the run here. */
  async checkPlan(look: (summary: Summary) => Promise<RollbackPlan>): Promise<RollbackPlan> {
    try {
      const plan = await this.beforeAnyChange(() =>
        this.step('plan', look, (seen) => {
          const blockers = blockersOf(seen).length;
          return blockers === 0 ? 'no blockers' : `${blockers} blocker${blockers === 1 ? '' : 's'}`;
        }),
      );
      this.#adopt(plan);
      return plan;
    } catch (error) {
      if (!isExpected(error) || isCancellation(error)) throw error;
      throw this.failed(
        FAILURE.failedBeforeReset,
        `Nothing was changed: ${failureText(error).message}`,
        'failed',
        error,
      );
    }
  }

  /** Waits for others while nothing has been changed yet: a cancel simply ends the run. */
  async beforeAnyChange<T>(body: () => Promise<T>): Promise<T> {
    try {
      return await body();
    } catch (error) {
      if (isCancellation(error)) this.cancelled('Cancelled: nothing was changed.');
      throw error;
    }
  }

  /** The plan decides which steps there are; those that stay out are not shown. */
  #adopt(plan: RollbackPlan): void {
    this.plan = plan;
    const before = new Map(this.#steps.map((step) => [step.id, step]));
    this.#steps = plan.steps.flatMap((id) => {
      const titled = STEP_TITLES.find((step) => step.id === id);
      return before.get(id) ?? (titled === undefined ? [] : { ...titled, state: 'pending' });
    });
    if (plan.instance !== undefined) upsertSearchAttributes([{ key: instanceKey, value: plan.instance.id }]);
    this.#show();
  }

  /**
   * Runs one step: its start, end and outcome are what query, details and result show, and all its events are one group
   * in the UI. `detail` turns the result into the line shown beside it.
   */
  async step<T>(id: StepId, body: (summary: Summary) => Promise<T>, detail?: (result: T) => string): Promise<T> {
    const { title, number } = STEP_TITLES.find((step) => step.id === id) ?? { title: id };
    await this.operator.safePoint();
    this.#begin(id);
    this.enter(PHASE_OF[id], title);
    try {
      const label = number === undefined ? title : `Step ${number} of 8: ${title}`;
      const summary: Summary = (text) => ({ summary: number === undefined ? text : `Step ${number}/8: ${text}` });
      const result = await createEventGroup(label, { id }).withScope(() => body(summary));
      this.#change(id, { state: 'done', endedAt: now(), ...(detail === undefined ? {} : { detail: detail(result) }) });
      this.#show();
      return result;
    } catch (error) {
      this.#change(id, { state: 'failed', endedAt: now(), detail: failureText(error).message });
      this.#show();
      throw error;
    }
  }

  enter(phase: Phase, headline: string): void {
    this.#headline = headline;
    this.#phase = phase;
    this.#show();
  }

  /** Waits for another run; status, details and phase say so meanwhile. */
  async whileWaiting<T>(waitingFor: WaitingFor, body: () => Promise<T>): Promise<T> {
    this.#waitingFor = waitingFor;
    this.#show();
    try {
      return await body();
    } finally {
      this.#waitingFor = undefined;
      this.#show();
    }
  }

  /** Written before the thing is made, and again with the id that the cloud gave, and with what became of it. */
  record(purpose: Purpose, state: LedgerEntry['state'], more: { id?: string; note?: string } = {}): void {
    const before = this.#ledger.find((entry) => entry.purpose === purpose);
    const id = more.id ?? before?.id;
    const entry: LedgerEntry = {
      kind: KIND_OF[purpose],
      ...(id === undefined ? {} : { id }),
      purpose,
      state,
      ...(more.note === undefined ? {} : { note: more.note }),
    };
    this.#ledger =
      before === undefined ? [...this.#ledger, entry] : this.#ledger.map((e) => (e === before ? entry : e));
    this.#show();
  }

  /** What the ledger says of the one thing the run makes for this purpose. */
  made(purpose: Purpose): LedgerEntry | undefined {
    return this.#ledger.find((entry) => entry.purpose === purpose);
  }

  chose(chosen: Chosen): void {
    this.chosen = chosen;
    this.#show();
  }

  /** What was or will be brought back, in words. */
  get broughtBack(): string {
    return pathsInWords(this.chosen ?? this.input.sync ?? { paths: [] });
  }

  skipped(id: StepId, detail: string): void {
    this.#change(id, { state: 'skipped', detail });
    this.#show();
  }

  /** Numbers every start of a hook: each is started once, whatever is tried again. */
  nextHookAttempt(): number {
    this.#hookAttempts += 1;
    return this.#hookAttempts;
  }

  hookEnded(report: HookReport): void {
    this.#hooks.push(report);
  }

  /** Said once, however often the copy is started. */
  sawOpenFiles(open: OpenFiles | undefined): void {
    if (open === undefined || this.#found.some(({ code }) => code === 'OpenFiles')) return;
    this.#found.push({
      severity: 'warning',
      code: 'OpenFiles',
      field: 'hooks',
      fact: `${open.files} of the live files were open for writing by ${open.processes} when the copy began, such as ${open.paths.join(', ')}`,
      remedy:
        'what it writes may not go with what was brought back: let a hook at beforeCopy stop it, and one at afterCopy start it',
    });
    this.#show();
  }

  leaveOver(what: string): void {
    this.#leftovers.push(what);
  }

  get leftovers(): readonly string[] {
    return this.#leftovers;
  }

  end(outcome: Outcome, summary: string): RollbackResult {
    this.#finish(outcome, summary);
    if (this.plan === undefined) throw new Error('a run cannot end well without a plan');
    return {
      outcome,
      summary,
      plan: this.plan,
      ...(this.safetySnapshotId === undefined ? {} : { safetySnapshotId: this.safetySnapshotId }),
      ...(this.recoveryDiskId === undefined ? {} : { recoveryDiskId: this.recoveryDiskId }),
      ...(this.gate === undefined ? {} : { gate: this.gate }),
      ...(this.receipt === undefined ? {} : { receipt: this.receipt }),
      ...(this.chosen === undefined ? {} : { chosen: this.chosen }),
      ...(this.#hooks.length === 0 ? {} : { hooks: this.#hooks }),
      ...(this.operator.approvals.length === 0 ? {} : { approvals: this.operator.approvals }),
      ...(this.undo === undefined ? {} : { undo: this.undo }),
      steps: this.#steps,
      ledger: this.#ledger,
      leftovers: this.#leftovers,
    };
  }

  cancelled(summary: string): void {
    this.#finish('cancelled', summary);
  }

  refused(plan: RollbackPlan): ApplicationFailure {
    const facts = blockersOf(plan).map((finding) => finding.fact);
    return this.failed(FAILURE.refused, `Refused, nothing was changed: ${facts.join('; ')}`, 'refused');
  }

  failed(type: string, summary: string, phase: 'refused' | 'failed' = 'failed', cause?: unknown): ApplicationFailure {
    this.#finish(phase, summary);
    const kind = cause === undefined ? undefined : failureText(cause).kind;
    const report: FailureReport = {
      summary,
      ...(kind === undefined ? {} : { failureKind: kind }),
      ...(this.plan === undefined ? {} : { plan: this.plan }),
      resetHappened: this.resetHappened,
      steps: this.#steps,
      ledger: this.#ledger,
      leftovers: this.#leftovers,
    };
    return ApplicationFailure.create({ message: summary, type, nonRetryable: true, details: [report] });
  }

  status(): RunStatus {
    const instanceId = this.plan?.instance?.id ?? this.input.instanceId;
    const waitingFor = this.#finished ? undefined : (this.operator.waitingFor ?? this.#waitingFor);
    return {
      kind: this.kind,
      phase: waitingFor === undefined ? this.#phase : PHASE_WHILE_WAITING[waitingFor.kind],
      headline: waitingFor === undefined ? this.#headline : headlineWhileWaiting(waitingFor),
      regionId: this.input.regionId,
      diskId: this.input.diskId,
      snapshotId: this.input.snapshotId,
      ...(instanceId === undefined ? {} : { instanceId }),
      steps: this.#steps,
      resetHappened: this.resetHappened,
      cancelPreview: cancelPreview({
        kind: this.kind,
        finished: this.#finished,
        changedAnything: this.stoppedByUs || this.#ledger.length > 0 || this.#isRunning('stopInstance'),
        resetHappened: this.resetHappened,
        stoppedByUs: this.stoppedByUs,
        startsAfterReset:
          'powerAfter' in this.input &&
          startsAfterReset(this.input.powerAfter, this.plan?.instance?.wasRunning ?? false),
        safetySnapshotId: this.safetySnapshotId,
        recoveryDiskMayExist: this.recoveryDiskId !== undefined || this.#isRunning('createRecoveryDisk'),
        undoRun: this.#phase === 'undoing' ? this.undo?.workflowId : undefined,
      }),
      ...(waitingFor === undefined ? {} : { waitingFor }),
      ...(this.operator.pauseAhead && !this.#finished ? { pauseAhead: true } : {}),
      ...(this.plan === undefined ? {} : { planHash: this.plan.hash }),
      approvals: this.operator.approvals,
      ...(this.safetySnapshotId === undefined ? {} : { safetySnapshotId: this.safetySnapshotId }),
      ...(this.recoveryDiskId === undefined ? {} : { recoveryDiskId: this.recoveryDiskId }),
      ...(this.receipt === undefined ? {} : { receipt: this.receipt }),
      ledger: this.#ledger,
      findings: [...(this.plan?.findings ?? []), ...this.#found],
      ...(this.input.sync?.throttle === undefined ? {} : { throttle: this.input.sync.throttle }),
      ...(this.#copy === undefined || !this.#isRunning('copyBack') ? {} : { copy: this.#copy }),
    };
  }

  hasBegun(id: StepId): boolean {
    return this.#steps.some((step) => step.id === id && step.startedAt !== undefined);
  }

  #isRunning(id: StepId): boolean {
    return this.#steps.some((step) => step.id === id && step.state === 'running');
  }

  /** Without what an earlier try of the step has said. */
  #begin(id: StepId): void {
    this.#steps = this.#steps.map((step) => {
      const { endedAt: _, detail: __, ...rest } = step;
      return step.id === id ? { ...rest, state: 'running', startedAt: now() } : step;
    });
  }

  #change(id: StepId, change: Partial<Step>): void {
    this.#steps = this.#steps.map((step) => (step.id === id ? { ...step, ...change } : step));
  }

  #finish(phase: Phase, summary: string): void {
    this.#finished = true;
    this.#steps = this.#steps.map((step) => (step.state === 'pending' ? { ...step, state: 'skipped' } : step));
    this.enter(phase, summary);
    log.info(summary, { phase });
  }

  #show(): void {
    const status = this.status();
    if (status.phase !== this.#shownPhase) {
      this.#shownPhase = status.phase;
      upsertSearchAttributes([{ key: phaseKey, value: status.phase }]);
    }
    setCurrentDetails(currentDetails(status, this.workflowId));
  }
}

function headlineWhileWaiting(waitingFor: WaitingFor): string {
  switch (waitingFor.kind) {
    case 'approval':
      return `WAITING FOR APPROVAL: ${waitingFor.approvals.length} of ${waitingFor.quorum}, until ${waitingFor.until}`;
    case 'selection':
      return 'WAITING FOR A SELECTION: the copy is mounted, say what to bring back';
    case 'lease':
      return `Waiting until run ${waitingFor.holder} lets go of ${waitingFor.instanceId}`;
    case 'operator':
      return `NEEDS AN OPERATOR: ${waitingFor.problem}`;
    case 'pause':
    default:
      return `PAUSED by ${waitingFor.by}${waitingFor.reason === '' ? '' : `: ${waitingFor.reason}`}`;
  }
}

/** True for what a phase may handle. Anything else is a bug: it must fail the workflow task, so that fixed code goes on. */
export const isExpected = (error: unknown): error is TemporalFailure => error instanceof TemporalFailure;
