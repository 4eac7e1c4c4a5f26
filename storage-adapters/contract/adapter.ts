import type { Readable } from 'node:stream'
import type { Capabilities } from './capabilities.ts'
import type { Permit } from './permit.ts'
import type { Source } from './source.ts'

/**
 * One place that keeps objects: a folder, a bucket. Objects are written once and never changed. The promises:
 *
 * - `put` resolves only when the object survives power loss, and nobody sees its key before it is whole.
 * - `put` never replaces: same bytes are `created: false`, after the bytes that are there were really read and compared;
 *   other bytes are `exists_different`. How firmly two writers at the same moment are kept apart, `createOnly` tells.
 * - `get` gives exactly what was asked for, or fails; a body never ends early without an error.
 * - Only `remove` frees bytes, and only with a genuine permit for them.
 * - Every error, also that of a body, is a `StorageError`. Nothing is retried inside: wrap/retry does that, for all alike.
 * - Memory is bounded whatever an object's size, and so is the time that a store may stay silent.
 */
export interface StorageAdapter {
  /** The store's name in configuration, messages and metrics. */
  readonly id: string
  /** Final after `open()`. */
  readonly capabilities: Capabilities
  /**
   * Probes every claim; fails with `misconfigured` rather than begin with a store that can't keep its promises. May be
   * called again at any time, and then probes anew: once a day, and before a store that failed is used again.
   */
  open(signal?: AbortSignal): Promise<void>
  put(key: string, source: Source, options?: PutOptions): Promise<PutReceipt>
  /**
   * The body must be read to its end or destroyed. One that fails before anybody reads it waits with its error for the
   * reader; it doesn't end the process.
   */
  get(key: string, options?: GetOptions): Promise<OpenObject>
  /** Throws `not_found`. */
  stat(key: string, signal?: AbortSignal): Promise<ObjectStat>
  /** In the order of the keys' bytes. Objects that come or go meanwhile may be missed or not; no other ever is. */
  list(options?: ListOptions): AsyncIterable<ObjectStat>
  /**
   * Frees the object's bytes, all versions of it. Throws `permission_denied` without a genuine permit for this key (and for
   * these bytes, where the store can tell their digest), `locked`, `not_found`.
   */
  remove(key: string, permit: Permit, signal?: AbortSignal): Promise<void>
  close(): Promise<void>
}

export interface PutOptions {
  /**
   * Locks the object, in the mode that `capabilities.objectLock` names, at least until then. Throws `unsupported`, and
   * stores nothing, when the store has no lock that it was seen to enforce.
   */
  lockUntil?: Date | undefined
  signal?: AbortSignal | undefined
}

export interface PutReceipt {
  /** False when the bytes were there before, or when it can't be known who brought them. */
  readonly created: boolean
  readonly sizeBytes: number
  readonly sha256: string
  /** Who compared what was stored with the digest: the adapter, or the store itself. */
  readonly checksumBy: 'adapter' | 'backend'
  readonly version?: string
  /** Read back from the store. */
  readonly lockedUntil?: Date
}

/** `start` to `end` (exclusive), both within the object, at least one byte. Anything else is `range_invalid`. */
export interface ByteRange {
  readonly start: number
  readonly end: number
}

export interface GetOptions {
  range?: ByteRange | undefined
  signal?: AbortSignal | undefined
}

export interface OpenObject {
  /** Of the whole object, also for a range. */
  readonly stat: ObjectStat
  readonly body: Readable
}

export interface ListOptions {
  /** Only keys that begin so. */
  prefix?: string | undefined
  /** Only keys that come after this one. */
  after?: string | undefined
  signal?: AbortSignal | undefined
}

export interface ObjectStat {
  readonly key: string
  readonly sizeBytes: number
  /** What was recorded when it was stored, if the store keeps that; no proof of the bytes that are there now. */
  readonly sha256?: string
  readonly modifiedAt?: Date
  readonly version?: string
}

export interface ObjectLock {
  readonly mode: 'none' | 'governance' | 'compliance'
  readonly until?: Date
  readonly legalHold: boolean
}

/** A store that can refuse to delete. Whether it does so is not said here but in `capabilities.objectLock`. */
export interface Lockable {
  getLock(key: string, signal?: AbortSignal): Promise<ObjectLock>
  /** Only ever extends: an earlier date changes nothing. Resolves with the lock that stands, read back from the store. */
  extendLock(key: string, until: Date, signal?: AbortSignal): Promise<ObjectLock>
  setLegalHold(key: string, on: boolean, signal?: AbortSignal): Promise<ObjectLock>
}

export interface Capacity {
  readonly bytesTotal: number
  readonly bytesFree: number
}

export interface CapacityAware {
  capacity(signal?: AbortSignal): Promise<Capacity>
}

/** `cold`: reading it throws `recall_needed`. */
export type RecallState = 'online' | 'cold' | 'requested'

export interface Recallable {
  /** Asks for the objects to be made readable. Asking again does no harm. */
  requestRecall(keys: readonly string[], signal?: AbortSignal): Promise<void>
  recallState(key: string, signal?: AbortSignal): Promise<RecallState>
}

/** A store that keeps the bytes of what is deleted past Firn, as versioned buckets do. */
export interface Recoverable {
  /**
   * Makes the object visible again where nothing but a mark of deletion hides it; that frees no bytes. Resolves with whether
   * it was hidden so. What is visible then isn't compared with the digest, unless the store recorded it.
   */
  recover(key: string, sha256: string, signal?: AbortSignal): Promise<boolean>
}

/** Whether locks can be set and read. What they are worth, `capabilities.objectLock` says. */
export function isLockable(adapter: StorageAdapter): adapter is StorageAdapter & Lockable {
  const { getLock, extendLock, setLegalHold } = adapter as Partial<Lockable>
  return [getLock, extendLock, setLegalHold].every((method) => typeof method === 'function')
}

/** Final after `open()`, because some stores tell only then. */
export function isCapacityAware(adapter: StorageAdapter): adapter is StorageAdapter & CapacityAware {
  return adapter.capabilities.capacity && typeof (adapter as Partial<CapacityAware>).capacity === 'function'
}

export function isRecoverable(adapter: StorageAdapter): adapter is StorageAdapter & Recoverable {
  return typeof (adapter as Partial<Recoverable>).recover === 'function'
}

export function isRecallable(adapter: StorageAdapter): adapter is StorageAdapter & Recallable {
  const { requestRecall, recallState } = adapter as Partial<Recallable>
  return typeof requestRecall === 'function' && typeof recallState === 'function'
}
