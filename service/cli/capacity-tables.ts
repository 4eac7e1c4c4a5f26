import type { Capacity } from '../lifecycle/tiers/capacity.ts'
import type { DaysUntil } from '../lifecycle/tiers/forecast.ts'
import { size } from './node.ts'

const sized = (bytes: number | null): string => (bytes === null ? '?' : size(bytes))
const share = (free: number | null, total: number | null): string =>
  free === null || total === null ? '' : ` (${Math.round((100 * free) / Math.max(1, total))} %)`

/** Columns as wide as what is in them. */
function columns(rows: readonly (readonly string[])[]): string {
  const widths = (rows[0] ?? []).map((_, at) => Math.max(...rows.map((row) => row[at]?.length ?? 0)))
  return rows
    .map((row) =>
      row
        .map((cell, at) => cell.padEnd(widths[at] ?? 0))
        .join('  ')
        .trimEnd(),
    )
    .join('\n')
}

export function storeTable(stores: Capacity['stores']): string {
  return columns([
    ['STORE', 'TIER', 'PACKS', 'USED', 'FREE', 'OF', 'STATE'],
    ...stores.map(({ id, tier, packs, bytes, bytesFree, bytesTotal, draining, trouble }) => [
      id,
      tier,
      String(packs),
      size(bytes),
      sized(bytesFree) + share(bytesFree, bytesTotal),
      sized(bytesTotal),
      trouble ?? (draining ? 'being emptied' : 'in use'),
    ]),
  ])
}

/** Tiers with their forecast, volumes with what they were promised, and what is wrong. */
export function capacityTables({ stores, tiers, volumes, alarms, ...all }: Capacity): string {
  const parts = [storeTable(stores), tierTable(tiers)]
  const notes = tiers.flatMap(({ tier, noForecast }) =>
    noForecast === null ? [] : [`no forecast for ${tier}: ${noForecast}`],
  )
  if (notes.length > 0) parts.push(notes.join('\n'))
  if (volumes.length > 1 || all.declaredBytes !== null) parts.push(volumeTable({ volumes, ...all }))
  if (all.expiring) {
    parts.push(
      all.expiring.map(({ withinDays, bytes }) => `retention frees ${size(bytes)} in ${withinDays} days`).join('\n'),
    )
  }
  if (alarms.length > 0) parts.push(alarms.map(({ since, detail }) => `ALARM since ${since}: ${detail}`).join('\n'))
  return parts.join('\n\n')
}

function tierTable(tiers: Capacity['tiers']): string {
  return columns([
    ['TIER', 'COPIES', 'USED', 'FREE', 'OF', 'GROWTH/DAY', '30 %', '20 %', '10 %', 'FULL'],
    ...tiers.map(({ tier, copies, bytes, bytesFree, bytesTotal, growth, daysUntil }) => [
      tier,
      String(copies),
      size(bytes),
      sized(bytesFree) + share(bytesFree, bytesTotal),
      sized(bytesTotal),
      growth ? `${growth.bytesPerDay < 0 ? '-' : ''}${size(Math.abs(Math.round(growth.bytesPerDay)))}` : '-',
      ...(daysUntil
        ? [daysUntil.free30, daysUntil.free20, daysUntil.free10, daysUntil.full].map(days)
        : ['-', '-', '-', '-']),
    ]),
  ])
}

/** `120 d (90-180)`, `reached`, `120 d (90-)` where it may never be. */
function days({ days: likely, soonest, latest }: DaysUntil): string {
  if (likely === 0) return 'reached'
  const range = `${soonest === null ? '' : Math.round(soonest)}-${latest === null ? '' : Math.round(latest)}`
  return likely === null ? (soonest === null ? 'never' : `never (${range} d)`) : `${Math.round(likely)} d (${range})`
}

function volumeTable({
  volumes,
  declaredBytes,
  usedBytes,
  physicalBytes,
  overCommit,
}: Pick<Capacity, 'volumes' | 'declaredBytes' | 'usedBytes' | 'physicalBytes' | 'overCommit'>): string {
  const ratio = overCommit === null ? '' : `, over-commit ${overCommit}`
  return columns([
    ['VOLUME', 'PROMISED', 'USED', 'PACKS'],
    ...volumes.map(({ id, provisionedBytes, bytes, packs }) => [
      id,
      provisionedBytes === null ? '-' : size(provisionedBytes),
      size(bytes),
      String(packs),
    ]),
    ['all', sized(declaredBytes), size(usedBytes), `of ${sized(physicalBytes)} physical${ratio}`],
  ])
}
