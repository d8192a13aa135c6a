/** The wire: signatures, nonces, clocks, unknown actions and parameters, regions, lost answers, the call log. */
import { createServer, request as httpRequest } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import type { CallRecord, Scene } from '../../simulator/state/model.ts';
import { clientOf, codeOf, control, ecs, live, Probe, refusalOf, type Service, startService } from './service.ts';

let service: Service;
let probe: Probe;
beforeAll(async () => {
  service = await startService();
  probe = new Probe(service);
});
afterAll(async () => await service?.stop());

const describeDisks = (regionId: string): ecs.DescribeDisksRequest => new ecs.DescribeDisksRequest({ regionId });

describe('identity', () => {
  it('refuses a wrong secret and an unknown access key', async () => {
    const wrongSecret = clientOf(service.ready, { accessKeySecret: 'not-the-secret' });
    expect(await codeOf(wrongSecret.describeDisks(describeDisks(service.regionId)))).toBe('SignatureDoesNotMatch 400');
    const unknown = clientOf(service.ready, { accessKeyId: 'nobody', accessKeySecret: 'x' });
    expect(await codeOf(unknown.describeDisks(describeDisks(service.regionId)))).toBe(
      'InvalidAccessKeyId.NotFound 404',
    );
  });

  it.skipIf(live)('accepts STS headers and the older signature', async () => {
    for (const changed of [{ securityToken: 'token' }, { signatureAlgorithm: 'v2' }]) {
      const answer = await clientOf(service.ready, changed).describeDisks(describeDisks(service.regionId));
      expect(answer.body?.disks?.disk?.length).toBe(2);
    }
  });

  it('refuses a clock 20 minutes off', async () => {
    vi.useFakeTimers({ toFake: ['Date'], now: Date.now() - 20 * 60_000 });
    try {
      expect(await codeOf(service.client.describeDisks(describeDisks(service.regionId)))).toBe(
        'InvalidTimeStamp.Expired 400',
      );
    } finally {
      vi.useRealTimers();
    }
  });

  it.skipIf(live)('refuses what was replayed, and what was changed on its way', async () => {
    const recorded: { url: string; headers: Record<string, string | string[] | undefined> }[] = [];
    const listener = createServer((incoming, response) => {
      recorded.push({ url: incoming.url ?? '', headers: incoming.headers });
      response.writeHead(200, { 'content-type': 'application/json' }).end('{"RequestId":"x"}');
    });
    await new Promise<void>((resolve) => listener.listen(0, '127.0.0.1', resolve));
    const { port } = listener.address() as AddressInfo;
    await clientOf(service.ready, { endpoint: `127.0.0.1:${port}` }).describeDisks(describeDisks(service.regionId));
    listener.close();
    listener.closeAllConnections();
    const [call] = recorded;
    if (call === undefined) throw new Error('nothing was recorded');

    const send = async (url: string): Promise<string> =>
      await new Promise((resolve, reject) => {
        const [host, to] = service.ready.endpoint.split(':');
        const outgoing = httpRequest(
          { host, port: Number(to), path: url, method: 'POST', headers: call.headers },
          (answer) => {
            let text = '';
            answer.on('data', (chunk: Buffer) => (text += chunk.toString()));
            answer.on('end', () => resolve((JSON.parse(text) as { Code?: string }).Code ?? 'OK'));
          },
        );
        outgoing.on('error', reject);
        outgoing.end();
      });
    expect(await send(call.url.replace('RegionId=cn-hangzhou', 'RegionId=cn-beijing'))).toBe('SignatureDoesNotMatch');
    expect(await send(call.url)).toBe('OK');
    expect(await send(call.url)).toBe('SignatureNonceUsed');
  });
});

describe('answers', () => {
  it('an error has Code, Message, RequestId, HostId and Recommend', async () => {
    const call = service.client.describeDisks(describeDisks('cn-nowhere'));
    const error = await call.catch((caught: unknown) => caught as { code: string; data: Record<string, string> });
    expect(error).toMatchObject({ code: 'InvalidRegionId.NotFound', statusCode: 404 });
    const { data } = error as { data: Record<string, string> };
    expect(data['RequestId']).toMatch(/^[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}$/);
    expect(data['HostId']).toMatch(/^ecs/);
    expect(data['Recommend']).toContain(data['RequestId']);
  });

  it('a request id comes in the header and in the body', async () => {
    const answer = await service.client.describeDisks(describeDisks(service.regionId));
    expect(answer.headers?.['x-acs-request-id']).toBe(answer.body?.requestId);
  });

  it.skipIf(live)('an action that is not modelled, and a parameter that is refused, are named', async () => {
    const images = await refusalOf(
      service.client.describeImages(new ecs.DescribeImagesRequest({ regionId: service.regionId })),
    );
    expect(images).toMatchObject({ code: 'InvalidAction.NotFound', status: 404 });
    expect(images.message).toContain('DescribeImages');
    const device = await refusalOf(
      service.client.attachDisk(new ecs.AttachDiskRequest({ diskId: 'd', instanceId: 'i', device: '/dev/xvdb' })),
    );
    expect(device.code).toBe('UnsupportedParameter');
    expect(device.message).toContain('"Device"');
  });

  it('missing and malformed parameters', async () => {
    expect(await codeOf(service.client.resetDisk(new ecs.ResetDiskRequest({})))).toMatch(/^MissingParameter/);
    const notJson = new ecs.DescribeDisksRequest({ regionId: service.regionId, diskIds: 'd-1' });
    expect(await codeOf(service.client.describeDisks(notJson))).toBe('InvalidParameter.DiskIds 400');
    const ids = JSON.stringify(Array.from({ length: 101 }, (_, i) => `d-${i}`));
    const tooMany = new ecs.DescribeDisksRequest({ regionId: service.regionId, diskIds: ids });
    expect(await codeOf(service.client.describeDisks(tooMany))).toBe('InvalidDiskIds.Malformed 403');
    const badStatus = new ecs.DescribeDisksRequest({ regionId: service.regionId, status: 'Broken' });
    expect(await codeOf(service.client.describeDisks(badStatus))).toMatch(/^InvalidStatus.ValueNotSupported/);
  });

  it.skipIf(live)('a script of 24 KB passes in the query', async () => {
    const script = Buffer.alloc(18 * 1024, 'x').toString('base64');
    expect(script.length).toBe(24 * 1024);
    const command = (commandContent: string): ecs.RunCommandRequest =>
      new ecs.RunCommandRequest({
        regionId: service.regionId,
        type: 'RunShellScript',
        commandContent,
        contentEncoding: 'Base64',
        instanceId: [service.scene.instanceId],
      });
    const answer = await service.client.runCommand(command(script));
    expect(answer.body?.invokeId).toMatch(/^t-/);
    const longer = Buffer.alloc(18 * 1024 + 1, 'x').toString('base64');
    expect(await codeOf(service.client.runCommand(command(longer)))).toBe('CmdContent.ExceedLimit 403');
  });
});

describe.skipIf(live)('faults of the control API', () => {
  const stopped = async (): Promise<unknown> => (await probe.instance(service.scene.instanceId))?.status;

  it('nth call, error code, status and retry hint', async () => {
    await control(service, 'POST', 'faults', {
      action: 'DescribeDisks',
      skip: 1,
      times: 1,
      match: { RegionId: service.regionId },
      error: { code: 'Throttling.User', status: 429, retryAfterMs: 700 },
    });
    await service.client.describeDisks(describeDisks(service.regionId));
    const error = await service.client
      .describeDisks(describeDisks(service.regionId))
      .catch((caught: unknown) => caught);
    expect(error).toMatchObject({ name: 'ThrottlingError', code: 'Throttling.User', retryAfter: 700 });
    await service.client.describeDisks(describeDisks(service.regionId));
  });

  it('a lost answer: the effect is there, once, and the call log tells', async () => {
    await control(service, 'POST', 'faults', { action: 'StopInstance', answer: 'lost' });
    const request = new ecs.StopInstanceRequest({ instanceId: service.scene.instanceId });
    expect((await refusalOf(service.client.stopInstance(request))).code).toBe('ECONNRESET');
    await probe.instanceBecomes(service.scene.instanceId, 'Stopped');
    expect(await codeOf(service.client.stopInstance(request))).toBe('IncorrectInstanceStatus 403');
    const { calls } = await control<{
      calls: { action: string; tookEffect: boolean; answered: boolean; code: string }[];
    }>(service, 'GET', 'calls');
    const stops = calls.filter((call) => call.action === 'StopInstance');
    expect(stops.map(({ tookEffect, answered, code }) => ({ tookEffect, answered, code }))).toEqual([
      { tookEffect: true, answered: false, code: 'OK' },
      { tookEffect: false, answered: true, code: 'IncorrectInstanceStatus' },
    ]);
  });

  it('a rule about an instance meets it, its disks and what was made of them, and nobody else', async () => {
    const { instanceId, dataDiskId, zoneId } = service.scene;
    const other = await control<Scene>(service, 'POST', 'scenes', { name: 'another' });
    const snapshotId = await probe.finishedSnapshot(dataDiskId);
    const copy = await probe.createDisk(zoneId, { snapshotId });
    await probe.diskBecomes(copy, 'Available');
    const code = 'OperationConflict';
    await control(service, 'POST', 'faults', {
      action: '*',
      about: instanceId,
      times: -1,
      error: { code, status: 409 },
    });
    try {
      const { client, regionId } = { client: probe.client, regionId: service.regionId };
      const disks = (...ids: string[]) =>
        client.describeDisks(new ecs.DescribeDisksRequest({ regionId, diskIds: JSON.stringify(ids) }));
      const snapshots = new ecs.DescribeSnapshotsRequest({ regionId, snapshotIds: JSON.stringify([snapshotId]) });
      await expect(disks(dataDiskId)).rejects.toMatchObject({ code });
      await expect(client.describeSnapshots(snapshots)).rejects.toMatchObject({ code });
      await expect(client.deleteDisk(new ecs.DeleteDiskRequest({ diskId: copy }))).rejects.toMatchObject({ code });
      await expect(client.startInstance(new ecs.StartInstanceRequest({ instanceId }))).rejects.toMatchObject({ code });
      expect((await disks(dataDiskId, other.dataDiskId)).statusCode).toBe(200);
      expect((await disks(other.dataDiskId)).statusCode).toBe(200);
      expect((await client.describeDisks(new ecs.DescribeDisksRequest({ regionId }))).statusCode).toBe(200);
      const { calls: all } = await control<{ calls: CallRecord[] }>(service, 'GET', 'calls');
      const { calls: last } = await control<{ calls: CallRecord[] }>(service, 'GET', `calls/${all.length - 2}`);
      expect(last).toEqual(all.slice(-2));
      await expect(control(service, 'POST', 'faults', { action: '*', about: 'i-1', delayMs: 1 })).rejects.toThrow(
        /i-1/,
      );
    } finally {
      await control(service, 'DELETE', 'faults');
    }
  });

  it('a rule with an empty parameter is for calls that do not send it, such as those that are no dry run', async () => {
    const error = { code: 'OperationDenied', status: 403 };
    await control(service, 'POST', 'faults', { action: 'StartInstance', match: { DryRun: '' }, error });
    const { instanceId } = service.scene;
    const start = (dryRun?: boolean) =>
      service.client.startInstance(
        new ecs.StartInstanceRequest({ instanceId, ...(dryRun === undefined ? {} : { dryRun }) }),
      );
    expect((await refusalOf(start(true))).code).toBe('DryRunOperation');
    expect((await refusalOf(start())).code).toBe('OperationDenied');
    expect(await stopped()).toBe('Stopped');
  });

  it('an error although the call took effect, as an earlier copy of the request would have it', async () => {
    const error = { code: 'InternalError', status: 500 };
    await control(service, 'POST', 'faults', { action: 'CreateSnapshot', error, afterEffect: true });
    const { dataDiskId } = service.scene;
    const request = new ecs.CreateSnapshotRequest({ diskId: dataDiskId, clientToken: 'after-effect' });
    expect((await refusalOf(service.client.createSnapshot(request))).code).toBe('InternalError');
    const { calls } = await control<{ calls: CallRecord[] }>(service, 'GET', 'calls');
    const made = calls.find(({ parameters }) => parameters['ClientToken'] === 'after-effect');
    expect(made).toMatchObject({ code: 'InternalError', status: 500, tookEffect: true, answered: true });
    expect((await service.client.createSnapshot(request)).body?.snapshotId).toBe(made?.createdId);
    await expect(control(service, 'POST', 'faults', { action: '*', afterEffect: true })).rejects.toThrow(/afterEffect/);
  });

  it('a refused connection: no effect; garbage and delay', async () => {
    await control(service, 'POST', 'faults', { action: 'StartInstance', answer: 'refused' });
    const start = new ecs.StartInstanceRequest({ instanceId: service.scene.instanceId });
    expect((await refusalOf(service.client.startInstance(start))).code).toBe('ECONNRESET');
    expect(await stopped()).toBe('Stopped');
    await control(service, 'POST', 'faults', { action: 'DescribeDisks', answer: 'garbage' });
    expect((await refusalOf(service.client.describeDisks(describeDisks(service.regionId)))).message).toMatch(/JSON/);
    await control(service, 'POST', 'faults', { action: 'DescribeDisks', delayMs: 300 });
    const before = Date.now();
    await service.client.describeDisks(describeDisks(service.regionId));
    expect(Date.now() - before).toBeGreaterThanOrEqual(295);
  });

  it('throttles by the minute when told to', async () => {
    await control(service, 'POST', 'throttle', { action: 'DescribeSnapshots', perMinute: 2 });
    const call = async (): Promise<string> =>
      await service.client.describeSnapshots(new ecs.DescribeSnapshotsRequest({ regionId: service.regionId })).then(
        () => 'ok',
        (error: { code: string }) => error.code,
      );
    // Six in a row: at least two fall into one minute beyond its limit, even across its end.
    const seen = [await call(), await call(), await call(), await call(), await call(), await call()];
    expect(seen.slice(0, 2)).toEqual(['ok', 'ok']);
    expect(seen.filter((code) => code === 'Throttling.User').length).toBeGreaterThanOrEqual(2);
    await control(service, 'POST', 'throttle', { action: 'DescribeSnapshots' });
    expect(await call()).toBe('ok');
  });

  it('scripts are in the call log as hash and size only', async () => {
    const { calls } = await control<{ calls: { action: string; parameters: Record<string, unknown> }[] }>(
      service,
      'GET',
      'calls',
    );
    const run = calls.find((call) => call.action === 'RunCommand');
    expect(run?.parameters['CommandContent']).toEqual({
      sha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      bytes: 24 * 1024,
    });
    expect(JSON.stringify(calls)).not.toContain(service.ready.accessKeySecret);
  });

  it('names what it does not know', async () => {
    await expect(control(service, 'POST', 'faults', { action: 'X', eror: {} })).rejects.toThrow(/eror/);
    await expect(control(service, 'POST', 'switches', { colour: 'red' })).rejects.toThrow(/colour/);
    await expect(control(service, 'POST', 'durations', { stopInstance: -1 })).rejects.toThrow(/stopInstance/);
    await expect(control(service, 'GET', 'nothing')).rejects.toThrow(/nothing/);
  });
});
