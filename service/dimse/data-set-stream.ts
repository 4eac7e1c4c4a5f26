import { ArchiveError } from '../errors.ts'

/** Told when a data set's queue is full, and when there is room again. */
export interface Flow {
  full(): void
  room(): void
}

const FRAGMENT_COST_BYTES = 256

/**
 * A data set while it arrives: iterated once, it gives the fragments as they came (subarrays of the socket's chunks, no
 * copies). The queue is bounded: `flow.full()` stops the reading of the socket. Iteration throws ArchiveError `aborted`
 * when the association ends before the data set does.
 */
export class IncomingDataSet implements AsyncIterable<Buffer> {
  readonly #flow: Flow
  readonly #queueBytesMax: number
  #queue: Buffer[] = []
  #queuedBytes = 0
  #isFull = false
  #complete = false
  #discarding = false
  #error: ArchiveError | undefined
  #arrival: { promise: Promise<void>; resolve: () => void } | undefined

  constructor(flow: Flow, queueBytesMax: number) {
    this.#flow = flow
    this.#queueBytesMax = queueBytesMax
  }

  /** Every byte has arrived, though perhaps not been read yet. */
  get complete(): boolean {
    return this.#complete
  }

  push(bytes: Buffer, last: boolean): void {
    if (last) this.#complete = true
    if (bytes.length > 0 && !this.#discarding) {
      this.#queue.push(bytes)
      // A buffer costs some 100 bytes beside its own: a peer that sends two at a time must not get that for nothing.
      this.#queuedBytes += Math.max(bytes.length, FRAGMENT_COST_BYTES)
      if (this.#queuedBytes >= this.#queueBytesMax && !this.#isFull && !last) {
        this.#isFull = true
        this.#flow.full()
      }
    }
    this.#wakeUp()
  }

  /** The association ended; a data set that is complete isn't harmed by that. */
  fail(message: string): void {
    if (this.#complete) return
    this.#error ??= new ArchiveError('aborted', message)
    this.#queue = []
    this.#wakeUp()
  }

  /** Drops what is queued and what still comes; resolves when the last byte has arrived or none will come any more. */
  async discard(): Promise<void> {
    this.#discarding = true
    this.#queue = []
    this.#queuedBytes = 0
    this.#wakeUp()
    this.#makeRoom()
    while (!this.#complete && !this.#error) await this.#pushed()
  }

  async *[Symbol.asyncIterator](): AsyncGenerator<Buffer, void, undefined> {
    for (;;) {
      if (this.#error) throw this.#error
      // Whoever still reads must not take the end of what is left for the end of the data set.
      if (this.#discarding) throw new ArchiveError('aborted', 'the rest of the data set was dropped')
      if (this.#queue.length > 0) {
        const ready = this.#queue
        this.#queue = []
        this.#queuedBytes = 0
        yield* ready
      } else if (this.#complete) {
        return
      } else {
        this.#makeRoom()
        // Making room parses what was held back, which may have filled the queue again.
        if (this.#queue.length === 0 && !this.#complete && !this.#error) await this.#pushed()
      }
    }
  }

  #makeRoom(): void {
    if (!this.#isFull) return
    this.#isFull = false
    this.#flow.room()
  }

  /** Both the reader and one who discards the rest may wait for it. */
  #pushed(): Promise<void> {
    if (!this.#arrival) {
      let resolve = () => {}
      const promise = new Promise<void>((done) => {
        resolve = done
      })
      this.#arrival = { promise, resolve }
    }
    return this.#arrival.promise
  }

  #wakeUp(): void {
    const arrival = this.#arrival
    this.#arrival = undefined
    arrival?.resolve()
  }
}

/** The whole data set, for identifiers, which are small. Throws ArchiveError `too_large` above `bytesMax`. */
export async function collect(dataSet: AsyncIterable<Buffer>, bytesMax: number): Promise<Buffer> {
  const parts: Buffer[] = []
  let length = 0
  for await (const part of dataSet) {
    length += part.length
    if (length > bytesMax) throw new ArchiveError('too_large', `identifier of more than ${bytesMax} bytes`)
    parts.push(part)
  }
  return parts.length === 1 && parts[0] ? parts[0] : Buffer.concat(parts, length)
}
