import type { StorageAdapter } from '../../storage-adapters/contract/adapter.ts'

/** How fast and how expensive a store is; the order is from fast to slow. */
export const TIERS = ['online', 'nearline', 'cold'] as const
export type Tier = (typeof TIERS)[number]
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
  readonly tier: Tier
  /** How much of the new packs it gets beside others of its tier. */
  readonly weight: number
  /** From 0 to 1: how well it has answered lately. */
  readonly health: number
  /** How what is put there is to be locked; undefined where no lock is wanted. */
  readonly lock?: StoreLock | undefined
  /** Opened when it is first used, retried, limited, and cut off while it fails: see open.ts. */
  readonly adapter: StorageAdapter
  /** Why it isn't used now, and what to do; undefined when it works. For an administrator. */
  readonly trouble: string | undefined
  /** Why it takes nothing new although it can be read; undefined when it does. For an administrator. */
  readonly refusal: string | undefined
  /** False while it is not worth while to offer it something, because it refused a moment ago. */
  readonly takes: boolean
  /** Finds out whether a store in trouble works again, if its time has come. Never rejects; `trouble` tells. */
  tryAgain(): Promise<void>
  /** Tries anew what the store claims to do, its locks too. Rejects where it can't be used now. */
  probe?(): Promise<void>
  /** Undefined where the store can't tell, or doesn't answer. A reading that is at most so old; default half a minute. */
  capacity(ageMsMax?: number): Promise<{ bytesTotal: number; bytesFree: number } | undefined>
}

export interface Stores {
  /** They come and go while the node runs: ask again. */
  readonly all: readonly Store[]
  get(id: string): Store | undefined
}
