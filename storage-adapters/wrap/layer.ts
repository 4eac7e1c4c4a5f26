import {
  type CapacityAware,
  isLockable,
  isRecallable,
  isRecoverable,
  type Lockable,
  type Recallable,
  type Recoverable,
  type StorageAdapter,
} from '../contract/adapter.ts'
import type { Capabilities } from '../contract/capabilities.ts'

export type Operation =
  | 'open'
  | 'put'
  | 'get'
  | 'stat'
  | 'list'
  | 'remove'
  | 'capacity'
  | 'get_lock'
  | 'extend_lock'
  | 'set_legal_hold'
  | 'request_recall'
  | 'recall_state'
  | 'recover'

export interface Call {
  readonly operation: Operation
  /** Undefined where the call isn't about one object. */
  readonly key?: string
  readonly signal?: AbortSignal | undefined
}

/** Runs a call, possibly not at all or several times. */
export type Around = <T>(call: Call, next: () => Promise<T>) => Promise<T>

/** What a wrapper does itself, instead of by its `Around`. */
export interface Own extends Partial<Pick<StorageAdapter, 'open' | 'put' | 'get' | 'list' | 'remove'>> {
  capabilities?: (inner: Capabilities) => Capabilities
}

/**
 * An adapter around another one: every call goes through `around`, but for `list` (which gives many answers) and what `own`
 * does itself. It has `Lockable` and the other optional interfaces exactly if the inner one has them.
 */
export function layer(inner: StorageAdapter, around: Around, own: Own = {}): StorageAdapter {
  const outer: StorageAdapter = {
    id: inner.id,
    get capabilities() {
      return own.capabilities?.(inner.capabilities) ?? inner.capabilities
    },
    open: (signal) => around({ operation: 'open', signal }, () => inner.open(signal)),
    put: (key, source, options) =>
      around({ operation: 'put', key, signal: options?.signal }, () => inner.put(key, source, options)),
    get: (key, options) => around({ operation: 'get', key, signal: options?.signal }, () => inner.get(key, options)),
    stat: (key, signal) => around({ operation: 'stat', key, signal }, () => inner.stat(key, signal)),
    list: (options) => inner.list(options),
    remove: (key, permit, signal) =>
      around({ operation: 'remove', key, signal }, () => inner.remove(key, permit, signal)),
    close: () => inner.close(),
  }
  const { capabilities: _, ...methods } = own
  return Object.assign(
    outer,
    methods,
    capacityOf(inner, around),
    locksOf(inner, around),
    recoverOf(inner, around),
    recallOf(inner, around),
  )
}

function capacityOf(inner: StorageAdapter, around: Around): Partial<CapacityAware> {
  // Whether it can be used is known after `open()` only; the capability tells.
  const { capacity } = inner as Partial<CapacityAware>
  if (typeof capacity !== 'function') return {}
  return { capacity: (signal) => around({ operation: 'capacity', signal }, () => capacity.call(inner, signal)) }
}

function locksOf(inner: StorageAdapter, around: Around): Partial<Lockable> {
  if (!isLockable(inner)) return {}
  return {
    getLock: (key, signal) => around({ operation: 'get_lock', key, signal }, () => inner.getLock(key, signal)),
    extendLock: (key, until, signal) =>
      around({ operation: 'extend_lock', key, signal }, () => inner.extendLock(key, until, signal)),
    setLegalHold: (key, on, signal) =>
      around({ operation: 'set_legal_hold', key, signal }, () => inner.setLegalHold(key, on, signal)),
  }
}

function recoverOf(inner: StorageAdapter, around: Around): Partial<Recoverable> {
  if (!isRecoverable(inner)) return {}
  return {
    recover: (key, sha256, signal) =>
      around({ operation: 'recover', key, signal }, () => inner.recover(key, sha256, signal)),
  }
}

function recallOf(inner: StorageAdapter, around: Around): Partial<Recallable> {
  if (!isRecallable(inner)) return {}
  return {
    requestRecall: (keys, signal) =>
      around({ operation: 'request_recall', signal }, () => inner.requestRecall(keys, signal)),
    recallState: (key, signal) =>
      around({ operation: 'recall_state', key, signal }, () => inner.recallState(key, signal)),
  }
}
