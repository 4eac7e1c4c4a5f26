import { ArchiveError } from '../errors.ts'
import { type Store, type Stores, TIERS, type Tier } from '../stores/ports.ts'
import { rankOf, sameEverywhere, Tiers } from './tiers/tiers.ts'

const DEFAULTS = sameEverywhere({ copies: 1, reserveShare: 0.05 })
/** Even a store that fails often is better than none. */
const HEALTH_MIN = 0.05

export interface Where {
  /** Default: the fastest one that there is. */
  tier?: Tier
  /** What is repaired may use the reserve, and any tier rather than stay with too few copies. */
  repair?: boolean
  /** Into another tier when this one has no stores but those that are emptied. */
  elsewhere?: boolean
}

/** Chooses stores for packs: of the right tier, those that work, by free share of their room, weight and health. */
export class Placement {
  readonly tiers: Tiers
  readonly #draining: () => Promise<ReadonlySet<string>>
  readonly #unfit: (store: Store) => string | undefined

  /** `draining`: stores that are to be emptied, and get nothing. `unfit`: why a store that works must get nothing. */
  constructor(
    stores: Stores | Tiers,
    draining: () => Promise<ReadonlySet<string>> = async () => new Set(),
    unfit: (store: Store) => string | undefined = () => undefined,
  ) {
    this.tiers = stores instanceof Tiers ? stores : new Tiers(stores, DEFAULTS)
    this.#draining = draining
    this.#unfit = unfit
  }

  /**
   * The best store that is not among the `tried`. Throws ArchiveError `out_of_space` when those that are left are full,
   * `unavailable` when none is left, with the reason for each.
   */
  async choose(sizeBytes: number, tried: ReadonlySet<string>, where: Where = {}): Promise<Store> {
    const draining = await this.#draining()
    const search = new Search(sizeBytes, tried, draining, this.#unfit)
    const home = where.tier ?? this.tiers.first
    const pool = this.tiers.storesIn(home)
    const reserve = this.tiers.reserveShare(home)
    const isEmptied = pool.every(({ id }) => draining.has(id))
    const found =
      (await search.best(pool, reserve)) ??
      (where.repair ? await search.best(pool, 0) : undefined) ??
      (where.repair || (where.elsewhere && isEmptied) ? await this.#elsewhere(home, search) : undefined)
    if (found) return found
    throw search.failure()
  }

  /** The next slower tier is nearer than the next faster one: what moved down once may do so again. */
  async #elsewhere(home: Tier, search: Search): Promise<Store | undefined> {
    const rank = rankOf(home)
    for (const tier of [...TIERS.slice(rank + 1), ...TIERS.slice(0, rank).reverse()]) {
      const found = await search.best(this.tiers.storesIn(tier), this.tiers.reserveShare(tier))
      if (found) return found
    }
    return undefined
  }
}

class Search {
  readonly #sizeBytes: number
  readonly #tried: ReadonlySet<string>
  readonly #draining: ReadonlySet<string>
  readonly #unfit: (store: Store) => string | undefined
  readonly #reasons = new Map<string, string>()
  #full = false

  constructor(
    sizeBytes: number,
    tried: ReadonlySet<string>,
    draining: ReadonlySet<string>,
    unfit: (store: Store) => string | undefined,
  ) {
    this.#unfit = unfit
    this.#sizeBytes = sizeBytes
    this.#tried = tried
    this.#draining = draining
  }

  async best(pool: readonly Store[], reserveShare: number): Promise<Store | undefined> {
    let best: { store: Store; score: number } | undefined
    for (const store of pool) {
      if (this.#tried.has(store.id)) continue
      const freeShare = await this.#freeShare(store, reserveShare)
      if (freeShare === undefined) continue
      const score = freeShare * store.weight * Math.max(HEALTH_MIN, store.health)
      if (!best || score > best.score) best = { store, score }
    }
    return best?.store
  }

  /** Undefined where it can't take the pack. A store that can't tell how full it is takes what it gets. */
  async #freeShare(store: Store, reserveShare: number): Promise<number | undefined> {
    if (this.#draining.has(store.id)) return this.#pass(store, 'it is drained')
    // Nothing is polled: unless somebody asks for it, a store that nobody reads from would stay away for ever.
    if (store.trouble !== undefined) await store.tryAgain()
    if (store.trouble !== undefined) return this.#pass(store, store.trouble)
    const unfit = this.#unfit(store)
    if (unfit !== undefined) return this.#pass(store, unfit)
    if (!store.takes) return this.#pass(store, store.refusal ?? 'it took nothing a moment ago')
    const capacity = await store.capacity()
    if (!capacity) return 1
    const freeShare = (capacity.bytesFree - this.#sizeBytes) / Math.max(1, capacity.bytesTotal)
    if (freeShare > reserveShare) return freeShare
    this.#full = true
    return this.#pass(store, 'it is full')
  }

  #pass(store: Store, reason: string): undefined {
    this.#reasons.set(store.id, reason)
  }

  failure(): ArchiveError {
    const why = [...this.#reasons].map(([id, reason]) => `${id}: ${reason}`).join('; ') || 'there are no more stores'
    return new ArchiveError(this.#full ? 'out_of_space' : 'unavailable', `no store can take the pack: ${why}`)
  }
}
