/** The checker of the invariants finds each breach: a clean run, broken in one place at a time. */
import { expect, it } from 'vitest';
import type { CallRecord, DiskState, InstanceState, SnapshotState, World } from '../../../simulator/state/model.ts';
import { type Purpose, TAG } from '../../../src/contract/ids.ts';
import { type Evidence, overlaps, violations } from '../../support/invariants.ts';

const disk = (id: string, instanceId = 'i-1') => ({ id, attachment: { instanceId } }) as DiskState;
const snapshot = (id: string, more: Partial<SnapshotState> = {}) =>
  ({ id, sourceDiskId: 'd-1', status: 'accomplished', modifiedAt: '2026-11-22T03:00:10Z', ...more }) as SnapshotState;
const world = (disks: DiskState[], snapshots: SnapshotState[], status: InstanceState['status'] = 'Running') =>
  ({
    disks: Object.fromEntries(disks.map((each) => [each.id, each])),
    snapshots: Object.fromEntries(snapshots.map((each) => [each.id, each])),
    instances: { 'i-1': { id: 'i-1', status } },
    tasks: [],
  }) as unknown as World;

let seq = 0;
const call = (action: string, parameters: object = {}, more: Partial<CallRecord> = {}): CallRecord => ({
  seq: (seq += 1),
  time: `2026-11-22T03:00:${String(10 + seq).padStart(2, '0')}.000Z`,
  action,
  parameters: { ...parameters },
  code: 'OK',
  status: 200,
  requestId: '',
  tookEffect: !action.startsWith('Describe'),
  answered: true,
  ...more,
});
const tags = (purpose: Purpose, run = 'run-1') =>
  Object.fromEntries(
    Object.values(TAG).flatMap((key, index) => [
      [`Tag.${index + 1}.Key`, key],
      [`Tag.${index + 1}.Value`, key === TAG.run ? run : key === TAG.purpose ? purpose : '…'],
    ]),
  );
const createB = (createdId = 's-b') =>
  call('CreateSnapshot', { DiskId: 'd-1', ...tags('safety-snapshot') }, { createdId });
const reset = () => call('ResetDisk', { DiskId: 'd-1', SnapshotId: 's-a' });

function clean(): Evidence {
  seq = 0;
  return {
    run: 'run-1',
    diskId: 'd-1',
    instanceId: 'i-1',
    snapshotId: 's-a',
    before: world([disk('d-1')], [snapshot('s-a')]),
    after: world([disk('d-1')], [snapshot('s-a'), snapshot('s-b')]),
    calls: [
      call('StopInstance', { InstanceId: 'i-1' }),
      createB(),
      call('DescribeSnapshots'),
      reset(),
      call('StartInstance', { InstanceId: 'i-1' }),
      call('CreateDisk', tags('recovery-disk'), { createdId: 'd-2' }),
      call('DetachDisk', { DiskId: 'd-2' }),
      call('DeleteDisk', { DiskId: 'd-2' }),
    ],
    resets: 1,
    power: 'Running',
    ledger: [{ kind: 'disk', id: 'd-2', purpose: 'recovery-disk', state: 'released' }],
    leftovers: [],
    inGuest: [],
    texts: { history: 'nothing to see' },
    secrets: ['t0p-secret'],
  };
}
const more = (...calls: Array<() => CallRecord>): Partial<Evidence> => {
  const { calls: before } = clean();
  return { calls: [...before, ...calls.map((make) => make())] };
};
const without = (action: string): Partial<Evidence> => ({
  calls: clean().calls.filter((each) => each.action !== action),
});
const inPayload = (text: string) => ({ texts: { history: `{"data":"${Buffer.from(text).toString('base64')}"}` } });

it('finds nothing in a clean run', () => {
  expect(violations(clean())).toEqual([]);
});

it.each<[breach: string, first: RegExp, change: () => Partial<Evidence>]>([
  ['no reset', /^I1: 0 effective/, () => without('ResetDisk')],
  ['two resets', /^I1: 2 effective/, () => more(reset)],
  ['a reset in a run that must not', /^I1: 1 effective/, () => ({ resets: 0 })],
  ['a reset to another snapshot', /^I1: ResetDisk to s-a/, () => ({ snapshotId: 's-b' })],
  ['a reset without B', /^I2: .* without/, () => ({ after: world([disk('d-1')], [snapshot('s-a')]) })],
  [
    'a reset before B is finished',
    /^I2: .* before/,
    () => ({ after: world([disk('d-1')], [snapshot('s-a'), snapshot('s-b', { modifiedAt: '2026-11-22T03:09:00Z' })]) }),
  ],
  ['a reset after the start', /^I3/, () => more(reset)],
  [
    'a disk that is left',
    /^I4: disk d-2/,
    () => ({ after: world([disk('d-1'), disk('d-2')], [snapshot('s-a'), snapshot('s-b')]) }),
  ],
  ['a mount that is left', /^I4: in the guest: mount/, () => ({ inGuest: ['mount /run/ecs-rollback'] })],
  ['A deleted', /^I5: snapshot s-a is gone/, () => ({ after: world([disk('d-1')], [snapshot('s-b')]) })],
  ['the original disk detached', /^I5: DetachDisk/, () => more(() => call('DetachDisk', { DiskId: 'd-1' }))],
  [
    'the disk of somebody else deleted',
    /^I6: DeleteDisk of d-9/,
    () => more(() => call('DeleteDisk', { DiskId: 'd-9' })),
  ],
  ['a disk without our tags', /^I6: CreateDisk without/, () => more(() => call('CreateDisk'))],
  [
    'a disk for another run',
    /^I6: CreateDisk for run run-2/,
    () => more(() => call('CreateDisk', tags('recovery-disk', 'run-2'), { createdId: 'd-3' })),
  ],
  [
    'a second recovery disk',
    /^I6: 2 disks/,
    () => more(() => call('CreateDisk', tags('recovery-disk'), { createdId: 'd-3' })),
  ],
  ['a disk that the ledger does not have', /^I6: DeleteDisk/, () => ({ ledger: [] })],
  ['B deleted', /^I5: 1 snapshot B made, 0 kept/, () => ({ after: world([disk('d-1')], [snapshot('s-a')]) })],
  [
    'a second snapshot B',
    /^I5: 2 snapshot B made/,
    () => ({
      after: world(
        [disk('d-1')],
        ['s-a', 's-b', 's-c'].map((id) => snapshot(id)),
      ),
      ...more(() => createB('s-c')),
    }),
  ],
  [
    'a snapshot deleted that is no warm-up',
    /^I5: DeleteSnapshot of s-b/,
    () => more(() => call('DeleteSnapshot', { SnapshotId: 's-b' })),
  ],
  [
    'B taken before the stop',
    /^I2: .* before the instance was stopped/,
    () => {
      const [stop, b, ...rest] = clean().calls;
      return {
        calls: [b, stop, ...rest].flatMap((each, index) => (each === undefined ? [] : { ...each, seq: index })),
      };
    },
  ],
  [
    'an instance left stopped',
    /^I7: .* Stopped/,
    () => ({ after: world([disk('d-1')], [snapshot('s-a'), snapshot('s-b')], 'Stopped') }),
  ],
  ['a secret in a payload', /^I10: history contains/, () => inPayload('{"password":"the t0p-secret itself"}')],
  ['a script in a payload', /^I10: .* script/, () => inPayload('#!/bin/bash\nset -eu\nrm -rf /tmp/x')],
  ['an action nobody allowed', /^I11: RebootInstance/, () => more(() => call('RebootInstance'))],
  [
    'a bad signature',
    /^I11: .* SignatureDoesNotMatch/,
    () => more(() => call('DescribeDisks', {}, { code: 'SignatureDoesNotMatch' })),
  ],
])('finds %s', (_, breach, change) => {
  expect(violations({ ...clean(), ...change() }).filter((line) => breach.test(line))).not.toEqual([]);
});

it('lets mode hot take B before the stop, and a warm-up snapshot be deleted', () => {
  seq = 0;
  const warmUp = call('CreateSnapshot', { DiskId: 'd-1', ...tags('warm-up-snapshot') }, { createdId: 's-w' });
  const b = createB();
  const calls = [warmUp, b, ...clean().calls.filter(({ action }) => action !== 'CreateSnapshot')].map(
    (each, index): CallRecord => ({ ...each, seq: index }),
  );
  const deleted = call('DeleteSnapshot', { SnapshotId: 's-w' });
  expect(violations({ ...clean(), mode: 'hot', calls: [...calls, deleted] })).toEqual([]);
});

it('finds a run that works before the one before it is over, and one that works after its own end', () => {
  const at = (seconds: number) => `2026-11-22T03:00:${seconds}.000Z`;
  const endedAt = (seconds: number) => Date.parse(at(seconds));
  const one = { run: 'one', endedAt: endedAt(20), calls: [call('StopInstance', {}, { time: at(11) })] };
  const two = { run: 'two', endedAt: endedAt(40), calls: [call('CreateSnapshot', {}, { time: at(21) })] };
  expect(overlaps([two, one])).toEqual([]);
  const early = call('StopInstance', {}, { time: at(19) });
  expect(overlaps([one, { ...two, calls: [early] }])).toEqual([expect.stringMatching(/^I9: StopInstance of run two/)]);
  const late = call('DeleteDisk', {}, { time: at(41) });
  expect(overlaps([one, { ...two, calls: [late] }])).toEqual([expect.stringMatching(/^I9: DeleteDisk of run two/)]);
  const look = call('DescribeDisks', {}, { time: at(41) });
  expect(overlaps([one, { ...two, calls: [look] }])).toEqual([]);
});
