import { isLockable, type StorageAdapter } from '../../../storage-adapters/contract/adapter.ts'
import { isStorageError } from '../../../storage-adapters/contract/errors.ts'

/** Why a store would refuse to remove an object now, in words; undefined where no lock is in the way. */
export async function whyLocked(adapter: StorageAdapter, key: string, nowMs: number): Promise<string | undefined> {
  if (!isLockable(adapter)) return undefined
  const lock = await adapter.getLock(key).catch((error) => {
    if (isStorageError(error, 'not_found')) return undefined
    throw error
  })
  if (lock?.until && lock.until.getTime() > nowMs) return `until ${lock.until.toISOString()}`
  return lock?.legalHold ? 'by a legal hold' : undefined
}
