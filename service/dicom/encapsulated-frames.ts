import { ArchiveError } from '../errors.ts'
import { type Fragments, fragmentAt, scanFragments } from './fragments.ts'
import {
  type ByteRange,
  checkFrameNumber,
  FRAMES_MAX,
  type Frame,
  type Frames,
  incomplete,
  type PixelData,
  type ReadBytes,
} from './frame.ts'
import { transferSyntax } from './transfer-syntaxes.ts'

/** Longer tables are not believed. */
const TABLE_BYTES_MAX = FRAMES_MAX * 8

/** Where the fragments are, and what the file's tables say of the frames. */
interface Encapsulated {
  /** Of the first fragment's item. */
  base: number
  /** The end of the value as far as it is known. */
  end: number
  /** Item of each frame's first fragment, relative to `base`. */
  offsets?: Float64Array
  /** Bytes of each frame, from the Extended Offset Table Lengths. */
  lengths?: Float64Array
}

/** Frames of encapsulated pixel data (PS3.5 A.4). See `locateFrames`. */
export async function encapsulatedFrames(pixelData: PixelData, fileSize: number, read: ReadBytes): Promise<Frames> {
  const { video } = transferSyntax(pixelData.transferSyntaxUid)
  const encapsulated = await readTables(pixelData, fileSize, read)
  let scanned: Promise<Frames> | undefined
  const scan = (): Promise<Frames> => {
    scanned ??= scannedFrames(encapsulated, pixelData, video, read)
    return scanned
  }
  const { offsets } = encapsulated
  if (video || !offsets || offsets.length !== pixelData.numberOfFrames || !isAscending(offsets)) return scan()
  return {
    count: offsets.length,
    async frame(number) {
      checkFrameNumber(number, offsets.length)
      const found = await frameByTable(encapsulated, offsets, number, read)
      if (found) return found
      // A table that points elsewhere than to items is wrong; the items themselves are right.
      const frames = await scan()
      if (number > frames.count) throw incomplete(number)
      return frames.frame(number)
    },
  }
}

function isAscending(offsets: Float64Array): boolean {
  return offsets.every((offset, index) => (index === 0 ? offset === 0 : offset > (offsets[index - 1] as number)))
}

async function readTables(pixelData: PixelData, fileSize: number, read: ReadBytes): Promise<Encapsulated> {
  const extended = pixelData.extendedOffsetTable
  const tables: Tables =
    extended === undefined ? { pixelData: pixelData.offset } : await readExtendedTables(extended, fileSize, read)
  const item = await fragmentAt(tables.pixelData, fileSize, read)
  if (!item) throw new ArchiveError('unsupported', 'the pixel data does not begin with an item; it is not encapsulated')
  const end = pixelData.length === undefined ? fileSize : Math.min(fileSize, pixelData.offset + pixelData.length)
  const found: Encapsulated = { base: item.end, end }
  if (tables.offsets) {
    const { offsets, lengths } = tables
    return { ...found, offsets, ...(lengths?.length === offsets.length ? { lengths } : {}) }
  }
  const bytes = item.end - item.start
  if (bytes < 4 || bytes > TABLE_BYTES_MAX || item.end > fileSize) return found
  const table = await read(item.start, item.end)
  return { ...found, offsets: Float64Array.from({ length: bytes >> 2 }, (_, index) => table.readUInt32LE(index * 4)) }
}

interface Tables {
  /** Of the first byte of Pixel Data's value. */
  pixelData: number
  offsets?: Float64Array
  lengths?: Float64Array
}

/** Walks from Extended Offset Table over its lengths to Pixel Data; all three have headers of 12 bytes. */
async function readExtendedTables(start: number, fileSize: number, read: ReadBytes): Promise<Tables> {
  const tables: Partial<Tables> = {}
  for (let at = start; at + 12 <= fileSize; ) {
    const header = await read(at, at + 12)
    const tag = header.readUInt16LE(0) * 0x10000 + header.readUInt16LE(2)
    const length = header.readUInt32LE(8)
    if (tag === 0x7fe00010) return { ...tables, pixelData: at + 12 }
    if ((tag !== 0x7fe00001 && tag !== 0x7fe00002) || at + 12 + length > fileSize) break
    if (length <= TABLE_BYTES_MAX) {
      tables[tag === 0x7fe00001 ? 'offsets' : 'lengths'] = wideNumbers(await read(at + 12, at + 12 + length))
    }
    at += 12 + length
  }
  throw new ArchiveError('unsupported', 'no pixel data follows the extended offset table')
}

function wideNumbers(bytes: Buffer): Float64Array {
  return Float64Array.from({ length: bytes.length >> 3 }, (_, index) => Number(bytes.readBigUInt64LE(index * 8)))
}

/** Undefined where the table proves wrong. */
async function frameByTable(
  { base, end, lengths }: Encapsulated,
  offsets: Float64Array,
  number: number,
  read: ReadBytes,
): Promise<Frame | undefined> {
  const start = base + (offsets[number - 1] as number)
  const last = number === offsets.length
  const stop = last ? end : base + (offsets[number] as number)
  const length = lengths?.[number - 1]
  const first = stop <= end ? await fragmentAt(start, stop, read) : undefined
  if (!first) return undefined
  // PS3.3 C.7.6.3.1.8: with an extended table each frame is one fragment, its length without padding.
  if (length !== undefined && length <= first.end - first.start && first.end <= end) {
    return joined([[first.start, first.start + length]])
  }
  const fragments = await scanFragments(start, stop, read)
  if (fragments.cut || fragments.count === 0 || (!last && fragments.end !== stop)) return undefined
  return joined(rangesOf(fragments, 0, fragments.count))
}

function rangesOf(fragments: Fragments, from: number, to: number): ByteRange[] {
  const ranges: ByteRange[] = []
  for (let i = from; i < to; i++) ranges.push([fragments.starts[i] as number, fragments.ends[i] as number])
  return ranges
}

function joined(ranges: ByteRange[]): Frame {
  const length = ranges.reduce((sum, [start, end]) => sum + end - start, 0)
  return { ranges, length, verbatim: true, swapBytes: 1, bitOffset: 0, bits: length * 8 }
}

/** Frames by the items alone. A video is one frame: its stream (PS3.5 8.2.5 to 8.2.9). */
async function scannedFrames(
  { base, end }: Encapsulated,
  pixelData: PixelData,
  video: boolean,
  read: ReadBytes,
): Promise<Frames> {
  const fragments = await scanFragments(base, end, read)
  if (fragments.count === 0) throw new ArchiveError('unsupported', 'the pixel data has no fragments')
  const firsts = firstFragments(fragments, video ? 1 : pixelData.numberOfFrames)
  const count = firsts.length
  return {
    count,
    async frame(number) {
      checkFrameNumber(number, count)
      const from = firsts[number - 1] as number
      const to = firsts[number] ?? fragments.count
      if (fragments.cut && to === fragments.count) throw incomplete(number)
      return joined(rangesOf(fragments, from, to))
    },
  }
}

/** The index of each frame's first fragment. */
function firstFragments({ count, startsImage }: Fragments, numberOfFrames: number): Float64Array {
  if (numberOfFrames === 1) return Float64Array.of(0)
  const images: number[] = []
  for (let i = 0; i < count; i++) {
    if (startsImage[i] === 1) images.push(i)
  }
  // Fewer fragments than frames: each fragment is a frame, and the rest isn't there.
  if (count <= numberOfFrames) return Float64Array.from({ length: count }, (_, index) => index)
  if (images.length === numberOfFrames && images[0] === 0) return Float64Array.from(images)
  throw new ArchiveError(
    'unsupported',
    `${count} fragments make ${numberOfFrames} frames, and no offset table says which; they can't be told apart`,
  )
}
