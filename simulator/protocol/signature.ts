/**
 * Proves that a request was signed with the secret of its access key: ACS3-HMAC-SHA256 (headers) and the older query
 * signature of version 1.0 (HMAC-SHA1). Also refuses clocks that are more than 15 minutes off and nonces seen before.
 */
import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import { ApiError } from './api-error.ts';

export interface SignedRequest {
  readonly method: string;
  /** The request target as it came, such as `/?DiskId=d-1`. */
  readonly target: string;
  readonly headers: ReadonlyMap<string, string>;
  readonly body: Buffer;
  /** Parameters of the query and, for form posts, of the body; decoded. */
  readonly parameters: ReadonlyMap<string, string>;
}

export interface Credentials {
  readonly accessKeyId: string;
  readonly accessKeySecret: string;
}

const allowedSkewMs = 15 * 60_000;
const emptyHash = createHash('sha256').digest('hex');

/** Percent-encoding of RFC 3986: everything but letters, digits and `-_.~`. */
export const encode = (text: string): string =>
  encodeURIComponent(text).replace(/[!'()*]/g, (c) => `%${c.charCodeAt(0).toString(16).toUpperCase()}`);

const sha256 = (data: string | Buffer): string => createHash('sha256').update(data).digest('hex');

function sameText(a: string, b: string): boolean {
  const left = Buffer.from(a);
  const right = Buffer.from(b);
  return left.length === right.length && timingSafeEqual(left, right);
}

/** Name and value pairs of a query string, decoded, in their order. */
export function parseQuery(query: string): [string, string][] {
  if (query === '') return [];
  return query.split('&').map((pair) => {
    const at = pair.indexOf('=');
    const name = at < 0 ? pair : pair.slice(0, at);
    const value = at < 0 ? '' : pair.slice(at + 1);
    return [decode(name), decode(value)];
  });
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text.replaceAll('+', ' '));
  } catch {
    throw new ApiError('InvalidParameter', 400, 'The request contains a malformed percent-encoding.');
  }
}

const byName = (a: readonly [string, string], b: readonly [string, string]): number =>
  a[0] < b[0] ? -1 : a[0] > b[0] ? 1 : a[1] < b[1] ? -1 : a[1] > b[1] ? 1 : 0;

/** The canonical request of ACS3; `encodeNames` because official SDKs differ in whether they encode parameter names. */
export function canonicalRequest(
  request: SignedRequest,
  signedHeaders: readonly string[],
  bodyHash: string,
  encodeNames: boolean,
): string {
  const [path, query] = splitTarget(request.target);
  const canonicalQuery = parseQuery(query)
    .sort(byName)
    .map(([name, value]) => `${encodeNames ? encode(name) : name}=${encode(value)}`)
    .join('&');
  const canonicalHeaders = signedHeaders
    .map((name) => `${name}:${(request.headers.get(name) ?? '').trim()}\n`)
    .join('');
  return [request.method, path, canonicalQuery, canonicalHeaders, signedHeaders.join(';'), bodyHash].join('\n');
}

/** The signature of a canonical request: lower-case hex. */
export const signAcs3 = (canonical: string, secret: string): string =>
  createHmac('sha256', secret)
    .update(`ACS3-HMAC-SHA256\n${sha256(canonical)}`)
    .digest('hex');

/** What version 1.0 signs: the sorted query without its signature. */
export function stringToSignV1(method: string, parameters: Iterable<readonly [string, string]>): string {
  const query = [...parameters]
    .filter(([name]) => name !== 'Signature')
    .sort(byName)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .join('&');
  return `${method}&${encode('/')}&${encode(query)}`;
}

export const signV1 = (stringToSign: string, secret: string): string =>
  createHmac('sha1', `${secret}&`).update(stringToSign).digest('base64');

export function splitTarget(target: string): [string, string] {
  const at = target.indexOf('?');
  return at < 0 ? [target, ''] : [target.slice(0, at), target.slice(at + 1)];
}

/** Remembers nonces for as long as the clock check would let them pass. */
export class NonceMemory {
  private readonly seen = new Map<string, number>();

  use(nonce: string, now: number): void {
    for (const [old, at] of this.seen) {
      if (now - at <= 2 * allowedSkewMs) break;
      this.seen.delete(old);
    }
    if (this.seen.has(nonce)) {
      throw new ApiError('SignatureNonceUsed', 400, 'Specified signature nonce was used already.');
    }
    this.seen.set(nonce, now);
  }
}

/** Throws the service's own error unless the request was signed by `credentials` just now. */
export function authenticate(request: SignedRequest, credentials: Credentials, nonces: NonceMemory, now: number): void {
  const authorization = request.headers.get('authorization');
  if (authorization !== undefined) verifyAcs3(request, authorization, credentials, nonces, now);
  else if (request.parameters.has('Signature') || request.parameters.has('AccessKeyId')) {
    verifyV1(request, credentials, nonces, now);
  } else {
    throw new ApiError(
      'IncompleteSignature',
      400,
      'The request signature does not conform to Aliyun standards: there is neither an Authorization header nor a Signature parameter.',
    );
  }
}

function checkKey(accessKeyId: string, credentials: Credentials): void {
  if (!sameText(accessKeyId, credentials.accessKeyId)) {
    throw new ApiError('InvalidAccessKeyId.NotFound', 404, 'Specified access key is not found.');
  }
}

function checkTime(text: string, now: number): void {
  const at = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ$/.test(text) ? Date.parse(text) : Number.NaN;
  if (Number.isNaN(at)) {
    throw new ApiError('IllegalTimestamp', 400, 'The input parameter "Timestamp" that is mandatory is not valid.');
  }
  if (Math.abs(now - at) > allowedSkewMs) {
    throw new ApiError('InvalidTimeStamp.Expired', 400, 'Specified time stamp or date value is expired.');
  }
}

function required(value: string | undefined, name: string): string {
  if (value === undefined || value === '') {
    throw new ApiError(
      'MissingParameter',
      400,
      `The input parameter "${name}" that is mandatory for processing this request is not supplied.`,
    );
  }
  return value;
}

function verifyAcs3(
  request: SignedRequest,
  authorization: string,
  credentials: Credentials,
  nonces: NonceMemory,
  now: number,
): void {
  const fields =
    /^ACS3-HMAC-SHA256\s+Credential=([^,\s]+),\s*SignedHeaders=([^,\s]+),\s*Signature=([0-9a-f]{64})$/.exec(
      authorization,
    );
  const [, accessKeyId, headerList, signature] = fields ?? [];
  if (accessKeyId === undefined || headerList === undefined || signature === undefined) {
    throw new ApiError('IncompleteSignature', 400, 'The request signature does not conform to Aliyun standards.');
  }
  checkKey(accessKeyId, credentials);
  checkTime(required(request.headers.get('x-acs-date'), 'x-acs-date'), now);
  const nonce = required(request.headers.get('x-acs-signature-nonce'), 'x-acs-signature-nonce');
  const bodyHash = required(request.headers.get('x-acs-content-sha256'), 'x-acs-content-sha256');
  // A signature that leaves one of these out would let a third party change it.
  const signed = headerList.split(';');
  const mustSign = [...request.headers.keys()].filter((name) => name === 'host' || name.startsWith('x-acs-'));
  const unsigned = mustSign.filter((name) => !signed.includes(name));
  const badOrder = signed.some((name, i) => name !== name.toLowerCase() || (i > 0 && (signed[i - 1] ?? '') >= name));
  if (unsigned.length > 0 || badOrder) {
    throw new ApiError(
      'IncompleteSignature',
      400,
      `The request signature does not conform to Aliyun standards: ${
        unsigned.length > 0
          ? `header ${unsigned.join(', ')} is not signed`
          : 'SignedHeaders is not sorted in lower case'
      }.`,
    );
  }
  const realHash = request.body.length === 0 ? emptyHash : sha256(request.body);
  const matches = [false, true].some((encodeNames) =>
    sameText(
      signAcs3(canonicalRequest(request, signed, bodyHash, encodeNames), credentials.accessKeySecret),
      signature,
    ),
  );
  if (!matches || !sameText(realHash, bodyHash)) {
    throw new ApiError(
      'SignatureDoesNotMatch',
      400,
      `Specified signature is not matched with our calculation. server string to sign is:ACS3-HMAC-SHA256\n${sha256(
        canonicalRequest(request, signed, realHash, false),
      )}`,
    );
  }
  nonces.use(nonce, now);
}

function verifyV1(request: SignedRequest, credentials: Credentials, nonces: NonceMemory, now: number): void {
  const value = (name: string): string => required(request.parameters.get(name), name);
  const accessKeyId = value('AccessKeyId');
  const signature = value('Signature');
  const nonce = value('SignatureNonce');
  if (value('SignatureMethod') !== 'HMAC-SHA1') {
    throw new ApiError('InvalidParameter.SignatureMethod', 400, 'Only SignatureMethod HMAC-SHA1 is supported.');
  }
  checkKey(accessKeyId, credentials);
  checkTime(value('Timestamp'), now);
  const text = stringToSignV1(request.method, request.parameters);
  if (!sameText(signV1(text, credentials.accessKeySecret), signature)) {
    throw new ApiError(
      'SignatureDoesNotMatch',
      400,
      `Specified signature is not matched with our calculation. server string to sign is:${text}`,
    );
  }
  nonces.use(nonce, now);
}
