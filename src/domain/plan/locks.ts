/** What the service has locked a disk or an instance for. */
import type { PlanFinding } from '../../contract/rollback.ts';
import { blocker } from './findings.ts';

const FOR_MONEY = new Set(['financial', 'dedicatedhostfinancial']);
const FOR_OTHER_REASONS = new Set(['security', 'Recycling', 'refunded']);

export function* checkLocks(locks: readonly string[], what: 'Disk' | 'Instance', id: string): Generator<PlanFinding> {
  const field = what === 'Disk' ? 'diskId' : 'instanceId';
  const subject = `${what.toLowerCase()} ${id}`;
  for (const reason of locks) {
    if (FOR_MONEY.has(reason)) {
      yield blocker(
        `${what}InArrears`,
        field,
        `${subject} is locked because of unpaid bills (${reason})`,
        'settle the account, then plan again',
      );
    } else if (FOR_OTHER_REASONS.has(reason)) {
      yield blocker(`${what}Locked`, field, `${subject} is locked (${reason})`, 'clear the lock in the console first');
    }
  }
}
