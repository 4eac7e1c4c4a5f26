import { ArchiveError } from '../errors.ts'
import { EMPTY, type Event, type Head } from './event.ts'
import { makeFolder, segmentPath } from './files.ts'
import { readEvents } from './read.ts'
import { BATCH_BYTES_MAX, type Recovered, recover } from './recover.ts'
import { Segment } from './segment.ts'

export interface ChainOptions {
  /** Made if need be, in a folder that exists. No other process may write to it. */
  folder: string
  /** Whose events these are. */
  site: string
  /** A segment that has so many bytes is sealed. */
  segmentBytes?: number
  /**
   * A head that somebody remembers durably (the catalogue, the peer). A log that lacks it was cut or is an old copy.
   */
  known?: Head
}

const SEGMENT_BYTES = 64 * 1024 * 1024

/** Whether the lines of a failed write are in the log is known only after it was opened again. */
export class EventOutcomeUnknown extends ArchiveError {
  override readonly retry = 'reconcile'

  constructor(cause: unknown) {
    super('storage_failed', 'the event log failed, and whether the last events are in it is not known', { cause })
    this.name = 'EventOutcomeUnknown'
  }
}

/**
 * One site's hash-chained events in files: appended to in order by one caller at a time, read by any number. Everything
 * up to `head` is durable; what isn't yet, nobody gets to read.
 */
export class Chain {
  readonly folder: string
  readonly site: string
  /** The file into which the start moved a torn tail. */
  readonly setAside: string | undefined
  readonly #segmentBytes: number
  readonly #segments: number[]
  #head: Head
  #trouble: string | undefined
  #segment: Segment | undefined
  /** Called once each, when the head has moved. */
  readonly #waiting = new Set<() => void>()

  private constructor(options: ChainOptions, found: Recovered) {
    this.folder = options.folder
    this.site = options.site
    this.setAside = found.setAside
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES
    this.#segments = found.segments
    this.#head = found.head
    this.#trouble = found.trouble
  }

  /**
   * Segments of earlier runs are never appended to again. Where the log is damaged, or isn't the one that is known, it
   * opens all the same, for reading: `trouble` says why. Throws when files can't be read, or its end can't be synced.
   */
  static async open(options: ChainOptions): Promise<Chain> {
    await makeFolder(options.folder)
    const chain = new Chain(options, await recover(options.folder, options.site))
    if (options.known) chain.#trouble ??= await chain.#lack(options.known)
    return chain
  }

  async #lack(known: Head): Promise<string | undefined> {
    try {
      if (await this.has(known)) return undefined
    } catch (error) {
      if (!(error instanceof ArchiveError)) throw error
      return error.message
    }
    const { seq, hash } = this.head
    return `the event log (up to ${seq}, ${hash}) lacks event ${known.seq} with hash ${known.hash}: it was cut, is an old copy or another's`
  }

  get head(): Head {
    return this.#head
  }

  /** Why nothing can be appended; undefined when all is well. */
  get trouble(): string | undefined {
    return this.#trouble
  }

  /** Files that are never written to again, in order: each is followed by one that holds its head. */
  get sealed(): string[] {
    return this.#segments.slice(0, -1).map((first) => segmentPath(this.folder, first))
  }

  /** Throws ArchiveError `unavailable`. */
  assertWritable(): void {
    if (this.#trouble !== undefined) throw new ArchiveError('unavailable', this.#trouble)
  }

  /**
   * Appends whole lines that follow the head and end at the new one; durable when it resolves. After a rejection none of
   * them is in the log, unless it is EventOutcomeUnknown. Throws ArchiveError `out_of_space`, `storage_failed`,
   * `unavailable`.
   */
  async append(lines: Buffer, head: Head): Promise<void> {
    this.assertWritable()
    if (lines.length > BATCH_BYTES_MAX) throw new RangeError(`a batch of ${lines.length} bytes`)
    const first = this.#head.seq + 1
    try {
      this.#segment ??= await Segment.create(segmentPath(this.folder, first))
      await this.#segment.append(lines)
    } catch (error) {
      await this.#dropSegment(error)
      throw writeFailed(error as NodeJS.ErrnoException)
    }
    if (this.#segment.durableBytes === lines.length) this.#segments.push(first)
    this.#head = head
    for (const wake of this.#waiting) wake()
    if (this.#segment.durableBytes >= this.#segmentBytes) await this.close()
  }

  /** Events after a number, in order, each checked. Throws ArchiveError `storage_failed` where the log is damaged. */
  readBatches(after: number, last = this.#head.seq): AsyncGenerator<Event[]> {
    return readEvents(this.folder, [...this.#segments], { after, last: Math.min(last, this.#head.seq) })
  }

  /** Whether this chain has exactly this event; then it has all before it too, as they were. */
  async has({ seq, hash }: Head): Promise<boolean> {
    if (seq === EMPTY.seq) return hash === EMPTY.hash
    if (seq > this.#head.seq) return false
    if (seq === this.#head.seq) return hash === this.#head.hash
    for await (const [event] of this.readBatches(seq - 1, seq)) return event?.hash === hash
    return false
  }

  /** Resolves when the head has moved, or at the signal. */
  moved(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const wake = (): void => {
        signal.removeEventListener('abort', wake)
        this.#waiting.delete(wake)
        resolve()
      }
      if (signal.aborted) return resolve()
      this.#waiting.add(wake)
      signal.addEventListener('abort', wake)
    })
  }

  async close(): Promise<void> {
    const segment = this.#segment
    this.#segment = undefined
    await segment?.close()
  }

  /**
   * After a failed write or sync the file's end is in doubt, and another sync may report success for pages that never
   * reached the disk. So the end is cut off and the segment gets no more events. Where even that fails, nothing is
   * appended until the log was opened again and read.
   */
  async #dropSegment(cause: unknown): Promise<void> {
    const segment = this.#segment
    this.#segment = undefined
    if (!segment) return
    try {
      await segment.cut()
    } catch {
      this.#trouble = `the event log's end is in doubt until the node is started again: ${(cause as Error).message}`
      throw new EventOutcomeUnknown(cause)
    } finally {
      await segment.close()
    }
  }
}

function writeFailed(error: NodeJS.ErrnoException): ArchiveError {
  const full = error.code === 'ENOSPC' || error.code === 'EDQUOT'
  return full
    ? new ArchiveError('out_of_space', 'the event log has no room', { cause: error })
    : new ArchiveError('storage_failed', `the event log can't be written: ${error.message}`, { cause: error })
}
