import type { Knex } from 'knex'
import type { Event } from '../../../events/event.ts'
import type { KnownEvent } from '../../../events/kinds.ts'

export type ProjectedEvent = Event & KnownEvent

/**
 * What a subject's events make of the catalogue. It is applied in the order of each site's log, but nothing may depend on
 * the order between two sites, nor on whether an event was applied before: rows are united, or the larger value wins.
 */
export interface Projection {
  readonly kinds: readonly KnownEvent['kind'][]
  /** That only events fill: emptied when the catalogue is made anew, those that refer to others first. */
  readonly tables: readonly string[]
  /** `site` is the one in whose log the event stands. What it throws stops the projection until it is tried again. */
  apply(trx: Knex.Transaction, event: ProjectedEvent, site: string): Promise<void>
  /** The same of events of one kind that follow one another, where they may be very many. */
  readonly many?: Readonly<
    Record<string, (trx: Knex.Transaction, events: readonly ProjectedEvent[], site: string) => Promise<void>>
  >
}
