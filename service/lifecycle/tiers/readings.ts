import type { StoreHolding } from '../../catalogue/ports.ts'
import type { Store, Tier } from '../../stores/ports.ts'
import type { Tiers } from './tiers.ts'

/** What was found of a store at one look. */
export interface StoreReading {
  store: Store
  draining: boolean
  room: { bytesTotal: number; bytesFree: number } | undefined
  packs: number
  bytes: number
}

/** A tier's stores as one pool. */
export interface PoolReading {
  tier: Tier
  stores: StoreReading[]
  /** Of the stores that can tell and are not being emptied; undefined where none can. */
  room: { bytesTotal: number; bytesFree: number } | undefined
  bytes: number
  /** Why new packs are refused; undefined when they aren't. */
  refusal: string | undefined
}

export interface Readings {
  stores: StoreReading[]
  pools: PoolReading[]
  /** Stores that hold packs and are not configured. */
  missing: StoreHolding[]
}

export async function readStores(
  tiers: Tiers,
  held: readonly StoreHolding[],
  draining: ReadonlySet<string>,
  ageMsMax?: number,
): Promise<Readings> {
  const byStore = new Map(held.map((one) => [one.store, one]))
  const stores = await Promise.all(
    tiers.stores.all.map(async (store): Promise<StoreReading> => {
      const { packs = 0, bytes = 0 } = byStore.get(store.id) ?? {}
      const room = store.trouble === undefined ? await store.capacity(ageMsMax) : undefined
      return { store, draining: draining.has(store.id), room, packs, bytes }
    }),
  )
  const pools = tiers.present.map((tier) =>
    poolOf(
      tiers,
      tier,
      stores.filter(({ store }) => store.tier === tier),
    ),
  )
  return { stores, pools, missing: held.filter(({ store }) => tiers.stores.get(store) === undefined) }
}

function poolOf(tiers: Tiers, tier: Tier, stores: StoreReading[]): PoolReading {
  const used = stores.filter(({ draining }) => !draining)
  const rooms = used.flatMap(({ room }) => room ?? [])
  const sum = (pick: (room: { bytesTotal: number; bytesFree: number }) => number): number =>
    rooms.reduce((total, room) => total + pick(room), 0)
  return {
    tier,
    stores,
    room: rooms.length === 0 ? undefined : { bytesTotal: sum((r) => r.bytesTotal), bytesFree: sum((r) => r.bytesFree) },
    bytes: stores.reduce((total, { bytes }) => total + bytes, 0),
    refusal: refusalOf(tiers, tier, used),
  }
}

/** Stores that are away are not full: what comes meanwhile waits in the landing, as long as that has room. */
function refusalOf(tiers: Tiers, tier: Tier, stores: readonly StoreReading[]): string | undefined {
  const full = stores.filter((reading) => isFull(reading, tiers.reserveShare(tier)))
  const wanted = tiers.copies(tier)
  if (full.length === 0 || stores.length - full.length >= wanted) return undefined
  const names = full.map(({ store }) => store.id).join(', ')
  return `tier ${tier} has come to its reserve (${names}): give its stores room, or add a store`
}

export const freeShareOf = ({ room }: Pick<StoreReading, 'room'>): number | undefined =>
  room && room.bytesFree / Math.max(1, room.bytesTotal)

/** Of a store's room above its reserve: what was taken in before and waits to be sealed must still find a place. */
const HEADROOM = 0.01

export function isFull(reading: StoreReading, reserveShare: number): boolean {
  const share = freeShareOf(reading)
  return share !== undefined && share <= reserveShare + HEADROOM
}
