import { canonical } from './canonical.ts'
import type { Chain } from './chain.ts'
import type { Event, Head } from './event.ts'
import { type ProjectionOptions, project } from './projection.ts'
import { BATCH_BYTES_MAX } from './recover.ts'

/** What can be done with a chain of events, whichever site's it is. */
export class ChainView {
  protected readonly chain: Chain
  readonly #closing = new AbortController()

  constructor(chain: Chain) {
    this.chain = chain
  }

  get site(): string {
    return this.chain.site
  }

  /** The last durable event. */
  get head(): Head {
    return this.chain.head
  }

  /** Why nothing can be appended; undefined when all is well. */
  get trouble(): string | undefined {
    return this.chain.trouble
  }

  /** The file into which a torn tail was moved at the start. */
  get setAside(): string | undefined {
    return this.chain.setAside
  }

  /** Events after a number, in order, up to the head of this moment. Throws ArchiveError `storage_failed`. */
  async *read({ after = 0, limit = Number.POSITIVE_INFINITY } = {}): AsyncGenerator<Event> {
    for await (const events of this.chain.readBatches(after, after + limit)) yield* events
  }

  /** Files that are never written to again, in order: each is followed by one that holds its head. */
  get sealed(): string[] {
    return this.chain.sealed
  }

  /** Resolves when the head has moved, or at the signal. */
  moved(signal: AbortSignal): Promise<void> {
    return this.chain.moved(signal)
  }

  /** Whether this chain has exactly this event, and so all before it: what a peer remembers, compared. */
  has(head: Head): Promise<boolean> {
    return this.chain.has(head)
  }

  /**
   * Lines of the events after a number, as they are in the file: what a peer imports. At most so many bytes, but one line
   * at least; nothing where there is no more.
   */
  async lines(after: number, bytesMax = BATCH_BYTES_MAX): Promise<Buffer> {
    const lines: Buffer[] = []
    let bytes = 0
    for await (const events of this.chain.readBatches(after)) {
      for (const event of events) {
        // The canonical text is what was read: there is only one.
        const line = Buffer.from(`${canonical(event)}\n`)
        if (lines.length > 0 && bytes + line.length > bytesMax) return Buffer.concat(lines)
        lines.push(line)
        bytes += line.length
      }
    }
    return Buffer.concat(lines)
  }

  /**
   * Hands every event after `after` to `handle`, in order, some at a time, and then those to come, until the signal or
   * `close`. To resume after a crash, `handle` stores the last number together with what it made of it.
   */
  project(options: ProjectionOptions): Promise<void> {
    const signals = options.signal ? [options.signal, this.#closing.signal] : [this.#closing.signal]
    return project(this.chain, { ...options, signal: AbortSignal.any(signals) })
  }

  /** Ends projections. */
  async close(): Promise<void> {
    this.#closing.abort()
    await this.chain.close()
  }
}
