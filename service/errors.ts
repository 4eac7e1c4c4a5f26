import type { InstanceIdentifiers } from './dicom/types.ts'

/**
 * The one family of errors that use cases throw. Protocol numbers (HTTP status, DIMSE status) are not here:
 * only `http/status-map.ts` and `dimse/status-map.ts` know those.
 */
export type ArchiveErrorCode =
  // The input is at fault; sending it again changes nothing.
  | 'not_dicom'
  | 'header_truncated'
  | 'header_too_large'
  | 'missing_identifier'
  | 'invalid_identifier'
  | 'dicomdir'
  | 'study_mismatch'
  | 'instance_mismatch'
  | 'too_large'
  | 'invalid_request'
  | 'unsupported'
  | 'not_found'
  | 'not_acceptable'
  | 'forbidden'
  // It was destroyed for good, after its retention; it is not taken in again.
  | 'destroyed'
  // It doesn't fit the state of what it is about.
  | 'conflict'
  // Firn is at fault or busy; the same request may succeed later.
  | 'out_of_space'
  | 'storage_failed'
  | 'catalogue_failed'
  | 'busy'
  | 'unavailable'
  // The caller went away.
  | 'aborted'

/** `never`: don't retry. `later`: retry with back-off. `reconcile`: the outcome is unknown; ask before retrying. */
export type RetryClass = 'never' | 'later' | 'reconcile'

const LATER: ReadonlySet<ArchiveErrorCode> = new Set([
  'out_of_space',
  'storage_failed',
  'busy',
  'unavailable',
  'aborted',
])

export class ArchiveError extends Error {
  /** What was read of an incoming instance's identifiers before it was refused. */
  identifiers: Partial<InstanceIdentifiers> = {}
  readonly code: ArchiveErrorCode
  readonly retry: RetryClass

  constructor(code: ArchiveErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'ArchiveError'
    this.code = code
    // A catalogue that failed may or may not have recorded bytes that the landing already holds.
    this.retry = code === 'catalogue_failed' ? 'reconcile' : LATER.has(code) ? 'later' : 'never'
  }
}

export function isArchiveError(error: unknown, code?: ArchiveErrorCode): error is ArchiveError {
  return error instanceof ArchiveError && (code === undefined || error.code === code)
}
