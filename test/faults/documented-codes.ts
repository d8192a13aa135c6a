/**
 * What the documents of the ECS API say about the error codes of each call that changes something, as the project's fact
 * sheet lists them. Written down on its own, so that a mistake in `src/cloud/alicloud/codes.ts` shows.
 */

/**
 * - `passes`: to be tried again, with the state read anew or after a wait.
 * - `reached`: what was asked for is there, or on its way.
 * - `stays`: no try of ours will change it.
 */
export type CodeClass = 'passes' | 'reached' | 'stays';

export interface DocumentedCode {
  readonly code: string;
  readonly status: number;
  readonly class: CodeClass;
}

export type MutatingAction =
  | 'StopInstance'
  | 'StartInstance'
  | 'CreateSnapshot'
  | 'LockSnapshot'
  | 'DeleteSnapshot'
  | 'ResetDisk'
  | 'CreateDisk'
  | 'AttachDisk'
  | 'DetachDisk'
  | 'DeleteDisk'
  | 'RunCommand';

/** Codes in words, each with the status before it: `'400 A B 403 C'`. */
const codes = (className: CodeClass, text: string): DocumentedCode[] => {
  let status = 0;
  return text
    .trim()
    .split(/\s+/)
    .flatMap((word) => {
      if (!/^\d+$/.test(word)) return [{ code: word, status, class: className }];
      status = Number(word);
      return [];
    });
};

const KMS = `
  403 InvalidParameter.KMSKeyId.CMKNotEnabled InvalidParameter.KMSKeyId.CMKUnauthorized InvalidParameter.KMSKeyId.KMSUnauthorized`;

export const DOCUMENTED_CODES: { readonly [A in MutatingAction]: readonly DocumentedCode[] } = {
  StopInstance: [
    ...codes(
      'passes',
      '403 IncorrectInstanceStatus.Initializing InstanceNotReady DiskError 409 InvalidOperation.Conflict',
    ),
    ...codes('passes', '503 LimitedOperation.ServiceUnavailable'),
    ...codes('reached', '403 IncorrectInstanceStatus'),
    ...codes(
      'stays',
      '403 InstanceLockedForSecurity InstanceExpiredOrInArrears OperationDenied.SystemInstanceNotSupport',
    ),
    ...codes('stays', '404 InvalidInstanceId.NotFound'),
  ],
  StartInstance: [
    ...codes(
      'passes',
      '403 IncorrectInstanceStatus.Initializing InstanceNotReady DiskError 409 InvalidOperation.Conflict',
    ),
    // Capacity, or a sound host: slowly, and a person should know.
    ...codes('passes', '403 OperationDenied.NoStock OperationDenied.HostRepairing QuotaExceed.ElasticQuota'),
    ...codes('passes', '400 LackResource Invalid.PrivatePoolOptions.NoStock InvalidDedicatedHost.NotEnoughResource'),
    ...codes('reached', '403 IncorrectInstanceStatus'),
    ...codes('stays', '403 InstanceLockedForSecurity InstanceExpired InstanceExpiredOrInArrears InsufficientBalance'),
    ...codes('stays', '403 DiskInArrears OperationDenied.SystemInstanceNotSupport'),
    ...codes('stays', `403 OperationDenied.SpotPriceLowerThanPublicPrice ${KMS}`),
    ...codes('stays', '400 InvalidInstance.NotFoundSystemDisk 404 InvalidInstanceId.NotFound'),
  ],
  CreateSnapshot: [
    ...codes('passes', '400 IncorrectInstanceStatus CreateSnapshot.Failed 403 IncorrectDiskStatus Throttling'),
    ...codes(
      'passes',
      '403 IncorrectDiskStatus.Transferring IncorrectDiskStatus.CreatingSnapshot DISK_HAS_CREATING_SNAPSHOT',
    ),
    ...codes('passes', '403 QuotaExceed.ConcurrentSnapshotQuota InvalidOperation.UnfinishedEncryptedSnapshotCopy'),
    ...codes('reached', '403 IdempotentProcessing'),
    ...codes(
      'stays',
      '403 IncorrectDiskStatus.NeverAttached IncorrectDiskStatus.NeverUsed IncorrectDiskStatus.Invalid',
    ),
    ...codes(
      'stays',
      '403 QuotaExceed.Snapshot QuotaExceed.SnapshotQuota QuotaExceed.Tags IdempotentParameterMismatch',
    ),
    ...codes(
      'stays',
      '400 DiskCategory.OperationNotSupported 403 DiskId.ValueNotSupported IncorrectDiskType.NotSupport',
    ),
    ...codes('stays', '403 DiskInArrears InstanceLockedForSecurity InvalidAccountStatus.NotEnoughBalance'),
    ...codes(
      'stays',
      '403 InvalidAccountStatus.SnapshotServiceUnavailable HibernationConfigured.InstanceOperationForbidden',
    ),
    ...codes('stays', `400 InvalidParameter.KMSKeyId.NotFound ${KMS}`),
    ...codes('stays', '400 InvalidSnapshotName.Malformed InvalidRetentionDays.Malformed Duplicate.TagKey'),
    ...codes('stays', '400 InvalidTagKey.Malformed InvalidTagValue.Malformed 404 InvalidDiskId.NotFound'),
    ...codes('stays', '404 InvalidDescription.Malformed InvalidInstanceId.NotFound InvalidResourceGroup.NotFound'),
  ],
  // The documents name none of its own.
  LockSnapshot: [],
  DeleteSnapshot: [
    ...codes('passes', '400 IncorrectDiskStatus.CreatingSnapshot 403 Operation.Conflict'),
    ...codes('passes', '403 InvalidOperation.RelatedSnapshotNotFinished'),
    ...codes('reached', '404 InvalidSnapshotId.NotFound'),
    ...codes('stays', '400 MissingParameter 403 SnapshotCreatedImage SnapshotCreatedDisk'),
    ...codes('stays', '403 InvalidOperation.DeleteSharedSnapshotUnsupported'),
    ...codes('stays', '403 InvalidOperation.ResourceManagedByCloudProduct'),
  ],
  ResetDisk: [
    ...codes('passes', '400 InternalError 500 InternalError'),
    ...codes('passes', '403 IncorrectInstanceStatus IncorrectDiskStatus IncorrectDiskStatus.HasUnfinishedSnapshot'),
    ...codes('passes', '403 InvalidSnapshotId.NotReady Operation.Conflict'),
    ...codes('reached', '403 InvalidOperation.DiskResetInProgress'),
    ...codes('stays', '400 DiskCategory.OperationNotSupported InvalidRegionId.MalFormed 403 InvalidParameter.Mismatch'),
    ...codes(
      'stays',
      '403 OperationDenied InvalidSnapshot.TooOld InstanceLockedForSecurity InstanceExpiredOrInArrears',
    ),
    ...codes('stays', '403 InvalidAccountStatus.NotEnoughBalance InvalidAccountStatus.SnapshotServiceUnavailable'),
    ...codes('stays', `403 UserNotInTheWhiteList ${KMS} 404 InvalidDiskId.NotFound Disk.NotFound`),
    ...codes('stays', '404 InvalidSnapshotId.NotFound InvalidInstanceId.NotFound InvalidParameter.KMSKeyId.NotFound'),
  ],
  CreateDisk: [
    ...codes('passes', '403 InvalidSnapshot.NotReady InvalidSnapshotId.NotReady InvalidStatus.Upgrading'),
    ...codes('reached', '403 LastTokenProcessing'),
    ...codes('stays', '404 InvalidSnapshotId.NotFound 403 OperationDenied OperationDenied.SnapshotNotAllowed'),
    ...codes('stays', '403 InvalidSnapshot.TooOld InvalidSnapshot.TooLarge InvalidDiskSize.TooSmall'),
    ...codes('stays', '403 InvalidDiskSize.NotSupported 400 InvalidSize.ValueNotSupported'),
    ...codes('stays', '403 InvalidDataDiskSize.ValueNotSupported OperationDenied.PerformanceLevelNotMatch'),
    ...codes('stays', '400 InvalidDiskSizeOrCategory InvalidDataDiskCategory.NotSupported'),
    ...codes('stays', '403 InvalidDataDiskCategory.ValueNotSupported Zone.NotOnSale InvalidDiskCategory.NotSupported'),
    ...codes('stays', '400 InvalidDiskCategory.ConflictSnapshotCategory InvalidParameter.Encrypted'),
    ...codes('stays', '403 InvalidEncrypted.NotMatchSnapshot InvalidEncrypted.NotMatchDiskDefaultEncryption'),
    ...codes('stays', `400 EncryptedOption.Conflict InvalidKmsKeyId.NotMatchSnapshot ${KMS}`),
    ...codes(
      'stays',
      '403 QuotaExceed.PostPaidDisk QuotaExceeded.PostpaidDataDiskCapacity 400 QuotaExceed.DiskCapacity',
    ),
    ...codes('stays', '403 QuotaExceed.PortableCloudDisk InstanceDiskCategoryLimitExceed IdempotentParameterMismatch'),
    ...codes('stays', '403 InvalidAccountStatus.NotEnoughBalance 400 Account.Arrearage 403 InvalidPayMethod'),
    ...codes('stays', '403 SecurityRisk.3DVerification UserNotInTheWhiteList 404 InvalidZoneId.NotFound'),
    ...codes('stays', '404 InvalidRegionId.NotFound InvalidInstanceId.NotFound InvalidParameter.KMSKeyId.NotFound'),
  ],
  AttachDisk: [
    ...codes('passes', '400 IncorrectInstanceStatus OperationConflict.DisksAttachingParallellyExceed'),
    ...codes('passes', '403 DiskError DiskId.StatusNotSupported'),
    ...codes('reached', '403 IncorrectDiskStatus 404 InvalidDisk.InUse'),
    ...codes('stays', '403 IncorrectInstanceStatus.NotSupportESSD InstanceDiskLimitExceeded'),
    ...codes('stays', '403 InvalidOperation.DiskQueueNumberNotEnough ResourcesNotInSameZone DiskNotPortable'),
    ...codes('stays', '403 InvalidInstanceType.NotSupportDiskCategory InvalidInstanceType.NotSupportPL0'),
    ...codes('stays', '403 InvalidInstanceType.NvmeRequired InvalidInstanceType.NvmeUnsupported'),
    ...codes('stays', '403 InvalidInstanceType.NotSupportMultiAttachDisk 400 InvalidOperation.InstanceTypeNotSupport'),
    ...codes('stays', '403 DiskAttachedNumberExceeded DeleteWithInstance.Conflict 400 InvalidDevice.Malformed'),
    ...codes('stays', '403 InvalidDevice.InUse InstanceLockedForSecurity InstanceExpiredOrInArrears DiskInArrears'),
    ...codes('stays', `${KMS} UserNotInTheWhiteList 404 InvalidInstanceId.NotFound InvalidDiskId.NotFound`),
    ...codes('stays', '404 InvalidKMSKeyId.NotFound'),
  ],
  DetachDisk: [
    ...codes('passes', '400 DisksDetachingOnEcsExceeded 403 IncorrectDiskStatus IncorrectInstanceStatus'),
    ...codes('reached', '403 InvalidOperation.DiskDetachingFromThisEcs 404 InvalidDisk.AlreadyDetached'),
    ...codes('stays', '403 DiskTypeViolation DiskNotPortable InvalidInstance.ImageCategory'),
    ...codes('stays', '403 InvalidOperation.DiskCategoryUnsupported DeleteWithInstance.Conflict'),
  ],
  DeleteDisk: [
    ...codes('passes', '403 IncorrectDiskStatus.Initializing IncorrectDiskStatus DiskCreatingSnapshot'),
    ...codes('reached', '404 InvalidDiskId.NotFound'),
    ...codes('stays', '403 DiskStillAttached InvalidDiskStatus.DeleteProtection DiskNotPortable DiskTypeViolation'),
  ],
  RunCommand: [
    ...codes('passes', '500 InternalError.Dispatch'),
    ...codes('reached', '403 IdempotentProcessing'),
    ...codes('stays', '400 RegionId.ApiNotSupported MissingParam.InstanceId InvalidInstance.NotMatch'),
    ...codes('stays', '400 CmdContent.DecodeError CmdParam.EmptyKey CmdParam.InvalidParamName'),
    ...codes('stays', '400 InvalidParameter.WorkingDir InvalidClientToken.Malformed Parameter.Disabled'),
    ...codes(
      'stays',
      '400 Parameter.MissingValue InvalidParameter.Parameters InvalidResourceTag.ConflictWithInstanceIds',
    ),
    ...codes('stays', '403 InstanceIds.ExceedLimit Invocation.ExceedQuota CmdContent.ExceedLimit CmdCount.ExceedQuota'),
    ...codes('stays', '403 ParameterCount.ExceedLimit ParameterKey.ExceedLimit ParameterKey.Duplicate'),
    ...codes('stays', '403 Parameter.NotMatched ParameterType.NotSupported Username.ExceedLimit'),
    ...codes('stays', '403 InvalidLauncher.LengthLimitExceeded Operation.Forbidden IdempotentParameterMismatch'),
    ...codes('stays', '404 InvalidInstance.NotFound InvalidCmdId.NotFound InvalidRepeatMode.NotFound'),
    ...codes('stays', '404 InvalidTerminationMode.NotFound 403 InvalidCmdType.NotFound'),
  ],
};

/** Of any call. */
export const COMMON_CODES: readonly DocumentedCode[] = [
  ...codes('passes', '400 Throttling Throttling.User Throttling.Api UnknownError SignatureNonceUsed'),
  ...codes('passes', '409 OperationConflict InvalidOperation.Conflict 403 Operation.Conflict 500 InternalError'),
  ...codes('passes', '503 ServiceUnavailable ServiceUnavailable.RegionMaintaining'),
  ...codes('stays', '400 MissingParameter InvalidParameter UnsupportedParameter InvalidAccessKeyId.NotFound'),
  ...codes('stays', '400 IncompleteSignature SignatureDoesNotMatch IllegalTimestamp InvalidTimeStamp.Expired'),
  ...codes('stays', '400 InvalidSecurityToken.Expired 403 Forbidden.RAM Forbidden.Unauthorized Forbidden.SubUser'),
  ...codes('stays', '403 Forbidden.AccessKeyDisabled Forbidden.RiskControl InvalidAction InstanceLockedForSecurity'),
  ...codes('stays', '403 InstanceExpiredOrInArrears DiskInArrears InvalidAccountStatus.NotEnoughBalance'),
  ...codes('stays', '400 Account.Arrearage 404 InvalidRegionId.NotFound'),
];
