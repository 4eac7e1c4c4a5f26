import { isPastEverywhere } from './clock.ts'
import { parseDate } from './dates/civil.ts'
import type { Hold } from './holds.ts'
import { type Decision, FOREVER } from './policy.ts'

/** Why a study may not be destroyed now. */
export type Block =
  | 'in_retention'
  | 'suspended'
  | 'on_hold'
  /** A site's clock is not known: it is away. */
  | 'peer_away'
  /** A site's system clock is behind its compliance clock: one of them was tampered with, or is broken. */
  | 'clock_back'

export interface SiteClock {
  readonly site: string
  /** What the site's compliance clock shows, in milliseconds since 1970. */
  readonly complianceMs: number
  readonly systemBehind: boolean
}

/** Where a study stands at this moment: evaluated anew, with the holds that both sites know of. */
export interface Standing {
  /** By the policy in force, from the facts of now, with the decision before as `previous`. */
  readonly decision: Decision
  /** `HoldSet.on`: those that are active. */
  readonly holds: readonly Hold[]
  /** Every site that keeps the volume. */
  readonly sites: readonly string[]
  readonly clocks: readonly SiteClock[]
}

/** Everything that forbids destruction now; empty: the study's time is over at every site and nobody holds it. */
export function blocksOf({ decision, holds, sites, clocks }: Standing): Block[] {
  const blocks: Block[] = []
  const heard = sites.map((site) => clocks.find((clock) => clock.site === site))
  const known = heard.filter((clock) => clock !== undefined)
  if (sites.length === 0 || known.length < sites.length) blocks.push('peer_away')
  if (known.some(({ systemBehind }) => systemBehind)) blocks.push('clock_back')
  if (holds.length > 0) blocks.push('on_hold')
  if (decision.suspendedBy.length > 0) blocks.push('suspended')
  const { retainUntil, inputs } = decision
  const past =
    retainUntil !== FOREVER &&
    isPastEverywhere(
      parseDate(retainUntil),
      inputs.policy.timeZone,
      known.map(({ complianceMs }) => complianceMs),
    )
  if (!past) blocks.push('in_retention')
  return blocks
}
