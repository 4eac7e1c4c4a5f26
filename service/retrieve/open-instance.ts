import { createHash } from 'node:crypto'
import {
  type InstanceRecord,
  isPacked,
  type LandingLocation,
  type Location,
  type PackLocation,
} from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { OpenInstance, OpenInstances, ReadInstances } from './ports.ts'
import { type Piece, ReadAhead, type Stretch } from './read-ahead.ts'

type Read<At> = (at: At, start: number, end: number) => AsyncIterable<Buffer>

export interface StoredInstancesOptions {
  landing: { read: Read<LandingLocation> }
  packs: { read: Read<PackLocation> }
  /** A client reads from this pack. */
  used?(pack: number): void
  /** For all readers together; default 64 MiB. */
  bytesMax?: number
}

/** Reads instances wherever they are: in the landing, in packs, or in both. */
export class StoredInstances implements OpenInstances, ReadInstances {
  readonly #options: StoredInstancesOptions
  readonly #ahead: ReadAhead

  constructor(options: StoredInstancesOptions) {
    this.#options = options
    this.#ahead = new ReadAhead((at, start, end) => this.read(at, start, end), options.bytesMax)
  }

  /** What the landing still has comes from there, and from the pack where the landing fails. */
  async *read(at: Location, start: number, end: number): AsyncGenerator<Buffer> {
    const { landing, packs } = this.#options
    if (!isPacked(at)) {
      yield* landing.read(at, start, end)
      return
    }
    let done = start
    if (at.landed) {
      try {
        for await (const chunk of landing.read(at.landed, start, end)) {
          done += chunk.length
          yield chunk
        }
        return
      } catch (error) {
        if (!(error instanceof ArchiveError)) throw error
      }
    }
    yield* packs.read(at, done, end)
  }

  /** Whether the bytes still have the digest that they came with; what can't be read hasn't. */
  async isIntact({ location, sizeBytes, sha256 }: InstanceRecord): Promise<boolean> {
    const hash = createHash('sha256')
    try {
      for await (const chunk of this.read(location, 0, sizeBytes)) hash.update(chunk)
    } catch {
      return false
    }
    return hash.digest('hex') === sha256
  }

  open(record: InstanceRecord): OpenInstance {
    return {
      record,
      bytes: (start = 0, end = record.sizeBytes) => {
        if (start < 0 || end > record.sizeBytes || start > end) {
          throw new ArchiveError('invalid_request', `no bytes ${start} to ${end} in ${record.sizeBytes}`)
        }
        return this.#bytes(record, start, end)
      },
    }
  }

  readAll(records: Iterable<InstanceRecord> | AsyncIterable<InstanceRecord>): AsyncGenerator<Piece<InstanceRecord>[]> {
    return this.#ahead.windows(this.#whole(records))
  }

  async *#bytes(record: InstanceRecord, start: number, end: number): AsyncGenerator<Buffer> {
    if (start === end) return
    const { location } = record
    this.#use(location)
    for await (const pieces of this.#ahead.windows([{ owner: undefined, location, start, end }])) {
      for (const { bytes } of pieces) yield bytes
    }
  }

  async *#whole(
    records: Iterable<InstanceRecord> | AsyncIterable<InstanceRecord>,
  ): AsyncGenerator<Stretch<InstanceRecord>> {
    for await (const owner of records) {
      this.#use(owner.location)
      yield { owner, location: owner.location, start: 0, end: owner.sizeBytes }
    }
  }

  #use(location: Location): void {
    if (isPacked(location)) this.#options.used?.(location.pack)
  }
}
