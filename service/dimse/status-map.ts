import type { Failure } from '../commitment/ports.ts'
import { type ArchiveErrorCode, isArchiveError } from '../errors.ts'

/** DIMSE status values (PS3.7 Annex C, PS3.4 B.2.3, C.4.1.1.4, C.4.2.1.5, C.4.3.1.4). No other file has such numbers. */
export const Status = {
  success: 0x0000,
  processingFailure: 0x0110,
  noSuchInstance: 0x0112,
  invalidArgument: 0x0115,
  noSuchAction: 0x0123,
  sopClassNotSupported: 0x0122,
  notAuthorized: 0x0124,
  unrecognizedOperation: 0x0211,
  resourceLimitation: 0x0213,
  outOfResources: 0xa700,
  outOfResourcesMatches: 0xa701,
  outOfResourcesSubOperations: 0xa702,
  moveDestinationUnknown: 0xa801,
  dataSetDoesNotMatch: 0xa900,
  subOperationsWithFailures: 0xb000,
  cannotUnderstand: 0xc000,
  cancel: 0xfe00,
  pending: 0xff00,
  pendingWithoutOptionalKeys: 0xff01,
} as const

export function isPending(status: number): boolean {
  return status === Status.pending || status === Status.pendingWithoutOptionalKeys
}

/** PS3.7 C.4: coercion of data elements, elements discarded and the like; the operation was carried out. */
export function isWarning(status: number): boolean {
  return (status >= 0xb000 && status <= 0xbfff) || status === 0x0001 || status === 0x0107 || status === 0x0116
}

/** A status with its Error Comment (VR LO: at most 64 characters, ASCII). */
export interface Outcome {
  status: number
  errorComment?: string
}

/** C-STORE: what is wrong with the instance is "cannot understand", what is wrong with Firn is told apart. */
const STORE: Readonly<Record<ArchiveErrorCode, number>> = {
  not_dicom: Status.cannotUnderstand,
  header_truncated: Status.cannotUnderstand,
  header_too_large: Status.cannotUnderstand,
  missing_identifier: Status.cannotUnderstand,
  invalid_identifier: Status.cannotUnderstand,
  dicomdir: Status.sopClassNotSupported,
  study_mismatch: Status.dataSetDoesNotMatch,
  instance_mismatch: Status.dataSetDoesNotMatch,
  too_large: Status.outOfResources,
  invalid_request: Status.cannotUnderstand,
  unsupported: Status.cannotUnderstand,
  not_found: Status.processingFailure,
  not_acceptable: Status.cannotUnderstand,
  forbidden: Status.notAuthorized,
  destroyed: Status.notAuthorized,
  conflict: Status.processingFailure,
  out_of_space: Status.outOfResources,
  storage_failed: Status.outOfResources,
  busy: Status.outOfResources,
  unavailable: Status.outOfResources,
  catalogue_failed: Status.processingFailure,
  aborted: Status.processingFailure,
}

/** C-FIND, C-MOVE, C-GET: a bad identifier is "does not match SOP Class", the rest is unable to process. */
const QUERY: Readonly<Partial<Record<ArchiveErrorCode, number>>> = {
  invalid_request: Status.dataSetDoesNotMatch,
  too_large: Status.outOfResources,
  busy: Status.outOfResources,
  unavailable: Status.outOfResources,
  forbidden: Status.notAuthorized,
}

function comment(text: string): string {
  return text.replace(/[^\x20-\x5b\x5d-\x7e]/g, '?').slice(0, 64)
}

export function storeOutcome(error: unknown): Outcome {
  if (!isArchiveError(error)) return { status: Status.processingFailure, errorComment: 'internal error' }
  return { status: STORE[error.code], errorComment: comment(error.message) }
}

/** C-FIND. */
export function queryOutcome(error: unknown): Outcome {
  if (!isArchiveError(error)) return { status: Status.cannotUnderstand, errorComment: 'internal error' }
  return { status: QUERY[error.code] ?? Status.cannotUnderstand, errorComment: comment(error.message) }
}

/** C-MOVE and C-GET, before the first sub-operation: too many instances have a status of their own. */
export function retrieveOutcome(error: unknown): Outcome {
  const outcome = queryOutcome(error)
  return isArchiveError(error, 'too_large') ? { ...outcome, status: Status.outOfResourcesMatches } : outcome
}

/** N-ACTION of storage commitment (PS3.7 10.1.4.1.10). */
const ACTION: Readonly<Partial<Record<ArchiveErrorCode, number>>> = {
  invalid_request: Status.invalidArgument,
  too_large: Status.resourceLimitation,
  busy: Status.resourceLimitation,
  out_of_space: Status.resourceLimitation,
  forbidden: Status.notAuthorized,
}

export function actionOutcome(error: unknown): Outcome {
  if (!isArchiveError(error)) return { status: Status.processingFailure, errorComment: 'internal error' }
  return { status: ACTION[error.code] ?? Status.processingFailure, errorComment: comment(error.message) }
}

/** Failure Reason (0008,1197) of an instance that is not committed (PS3.3 C.14.1.1). */
const FAILURE_REASON: Readonly<Record<Failure, number>> = {
  processing_failure: 0x0110,
  no_such_instance: 0x0112,
  class_conflict: 0x0119,
  duplicate_transaction: 0x0131,
}

export const failureReason = (failure: Failure): number => FAILURE_REASON[failure]

/** Statuses of N-EVENT-REPORT that another attempt may change: processing failure, resource limitation. */
export function mayTakeLater(status: number): boolean {
  return status === Status.processingFailure || status === Status.resourceLimitation
}
