import type { Tiering } from './lifecycle/tiers/tiering.ts'
import type { Metrics } from './metrics.ts'

/** What the last look at the stores found, as gauges. */
export function addTierMetrics(metrics: Metrics, { watch }: Pick<Tiering, 'watch'>): void {
  const stores = () => watch.readings?.stores ?? []
  const pools = () => watch.readings?.pools ?? []
  const labels = ['store', 'tier'] as const
  metrics.gauges('firn_store_up', 'Whether a store is used: 1 or 0', labels, () =>
    stores().map(({ store }) => ({
      labels: { store: store.id, tier: store.tier },
      value: store.trouble === undefined ? 1 : 0,
    })),
  )
  metrics.gauges('firn_store_room_bytes_free', 'Free room of a store that can tell', labels, () =>
    stores().flatMap(({ store, room }) =>
      room ? [{ labels: { store: store.id, tier: store.tier }, value: room.bytesFree }] : [],
    ),
  )
  metrics.gauges('firn_store_packs_bytes', 'Bytes of packs in a store', labels, () =>
    stores().map(({ store, bytes }) => ({ labels: { store: store.id, tier: store.tier }, value: bytes })),
  )
  metrics.gauges('firn_tier_free_share', 'Free share of the room of a tier, from 0 to 1', ['tier'], () =>
    pools().flatMap(({ tier, room }) =>
      room ? [{ labels: { tier }, value: room.bytesFree / Math.max(1, room.bytesTotal) }] : [],
    ),
  )
  metrics.gauges(
    'firn_alarms',
    'Alarms about stores, tiers and volumes that are raised now',
    ['subject', 'alarm'],
    () => watch.alarms.map(({ subject, alarm }) => ({ labels: { subject, alarm }, value: 1 })),
  )
}
