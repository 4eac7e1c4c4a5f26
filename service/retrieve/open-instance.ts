import type { InstanceRecord } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { OpenInstance, OpenInstances, ReadInstances } from './ports.ts'
import { type Piece, ReadAhead, type ReadSegment, type Stretch } from './read-ahead.ts'

/** Reads instances from the landing. */
export class LandedInstances implements OpenInstances, ReadInstances {
  readonly #ahead: ReadAhead

  constructor(landing: { read: ReadSegment }, bytesMax?: number) {
    this.#ahead = new ReadAhead((at, start, end) => landing.read(at, start, end), bytesMax)
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
    return this.#ahead.windows(whole(records))
  }

  async *#bytes(record: InstanceRecord, start: number, end: number): AsyncGenerator<Buffer> {
    if (start === end) return
    const { location } = record
    for await (const pieces of this.#ahead.windows([{ owner: undefined, location, start, end }])) {
      for (const { bytes } of pieces) yield bytes
    }
  }
}

async function* whole(
  records: Iterable<InstanceRecord> | AsyncIterable<InstanceRecord>,
): AsyncGenerator<Stretch<InstanceRecord>> {
  for await (const owner of records) yield { owner, location: owner.location, start: 0, end: owner.sizeBytes }
}
