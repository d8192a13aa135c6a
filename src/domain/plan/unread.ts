/** What could not be read: said in place of what the rules would have said of it. */
import type { PlanFinding } from '../../contract/rollback.ts';
import { blocker, type Field, warning } from './findings.ts';
import type { Observed, Unread } from './observed.ts';

/** Without these nobody can say whether the run is safe. */
const ESSENTIAL: ReadonlyMap<Unread['part'], Field> = new Map([
  ['disk', 'diskId'],
  ['snapshot', 'snapshotId'],
  ['snapshotsOfDisk', 'diskId'],
  ['instance', 'instanceId'],
]);

const UNCHECKED: Partial<Record<Unread['part'], string>> = {
  sourceDiskThere: 'whether the disk that the snapshot was taken of is there',
  disksOfInstance: 'which other disks the instance has',
  agent: 'whether the Cloud Assistant agent answers',
  diskLimit: 'how many disks the instance takes',
  offers: 'whether the zone has a disk for the recovery',
  ResetDisk: 'whether the service would take ResetDisk',
  StopInstance: 'whether the service would stop the instance',
  StartInstance: 'whether the service would start the instance',
  otherRuns: 'whether other runs are at work on the instance',
};

/** `needsAgent`: the run works in the guest, so that its agent is essential, too. */
export function* checkUnread(seen: Observed, needsAgent: boolean): Generator<PlanFinding> {
  for (const { part, message } of seen.unread) {
    const field = part === 'agent' && needsAgent ? 'instanceId' : ESSENTIAL.get(part);
    if (field !== undefined) {
      yield blocker('NotReadable', field, message, 'mend what it names, then plan again');
    } else {
      yield warning(
        'NotChecked',
        'instanceId',
        `${UNCHECKED[part] ?? part} is not known: ${message}`,
        'mend what it names and plan again, or make sure by hand',
      );
    }
  }
}
