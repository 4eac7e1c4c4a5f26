import type { InstanceRecord } from '../catalogue/ports.ts'
import type { Piece } from './read-ahead.ts'

/** An instance opened for reading; nothing is held open between calls, so there is nothing to close. */
export interface OpenInstance {
  record: InstanceRecord
  /**
   * The Part 10 file's bytes from `start` to `end` (exclusive), in chunks of at most a few MiB, as stored. Asking for
   * the next chunk says that this one is done with: memory is counted so. To be iterated to its end, or left by `return`.
   * A range beyond the file is an error, never a short read. Throws ArchiveError `storage_failed`.
   */
  bytes(start?: number, end?: number): AsyncIterable<Buffer>
}

export interface OpenInstances {
  open(record: InstanceRecord): OpenInstance
}

export interface ReadInstances {
  /**
   * Whole instances in order, some MiB at a time: neighbours in the landing are read together, so that many small
   * instances cost little more than a large one. Counted and left as `OpenInstance.bytes`, and throws the same.
   */
  readAll(records: Iterable<InstanceRecord> | AsyncIterable<InstanceRecord>): AsyncIterable<Piece<InstanceRecord>[]>
}
