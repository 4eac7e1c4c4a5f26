import type { VolumeConfig } from '../../config/tiers.ts'
import { freeShareOf, isFull, type PoolReading, type Readings } from './readings.ts'
import type { Tiers } from './tiers.ts'

/** What is wrong, in words that name it and say what to do. */
export interface Finding {
  subject: string
  alarm: string
  detail: string
}

const THRESHOLDS = [30, 20, 10] as const
/** What was raised is not cleared before there is so much more: a level that is crossed all the time is one alarm. */
const MARGIN = 0.02

export interface AlarmInput {
  readings: Readings
  tiers: Tiers
  volumes: readonly VolumeConfig[]
  held: readonly { volume: string; bytes: number }[]
  isRaised(subject: string, alarm: string): boolean
}

export function findingsOf({ readings, tiers, volumes, held, isRaised }: AlarmInput): Finding[] {
  return [
    ...readings.stores.flatMap((reading): Finding[] => {
      const { store } = reading
      const subject = `store ${store.id}`
      const found: Finding[] = []
      if (store.trouble !== undefined) {
        found.push({ subject, alarm: 'unusable', detail: `store ${store.id} can't be used: ${store.trouble}` })
      }
      if (store.refusal !== undefined) {
        found.push({ subject, alarm: 'takes_nothing', detail: `store ${store.id} takes nothing: ${store.refusal}` })
      }
      const margin = isRaised(subject, 'reserve') ? MARGIN : 0
      if (isFull(reading, tiers.reserveShare(store.tier) + margin)) {
        const detail = `store ${store.id} has come to its reserve and gets no new packs: give it room, or add a store`
        found.push({ subject, alarm: 'reserve', detail })
      }
      return found
    }),
    ...readings.pools.flatMap((pool) => thresholdsOf(pool, isRaised)),
    ...readings.missing.map(({ store, packs }) => ({
      subject: `store ${store}`,
      alarm: 'missing',
      detail: `store ${store} holds ${packs} packs and is not configured: put it back, and drain it before it is taken out`,
    })),
    ...volumes.flatMap(({ id, provisionedBytes }): Finding[] => {
      const bytes = held.find(({ volume }) => volume === id)?.bytes ?? 0
      if (provisionedBytes === undefined || bytes <= provisionedBytes) return []
      const detail = `volume ${id} holds ${bytes} bytes, ${provisionedBytes} were promised: raise provisionedBytes or ask its owner`
      return [{ subject: `volume ${id}`, alarm: 'provisioned', detail }]
    }),
  ]
}

function thresholdsOf(pool: PoolReading, isRaised: AlarmInput['isRaised']): Finding[] {
  const share = freeShareOf(pool)
  if (share === undefined) return []
  const subject = `tier ${pool.tier}`
  const names = pool.stores.map(({ store }) => store.id).join(', ')
  return THRESHOLDS.flatMap((percent): Finding[] => {
    const alarm = `free_${percent}`
    if (share >= percent / 100 + (isRaised(subject, alarm) ? MARGIN : 0)) return []
    const detail = `tier ${pool.tier} (stores ${names}) has less than ${percent} % free: plan room, or another store`
    return [{ subject, alarm, detail }]
  })
}
