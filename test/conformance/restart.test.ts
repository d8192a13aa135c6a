/** The simulator killed with SIGKILL and started again on the same folder: nothing answered is lost, transitions go on. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { clientOf, control, ecs, live, Probe, type Service, startProcess, stopProcess, until } from './service.ts';

let state: string;
beforeAll(() => {
  state = mkdtempSync(join(tmpdir(), 'ecs-simulator-restart-'));
});
afterAll(() => rmSync(state, { recursive: true, force: true }));

async function start(): Promise<{ service: Service; probe: Probe }> {
  const { child, ready } = await startProcess(['--speed', '200', '--state', state]);
  const service: Service = {
    ready,
    client: clientOf(ready),
    regionId: ready.regionId,
    scene: ready.scene,
    stop: async () => await stopProcess(child, 'SIGKILL'),
  };
  return { service, probe: new Probe(service) };
}

describe.skipIf(live)('restart', () => {
  it('keeps scene, credentials, tokens, faults and calls; continues what was under way', async () => {
    const first = await start();
    const { dataDiskId, instanceId, zoneId } = first.service.scene;
    const a = await first.probe.finishedSnapshot(dataDiskId);
    await first.probe.stop(instanceId);
    await first.probe.freeze();
    await first.probe.reset(dataDiskId, a);
    const diskId = await first.probe.createDisk(zoneId, { snapshotId: a, clientToken: 'kept' });
    const b = await first.probe.createSnapshot(first.service.scene.systemDiskId);
    await control(first.service, 'POST', 'faults', {
      action: 'DeleteSnapshot',
      error: { code: 'InternalError', status: 500 },
    });
    await first.service.stop();

    const second = await start();
    try {
      expect(second.service.scene).toEqual(first.service.scene);
      expect(second.service.ready.accessKeySecret).toBe(first.service.ready.accessKeySecret);
      await second.probe.diskBecomes(dataDiskId, 'In_use');
      await second.probe.diskBecomes(diskId, 'Available');
      await until(
        'B',
        async () => (await second.probe.snapshot(b))?.status,
        (seen) => seen === 'accomplished',
      );
      expect((await second.probe.instance(instanceId))?.status).toBe('Stopped');
      expect(await second.probe.createDisk(zoneId, { snapshotId: a, clientToken: 'kept' })).toBe(diskId);
      const removal = second.probe.client.deleteSnapshot(new ecs.DeleteSnapshotRequest({ snapshotId: b }));
      await expect(removal).rejects.toMatchObject({ code: 'InternalError' });
      const { calls } = await control<{ calls: { action: string; tookEffect: boolean }[] }>(
        second.service,
        'GET',
        'calls',
      );
      expect(calls.filter(({ action, tookEffect }) => action === 'ResetDisk' && tookEffect).length).toBe(1);
      expect(calls.filter(({ action, tookEffect }) => action === 'CreateDisk' && tookEffect).length).toBe(1);
      await second.probe.start(instanceId);
      await control(second.service, 'POST', `instances/${instanceId}`, { startedAt: '2026-01-02T03:04:05Z' });
    } finally {
      await second.service.stop();
    }

    // It ran when the process was killed, so it is booted again, its agent some time later.
    const third = await start();
    try {
      expect((await third.probe.instance(instanceId))?.status).toBe('Running');
      const agent = async (): Promise<string | undefined> =>
        (
          await third.probe.client.describeCloudAssistantStatus(
            new ecs.DescribeCloudAssistantStatusRequest({ regionId: third.service.regionId, instanceId: [instanceId] }),
          )
        ).body?.instanceCloudAssistantStatusSet?.instanceCloudAssistantStatus?.[0]?.cloudAssistantStatus;
      await until('agent', agent, (seen) => seen === 'true');
      // Nobody has started it: whoever compares B with the last start must not be told otherwise.
      expect((await third.probe.instance(instanceId))?.startTime).toBe('2026-01-02T03:04Z');
    } finally {
      await third.service.stop();
    }
    expect(readdirSync(state).filter((name) => name.endsWith('.new'))).toEqual([]);
  });

  it('without --state writes nothing down, and removes its own folder when it is stopped', async () => {
    const folder = mkdtempSync(join(tmpdir(), 'ecs-simulator-tmp-'));
    onTestFinished(() => rmSync(folder, { recursive: true, force: true }));
    const own = (): string[] => readdirSync(folder).filter((name) => name.startsWith('ecs-simulator-'));
    const { child } = await startProcess(['--scene', 'none'], { TMPDIR: folder });
    expect(own()).toHaveLength(1);
    expect(readdirSync(join(folder, own()[0] ?? ''))).toEqual([]);
    await stopProcess(child, 'SIGINT');
    expect(child.exitCode).toBe(0);
    expect(own()).toEqual([]);
  });

  it.each([
    [['--port', 'x'], '--port x'],
    [['--bogus'], '--bogus'],
    [['--fs', 'zfs'], '--fs zfs'],
    [['--speed', '0'], '--speed 0'],
    [['--data-plane', 'cloud'], '--data-plane cloud'],
    [['--region', 'mars'], '--region mars'],
  ])('%j: one line, exit code 2', (args, named) => {
    const root = join(import.meta.dirname, '../..');
    const done = spawnSync(process.execPath, ['scripts/run.mjs', 'simulator/main.ts', ...args], {
      cwd: root,
      encoding: 'utf8',
    });
    expect(done.status).toBe(2);
    expect(done.stdout).toBe('');
    expect(done.stderr.trim().split('\n')).toHaveLength(1);
    expect(done.stderr).toContain(named);
  });

  it('another data plane on the same folder is refused in one line', () => {
    const root = join(import.meta.dirname, '../..');
    const args = ['scripts/run.mjs', 'simulator/main.ts', '--data-plane', 'vm', '--state', state];
    const done = spawnSync(process.execPath, args, { cwd: root, encoding: 'utf8' });
    expect(done.status).toBe(1);
    expect(done.stderr).toContain('--data-plane none');
  });
});
