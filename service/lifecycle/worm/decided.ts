import type { CatalogueRetention } from '../../catalogue/retention-ports.ts'
import { FOR_EVER, type RetainUntil } from './ports.ts'

/** The day ends last in the zone that is twelve hours behind UTC. */
const DAY_EVERYWHERE_MS = 36 * 3_600_000
/** A study is evaluated right after it was sealed. */
const GRACE_MS = 10 * 60_000

/** Retention's decisions, as the catalogue has them. The last day is kept wholly, in whatever time zone it is meant. */
export function decidedUntil(retention: Pick<CatalogueRetention, 'decision'>): RetainUntil {
  return {
    graceMs: GRACE_MS,
    async of(studyUid) {
      const decided = (await retention.decision(studyUid))?.retainUntil
      if (decided === undefined) return undefined
      if (decided === 'forever') return FOR_EVER
      return new Date(Date.parse(`${decided}T00:00:00.000Z`) + DAY_EVERYWHERE_MS)
    },
  }
}
