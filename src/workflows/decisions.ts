/**
 * What happens when a step after the reset fails for good: there is no way back, so somebody decides – a person, or the
 * policy the run was started with.
 */
import { isCancellation } from '@temporalio/workflow';
import type { Decision } from '../contract/operator.ts';
import type { FailurePolicy, StepId } from '../contract/rollback.ts';
import { failureText } from './failure-text.ts';
import { reads } from './policies.ts';
import { isExpected, type Run } from './run.ts';

/** Not a failure: the way out of the steps towards the undo. */
export class UndoRequested extends Error {
  override readonly name = 'UndoRequested';
  readonly problem: string;

  constructor(problem: string) {
    super(`to be undone: ${problem}`);
    this.problem = problem;
  }
}

/**
 * Runs one step. When it fails for good: `retry` runs it again, `skip` goes on with what `skip` makes of an outcome that
 * is observed to hold, `undo` throws `UndoRequested`, `abort` rethrows the failure.
 */
export type Guarded = <T>(step: StepId, body: () => Promise<T>, skip?: () => Promise<T>) => Promise<T>;

/** Nobody is asked: a failure is the caller's. */
export const unguarded: Guarded = (_step, body) => body();

export interface Observable {
  readonly regionId: string;
  readonly instanceId: string;
  readonly originalDiskId: string;
}

export function guardedBy(run: Run, policy: FailurePolicy, observable: Observable): Guarded {
  return async (step, body, skip) => {
    const choices: readonly Decision[] =
      skip === undefined ? ['retry', 'undo', 'abort'] : ['retry', 'skip', 'undo', 'abort'];
    for (;;) {
      let problem: string;
      try {
        return await body();
      } catch (error) {
        if (!isExpected(error) || isCancellation(error) || policy === 'abort') throw error;
        problem = failureText(error).message;
        if (policy === 'undo') throw new UndoRequested(problem);
        const answer = await decided(run, step, problem, choices, observable);
        if (answer === 'abort') throw error;
        if (answer === 'undo') throw new UndoRequested(problem);
        if (answer === 'skip' && skip !== undefined) {
          run.skipped(step, 'skipped by decision; its outcome was observed');
          return skip();
        }
      }
    }
  };
}

/** Asks until the answer can be followed: a `skip` is believed only if the outcome of the step is there. */
async function decided(
  run: Run,
  step: StepId,
  problem: string,
  choices: readonly Decision[],
  observable: Observable,
): Promise<Decision> {
  let note: string | undefined;
  for (;;) {
    const decision = await run.operator.decide(step, problem, choices, note === undefined ? {} : { note });
    if (decision !== 'skip') return decision;
    try {
      const { holds, seen } = await reads.observeStep.executeWithOptions(
        { summary: `See whether the outcome of ${step} is there` },
        [
          {
            step,
            ...run.identity,
            ...observable,
            ...(run.recoveryDiskId === undefined ? {} : { recoveryDiskId: run.recoveryDiskId }),
          },
        ],
      );
      if (holds) return 'skip';
      note = `skip was not followed: ${seen}`;
    } catch (error) {
      if (!isExpected(error) || isCancellation(error)) throw error;
      note = `skip was not followed: whether its outcome is there cannot be seen (${failureText(error).message})`;
    }
  }
}
