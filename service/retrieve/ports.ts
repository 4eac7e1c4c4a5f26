import type { InstanceRecord } from '../catalogue/ports.ts'

/** An instance opened for reading; nothing is held open between calls, so there is nothing to close. */
export interface OpenInstance {
  record: InstanceRecord
  /**
   * The Part 10 file's bytes from `start` to `end` (exclusive), in chunks of at most a few MiB, as stored.
   * A range beyond the file is an error, never a short read. Throws ArchiveError `storage_failed`.
   */
  bytes(start?: number, end?: number): AsyncIterable<Buffer>
}

export interface OpenInstances {
  open(record: InstanceRecord): OpenInstance
}
