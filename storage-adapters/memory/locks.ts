import type { Lockable, ObjectLock } from '../contract/adapter.ts'
import { throwIfAborted } from '../contract/errors.ts'

export interface Locks {
  lockedUntil: Date | undefined
  legalHold: boolean
}

interface Finder {
  find(key: string): Locks
}

export function lockMethods(store: Finder, mode: 'governance' | 'compliance'): Lockable {
  const lockOf = ({ lockedUntil, legalHold }: Locks): ObjectLock =>
    lockedUntil ? { mode, until: lockedUntil, legalHold } : { mode: 'none', legalHold }
  return {
    async getLock(key, signal) {
      throwIfAborted(signal)
      return lockOf(store.find(key))
    },
    async extendLock(key, until, signal) {
      throwIfAborted(signal)
      const object = store.find(key)
      if ((object.lockedUntil ?? 0) < until) object.lockedUntil = until
      return lockOf(object)
    },
    async setLegalHold(key, on, signal) {
      throwIfAborted(signal)
      const object = store.find(key)
      object.legalHold = on
      return lockOf(object)
    },
  }
}
