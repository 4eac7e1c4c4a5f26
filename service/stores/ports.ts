import type { StorageAdapter } from '../../storage-adapters/contract/adapter.ts'

/** What the configuration asks of a store's locks. What the store does, `adapter.capabilities.objectLock` tells. */
export interface StoreLock {
  readonly mode: 'governance' | 'compliance'
  /** Of a pack that is written, before its retention is known. */
  readonly initialDays: number
  /** No lock may end later than so long from now. */
  readonly yearsMax: number
}

/** One place that holds packs, as this node sees it. */
export interface Store {
  readonly id: string
  /** How what is put there is to be locked; undefined where no lock is wanted. */
  readonly lock?: StoreLock | undefined
  /** Opened when it is first used, retried, limited, and cut off while it fails: see open.ts. */
  readonly adapter: StorageAdapter
  /** Why it isn't used now, and what to do; undefined when it works. For an administrator. */
  readonly trouble: string | undefined
  /** Finds out whether a store in trouble works again, if its time has come. Never rejects; `trouble` tells. */
  tryAgain(): Promise<void>
  /** Tries anew what the store claims to do, its locks too. Rejects where it can't be used now. */
  probe?(): Promise<void>
  /** Undefined where the store can't tell, or doesn't answer. A reading that is at most half a minute old. */
  capacity(): Promise<{ bytesTotal: number; bytesFree: number } | undefined>
}

export interface Stores {
  readonly all: readonly Store[]
  get(id: string): Store | undefined
}
