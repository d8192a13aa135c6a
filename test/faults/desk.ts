/** Somebody at the desk: answers runs that wait for a person, as soon as their search attribute says so. */
import { ServiceError } from '@temporalio/client';
import { ClientError, type RollbackClient } from '../../src/client.ts';
import { SEARCH_ATTRIBUTES } from '../../src/contract/messages.ts';
import type { Decision, WaitingFor } from '../../src/contract/operator.ts';
import type { FaultStage } from './stage.ts';

const LOOK_MS = 500;

export type Asked = Extract<WaitingFor, { kind: 'operator' }>;
/** Says what to do about a problem, when it has done its own part. */
export type Answer = (asked: Asked) => Decision | Promise<Decision>;

export interface Desk {
  /** Answers for this run from now on. */
  sit(workflowId: string, answer: Answer): void;
  /** Every question a run has asked. */
  asked(workflowId: string): readonly Asked[];
  close(): Promise<void>;
}

export function openDesk(stage: FaultStage, client: RollbackClient): Desk {
  const answers = new Map<string, Answer>();
  const questions = new Map<string, Asked[]>();
  const closing = new AbortController();

  async function look(): Promise<void> {
    const query = `${SEARCH_ATTRIBUTES.phase} = 'needs-operator' AND ExecutionStatus = 'Running'`;
    for await (const { workflowId } of stage.temporal.workflow.list({ query })) {
      const answer = answers.get(workflowId);
      if (answer === undefined) continue;
      try {
        const { waitingFor } = await client.status(workflowId);
        if (waitingFor?.kind !== 'operator') continue;
        await client.resolve(workflowId, { decision: await answer(waitingFor), by: 'the desk' });
        questions.set(workflowId, [...(questions.get(workflowId) ?? []), waitingFor]);
      } catch (error) {
        // It has ended or gone on, or its worker is just away: the next look shows.
        if (!(error instanceof ClientError)) throw error;
      }
    }
  }
  const sitting = (async () => {
    while (!closing.signal.aborted) {
      await look().catch((error: unknown) => {
        // The server may just be away.
        if (!(error instanceof ServiceError)) throw error;
      });
      await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
    }
  })();

  return {
    sit: (workflowId, answer) => {
      answers.set(workflowId, answer);
    },
    asked: (workflowId) => questions.get(workflowId) ?? [],
    close: async () => {
      closing.abort();
      await sitting;
    },
  };
}
