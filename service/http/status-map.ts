import type { Failure } from '../commitment/ports.ts'
import type { ArchiveErrorCode } from '../errors.ts'

/** The only place where errors become HTTP status codes. */
const HTTP_STATUS: Record<ArchiveErrorCode, number> = {
  not_dicom: 409,
  header_truncated: 409,
  header_too_large: 409,
  missing_identifier: 409,
  invalid_identifier: 409,
  dicomdir: 409,
  study_mismatch: 409,
  instance_mismatch: 409,
  too_large: 413,
  invalid_request: 400,
  unsupported: 415,
  not_found: 404,
  not_acceptable: 406,
  forbidden: 403,
  destroyed: 409,
  conflict: 409,
  out_of_space: 507,
  storage_failed: 500,
  catalogue_failed: 500,
  busy: 503,
  unavailable: 503,
  aborted: 400,
}

export const httpStatus = (code: ArchiveErrorCode): number => HTTP_STATUS[code]

/**
 * Failure Reason (0008,1197) of an instance that STOW-RS refused: status codes of the Storage Service Class
 * (PS3.4 B.2.3, PS3.18 10.5.3).
 */
const FAILURE_REASON: Partial<Record<ArchiveErrorCode, number>> = {
  out_of_space: 0xa700,
  busy: 0xa700,
  unavailable: 0xa700,
  study_mismatch: 0xa900,
  instance_mismatch: 0xa900,
  not_dicom: 0xc000,
  header_truncated: 0xc000,
  header_too_large: 0xc000,
  missing_identifier: 0xc000,
  invalid_identifier: 0xc000,
  dicomdir: 0x0122,
  // Refused: not authorized (PS3.7 C.5.3).
  destroyed: 0x0124,
  too_large: 0xa700,
}
const PROCESSING_FAILURE = 0x0110

export const failureReason = (code: ArchiveErrorCode): number => FAILURE_REASON[code] ?? PROCESSING_FAILURE

/**
 * Warning Reason (0008,1196) of an instance that is kept, but not served, as another one has its UID. Those of PS3.18
 * I.2.2 (B000 coercion, B006 elements discarded, B007 not of its SOP Class) all say what Firn didn't do; this is
 * one of the Bxxx that PS3.7 Annex C leaves for warnings like it.
 */
export const WARNING_CONFLICT = 0xb100

/** A request none of whose instances was stored: what to tell the client is what may help it most. */
const WEIGHT: readonly ArchiveErrorCode[] = [
  'out_of_space',
  'unavailable',
  'busy',
  'storage_failed',
  'catalogue_failed',
]

export function statusOfRefusals(codes: readonly ArchiveErrorCode[]): number {
  const ours = WEIGHT.find((code) => codes.includes(code))
  if (ours) return httpStatus(ours)
  if (codes.every((code) => code === 'too_large')) return httpStatus('too_large')
  if (codes.every((code) => code === 'invalid_request' || code === 'aborted')) return 400
  return 409
}

/** Failure Reason (0008,1197) of an instance that is not committed (PS3.3 C.14.1.1, to which PS3.18 J.2 refers). */
const COMMITMENT_FAILURE_REASON: Record<Failure, number> = {
  processing_failure: 0x0110,
  no_such_instance: 0x0112,
  class_conflict: 0x0119,
  duplicate_transaction: 0x0131,
}

export const commitmentFailureReason = (failure: Failure): number => COMMITMENT_FAILURE_REASON[failure]
