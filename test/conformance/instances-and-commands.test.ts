/** Power states, Cloud Assistant, tags, paging and client tokens. */
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { codeOf, control, ecs, live, Probe, type Scene, type Service, startService, until } from './service.ts';

let service: Service;
let probe: Probe;
let scene: Scene;
beforeAll(async () => {
  service = await startService();
  probe = new Probe(service);
});
beforeEach(async () => {
  if (live) return;
  await probe.thaw();
  scene = await probe.scene();
});
afterAll(async () => await service?.stop());

describe.skipIf(live)('power', () => {
  it('stop and start pass their transitional states and refuse what does not fit', async () => {
    const { instanceId } = scene;
    const stop = new ecs.StopInstanceRequest({ instanceId });
    const start = new ecs.StartInstanceRequest({ instanceId });
    expect(await codeOf(probe.client.startInstance(start))).toBe('IncorrectInstanceStatus 403');
    expect(await codeOf(probe.client.stopInstance(new ecs.StopInstanceRequest({ instanceId, dryRun: true })))).toBe(
      'DryRunOperation 400',
    );
    expect((await probe.instance(instanceId))?.stoppedMode).toBe('Not-applicable');
    await probe.freeze();
    await probe.client.stopInstance(stop);
    expect((await probe.instance(instanceId))?.status).toBe('Stopping');
    expect(await codeOf(probe.client.stopInstance(stop))).toBe('IncorrectInstanceStatus 403');
    expect(await codeOf(probe.client.startInstance(start))).toBe('IncorrectInstanceStatus 403');
    const spare = 'd-nothing';
    expect(await codeOf(probe.attach(spare, instanceId))).toBe('InvalidDiskId.NotFound 404');
    await probe.thaw();
    await probe.instanceBecomes(instanceId, 'Stopped');
    expect((await probe.instance(instanceId))?.stoppedMode).toBe('KeepCharging');
    expect(await codeOf(probe.client.stopInstance(stop))).toBe('IncorrectInstanceStatus 403');
    expect(await codeOf(probe.client.rebootInstance(new ecs.RebootInstanceRequest({ instanceId })))).toBe(
      'IncorrectInstanceStatus 403',
    );
    await probe.freeze();
    await probe.client.startInstance(start);
    expect((await probe.instance(instanceId))?.status).toBe('Starting');
    await probe.thaw();
    await probe.instanceBecomes(instanceId, 'Running');
    await probe.client.rebootInstance(new ecs.RebootInstanceRequest({ instanceId }));
    await probe.instanceBecomes(instanceId, 'Running');
  });

  it('a guest that does not go down: its power is cut, or not while it is asked', async () => {
    const { instanceId } = scene;
    const stop = (forceStop: boolean) =>
      probe.client.stopInstance(new ecs.StopInstanceRequest({ instanceId, forceStop, stoppedMode: 'KeepCharging' }));
    await control(service, 'POST', `instances/${instanceId}`, { ignoresShutdown: true });
    await stop(false);
    await probe.switches({ forceStopWhileStopping: 'refuse' });
    expect(await codeOf(stop(true))).toBe('IncorrectInstanceStatus 403');
    await probe.switches({ forceStopWhileStopping: 'accept' });
    expect((await probe.instance(instanceId))?.status).toBe('Stopping');
    await stop(true);
    await probe.instanceBecomes(instanceId, 'Stopped');
    expect((await probe.instance(instanceId))?.stoppedMode).toBe('KeepCharging');
    await control(service, 'POST', `instances/${instanceId}`, { ignoresShutdown: false });
    await probe.start(instanceId);
  });

  it('the economical mode may find no stock', async () => {
    await probe.switches({ defaultStoppedMode: 'StopCharging', stock: 'no' });
    await probe.client.stopInstance(new ecs.StopInstanceRequest({ instanceId: scene.instanceId }));
    await probe.instanceBecomes(scene.instanceId, 'Stopped');
    expect((await probe.instance(scene.instanceId))?.stoppedMode).toBe('StopCharging');
    const start = new ecs.StartInstanceRequest({ instanceId: scene.instanceId });
    expect(await codeOf(probe.client.startInstance(start))).toBe('OperationDenied.NoStock 403');
    await probe.switches({ defaultStoppedMode: 'KeepCharging', stock: 'yes' });
    await probe.start(scene.instanceId);
  });

  it('several at once: all together, or each by itself', async () => {
    const other = await probe.scene();
    await probe.stop(other.instanceId);
    const instanceId = [scene.instanceId, other.instanceId];
    const stop = async (fields: object): Promise<ecs.StopInstancesResponse> =>
      await probe.client.stopInstances(
        new ecs.StopInstancesRequest({ regionId: service.regionId, instanceId, ...fields }),
      );
    expect(await codeOf(stop({}))).toBe('IncorrectInstanceStatus 403');
    expect((await probe.instance(scene.instanceId))?.status).toBe('Running');
    expect(await codeOf(stop({ batchOptimization: 'SuccessFirst', dryRun: true }))).toBe('DRYRUN.SUCCESS 400');
    await probe.freeze();
    const answer = await stop({ batchOptimization: 'SuccessFirst' });
    expect(
      answer.body?.instanceResponses?.instanceResponse?.map(({ code, previousStatus, currentStatus }) => [
        code,
        previousStatus,
        currentStatus,
      ]),
    ).toEqual([
      ['200', 'Running', 'Stopping'],
      ['IncorrectInstanceStatus', 'Stopped', 'Stopped'],
    ]);
    const unknown = new ecs.StartInstancesRequest({ regionId: service.regionId, instanceId: ['i-nothing'] });
    expect(await codeOf(probe.client.startInstances(unknown))).toBe('InvalidInstanceIds.NotFound 404');
    const status = await probe.client.describeInstanceStatus(
      new ecs.DescribeInstanceStatusRequest({ regionId: service.regionId, instanceId: [scene.instanceId] }),
    );
    expect(status.body?.instanceStatuses?.instanceStatus?.map((row) => row.status)).toEqual(['Stopping']);
  });
});

describe.skipIf(live)('Cloud Assistant', () => {
  const run = async (fields: Partial<ecs.RunCommandRequest> = {}): Promise<string> => {
    const request = new ecs.RunCommandRequest({
      regionId: service.regionId,
      type: 'RunShellScript',
      commandContent: 'echo hello',
      instanceId: [scene.instanceId],
      ...fields,
    });
    return (await probe.client.runCommand(request)).body?.invokeId ?? '';
  };
  const result = async (invokeId: string, contentEncoding = 'PlainText') =>
    (
      await probe.client.describeInvocationResults(
        new ecs.DescribeInvocationResultsRequest({ regionId: service.regionId, invokeId, contentEncoding }),
      )
    ).body?.invocation?.invocationResults?.invocationResult?.[0];
  const ended = async (invokeId: string) =>
    await until(
      'the end',
      async () => await result(invokeId),
      (seen) => !['Pending', 'Running', 'Stopping'].includes(seen?.invocationStatus ?? ''),
    );
  const agent = async (): Promise<string | undefined> =>
    (
      await probe.client.describeCloudAssistantStatus(
        new ecs.DescribeCloudAssistantStatusRequest({ regionId: service.regionId, instanceId: [scene.instanceId] }),
      )
    ).body?.instanceCloudAssistantStatusSet?.instanceCloudAssistantStatus?.[0]?.cloudAssistantStatus;

  it('says that data plane none executes nothing, and never calls it a success', async () => {
    const seen = await ended(await run());
    expect(seen).toMatchObject({ invocationStatus: 'Error', errorCode: 'ExecutionException', output: '' });
    expect(seen?.errorInfo).toMatch(/not executed/i);
    expect(seen?.exitCode).toBeUndefined();
  });

  it('an answer set by a test: encodings, exit code, cut output, aggregate', async () => {
    await control(service, 'POST', 'guest-answers', { contains: 'hello', output: 'hi\n', times: 1 });
    const id = await run();
    expect(await ended(id)).toMatchObject({ invocationStatus: 'Success', exitCode: 0, output: 'hi\n', dropped: 0 });
    expect((await result(id, 'Base64'))?.output).toBe(Buffer.from('hi\n').toString('base64'));
    await control(service, 'POST', 'guest-answers', {
      contains: 'hello',
      exitCode: 3,
      output: `${'a'.repeat(20_000)}${'z'.repeat(20_000)}`,
      times: 1,
    });
    const failed = await ended(await run());
    expect(failed).toMatchObject({
      invocationStatus: 'Failed',
      exitCode: 3,
      errorCode: 'ExitCodeNonzero',
      invokeRecordStatus: 'Finished',
    });
    expect(failed).toMatchObject({ dropped: 40_000 - 24 * 1024 });
    expect(failed?.output).toHaveLength(24 * 1024);
    const invocations = await probe.client.describeInvocations(
      new ecs.DescribeInvocationsRequest({
        regionId: service.regionId,
        invokeId: id,
        includeOutput: true,
        contentEncoding: 'PlainText',
      }),
    );
    expect(invocations.body?.invocations?.invocation?.[0]).toMatchObject({
      invocationStatus: 'Success',
      invokeStatus: 'Finished',
      commandContent: 'echo hello',
    });
    expect(invocations.body?.invocations?.invocation?.[0]?.invokeInstances?.invokeInstance?.[0]?.output).toBe('hi\n');
  });

  it('times out, is stopped, is cancelled before delivery', async () => {
    await control(service, 'POST', 'guest-answers', { contains: 'slow', delayMs: 3_600_000 });
    const slow = await run({ commandContent: 'slow', timeout: 1 });
    // 10 s is the least; simulated time runs 200 times as fast.
    expect(await ended(slow)).toMatchObject({ invocationStatus: 'Timeout', errorCode: 'ExecutionTimeout' });
    await probe.freeze();
    const stopped = await run({ commandContent: 'slow', timeout: 3600 });
    await until(
      'Running',
      async () => (await result(stopped))?.invocationStatus,
      (seen) => seen === 'Running',
    );
    const stop = async (invokeId: string): Promise<unknown> =>
      await probe.client.stopInvocation(new ecs.StopInvocationRequest({ regionId: service.regionId, invokeId }));
    await stop(stopped);
    expect(await ended(stopped)).toMatchObject({ invocationStatus: 'Terminated', errorCode: 'ExecutionInterrupted' });
    await control(service, 'POST', `instances/${scene.instanceId}`, { agentOffline: true });
    const waiting = await run();
    await stop(waiting);
    expect(await ended(waiting)).toMatchObject({ invocationStatus: 'Cancelled' });
    expect(await codeOf(stop('t-nothing'))).toBe('InvalidInvokeId.NotFound 404');
  });

  it('a script that runs when its instance is stopped is interrupted', async () => {
    await control(service, 'POST', 'guest-answers', { contains: 'endless', delayMs: 3_600_000_000 });
    const invokeId = await run({ commandContent: 'endless', timeout: 86_400 });
    await until(
      'Running',
      async () => (await result(invokeId))?.invocationStatus,
      (seen) => seen === 'Running',
    );
    await probe.stop(scene.instanceId);
    expect(await ended(invokeId)).toMatchObject({ invocationStatus: 'Error', errorCode: 'ExecutionInterrupted' });
  });

  it('an agent that is offline: status false, then DeliveryTimeout', async () => {
    expect(await agent()).toBe('true');
    await control(service, 'POST', `instances/${scene.instanceId}`, { agentOffline: true });
    expect(await agent()).toBe('false');
    expect(await ended(await run())).toMatchObject({ invocationStatus: 'Aborted', errorCode: 'DeliveryTimeout' });
    await control(service, 'POST', `instances/${scene.instanceId}`, { agentOffline: false });
    expect(await agent()).toBe('true');
  });

  it('after a boot the heartbeat takes a while', async () => {
    await control(service, 'POST', 'durations', { agentAfterBoot: 3600 });
    await probe.stop(scene.instanceId);
    expect(await agent()).toBe('false');
    expect(await codeOf(run())).toBe('IncorrectInstanceStatus 403');
    await probe.start(scene.instanceId);
    expect(await agent()).toBe('false');
    await probe.thaw(100_000);
    await until('heartbeat', agent, (seen) => seen === 'true');
    await control(service, 'POST', 'durations', { agentAfterBoot: 10 });
  });

  it('custom parameters', async () => {
    await control(service, 'POST', 'guest-answers', { contains: 'echo x y', output: 'ok' });
    const good = await run({ commandContent: 'echo {{ Name }}', enableParameter: true, parameters: { name: 'x y' } });
    expect((await ended(good))?.output).toBe('ok');
    expect(await codeOf(run({ commandContent: 'echo {{a}}', enableParameter: true }))).toBe(
      'Parameter.MissingValue 400',
    );
    expect(await codeOf(run({ parameters: { a: 'b' } }))).toBe('Parameter.Disabled 400');
    const many = Object.fromEntries(Array.from({ length: 11 }, (_, i) => [`p${i}`, 'x']));
    expect(await codeOf(run({ enableParameter: true, parameters: many }))).toBe('ParameterCount.ExceedLimit 403');
    expect(await codeOf(run({ enableParameter: true, parameters: { 'a b': 'x' } }))).toBe(
      'CmdParam.InvalidParamName 400',
    );
  });

  it('refuses what does not fit', async () => {
    expect(await codeOf(run({ instanceId: [] }))).toBe('MissingParam.InstanceId 400');
    expect(await codeOf(run({ instanceId: ['i-nothing'] }))).toBe('InvalidInstance.NotFound 404');
    expect(await codeOf(run({ type: 'RunPowerShellScript' }))).toBe('InvalidInstance.NotMatch 400');
    expect(await codeOf(run({ type: 'RunPerl' }))).toBe('InvalidCmdType.NotFound 404');
    expect(await codeOf(run({ contentEncoding: 'Base64', commandContent: '###' }))).toBe('CmdContent.DecodeError 400');
    expect(await codeOf(run({ repeatMode: 'Sometimes' }))).toBe('InvalidRepeatMode.NotFound 404');
    expect(await codeOf(run({ repeatMode: 'EveryReboot' }))).toBe('UnsupportedParameter 400');
    const ids = Array.from({ length: 101 }, (_, i) => `i-${i}`);
    expect(await codeOf(run({ instanceId: ids }))).toBe('InstanceIds.ExceedLimit 403');
    const kept = Buffer.alloc(14_000, 'x').toString('base64');
    expect(await codeOf(run({ keepCommand: true, contentEncoding: 'Base64', commandContent: kept }))).toBe(
      'CmdContent.ExceedLimit 403',
    );
  });

  it('SendFile', async () => {
    const send = async (fields: Partial<ecs.SendFileRequest> = {}): Promise<string> => {
      const request = new ecs.SendFileRequest({
        regionId: service.regionId,
        instanceId: [scene.instanceId],
        name: 'note',
        targetDir: '/root',
        content: 'text',
        ...fields,
      });
      return (await probe.client.sendFile(request)).body?.invokeId ?? '';
    };
    const invokeId = await send();
    const read = async () =>
      (
        await probe.client.describeSendFileResults(
          new ecs.DescribeSendFileResultsRequest({ regionId: service.regionId, invokeId }),
        )
      ).body?.invocations?.invocation?.[0];
    const seen = await until('the end', read, (row) => row?.invocationStatus === 'Failed');
    expect(seen).toMatchObject({ name: 'note', targetDir: '/root', content: 'text', fileMode: '0644' });
    expect(seen?.invokeInstances?.invokeInstance?.[0]?.errorInfo).toMatch(/not executed/i);
    expect(await codeOf(send({ content: 'x'.repeat(33_000) }))).toBe('FileSize.ExceedLimit 403');
    expect(await codeOf(send({ targetDir: 'root' }))).toBe('FileTargetDir.Invalid 403');
    expect(await codeOf(send({ fileMode: '999' }))).toBe('FileMode.Invalid 403');
    expect(await codeOf(send({ contentType: 'Base64', content: '#' }))).toBe('FileContent.DecodeError 403');
  });
});

describe.skipIf(live)('client tokens', () => {
  it('the same token gives the same snapshot once; other parameters do not pass', async () => {
    const fields = {
      clientToken: 'token-1',
      snapshotName: 'once',
      tag: [new ecs.CreateSnapshotRequestTag({ key: 'a', value: 'b' })],
    };
    const first = await probe.createSnapshot(scene.dataDiskId, fields);
    expect(await probe.createSnapshot(scene.dataDiskId, fields)).toBe(first);
    expect(await codeOf(probe.createSnapshot(scene.dataDiskId, { ...fields, snapshotName: 'twice' }))).toBe(
      'IdempotentParameterMismatch 403',
    );
    expect(await codeOf(probe.createSnapshot(scene.dataDiskId, { clientToken: 'x'.repeat(65) }))).toBe(
      'InvalidClientToken.Malformed 403',
    );
    const list = await probe.client.describeSnapshots(
      new ecs.DescribeSnapshotsRequest({ regionId: service.regionId, diskId: scene.dataDiskId }),
    );
    expect(list.body?.snapshots?.snapshot?.length).toBe(1);
  });

  it('a call whose twin is still under way is refused, and served after it', async () => {
    const disks = async (): Promise<number> =>
      Object.keys((await control<{ disks: object }>(service, 'GET', 'state')).disks).length;
    const before = await disks();
    await control(service, 'POST', 'faults', { action: 'CreateDisk', delayAfterMs: 3000 });
    const create = async (): Promise<string> => await probe.createDisk(scene.zoneId, { clientToken: 'token-2' });
    const first = create();
    await until('the disk', disks, (count) => count > before);
    expect(await codeOf(create())).toBe('LastTokenProcessing 403');
    const id = await first;
    expect(await create()).toBe(id);
  });

  it('a lost answer is found again by its token; a refused call does not use its token up', async () => {
    await control(service, 'POST', 'faults', { action: 'CreateSnapshot', answer: 'lost' });
    const fields = { clientToken: 'token-3' };
    expect(await codeOf(probe.createSnapshot(scene.dataDiskId, fields))).toMatch(/^ECONNRESET/);
    const id = await probe.createSnapshot(scene.dataDiskId, fields);
    const list = await probe.client.describeSnapshots(
      new ecs.DescribeSnapshotsRequest({ regionId: service.regionId, diskId: scene.dataDiskId }),
    );
    expect(list.body?.snapshots?.snapshot?.map(({ snapshotId }) => snapshotId)).toEqual([id]);
    const other = { clientToken: 'token-4' };
    expect(await codeOf(probe.createSnapshot('d-nothing', other))).toBe('InvalidDiskId.NotFound 404');
    expect(await probe.createSnapshot(scene.dataDiskId, other)).toMatch(/^s-/);
  });
});

describe.skipIf(live)('paging and filters', () => {
  it('ten rows by default, pages by number, pages by token, the empty list', async () => {
    const tag = [new ecs.CreateDiskRequestTag({ key: 'set', value: scene.instanceId })];
    const ids = await Promise.all(
      Array.from({ length: 25 }, async () => await probe.createDisk(scene.zoneId, { tag })),
    );
    const filter = [new ecs.DescribeDisksRequestTag({ key: 'set', value: scene.instanceId })];
    const list = async (fields: Partial<ecs.DescribeDisksRequest>) =>
      (
        await probe.client.describeDisks(
          new ecs.DescribeDisksRequest({ regionId: service.regionId, tag: filter, ...fields }),
        )
      ).body;
    const idsOf = (body: ecs.DescribeDisksResponseBody | undefined): string[] =>
      body?.disks?.disk?.map(({ diskId }) => diskId ?? '') ?? [];

    const first = await list({});
    expect(idsOf(first).length).toBe(10);
    expect(first).toMatchObject({ totalCount: 25, pageNumber: 1, pageSize: 10 });
    expect(idsOf(await list({ pageNumber: 3 })).length).toBe(5);
    expect(idsOf(await list({ pageSize: 100 })).sort()).toEqual([...ids].sort());
    expect(await codeOf(list({ pageSize: 101 }))).toBe('InvalidParameter 400');

    const seen: string[] = [];
    let body = await list({ maxResults: 1 });
    expect(idsOf(body).length).toBe(10);
    for (;;) {
      seen.push(...idsOf(body));
      const nextToken = body?.nextToken ?? '';
      if (nextToken === '') break;
      body = await list({ maxResults: 10, nextToken });
    }
    expect(seen.sort()).toEqual([...ids].sort());
    expect(await codeOf(list({ nextToken: 'forged' }))).toBe('InvalidParameter.NextToken 400');

    expect(idsOf(await list({ diskIds: '[]' }))).toEqual([]);
    expect(idsOf(await list({ diskIds: JSON.stringify([ids[3], 'd-nothing']) }))).toEqual([ids[3]]);
    expect(idsOf(await list({ status: 'Attaching' }))).toEqual([]);
  });

  it('instance types: by name, in pages, with the number of their disks', async () => {
    const types = async (fields: Partial<ecs.DescribeInstanceTypesRequest> = {}) =>
      (await probe.client.describeInstanceTypes(new ecs.DescribeInstanceTypesRequest(fields))).body;
    const all = await types();
    expect(all?.nextToken).toBe('');
    expect(all?.instanceTypes?.instanceType?.map((each) => each.instanceTypeId)).toContain('ecs.g7.large');
    const one = await types({ instanceTypes: ['ecs.g7.large', 'ecs.none'] });
    expect(one?.instanceTypes?.instanceType).toMatchObject([{ instanceTypeId: 'ecs.g7.large', diskQuantity: 17 }]);
    expect((await types({ instanceTypeFamily: 'ecs.c7' }))?.instanceTypes?.instanceType).toHaveLength(1);
    expect(await codeOf(types({ instanceTypes: Array.from({ length: 11 }, () => 'ecs.g7.large') }))).toBe(
      'InvalidParameter 400',
    );
    expect(await codeOf(types({ cpuArchitecture: 'X86' }))).toBe('UnsupportedParameter 400');
    await control(service, 'POST', 'instance-types/ecs.g7.large', { diskQuantity: 3 });
    expect(await types({ instanceTypes: ['ecs.g7.large'] })).toMatchObject({
      instanceTypes: { instanceType: [{ diskQuantity: 3 }] },
    });
    await control(service, 'POST', 'instance-types/ecs.g7.large', { diskQuantity: 17 });
  });

  it('what a zone offers of data disks, and what is sold out', async () => {
    const zoneId = `${service.regionId}-h`;
    const offers = async (fields: Partial<ecs.DescribeAvailableResourceRequest> = {}) => {
      const answer = await probe.client.describeAvailableResource(
        new ecs.DescribeAvailableResourceRequest({
          regionId: service.regionId,
          destinationResource: 'DataDisk',
          resourceType: 'disk',
          zoneId,
          ...fields,
        }),
      );
      return answer.body?.availableZones?.availableZone;
    };
    const essd = async () => {
      const [zone] = (await offers({ dataDiskCategory: 'cloud_essd' })) ?? [];
      return zone?.availableResources?.availableResource?.[0]?.supportedResources?.supportedResource;
    };
    expect(await offers()).toMatchObject([{ zoneId, status: 'Available', statusCategory: 'WithStock' }]);
    expect(await essd()).toMatchObject([
      { value: 'cloud_essd', status: 'Available', min: 1, max: 65_536, unit: 'GiB' },
    ]);
    expect(await offers({ zoneId: 'eu-central-1a' })).toBeUndefined();
    expect(await codeOf(offers({ destinationResource: 'Disk' }))).toBe('InvalidParameter 400');
    expect(await codeOf(offers({ destinationResource: 'InstanceType' }))).toBe('UnsupportedParameter 400');
    await control(service, 'POST', `zones/${zoneId}`, { soldOut: 'cloud_essd' });
    expect(await essd()).toMatchObject([{ status: 'SoldOut', statusCategory: 'WithoutStock' }]);
    expect(await codeOf(probe.createDisk(zoneId))).toBe('InvalidDataDiskCategory.NotSupported 400');
    await control(service, 'POST', `zones/${zoneId}`, { onSale: 'cloud_essd' });
    expect(await essd()).toMatchObject([{ status: 'Available' }]);
  });

  it('an instance of a scaling group, with a key pair, to be released; one without Cloud Assistant', async () => {
    const { instanceId } = await probe.scene();
    await control(service, 'POST', `instances/${instanceId}`, {
      keyPairName: 'ops',
      autoReleaseTime: '2099-01-01T00:00Z',
      scalingGroupId: 'asg-1',
      agentInstalled: false,
    });
    expect(await probe.instance(instanceId)).toMatchObject({
      keyPairName: 'ops',
      autoReleaseTime: '2099-01-01T00:00Z',
      tags: { tag: [{ tagKey: 'acs:autoscaling:scalingGroupId', tagValue: 'asg-1' }] },
    });
    const assistant = await probe.client.describeCloudAssistantStatus(
      new ecs.DescribeCloudAssistantStatusRequest({ regionId: service.regionId, instanceId: [instanceId] }),
    );
    expect(assistant.body?.instanceCloudAssistantStatusSet?.instanceCloudAssistantStatus).toMatchObject([
      { cloudAssistantStatus: 'false', cloudAssistantVersion: '', lastHeartbeatTime: '' },
    ]);
  });

  it('filters of instances and snapshots', async () => {
    const id = await probe.finishedSnapshot(scene.dataDiskId);
    const snapshots = async (fields: Partial<ecs.DescribeSnapshotsRequest>): Promise<number> =>
      (
        await probe.client.describeSnapshots(
          new ecs.DescribeSnapshotsRequest({ regionId: service.regionId, ...fields }),
        )
      ).body?.snapshots?.snapshot?.length ?? -1;
    expect(await snapshots({ diskId: scene.dataDiskId, status: 'accomplished' })).toBe(1);
    expect(await snapshots({ diskId: scene.dataDiskId, status: 'progressing' })).toBe(0);
    expect(await snapshots({ snapshotIds: JSON.stringify([id]), sourceDiskType: 'system' })).toBe(0);
    expect(await snapshots({ instanceId: scene.instanceId, snapshotType: 'user' })).toBe(1);
    expect(await codeOf(snapshots({ status: 'odd' }))).toBe('InvalidStatus.NotFound 404');
    expect(await codeOf(snapshots({ snapshotIds: '{' }))).toBe('InvalidSnapshotIds.Malformed 403');
    expect(await codeOf(snapshots({ dryRun: true }))).toBe('DryRunOperation 400');
    expect((await probe.instance('i-nothing'))?.instanceId).toBeUndefined();
  });
});

describe.skipIf(live)('tags', () => {
  it('are set, listed, filtered by and removed; bad ones are refused', async () => {
    const { dataDiskId } = scene;
    const put = async (fields: Partial<ecs.TagResourcesRequest>): Promise<unknown> =>
      await probe.client.tagResources(
        new ecs.TagResourcesRequest({
          regionId: service.regionId,
          resourceType: 'disk',
          resourceId: [dataDiskId],
          ...fields,
        }),
      );
    const tag = (key: string, value = 'v'): ecs.TagResourcesRequestTag =>
      new ecs.TagResourcesRequestTag({ key, value });
    await put({ tag: [tag("it's (a) *key*!~ +/="), tag('b', 'ö')] });
    await put({ tag: [tag('b', 'new')] });
    const list = async (): Promise<Record<string, string>> => {
      const answer = await probe.client.listTagResources(
        new ecs.ListTagResourcesRequest({ regionId: service.regionId, resourceType: 'disk', resourceId: [dataDiskId] }),
      );
      return Object.fromEntries(
        answer.body?.tagResources?.tagResource?.map(({ tagKey, tagValue }) => [tagKey, tagValue]) ?? [],
      );
    };
    expect(await list()).toEqual({ "it's (a) *key*!~ +/=": 'v', b: 'new' });
    await probe.client.untagResources(
      new ecs.UntagResourcesRequest({
        regionId: service.regionId,
        resourceType: 'disk',
        resourceId: [dataDiskId],
        tagKey: ['b'],
      }),
    );
    expect(Object.keys(await list())).toEqual(["it's (a) *key*!~ +/="]);
    expect((await probe.disk(dataDiskId))?.tags?.tag?.map(({ tagKey }) => tagKey)).toEqual(["it's (a) *key*!~ +/="]);
    expect(await codeOf(put({ tag: [tag('acs:x')] }))).toBe('InvalidTagKey.Malformed 400');
    expect(await codeOf(put({ tag: [tag('a'), tag('a')] }))).toBe('Duplicate.TagKey 400');
    expect(await codeOf(put({ tag: [tag('a', 'x'.repeat(129))] }))).toBe('InvalidTagValue.Malformed 400');
    expect(await codeOf(put({ tag: Array.from({ length: 21 }, (_, i) => tag(`k${i}`)) }))).toBe(
      'NumberExceed.Tags 400',
    );
    expect(await codeOf(put({ tag: [tag('a')], resourceType: 'planet' }))).toBe('InvalidResourceType.NotFound 404');
    expect(await codeOf(put({ tag: [tag('a')], resourceId: ['d-nothing'] }))).toBe('InvalidResourceId.NotFound 404');
  });
});
