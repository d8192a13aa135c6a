import { inspect } from 'node:util';
import { describe, expect, it } from 'vitest';
import { CloudConfigError, ecsOptionsFromEnv, parseEndpoint } from '../../../src/cloud/config.ts';

const keys = { ALIBABA_CLOUD_ACCESS_KEY_ID: 'LTAI5tExampleExample', ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'CanarySecret' };

const problemsOf = (env: Record<string, string>): readonly string[] => {
  try {
    ecsOptionsFromEnv(env);
  } catch (error) {
    if (error instanceof CloudConfigError) return error.problems;
    throw error;
  }
  return [];
};

describe('parseEndpoint', () => {
  it.each([
    ['127.0.0.1:8080', '127.0.0.1:8080', 'http'],
    ['localhost:443', 'localhost:443', 'http'],
    ['[::1]:9000', '[::1]:9000', 'http'],
    ['ecs.cn-hangzhou.aliyuncs.com', 'ecs.cn-hangzhou.aliyuncs.com', 'https'],
    ['ecs.cn-hangzhou.aliyuncs.com:443', 'ecs.cn-hangzhou.aliyuncs.com', 'https'],
    ['http://simulator:8080', 'simulator:8080', 'http'],
    ['http://simulator:80/', 'simulator', 'http'],
    ['HTTPS://Ecs.Test', 'ecs.test', 'https'],
    ['https://127.0.0.1:8443', '127.0.0.1:8443', 'https'],
    ['http://simulator:443', 'simulator:443', 'http'],
  ])('%s', (address, host, protocol) => {
    expect(parseEndpoint(address)).toEqual({ host, protocol });
  });

  it.each([
    ['ftp://host', 'protocol ftp'],
    ['http://', 'not an address'],
    ['host:port', 'not an address'],
    ['host:99999', 'not an address'],
    ['http://host/path', 'path or query'],
    ['host/?x=1', 'path or query'],
    ['http://user:CanarySecret@host', 'user name or password'],
    ['a b', 'not an address'],
  ])('refuses %s', (address, why) => {
    const answer = parseEndpoint(address);
    expect(answer).toBeTypeOf('string');
    expect(answer).toContain(why);
    expect(answer).not.toContain('CanarySecret');
  });
});

describe('ecsOptionsFromEnv', () => {
  it('needs nothing', () => {
    const config = ecsOptionsFromEnv({});
    expect(config.ecs).toEqual({});
    expect(config.pollIntervalMs).toBe(1_000);
    expect(config.describe()).toContain('default chain');
  });

  it('reads everything', () => {
    const config = ecsOptionsFromEnv({
      ...keys,
      ALIBABA_CLOUD_SECURITY_TOKEN: 'CanaryToken',
      ECS_ROLLBACK_ENDPOINT: '127.0.0.1:8080',
      ECS_ROLLBACK_POLL_INTERVAL_MS: '50',
      ECS_ROLLBACK_CALL_TIMEOUT_MS: '20000',
    });
    expect(config.ecs).toEqual({
      endpoint: { host: '127.0.0.1:8080', protocol: 'http' },
      credentials: {
        accessKeyId: 'LTAI5tExampleExample',
        accessKeySecret: 'CanarySecret',
        securityToken: 'CanaryToken',
      },
      timeoutMs: 20_000,
    });
    expect(config.pollIntervalMs).toBe(50);
    expect(config.describe()).toBe(
      'ECS at http://127.0.0.1:8080, AccessKey LTAI…mple from the environment with an STS token',
    );
  });

  it('takes an empty variable for an absent one', () => {
    expect(ecsOptionsFromEnv({ ECS_ROLLBACK_ENDPOINT: '', ALIBABA_CLOUD_ACCESS_KEY_ID: '' }).ecs).toEqual({});
  });

  it('lists all problems at once, each naming its variable', () => {
    const problems = problemsOf({
      ALIBABA_CLOUD_ACCESS_KEY_ID: 'LTAI',
      ECS_ROLLBACK_ENDPOINT: 'ftp://x',
      ECS_ROLLBACK_POLL_INTERVAL_MS: 'soon',
      ECS_ROLLBACK_CALL_TIMEOUT_MS: '3',
    });
    expect(problems).toHaveLength(4);
    for (const [index, name] of [
      'ALIBABA_CLOUD_ACCESS_KEY_ID',
      'ECS_ROLLBACK_ENDPOINT',
      'ECS_ROLLBACK_POLL_INTERVAL_MS',
      'ECS_ROLLBACK_CALL_TIMEOUT_MS',
    ].entries()) {
      expect(problems[index]).toContain(name);
      expect(problems[index]).not.toContain('\n');
    }
  });

  it.each([
    [{ ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'CanarySecret' }, 'ALIBABA_CLOUD_ACCESS_KEY_ID is not'],
    [{ ALIBABA_CLOUD_SECURITY_TOKEN: 'CanaryToken' }, 'without an AccessKey'],
    [{ ...keys, ALIBABA_CLOUD_ACCESS_KEY_SECRET: 'CanarySecret\n' }, 'paste it again'],
  ])('refuses half of a credential: %j', (env, why) => {
    const problems = problemsOf(env);
    expect(problems).toHaveLength(1);
    expect(problems[0]).toContain(why);
    expect(problems[0]).not.toContain('Canary');
  });

  it('never shows a secret when described', () => {
    const config = ecsOptionsFromEnv({ ...keys, ALIBABA_CLOUD_SECURITY_TOKEN: 'CanaryToken' });
    expect(config.describe()).not.toMatch(/Canary|ExampleExample/);
    expect(inspect(config.describe())).not.toContain('Canary');
  });
});
