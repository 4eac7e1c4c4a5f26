import { randomUUID } from 'node:crypto'
import type { CatalogueReader } from '../../catalogue/ports.ts'
import type { CatalogueTiers, Pin } from '../../catalogue/tier-ports.ts'
import { ArchiveError } from '../../errors.ts'
import type { Actor } from '../../events/event.ts'
import type { RecordEvents } from '../../events/ports.ts'

export interface PinsOptions {
  catalogue: Pick<CatalogueTiers, 'pins'>
  studies: Pick<CatalogueReader, 'studyVersion'>
  events: RecordEvents
  /** Resolves when the catalogue has the site's events up to this one. */
  projected(seq: number): Promise<void>
  /** A study may have to move. */
  changed(): void
}

/** Studies that stay in the fastest tier, or come back to it. */
export class Pins {
  readonly #options: PinsOptions

  constructor(options: PinsOptions) {
    this.#options = options
  }

  list(): Promise<Pin[]> {
    return this.#options.catalogue.pins()
  }

  /** Several pins of a study hold side by side. Throws ArchiveError `not_found`. */
  async pin(studyUid: string, reason: string, actor: Actor): Promise<Pin> {
    const { catalogue, studies, events } = this.#options
    if ((await studies.studyVersion(studyUid)) === undefined) {
      throw new ArchiveError('not_found', `there is no study ${studyUid}`)
    }
    const pin = randomUUID()
    const subject = { study: studyUid, pin }
    await this.#take(await events.append({ kind: 'study.pinned', actor, subject, data: { reason } }))
    return (await catalogue.pins()).find(({ id }) => id === pin) as Pin
  }

  /** All pins of the study. Throws ArchiveError `not_found` when it has none. */
  async unpin(studyUid: string, actor: Actor): Promise<void> {
    const { catalogue, events } = this.#options
    const held = (await catalogue.pins()).filter((pin) => pin.studyUid === studyUid)
    if (held.length === 0) throw new ArchiveError('not_found', `study ${studyUid} is not pinned`)
    const release = held.map(
      ({ id }) => ({ kind: 'study.unpinned', actor, subject: { study: studyUid, pin: id }, data: {} }) as const,
    )
    await this.#take(await events.append(...release))
  }

  async #take(places: readonly { seq: number }[]): Promise<void> {
    await this.#options.projected(places.at(-1)?.seq ?? 0)
    this.#options.changed()
  }
}
