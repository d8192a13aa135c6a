/**
 * What the client takes of Temporal's packages, which take a third of a second to load: imported when it connects. By name,
 * since a bundler knows nothing else of a CommonJS module.
 */
export {
  Client,
  Connection,
  NamespaceNotFoundError,
  ScheduleAlreadyRunning,
  ScheduleNotFoundError,
  ScheduleOverlapPolicy,
  WorkflowExecutionAlreadyStartedError,
  WorkflowFailedError,
  WorkflowNotFoundError,
  WorkflowUpdateFailedError,
  WorkflowUpdateRPCTimeoutOrCancelledError,
} from '@temporalio/client';
export { defineSearchAttributeKey, SearchAttributeType } from '@temporalio/common';
export { decodeArrayFromPayloads } from '@temporalio/common/lib/internal-non-workflow/index.js';
