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

/**
 * What of each option is not there, never left out in silence: the run would do something else than what was asked for.
 * An option that is new has to be thought of here.
 */
const NOT_BUILT: { readonly [K in Exclude<keyof Sync, 'paths'>]: (asked: Sync[K]) => string | undefined } = {
  conflictPolicy: (policy) => (policy === 'both' ? "putting B's copy beside a conflict (both)" : undefined),
  include: (asked) => asked && 'patterns of what to take (include)',
  exclude: (asked) => asked && 'patterns of what to leave out (exclude)',
  filesFrom: (asked) => asked && 'a list of what to take (filesFrom)',
  sinceA: (asked) => (asked === true ? 'telling what has changed since A' : undefined),
  delete: (asked) => (asked === true ? 'deleting' : undefined),
  // Only goes with `delete`.
  deleteUnseen: () => undefined,
  into: (asked) => asked && 'another folder to bring the paths back into',
  choose: (asked) => (asked === true ? 'looking into the copy and choosing' : undefined),
  withoutSerial: (asked) => asked && 'disks without a serial number',
  throttle: (asked) => asked && 'a rate or an I/O class of the copy (throttle)',
  openFiles: (asked) => (asked === undefined || asked === 'ignore' ? undefined : 'a look at who writes to live files'),
};

function* notBuilt(sync: Sync): Generator<[Field, string]> {
  for (const [name, lacks] of Object.entries(NOT_BUILT) as Array<
    [keyof typeof NOT_BUILT, (asked: unknown) => string]
  >) {
    const what = lacks(sync[name]);
    if (what) yield [`sync.${name}`, what];
  }
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
