import { isStorageError, StorageError, type StorageErrorCode } from '../contract/errors.ts'

/** By the `Code` of the answer, which the SDK gives as the error's name. Many stores send no text with it. */
const CODES: Readonly<Record<string, StorageErrorCode>> = {
  NoSuchKey: 'not_found',
  NotFound: 'not_found',
  NoSuchVersion: 'not_found',
  NoSuchBucket: 'misconfigured',
  NoSuchUpload: 'unavailable',
  AccessDenied: 'permission_denied',
  Forbidden: 'permission_denied',
  AllAccessDisabled: 'permission_denied',
  AccountProblem: 'permission_denied',
  InvalidAccessKeyId: 'permission_denied',
  SignatureDoesNotMatch: 'permission_denied',
  ExpiredToken: 'permission_denied',
  InvalidToken: 'permission_denied',
  CredentialsProviderError: 'permission_denied',
  ObjectLocked: 'locked',
  QuotaExceeded: 'out_of_space',
  InsufficientStorage: 'out_of_space',
  XMinioStorageFull: 'out_of_space',
  XMinioAdminBucketQuotaExceeded: 'out_of_space',
  SlowDown: 'rate_limited',
  TooManyRequests: 'rate_limited',
  Throttling: 'rate_limited',
  ThrottlingException: 'rate_limited',
  RequestLimitExceeded: 'rate_limited',
  BadDigest: 'integrity_mismatch',
  InvalidDigest: 'integrity_mismatch',
  XAmzContentSHA256Mismatch: 'integrity_mismatch',
  InvalidRange: 'range_invalid',
  InvalidObjectState: 'recall_needed',
  EntityTooLarge: 'unsupported',
  EntityTooSmall: 'unsupported',
  NotImplemented: 'unsupported',
  MethodNotAllowed: 'unsupported',
  RequestTimeTooSkewed: 'misconfigured',
  PermanentRedirect: 'misconfigured',
  AuthorizationHeaderMalformed: 'misconfigured',
  IllegalLocationConstraintException: 'misconfigured',
  InvalidBucketState: 'misconfigured',
  ObjectLockConfigurationNotFoundError: 'misconfigured',
  // What If-None-Match is answered with; what is there must be looked at.
  PreconditionFailed: 'exists_different',
  ConditionalRequestConflict: 'exists_different',
  ServiceUnavailable: 'unavailable',
  OperationAborted: 'unavailable',
  RequestTimeout: 'unavailable',
}

const BY_STATUS: Readonly<Record<number, StorageErrorCode>> = {
  401: 'permission_denied',
  403: 'permission_denied',
  404: 'not_found',
  409: 'unavailable',
  412: 'exists_different',
  416: 'range_invalid',
  429: 'rate_limited',
  501: 'unsupported',
  503: 'unavailable',
  507: 'out_of_space',
}

/** The request never reached the store. */
const NOT_SENT = ['ECONNREFUSED', 'ENOTFOUND', 'EAI_AGAIN', 'EHOSTUNREACH', 'ENETUNREACH', 'EADDRNOTAVAIL']

interface AwsError extends Error {
  code?: string
  $metadata?: { httpStatusCode?: number; requestId?: string }
}

/**
 * `write` says that the call changes something if it arrives: then a silence, a broken connection or an error of the
 * server that doesn't say that it refused is `outcome_unknown`.
 */
export function s3Error(error: unknown, what: string, { write }: { write: boolean }): StorageError {
  if (isStorageError(error)) return error
  const aws = error as AwsError
  const status = aws.$metadata?.httpStatusCode
  const known = CODES[aws.name] ?? (status === undefined ? undefined : BY_STATUS[status])
  const unsent = NOT_SENT.includes(aws.code ?? '') || aws.message.includes('did not establish a connection')
  const code =
    known ??
    (status !== undefined && status < 500 ? 'unsupported' : write && !unsent ? 'outcome_unknown' : 'unavailable')
  return new StorageError(code, `${what}: ${describe(aws)}`, { cause: withoutSecrets(aws) })
}

export function isHttp(error: unknown, status: number): boolean {
  return (error as AwsError).$metadata?.httpStatusCode === status
}

export function isNamed(error: unknown, ...names: string[]): boolean {
  return names.includes((error as AwsError).name)
}

function describe({ name, message, code, $metadata }: AwsError): string {
  const text = message === 'UnknownError' ? '' : ` ${message}`
  const status = $metadata?.httpStatusCode === undefined ? '' : ` (HTTP ${$metadata.httpStatusCode})`
  return `${code ?? name}${text}${status}`
}

/** The SDK's errors carry the response, with whatever a store echoes of the request's signature. */
function withoutSecrets({ name, message, stack, $metadata }: AwsError): Error {
  const cause = new Error(`${name}: ${message}`)
  if (stack !== undefined) cause.stack = stack
  return Object.assign(cause, { requestId: $metadata?.requestId })
}
