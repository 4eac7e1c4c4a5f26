import type { ByteRange } from './adapter.ts'
import { StorageError } from './errors.ts'

/** The range to read of an object of this size: all of it where none is given. Throws `range_invalid`. */
export function resolveRange(range: ByteRange | undefined, sizeBytes: number): ByteRange {
  if (range === undefined) return { start: 0, end: sizeBytes }
  const { start, end } = range
  if (Number.isSafeInteger(start) && Number.isSafeInteger(end) && start >= 0 && start < end && end <= sizeBytes) {
    return range
  }
  throw new StorageError('range_invalid', `${start} to ${end} is no range of ${sizeBytes} bytes`)
}
