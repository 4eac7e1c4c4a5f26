import type { Head } from './event.ts'
import type { KnownEvent } from './kinds.ts'

export type { Actor } from './event.ts'

/** What anybody who changes or reads something needs of the site's event log. */
export interface RecordEvents {
  /**
   * Appends events one after the other; resolves with their places when all are durable. After a rejection none of them
   * is in the log, unless it is EventOutcomeUnknown (retry class `reconcile`). A crash before may leave the first ones of
   * a call, or all. Throws RangeError or ZodError for what isn't an event, ArchiveError `out_of_space`, `storage_failed`,
   * `busy`, `unavailable`.
   */
  append(...events: readonly KnownEvent[]): Promise<Head[]>
}
