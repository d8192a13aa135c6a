/**
 * The shapes of Alibaba Cloud ids and the ids we derive from them. No workflow id, tag key or token is put together
 * anywhere else.
 */
import { z } from 'zod';

const idOf = (kind: string, prefix: string, example: string) =>
  z
    .string()
    .regex(new RegExp(`^${prefix}-[a-z0-9]{8,30}$`), `is not the id of ${kind}: expected something like ${example}`);

export const diskIdSchema = idOf('a disk', 'd', 'd-bp1a2b3c4d5e6f7g8h9i');
export const snapshotIdSchema = idOf('a snapshot', 's', 's-bp1a2b3c4d5e6f7g8h9i');
export const instanceIdSchema = idOf('an instance', 'i', 'i-bp1a2b3c4d5e6f7g8h9i');
export const regionIdSchema = z
  .string()
  .regex(
    /^[a-z]{2,3}(-[a-z0-9]+)+$/,
    'is not the id of a region: expected something like cn-hangzhou or ap-southeast-1',
  );

/** Default task queue of worker and starter. One queue per account keeps one API quota under one worker's rate limit. */
export const DEFAULT_TASK_QUEUE = 'ecs-rollback';

/** One rollback per disk at a time: the id of its workflow is the disk's. */
export const rollbackWorkflowId = (diskId: string): string => `rollback-${diskId}`;
export const syncWorkflowId = (diskId: string): string => `sync-${diskId}`;
/** The right to be the only run that touches an instance: the id of a child workflow, which only one run can have open. */
export const leaseWorkflowId = (instanceId: string): string => `lease/${instanceId}`;
/** A rollback onto snapshot B that a run starts when it is told to undo itself. */
export const undoWorkflowId = (workflowId: string): string => `undo/${workflowId}`;
export const sweepWorkflowId = (regionId: string): string => `sweep-${regionId}`;
/** A look at what a run has kept is read-only, too. */
export const reportWorkflowId = (workflowId: string, nonce: string): string => `report/${workflowId}/${nonce}`;
/** One at a time puts back or removes what a run has kept. */
export const keptWorkflowId = (workflowId: string): string => `kept/${workflowId}`;
/** A plan is read-only, so any number may run beside each other and beside a rollback. */
export const planWorkflowId = (diskId: string, nonce: string): string => `plan-${diskId}-${nonce}`;

/** Tags on everything a run makes; `sweep` and the activities find by them what a lost reply hid. */
export const TAG = {
  run: 'ecs-rollback:run',
  purpose: 'ecs-rollback:purpose',
  workflow: 'ecs-rollback:workflow',
  /** ISO 8601: when nobody needs it any more; what a sweep shows, never a reason to delete by itself. */
  expires: 'ecs-rollback:expires',
} as const;

/** `warm-up-snapshot`: taken while the instance still runs, so that snapshot B after the stop is a short increment. */
export type Purpose = 'safety-snapshot' | 'warm-up-snapshot' | 'recovery-disk';
