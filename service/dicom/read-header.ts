import { type Header, parseHeader } from './part10.ts'

const FIRST_LOOK_BYTES = 64 * 1024

/**
 * Parses the header of a stored file, reading no more of it than needed.
 *
 * @param read gives exactly the bytes from `start` to `end` of the file
 * @param bytesMax how far to look; a header that is longer comes back incomplete
 */
export async function readHeader(
  read: (start: number, end: number) => AsyncIterable<Buffer>,
  fileBytes: number,
  bytesMax: number,
): Promise<{ header: Header; whole: boolean }> {
  const last = Math.min(fileBytes, bytesMax)
  let bytes: Buffer = Buffer.alloc(0)
  for (let want = FIRST_LOOK_BYTES; ; want *= 8) {
    const end = Math.min(want, last)
    const pieces = [bytes]
    for await (const piece of read(bytes.length, end)) pieces.push(piece)
    bytes = Buffer.concat(pieces)
    const header = parseHeader(bytes, end === fileBytes)
    if (header.complete || end === last) return { header, whole: end === fileBytes }
  }
}
