import { ArchiveError } from '../errors.ts'
import type { Store, Stores } from '../stores/ports.ts'

/** Of a store's room; what is left for repairs and for whatever else is on its disk. */
const RESERVE_SHARE = 0.05

/** Chooses stores for new packs: those that work and have the largest share of free room. */
export class Placement {
  readonly #stores: Stores

  readonly #draining: () => Promise<ReadonlySet<string>>
  readonly #unfit: (store: Store) => string | undefined

  /** `draining`: stores that are to be emptied, and get nothing. `unfit`: why a store that works must get nothing. */
  constructor(
    stores: Stores,
    draining: () => Promise<ReadonlySet<string>> = async () => new Set(),
    unfit: (store: Store) => string | undefined = () => undefined,
  ) {
    this.#stores = stores
    this.#draining = draining
    this.#unfit = unfit
  }

  /**
   * The best store that is not among the `tried`. Throws ArchiveError `out_of_space` when those that are left are full,
   * `unavailable` when none is left, with the reason for each.
   */
  async choose(sizeBytes: number, tried: ReadonlySet<string>): Promise<Store> {
    let best: { store: Store; freeShare: number } | undefined
    const reasons: string[] = []
    let full = false
    const draining = await this.#draining()
    for (const store of this.#stores.all) {
      if (tried.has(store.id)) continue
      if (draining.has(store.id)) {
        reasons.push(`${store.id} is drained`)
        continue
      }
      // Nothing is polled: unless somebody asks for it, a store that nobody reads from would stay away for ever.
      if (store.trouble !== undefined) await store.tryAgain()
      if (store.trouble !== undefined) {
        reasons.push(`${store.id}: ${store.trouble}`)
        continue
      }
      const unfit = this.#unfit(store)
      if (unfit !== undefined) {
        reasons.push(`${store.id}: ${unfit}`)
        continue
      }
      const freeShare = await freeShareWith(store, sizeBytes)
      if (freeShare <= RESERVE_SHARE) {
        full = true
        reasons.push(`${store.id} is full`)
      } else if (!best || freeShare > best.freeShare) best = { store, freeShare }
    }
    if (best) return best.store
    const why = reasons.join('; ') || 'there are no more stores'
    throw new ArchiveError(full ? 'out_of_space' : 'unavailable', `no store can take the pack: ${why}`)
  }
}

/** A store that can't tell takes what it gets. */
async function freeShareWith(store: Store, sizeBytes: number): Promise<number> {
  const capacity = await store.capacity()
  return capacity ? (capacity.bytesFree - sizeBytes) / Math.max(1, capacity.bytesTotal) : 1
}
