/**
 * What can go wrong with a store, in the store's own terms. Every adapter throws these and nothing else, so that one
 * place (wrap/retry, the placement, the console) can decide what follows.
 */
export const STORAGE_ERRORS = {
  /** No object has the key. */
  not_found: 'never',
  /** The key is taken by other bytes. Nothing was written. */
  exists_different: 'never',
  /** The bytes are not those that were promised: by the source of a `put`, or by the store that gives them back. */
  integrity_mismatch: 'never',
  /** The range is empty, negative or goes past the end of the object. */
  range_invalid: 'never',
  /** Disk or quota is full. Nothing was written. */
  out_of_space: 'later',
  /** A lock or a legal hold of the store itself forbids it. */
  locked: 'never',
  /** The store, or the permit, doesn't allow it; also a file system that is mounted read-only. */
  permission_denied: 'never',
  /** The store asks for fewer requests. */
  rate_limited: 'later',
  /** The store doesn't answer, or fails. Nothing was changed, or changing it again does no harm. */
  unavailable: 'later',
  /** The store may or may not have done what it was asked: `stat` tells. Never to be treated as a failure. */
  outcome_unknown: 'reconcile',
  /** The object is in a cold class and must be recalled before it can be read. */
  recall_needed: 'later',
  /** This store, or this key, can't do that. */
  unsupported: 'never',
  /** Settings and store don't fit together: a missing bucket, a folder without hard links, another store's identity. */
  misconfigured: 'never',
  /**
   * The caller gave up, or the source that he handed in failed (then it is the cause). Says nothing about the store. What a
   * caller gives up may be done all the same; a source that fails is never stored.
   */
  aborted: 'never',
} as const satisfies Record<string, RetryClass>

export type StorageErrorCode = keyof typeof STORAGE_ERRORS

/** `never`: the same call fails again. `later`: it may succeed. `reconcile`: find out what happened before repeating it. */
export type RetryClass = 'never' | 'later' | 'reconcile'

export class StorageError extends Error {
  readonly code: StorageErrorCode
  readonly retry: RetryClass

  constructor(code: StorageErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options)
    this.name = 'StorageError'
    this.code = code
    this.retry = STORAGE_ERRORS[code]
  }
}

/** By its shape, because an adapter from elsewhere may have loaded its own copy of this file. */
export function isStorageError(error: unknown, ...codes: StorageErrorCode[]): error is StorageError {
  if (!(error instanceof Error) || error.name !== 'StorageError') return false
  const { code } = error as Partial<StorageError>
  if (code === undefined || !Object.hasOwn(STORAGE_ERRORS, code)) return false
  return codes.length === 0 || codes.includes(code)
}

export function abortedError(signal: AbortSignal): StorageError {
  return new StorageError('aborted', 'the caller gave up', { cause: signal.reason })
}

export function throwIfAborted(signal: AbortSignal | undefined): void {
  if (signal?.aborted) throw abortedError(signal)
}
