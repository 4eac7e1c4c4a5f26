import type { Pack } from '../../catalogue/ports.ts'
import type { Store, Stores, Tier } from '../../stores/ports.ts'
import { TIERS } from '../../stores/ports.ts'

export interface TierSettings {
  /** Stores of the tier that must hold a pack. */
  copies: number
  /** Of a store's room, from 0 to 1: what new packs leave free. */
  reserveShare: number
}

export const rankOf = (tier: Tier): number => TIERS.indexOf(tier)

/** The stores by their tiers. A pack's tier is that of the stores that hold it, and need not be written down. */
export class Tiers {
  readonly #stores: Stores
  readonly #settings: Readonly<Record<Tier, TierSettings>>

  constructor(stores: Stores, settings: Readonly<Record<Tier, TierSettings>>) {
    this.#stores = stores
    this.#settings = settings
  }

  get stores(): Stores {
    return this.#stores
  }

  /** Those that have stores, the fastest first. */
  get present(): Tier[] {
    return TIERS.filter((tier) => this.storesIn(tier).length > 0)
  }

  /** Where new packs go: the fastest that there is. */
  get first(): Tier {
    return this.present[0] ?? 'online'
  }

  storesIn(tier: Tier): Store[] {
    return this.#stores.all.filter((store) => store.tier === tier)
  }

  /** Undefined for a store that is not configured. */
  ofStore(id: string): Tier | undefined {
    return this.#stores.get(id)?.tier
  }

  /** That of most of its copies, and of two with as many the faster one. */
  of({ copies }: Pick<Pack, 'copies'>): Tier {
    let best: { tier: Tier; copies: number } | undefined
    for (const tier of TIERS) {
      const held = copies.filter(({ store }) => this.ofStore(store) === tier).length
      if (held > (best?.copies ?? 0)) best = { tier, copies: held }
    }
    return best?.tier ?? this.first
  }

  copies(tier: Tier): number {
    return this.#settings[tier].copies
  }

  reserveShare(tier: Tier): number {
    return this.#settings[tier].reserveShare
  }

  /** Stores that must hold the pack where it is. */
  copiesOf(pack: Pick<Pack, 'copies'>): number {
    return this.copies(this.of(pack))
  }

  get copiesMax(): number {
    return Math.max(...this.present.map((tier) => this.copies(tier)), 1)
  }
}

/** Without a configuration of tiers: all of them alike. */
export function sameEverywhere(settings: TierSettings): Record<Tier, TierSettings> {
  return { online: settings, nearline: settings, cold: settings }
}
