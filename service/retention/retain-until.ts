import { parseDate } from '../../retention/dates/civil.ts'
import { endOfDayMs } from '../../retention/dates/zone.ts'
import type { CatalogueRetention } from '../catalogue/retention-ports.ts'
import { FOR_EVER, type RetainUntil } from '../lifecycle/worm/ports.ts'

/** A study is evaluated when it is sealed; so long a decision may take, and then some. */
const GRACE_MS = 60 * 60_000

/** Where a day ends last of all: whichever zone a policy counts its days in, they are over by then. */
const LAST_ZONE = 'Etc/GMT+12'

/** Until when locks must hold: the end of the last day of the study's retention. */
export function retainUntil(catalogue: Pick<CatalogueRetention, 'decision'>): RetainUntil {
  return {
    graceMs: GRACE_MS,
    of: async (studyUid) => {
      const decision = await catalogue.decision(studyUid)
      if (!decision) return undefined
      if (decision.retainUntil === 'forever') return FOR_EVER
      return new Date(endOfDayMs(parseDate(decision.retainUntil), LAST_ZONE))
    },
  }
}
