/** An answer of the service that is not a success: Code and HTTP status are what clients decide by. */
export class ApiError extends Error {
  readonly code: string;
  readonly status: number;
  /** Milliseconds for the `x-acs-retry-after` header. */
  readonly retryAfterMs: number | undefined;

  constructor(code: string, status: number, message: string, retryAfterMs?: number) {
    super(message);
    this.code = code;
    this.status = status;
    this.retryAfterMs = retryAfterMs;
  }
}

export const missingParameter = (name: string): ApiError =>
  new ApiError(
    'MissingParameter',
    400,
    `The input parameter "${name}" that is mandatory for processing this request is not supplied.`,
  );

export const invalidParameter = (name: string, fact: string, code = 'InvalidParameter', status = 400): ApiError =>
  new ApiError(code, status, `The specified parameter "${name}" is not valid: ${fact}.`);
