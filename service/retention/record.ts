import { ArchiveError } from '../errors.ts'
import type { Head } from '../events/event.ts'
import type { KnownEvent } from '../events/kinds.ts'
import type { RecordEvents } from '../events/ports.ts'
import type { Projector } from '../events/projector.ts'

export interface RecorderOptions {
  events: RecordEvents & { readonly site: string; readonly head: { seq: number } }
  projector: Pick<Projector, 'upTo'>
}

/** Whatever an officer or the program decides: first in the event log, then in the catalogue, then it is answered. */
export class Recorder {
  readonly #options: RecorderOptions
  #last: Promise<unknown> = Promise.resolve()

  constructor(options: RecorderOptions) {
    this.#options = options
  }

  get site(): string {
    return this.#options.events.site
  }

  /** Of the last event in the log. */
  get seq(): number {
    return this.#options.events.head.seq
  }

  /** Resolves when the catalogue shows what the events say. */
  async record(...events: readonly KnownEvent[]): Promise<void> {
    const heads = await this.append(...events)
    const last = heads.at(-1)
    if (last) await this.#options.projector.upTo(this.site, last.seq)
  }

  /** More than the log takes at once goes in several parts, in order: what makes the others count comes last. */
  async append(...events: readonly KnownEvent[]): Promise<Head[]> {
    const heads: Head[] = []
    for (const part of parts(events)) heads.push(...(await this.#options.events.append(...part)))
    return heads
  }

  /** One decision at a time: between what it looks at and what it writes nothing else is decided. */
  inTurn<T>(work: () => Promise<T>): Promise<T> {
    const done = this.#last.catch(() => undefined).then(work)
    this.#last = done
    return done
  }
}

const PART_CHARS_MAX = 512 * 1024

function* parts(events: readonly KnownEvent[]): Generator<KnownEvent[]> {
  let part: KnownEvent[] = []
  let chars = 0
  for (const event of events) {
    const more = JSON.stringify(event).length + 512
    if (part.length > 0 && chars + more > PART_CHARS_MAX) {
      yield part
      part = []
      chars = 0
    }
    part.push(event)
    chars += more
  }
  if (part.length > 0) yield part
}

export function notFound(what: string): ArchiveError {
  return new ArchiveError('not_found', what)
}
