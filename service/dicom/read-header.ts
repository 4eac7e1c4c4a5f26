import { type Header, parseHeader } from './part10.ts'

const FIRST_LOOK_BYTES = 64 * 1024

/** What was read of a file: its beginning. */
export interface FileBeginning {
  bytes: Buffer
  /** It is the whole file. */
  whole: boolean
  /** No more of the file will be read. */
  last: boolean
}

/**
 * Looks at a stored file's beginning, then at ever more of it until `look` has an answer, which it must have for the last.
 *
 * @param read gives exactly the bytes from `start` to `end` of the file
 * @param bytesMax how far to look
 */
export async function lookInto<Answer>(
  read: (start: number, end: number) => AsyncIterable<Buffer>,
  fileBytes: number,
  bytesMax: number,
  look: (beginning: FileBeginning) => Promise<Answer | undefined> | Answer | undefined,
): Promise<Answer> {
  const furthest = Math.min(fileBytes, bytesMax)
  let bytes: Buffer = Buffer.alloc(0)
  for (let want = FIRST_LOOK_BYTES; ; want *= 8) {
    const end = Math.min(want, furthest)
    const pieces = [bytes]
    for await (const piece of read(bytes.length, end)) pieces.push(piece)
    bytes = Buffer.concat(pieces)
    const answer = await look({ bytes, whole: end === fileBytes, last: end === furthest })
    if (answer !== undefined) return answer
    if (end === furthest) throw new Error('no answer from all that may be read')
  }
}

/**
 * Parses the header of a stored file, reading no more of it than needed. One that is longer than `bytesMax` comes back
 * incomplete.
 */
export function readHeader(
  read: (start: number, end: number) => AsyncIterable<Buffer>,
  fileBytes: number,
  bytesMax: number,
): Promise<{ header: Header; whole: boolean }> {
  return lookInto(read, fileBytes, bytesMax, ({ bytes, whole, last }) => {
    const header = parseHeader(bytes, whole)
    return header.complete || last ? { header, whole } : undefined
  })
}
