import type { StorageAdapter } from '../../storage-adapters/contract/adapter.ts'

/** One place that holds packs, as this node sees it. */
export interface Store {
  readonly id: string
  /** Opened when it is first used, retried, limited, and cut off while it fails: see open.ts. */
  readonly adapter: StorageAdapter
  /** Why it isn't used now, and what to do; undefined when it works. For an administrator. */
  readonly trouble: string | undefined
  /** Finds out whether a store in trouble works again, if its time has come. Never rejects; `trouble` tells. */
  tryAgain(): Promise<void>
  /** Undefined where the store can't tell, or doesn't answer. A reading that is at most half a minute old. */
  capacity(): Promise<{ bytesTotal: number; bytesFree: number } | undefined>
}

export interface Stores {
  readonly all: readonly Store[]
  get(id: string): Store | undefined
}
