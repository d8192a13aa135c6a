/**
 * What a failed ECS call means to the caller. Made from the error's `Code` alone: HTTP status and message are not
 * dependable (the same Code comes as 400 and 403, an InternalError as 400).
 */
export type CloudErrorKind =
  /** No credentials, wrong ones, or a clock too far off. A human must act. */
  | 'credentials'
  /** The account, or the account's state (arrears, lock), does not allow it. */
  | 'denied'
  | 'notFound'
  /** The world is not as the request assumes, and waiting does not change that. */
  | 'conflict'
  | 'quota'
  /** An instance cannot start for want of capacity, or while its host is repaired: passes, but hardly within minutes. */
  | 'noStock'
  | 'invalid'
  /** A state that passes: read again, then retry. */
  | 'notReady'
  | 'throttled'
  /** The service had a fault before it took effect, or the call may simply be repeated. */
  | 'transient'
  /** Nothing answers at the endpoint, or what answers is not the ECS API. */
  | 'unreachable'
  /** The effect may or may not have happened: read the world before anything else. */
  | 'unknownOutcome';

export class CloudError extends Error {
  override readonly name = 'CloudError';
  readonly kind: CloudErrorKind;
  readonly action: string;
  readonly code: string;
  readonly requestId: string | undefined;
  /** The service's hint for throttled calls. */
  readonly retryAfterMs: number | undefined;

  constructor(fields: {
    kind: CloudErrorKind;
    action: string;
    code: string;
    message: string;
    requestId?: string | undefined;
    retryAfterMs?: number | undefined;
  }) {
    super(fields.message);
    this.kind = fields.kind;
    this.action = fields.action;
    this.code = fields.code;
    this.requestId = fields.requestId;
    this.retryAfterMs = fields.retryAfterMs;
  }
}
