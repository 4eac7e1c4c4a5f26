import { ArchiveError } from '../errors.ts'
import { bytesOf, isLittleEndian, type ParsedDataSet, type ParsedElement, UNDEFINED_LENGTH } from './data-set.ts'
import { encapsulatedFrames } from './encapsulated-frames.ts'
import {
  checkFrameNumber,
  FRAMES_MAX,
  type Frame,
  type Frames,
  incomplete,
  type PixelData,
  type ReadBytes,
} from './frame.ts'
import { transferSyntax } from './transfer-syntaxes.ts'

export type { ByteRange, Frame, Frames, PixelData, ReadBytes } from './frame.ts'

/**
 * What of a parsed header locating frames needs; undefined when the instance has no pixel data. Offsets are those of the parsed
 * bytes: of the file, unless it is deflated.
 */
export function pixelDataOf(dataSet: ParsedDataSet, transferSyntaxUid: string): PixelData | undefined {
  const { elements } = dataSet
  const element = elements.x7fe00010 ?? elements.x7fe00008 ?? elements.x7fe00009
  const extendedOffsetTable = elements.x7fe00001 && headerOffset(bytesOf(dataSet), elements.x7fe00001)
  if (!element && extendedOffsetTable === undefined) return undefined
  const floatBits = element?.tag === 'x7fe00008' ? 32 : element?.tag === 'x7fe00009' ? 64 : undefined
  const bitsAllocated = floatBits ?? unsigned(dataSet, 'x00280100', 0)
  const open = element === undefined || element.length === UNDEFINED_LENGTH || element.hadUndefinedLength === true
  return {
    transferSyntaxUid,
    offset: element?.dataOffset ?? 0,
    length: open ? undefined : element.length,
    swapBytes: isLittleEndian(dataSet) || element?.vr === 'OB' ? 1 : Math.max(2, Math.floor(bitsAllocated / 8)),
    numberOfFrames: Math.max(1, Number.parseInt(text(dataSet, 'x00280008'), 10) || 1),
    rows: unsigned(dataSet, 'x00280010', 0),
    columns: unsigned(dataSet, 'x00280011', 0),
    samplesPerPixel: unsigned(dataSet, 'x00280002', 1),
    bitsAllocated,
    photometricInterpretation: text(dataSet, 'x00280004'),
    ...(extendedOffsetTable === undefined ? {} : { extendedOffsetTable }),
  }
}

/** The header is 12 bytes long (PS3.5 7.1.2). */
function headerOffset(bytes: Buffer, { dataOffset }: ParsedElement): number | undefined {
  const at = dataOffset - 12
  return at >= 0 && bytes.toString('latin1', at, at + 6) === '\xe0\x7f\x01\x00OV' ? at : undefined
}

function unsigned(dataSet: ParsedDataSet, tag: string, otherwise: number): number {
  const element = dataSet.elements[tag]
  if (!element || element.length < 2 || element.dataOffset + 2 > dataSet.byteArray.length) return otherwise
  return dataSet.byteArrayParser.readUint16(dataSet.byteArray, element.dataOffset)
}

function text(dataSet: ParsedDataSet, tag: string): string {
  const element = dataSet.elements[tag]
  if (!element) return ''
  const end = element.dataOffset + Math.min(element.length, 64)
  return bytesOf(dataSet).toString('latin1', element.dataOffset, end).replaceAll('\0', ' ').trim()
}

/**
 * Finds an instance's frames without reading its pixel data: native ones by arithmetic, encapsulated ones by offset tables
 * and item headers, of which only as many are read as the asked frames need. What is known stays in memory: 16 bytes for
 * each fragment or table entry.
 *
 * @param read reads from the same bytes that `pixelData` was found in
 * @throws ArchiveError `unsupported` when frames can't be told apart, naming why
 */
export async function locateFrames(pixelData: PixelData, fileSize: number, read: ReadBytes): Promise<Frames> {
  const { encapsulated } = transferSyntax(pixelData.transferSyntaxUid)
  if (pixelData.length === undefined || encapsulated) return encapsulatedFrames(pixelData, fileSize, read)
  return nativeFrames(pixelData, pixelData.length, fileSize)
}

function nativeFrames(pixelData: PixelData, length: number, fileSize: number): Frames {
  const bits = frameBits(pixelData)
  if (bits === 0) throw new ArchiveError('unsupported', 'the pixel data has no size: rows, columns or bits are missing')
  const count = Math.min(pixelData.numberOfFrames, Math.max(1, Math.floor((length * 8) / bits)))
  if (count > FRAMES_MAX) throw new ArchiveError('unsupported', `the instance has more than ${FRAMES_MAX} frames`)
  return {
    count,
    async frame(number) {
      checkFrameNumber(number, count)
      return nativeFrame(pixelData, length, fileSize, bits, number)
    },
  }
}

/** PS3.5 8.1.1, 8.2: samples follow one another without gaps; 4:2:2 subsampled colour has two samples a pixel. */
function frameBits(pixelData: PixelData): number {
  const { rows, columns, samplesPerPixel, bitsAllocated, photometricInterpretation } = pixelData
  const samples = samplesPerPixel === 3 && photometricInterpretation.endsWith('_422') ? 2 : samplesPerPixel
  return rows * columns * samples * bitsAllocated
}

function nativeFrame(pixelData: PixelData, length: number, fileSize: number, bits: number, number: number): Frame {
  const { offset, swapBytes } = pixelData
  const firstBit = (number - 1) * bits
  // Whole words are read, or their bytes couldn't be put in order.
  const start = Math.floor(firstBit / 8 / swapBytes) * swapBytes
  const endOfFrame = Math.ceil((firstBit + bits) / 8)
  const end = Math.min(Math.ceil(endOfFrame / swapBytes) * swapBytes, length)
  if (endOfFrame > length || offset + end > fileSize) throw incomplete(number)
  const bitOffset = firstBit - start * 8
  return {
    ranges: [[offset + start, offset + end]],
    length: Math.ceil(bits / 8),
    verbatim: swapBytes === 1 && bitOffset === 0 && bits % 8 === 0,
    swapBytes,
    bitOffset,
    bits,
  }
}

/**
 * The bytes of a frame from those of its ranges: words in little endian order, the first pixel in the lowest bit of
 * the first byte (frames of single bits may begin inside a byte), bits after the last pixel zero.
 */
export async function* alignFrame(frame: Frame, bytes: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  if (frame.verbatim) {
    yield* bytes
    return
  }
  const shifter = new Shifter(frame)
  let rest: Buffer = Buffer.alloc(0)
  for await (const chunk of bytes) {
    const joined = rest.length > 0 ? Buffer.concat([rest, chunk]) : Buffer.from(chunk)
    const whole = joined.length - (joined.length % frame.swapBytes)
    rest = joined.subarray(whole)
    const shifted = shifter.push(reverseWords(joined.subarray(0, whole), frame.swapBytes))
    if (shifted.length > 0) yield shifted
  }
  const last = shifter.end(rest)
  if (last.length > 0) yield last
}

/** In place. */
function reverseWords(bytes: Buffer, wordBytes: number): Buffer {
  if (wordBytes === 2) return bytes.swap16()
  if (wordBytes === 4) return bytes.swap32()
  if (wordBytes === 8) return bytes.swap64()
  for (let at = 0; wordBytes > 1 && at < bytes.length; at += wordBytes) bytes.subarray(at, at + wordBytes).reverse()
  return bytes
}

/** Takes `bits` bits from `bitOffset` on out of a stream; the low bits of a byte come first (PS3.5 8.1.1). */
class Shifter {
  private skip: number
  private readonly shift: number
  private bitsLeft: number
  /** A byte whose upper bits wait for the next one. */
  private held: number | undefined

  constructor({ bitOffset, bits }: Frame) {
    this.skip = Math.floor(bitOffset / 8)
    this.shift = bitOffset % 8
    this.bitsLeft = bits
  }

  push(bytes: Buffer): Buffer {
    const out = Buffer.alloc(bytes.length + 1)
    let length = 0
    for (const byte of bytes) {
      if (this.skip > 0) this.skip--
      else if (this.shift === 0) length = this.put(out, length, byte)
      else {
        if (this.held !== undefined) length = this.put(out, length, this.joined(byte))
        this.held = byte
      }
    }
    return out.subarray(0, length)
  }

  /** What is held back when the stream ends; `rest` are bytes that make no whole word. */
  end(rest: Buffer): Buffer {
    const last = this.push(rest)
    if (this.held === undefined || this.bitsLeft === 0) return last
    const out = Buffer.alloc(1)
    return Buffer.concat([last, out.subarray(0, this.put(out, 0, this.joined(0)))])
  }

  private joined(next: number): number {
    return ((this.held as number) >> this.shift) | ((next << (8 - this.shift)) & 0xff)
  }

  private put(out: Buffer, at: number, byte: number): number {
    if (this.bitsLeft === 0) return at
    out[at] = this.bitsLeft >= 8 ? byte : byte & ((1 << this.bitsLeft) - 1)
    this.bitsLeft = Math.max(0, this.bitsLeft - 8)
    return at + 1
  }
}
