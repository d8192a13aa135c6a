/**
 * The people around a run: who approves it, who decides when a step fails for good, who pauses it. Every word of theirs
 * comes as an update with a validator, so that it is accepted, or refused with the reason, and stays in the history.
 */
import { ApplicationFailure, CancellationScope, condition, defineUpdate, log, setHandler } from '@temporalio/workflow';
import type { z } from 'zod';
import { ACTIVITY_FAILURE, UPDATE } from '../contract/messages.ts';
import {
  type Approval,
  type ApprovalPolicy,
  type ApprovalRequest,
  approvalSchema,
  type Decision,
  type Deletions,
  type PauseRequest,
  pauseSchema,
  type ResolutionRequest,
  resolutionSchema,
  type WaitingFor,
} from '../contract/operator.ts';
import type { RunStatus, StepId } from '../contract/rollback.ts';

export const approveUpdate = defineUpdate<RunStatus, [ApprovalRequest]>(UPDATE.approve);
export const rejectUpdate = defineUpdate<RunStatus, [ApprovalRequest]>(UPDATE.reject);
export const resolveUpdate = defineUpdate<RunStatus, [ResolutionRequest]>(UPDATE.resolve);
export const pauseUpdate = defineUpdate<RunStatus, [PauseRequest]>(UPDATE.pause);
export const resumeUpdate = defineUpdate<RunStatus, [PauseRequest]>(UPDATE.resume);

/** What the operator's desk needs of its run. */
export interface DeskOwner {
  status(): RunStatus;
  /** Something that status and details show has changed. */
  changed(): void;
  isOver(): boolean;
}

export type Verdict =
  | { readonly approved: true }
  | { readonly approved: false; readonly rejectedBy?: Approval; readonly afterSeconds?: number };

type Waiting<K extends WaitingFor['kind']> = Extract<WaitingFor, { kind: K }>;

const now = () => new Date().toISOString();

export function refuseUnless(holds: boolean, message: string): asserts holds {
  if (!holds) throw ApplicationFailure.nonRetryable(message, ACTIVITY_FAILURE.updateRefused);
}

/** The argument, or a refusal that names each field. */
export function parsed<T extends z.ZodType>(schema: T, argument: unknown): z.infer<T> {
  const result = schema.safeParse(argument);
  const problems = result.success
    ? []
    : result.error.issues.map((i) => `${i.path.join('.') || 'argument'} ${i.message}`);
  refuseUnless(result.success, problems.join('; '));
  return result.data;
}

export class Operator {
  readonly #owner: DeskOwner;
  #approvals: Approval[] = [];
  #rejection: Approval | undefined;
  #answer: Decision | undefined;
  #asked: Waiting<'approval'> | Waiting<'operator'> | undefined;
  #policy: { policy: ApprovalPolicy; requestedBy: string | undefined } | undefined;
  #pause: Waiting<'pause'> | undefined;
  #pausing = false;
  #cancelled = false;

  constructor(owner: DeskOwner) {
    this.#owner = owner;
    CancellationScope.current().cancelRequested.catch(() => {
      this.#cancelled = true;
    });
    const answer =
      <A>(take: (argument: A) => void) =>
      (argument: A): RunStatus => {
        take(argument);
        owner.changed();
        return owner.status();
      };
    setHandler(approveUpdate, answer(this.#approve), {
      validator: (argument) => this.#checkApproval(argument, true),
      description: 'Let the run pass the point of no return: {planHash, by, reason}',
    });
    setHandler(rejectUpdate, answer(this.#reject), {
      validator: (argument) => this.#checkApproval(argument, false),
      description: 'End the run before it changes anything: {planHash, by, reason}',
    });
    setHandler(resolveUpdate, answer(this.#resolve), {
      validator: this.#checkResolution,
      description: 'Decide what a run that needs an operator does next: {decision, by, reason}',
    });
    setHandler(pauseUpdate, answer(this.#doPause), {
      validator: (argument) => {
        parsed(pauseSchema, argument);
        this.#mustBeOpen();
        refuseUnless(this.#pause === undefined, `the run is already paused by ${this.#pause?.by}`);
      },
      description: 'Hold the run at its next safe point: {by, reason}',
    });
    setHandler(resumeUpdate, answer(this.#doResume), {
      validator: (argument) => {
        parsed(pauseSchema, argument);
        refuseUnless(this.#pause !== undefined, 'the run is not paused');
      },
      description: 'Let a paused run go on: {by, reason}',
    });
  }

  get approvals(): readonly Approval[] {
    return this.#approvals;
  }

  /** True from the first request to cancel the run. */
  get cancelled(): boolean {
    return this.#cancelled;
  }

  get waitingFor(): WaitingFor | undefined {
    return this.#pausing ? this.#pause : this.#asked;
  }

  /** Asked for, and not reached yet. */
  get pauseAhead(): boolean {
    return this.#pause !== undefined && !this.#pausing;
  }

  /** Waits for the quorum, a rejection, or the end of patience, with a reminder now and then. */
  async awaitApproval(policy: ApprovalPolicy, requestedBy: string | undefined, planHash: string): Promise<Verdict> {
    const deadline = Date.now() + policy.timeoutSeconds * 1000;
    this.#policy = { policy, requestedBy };
    this.#ask({
      kind: 'approval',
      planHash,
      quorum: policy.quorum,
      approvals: this.#approvals,
      until: new Date(deadline).toISOString(),
      reminders: 0,
    });
    const decided = () => this.#approvals.length >= policy.quorum || this.#rejection !== undefined;
    try {
      for (let reminders = 0; !decided(); ) {
        const left = deadline - Date.now();
        if (left <= 0) return { approved: false, afterSeconds: policy.timeoutSeconds };
        const reminded = Math.min(left, policy.remindEverySeconds * 1000);
        if (await condition(decided, reminded, { summary: 'Wait for approval' })) break;
        reminders += 1;
        log.warn('still waiting for approval', { planHash, approvals: this.#approvals.length, quorum: policy.quorum });
        if (this.#asked?.kind === 'approval') this.#ask({ ...this.#asked, reminders });
      }
    } finally {
      this.#ask(undefined);
    }
    return this.#rejection === undefined ? { approved: true } : { approved: false, rejectedBy: this.#rejection };
  }

  /** What was approved is no longer what is there. */
  lapseApprovals(): void {
    this.#approvals = [];
    this.#owner.changed();
  }

  /** Waits, for as long as it takes, until somebody decides. Rejects when the run is cancelled meanwhile. */
  async decide(
    step: StepId,
    problem: string,
    choices: readonly Decision[],
    more: { note?: string; deletions?: Deletions } = {},
  ): Promise<Decision> {
    this.#answer = undefined;
    this.#ask({ kind: 'operator', step, problem, choices, since: now(), ...more });
    log.warn('needs an operator', { step, problem, choices });
    try {
      await condition(() => this.#answer !== undefined);
    } finally {
      this.#ask(undefined);
    }
    return this.#answer ?? 'abort';
  }

  /** Holds here while the run is paused. A cancel goes past it. */
  async safePoint(): Promise<void> {
    if (this.#pause === undefined || this.#cancelled) return;
    this.#pausing = true;
    this.#owner.changed();
    try {
      await condition(() => this.#pause === undefined || this.#cancelled);
    } finally {
      this.#pausing = false;
      this.#owner.changed();
    }
  }

  #ask(question: Waiting<'approval'> | Waiting<'operator'> | undefined): void {
    this.#asked = question;
    this.#owner.changed();
  }

  #mustBeOpen(): void {
    refuseUnless(!this.#owner.isOver(), 'the run has ended');
  }

  readonly #checkApproval = (argument: ApprovalRequest, approves: boolean): void => {
    const { by, planHash } = parsed(approvalSchema, argument);
    const asked = this.#asked;
    refuseUnless(asked?.kind === 'approval', 'the run is not waiting for approval');
    refuseUnless(
      planHash === asked.planHash,
      `the run waits for approval of plan ${asked.planHash.slice(0, 12)}…, not of ${planHash.slice(0, 12)}…: read the plan again`,
    );
    if (!approves) return;
    refuseUnless(!this.#approvals.some((approval) => approval.by === by), `${by} has approved already`);
    const own = this.#policy?.policy.requesterMayApprove === false && this.#policy.requestedBy === by;
    refuseUnless(!own, `${by} started this run and must not approve it: somebody else has to`);
  };

  readonly #checkResolution = (argument: ResolutionRequest): void => {
    const { decision } = parsed(resolutionSchema, argument);
    const asked = this.#asked;
    refuseUnless(asked?.kind === 'operator' && this.#answer === undefined, 'the run is not waiting for a decision');
    refuseUnless(
      asked.choices.includes(decision),
      `${decision} is no choice for step ${asked.step} now: choose ${asked.choices.join(', ')}`,
    );
  };

  readonly #approve = (argument: ApprovalRequest): void => {
    const approval = this.#said(argument);
    this.#approvals = [...this.#approvals, approval];
    if (this.#asked?.kind === 'approval') this.#asked = { ...this.#asked, approvals: this.#approvals };
    log.info('approved', { by: approval.by, planHash: approval.planHash });
  };

  readonly #reject = (argument: ApprovalRequest): void => {
    this.#rejection = this.#said(argument);
  };

  readonly #said = (argument: ApprovalRequest): Approval => ({ ...parsed(approvalSchema, argument), at: now() });

  readonly #resolve = (argument: ResolutionRequest): void => {
    const { decision, by, reason } = parsed(resolutionSchema, argument);
    this.#answer = decision;
    log.info('decided', { decision, by, reason });
  };

  readonly #doPause = (argument: PauseRequest): void => {
    this.#pause = { kind: 'pause', ...parsed(pauseSchema, argument), since: now() };
  };

  readonly #doResume = (argument: PauseRequest): void => {
    log.info('resumed', { by: parsed(pauseSchema, argument).by });
    this.#pause = undefined;
  };
}
