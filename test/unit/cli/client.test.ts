/** What the client decides without a server: texts, and how it fails to connect. */
import { createServer } from 'node:net';
import { describe, expect, it } from 'vitest';
import { ClientError, RollbackClient, searchAttributeCommand, summaryLine } from '../../../src/client.ts';
import { rollbackInputSchema, syncInputSchema } from '../../../src/contract/rollback.ts';
import { DISK, SNAPSHOT_A } from './samples.ts';

const base = { regionId: 'cn-hangzhou', diskId: DISK, snapshotId: SNAPSHOT_A };

describe('the line a run has in the list of the Temporal UI', () => {
  it('says what a rollback does', () => {
    expect(summaryLine('rollback', rollbackInputSchema.parse(base))).toBe(`Roll back ${DISK} to ${SNAPSHOT_A}`);
    const withPath = rollbackInputSchema.parse({ ...base, sync: { paths: ['/data/uploads'] } });
    expect(summaryLine('rollback', withPath)).toBe(`Roll back ${DISK} to ${SNAPSHOT_A}, bring back /data/uploads`);
    const all = rollbackInputSchema.parse({ ...base, sync: { sinceA: true } });
    expect(summaryLine('rollback', all)).toBe(
      `Roll back ${DISK} to ${SNAPSHOT_A}, bring back everything that has changed since A`,
    );
    expect(() => rollbackInputSchema.parse({ ...base, sync: {} })).toThrow(/name at least one path/);
  });

  it('tells a plan and a sync apart', () => {
    expect(summaryLine('rollback', rollbackInputSchema.parse({ ...base, dryRun: true }))).toMatch(
      /^Plan only: Roll back/,
    );
    const sync = syncInputSchema.parse({ ...base, sync: { paths: ['/data/a'] } });
    expect(summaryLine('sync', sync)).toBe(`Sync ${DISK} from ${SNAPSHOT_A}: bring back /data/a`);
  });

  it('is at most 200 bytes, whatever the paths are, and never half a character', () => {
    const paths = Array.from({ length: 20 }, (_, index) => `/数据/上传${index}`);
    const line = summaryLine('rollback', rollbackInputSchema.parse({ ...base, sync: { paths } }));
    expect(Buffer.byteLength(line)).toBeLessThanOrEqual(200);
    expect(Buffer.byteLength(line)).toBeGreaterThan(190);
    expect(line).not.toContain('\uFFFD');
    expect(line.endsWith('…')).toBe(true);
  });
});

it('names all four search attributes in the command that makes them', () => {
  expect(searchAttributeCommand({ address: 'h:7233', namespace: 'ops' })).toBe(
    'temporal operator search-attribute create --address h:7233 --namespace ops --name EcsRegionId --type Keyword ' +
      '--name EcsInstanceId --type Keyword --name EcsDiskId --type Keyword --name RecoveryPhase --type Keyword',
  );
});

describe('connecting', () => {
  const failure = async (options: Parameters<typeof RollbackClient.connect>[0]) => {
    const started = Date.now();
    const error: unknown = await RollbackClient.connect(options).then(
      () => undefined,
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(ClientError);
    return { error: error as ClientError, ms: Date.now() - started };
  };

  async function silentServer() {
    const server = createServer(() => {});
    await new Promise<void>((resolve) => {
      server.listen(0, '127.0.0.1', resolve);
    });
    const address = server.address();
    if (address === null || typeof address === 'string') throw new Error('no port');
    return { server, port: address.port };
  }

  it('fails at once where nothing listens, with address and fix', async () => {
    const { server, port } = await silentServer();
    await new Promise((resolve) => {
      server.close(resolve);
    });
    const { error, ms } = await failure({ address: `127.0.0.1:${port}`, connectTimeoutMs: 20_000 });
    expect(error.kind).toBe('unreachable');
    expect(error.message).toBe(
      `no Temporal server at 127.0.0.1:${port} (nothing listens there): set TEMPORAL_ADDRESS=host:port, or start one with \`temporal server start-dev\``,
    );
    expect(ms).toBeLessThan(10_000);
  });

  it('gives up in time on something that is not Temporal', async () => {
    const { server, port } = await silentServer();
    const { error } = await failure({ address: `127.0.0.1:${port}`, connectTimeoutMs: 300 });
    server.close();
    expect(error.kind).toBe('unreachable');
    expect(error.message).toContain('it does not answer as Temporal does');
  });

  it('says which profile is missing', async () => {
    const { error } = await failure({ profile: 'no-such-profile' });
    expect(error.kind).toBe('config');
    expect(error.message).toContain('no-such-profile');
  });
});
