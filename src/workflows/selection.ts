/**
 * The run stands still with the copy mounted until somebody says what to bring back. Meanwhile they can look into it: each
 * look is a short activity, whose answer is the update's.
 */
import { ApplicationFailure, condition, defineUpdate, log, setHandler } from '@temporalio/workflow';
import { ACTIVITY_FAILURE, UPDATE } from '../contract/messages.ts';
import type { RunStatus, SyncSelection } from '../contract/rollback.ts';
import {
  type Choice,
  type ChoiceRequest,
  choiceSchema,
  type LookRequest,
  type LookResult,
  lookSchema,
} from '../contract/selection.ts';
import { notOffered } from '../domain/chosen-mounts.ts';
import type { InBoot, Mounts } from './bring-back.ts';
import { failureText } from './failure-text.ts';
import { parsed, refuseUnless } from './operator.ts';
import { reads } from './policies.ts';
import type { Run } from './run.ts';

export const selectUpdate = defineUpdate<RunStatus, [ChoiceRequest]>(UPDATE.select);
export const lookUpdate = defineUpdate<LookResult, [LookRequest]>(UPDATE.look);

/** Each look stays in the history; more of them than anybody needs would fill it. */
const MOST_LOOKS = 200;

/** What was chosen of `selection`. Rejects when the run is cancelled meanwhile. */
export async function awaitSelection(
  run: Run,
  guest: InBoot,
  selection: SyncSelection,
  mounts: Mounts,
): Promise<SyncSelection> {
  const paths = selection.paths.length > 0 ? selection.paths : mounts.map(({ originalMount }) => originalMount);
  let choice: Choice | undefined;
  let taken = 0;
  const mustWait = () => refuseUnless(choice === undefined, 'the run is not waiting for a selection');

  setHandler(
    selectUpdate,
    (argument) => {
      const chosen = parsed(choiceSchema, argument);
      choice = chosen;
      run.chose({ paths: chosen.paths, by: chosen.by, reason: chosen.reason, at: new Date().toISOString() });
      log.info('selected', { by: chosen.by, paths: chosen.paths });
      return run.status();
    },
    {
      validator: (argument) => {
        const { paths: chosen } = parsed(choiceSchema, argument);
        mustWait();
        const [outside] = notOffered(chosen, paths);
        refuseUnless(
          outside === undefined,
          `${outside} is not at or below what the run was started for: ${paths.join(', ')}`,
        );
      },
      description: 'Say what to bring back: {paths, conflictPolicy?, by, reason}',
    },
  );
  setHandler(
    lookUpdate,
    async (argument) => {
      taken += 1;
      const look = parsed(lookSchema, argument);
      try {
        return await reads.lookIntoCopy.executeWithOptions(
          { summary: `Look into the copy: ${look.what} ${look.path}` },
          [{ ...guest, mounts, ...look }],
        );
      } catch (error) {
        throw ApplicationFailure.nonRetryable(failureText(error).message, ACTIVITY_FAILURE.updateRefused);
      }
    },
    {
      validator: (argument) => {
        parsed(lookSchema, argument);
        mustWait();
        refuseUnless(taken < MOST_LOOKS, `${MOST_LOOKS} looks have been taken, and no more fit one run: choose now`);
      },
      description: 'Look into the copy: {what: browse | find | diff, path, pattern?, after?}',
    },
  );

  const waitingFor = { kind: 'selection', paths, since: new Date().toISOString() } as const;
  await run.whileWaiting(waitingFor, () => condition(() => choice !== undefined));
  return {
    ...selection,
    ...(choice === undefined
      ? {}
      : { paths: choice.paths, conflictPolicy: choice.conflictPolicy ?? selection.conflictPolicy }),
  };
}
