/** Plays one schedule of the chaos test against one run on its own instance, and waits for its end. */
import { setTimeout as delay } from 'node:timers/promises';
import { type WorkflowExecutionDescription, WorkflowNotFoundError } from '@temporalio/client';
import { ClientError, type RollbackClient, type RunHandle } from '../../src/client.ts';
import { rollbackWorkflowId, undoWorkflowId } from '../../src/contract/ids.ts';
import { SEARCH_ATTRIBUTES } from '../../src/contract/messages.ts';
import type { Decision, WaitingFor } from '../../src/contract/operator.ts';
import type { RunStatus } from '../../src/contract/rollback.ts';
import type { Happening, Schedule } from './chaos-schedule.ts';
import { endOf, type Said } from './evidence.ts';
import type { FaultStage, InProcessWorker, Tenant } from './stage.ts';

const LOOK_MS = 1_000;
/** Every fault passes, so every run ends: one that has gone no further for so long never will. */
const PATIENCE_MS = 150_000;

/** Endings with everything as the request asks for, but for what is brought back. */
const ASKED_FOR = ['completed', 'completed-with-leftovers', 'rolled-back-not-synced'];

type Part = 'first' | 'second' | 'regret';

export interface Played {
  /**
   * - `first`: the run of the schedule.
   * - `second`: one that wanted the same instance.
   * - `regret`: the undo that somebody started after the end of the first.
   * - `undo …`: the rollback that it has undone itself with.
   */
  readonly part: Part | `undo of ${string}`;
  readonly workflowId: string;
  readonly runId: string;
  readonly said: Said;
  /** Snapshot B that an undo rolled back onto; otherwise it was A. */
  readonly target?: string;
}

/** All runs of one schedule, when they have ended. */
export async function playChaos(
  stage: FaultStage,
  tenant: Tenant,
  schedule: Schedule,
  shared: RollbackClient,
): Promise<Played[]> {
  // A run whose worker comes and goes has one of its own.
  const own = schedule.happenings.some(({ what }) => what === 'restart the worker');
  const queue = own ? `chaos-${schedule.seed}` : shared.taskQueue;
  const client = own ? await stage.client(queue) : shared;
  const chaos = new Chaos(stage, tenant, schedule, client, own ? await stage.startWorker(queue) : undefined);
  try {
    return await chaos.play();
  } finally {
    await chaos.end();
  }
}

class Chaos {
  readonly #stage: FaultStage;
  readonly #tenant: Tenant;
  readonly #schedule: Schedule;
  readonly #client: RollbackClient;
  readonly #ahead: Happening[];
  readonly #decisions: Decision[];
  readonly #passing: Promise<unknown>[] = [];
  #worker: InProcessWorker | undefined;
  #resetHeld = false;
  #second: RunHandle | undefined;

  constructor(
    stage: FaultStage,
    tenant: Tenant,
    schedule: Schedule,
    client: RollbackClient,
    worker: InProcessWorker | undefined,
  ) {
    this.#stage = stage;
    this.#tenant = tenant;
    this.#schedule = schedule;
    this.#client = client;
    this.#worker = worker;
    this.#ahead = [...schedule.happenings];
    this.#decisions = [...schedule.decisions];
  }

  async play(): Promise<Played[]> {
    const { dataDiskId: diskId, snapshotA: snapshotId, instanceId: about } = this.#tenant;
    await this.#holdReset(true);
    const { faults, wishes } = this.#schedule;
    const set = await Promise.all(faults.map((rule) => this.#stage.fault({ about, ...rule })));
    const request = { regionId: this.#stage.regionId, diskId, snapshotId, ...wishes };
    const all: Played[] = [];
    const first = await this.#playToEnd('first', await this.#client.start(request));
    all.push(...first);
    if (this.#second !== undefined) all.push(...(await this.#playToEnd('second', this.#second)));
    const [{ said, workflowId }] = first as [Played];
    if (this.#schedule.regret && this.#second === undefined && ASKED_FOR.includes(said.ending)) {
      await this.#holdReset(true);
      const undo = { ...(await this.#client.undoRequest(workflowId)), acceptDataLoss: true };
      const { onFailureAfterReset = 'ask' } = wishes;
      const regret = await this.#client.start({ ...undo, onFailureAfterReset }, { workflowId: `regret-${workflowId}` });
      all.push(...(await this.#playToEnd('regret', regret, undo.snapshotId)));
    }
    await Promise.all(this.#passing);
    await this.#holdReset(false);
    await Promise.all(set.map((rule) => this.#stage.liftFault(rule)));
    return all;
  }

  async end(): Promise<void> {
    await Promise.allSettled(this.#passing);
    await this.#worker?.stop();
  }

  async #playToEnd(part: Part, handle: RunHandle, target?: string): Promise<Played[]> {
    await this.#follow(handle);
    const { workflowId, runId } = handle;
    const said = await endOf(this.#client, handle);
    return [
      { part, workflowId, runId, said, ...(target === undefined ? {} : { target }) },
      ...(await this.#undoOf(part, workflowId, said)),
    ];
  }

  /** Until it has ended: does what is due, and answers whatever it waits for. */
  async #follow({ workflowId, runId, ...handle }: RunHandle): Promise<void> {
    let deadline = Date.now() + PATIENCE_MS;
    let events = 0;
    for (;;) {
      const seen = await this.#stage.temporal.workflow.getHandle(workflowId, runId).describe();
      if (seen.status.name !== 'RUNNING') return;
      const open = [seen, ...(await this.#openBeside(seen))];
      const now = open.reduce((sum, { historyLength }) => sum + historyLength, 0);
      if (now !== events) deadline = Date.now() + PATIENCE_MS;
      events = now;
      if (Date.now() > deadline) throw new Error(await this.#stuck(seen));
      await this.#mindReset(open);
      if (workflowId !== this.#second?.workflowId)
        await this.#makeHappen({ workflowId, runId, ...handle }, seen.historyLength);
      for (const run of open) await this.#serve(run);
      await delay(LOOK_MS);
    }
  }

  /** The second run, and the undo that the run waits for; an undo can be undone as well. */
  async #openBeside(seen: WorkflowExecutionDescription): Promise<WorkflowExecutionDescription[]> {
    const second = this.#second?.workflowId;
    const other = second === undefined || second === seen.workflowId ? undefined : await this.#openRun(second);
    const open = other === undefined ? [] : [other];
    for (let run: WorkflowExecutionDescription | undefined = seen; run !== undefined && phaseOf(run) === 'undoing'; ) {
      run = await this.#openRun(undoWorkflowId(run.workflowId));
      if (run !== undefined) open.push(run);
    }
    return open;
  }

  async #openRun(workflowId: string): Promise<WorkflowExecutionDescription | undefined> {
    try {
      const seen = await this.#stage.temporal.workflow.getHandle(workflowId).describe();
      return seen.status.name === 'RUNNING' ? seen : undefined;
    } catch (error) {
      if (error instanceof WorkflowNotFoundError) return undefined;
      throw error;
    }
  }

  /** A real reset takes longer than it takes a run to look for it; here it must be made to, until the run waits for its end. */
  async #mindReset(open: readonly WorkflowExecutionDescription[]): Promise<void> {
    const needsItsEnd = open.some(
      (run) =>
        phaseOf(run) === 'needs-operator' ||
        run.raw.pendingActivities?.some((each) => each.activityType?.name === 'awaitResetEnded') === true,
    );
    if (needsItsEnd === this.#resetHeld) await this.#holdReset(!needsItsEnd);
  }

  async #holdReset(held: boolean): Promise<void> {
    const { dataDiskId } = this.#tenant;
    this.#resetHeld = held;
    if (held) await this.#stage.control('POST', 'holds', { resourceId: dataDiskId });
    else await this.#stage.control('DELETE', `holds/${dataDiskId}`);
  }

  async #makeHappen(handle: RunHandle, events: number): Promise<void> {
    while (this.#ahead[0] !== undefined && this.#ahead[0].at <= events) {
      const happening = this.#ahead.shift() as Happening;
      await this.#happen(handle, happening).catch(unlessRefused);
    }
  }

  async #happen(
    { workflowId, cancel }: Pick<RunHandle, 'workflowId' | 'cancel'>,
    { what, for: ms }: Happening,
  ): Promise<void> {
    const { instanceId, dataDiskId: diskId, snapshotA: snapshotId } = this.#tenant;
    const until = (over: () => Promise<unknown>) => this.#passing.push(delay(ms).then(over));
    switch (what) {
      case 'cancel':
        return cancel();
      case 'pause':
        await this.#client.pause(workflowId, { by: 'chaos' });
        until(() => this.#resume(workflowId));
        return;
      case 'hold the instance':
        await this.#stage.control('POST', 'holds', { resourceId: instanceId });
        until(() => this.#stage.control('DELETE', `holds/${instanceId}`));
        return;
      case 'hold the disk': {
        const disk = (await this.#client.status(workflowId)).recoveryDiskId;
        if (disk === undefined) return;
        await this.#stage.control('POST', 'holds', { resourceId: disk });
        until(() => this.#stage.control('DELETE', `holds/${disk}`));
        return;
      }
      case 'agent offline':
        await this.#stage.control('POST', `instances/${instanceId}`, { agentOffline: true });
        until(() => this.#stage.control('POST', `instances/${instanceId}`, { agentOffline: false }));
        return;
      case 'restart the worker':
        await this.#worker?.stop();
        await delay(ms);
        this.#worker = await this.#stage.startWorker(this.#client.taskQueue);
        return;
      case 'a second run':
      default:
        this.#second = await this.#client.start(
          {
            regionId: this.#stage.regionId,
            diskId,
            snapshotId,
            onLeaseHeld: this.#schedule.wishes.onLeaseHeld ?? 'wait',
          },
          { workflowId: `second-${rollbackWorkflowId(diskId)}` },
        );
    }
  }

  /** Its worker may be away for a moment. */
  async #resume(workflowId: string): Promise<void> {
    for (;;) {
      try {
        await this.#client.resume(workflowId, { by: 'chaos' });
        return;
      } catch (error) {
        if (!(error instanceof ClientError) || error.kind !== 'noWorker') return unlessRefused(error);
        await delay(LOOK_MS);
      }
    }
  }

  /** Answers a run that says that it waits for a person. */
  async #serve(run: WorkflowExecutionDescription): Promise<void> {
    if (!['needs-operator', 'awaiting-approval'].includes(phaseOf(run))) return;
    try {
      const { waitingFor } = await this.#client.status(run.workflowId);
      if (waitingFor !== undefined) await this.#answer(run.workflowId, waitingFor);
    } catch (error) {
      unlessRefused(error);
    }
  }

  async #answer(workflowId: string, waitingFor: WaitingFor): Promise<void> {
    if (waitingFor.kind === 'approval') {
      const { approvals, planHash } = waitingFor;
      const person = { planHash, by: `person ${approvals.length + 1}` };
      await this.#client[this.#schedule.approve](workflowId, person);
    }
    if (waitingFor.kind === 'operator') {
      const wanted = this.#decisions.shift() ?? 'abort';
      await this.#client.resolve(workflowId, {
        decision: waitingFor.choices.includes(wanted) ? wanted : 'abort',
        by: 'chaos',
      });
    }
  }

  /** The rollback onto B that a run has started and waited for, if it did. */
  async #undoOf(part: Played['part'], workflowId: string, { ledger, resetHappened }: Said): Promise<Played[]> {
    if (resetHappened === 'no') return [];
    try {
      const handle = await this.#client.attach(undoWorkflowId(workflowId));
      const b = ledger.find(({ purpose }) => purpose === 'safety-snapshot')?.id ?? '';
      const ended = { workflowId: handle.workflowId, runId: handle.runId, said: await endOf(this.#client, handle) };
      const undo: Played = { part: `undo of ${part}`, ...ended, target: b };
      return [undo, ...(await this.#undoOf(undo.part, undo.workflowId, undo.said))];
    } catch (error) {
      if (error instanceof ClientError && error.kind === 'notFound') return [];
      throw error;
    }
  }

  /** A run that does not end, and whether it says why. */
  async #stuck({ workflowId, raw, historyLength }: WorkflowExecutionDescription): Promise<string> {
    const status: Partial<RunStatus> = await this.#client.status(workflowId).catch(() => ({}));
    const pending = (raw.pendingActivities ?? []).map(
      ({ activityType, attempt, lastFailure }) =>
        `${activityType?.name} (attempt ${attempt}${lastFailure?.message ? `, ${lastFailure.message}` : ''})`,
    );
    return `${workflowId} has not gone on after ${historyLength} events: ${status.headline ?? 'no status'}; pending: ${pending.join(', ') || 'nothing'}`;
  }
}

const phaseOf = ({ typedSearchAttributes }: WorkflowExecutionDescription): string =>
  String(typedSearchAttributes.getAll().find(({ key }) => key.name === SEARCH_ATTRIBUTES.phase)?.value);

/** It has ended or gone on meanwhile, or its worker is away. */
function unlessRefused(error: unknown): void {
  if (!(error instanceof ClientError)) throw error;
}
