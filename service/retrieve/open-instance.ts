import type { InstanceRecord, LandingLocation } from '../catalogue/ports.ts'
import { ArchiveError } from '../errors.ts'
import type { OpenInstance, OpenInstances } from './ports.ts'

/** Reads instances from the landing. */
export class LandedInstances implements OpenInstances {
  readonly #read: (at: LandingLocation, start: number, end: number) => AsyncIterable<Buffer>

  constructor(landing: { read(at: LandingLocation, start: number, end: number): AsyncIterable<Buffer> }) {
    this.#read = landing.read.bind(landing)
  }

  open(record: InstanceRecord): OpenInstance {
    return {
      record,
      bytes: (start = 0, end = record.sizeBytes) => {
        if (start < 0 || end > record.sizeBytes || start > end) {
          throw new ArchiveError('invalid_request', `no bytes ${start} to ${end} in ${record.sizeBytes}`)
        }
        return this.#read(record.location, start, end)
      },
    }
  }
}
