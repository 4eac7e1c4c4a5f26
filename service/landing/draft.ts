import { createHash } from 'node:crypto'
import { ArchiveError } from '../errors.ts'
import type { Segment } from './segment.ts'
import { ALIGNMENT_BYTES } from './slabs.ts'
import { END_OF_ARCHIVE, encodeMemberHeader, MEMBER_HEADER_BYTES, type Member, paddingBytes } from './tar.ts'

/** Written at a time: the disk is busy with one piece while the next one arrives. */
const PIECE_BYTES = 1024 * 1024

/** Behind the member's header stands the body's beginning: both are written together, when the digest is known. */
const HEAD_BYTES = ALIGNMENT_BYTES - MEMBER_HEADER_BYTES

export interface DraftSpace {
  fits(bytes: number): Promise<boolean>
  used(bytes: number): void
}

/** One instance of any size that streams into a segment of its own, hashed on the way. */
export class DraftWriter {
  readonly #segment: Segment
  readonly #space: DraftSpace
  readonly #hash = createHash('sha256')
  #sizeBytes = 0
  #head: Buffer = Buffer.alloc(0)
  #pending: Buffer[] = []
  #pendingBytes = 0
  /** Of the file; a multiple of the alignment. */
  #position = ALIGNMENT_BYTES
  #writing: Promise<unknown> = Promise.resolve()

  constructor(segment: Segment, space: DraftSpace) {
    this.#segment = segment
    this.#space = space
  }

  /** Throws what the body throws, what the disk throws, and ArchiveError `out_of_space`, `too_large`. */
  async take(body: AsyncIterable<Buffer>, bytesMax: number): Promise<{ sha256: string; sizeBytes: number }> {
    try {
      for await (const chunk of body) {
        this.#hash.update(chunk)
        this.#sizeBytes += chunk.length
        if (this.#sizeBytes > bytesMax) {
          throw new ArchiveError('too_large', `larger than the limit of ${bytesMax} bytes`)
        }
        this.#gather(chunk)
        if (this.#pendingBytes >= PIECE_BYTES) await this.#flush(this.#pendingBytes % ALIGNMENT_BYTES)
      }
      await this.#flush(0, this.#ending())
      await this.#writing
    } catch (error) {
      // Nobody may close the file under a write.
      await this.#writing.catch(() => undefined)
      throw error
    }
    return { sha256: this.#hash.digest('hex'), sizeBytes: this.#sizeBytes }
  }

  /** Puts the header in front, and syncs. */
  async finish(member: Member): Promise<void> {
    const fill = Buffer.alloc(HEAD_BYTES - this.#head.length)
    await this.#segment.write([encodeMemberHeader(member), this.#head, fill], 0)
    await this.#segment.sync(this.#position)
  }

  #gather(chunk: Buffer): void {
    let rest = chunk
    if (this.#head.length < HEAD_BYTES) {
      const missing = HEAD_BYTES - this.#head.length
      this.#head = Buffer.concat([this.#head, rest.subarray(0, missing)])
      rest = rest.subarray(missing)
    }
    if (rest.length === 0) return
    this.#pending.push(rest)
    this.#pendingBytes += rest.length
  }

  /** What ends the archive behind the body: zeros, up to the alignment. */
  #ending(): Buffer {
    const behind = paddingBytes(this.#sizeBytes) + END_OF_ARCHIVE.length
    const end = MEMBER_HEADER_BYTES + this.#sizeBytes + behind
    const aligned = Math.ceil(end / ALIGNMENT_BYTES) * ALIGNMENT_BYTES
    return Buffer.alloc(aligned - this.#position - this.#pendingBytes)
  }

  /** Writes what is pending but for its last `keepBytes`, once what was written before is done. */
  async #flush(keepBytes: number, ending: Buffer = Buffer.alloc(0)): Promise<void> {
    const bytes = this.#pendingBytes + ending.length - keepBytes
    const [written, kept] = split([...this.#pending, ending], bytes)
    await this.#writing
    if (!(await this.#space.fits(bytes))) throw new ArchiveError('out_of_space', 'the landing is full')
    this.#space.used(bytes)
    this.#writing = this.#segment.write(written, this.#position)
    this.#writing.catch(() => undefined)
    this.#position += bytes
    this.#pending = kept
    this.#pendingBytes = keepBytes
  }
}

/** The first `bytes` of the buffers, and the rest. */
function split(buffers: readonly Buffer[], bytes: number): [Buffer[], Buffer[]] {
  const first: Buffer[] = []
  const rest: Buffer[] = []
  let left = bytes
  for (const buffer of buffers) {
    if (left > 0) first.push(buffer.subarray(0, left))
    if (buffer.length > left) rest.push(buffer.subarray(left))
    left -= Math.min(left, buffer.length)
  }
  return [first, rest]
}
