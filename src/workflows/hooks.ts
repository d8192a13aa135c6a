/** The hooks of a run: what the guest's owner wants done at fixed points. */
import { ApplicationFailure } from '@temporalio/workflow';
import type { HookPoint } from '../contract/hooks.ts';
import { ACTIVITY_FAILURE } from '../contract/messages.ts';
import type { StepId } from '../contract/rollback.ts';
import { failureText } from './failure-text.ts';
import { hookRuns } from './policies.ts';
import { isExpected, type Run, type Summary } from './run.ts';

interface HookScene {
  readonly regionId: string;
  readonly instanceId: string;
}

/** Runs the hook of that point, when the request has one, as part of a step. `mayAsk`: false where the step has failed already. */
export async function runHook(
  run: Run,
  at: HookPoint,
  step: StepId,
  { regionId, instanceId }: HookScene,
  summary: Summary,
  mayAsk = true,
): Promise<void> {
  const hook = run.input.hooks?.[at];
  if (hook === undefined) return;
  for (;;) {
    const problem = await problemOf(run, at, () =>
      hookRuns.runHook.executeWithOptions(summary(`Hook ${at}: ${hook.command}`), [
        { run: run.id, regionId, instanceId, at, attempt: run.nextHookAttempt(), ...hook },
      ]),
    );
    if (problem === undefined || hook.onFailure === 'continue') return;
    const decision =
      hook.onFailure === 'ask' && mayAsk
        ? await run.operator.decide(step, problem, ['retry', 'skip', 'abort'])
        : 'abort';
    if (decision === 'skip') return;
    if (decision !== 'retry') throw ApplicationFailure.nonRetryable(problem, ACTIVITY_FAILURE.guest);
  }
}

/** What is wrong with how it ended, in one sentence; undefined when nothing is. */
async function problemOf(
  run: Run,
  at: HookPoint,
  start: () => ReturnType<typeof hookRuns.runHook>,
): Promise<string | undefined> {
  try {
    const { exitCode, timedOut, outputBytes, outputFile } = await start();
    run.hookEnded({ at, exitCode, timedOut, outputBytes, outputFile });
    if (exitCode === 0) return undefined;
    const how = timedOut ? 'was ended at its time limit' : `ended with status ${exitCode}`;
    return `hook ${at} ${how}; its ${outputBytes} bytes of output are in ${outputFile} of the guest`;
  } catch (error) {
    if (!isExpected(error) || failureText(error).kind === 'Cancelled') throw error;
    return `hook ${at}: ${failureText(error).message}`;
  }
}
