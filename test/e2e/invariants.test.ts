/** The checker of the invariants finds each breach: a clean run, broken in one place at a time. */
import { expect, it } from 'vitest';
import type { CallRecord, DiskState, InstanceState, SnapshotState, World } from '../../simulator/state/model.ts';
import { TAG } from '../../src/contract/ids.ts';
import { type Evidence, violations } from './invariants.ts';

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
const tags = Object.fromEntries(Object.values(TAG).map((key, index) => [`Tag.${index + 1}.Key`, key]));
const reset = () => call('ResetDisk', { DiskId: 'd-1', SnapshotId: 's-a' });

function clean(): Evidence {
  seq = 0;
  return {
    diskId: 'd-1',
    instanceId: 'i-1',
    snapshotId: 's-a',
    before: world([disk('d-1')], [snapshot('s-a')]),
    after: world([disk('d-1')], [snapshot('s-a'), snapshot('s-b')]),
    calls: [
      call('StopInstance', { InstanceId: 'i-1' }),
      call('CreateSnapshot', { DiskId: 'd-1', ...tags }),
      call('DescribeSnapshots'),
      reset(),
      call('StartInstance', { InstanceId: 'i-1' }),
      call('CreateDisk', tags),
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
