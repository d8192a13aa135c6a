/**
 * What each error Code of the ECS API means to this product. By Code alone: the same Code comes with different HTTP
 * statuses. Prefixes are no guide either (`IncorrectDiskStatus.NeverAttached` stays, `.Initializing` passes), so codes
 * that matter are listed in full and the rules by shape come last.
 */
import type { CloudErrorKind } from '../errors.ts';
import type { Action } from './actions.ts';

export interface CodeRow {
  readonly code: string;
  readonly kind: CloudErrorKind;
  readonly why: string;
  /** The actions for which this row holds; absent: all. A row with actions goes before one without. */
  readonly on?: readonly Action[];
}

const rows = (kind: CloudErrorKind, why: string, codes: readonly string[], on?: readonly Action[]): CodeRow[] =>
  codes.map((code) => (on === undefined ? { code, kind, why } : { code, kind, why, on }));

/** Calls that may be repeated as they are: reads, and effects that carry a ClientToken. */
const REPEATABLE: ReadonlySet<Action> = new Set<Action>([
  'DescribeInstances',
  'DescribeInstanceTypes',
  'DescribeAvailableResource',
  'DescribeDisks',
  'DescribeSnapshots',
  'DescribeLockedSnapshots',
  'DescribeInvocationResults',
  'DescribeCloudAssistantStatus',
  'CreateSnapshot',
  'LockSnapshot',
  'CreateDisk',
  'RunCommand',
]);

export const CODE_ROWS: readonly CodeRow[] = [
  ...rows('credentials', 'the key is unknown, disabled or wrong; no retry changes that', [
    'InvalidCredentials',
    'InvalidAccessKeyId.NotFound',
    'InvalidAccessKeyId.Inactive',
    'InvalidAccessKeyId',
    'InvalidAccessKeySecret',
    'Forbidden.AccessKeyDisabled',
    'MissingAccessKeyId',
    'IncompleteSignature',
    'SignatureDoesNotMatch',
    'InvalidSecurityToken.Expired',
    'InvalidSecurityToken.Malformed',
    'InvalidSecurityToken.MismatchWithAccessKey',
    'MissingSecurityToken',
  ]),
  ...rows('credentials', 'the clock of this machine is too far from that of the service', [
    'IllegalTimestamp',
    'InvalidTimeStamp.Expired',
    'InvalidTimeStamp.Format',
  ]),
  ...rows('transient', 'a proxy replayed the request; every new call has a new nonce', ['SignatureNonceUsed']),

  ...rows('denied', 'RAM, the account or a risk control forbids the call', [
    'Forbidden',
    'Forbidden.RAM',
    'Forbidden.Unauthorized',
    'Forbidden.SubUser',
    'Forbidden.RiskControl',
    'NoPermission',
    'NoPermission.Tag',
    'Operation.Forbidden',
    'UserNotInTheWhiteList',
    'SecurityRisk.3DVerification',
  ]),
  ...rows('denied', 'arrears or expiry: refused until someone pays', [
    'Account.Arrearage',
    'DiskInArrears',
    'InstanceExpired',
    'InstanceExpiredOrInArrears',
    'InsufficientBalance',
    'InvalidPayMethod',
    'InvalidAccountStatus.NotEnoughBalance',
    'InvalidAccountStatus.SnapshotServiceUnavailable',
  ]),
  ...rows('denied', 'locked for security: the service refuses everything', ['InstanceLockedForSecurity']),
  ...rows('denied', 'ECS may not use the KMS key, or the key is switched off', [
    'InvalidParameter.KMSKeyId.CMKNotEnabled',
    'InvalidParameter.KMSKeyId.CMKUnauthorized',
    'InvalidParameter.KMSKeyId.KMSUnauthorized',
  ]),
  ...rows('denied', 'the resource belongs to another product or account', [
    'InvalidOperation.ResourceManagedByCloudProduct',
    'InvalidOperation.DeleteSharedSnapshotUnsupported',
    'InvalidDiskStatus.DeleteProtection',
  ]),

  ...rows('notReady', 'an earlier call with the same ClientToken is still running: repeat with that token', [
    'LastTokenProcessing',
    'LastOrderProcessing',
    'LastRequestProcessing',
    'IdempotentProcessing',
  ]),
  ...rows('conflict', 'the ClientToken was used with other parameters: a defect of ours', [
    'IdempotentParameterMismatch',
  ]),

  ...rows('notReady', 'another operation on the resource is under way (the service spells it three ways)', [
    'OperationConflict',
    'Operation.Conflict',
    'InvalidOperation.Conflict',
  ]),
  ...rows('notReady', 'the instance is, or may be, in a state that passes; the caller re-reads it', [
    'IncorrectInstanceStatus',
    'IncorrectInstanceStatus.Initializing',
    'InstanceNotReady',
  ]),
  ...rows('notReady', 'the disk is, or may be, in a state that passes; the caller re-reads it', [
    'IncorrectDiskStatus',
    'IncorrectDiskStatus.Transferring',
    'DiskId.StatusNotSupported',
    'InvalidStatus.Upgrading',
    'DiskInCoolingPeriod',
  ]),
  ...rows('notReady', 'the new disk still loads its blocks from the snapshot; deletable within minutes', [
    'IncorrectDiskStatus.Initializing',
  ]),
  ...rows('notReady', 'a snapshot of the disk is being made; goes on when it ends', [
    'IncorrectDiskStatus.HasUnfinishedSnapshot',
    'IncorrectDiskStatus.CreatingSnapshot',
    'IncorrectDiskStatus.TooManyCreatingSnapshots',
    'DISK_HAS_CREATING_SNAPSHOT',
    'DiskCreatingSnapshot',
    'QuotaExceed.ConcurrentSnapshotQuota',
    'InvalidOperation.RelatedSnapshotNotFinished',
    'InvalidOperation.UnfinishedEncryptedSnapshotCopy',
  ]),
  ...rows('notReady', 'the snapshot is not Available yet', ['InvalidSnapshot.NotReady', 'InvalidSnapshotId.NotReady']),
  ...rows('notReady', 'a reset of the disk runs: an earlier call was accepted', [
    'InvalidOperation.DiskResetInProgress',
  ]),
  ...rows(
    'notReady',
    'the disk is not in a legal state, such as in the middle of a reset',
    ['DiskError'],
    ['AttachDisk', 'StopInstance', 'StartInstance'],
  ),
  ...rows('notReady', 'one attach and one detach at a time per instance', [
    'OperationConflict.DisksAttachingParallellyExceed',
    'DisksDetachingOnEcsExceeded',
  ]),
  ...rows('notReady', 'the detach was accepted earlier', ['InvalidOperation.DiskDetachingFromThisEcs']),
  ...rows(
    'notReady',
    'still attached to something; whether to the right instance is read from the disk',
    ['InvalidDisk.InUse'],
    ['AttachDisk'],
  ),
  ...rows(
    'notReady',
    'the Cloud Assistant agent has not reported yet',
    ['ClientNotRunning', 'ClientNotResponse', 'ClientIsUpgrading'],
    ['RunCommand'],
  ),

  ...rows('notFound', 'not attached any more: the goal of a detach', ['InvalidDisk.AlreadyDetached'], ['DetachDisk']),
  ...rows('notFound', 'no such thing, or none this identity may see', [
    'InvalidDiskId.NotFound',
    'InvalidDiskIds.NotFound',
    'Disk.NotFound',
    'InvalidSnapshotId.NotFound',
    'InvalidInstanceId.NotFound',
    'InvalidInstanceIds.NotFound',
    'InvalidInstance.NotFound',
    'InvalidInvokeId.NotFound',
    'InvalidRegionId.NotFound',
    'InvalidZoneId.NotFound',
    'InvalidParameter.KMSKeyId.NotFound',
    'InvalidKMSKeyId.NotFound',
  ]),

  ...rows('conflict', 'the disk is attached to another instance', ['DependencyViolation'], ['DetachDisk']),
  ...rows('conflict', 'the disk must be detached first', ['DiskStillAttached']),
  ...rows('conflict', 'never attached: the disk has nothing to snapshot', [
    'IncorrectDiskStatus.NeverAttached',
    'IncorrectDiskStatus.NeverUsed',
  ]),
  ...rows('conflict', 'the disk needs a restart of its instance first', [
    'IncorrectDiskStatus.Invalid',
    'IncorrectInstanceStatus.NotSupportESSD',
  ]),
  ...rows('conflict', 'the snapshot is of another disk, or encryption does not match', [
    'InvalidParameter.Mismatch',
    'InvalidEncrypted.NotMatchSnapshot',
    'InvalidKmsKeyId.NotMatchSnapshot',
  ]),
  ...rows('conflict', 'this snapshot cannot serve for it', [
    'OperationDenied',
    'OperationDenied.SnapshotNotAllowed',
    'InvalidSnapshot.TooOld',
    'InvalidSnapshot.TooLarge',
    'SnapshotCreatedDisk',
    'SnapshotCreatedImage',
  ]),
  ...rows('conflict', 'disk, instance and zone do not go together', [
    'ResourcesNotInSameZone',
    'DiskNotPortable',
    'DiskTypeViolation',
    'DeleteWithInstance.Conflict',
    'HibernationConfigured.InstanceOperationForbidden',
    'InvalidInstance.NotMatch',
  ]),

  ...rows('quota', 'no more of it until something is removed, released or a limit raised', [
    'QuotaExceed.Snapshot',
    'QuotaExceed.SnapshotQuota',
    'QuotaExceed.Tags',
    'QuotaExceed.PostPaidDisk',
    'QuotaExceed.DiskCapacity',
    'QuotaExceed.PortableCloudDisk',
    'QuotaExceed.ElasticQuota',
    'QuotaExceeded.PostpaidDataDiskCapacity',
    'InstanceDiskLimitExceeded',
    'InstanceDiskCategoryLimitExceed',
    'InvalidOperation.DiskQueueNumberNotEnough',
    'DiskAttachedNumberExceeded',
    'Invocation.ExceedQuota',
    'CmdCount.ExceedQuota',
  ]),
  ...rows(
    'noStock',
    'the capacity was given up with StopCharging, or the host is being repaired: a human should know, and it may pass',
    [
      'OperationDenied.NoStock',
      'OperationDenied.HostRepairing',
      'QuotaExceed.ElasticQuota',
      'LackResource',
      'Invalid.PrivatePoolOptions.NoStock',
      'InvalidDedicatedHost.NotEnoughResource',
    ],
    ['StartInstance'],
  ),
  ...rows('notReady', 'the host is being repaired', ['OperationDenied.HostRepairing']),
  ...rows('quota', 'out of stock in the zone', [
    'OperationDenied.NoStock',
    'LackResource',
    'Zone.NotOnSale',
    'Invalid.PrivatePoolOptions.NoStock',
    'InvalidDedicatedHost.NotEnoughResource',
  ]),

  ...rows('transient', 'the service says that it is away for a moment; nothing was started', [
    'ServiceUnavailable',
    'ServiceUnavailable.RegionMaintaining',
    'LimitedOperation.ServiceUnavailable',
  ]),
  ...rows('transient', 'the service could not make it this time', ['CreateSnapshot.Failed']),
  ...rows(
    'transient',
    'Cloud Assistant could not hand the command out; the ClientToken keeps it single',
    ['InternalError.Dispatch'],
    ['RunCommand'],
  ),
];

const exact = new Map<string, CodeRow[]>();
for (const row of CODE_ROWS) exact.set(row.code, [...(exact.get(row.code) ?? []), row]);

/**
 * The meaning of an error Code for one action. A dry run (`dryRun`) changes nothing, so it counts as a read.
 * Codes that are not listed are judged by their shape, and what is left over is never taken for harmless: a fault of
 * the service on a call that cannot be repeated may have taken effect (`unknownOutcome`).
 */
export function kindOfCode(
  code: string,
  action: Action,
  context: { readonly dryRun?: boolean; readonly status?: number | undefined } = {},
): CloudErrorKind {
  if (code.includes('Throttling')) return 'throttled';
  const listed = exact.get(code);
  const row = listed?.find((each) => each.on?.includes(action)) ?? listed?.find((each) => each.on === undefined);
  if (row !== undefined) return row.kind;
  return kindByShape(code, context.dryRun === true || REPEATABLE.has(action), context.status);
}

function kindByShape(code: string, repeatable: boolean, status: number | undefined): CloudErrorKind {
  const fault: CloudErrorKind = repeatable ? 'transient' : 'unknownOutcome';
  // ResetDisk gives InternalError with HTTP 400, others with 500.
  if (/^(InternalError|UnknownError)(\.|$)/.test(code)) return fault;
  if (code.startsWith('ServiceUnavailable')) return 'transient';
  if (/^(InvalidAccessKey|InvalidSecurityToken|Signature|InvalidTimeStamp)/.test(code)) return 'credentials';
  if (/^(Forbidden|NoPermission|InvalidAccountStatus|Account)(\.|$)/.test(code)) return 'denied';
  if (/(^|\.)NotFound$/.test(code)) return 'notFound';
  if (code.startsWith('QuotaExceed') || /(ExceedQuota|LimitExceed(ed)?)$/.test(code)) return 'quota';
  if (/^(IncorrectDiskStatus|IncorrectInstanceStatus|OperationDenied|InvalidOperation)\./.test(code)) return 'conflict';
  if (/^(Invalid|Missing|Incomplete|Unsupported|Duplicate|NumberExceed)/i.test(code)) return 'invalid';
  if (/(NotSupport(ed)?|Malformed|Mismatch)$/.test(code)) return 'invalid';
  if (status === 429) return 'throttled';
  if (status === 409) return 'notReady';
  // A Code nobody has listed: 5xx and a missing status may hide an effect; a 4xx is a refusal.
  return status !== undefined && status >= 400 && status < 500 ? 'invalid' : fault;
}
