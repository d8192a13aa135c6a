/**
 * `start --plan FILE` and `approve --plan FILE`: a plan as `plan -o json` printed it. To a start it supplies the request and the hash that the run is held to, so
 * that what was read is what is started.
 */
import { readFileSync } from 'node:fs';
import { type RollbackInput, type RollbackPlan, rollbackInputSchema } from '../contract/rollback.ts';
import { UsageError } from './usage-error.ts';

export interface PlanFile {
  readonly path: string;
  readonly request: RollbackInput;
  readonly plan: RollbackPlan;
}

type Loose = Readonly<Record<string, unknown>>;

const isObject = (value: unknown): value is Loose =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

/** What no plan depends on: it may be said anew when the plan is started. */
const FREE: ReadonlySet<string> = new Set(['requestedBy', 'approval', 'onLeaseHeld', 'dryRun', 'expectedPlanHash']);

/** Reads and checks the file. Throws a `UsageError` that names the file, what is wrong with it and what was expected. */
export function readPlanFile(path: string): PlanFile {
  const refuse = (fact: string) =>
    new UsageError(`--plan: ${path} ${fact}: expected a file written by \`plan … -o json > ${path}\``);
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    const code = (error as NodeJS.ErrnoException).code;
    throw refuse(`cannot be read (${code === 'ENOENT' ? 'no such file' : (code ?? 'unknown reason')})`);
  }
  let document: unknown;
  try {
    document = JSON.parse(text);
  } catch {
    throw refuse('is not JSON');
  }
  if (!isObject(document) || document['outcome'] !== 'planned' || !isObject(document['plan'])) {
    throw refuse('holds no plan');
  }
  const { request, plan } = document;
  if (!isObject(request)) throw refuse('holds a plan without its request');
  if (!('powerAfter' in request)) throw refuse('holds the plan of a sync, not of a rollback');
  const parsed = rollbackInputSchema.safeParse(request);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw refuse(`holds a request that is not accepted (${issue?.path.join('.')} ${issue?.message})`);
  }
  if (typeof plan['hash'] !== 'string' || !/^[0-9a-f]{64}$/.test(plan['hash']))
    throw refuse('holds a plan without hash');
  for (const field of ['regionId', 'diskId', 'snapshotId'] as const) {
    if (plan[field] !== parsed.data[field]) throw refuse(`contradicts itself (${field} of request and plan differ)`);
  }
  if (!Array.isArray(plan['findings']) || !Array.isArray(plan['steps'])) throw refuse('holds half a plan');
  return { path, request: parsed.data, plan: plan as unknown as RollbackPlan };
}

/**
 * The request of the file with what the flags add to it. `given` is what was typed, as fields of a request; `flagOf` names
 * the flag of a field. What differs from the plan is refused.
 */
export function requestOfPlan(file: PlanFile, given: Loose, flagOf: (path: string) => string): Loose {
  const faults = differences(given, file.request, '').map(
    ({ path, typed, planned }) =>
      `${flagOf(path)}: ${shown(typed)} contradicts the plan in ${file.path}, which has ${shown(planned)}: leave the flag out, or plan again with it`,
  );
  if (faults.length > 0) throw new UsageError(...faults);
  const free = Object.fromEntries(Object.entries(given).filter(([field]) => FREE.has(field)));
  return { ...file.request, ...free, dryRun: false, expectedPlanHash: file.plan.hash };
}

interface Difference {
  readonly path: string;
  readonly typed: unknown;
  readonly planned: unknown;
}

function differences(given: Loose, planned: unknown, above: string): Difference[] {
  return Object.entries(given).flatMap(([field, typed]): Difference[] => {
    const path = above === '' ? field : `${above}.${field}`;
    const other = isObject(planned) ? planned[field] : undefined;
    if (FREE.has(path) || typed === undefined) return [];
    if (isObject(typed)) return differences(typed, other, path);
    return JSON.stringify(typed) === JSON.stringify(other) ? [] : [{ path, typed, planned: other }];
  });
}

function shown(value: unknown): string {
  if (value === undefined) return 'nothing';
  return Array.isArray(value) ? value.map(String).join(', ') : JSON.stringify(value);
}

/** How the world differs from the plan, one clause for each difference that a reader of both can see. */
export function drift(planned: RollbackPlan, seen: RollbackPlan): string {
  const clauses: string[] = [];
  const parts = ['disk', 'target', 'instance'] as const;
  for (const part of parts) {
    const before: Loose = { ...planned[part] };
    const after: Loose = { ...seen[part] };
    for (const field of new Set([...Object.keys(before), ...Object.keys(after)])) {
      if (JSON.stringify(before[field]) === JSON.stringify(after[field])) continue;
      clauses.push(`${part}.${field} was ${shown(before[field])}, is ${shown(after[field])}`);
    }
  }
  const key = ({ severity, code }: RollbackPlan['findings'][number]) => `${severity} ${code}`;
  const before = new Set(planned.findings.map(key));
  const after = new Set(seen.findings.map(key));
  clauses.push(...[...after].filter((each) => !before.has(each)).map((each) => `new: ${each}`));
  clauses.push(...[...before].filter((each) => !after.has(each)).map((each) => `gone: ${each}`));
  return clauses.length === 0 ? 'what would be done is no longer the same' : clauses.join('; ');
}
