/** Instances: describe, stop, start, reboot. */
import type { Region } from '../engine/region.ts';
import { ApiError, invalidParameter } from '../protocol/api-error.ts';
import { diskQuantityOf, type InstanceState, instanceTypes, type Task } from '../state/model.ts';
import {
  type Call,
  findInstance,
  type Handler,
  matchesName,
  matchesTags,
  oneOf,
  refuseDryRun,
  refuseLockedInstance,
  wireTags,
} from './call.ts';
import { page } from './paging.ts';

const statuses = ['Pending', 'Starting', 'Running', 'Stopping', 'Stopped'] as const;

function wireInstance(region: Region, instance: InstanceState): Record<string, unknown> {
  return {
    InstanceId: instance.id,
    InstanceName: instance.name,
    Description: instance.description,
    HostName: instance.hostName,
    Status: instance.status,
    StoppedMode: instance.stoppedMode,
    RegionId: region.world.regionId,
    ZoneId: instance.zoneId,
    InstanceType: instance.instanceType,
    InstanceTypeFamily: instance.instanceType.split('.').slice(0, 2).join('.'),
    Cpu: instance.cpu,
    Memory: instance.memoryMiB,
    OSType: instance.osType,
    OSName: instance.osName,
    OSNameEn: instance.osName,
    ImageId: 'm-bp1simulatorimage0001',
    InstanceChargeType: 'PostPaid',
    InternetChargeType: 'PayByTraffic',
    InstanceNetworkType: 'vpc',
    IoOptimized: true,
    Recyclable: false,
    DeletionProtection: false,
    DeviceAvailable: true,
    CreationTime: `${instance.createdAt.slice(0, 16)}Z`,
    StartTime: instance.startedAt === '' ? '' : `${instance.startedAt.slice(0, 16)}Z`,
    ExpiredTime: '2099-12-31T15:59Z',
    AutoReleaseTime: instance.autoReleaseTime,
    KeyPairName: instance.keyPairName,
    SerialNumber: instance.id.slice(2),
    ResourceGroupId: '',
    OperationLocks: { LockReason: instance.locks.map((LockReason) => ({ LockReason, LockMsg: '' })) },
    PublicIpAddress: { IpAddress: [] },
    InnerIpAddress: { IpAddress: [] },
    SecurityGroupIds: { SecurityGroupId: [] },
    NetworkInterfaces: { NetworkInterface: [] },
    Tags: wireTags(instance.tags),
  };
}

const describeInstances: Handler = (call) => {
  const { p, region } = call;
  const malformed = (fact: string): ApiError =>
    new ApiError('InvalidInstanceIds.Malformed', 403, `The specified parameter "InstanceIds" is not valid: ${fact}.`);
  const ids = p.jsonList('InstanceIds', 100, {
    notJson: malformed('it must be a JSON array of ids'),
    tooMany: malformed('at most 100 ids'),
  });
  const status = oneOf(call, 'Status', statuses, 'InvalidStatus.NotFound', 404);
  const chargeType = oneOf(
    call,
    'InstanceChargeType',
    ['PrePaid', 'PostPaid'],
    'InvalidInstanceChargeType.NotFound',
    404,
  );
  refuseDryRun(call);
  const lock = p.text('LockReason');
  const type = p.text('InstanceType');
  const zone = p.text('ZoneId');
  const rows = Object.values(region.world.instances).filter(
    (instance) =>
      (ids === undefined || ids.includes(instance.id)) &&
      (status === undefined || status === instance.status) &&
      (chargeType === undefined || chargeType === 'PostPaid') &&
      (lock === undefined || instance.locks.includes(lock)) &&
      (type === undefined || type === instance.instanceType) &&
      (zone === undefined || zone === instance.zoneId) &&
      matchesName(p.text('InstanceName'), instance.name) &&
      matchesTags(call, instance.tags),
  );
  const { rows: shown, fields } = page(call, rows, { pageSize: 100, maxResults: 100 });
  return { ...fields, Instances: { Instance: shown.map((instance) => wireInstance(region, instance)) } };
};

const describeInstanceStatus: Handler = (call) => {
  const { p, region } = call;
  const ids = p.list('InstanceId');
  if (ids.length > 100) {
    throw new ApiError('InvalidParameter.TooManyInstanceIds', 403, 'The amount of specified instance ids exceeds 100.');
  }
  const zone = p.text('ZoneId');
  const rows = Object.values(region.world.instances).filter(
    (instance) => (ids.length === 0 || ids.includes(instance.id)) && (zone === undefined || zone === instance.zoneId),
  );
  const { rows: shown, fields } = page(call, rows, { pageSize: 50, maxResults: 0 });
  return {
    ...fields,
    InstanceStatuses: { InstanceStatus: shown.map(({ id, status }) => ({ InstanceId: id, Status: status })) },
  };
};

const describeInstanceTypes: Handler = (call) => {
  const { p, region } = call;
  const wanted = p.list('InstanceTypes');
  if (wanted.length > 10) throw invalidParameter('InstanceTypes', 'at most 10 instance types');
  const family = p.text('InstanceTypeFamily');
  const familyOf = (type: string): string => type.split('.').slice(0, 2).join('.');
  const rows = Object.entries(instanceTypes)
    .map(([id, type], index) => ({ seq: index + 1, id, ...type }))
    .filter(
      ({ id }) => (wanted.length === 0 || wanted.includes(id)) && (family === undefined || family === familyOf(id)),
    );
  const { rows: shown, fields } = page(call, rows, { pageSize: 100, maxResults: 100, noPageNumbers: true });
  return {
    NextToken: fields['NextToken'],
    InstanceTypes: {
      InstanceType: shown.map(({ id, cpu, memoryGiB }) => ({
        InstanceTypeId: id,
        InstanceTypeFamily: familyOf(id),
        CpuCoreCount: cpu,
        MemorySize: memoryGiB,
        CpuArchitecture: 'X86',
        DiskQuantity: diskQuantityOf(region.world, id),
        NvmeSupport: 'supported',
      })),
    },
  };
};

type Power = 'stop' | 'start' | 'reboot';

const stopUnderWay = ({ region }: Call, instance: InstanceState): Task | undefined =>
  region.tasksOf(instance.id).find((task) => task.kind === 'stopInstance');
const mayForce = ({ p, region }: Call): boolean =>
  p.boolean('ForceStop') === true && region.world.switches.forceStopWhileStopping === 'accept';

function checkPower(call: Call, instance: InstanceState, power: Power): void {
  refuseLockedInstance(instance);
  const wanted = power === 'start' ? 'Stopped' : 'Running';
  if (instance.status === 'Pending') {
    throw new ApiError('IncorrectInstanceStatus.Initializing', 403, 'The specified instance is being initialized.');
  }
  if (power === 'stop' && stopUnderWay(call, instance) !== undefined && mayForce(call)) return;
  if (instance.status !== wanted) {
    throw new ApiError(
      'IncorrectInstanceStatus',
      403,
      `The current status "${instance.status}" of the resource does not support this operation.`,
    );
  }
  const disks = call.region.disksOf(instance.id);
  if (disks.some((disk) => disk.resetting || disk.status !== 'In_use')) {
    throw new ApiError('DiskError', 403, 'A disk of the instance is not in a state that supports this operation.');
  }
  if (power === 'start') {
    if (!disks.some((disk) => disk.kind === 'system')) {
      throw new ApiError('InvalidInstance.NotFoundSystemDisk', 400, 'The specified instance has no system disk.');
    }
    if (instance.stoppedMode === 'StopCharging' && call.region.world.switches.stock === 'no') {
      throw new ApiError('OperationDenied.NoStock', 403, 'The requested resource is sold out in the specified zone.');
    }
  }
}

function stoppedModeOf(call: Call): 'KeepCharging' | 'StopCharging' {
  return (
    oneOf(call, 'StoppedMode', ['KeepCharging', 'StopCharging'], 'InvalidParameter.StoppedMode', 400) ??
    call.region.world.switches.defaultStoppedMode
  );
}

function applyPower(call: Call, instance: InstanceState, power: Power): void {
  const { region } = call;
  const before = power === 'stop' ? stopUnderWay(call, instance) : undefined;
  // Its power is being cut already.
  if (before?.data['force'] === true) return;
  call.effect();
  if (before !== undefined) {
    region.dropTasks(instance.id);
    region.recheckHolds();
  }
  if (power === 'start') {
    instance.status = 'Starting';
    region.begin('startInstance', instance.id, region.seconds('startInstance'));
    return;
  }
  const force = call.p.boolean('ForceStop') ?? false;
  region.goDown(instance);
  if (power === 'stop') {
    region.begin('stopInstance', instance.id, region.seconds('stopInstance'), {
      force,
      stoppedMode: stoppedModeOf(call),
    });
  } else {
    region.begin('rebootInstance', instance.id, region.seconds('stopInstance') + region.seconds('startInstance'), {
      force,
    });
  }
}

const singular =
  (power: Power): Handler =>
  (call) => {
    if (power === 'stop') stoppedModeOf(call);
    const instance = findInstance(call, call.p.need('InstanceId'));
    checkPower(call, instance, power);
    refuseDryRun(call);
    applyPower(call, instance, power);
    return {};
  };

const plural =
  (power: 'stop' | 'start'): Handler =>
  (call) => {
    const ids = call.p.list('InstanceId');
    if (ids.length > 100) {
      throw new ApiError(
        'InvalidParameter.TooManyInstanceIds',
        403,
        'The amount of specified instance ids exceeds 100.',
      );
    }
    if (power === 'stop') stoppedModeOf(call);
    const mode =
      oneOf(call, 'BatchOptimization', ['AllTogether', 'SuccessFirst'], 'InvalidParameter.BatchOptimization', 400) ??
      'AllTogether';
    const instances = ids.map((id) => {
      const found = call.region.world.instances[id];
      if (found === undefined) {
        throw new ApiError('InvalidInstanceIds.NotFound', 404, `The specified instance "${id}" does not exist.`);
      }
      return found;
    });
    const refusals = new Map<string, ApiError>();
    for (const instance of instances) {
      try {
        checkPower(call, instance, power);
      } catch (error) {
        if (!(error instanceof ApiError) || mode === 'AllTogether') throw error;
        refusals.set(instance.id, error);
      }
    }
    if (call.p.boolean('DryRun') === true) {
      throw new ApiError('DRYRUN.SUCCESS', 400, 'All of the specified parameters are valid; nothing was done.');
    }
    const answers = instances.map((instance) => {
      const PreviousStatus = instance.status;
      const refusal = refusals.get(instance.id);
      if (refusal === undefined) applyPower(call, instance, power);
      return {
        InstanceId: instance.id,
        PreviousStatus,
        CurrentStatus: instance.status,
        Code: refusal?.code ?? '200',
        Message: refusal?.message ?? 'success',
      };
    });
    return { InstanceResponses: { InstanceResponse: answers } };
  };

export const instanceActions = {
  DescribeInstances: describeInstances,
  DescribeInstanceStatus: describeInstanceStatus,
  DescribeInstanceTypes: describeInstanceTypes,
  StopInstance: singular('stop'),
  StartInstance: singular('start'),
  RebootInstance: singular('reboot'),
  StopInstances: plural('stop'),
  StartInstances: plural('start'),
};
