/**
 * From flags to a request of the contract. Refuses what contradicts itself, and says what the schemas object to in terms
 * of the flags that were typed.
 */
import type { RollbackInput, SyncInput } from '../contract/rollback.ts';
import { rollbackInputSchema, syncInputSchema } from '../contract/rollback.ts';
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
  readonly conflict?: string;
  readonly power?: string;
  readonly forceStop?: boolean;
  readonly retentionDays?: string;
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
  '--conflict': 'newer-wins, keep-live or take-b',
  '--power': 'as-found, running or stopped',
  '--retention-days': 'a whole number of days from 1 to 65536, such as 30',
};

/** With a plan file the flags only add to its request, and the environment adds nothing. */
export function rollbackInput(flags: RequestFlags, env: Env, file?: PlanFile): RollbackInput {
  const faults = file === undefined ? contradictions(flags) : [];
  if (faults.length > 0) throw new UsageError(...faults);
  const given = {
    ...target(flags, file === undefined ? env : {}),
    ...(flags.path === undefined && (file === undefined || flags.conflict === undefined)
      ? {}
      : { sync: selection(flags) }),
    ...(flags.power === undefined ? {} : { powerAfter: flags.power }),
    ...(flags.forceStop === undefined ? {} : { forceStop: flags.forceStop }),
    ...(flags.retentionDays === undefined
      ? {}
      : { safetySnapshotRetentionDays: /^\d+$/.test(flags.retentionDays) ? Number(flags.retentionDays) : Number.NaN }),
  };
  const request =
    file === undefined ? given : requestOfPlan(file, given, (path) => typed(path.split('.'), flags, {}).flag);
  return checked(rollbackInputSchema.safeParse(request), flags, env);
}

export function syncInput(flags: RequestFlags, env: Env): SyncInput {
  const request = { ...target(flags, env), sync: selection(flags) };
  return checked(syncInputSchema.safeParse(request), flags, env);
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
  if (flags.dryRun === true || flags.yes === true) return;
  if (flags.output === 'json') {
    throw new UsageError(
      '--yes: -o json never prompts, and this changes the disk: add --yes, or --dry-run to read only',
    );
  }
  if (!canPrompt) {
    throw new UsageError(
      '--yes: no terminal to ask for confirmation on, and this changes the disk: add --yes, or --dry-run to read only',
    );
  }
}

function contradictions(flags: RequestFlags): string[] {
  const faults: string[] = [];
  if (flags.conflict !== undefined && flags.path === undefined) {
    faults.push('--conflict: nothing is brought back without --path: add --path, or leave out --conflict');
  }
  if (flags.path !== undefined && flags.power === 'stopped') {
    faults.push(
      '--power: "stopped" contradicts --path, since bringing data back needs a running instance: use --power as-found or running, or leave out --path',
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
  };
}

type Issue = { readonly code: string; readonly path: readonly PropertyKey[]; readonly message: string };

function checked<T>(
  parsed: { success: true; data: T } | { success: false; error: { issues: readonly Issue[] } },
  flags: RequestFlags,
  env: Env,
): T {
  if (parsed.success) return parsed.data;
  const seen = new Set<string>();
  const lines: string[] = [];
  for (const issue of parsed.error.issues) {
    const place = issue.path.map(String).join('.');
    if (seen.has(place)) continue;
    seen.add(place);
    lines.push(objection(issue, flags, env));
  }
  throw new UsageError(...lines);
}

function objection(issue: Issue, flags: RequestFlags, env: Env): string {
  const { flag, value } = typed(issue.path, flags, env);
  if (value === undefined) {
    const instead = flag === '--region' ? ` (or set ${REGION_VARIABLE})` : '';
    return `${flag}: is missing: give ${EXPECTED[flag] ?? 'a value'}${instead}`;
  }
  if (issue.code === 'too_big' && issue.path.length === 2)
    return `--path: ${value} are too many: at most 200 in one run`;
  const ours = issue.code === 'custom' || issue.code === 'invalid_format' || flag === '--path';
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
    if (path[1] === 'conflictPolicy') return { flag: '--conflict', value: flags.conflict };
    const index = path[2];
    if (typeof index === 'number') return { flag: '--path', value: [...new Set(flags.path)][index] };
    return { flag: '--path', value: flags.path === undefined ? undefined : `${flags.path.length} paths` };
  }
  const name = String(path[0]);
  const fields: Readonly<Record<string, { flag: string; value?: string | undefined }>> = {
    regionId: { flag: '--region', value: flags.region ?? (env[REGION_VARIABLE] || undefined) },
    diskId: { flag: '--disk', value: flags.disk },
    snapshotId: { flag: '--snapshot', value: flags.snapshot },
    instanceId: { flag: '--instance', value: flags.instance },
    powerAfter: { flag: '--power', value: flags.power },
    forceStop: { flag: '--force-stop', value: String(flags.forceStop ?? false) },
    safetySnapshotRetentionDays: { flag: '--retention-days', value: flags.retentionDays },
  };
  return fields[name] ?? { flag: `--${name}`, value: '' };
}

function shown(value: string): string {
  return JSON.stringify(value.length > 80 ? `${value.slice(0, 77)}...` : value);
}
