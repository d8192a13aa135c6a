/**
 * Turns whatever the SDK throws into a `CloudError`. The SDK's own transport messages carry the whole URL, and with it
 * scripts and parameters, so nothing of them is ever passed on; what the service says is kept, cut and scrubbed.
 */
import { CloudError, type CloudErrorKind } from '../errors.ts';
import { ACTIONS, type Action } from './actions.ts';
import { kindOfCode } from './codes.ts';

/** One call, as error messages may show it. */
export interface CallContext {
  readonly action: Action;
  /** Ids the call is about, such as `d-bp1…`; never parameters. */
  readonly what: string;
  /** Where it went, as the subject of a sentence. */
  readonly endpoint: string;
  readonly dryRun?: boolean;
  /** Values that no message may contain: keys, tokens, scripts. */
  readonly secrets: readonly string[];
}

/** The deadline around a call passed; the SDK cannot be stopped, so the call may still reach the service. */
export class DeadlineExceeded extends Error {
  override readonly name = 'DeadlineExceeded';
  readonly milliseconds: number;
  constructor(milliseconds: number) {
    super('no answer in time');
    this.milliseconds = milliseconds;
  }
}

/** The answer came, but is not one of the ECS API. */
export class MalformedAnswer extends Error {
  override readonly name = 'MalformedAnswer';
}

/** No usable credentials; nothing was sent. */
export class CredentialsUnavailable extends Error {
  override readonly name = 'CredentialsUnavailable';
  /** They could be had earlier in this process, so this may well pass. */
  readonly hadBefore: boolean;
  constructor(message: string, hadBefore: boolean) {
    super(message);
    this.hadBefore = hadBefore;
  }
}

/** Socket errors that happen before a request can leave this machine. */
const NOT_SENT: ReadonlyMap<string, string> = new Map([
  ['ECONNREFUSED', 'nothing listens there'],
  ['ENOTFOUND', 'the host name is not known; check the endpoint, or the region id'],
  ['EAI_AGAIN', 'the host name cannot be looked up now'],
  ['EHOSTUNREACH', 'there is no route to the host'],
  ['ENETUNREACH', 'there is no route to the network'],
  ['EADDRNOTAVAIL', 'this machine has no free local port or address'],
  ['EACCES', 'this machine does not let the connection out'],
  ['EPROTO', 'it does not speak TLS as expected; check http or https'],
  ['ERR_SSL_WRONG_VERSION_NUMBER', 'it does not speak TLS; check http or https'],
  ['ERR_TLS_CERT_ALTNAME_INVALID', 'its certificate is for another host'],
  ['DEPTH_ZERO_SELF_SIGNED_CERT', 'its certificate is self-signed; NODE_EXTRA_CA_CERTS makes one trusted'],
  ['SELF_SIGNED_CERT_IN_CHAIN', 'its certificate chain is self-signed; NODE_EXTRA_CA_CERTS makes one trusted'],
  ['UNABLE_TO_VERIFY_LEAF_SIGNATURE', 'its certificate cannot be verified; NODE_EXTRA_CA_CERTS adds an authority'],
  ['UNABLE_TO_GET_ISSUER_CERT_LOCALLY', 'its certificate cannot be verified; NODE_EXTRA_CA_CERTS adds an authority'],
  ['CERT_HAS_EXPIRED', 'its certificate has expired'],
  ['ERR_INVALID_URL', 'the endpoint is not an address'],
]);

const CREDENTIALS_FIX: ReadonlyMap<string, string> = new Map([
  [
    'InvalidAccessKeyId.NotFound',
    'the service does not know this AccessKey; check ALIBABA_CLOUD_ACCESS_KEY_ID, and that it belongs to this endpoint',
  ],
  ['InvalidAccessKeyId.Inactive', 'this AccessKey is disabled; enable it in RAM or use another'],
  ['Forbidden.AccessKeyDisabled', 'this AccessKey is disabled; enable it in RAM or use another'],
  ['SignatureDoesNotMatch', 'the AccessKey secret is wrong; check ALIBABA_CLOUD_ACCESS_KEY_SECRET'],
  ['IncompleteSignature', 'the AccessKey secret is wrong; check ALIBABA_CLOUD_ACCESS_KEY_SECRET'],
  ['IllegalTimestamp', 'the clock of this machine is wrong; set it (NTP)'],
  ['InvalidTimeStamp.Expired', 'the clock of this machine is wrong; set it (NTP)'],
  ['InvalidTimeStamp.Format', 'the clock of this machine is wrong; set it (NTP)'],
  ['InvalidSecurityToken.Expired', 'the STS token has expired; get a new one (ALIBABA_CLOUD_SECURITY_TOKEN)'],
  [
    'InvalidSecurityToken.MismatchWithAccessKey',
    'the STS token is not of this AccessKey; set all three ALIBABA_CLOUD_ variables from one AssumeRole answer',
  ],
]);
const UNREACHABLE_FIX = "check ECS_ROLLBACK_ENDPOINT and the worker's network";
const CREDENTIALS_FIX_DEFAULT = 'the credentials are refused; check ALIBABA_CLOUD_ACCESS_KEY_ID and its secret';

const MAX_SERVICE_MESSAGE = 300;

/**
 * One line, at most 300 characters, without the given secrets, without anything that looks like a request (the service
 * quotes what it signed when a signature is wrong), a script or a key.
 */
export function scrub(text: string, secrets: readonly string[]): string {
  let out = text;
  for (const secret of secrets) {
    if (secret.length < 4) continue;
    for (const form of new Set([secret, encodeURIComponent(secret), encodeURIComponent(encodeURIComponent(secret))])) {
      out = out.replaceAll(form, '[redacted]');
    }
  }
  out = out
    .replace(/\b[a-z]+:\/\/\S+/gi, '[address]')
    .replace(
      /\b(CommandContent|Parameters|Content|AccessKeyId|AccessKeySecret|SecurityToken|Signature|Authorization|Credential|Password|x-acs-[a-z-]+)(["']?\s*[=:]\s*)\S+/gi,
      '$1$2[redacted]',
    )
    .replace(/\b(LTAI|STS\.|TMP\.)[A-Za-z0-9]{8,}/g, '[redacted]')
    .replace(/[A-Za-z0-9+/%_-]{40,}={0,2}/g, '[redacted]')
    // oxlint-disable-next-line no-control-regex -- control characters are what is to be removed
    .replace(/[\u0000-\u001f\u007f\s]+/g, ' ')
    .trim();
  return out.length > MAX_SERVICE_MESSAGE ? `${out.slice(0, MAX_SERVICE_MESSAGE - 1)}…` : out;
}

interface Thrown {
  readonly name: string;
  readonly message: string;
  readonly code: string | undefined;
  readonly statusCode: number | undefined;
  readonly requestId: string | undefined;
  readonly serviceMessage: string | undefined;
  readonly retryAfter: number | undefined;
  readonly deniedAction: string | undefined;
}

// The SDK writes the word "undefined" where the answer had no such field.
const text = (value: unknown): string | undefined =>
  typeof value === 'string' && value !== '' && value !== 'undefined' ? value : undefined;
const number = (value: unknown): number | undefined =>
  typeof value === 'number' && Number.isFinite(value) ? value : undefined;
const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {};

function examine(thrown: unknown): Thrown {
  const fields = record(thrown);
  const data = record(fields['data']);
  const code = text(fields['code']);
  const requestId = text(fields['requestId']);
  return {
    name: text(fields['name']) ?? 'Error',
    message: text(fields['message']) ?? '',
    code: code !== undefined && /^[\w.-]{1,120}$/.test(code) ? code : undefined,
    statusCode: number(fields['statusCode']),
    requestId: requestId !== undefined && /^[\w-]{1,80}$/.test(requestId) ? requestId : undefined,
    serviceMessage: text(data['Message']) ?? text(data['message']),
    retryAfter: number(fields['retryAfter']),
    deniedAction: text(record(fields['accessDeniedDetail'])['AuthAction']),
  };
}

const seconds = (milliseconds: number): string => `${Math.round(milliseconds / 100) / 10} s`;

/** Never throws and never keeps the original: its message and stack may hold the request. */
export function toCloudError(thrown: unknown, call: CallContext): CloudError {
  if (thrown instanceof CloudError) return thrown;
  const { action, endpoint } = call;
  const repeatable = ACTIONS[action] === 'read' || call.dryRun === true;
  const subject = call.what === '' ? action : `${action} ${call.what}`;
  const make = (kind: CloudErrorKind, code: string, message: string, extra: Partial<Thrown> = {}): CloudError =>
    new CloudError({
      kind,
      action,
      code,
      message: `${subject}: ${message}${kind === 'unreachable' ? `; ${UNREACHABLE_FIX}` : ''}`,
      requestId: extra.requestId,
      retryAfterMs: extra.retryAfter,
    });
  const lost: CloudErrorKind = repeatable ? 'transient' : 'unknownOutcome';
  const doubt = repeatable ? '' : '; it may have taken effect all the same';

  if (thrown instanceof CredentialsUnavailable) {
    return make(thrown.hadBefore ? 'transient' : 'credentials', 'NoCredentials', scrub(thrown.message, call.secrets));
  }
  if (thrown instanceof DeadlineExceeded) {
    const message = `${endpoint} did not answer within ${seconds(thrown.milliseconds)}${doubt}`;
    return make(lost, 'DeadlineExceeded', message);
  }
  if (thrown instanceof MalformedAnswer) {
    const message = `${endpoint} answered, but not as the ECS API does (${scrub(thrown.message, call.secrets)})${doubt}`;
    return make(repeatable ? 'unreachable' : 'unknownOutcome', 'MalformedAnswer', message);
  }

  const seen = examine(thrown);
  const notSent = seen.statusCode === undefined && seen.code !== undefined ? NOT_SENT.get(seen.code) : undefined;
  if (seen.code !== undefined && notSent !== undefined) {
    return make('unreachable', seen.code, `cannot reach ${endpoint}: ${notSent} (${seen.code})`);
  }
  if (seen.name === 'SyntaxError') {
    // The status is lost here. An answer that begins with "<" is a web page; anything else may be a real answer cut short.
    const page = /Unexpected token '?</.test(seen.message);
    const what = page ? 'a web page instead of JSON' : `something that is not (whole) JSON; ${UNREACHABLE_FIX}`;
    return make(repeatable && page ? 'unreachable' : lost, 'NotJson', `${endpoint} answered with ${what}${doubt}`);
  }
  if (seen.name === 'RequestTimeoutError' || seen.name === 'TimeoutError') {
    return make(lost, 'RequestTimeout', `${endpoint} did not answer in time${doubt}`);
  }
  const fromService = /^(ClientError|ServerError|ThrottlingError|AlibabaCloudError)$/.test(seen.name);
  if (!fromService && seen.code === undefined) {
    // Socket errors have a code. What has none comes up while the SDK reads an answer: a field of another type
    // (a plain Error), or `null` where it expects an object (a TypeError).
    const message = `${endpoint} answered, but not as the ECS API does (a field of another type)${doubt}`;
    return make(repeatable ? 'unreachable' : 'unknownOutcome', 'MalformedAnswer', message);
  }
  if (!fromService && seen.code !== undefined) {
    const message = `the connection to ${endpoint} broke before an answer was read (${seen.code})${doubt}`;
    return make(lost, seen.code, message);
  }
  if (seen.code === undefined) {
    const status = seen.statusCode === undefined ? '' : ` (HTTP ${seen.statusCode})`;
    const message = `${endpoint} answered with an error without a Code${status}, so it is hardly the ECS API${doubt}`;
    return make(repeatable ? 'unreachable' : 'unknownOutcome', 'NoCode', message);
  }

  const kind =
    seen.name === 'ThrottlingError'
      ? 'throttled'
      : kindOfCode(seen.code, action, { dryRun: call.dryRun === true, status: seen.statusCode });
  const mark = seen.requestId === undefined ? seen.code : `${seen.code}, request ${seen.requestId}`;
  let said: string;
  if (kind === 'credentials') {
    // Not the service's words: with a wrong signature it quotes the whole request.
    said = CREDENTIALS_FIX.get(seen.code) ?? CREDENTIALS_FIX_DEFAULT;
  } else {
    said = scrub(seen.serviceMessage ?? 'refused without a message', call.secrets);
    if (kind === 'denied' && /^(Forbidden|NoPermission)/.test(seen.code)) {
      const ram = seen.deniedAction ?? `ecs:${action}`;
      said = `${said.replace(/\.$/, '')}; allow ${scrub(ram, call.secrets)} in RAM (deploy/ram-policy.json)`;
    }
    if (seen.code === 'InvalidRegionId.NotFound') said = `${said.replace(/\.$/, '')}; check the region`;
    if (kind === 'unknownOutcome') said = `${said.replace(/\.$/, '')}${doubt}`;
  }
  return make(kind, seen.code, `${said} (${mark})`, seen);
}
