import { ArchiveError } from '../errors.ts'
import { FRAMES_MAX, type ReadBytes } from './frame.ts'

const ITEM = 0xfffee000
const HEADER_BYTES = 8

/** How much is read at a time: small fragments come many at once, large ones cost little beside their header. */
const WINDOW_BYTES = 4096

/** Fragments in the order of the file. */
export interface Fragments {
  count: number
  /** Of each fragment's value: [starts[i], ends[i]). */
  starts: Float64Array
  ends: Float64Array
  /** 1 where the value begins as a JPEG, JPEG-LS, JPEG 2000 or JPEG XL image does. */
  startsImage: Uint8Array
  /** Behind the last fragment. */
  end: number
  /** The last fragment reaches beyond the end of the bytes. */
  cut: boolean
}

/** The item at `at`: where its value is. Undefined when there is none. */
export async function fragmentAt(
  at: number,
  limit: number,
  read: ReadBytes,
): Promise<{ start: number; end: number } | undefined> {
  if (at + HEADER_BYTES > limit) return undefined
  const header = await read(at, at + HEADER_BYTES)
  if (tagAt(header, 0) !== ITEM) return undefined
  return { start: at + HEADER_BYTES, end: at + HEADER_BYTES + header.readUInt32LE(4) }
}

function tagAt(bytes: Buffer, at: number): number {
  return bytes.readUInt16LE(at) * 0x10000 + bytes.readUInt16LE(at + 2)
}

/** Lists the fragments from the item at `base` up to the sequence delimiter, `limit`, or what is no item. */
export async function scanFragments(base: number, limit: number, read: ReadBytes): Promise<Fragments> {
  const found = new Growing()
  let window: Buffer = Buffer.alloc(0)
  let windowStart = base
  let at = base
  let cut = false
  while (at + HEADER_BYTES <= limit) {
    // Four bytes of the value are looked at too, to see whether an image begins.
    const wanted = Math.min(at + HEADER_BYTES + 4, limit)
    if (at < windowStart || wanted > windowStart + window.length) {
      window = await read(at, Math.min(at + WINDOW_BYTES, limit))
      windowStart = at
    }
    const header = at - windowStart
    if (tagAt(window, header) !== ITEM) break
    const start = at + HEADER_BYTES
    const end = start + window.readUInt32LE(header + 4)
    cut = end > limit
    found.add(start, Math.min(end, limit), beginsImage(window, header + HEADER_BYTES))
    at = Math.min(end, limit)
    if (cut) break
  }
  return { ...found.done(), end: at, cut }
}

/** SOI of JPEG and JPEG-LS; SOC of JPEG 2000; the signature boxes of JP2 and JPEG XL, and the latter's codestream. */
function beginsImage(bytes: Buffer, at: number): boolean {
  if (at + 4 > bytes.length) return false
  const first = bytes.readUInt32BE(at)
  return first >>> 8 === 0xffd8ff || first === 0xff4fff51 || first === 0x0000000c || first >>> 16 === 0xff0a
}

/** Arrays that double: numbers outside of the JavaScript heap, 17 bytes a fragment. */
class Growing {
  private count = 0
  private starts = new Float64Array(64)
  private ends = new Float64Array(64)
  private images = new Uint8Array(64)

  add(start: number, end: number, image: boolean): void {
    if (this.count === FRAMES_MAX) {
      throw new ArchiveError('unsupported', `the pixel data has more than ${FRAMES_MAX} fragments`)
    }
    if (this.count === this.starts.length) this.grow()
    this.starts[this.count] = start
    this.ends[this.count] = end
    this.images[this.count] = image ? 1 : 0
    this.count++
  }

  done(): Pick<Fragments, 'count' | 'starts' | 'ends' | 'startsImage'> {
    return { count: this.count, starts: this.starts, ends: this.ends, startsImage: this.images }
  }

  private grow(): void {
    const size = this.starts.length * 2
    const starts = new Float64Array(size)
    starts.set(this.starts)
    this.starts = starts
    const ends = new Float64Array(size)
    ends.set(this.ends)
    this.ends = ends
    const images = new Uint8Array(size)
    images.set(this.images)
    this.images = images
  }
}
