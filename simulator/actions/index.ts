/** Every action of the action table with its handler. */
import type { ActionName } from '../api/action-table.ts';
import type { Handler } from './call.ts';
import { cloudAssistantActions } from './cloud-assistant.ts';
import { diskActions } from './disks.ts';
import { instanceActions } from './instances.ts';
import { snapshotActions } from './snapshots.ts';
import { tagActions } from './tags.ts';

export const handlers: Record<ActionName, Handler> = {
  ...instanceActions,
  ...diskActions,
  ...snapshotActions,
  ...cloudAssistantActions,
  ...tagActions,
};
