import type { Readable } from 'node:stream'

/**
 * Bytes to be stored. Re-openable, because they may go to several stores and be sent again: each `open()` gives the same
 * `sizeBytes` bytes from the first one on, whose SHA-256 is `sha256` (64 hexadecimal digits in lower case).
 */
export interface Source {
  readonly sizeBytes: number
  readonly sha256: string
  open(): Readable
}
