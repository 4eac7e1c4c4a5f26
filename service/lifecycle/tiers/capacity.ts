import type { CataloguePacks } from '../../catalogue/ports.ts'
import type { Alarm, CatalogueTiers, StoreDay } from '../../catalogue/tier-ports.ts'
import type { VolumeConfig } from '../../config/tiers.ts'
import type { Tier } from '../../stores/ports.ts'
import { DAYS_MIN, type DaysUntil, daysUntil, type Growth, growthOf } from './forecast.ts'
import { type PoolReading, readStores, type StoreReading } from './readings.ts'
import type { Tiers } from './tiers.ts'
import { DEFAULT_VOLUME } from './volumes.ts'
import { dayOf } from './watch.ts'

const LOOK_BACK_DAYS = 90
const DAY_MS = 86_400_000
const NOT_ENOUGH = `not enough history: growth is told from ${DAYS_MIN} days on`

/** What retention will give back if what expires is destroyed. */
export interface Expiring {
  withinDays: number
  bytes: number
}

export interface CapacityOptions {
  tiers: Tiers
  catalogue: CatalogueTiers
  packs: Pick<CataloguePacks, 'drainingStores'>
  volumes: readonly VolumeConfig[]
  isConfigured(store: string): boolean
  /** Undefined where nothing is known of it. */
  expiring?(): Promise<Expiring[] | undefined>
  now?: () => number
}

export interface Capacity {
  stores: {
    id: string
    tier: Tier
    weight: number
    origin: 'configuration' | 'api'
    draining: boolean
    trouble: string | null
    bytesTotal: number | null
    bytesFree: number | null
    packs: number
    bytes: number
  }[]
  tiers: {
    tier: Tier
    stores: string[]
    copies: number
    reservePercent: number
    bytesTotal: number | null
    bytesFree: number | null
    bytes: number
    refusal: string | null
    growth: Growth | null
    /** Why there is no forecast. */
    noForecast: string | null
    /** Until so many per cent are free, and until the reserve is reached. */
    daysUntil: { free30: DaysUntil; free20: DaysUntil; free10: DaysUntil; reserve: DaysUntil; full: DaysUntil } | null
  }[]
  volumes: { id: string; provisionedBytes: number | null; packs: number; bytes: number }[]
  declaredBytes: number | null
  usedBytes: number
  physicalBytes: number | null
  overCommit: number | null
  expiring: Expiring[] | null
  alarms: Alarm[]
}

/** All that there is to say of room. It costs as much as there are stores, volumes and days. */
export async function capacityOf(options: CapacityOptions): Promise<Capacity> {
  const { tiers, catalogue, packs, volumes, isConfigured, expiring, now = Date.now } = options
  const readings = await readStores(tiers, await catalogue.holdings(), await packs.drainingStores())
  const history = await catalogue.days(dayOf(now() - LOOK_BACK_DAYS * DAY_MS))
  const held = await catalogue.volumes()
  const declared = volumes.flatMap(({ provisionedBytes }) => provisionedBytes ?? [])
  const totals = readings.pools.flatMap(({ room }) => room?.bytesTotal ?? [])
  const physicalBytes = totals.length === 0 ? null : sum(totals)
  const declaredBytes = declared.length === 0 ? null : sum(declared)
  return {
    stores: readings.stores.map((reading) => storeRow(reading, isConfigured)),
    tiers: readings.pools.map((pool) => tierRow(pool, tiers, history)),
    volumes: volumeRows(volumes, held),
    declaredBytes,
    usedBytes: sum(held.map(({ bytes }) => bytes)),
    physicalBytes,
    overCommit: declaredBytes === null || physicalBytes === null ? null : round(declaredBytes / physicalBytes),
    expiring: (await expiring?.()) ?? null,
    alarms: await catalogue.alarms(),
  }
}

const sum = (values: readonly number[]): number => values.reduce((total, value) => total + value, 0)
const round = (value: number): number => Math.round(value * 1000) / 1000

function storeRow({ store, draining, room, packs, bytes }: StoreReading, isConfigured: (store: string) => boolean) {
  return {
    id: store.id,
    tier: store.tier,
    weight: store.weight,
    origin: isConfigured(store.id) ? ('configuration' as const) : ('api' as const),
    draining,
    trouble: store.trouble ?? store.refusal ?? null,
    bytesTotal: room?.bytesTotal ?? null,
    bytesFree: room?.bytesFree ?? null,
    packs,
    bytes,
  }
}

function tierRow(pool: PoolReading, tiers: Tiers, history: readonly StoreDay[]): Capacity['tiers'][number] {
  const { tier, stores, room, bytes, refusal } = pool
  const growth = growthOf(ofPool(pool, history))
  const until = (freeShare: number): DaysUntil => {
    const { bytesTotal, bytesFree } = room as { bytesTotal: number; bytesFree: number }
    return daysUntil(bytesFree - freeShare * bytesTotal, growth as Growth)
  }
  return {
    tier,
    stores: stores.map(({ store }) => store.id),
    copies: tiers.copies(tier),
    reservePercent: round(tiers.reserveShare(tier) * 100),
    bytesTotal: room?.bytesTotal ?? null,
    bytesFree: room?.bytesFree ?? null,
    bytes,
    refusal: refusal ?? null,
    growth: growth ?? null,
    noForecast: growth ? (room ? null : 'no store of the tier tells its size') : NOT_ENOUGH,
    daysUntil:
      growth && room
        ? {
            free30: until(0.3),
            free20: until(0.2),
            free10: until(0.1),
            reserve: until(tiers.reserveShare(tier)),
            full: until(0),
          }
        : null,
  }
}

/**
 * What the archive itself has put into the tier's stores, day by day. Not how full their disks were: a store that is added
 * with something else on it would look like growth.
 */
function ofPool({ stores }: PoolReading, history: readonly StoreDay[]): { day: string; bytes: number }[] {
  const ids = new Set(stores.map(({ store }) => store.id))
  const days = new Map<string, number>()
  for (const { day, store, bytes } of history) days.set(day, (days.get(day) ?? 0) + (ids.has(store) ? bytes : 0))
  return [...days].map(([day, bytes]) => ({ day, bytes }))
}

function volumeRows(
  volumes: readonly VolumeConfig[],
  held: readonly { volume: string; packs: number; bytes: number }[],
): Capacity['volumes'] {
  const ids = new Set([...volumes.map(({ id }) => id), DEFAULT_VOLUME, ...held.map(({ volume }) => volume)])
  return [...ids].map((id) => {
    const { packs = 0, bytes = 0 } = held.find(({ volume }) => volume === id) ?? {}
    return { id, provisionedBytes: volumes.find((volume) => volume.id === id)?.provisionedBytes ?? null, packs, bytes }
  })
}
