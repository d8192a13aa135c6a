/** Signatures against the vendor's own published examples, and everything that must be refused. */
import { createHash } from 'node:crypto';
import { describe, expect, it } from 'vitest';
import {
  authenticate,
  canonicalRequest,
  encode,
  NonceMemory,
  parseQuery,
  type SignedRequest,
  signAcs3,
  signV1,
  splitTarget,
  stringToSignV1,
} from '../../../simulator/protocol/signature.ts';

const emptyHash = createHash('sha256').digest('hex');
const credentials = { accessKeyId: 'YourAccessKeyId', accessKeySecret: 'YourAccessKeySecret' };
const at = Date.parse('2023-10-26T10:22:32Z');

/** The RunInstances example of the vendor's page on signature version 3. */
const published = {
  method: 'POST',
  target: '/?ImageId=win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd&RegionId=cn-shanghai',
  headers: {
    host: 'ecs.cn-shanghai.aliyuncs.com',
    'x-acs-action': 'RunInstances',
    'x-acs-content-sha256': emptyHash,
    'x-acs-date': '2023-10-26T10:22:32Z',
    'x-acs-signature-nonce': '3156853299f313e23d1673dc12e1703d',
    'x-acs-version': '2014-05-26',
  },
  signature: '06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0',
};

function request(fields: {
  method?: string;
  target: string;
  headers?: Record<string, string>;
  body?: string;
}): SignedRequest {
  const [, query] = splitTarget(fields.target);
  return {
    method: fields.method ?? 'POST',
    target: fields.target,
    headers: new Map(Object.entries(fields.headers ?? {})),
    body: Buffer.from(fields.body ?? ''),
    parameters: new Map(parseQuery(query)),
  };
}

/** A correctly signed request; `tamper` changes it after signing. */
function signed(
  options: {
    target?: string;
    secret?: string;
    accessKeyId?: string;
    date?: string;
    nonce?: string;
    body?: string;
    leaveOut?: string;
    encodeNames?: boolean;
  } = {},
): SignedRequest {
  const body = options.body ?? '';
  const headers: Record<string, string> = {
    host: '127.0.0.1:8080',
    'x-acs-action': 'DescribeDisks',
    'x-acs-content-sha256': createHash('sha256').update(body).digest('hex'),
    'x-acs-date': options.date ?? '2023-10-26T10:22:32Z',
    'x-acs-signature-nonce': options.nonce ?? 'n-1',
    'x-acs-version': '2014-05-26',
  };
  const names = Object.keys(headers)
    .filter((name) => name !== options.leaveOut)
    .sort();
  const unsigned = request({ target: options.target ?? '/?RegionId=cn-hangzhou', headers, body });
  const hash = headers['x-acs-content-sha256'] ?? '';
  const canonical = canonicalRequest(unsigned, names, hash, options.encodeNames ?? false);
  const signature = signAcs3(canonical, options.secret ?? credentials.accessKeySecret);
  const authorization = `ACS3-HMAC-SHA256 Credential=${options.accessKeyId ?? credentials.accessKeyId},SignedHeaders=${names.join(';')},Signature=${signature}`;
  return { ...unsigned, headers: new Map([...unsigned.headers, ['authorization', authorization]]) };
}

function codeOf(candidate: SignedRequest, nonces = new NonceMemory(), now = at): string {
  try {
    authenticate(candidate, credentials, nonces, now);
    return 'accepted';
  } catch (error) {
    return (error as { code?: string }).code ?? String(error);
  }
}

describe('signature version 3', () => {
  it('reproduces the published example', () => {
    const names = Object.keys(published.headers);
    const canonical = canonicalRequest(request(published), names, emptyHash, false);
    expect(createHash('sha256').update(canonical).digest('hex')).toBe(
      '7ea06492da5221eba5297e897ce16e55f964061054b7695beedaac1145b1e259',
    );
    expect(signAcs3(canonical, credentials.accessKeySecret)).toBe(published.signature);
  });

  it('encodes as RFC 3986 does', () => {
    expect(encode("it's (a) *test*!~ +/=&é")).toBe('it%27s%20%28a%29%20%2Atest%2A%21~%20%2B%2F%3D%26%C3%A9');
  });

  it('accepts what it should', () => {
    expect(codeOf(signed())).toBe('accepted');
    expect(codeOf(signed({ body: 'a=b' }))).toBe('accepted');
    expect(codeOf(signed({ target: '/?Tag.1.Value=it%27s%20(a)%20*test*!~%20%2B%2F%3D&B=1&A=2' }))).toBe('accepted');
    expect(codeOf(signed({ target: '/?a%3Ab=1', encodeNames: true }))).toBe('accepted');
    expect(codeOf(signed({ date: '2023-10-26T10:08:00Z' }))).toBe('accepted');
  });

  it.each([
    ['another secret', signed({ secret: 'x' }), 'SignatureDoesNotMatch'],
    ['an unknown access key', signed({ accessKeyId: 'x' }), 'InvalidAccessKeyId.NotFound'],
    ['a clock 16 minutes late', signed({ date: '2023-10-26T10:06:31Z' }), 'InvalidTimeStamp.Expired'],
    ['a clock 16 minutes early', signed({ date: '2023-10-26T10:38:33Z' }), 'InvalidTimeStamp.Expired'],
    ['a date in another form', signed({ date: 'Thu, 26 Oct 2023 10:22:32 GMT' }), 'IllegalTimestamp'],
    ['an unsigned action', signed({ leaveOut: 'x-acs-action' }), 'IncompleteSignature'],
    ['an unsigned host', signed({ leaveOut: 'host' }), 'IncompleteSignature'],
    ['no signature at all', request({ target: '/?Action=DescribeDisks' }), 'IncompleteSignature'],
  ])('refuses %s', (_what, candidate, code) => {
    expect(codeOf(candidate)).toBe(code);
  });

  it('refuses what was changed after signing', () => {
    const good = signed({ body: 'a=b' });
    expect(codeOf({ ...good, target: '/?RegionId=cn-beijing' })).toBe('SignatureDoesNotMatch');
    expect(codeOf({ ...good, method: 'GET' })).toBe('SignatureDoesNotMatch');
    expect(codeOf({ ...good, body: Buffer.from('a=c') })).toBe('SignatureDoesNotMatch');
    expect(codeOf({ ...good, headers: new Map([...good.headers, ['x-acs-action', 'ResetDisk']]) })).toBe(
      'SignatureDoesNotMatch',
    );
    expect(codeOf({ ...good, headers: new Map([...good.headers, ['x-acs-extra', '1']]) })).toBe('IncompleteSignature');
    expect(codeOf({ ...good, headers: new Map([...good.headers, ['authorization', 'Bearer x']]) })).toBe(
      'IncompleteSignature',
    );
  });

  it('accepts a nonce once, and a refused request does not use it up', () => {
    const nonces = new NonceMemory();
    expect(codeOf(signed({ secret: 'x' }), nonces)).toBe('SignatureDoesNotMatch');
    expect(codeOf(signed(), nonces)).toBe('accepted');
    expect(codeOf(signed(), nonces)).toBe('SignatureNonceUsed');
    expect(codeOf(signed({ nonce: 'n-2' }), nonces)).toBe('accepted');
  });
});

describe('signature version 1', () => {
  const parameters: Record<string, string> = {
    AccessKeyId: 'testid',
    Action: 'DescribeRegions',
    Format: 'XML',
    SignatureMethod: 'HMAC-SHA1',
    SignatureNonce: '3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf',
    SignatureVersion: '1.0',
    Timestamp: '2016-02-23T12:46:24Z',
    Version: '2014-05-26',
  };
  const keys = { accessKeyId: 'testid', accessKeySecret: 'testsecret' };
  const now = Date.parse('2016-02-23T12:46:24Z');
  const query = (fields: Record<string, string>): string =>
    Object.entries(fields)
      .map(([name, value]) => `${encode(name)}=${encode(value)}`)
      .join('&');

  it('reproduces the published example, and refuses it when changed', () => {
    expect(signV1(stringToSignV1('GET', Object.entries(parameters)), 'testsecret')).toBe(
      'OLeaidS1JvxuMvnyHOwuJ+uX5qY=',
    );
    const Signature = 'OLeaidS1JvxuMvnyHOwuJ+uX5qY=';
    const good = request({ method: 'GET', target: `/?${query({ ...parameters, Signature })}` });
    expect(() => authenticate(good, keys, new NonceMemory(), now)).not.toThrow();
    const other = request({ method: 'GET', target: `/?${query({ ...parameters, Action: 'ResetDisk', Signature })}` });
    expect(() => authenticate(other, keys, new NonceMemory(), now)).toThrow(/not matched/);
  });
});
