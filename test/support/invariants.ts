/**
 * The invariants I1–I7, I10 and I11 of one run, judged from the simulator's own log of calls and state, from the guest, and
 * from all that the run wrote – never from what it claims to have done. I8 is each test's comparison of bytes, I9 the order
 * of the runs of one instance (`overlaps`).
 */
import { readFileSync } from 'node:fs';
import type { CallRecord, SnapshotState, World } from '../../simulator/state/model.ts';
import { type Purpose, TAG } from '../../src/contract/ids.ts';
import type { LedgerEntry } from '../../src/contract/rollback.ts';
import { withPayloads } from '../replay/history-file.ts';

export interface Evidence {
  /** The value of `TAG.run` on what the run made. */
  readonly run: string;
  readonly diskId: string;
  readonly instanceId: string;
  /** Snapshot A. */
  readonly snapshotId: string;
  /** The simulator's state just before the run and after its end. */
  readonly before: World;
  readonly after: World;
  /** What the simulator received in between about the instance and its disks; nobody but the run's worker may have called. */
  readonly calls: readonly CallRecord[];
  /** How many resets this ending allows. */
  readonly resets: 0 | 1;
  /** The power state that the run promised. */
  readonly power: 'Running' | 'Stopped';
  /** When snapshot B was to be taken; default `cold`. */
  readonly mode?: 'cold' | 'warm' | 'hot';
  /** From the run's result or failure report. */
  readonly ledger: readonly LedgerEntry[];
  readonly leftovers: readonly string[];
  /** Mounts, folders, processes and devices found in the guest afterwards that a run may have left. */
  readonly inGuest: readonly string[];
  /** Everything that left the worker, by name; payloads may still be in Base64. */
  readonly texts: Readonly<Record<string, string>>;
  /** What must be in none of `texts`: keys, and a marker that every file in the guest contains. */
  readonly secrets: readonly string[];
}

/** One line for each breach, beginning with the invariant's number; empty when all hold. */
export function violations(evidence: Evidence): string[] {
  return [...i1(evidence), ...i2(evidence), ...i3(evidence), ...i4(evidence), ...i5(evidence), ...i6(evidence)].concat([
    ...i7(evidence),
    ...i10(evidence),
    ...i11(evidence),
  ]);
}

function text(call: CallRecord, parameter: string): string {
  const value = call.parameters[parameter];
  return typeof value === 'string' ? value : '';
}
const effective = ({ calls }: Evidence, action: string): CallRecord[] =>
  calls.filter((call) => call.action === action && call.tookEffect);

/** Exactly one effective ResetDisk per run and disk; none when the run must not reset. */
function* i1(evidence: Evidence): Generator<string> {
  const resets = effective(evidence, 'ResetDisk');
  if (resets.length !== evidence.resets) yield `I1: ${resets.length} effective ResetDisk, expected ${evidence.resets}`;
  for (const reset of resets) {
    if (text(reset, 'DiskId') !== evidence.diskId) yield `I1: ResetDisk of ${text(reset, 'DiskId')}`;
    if (text(reset, 'SnapshotId') !== evidence.snapshotId) yield `I1: ResetDisk to ${text(reset, 'SnapshotId')}`;
  }
}

/** No ResetDisk, not even one that is refused, before snapshot B is finished; and nothing is written after B was taken. */
function* i2(evidence: Evidence): Generator<string> {
  const { calls, mode = 'cold' } = evidence;
  const sent = calls.filter((call) => call.action === 'ResetDisk' && text(call, 'DryRun') !== 'true');
  const stop = calls.find((call) => call.action === 'StopInstance' && call.tookEffect);
  const madeB = created(evidence, 'CreateSnapshot', 'safety-snapshot');
  if (sent.length > 0 && mode !== 'hot' && stop !== undefined && madeB.some(({ seq }) => seq < stop.seq)) {
    yield 'I2: snapshot B was taken before the instance was stopped';
  }
  for (const reset of sent) {
    const made = snapshotsB(evidence).filter(({ status }) => status === 'accomplished');
    if (made.length === 0) yield `I2: ResetDisk without a finished snapshot B`;
    for (const { id, modifiedAt } of made) {
      // To the second, as the service shows it.
      if (Date.parse(modifiedAt) > Date.parse(reset.time)) {
        yield `I2: ResetDisk at ${reset.time}, before snapshot B ${id} was finished at ${modifiedAt}`;
      }
    }
  }
}

/** No ResetDisk after the run started the instance again, hence none after the first byte of the copy. */
function* i3({ calls }: Evidence): Generator<string> {
  const started = calls.find((call) => call.action === 'StartInstance' && call.tookEffect);
  if (started === undefined) return;
  const late = calls.filter(
    (call) => call.action === 'ResetDisk' && text(call, 'DryRun') !== 'true' && call.seq > started.seq,
  );
  for (const reset of late) yield `I3: ResetDisk (call ${reset.seq}) after StartInstance (call ${started.seq})`;
}

/** No temporary disk, attachment or mount is left that the run does not list. */
function* i4({ before, after, leftovers, inGuest }: Evidence): Generator<string> {
  for (const disk of Object.values(after.disks)) {
    const earlier = before.disks[disk.id];
    const listed = leftovers.some((line) => line.includes(disk.id));
    if (earlier === undefined && !listed) yield `I4: disk ${disk.id} (${disk.status}) is left`;
    if (earlier !== undefined && earlier.attachment?.instanceId !== disk.attachment?.instanceId) {
      yield `I4: disk ${disk.id} was attached to ${earlier.attachment?.instanceId}, now to ${disk.attachment?.instanceId}`;
    }
  }
  for (const { kind, subject } of after.tasks) yield `I4: ${kind} of ${subject} is still under way`;
  for (const line of inGuest) yield `I4: in the guest: ${line}`;
}

/** A and B are never deleted; the original disk is never deleted or detached. */
function* i5(evidence: Evidence): Generator<string> {
  const { before, after, calls, diskId } = evidence;
  for (const id of Object.keys(before.snapshots)) {
    if (after.snapshots[id] === undefined) yield `I5: snapshot ${id} is gone`;
  }
  const warmUps = created(evidence, 'CreateSnapshot', 'warm-up-snapshot').map(({ createdId }) => createdId);
  for (const call of calls) {
    if (call.action === 'DeleteSnapshot' && !warmUps.includes(text(call, 'SnapshotId'))) {
      yield `I5: DeleteSnapshot of ${text(call, 'SnapshotId')}`;
    }
    if (['DeleteDisk', 'DetachDisk'].includes(call.action) && text(call, 'DiskId') === diskId) {
      yield `I5: ${call.action} of the original disk`;
    }
  }
  if (after.disks[diskId] === undefined) yield 'I5: the original disk is gone';
  const made = created(evidence, 'CreateSnapshot', 'safety-snapshot').length;
  const kept = snapshotsB(evidence);
  const good = kept.filter(({ status }) => status !== 'failed');
  if (made !== kept.length || good.length > 1) yield `I5: ${made} snapshot B made, ${kept.length} kept`;
}

/** DetachDisk and DeleteDisk only on what this run created: by its ledger, and by the tags it was created with. */
function* i6(evidence: Evidence): Generator<string> {
  const { calls, ledger, run } = evidence;
  const inLedger = new Set(ledger.filter(({ kind }) => kind === 'disk').map(({ id }) => id));
  const disks = created(evidence, 'CreateDisk', 'recovery-disk');
  for (const call of calls.filter(({ action }) => action === 'DetachDisk' || action === 'DeleteDisk')) {
    const id = text(call, 'DiskId');
    if (!inLedger.has(id) || !disks.some(({ createdId }) => createdId === id)) {
      yield `I6: ${call.action} of ${id}, which the run did not make`;
    }
  }
  if (disks.length > 1) yield `I6: ${disks.length} disks were created`;
  for (const call of [...effective(evidence, 'CreateDisk'), ...effective(evidence, 'CreateSnapshot')]) {
    const tags = tagsSent(call);
    for (const tag of Object.values(TAG)) {
      if (tags[tag] === undefined) yield `I6: ${call.action} without the tag ${tag}`;
    }
    if (tags[TAG.run] !== undefined && tags[TAG.run] !== run) yield `I6: ${call.action} for run ${tags[TAG.run]}`;
  }
}

/** The instance ends in the promised power state. */
function* i7({ after, instanceId, power }: Evidence): Generator<string> {
  const { status } = after.instances[instanceId] ?? { status: 'gone' };
  if (status !== power) yield `I7: the instance is ${status}, promised was ${power}`;
}

/** No secret, file content or full command text in what a run writes. */
function* i10({ texts, secrets }: Evidence): Generator<string> {
  for (const [name, written] of Object.entries(texts)) {
    if (written === '') yield `I10: ${name} is empty, so it was not looked at`;
    const readable = withPayloads(written);
    for (const secret of secrets) {
      if (readable.includes(secret)) yield `I10: ${name} contains ${secret.slice(0, 6)}…`;
    }
    if (/#!\/bin\/|set -[eu]/.test(readable)) yield `I10: ${name} contains the text of a script`;
  }
}

/** Every action called is on the least-privilege list, and every call carried a good signature. */
function* i11({ calls }: Evidence): Generator<string> {
  const allowed = policyActions();
  for (const action of new Set(calls.map((call) => call.action))) {
    if (!allowed.has(`ecs:${action}`)) yield `I11: ${action} is not in deploy/ram-policy.json`;
  }
  for (const { action, code } of calls) {
    if (/Signature|AccessKey|Nonce|TimeStamp/i.test(code)) yield `I11: ${action} was answered ${code}`;
  }
}

/** Tags that a call gave to what it made. */
function tagsSent({ parameters }: CallRecord): Record<string, string> {
  const keys = Object.entries(parameters).filter(([name]) => /^Tag\.\d+\.Key$/.test(name));
  return Object.fromEntries(keys.map(([name, key]) => [String(key), String(parameters[name.replace('Key', 'Value')])]));
}

/** Effective calls by which the run made something for one purpose. */
const created = (evidence: Evidence, action: 'CreateSnapshot' | 'CreateDisk', purpose: Purpose): CallRecord[] =>
  effective(evidence, action).filter((call) => tagsSent(call)[TAG.purpose] === purpose);

/** What became of the snapshots that the run made as B. */
const snapshotsB = (evidence: Evidence): SnapshotState[] =>
  created(evidence, 'CreateSnapshot', 'safety-snapshot').flatMap(
    ({ createdId = '' }) => evidence.after.snapshots[createdId] ?? [],
  );

/** One line for each change that a run of an instance made before the run before it, or after itself, was over (I9). */
export function overlaps(
  runs: ReadonlyArray<{ readonly run: string; readonly endedAt: number; readonly calls: readonly CallRecord[] }>,
): string[] {
  const inOrder = runs.toSorted((a, b) => a.endedAt - b.endedAt);
  return inOrder.flatMap(({ calls, run, endedAt }, index) => {
    const from = inOrder[index - 1]?.endedAt ?? 0;
    return calls
      .filter(({ tookEffect, time }) => tookEffect && (Date.parse(time) < from || Date.parse(time) > endedAt))
      .map(({ action, time }) => `I9: ${action} of run ${run} at ${time}, outside of its time`);
  });
}

function policyActions(): Set<string> {
  const policy = JSON.parse(readFileSync(new URL('../../deploy/ram-policy.json', import.meta.url), 'utf8')) as {
    Statement: ReadonlyArray<{ Action: string | string[] }>;
  };
  return new Set(policy.Statement.flatMap(({ Action }) => Action));
}
