/**
 * The worker's cloud settings from its environment: where the ECS API is and who we are. Read once at the start and
 * strictly, so that a typing error is told at once and not at 3 a.m.
 */
import type { EcsOptions } from './alicloud/client.ts';

export interface CloudConfig {
  readonly ecs: EcsOptions;
  /** Base interval of the poller, milliseconds. */
  readonly pollIntervalMs: number;
  /** For logs: where and as whom, without any secret. */
  describe(): string;
}

/** All that is wrong with the environment, one line each. */
export class CloudConfigError extends Error {
  override readonly name = 'CloudConfigError';
  readonly problems: readonly string[];
  constructor(problems: readonly string[]) {
    super(problems.join('\n'));
    this.problems = problems;
  }
}

const KEY_ID = 'ALIBABA_CLOUD_ACCESS_KEY_ID';
const KEY_SECRET = 'ALIBABA_CLOUD_ACCESS_KEY_SECRET';
const TOKEN = 'ALIBABA_CLOUD_SECURITY_TOKEN';
const ENDPOINT = 'ECS_ROLLBACK_ENDPOINT';
const POLL = 'ECS_ROLLBACK_POLL_INTERVAL_MS';
const TIMEOUT = 'ECS_ROLLBACK_CALL_TIMEOUT_MS';

/**
 * - `ECS_ROLLBACK_ENDPOINT`: `host[:port]` or `http(s)://host[:port]`; absent: each region's own endpoint.
 * - `ALIBABA_CLOUD_ACCESS_KEY_ID`, `…_SECRET`, `ALIBABA_CLOUD_SECURITY_TOKEN`: absent: the vendor's default chain.
 * - `ECS_ROLLBACK_POLL_INTERVAL_MS`: 5 to 60,000; default 1,000.
 * - `ECS_ROLLBACK_CALL_TIMEOUT_MS`: 1,000 to 120,000; default 15,000.
 *
 * Throws a `CloudConfigError` that lists every problem at once. An empty variable counts as absent.
 */
export function ecsOptionsFromEnv(env: Readonly<Record<string, string | undefined>>): CloudConfig {
  const problems: string[] = [];
  const read = (name: string): string | undefined => {
    const value = env[name];
    return value === undefined || value === '' ? undefined : value;
  };
  const integer = (name: string, from: number, to: number): number | undefined => {
    const value = read(name);
    if (value === undefined) return undefined;
    const parsed = /^\d+$/.test(value) ? Number(value) : Number.NaN;
    if (parsed >= from && parsed <= to) return parsed;
    problems.push(`${name} is not a whole number of milliseconds from ${from} to ${to}; set it so or leave it out.`);
    return undefined;
  };

  const keyId = credential(read(KEY_ID), KEY_ID, problems);
  const keySecret = credential(read(KEY_SECRET), KEY_SECRET, problems);
  const token = credential(read(TOKEN), TOKEN, problems);
  if (keyId !== undefined && keySecret === undefined && read(KEY_SECRET) === undefined) {
    problems.push(`${KEY_ID} is set but ${KEY_SECRET} is not; set both, or neither to use the default chain.`);
  }
  if (keySecret !== undefined && keyId === undefined && read(KEY_ID) === undefined) {
    problems.push(`${KEY_SECRET} is set but ${KEY_ID} is not; set both, or neither to use the default chain.`);
  }
  if (token !== undefined && keyId === undefined && keySecret === undefined) {
    problems.push(
      `${TOKEN} is set without an AccessKey; set ${KEY_ID} and ${KEY_SECRET} of the same AssumeRole answer.`,
    );
  }

  const address = read(ENDPOINT);
  const endpoint = address === undefined ? undefined : parseEndpoint(address);
  if (typeof endpoint === 'string') problems.push(`${ENDPOINT} ${endpoint}`);
  const pollIntervalMs = integer(POLL, 5, 60_000) ?? 1_000;
  const timeoutMs = integer(TIMEOUT, 1_000, 120_000);
  if (problems.length > 0) throw new CloudConfigError(problems);

  const ecs: EcsOptions = {
    ...(endpoint === undefined || typeof endpoint === 'string' ? {} : { endpoint }),
    ...(keyId === undefined || keySecret === undefined
      ? {}
      : {
          credentials: {
            accessKeyId: keyId,
            accessKeySecret: keySecret,
            ...(token === undefined ? {} : { securityToken: token }),
          },
        }),
    ...(timeoutMs === undefined ? {} : { timeoutMs }),
  };
  return { ecs, pollIntervalMs, describe: () => describe(ecs) };
}

function credential(value: string | undefined, name: string, problems: string[]): string | undefined {
  if (value === undefined) return undefined;
  // Never quoted back: it may be the secret, pasted with a line end.
  if (/[^\x21-\x7e]/.test(value)) {
    problems.push(`${name} contains a space, a line end or a non-ASCII character; paste it again.`);
    return undefined;
  }
  return value;
}

/** The endpoint, or what is wrong with it. A bare host is HTTPS unless it is this machine. */
export function parseEndpoint(address: string): { host: string; protocol: 'http' | 'https' } | string {
  const example = 'write it as host:port or https://host:port, such as ecs.cn-hangzhou.aliyuncs.com';
  const scheme = /^([a-z][a-z0-9+.-]*):\/\//i.exec(address)?.[1]?.toLowerCase();
  if (scheme !== undefined && scheme !== 'http' && scheme !== 'https') {
    return `has the protocol ${scheme}, but the ECS API is http or https; ${example}.`;
  }
  let url: URL;
  try {
    url = new URL(scheme === undefined ? `https://${address}` : address);
  } catch {
    return `is not an address; ${example}.`;
  }
  if (url.username !== '' || url.password !== '') {
    return `contains a user name or password, which ECS does not take; credentials go into ${KEY_ID} and ${KEY_SECRET}.`;
  }
  if (url.pathname !== '/' || url.search !== '' || url.hash !== '') {
    return `has a path or query, but the ECS API is at the root; ${example}.`;
  }
  if (url.hostname === '' || !/^(\[[0-9a-f:.]+\]|[a-z0-9]([a-z0-9._-]*[a-z0-9])?)$/.test(url.hostname)) {
    return `is not an address; ${example}.`;
  }
  const local = /^(localhost|127(\.\d{1,3}){3}|\[::1\])$/.test(url.hostname);
  const protocol = scheme === 'http' || (scheme === undefined && local) ? 'http' : 'https';
  // `new URL` drops a port that is the scheme's own, and with it `localhost:443` of a bare address.
  const port = /:(\d+)\/?$/.exec(address)?.[1];
  const standard = protocol === 'http' ? '80' : '443';
  return { host: port === undefined || port === standard ? url.hostname : `${url.hostname}:${port}`, protocol };
}

function describe(ecs: EcsOptions): string {
  const where =
    ecs.endpoint === undefined
      ? 'the public ECS endpoint of each region'
      : `${ecs.endpoint.protocol}://${ecs.endpoint.host}`;
  const who =
    ecs.credentials === undefined
      ? 'credentials from the default chain'
      : `AccessKey ${mask(ecs.credentials.accessKeyId)} from the environment`;
  return `ECS at ${where}, ${who}${ecs.credentials?.securityToken === undefined ? '' : ' with an STS token'}`;
}

/** Enough to tell two keys apart. */
const mask = (keyId: string): string => (keyId.length > 12 ? `${keyId.slice(0, 4)}…${keyId.slice(-4)}` : '…');
