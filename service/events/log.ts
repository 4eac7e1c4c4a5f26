import { setImmediate } from 'node:timers/promises'
import { ArchiveError } from '../errors.ts'
import { Chain, type ChainOptions } from './chain.ts'
import type { Head, NewEvent } from './event.ts'
import { assertKnown, type KnownEvent } from './kinds.ts'
import { assertOrigin, type Draft, draft, finish } from './line.ts'
import type { RecordEvents } from './ports.ts'
import { BATCH_BYTES_MAX } from './recover.ts'
import { ChainView } from './view.ts'

export interface EventLogOptions extends ChainOptions {
  generation: string
}

interface Entry {
  drafts: readonly Draft[]
  sizeBytes: number
  resolve(places: Head[]): void
  reject(error: unknown): void
}

/** So much may wait to be written. Callers await their appends, so more is a fault or a disk that stands still. */
const QUEUE_BYTES_MAX = 64 * 1024 * 1024

/**
 * The site's event log: what happened, in one order, each event chained to the one before by its hash, and durable when
 * `append` resolves. Nothing in it is ever changed or removed. Group commit: while one batch is synced the next gathers.
 */
export class EventLog extends ChainView implements RecordEvents {
  readonly #generation: string
  #queue: Entry[] = []
  #queuedBytes = 0
  #running: Promise<void> | undefined
  #closed = false

  private constructor(chain: Chain, generation: string) {
    super(chain)
    this.#generation = generation
  }

  /** Opens for reading only where the log isn't as it should be: `trouble` says why. Throws as Chain.open does. */
  static async open(options: EventLogOptions): Promise<EventLog> {
    const { site, generation } = options
    assertOrigin({ site, generation })
    return new EventLog(await Chain.open(options), generation)
  }

  async append(...events: readonly KnownEvent[]): Promise<Head[]> {
    if (this.#closed) throw new ArchiveError('unavailable', 'the event log is closed')
    this.chain.assertWritable()
    if (events.length === 0) return []
    const drafts = events.map((event) => this.#draft(event))
    const sizeBytes = drafts.reduce((sum, one) => sum + one.sizeBytes, 0)
    if (sizeBytes > BATCH_BYTES_MAX) throw new RangeError(`${events.length} events of ${sizeBytes} bytes at once`)
    if (this.#queuedBytes + sizeBytes > QUEUE_BYTES_MAX) {
      throw new ArchiveError('busy', 'too many events wait to be written')
    }
    return new Promise((resolve, reject) => {
      this.#queue.push({ drafts, sizeBytes, resolve, reject })
      this.#queuedBytes += sizeBytes
      this.#running ??= this.#run()
    })
  }

  /** Finishes what was appended and ends projections. */
  override async close(): Promise<void> {
    this.#closed = true
    await this.#running
    await super.close()
  }

  #draft(event: NewEvent): Draft {
    assertKnown(event)
    return draft(event, { site: this.chain.site, generation: this.#generation }, new Date().toISOString())
  }

  async #run(): Promise<void> {
    // Lets everything that arrives in the same turn of the event loop share the first batch.
    await setImmediate()
    while (this.#queue.length > 0) {
      const batch = this.#takeBatch()
      await this.#write(batch)
      for (const { sizeBytes } of batch) this.#queuedBytes -= sizeBytes
    }
    this.#running = undefined
  }

  #takeBatch(): Entry[] {
    let bytes = 0
    let count = 0
    for (const { sizeBytes } of this.#queue) {
      if (count > 0 && bytes + sizeBytes > BATCH_BYTES_MAX) break
      bytes += sizeBytes
      count += 1
    }
    return this.#queue.splice(0, count)
  }

  async #write(batch: readonly Entry[]): Promise<void> {
    let head = this.chain.head
    const lines: string[] = []
    const places = batch.map(({ drafts }) =>
      drafts.map((one) => {
        const { line, head: next } = finish(one, head)
        lines.push(line)
        head = next
        return next
      }),
    )
    try {
      await this.chain.append(Buffer.from(lines.join('')), head)
    } catch (error) {
      for (const { reject } of batch) reject(error)
      return
    }
    for (const [index, { resolve }] of batch.entries()) resolve(places[index] as Head[])
  }
}
