import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { type CredentialChain, chainedCredentials } from '../../../src/cloud/alicloud/credentials.ts';
import { CredentialsUnavailable } from '../../../src/cloud/alicloud/failures.ts';
import { loadSdk } from '../../../src/cloud/alicloud/sdk.ts';

const good = { accessKeyId: 'id', accessKeySecret: 'secret', providerName: 'default/test' };

describe('chainedCredentials', () => {
  it('opens a new chain after a failed lookup and keeps one that delivers', async () => {
    let failing = true;
    const open = vi.fn(async (): Promise<CredentialChain> => {
      // As the vendor's chain: what failed once fails for ever.
      const stuck = failing;
      return { getCredential: async () => (stuck ? Promise.reject(new Error('no')) : good) };
    });
    const source = chainedCredentials(open, 1_000);
    await expect(source.lookup()).rejects.toBeInstanceOf(CredentialsUnavailable);
    failing = false;
    await expect(source.lookup()).resolves.toMatchObject({ accessKeyId: 'id', provider: 'default/test' });
    await source.lookup();
    expect(open).toHaveBeenCalledTimes(2);
    source.forget();
    await source.lookup();
    expect(open).toHaveBeenCalledTimes(3);
    expect(source.secrets()).toEqual(['id', 'secret']);
  });

  it('asks once for callers that come together, and again for later ones', async () => {
    const getCredential = vi.fn(async () => good);
    const source = chainedCredentials(async () => ({ getCredential }), 1_000);
    await Promise.all([source.lookup(), source.lookup(), source.lookup()]);
    expect(getCredential).toHaveBeenCalledTimes(1);
    await source.lookup();
    expect(getCredential).toHaveBeenCalledTimes(2);
  });

  it('remembers that there were credentials once', async () => {
    let answer: () => Promise<typeof good> = async () => good;
    const source = chainedCredentials(async () => ({ getCredential: () => answer() }), 1_000);
    await source.lookup();
    answer = () => Promise.reject(new Error('no'));
    await expect(source.lookup()).rejects.toMatchObject({ hadBefore: true });
  });

  it('takes an empty answer and a lookup that hangs for none', async () => {
    const empty = chainedCredentials(async () => ({ getCredential: async () => ({ accessKeyId: '' }) }), 1_000);
    await expect(empty.lookup()).rejects.toMatchObject({ hadBefore: false });
    const hanging = chainedCredentials(async () => ({ getCredential: () => new Promise(() => {}) }), 20);
    await expect(hanging.lookup()).rejects.toBeInstanceOf(CredentialsUnavailable);
  });
});

describe("the vendor's default chain", () => {
  const saved = { ...process.env };
  let home: string;
  beforeEach(() => {
    home = mkdtempSync(join(tmpdir(), 'ecs-rollback-home-'));
    for (const name of Object.keys(process.env)) if (name.startsWith('ALIBABA_CLOUD_')) delete process.env[name];
    process.env['HOME'] = home;
    process.env['ALIBABA_CLOUD_ECS_METADATA_DISABLED'] = 'true';
  });
  afterEach(() => {
    process.env = { ...saved };
    rmSync(home, { recursive: true });
  });
  const appear = (): void => {
    process.env['ALIBABA_CLOUD_ACCESS_KEY_ID'] = 'late-id';
    process.env['ALIBABA_CLOUD_ACCESS_KEY_SECRET'] = 'late-secret';
  };

  it('still sticks to a provider that failed, which is why it is wrapped', async () => {
    const { Credential } = await loadSdk();
    const chain = new Credential();
    await expect(chain.getCredential()).rejects.toThrow();
    appear();
    await expect(chain.getCredential()).rejects.toThrow();
  });

  it('finds credentials that appear after a failed lookup when wrapped', async () => {
    const { Credential } = await loadSdk();
    const source = chainedCredentials(async () => new Credential(), 10_000);
    const failure: unknown = await source.lookup().catch((error: unknown) => error);
    expect(String(failure)).toContain('set ALIBABA_CLOUD_ACCESS_KEY_ID');
    appear();
    await expect(source.lookup()).resolves.toMatchObject({ accessKeyId: 'late-id', accessKeySecret: 'late-secret' });
  });
});
