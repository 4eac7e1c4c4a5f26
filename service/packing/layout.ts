import { BLOCK, END_OF_ARCHIVE, paddingBytes, paxRecord, USTAR_SIZE_MAX, writeUstar } from '../tar/ustar.ts'

export interface Member {
  name: string
  sizeBytes: number
  /** Modification time, in seconds since 1970. */
  mtime: number
}

/** What stands before a member's data: one block, and two more for a size that ustar has no room for. */
export function headerBytes(sizeBytes: number): number {
  return sizeBytes > USTAR_SIZE_MAX ? 3 * BLOCK : BLOCK
}

export function encodeHeader({ name, sizeBytes, mtime }: Member): Buffer {
  const header = Buffer.alloc(headerBytes(sizeBytes))
  if (sizeBytes > USTAR_SIZE_MAX) {
    const record = paxRecord('size', String(sizeBytes))
    writeUstar(header.subarray(0, BLOCK), { name: 'PaxHeaders/firn', size: record.length, type: 'x', mtime })
    record.copy(header, BLOCK)
  }
  const size = Math.min(sizeBytes, USTAR_SIZE_MAX)
  writeUstar(header.subarray(header.length - BLOCK), { name, size, type: '0', mtime })
  return header
}

/** A time as tar can say it. Zero is left out: tar programs complain of it. */
export function mtimeOf(iso: string): number {
  return Math.min(Math.max(1, Math.floor(Date.parse(iso) / 1000)), USTAR_SIZE_MAX)
}

/** Where the data of members of these sizes begin that follow one another from the pack's start, and where the pack ends. */
export function layOut(sizesBytes: readonly number[]): { offsets: number[]; sizeBytes: number } {
  let at = 0
  const offsets = sizesBytes.map((size) => {
    const offset = at + headerBytes(size)
    at = offset + size + paddingBytes(size)
    return offset
  })
  return { offsets, sizeBytes: at + END_OF_ARCHIVE.length }
}
