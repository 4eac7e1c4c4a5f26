import type { InstanceRecord } from '../catalogue/ports.ts'
import { isArchiveError } from '../errors.ts'
import type { OpenInstance, OpenInstances, ReadInstances } from './ports.ts'
import type { Piece } from './read-ahead.ts'

export interface ReadAnyOptions {
  own: OpenInstances & ReadInstances
  /**
   * Brings an instance back from the other site, checks and keeps it, and resolves with where it is now. Rejects when the
   * other site can't give it.
   */
  heal(record: InstanceRecord): Promise<InstanceRecord>
}

type Records = Iterable<InstanceRecord> | AsyncIterable<InstanceRecord>

/**
 * Reads this site's storage, and what that can't give from the other site, which repairs it on the way. A reader
 * notices nothing but the time it takes (consistency.md, Failure).
 */
export class ReadAny implements OpenInstances, ReadInstances {
  readonly #options: ReadAnyOptions

  constructor(options: ReadAnyOptions) {
    this.#options = options
  }

  open(record: InstanceRecord): OpenInstance {
    // Asked at once, so that a range beyond the file is refused before anything is answered.
    const { bytes } = this.#options.own.open(record)
    return {
      record,
      bytes: (start = 0, end = record.sizeBytes) => {
        bytes(start, end)
        return this.#bytes(record, start, end)
      },
    }
  }

  async *readAll(records: Records): AsyncGenerator<Piece<InstanceRecord>[]> {
    const left = new Unread(records)
    for (;;) {
      try {
        for await (const pieces of this.#options.own.readAll(left.records())) {
          left.read(pieces)
          yield pieces
        }
        return
      } catch (error) {
        const first = left.first
        if (!first || !isArchiveError(error, 'storage_failed')) throw error
        // Which one of a window failed isn't told: the first that is left is read by itself.
        let start = first.from
        for await (const bytes of this.#bytes(first.record, start, first.record.sizeBytes)) {
          yield [{ owner: first.record, start, bytes }]
          start += bytes.length
        }
        left.drop()
      }
    }
  }

  async *#bytes(record: InstanceRecord, start: number, end: number): AsyncGenerator<Buffer> {
    const { own, heal } = this.#options
    let done = start
    try {
      for await (const chunk of own.open(record).bytes(start, end)) {
        done += chunk.length
        yield chunk
      }
      return
    } catch (error) {
      if (!isArchiveError(error, 'storage_failed')) throw error
      const healed = await heal(record).catch(() => {
        throw error
      })
      yield* own.open(healed).bytes(done, end)
    }
  }
}

/** Records that were handed out and not read to their end yet, then those still to come. */
class Unread {
  readonly #source: AsyncIterator<InstanceRecord> | Iterator<InstanceRecord>
  #handedOut: InstanceRecord[] = []
  /** Bytes that were read of the first of them. */
  #from = 0

  constructor(records: Records) {
    this.#source = Symbol.asyncIterator in records ? records[Symbol.asyncIterator]() : records[Symbol.iterator]()
  }

  get first(): { record: InstanceRecord; from: number } | undefined {
    const [record] = this.#handedOut
    return record && { record, from: this.#from }
  }

  async *records(): AsyncGenerator<InstanceRecord> {
    yield* [...this.#handedOut]
    for (let next = await this.#source.next(); !next.done; next = await this.#source.next()) {
      this.#handedOut.push(next.value)
      yield next.value
    }
  }

  read(pieces: readonly Piece<InstanceRecord>[]): void {
    for (const { owner, start, bytes } of pieces) {
      this.#from = start + bytes.length
      if (this.#from === owner.sizeBytes) this.drop()
    }
  }

  drop(): void {
    this.#handedOut.shift()
    this.#from = 0
  }
}
