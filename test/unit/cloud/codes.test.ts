import { describe, expect, it } from 'vitest';
import { ACTIONS, type Action } from '../../../src/cloud/alicloud/actions.ts';
import { CODE_ROWS, kindOfCode } from '../../../src/cloud/alicloud/codes.ts';
import type { CloudErrorKind } from '../../../src/cloud/errors.ts';

const table: [code: string, action: Action, kind: CloudErrorKind][] = [
  ['InvalidAccessKeyId.NotFound', 'DescribeDisks', 'credentials'],
  ['SignatureDoesNotMatch', 'ResetDisk', 'credentials'],
  ['IllegalTimestamp', 'ResetDisk', 'credentials'],
  ['InvalidSecurityToken.Expired', 'DescribeDisks', 'credentials'],
  ['Forbidden.RAM', 'ResetDisk', 'denied'],
  ['Forbidden.AccessKeyDisabled', 'ResetDisk', 'credentials'],
  ['InstanceLockedForSecurity', 'AttachDisk', 'denied'],
  ['DiskInArrears', 'ResetDisk', 'denied'],
  ['InvalidParameter.KMSKeyId.CMKNotEnabled', 'CreateDisk', 'denied'],
  // Throttling comes as 400, 403, 429 and 503; the word is what counts.
  ['Throttling', 'CreateSnapshot', 'throttled'],
  ['Throttling.User', 'DescribeDisks', 'throttled'],
  ['Rejected.Throttling', 'ResetDisk', 'throttled'],
  ['LastTokenProcessing', 'CreateDisk', 'notReady'],
  ['IdempotentProcessing', 'CreateSnapshot', 'notReady'],
  ['IdempotentParameterMismatch', 'CreateDisk', 'conflict'],
  ['OperationConflict', 'AttachDisk', 'notReady'],
  ['Operation.Conflict', 'ResetDisk', 'notReady'],
  ['InvalidOperation.Conflict', 'StopInstance', 'notReady'],
  ['IncorrectInstanceStatus', 'ResetDisk', 'notReady'],
  ['IncorrectDiskStatus', 'DeleteDisk', 'notReady'],
  ['IncorrectDiskStatus.Initializing', 'DeleteDisk', 'notReady'],
  ['IncorrectDiskStatus.HasUnfinishedSnapshot', 'ResetDisk', 'notReady'],
  ['InvalidOperation.DiskResetInProgress', 'ResetDisk', 'notReady'],
  ['InvalidSnapshotId.NotReady', 'CreateDisk', 'notReady'],
  ['QuotaExceed.ConcurrentSnapshotQuota', 'CreateSnapshot', 'notReady'],
  ['QuotaExceed.Snapshot', 'CreateSnapshot', 'quota'],
  ['OperationDenied.NoStock', 'StartInstance', 'noStock'],
  ['LackResource', 'StartInstance', 'noStock'],
  ['OperationDenied.HostRepairing', 'StartInstance', 'noStock'],
  ['OperationDenied.NoStock', 'CreateDisk', 'quota'],
  // Same prefix, other fate.
  ['IncorrectDiskStatus.NeverAttached', 'CreateSnapshot', 'conflict'],
  ['InvalidDiskId.NotFound', 'DeleteDisk', 'notFound'],
  ['InvalidDisk.AlreadyDetached', 'DetachDisk', 'notFound'],
  ['DependencyViolation', 'DetachDisk', 'conflict'],
  ['DiskError', 'StartInstance', 'notReady'],
  ['InvalidParameter.Mismatch', 'ResetDisk', 'conflict'],
  ['MissingParameter', 'ResetDisk', 'invalid'],
  ['CmdContent.ExceedLimit', 'RunCommand', 'invalid'],
  ['ServiceUnavailable', 'ResetDisk', 'transient'],
];

describe('kindOfCode', () => {
  it.each(table)('%s on %s is %s', (code, action, kind) => {
    expect(kindOfCode(code, action, { status: 403 })).toBe(kind);
  });

  it('does not depend on the HTTP status for listed codes', () => {
    for (const row of CODE_ROWS) {
      const action = row.on?.[0] ?? 'ResetDisk';
      const kinds = [400, 403, 404, 500, 503, undefined].map((status) => kindOfCode(row.code, action, { status }));
      expect(new Set(kinds), row.code).toEqual(new Set([row.kind]));
    }
  });

  it('takes a fault of the service for harmless only where the call can be repeated', () => {
    for (const [action, nature] of Object.entries(ACTIONS) as [Action, string][]) {
      // ClientToken makes these four repeatable.
      const repeatable =
        nature === 'read' || ['CreateSnapshot', 'LockSnapshot', 'CreateDisk', 'RunCommand'].includes(action);
      const expected = repeatable ? 'transient' : 'unknownOutcome';
      for (const status of [400, 500, undefined])
        expect(kindOfCode('InternalError', action, { status })).toBe(expected);
      expect(kindOfCode('SomethingNew', action, { status: 500 })).toBe(expected);
    }
    expect(kindOfCode('InternalError', 'ResetDisk', { status: 400, dryRun: true })).toBe('transient');
  });

  it('judges unknown codes by shape', () => {
    const kind = (code: string, status = 403): CloudErrorKind => kindOfCode(code, 'AttachDisk', { status });
    expect(kind('InvalidThing.NotFound')).toBe('notFound');
    expect(kind('Forbidden.NewRule')).toBe('denied');
    expect(kind('InvalidAccountStatus.New')).toBe('denied');
    expect(kind('QuotaExceed.New')).toBe('quota');
    expect(kind('IncorrectDiskStatus.New')).toBe('conflict');
    expect(kind('InvalidOperation.New')).toBe('conflict');
    expect(kind('InvalidNewParameter')).toBe('invalid');
    expect(kind('Rotten')).toBe('invalid');
    expect(kind('Rotten', 409)).toBe('notReady');
    expect(kind('Rotten', 429)).toBe('throttled');
    expect(kind('Rotten', 502)).toBe('unknownOutcome');
  });

  it('lists no code twice for one action, and no row without a reason', () => {
    const seen = new Set<string>();
    for (const { code, on, why } of CODE_ROWS) {
      expect(why.length, code).toBeGreaterThan(10);
      for (const action of on ?? ['*']) {
        const key = `${code} ${action}`;
        expect(seen.has(key), key).toBe(false);
        seen.add(key);
      }
    }
  });
});
