/**
 * From flags to a request of the contract. Refuses what contradicts itself, and says what the schemas object to in terms
 * of the flags that were typed.
 */
import type { RollbackInput, RollbackRequest, SyncInput } from '../contract/rollback.ts';
import { HOOK_POINTS } from '../contract/hooks.ts';
import { rollbackInputSchema, syncInputSchema } from '../contract/rollback.ts';
import { type PathList, readPathList } from './files-from.ts';
import { parseDuration } from './durations.ts';
import { type PlanFile, requestOfPlan } from './plan-file.ts';
import { UsageError } from './usage-error.ts';

/** As commander hands them over. */
export interface RequestFlags {
  readonly region?: string;
  readonly disk?: string;
  readonly snapshot?: string;
  readonly instance?: string;
  readonly path?: readonly string[];
  readonly hook?: readonly string[];
  /** A file; read by `withPathList`. */
  readonly filesFrom?: string;
  readonly list?: PathList['filesFrom'];
  readonly conflict?: string;
  readonly choose?: boolean;
  readonly into?: string;
  readonly include?: readonly string[];
  readonly exclude?: readonly string[];
  readonly delete?: boolean;
  readonly deleteUnseen?: boolean;
  readonly maxRate?: string;
  readonly ioClass?: string;
  readonly openFiles?: string;
  readonly sinceA?: boolean;
  readonly withoutSerial?: boolean;
  readonly power?: string;
  readonly forceStop?: boolean;
  readonly retentionDays?: string;
  readonly mode?: string;
  readonly freeze?: boolean;
  readonly lockDays?: string;
  readonly approvals?: string;
  /** False with `--no-self-approval`. */
  readonly selfApproval?: boolean;
  readonly approvalTimeout?: string;
  readonly remindEvery?: string;
  readonly requestedBy?: string;
  readonly onLease?: string;
  readonly onFailure?: string;
  readonly acceptDataLoss?: boolean;
}

/** Where what was not typed comes from. */
export interface Asker {
  readonly env: Env;
  /** `--requested-by`, unless given. */
  readonly user: string;
  /** What the flags only add to, and the environment does not. */
  readonly file?: PlanFile;
  /** What the flags go over: the request of an undo. */
  readonly base?: RollbackRequest;
}

export interface WaitFlags {
  readonly output?: string;
  readonly yes?: boolean;
  readonly detach?: boolean;
  readonly dryRun?: boolean;
  readonly timeout?: string;
}

type Env = Readonly<Record<string, string | undefined>>;

const REGION_VARIABLE = 'ALIBABA_CLOUD_REGION_ID';

const EXPECTED: Readonly<Record<string, string>> = {
  '--region': 'the region of the disk, such as cn-hangzhou',
  '--disk': 'the id of the disk, such as d-bp1a2b3c4d5e6f7g8h9i',
  '--snapshot': 'the id of the snapshot, such as s-bp1a2b3c4d5e6f7g8h9i',
  '--instance': 'the id of an instance, such as i-bp1a2b3c4d5e6f7g8h9i',
  '--path': 'what to bring back as the guest sees it, such as /data/uploads',
  '--conflict': 'newer-wins, keep-live, take-b or both',
  '--include': 'a pattern such as *.jpg or /2026/*',
  '--exclude': 'a pattern such as *.tmp or /cache',
  '--hook':
    'POINT=/file, or POINT={"command":"/file","args":[…],"user":…,"timeoutSeconds":…,"onFailure":"fail|continue|ask"}',
  '--max-rate': 'a whole number of MiB per second from 1 to 100000, such as 50',
  '--io-class': 'idle or best-effort',
  '--open-files': 'warn, refuse or ignore',
  '--power': 'as-found, running or stopped',
  '--retention-days': 'a whole number of days from 1 to 65536, such as 30',
  '--mode': 'cold, warm or hot',
  '--lock-days': 'a whole number of days from 1 to 36500, such as 7',
  '--approvals': 'how many people have to approve, from 1 to 10',
  '--approval-timeout': 'a duration from 1m to 30d, such as 4h',
  '--remind-every': 'a duration from 1m to 30d, such as 30m',
  '--requested-by': 'a name of at most 128 characters',
  '--on-lease': 'fail or wait',
  '--on-failure': 'ask, abort or undo',
};

/** The flags with the list that `--files-from` names read, and the paths that it is about. */
export function withPathList<F extends RequestFlags>(flags: F): F {
  if (flags.filesFrom === undefined) return flags;
  const { filesFrom, paths } = readPathList(flags.filesFrom, flags.path);
  return { ...flags, path: paths, list: filesFrom };
}

export function rollbackInput(flags: RequestFlags, asker: Asker): RollbackInput {
  const { file } = asker;
  const base: Partial<RollbackRequest> = file?.request ?? asker.base ?? {};
  const faults = contradictions(flags, base);
  if (faults.length > 0) throw new UsageError(...faults);
  const says = [
    flags.path,
    flags.conflict,
    flags.choose,
    flags.into,
    flags.include,
    flags.exclude,
    flags.delete,
    flags.deleteUnseen,
    flags.maxRate,
    flags.ioClass,
    flags.openFiles,
    flags.sinceA,
    flags.withoutSerial,
  ];
  const sync = says.some((flag) => flag !== undefined) ? selection(flags) : undefined;
  const approval = approvalPolicy(flags, base);
  const given = {
    ...target(flags, file === undefined ? asker.env : {}),
    ...asked(flags, asker),
    ...(sync === undefined ? {} : { sync }),
    ...(approval === undefined ? {} : { approval }),
    ...(flags.power === undefined ? {} : { powerAfter: flags.power }),
    ...(flags.forceStop === undefined ? {} : { forceStop: flags.forceStop }),
    ...(flags.retentionDays === undefined ? {} : { safetySnapshotRetentionDays: whole(flags.retentionDays) }),
    ...(flags.mode === undefined ? {} : { snapshotMode: flags.mode }),
    ...(flags.freeze === undefined ? {} : { freezeFileSystems: flags.freeze }),
    ...(flags.lockDays === undefined ? {} : { lockSafetySnapshotDays: whole(flags.lockDays) }),
    ...(flags.onFailure === undefined ? {} : { onFailureAfterReset: flags.onFailure }),
    ...(flags.acceptDataLoss === undefined ? {} : { acceptDataLoss: flags.acceptDataLoss }),
  };
  const request =
    file === undefined
      ? overUndo(given, asker.base)
      : requestOfPlan(file, given, (path) => typed(path.split('.'), flags, {}).flag);
  return checked(rollbackInputSchema.safeParse(request), flags, asker);
}

/** What was typed goes over the request of an undo, but for its target, which is the run's. */
const overUndo = (given: Record<string, unknown>, base: RollbackRequest | undefined): Record<string, unknown> =>
  base === undefined
    ? given
    : { ...base, ...given, regionId: base.regionId, diskId: base.diskId, snapshotId: base.snapshotId };

/**
 * Refuses bad flags of an undo before anything is asked of a server: what it is about is known only then, so that some
 * run stands for it here.
 */
export function checkUndoFlags(flags: RequestFlags, asker: Omit<Asker, 'base'>): void {
  const some = { regionId: 'cn-hangzhou', diskId: 'd-00000000', snapshotId: 's-00000000' };
  rollbackInput(flags, { ...asker, base: { ...some, undoes: { workflowId: 'some', runId: 'some' } } });
}

export function syncInput(flags: RequestFlags, asker: Asker): SyncInput {
  const request = { ...target(flags, asker.env), ...asked(flags, asker), sync: selection(flags) };
  return checked(syncInputSchema.safeParse(request), flags, asker);
}

/** What rollback and sync have in common besides their target. */
const asked = (flags: RequestFlags, { user }: Asker) => ({
  requestedBy: flags.requestedBy ?? user,
  ...(flags.hook === undefined ? {} : { hooks: hooksOf(flags.hook) }),
  ...(flags.onLease === undefined ? {} : { onLeaseHeld: flags.onLease }),
});

/** By point, as the schema takes them. The last one of a point counts. */
function hooksOf(typedHooks: readonly string[]): Record<string, unknown> {
  const faults: string[] = [];
  const hooks = typedHooks.map((text): [string, unknown] => {
    const at = text.slice(0, Math.max(text.indexOf('='), 0));
    const rest = text.slice(text.indexOf('=') + 1);
    if (!HOOK_POINTS.some((point) => point === at)) {
      faults.push(
        `--hook: ${shown(text)} does not begin with a point and "=": the points are ${HOOK_POINTS.join(', ')}`,
      );
    }
    if (!rest.startsWith('{')) return [at, { command: rest }];
    try {
      return [at, JSON.parse(rest)];
    } catch (error) {
      faults.push(`--hook: ${shown(text)} holds no JSON (${error instanceof Error ? error.message : String(error)})`);
      return [at, {}];
    }
  });
  if (faults.length > 0) throw new UsageError(...faults);
  return Object.fromEntries(hooks);
}

/** NaN, which no schema takes, for what is no whole number. */
export const whole = (text: string): number => (/^\d+$/.test(text) ? Number(text) : Number.NaN);

const LONGEST_POLICY_MS = 30 * 86_400_000;

function seconds(text: string): number {
  const ms = parseDuration(text, LONGEST_POLICY_MS);
  return ms === undefined ? Number.NaN : Math.round(ms / 1_000);
}

function approvalPolicy(flags: RequestFlags, base: Partial<RollbackRequest>): Record<string, unknown> | undefined {
  if (flags.approvals === undefined && base.approval === undefined) return undefined;
  return {
    ...base.approval,
    ...(flags.approvals === undefined ? {} : { quorum: whole(flags.approvals) }),
    ...(flags.selfApproval === false ? { requesterMayApprove: false } : {}),
    ...(flags.approvalTimeout === undefined ? {} : { timeoutSeconds: seconds(flags.approvalTimeout) }),
    ...(flags.remindEvery === undefined ? {} : { remindEverySeconds: seconds(flags.remindEvery) }),
  };
}

/** Milliseconds of `--timeout`, if it was given. */
export function timeoutMs(flags: WaitFlags): number | undefined {
  if (flags.timeout === undefined) return undefined;
  const parsed = parseDuration(flags.timeout);
  if (parsed === undefined) {
    throw new UsageError(
      `--timeout: ${shown(flags.timeout)} is not a duration: expected something like 90s, 30m or 1h30m`,
    );
  }
  return parsed;
}

/** Refuses combinations of how to wait and how to ask, before anything is read or sent. */
export function checkWaiting(flags: WaitFlags, canPrompt: boolean): void {
  if (flags.dryRun === true && flags.detach === true) {
    throw new UsageError(
      '--detach: a dry run is waited for, it starts nothing to detach from: leave out --detach or --dry-run',
    );
  }
  if (flags.detach === true && flags.timeout !== undefined) {
    throw new UsageError('--timeout: with --detach nothing is waited for: leave out --timeout or --detach');
  }
  if (flags.dryRun !== true) {
    requireAnswer(flags, canPrompt, 'this changes the disk: add --yes, or --dry-run to read only');
  }
}

/** Refuses to go on where nobody can be asked and `--yes` was not given; `why` says what it is about and what to do. */
export function requireAnswer(flags: WaitFlags, canPrompt: boolean, why: string): void {
  if (flags.yes === true) return;
  if (flags.output === 'json') throw new UsageError(`--yes: -o json never prompts, and ${why}`);
  if (!canPrompt) throw new UsageError(`--yes: no terminal to ask for confirmation on, and ${why}`);
}

function contradictions(flags: RequestFlags, base: Partial<RollbackRequest>): string[] {
  const faults: string[] = [];
  const broughtBack = flags.path !== undefined || flags.sinceA === true || base.sync !== undefined;
  const aboutTheCopy = {
    '--conflict': flags.conflict,
    '--choose': flags.choose,
    '--into': flags.into,
    '--include': flags.include,
    '--exclude': flags.exclude,
    '--delete': flags.delete,
    '--max-rate': flags.maxRate,
    '--io-class': flags.ioClass,
    '--open-files': flags.openFiles,
    '--without-serial': flags.withoutSerial,
  };
  for (const [flag, value] of Object.entries(aboutTheCopy)) {
    if (value === undefined || broughtBack) continue;
    faults.push(`${flag}: nothing is brought back without --path: add --path, or leave out ${flag}`);
  }
  if (flags.sinceA === true && flags.into !== undefined) {
    faults.push('--since-a: in the folder of --into nothing tells what has changed since A: leave out one of them');
  }
  const failure = flags.onFailure ?? base.onFailureAfterReset ?? 'ask';
  if (flags.deleteUnseen === true && flags.delete !== true) {
    faults.push('--delete-unseen: nothing is deleted without --delete: add --delete, or leave out --delete-unseen');
  } else if (flags.delete === true && flags.deleteUnseen !== true && failure !== 'ask') {
    faults.push(
      `--delete: shows first what would be deleted and waits for a decision, and with --on-failure ${failure} nobody decides: add --delete-unseen, or use --on-failure ask`,
    );
  }
  if (broughtBack && (flags.power ?? base.powerAfter) === 'stopped') {
    const what = flags.path === undefined && flags.sinceA === true ? '--since-a' : '--path';
    faults.push(
      `--power: "stopped" contradicts ${what}, since bringing data back needs a running instance: use --power as-found or running, or leave out ${what}`,
    );
  }
  const mode = flags.mode ?? base.snapshotMode ?? 'cold';
  if ((flags.freeze ?? base.freezeFileSystems) === true && mode === 'cold') {
    faults.push(
      '--freeze: in mode cold the instance is stopped when the snapshot is cut, so there is nothing to freeze: add --mode warm or hot, or leave out --freeze',
    );
  }
  if (flags.approvals === undefined && base.approval === undefined) {
    const alone = [
      ...(flags.selfApproval === false ? ['--no-self-approval'] : []),
      ...(flags.approvalTimeout === undefined ? [] : ['--approval-timeout']),
      ...(flags.remindEvery === undefined ? [] : ['--remind-every']),
    ];
    for (const flag of alone) {
      faults.push(`${flag}: nobody is asked without --approvals: add --approvals 1, or leave out ${flag}`);
    }
  }
  // An undo of a run that has ended needs the consent itself.
  if (flags.acceptDataLoss === true && base.undoes === undefined && flags.onFailure !== 'undo') {
    faults.push(
      '--accept-data-loss: only an undo loses data that is not in snapshot B: add --on-failure undo, or leave out --accept-data-loss',
    );
  }
  return faults;
}

function target(flags: RequestFlags, env: Env): Record<string, unknown> {
  const fromEnvironment = env[REGION_VARIABLE];
  const region = flags.region ?? (fromEnvironment === '' ? undefined : fromEnvironment);
  return {
    regionId: region,
    diskId: flags.disk,
    snapshotId: flags.snapshot,
    ...(flags.instance === undefined ? {} : { instanceId: flags.instance }),
  };
}

function selection(flags: RequestFlags): Record<string, unknown> {
  return {
    paths: flags.path === undefined ? undefined : [...new Set(flags.path)],
    ...(flags.conflict === undefined ? {} : { conflictPolicy: flags.conflict }),
    ...(flags.choose === undefined ? {} : { choose: flags.choose }),
    ...(flags.into === undefined ? {} : { into: flags.into }),
    ...(flags.include === undefined ? {} : { include: flags.include }),
    ...(flags.exclude === undefined ? {} : { exclude: flags.exclude }),
    ...(flags.delete === undefined ? {} : { delete: flags.delete }),
    ...(flags.list === undefined ? {} : { filesFrom: flags.list }),
    ...(flags.sinceA === undefined ? {} : { sinceA: flags.sinceA }),
    ...(flags.deleteUnseen === undefined ? {} : { deleteUnseen: flags.deleteUnseen }),
    ...(flags.maxRate === undefined && flags.ioClass === undefined
      ? {}
      : {
          throttle: {
            ...(flags.maxRate === undefined ? {} : { mibPerSecond: whole(flags.maxRate) }),
            ...(flags.ioClass === undefined ? {} : { ioClass: flags.ioClass }),
          },
        }),
    ...(flags.openFiles === undefined ? {} : { openFiles: flags.openFiles }),
    ...(flags.withoutSerial === true ? { withoutSerial: 'compare' } : {}),
  };
}

type Issue = { readonly code: string; readonly path: readonly PropertyKey[]; readonly message: string };

function checked<T>(
  parsed: { success: true; data: T } | { success: false; error: { issues: readonly Issue[] } },
  flags: RequestFlags,
  asker: Asker,
): T {
  if (parsed.success) return parsed.data;
  const seen = new Set<string>();
  const lines: string[] = [];
  for (const issue of parsed.error.issues) {
    const place = issue.path.map(String).join('.');
    if (seen.has(place)) continue;
    seen.add(place);
    lines.push(objection(issue, flags, asker));
  }
  throw new UsageError(...lines);
}

function objection(issue: Issue, flags: RequestFlags, { env }: Asker): string {
  const { flag, value } = typed(issue.path, flags, env);
  if (value === undefined) {
    const instead = flag === '--region' ? ` (or set ${REGION_VARIABLE})` : '';
    return `${flag}: is missing: give ${EXPECTED[flag] ?? 'a value'}${instead}`;
  }
  if (issue.code === 'too_big' && issue.path[0] === 'sync' && issue.path.length === 2)
    return `${flag}: ${value} are too many: at most ${flag === '--path' ? 200 : 50} in one run`;
  const ours =
    issue.code === 'custom' ||
    issue.code === 'invalid_format' ||
    ['--path', '--include', '--exclude', '--into'].includes(flag);
  const said = ours ? issue.message : `is not accepted: expected ${EXPECTED[flag] ?? 'another value'}`;
  const name = flag === '--region' && flags.region === undefined ? REGION_VARIABLE : flag;
  return `${name}: ${shown(value)} ${said}`;
}

function typed(
  path: readonly PropertyKey[],
  flags: RequestFlags,
  env: Env,
): { flag: string; value?: string | undefined } {
  if (path[0] === 'sync') {
    if (path[1] === 'into') return { flag: '--into', value: flags.into };
    if (path[1] === 'conflictPolicy') return { flag: '--conflict', value: flags.conflict };
    if (path[1] === 'sinceA') return { flag: '--since-a', value: String(flags.sinceA) };
    if (path[1] === 'deleteUnseen') return { flag: '--delete-unseen', value: String(flags.deleteUnseen) };
    if (path[1] === 'openFiles') return { flag: '--open-files', value: flags.openFiles };
    if (path[1] === 'throttle') {
      return path[2] === 'ioClass'
        ? { flag: '--io-class', value: flags.ioClass }
        : { flag: '--max-rate', value: flags.maxRate };
    }
    if (path[1] === 'delete') return { flag: '--delete', value: String(flags.delete) };
    const index = path[2];
    if (path[1] === 'include' || path[1] === 'exclude') {
      const given = flags[path[1]];
      return {
        flag: `--${path[1]}`,
        value: typeof index === 'number' ? given?.[index] : `${given?.length ?? 0} patterns`,
      };
    }
    if (typeof index === 'number') return { flag: '--path', value: [...new Set(flags.path)][index] };
    return { flag: '--path', value: flags.path === undefined ? undefined : `${flags.path.length} paths` };
  }
  if (path[0] === 'hooks') {
    return { flag: '--hook', value: flags.hook?.findLast((text) => text.startsWith(`${String(path[1])}=`)) };
  }
  const name = String(path[0]) === 'approval' ? String(path[1]) : String(path[0]);
  const fields: Readonly<Record<string, { flag: string; value?: string | undefined }>> = {
    regionId: { flag: '--region', value: flags.region ?? (env[REGION_VARIABLE] || undefined) },
    diskId: { flag: '--disk', value: flags.disk },
    snapshotId: { flag: '--snapshot', value: flags.snapshot },
    instanceId: { flag: '--instance', value: flags.instance },
    powerAfter: { flag: '--power', value: flags.power },
    safetySnapshotRetentionDays: { flag: '--retention-days', value: flags.retentionDays },
    snapshotMode: { flag: '--mode', value: flags.mode },
    lockSafetySnapshotDays: { flag: '--lock-days', value: flags.lockDays },
    quorum: { flag: '--approvals', value: flags.approvals },
    timeoutSeconds: { flag: '--approval-timeout', value: flags.approvalTimeout },
    remindEverySeconds: { flag: '--remind-every', value: flags.remindEvery },
    requestedBy: { flag: '--requested-by', value: flags.requestedBy },
    onLeaseHeld: { flag: '--on-lease', value: flags.onLease },
    onFailureAfterReset: { flag: '--on-failure', value: flags.onFailure },
    forceStop: { flag: '--force-stop', value: String(flags.forceStop ?? false) },
    freezeFileSystems: { flag: '--freeze', value: String(flags.freeze ?? false) },
    acceptDataLoss: { flag: '--accept-data-loss', value: String(flags.acceptDataLoss ?? false) },
  };
  return fields[name] ?? { flag: `--${name}`, value: '' };
}

function shown(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
}
