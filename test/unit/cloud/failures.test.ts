import { $OpenApiUtil, ClientError, ServerError, ThrottlingError } from '@alicloud/openapi-core';
import * as fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import type { Action } from '../../../src/cloud/alicloud/actions.ts';
import {
  type CallContext,
  CredentialsUnavailable,
  DeadlineExceeded,
  MalformedAnswer,
  scrub,
  toCloudError,
} from '../../../src/cloud/alicloud/failures.ts';
import type { CloudError } from '../../../src/cloud/errors.ts';

const context = (action: Action, more: Partial<CallContext> = {}): CallContext => ({
  action,
  what: 'd-bp1aaaaaaaa',
  endpoint: 'the ECS endpoint http://ecs.test',
  secrets: [],
  ...more,
});

const serviceError = (code: string, message: string, statusCode = 403, more: object = {}): unknown =>
  new ClientError({
    statusCode,
    code,
    message: `code: ${statusCode}, ${message} request id: 4E6A8A63-1111-2222-3333-444455556666`,
    data: { Code: code, Message: message },
    requestId: '4E6A8A63-1111-2222-3333-444455556666',
    ...more,
  });

const withCode = (code: string, message = ''): Error => Object.assign(new Error(message), { code });

/** Everything of an error that a log or a history could hold. */
const everything = (error: CloudError): string =>
  [
    error.message,
    error.stack,
    JSON.stringify(error),
    JSON.stringify(Object.entries(error)),
    String(error.cause),
  ].join();

describe('toCloudError', () => {
  it('says action, subject, message, code and request', () => {
    const error = toCloudError(
      serviceError('IncorrectDiskStatus', 'The current disk status is wrong.'),
      context('ResetDisk'),
    );
    expect(error.message).toBe(
      'ResetDisk d-bp1aaaaaaaa: The current disk status is wrong. (IncorrectDiskStatus, request 4E6A8A63-1111-2222-3333-444455556666)',
    );
    expect(error).toMatchObject({
      kind: 'notReady',
      code: 'IncorrectDiskStatus',
      action: 'ResetDisk',
      requestId: '4E6A8A63-1111-2222-3333-444455556666',
    });
  });

  it('keeps the hint of a throttled call', () => {
    const error = toCloudError(
      new ThrottlingError({
        code: 'Throttling.User',
        statusCode: 400,
        retryAfter: 700,
        data: { Message: 'slow down' },
      }),
      context('ResetDisk'),
    );
    expect(error).toMatchObject({ kind: 'throttled', retryAfterMs: 700 });
  });

  it('takes a 5xx on a call without ClientToken for an unknown outcome', () => {
    const thrown = new ServerError({ code: 'InternalError', statusCode: 500, data: { Message: 'oops.' } });
    expect(toCloudError(thrown, context('ResetDisk'))).toMatchObject({ kind: 'unknownOutcome' });
    expect(toCloudError(thrown, context('ResetDisk')).message).toContain('may have taken effect');
    expect(toCloudError(thrown, context('DescribeDisks'))).toMatchObject({ kind: 'transient' });
  });

  it('names the RAM action that is missing', () => {
    const detail = { accessDeniedDetail: { AuthAction: 'ecs:CreateDisk', NoPermissionType: 'ImplicitDeny' } };
    const told = toCloudError(serviceError('Forbidden.RAM', 'Not authorized.', 403, detail), context('CreateDisk'));
    expect(told).toMatchObject({ kind: 'denied' });
    expect(told.message).toContain('allow ecs:CreateDisk in RAM');
    const guessed = toCloudError(serviceError('Forbidden.RAM', 'Not authorized.'), context('AttachDisk'));
    expect(guessed.message).toContain('allow ecs:AttachDisk in RAM');
  });

  it.each([
    ['InvalidAccessKeyId.NotFound', 'ALIBABA_CLOUD_ACCESS_KEY_ID'],
    ['SignatureDoesNotMatch', 'ALIBABA_CLOUD_ACCESS_KEY_SECRET'],
    ['IllegalTimestamp', 'clock'],
    ['InvalidSecurityToken.Expired', 'expired'],
    ['InvalidAccessKeyId.SomethingNew', 'ALIBABA_CLOUD_ACCESS_KEY_ID'],
  ])('%s is a matter of credentials and names the fix', (code, fix) => {
    const error = toCloudError(
      serviceError(code, 'string to sign: POST /?CommandContent=CANARY'),
      context('RunCommand'),
    );
    expect(error.kind).toBe('credentials');
    expect(error.message).toContain(fix);
    expect(everything(error)).not.toContain('CANARY');
  });

  it.each(['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EPROTO', 'CERT_HAS_EXPIRED'])('%s: nothing was sent', (code) => {
    for (const action of ['ResetDisk', 'DescribeDisks'] as const) {
      const error = toCloudError(withCode(code, 'connect http://ecs.test/?CommandContent=CANARY'), context(action));
      expect(error).toMatchObject({ kind: 'unreachable', code });
      expect(error.message).toContain('http://ecs.test');
      expect(everything(error)).not.toContain('CANARY');
    }
  });

  it.each([
    ['a broken connection', withCode('ECONNRESET', 'aborted')],
    ['a timeout of the SDK', Object.assign(new Error('ReadTimeout(3000). POST …'), { name: 'RequestTimeoutError' })],
    ['an answer cut short', new SyntaxError('Unexpected end of JSON input')],
    ['the deadline', new DeadlineExceeded(15_000)],
    ['a socket error nobody knows', withCode('EWHATEVER', 'x')],
  ])('%s: passing on a read or dry run, unknown on an effect', (_, thrown) => {
    expect(toCloudError(thrown, context('DescribeDisks')).kind).toBe('transient');
    expect(toCloudError(thrown, context('ResetDisk', { dryRun: true })).kind).toBe('transient');
    for (const action of ['ResetDisk', 'DeleteDisk', 'CreateDisk', 'RunCommand'] as const) {
      const error = toCloudError(thrown, context(action));
      expect(error.kind).toBe('unknownOutcome');
      expect(error.message).toContain('may have taken effect');
    }
  });

  it.each([
    ['a web page', new SyntaxError(`Unexpected token '<', "<html>CANARY"... is not valid JSON`)],
    ['another shape', new MalformedAnswer('without Disks')],
    ['another type', new Error('type of Disk is mismatch, expect array')],
    ['a list of null', new Error('can not cast to Map')],
    ['null', new TypeError("Cannot read properties of null (reading 'RequestId')")],
    [
      'an error without a Code',
      new ClientError({ statusCode: 404, code: 'undefined', message: 'x', data: { error: 'CANARY' } }),
    ],
  ])('%s: not the ECS API for a read, and never believed harmless for an effect', (_, thrown) => {
    const read = toCloudError(thrown, context('DescribeDisks'));
    expect(read.kind).toBe('unreachable');
    expect(read.message).toContain('http://ecs.test');
    expect(everything(read)).not.toContain('CANARY');
    expect(toCloudError(thrown, context('ResetDisk')).kind).toBe('unknownOutcome');
  });

  it('tells missing credentials from a lookup that failed once', () => {
    expect(toCloudError(new CredentialsUnavailable('none found', false), context('ResetDisk')).kind).toBe(
      'credentials',
    );
    expect(toCloudError(new CredentialsUnavailable('none found', true), context('ResetDisk')).kind).toBe('transient');
  });

  it('passes a CloudError on as it is', () => {
    const error = toCloudError(new DeadlineExceeded(1), context('ResetDisk'));
    expect(toCloudError(error, context('DeleteDisk'))).toBe(error);
  });
});

describe('redaction', () => {
  const secret = 'CanarySecret0123456789abcdef';
  const script = 'echo "canary of the script" > /dev/null';
  const content = Buffer.from(script).toString('base64');
  const secrets = [secret, script, content];
  const url = `http://ecs.test/?AccessKeyId=LTAI5tCanaryCanary&CommandContent=${encodeURIComponent(content)}&Parameters=%7B%22p%22%3A%22x%22%7D`;

  const hidden = [secret, script, content, encodeURIComponent(content), 'LTAI5tCanaryCanary', 'CommandContent=Zw'];

  it.each<[string, unknown]>([
    ['timeout', Object.assign(new Error(`ConnectTimeout: Connect ${url} failed`), { name: 'RequestTimeoutError' })],
    ['socket', withCode('ECONNRESET', `POST ${url} socket hang up`)],
    ['syntax', new SyntaxError(`Unexpected token 'C', "${content}" is not valid JSON`)],
    ['service', serviceError('InvalidCommand', `Cannot run ${script} or ${content} at ${url} for key ${secret}`)],
    ['signature', serviceError('SignatureDoesNotMatch', `server string to sign is POST ${url} ${secret}`)],
    ['code', serviceError(`Code with ${secret}`, 'x')],
    ['denied', serviceError('Forbidden.RAM', 'x', 403, { accessDeniedDetail: { AuthAction: `ecs:X ${secret}` } })],
  ])('%s errors hold no key, script or address', (_, thrown) => {
    for (const action of ['RunCommand', 'DescribeDisks'] as const) {
      const text = everything(toCloudError(thrown, context(action, { secrets })));
      for (const value of hidden) expect(text).not.toContain(value);
    }
  });

  it('hides keys it was not told of', () => {
    expect(scrub('key LTAI5tQqJ8aaaaaaaaaaaaaa is bad', [])).not.toContain('LTAI5t');
    expect(scrub('AccessKeySecret: hunter2', [])).not.toContain('hunter2');
    expect(scrub('see https://x.test/?Signature=abc', [])).not.toContain('abc');
  });

  it('keeps what helps: ids, plain words, request ids', () => {
    const text =
      'The disk d-bp1a2b3c4d5e6f7g8h9i of i-bp1a2b3c4d5e6f7g8h9i is In_use. 4E6A8A63-1111-2222-3333-444455556666';
    expect(scrub(text, secrets)).toBe(text);
  });

  it('is one short line whatever comes in, and never shows a given secret', () => {
    const hide = fc.stringMatching(/^[A-Za-z0-9+/]{8,60}$/);
    fc.assert(
      fc.property(hide, fc.string(), fc.string(), fc.string(), (secret, before, between, after) => {
        fc.pre(![before, between, after, '[redacted]', '[address]'].some((part) => part.includes(secret)));
        const out = scrub(`${before}${secret} ${between} ${encodeURIComponent(secret)}${after}`, [secret]);
        expect(out.length).toBeLessThanOrEqual(300);
        expect(out).not.toMatch(/[\n\r\t]/);
        expect(out).not.toContain(secret);
        expect(out).not.toContain(encodeURIComponent(secret));
      }),
    );
  });

  it('relies on the error classes of the SDK as pinned', () => {
    expect($OpenApiUtil.Config).toBeTypeOf('function');
    expect((serviceError('X', 'y') as Error).name).toBe('ClientError');
  });
});
