/** Windows guests: what a run can do there, and what it cannot. The scripts for them are untried on a real Windows. */
import type { Instance } from '../../cloud/types.ts';
import { isWindowsPath, type PlanFinding, type RollbackInput, type SyncInput } from '../../contract/rollback.ts';
import { blocker, type Field, warning } from './findings.ts';

type Sync = NonNullable<(RollbackInput | SyncInput)['sync']>;

/** `grows`: the run is to grow what is on the disk. */
export function* checkWindows(
  instance: Instance,
  { sync, ...input }: Pick<RollbackInput | SyncInput, 'sync' | 'hooks'>,
  grows: boolean,
): Generator<PlanFinding> {
  if (instance.osType !== 'windows') return;
  if (sync !== undefined || grows) {
    yield warning(
      'WindowsGuest',
      'instanceId',
      `instance ${instance.id} runs Windows: the scripts that ${sync === undefined ? 'grow its volumes' : 'bring files back'} there are untried, nobody has run them on a real Windows yet`,
      'try it on a test instance first; snapshot B keeps everything whatever happens',
    );
  }
  if (sync !== undefined) for (const [field, what] of notBuilt(sync)) yield unsupported(instance, field, what);
  if (Object.keys(input.hooks ?? {}).length > 0) yield unsupported(instance, 'hooks', 'hooks');
}

/** Never left out in silence: the run would do something else than what was asked for. */
function* notBuilt(sync: Sync): Generator<[Field, string]> {
  if (sync.conflictPolicy === 'both') yield ['sync.conflictPolicy', "putting B's copy beside a conflict (both)"];
  if (sync.include !== undefined) yield ['sync.include', 'patterns of what to take (include)'];
  if (sync.exclude !== undefined) yield ['sync.exclude', 'patterns of what to leave out (exclude)'];
  if (sync.delete === true) yield ['sync.delete', 'deleting'];
  if (sync.into !== undefined) yield ['sync.into', 'another folder to bring the paths back into'];
  if (sync.choose === true) yield ['sync.choose', 'looking into the copy and choosing'];
  if (sync.withoutSerial !== undefined) yield ['sync.withoutSerial', 'disks without a serial number'];
}

const unsupported = (instance: Instance, field: Field, what: string): PlanFinding =>
  blocker(
    'WindowsUnsupported',
    field,
    `instance ${instance.id} runs Windows, where this is not there: ${what}`,
    'leave it out',
  );

/** Paths written as the other system writes them. */
export const foreignPaths = (instance: Instance, paths: readonly string[]): string[] =>
  paths.filter((path) => isWindowsPath(path) !== (instance.osType === 'windows'));

export function* checkPathForms(instance: Instance, paths: readonly string[]): Generator<PlanFinding> {
  const windows = instance.osType === 'windows';
  for (const path of foreignPaths(instance, paths)) {
    yield blocker(
      'PathUnusable',
      'sync.paths',
      `${path} is ${windows ? 'no' : 'a'} path of Windows, and instance ${instance.id} runs ${windows ? 'Windows' : 'Linux'}`,
      `write it as the guest sees it, such as ${windows ? String.raw`D:\data\uploads` : '/data/uploads'}`,
    );
  }
}
