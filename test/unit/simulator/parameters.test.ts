/** Wire parameters become typed values, and whatever the action table does not know is refused by name. */
import { describe, expect, it } from 'vitest';
import type { ActionName } from '../../../simulator/api/action-table.ts';
import { ApiError } from '../../../simulator/protocol/api-error.ts';
import { Parameters } from '../../../simulator/protocol/parameters.ts';

const parse = (action: ActionName, wire: Record<string, string>): Parameters =>
  Parameters.parse(action, new Map(Object.entries(wire)));

function refusal(action: ActionName, wire: Record<string, string>): ApiError {
  try {
    parse(action, wire);
  } catch (error) {
    if (error instanceof ApiError) return error;
    throw error;
  }
  throw new Error('it was accepted');
}

describe('parameters', () => {
  it('reads scalars, lists by their number, structs and booleans', () => {
    const p = parse('RunCommand', {
      RegionId: 'cn-hangzhou',
      Type: 'RunShellScript',
      CommandContent: 'x',
      'InstanceId.10': 'i-j',
      'InstanceId.2': 'i-b',
      'Tag.1.Key': 'k',
      'Tag.1.Value': 'v',
      'Tag.2.Key': 'k2',
      Timeout: '90',
      KeepCommand: 'True',
      OwnerId: '1',
    });
    expect(p.list('InstanceId')).toEqual(['i-b', 'i-j']);
    expect(p.structs('Tag')).toEqual([{ Key: 'k', Value: 'v' }, { Key: 'k2' }]);
    expect(p.integer('Timeout')).toBe(90);
    expect(p.boolean('KeepCommand')).toBe(true);
    expect(p.boolean('EnableParameter')).toBeUndefined();
  });

  it.each<[ActionName, Record<string, string>, string, string]>([
    ['ResetDisk', { DiskId: 'd', SnapshotId: 's', DiskID: 'd' }, 'UnsupportedParameter', 'DiskID'],
    ['ResetDisk', { DiskId: 'd' }, 'MissingParameter', 'SnapshotId'],
    ['ResetDisk', { DiskId: '', SnapshotId: 's' }, 'MissingParameter', 'DiskId'],
    ['ResetDisk', { 'DiskId.1': 'd', SnapshotId: 's' }, 'InvalidParameter', 'DiskId'],
    ['ResetDisk', { DiskId: 'd', SnapshotId: 's', DryRun: 'yes' }, 'InvalidParameter', 'DryRun'],
    ['CreateDisk', { RegionId: 'r', Size: '20GB' }, 'InvalidParameter', 'Size'],
    ['CreateDisk', { RegionId: 'r', InstanceId: 'i' }, 'UnsupportedParameter', 'InstanceId'],
    ['StopInstances', { RegionId: 'r', InstanceId: 'i-1' }, 'InvalidParameter', 'InstanceId.1'],
    ['StopInstances', { RegionId: 'r', 'InstanceId.x': 'i-1' }, 'InvalidParameter', 'InstanceId.1'],
    ['DescribeDisks', { RegionId: 'r', 'Tag.1': 'k' }, 'InvalidParameter', 'Tag.1.Key'],
    ['DescribeDisks', { RegionId: 'r', 'Tag.1.Name': 'k' }, 'InvalidParameter', 'Tag.1.Key'],
    ['DescribeDisks', {}, 'MissingParamter.RegionId', 'RegionId'],
  ])('%s %o is %s', (action, wire, code, named) => {
    const error = refusal(action, wire);
    expect(error.code).toBe(code);
    expect(error.message).toContain(named);
    expect(error.status).toBe(400);
  });

  it('a handler that reads what the table does not model is a defect', () => {
    const p = parse('ResetDisk', { DiskId: 'd', SnapshotId: 's' });
    expect(() => p.text('Force')).toThrow(/does not list/);
  });
});
