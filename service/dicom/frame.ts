import { ArchiveError } from '../errors.ts'

/** [start, end) in bytes of the file. */
export type ByteRange = readonly [start: number, end: number]

/** Gives exactly the bytes [start, end) of the file; rejects when it can't. */
export type ReadBytes = (start: number, end: number) => Promise<Buffer>

/** What locating frames needs to know of an instance. */
export interface PixelData {
  transferSyntaxUid: string
  /** Of the value's first byte in the file. */
  offset: number
  /** Bytes of the value; undefined where its length is undefined, as encapsulated pixel data's is. */
  length: number | undefined
  /** Bytes of a word of the value whose order has to be reversed for little endian; 1 where it hasn't. */
  swapBytes: number
  numberOfFrames: number
  rows: number
  columns: number
  samplesPerPixel: number
  bitsAllocated: number
  photometricInterpretation: string
  /**
   * Where the element Extended Offset Table (7FE0,0001) begins in the file, its tag's first byte. What follows may not have
   * been read, so pixel data is looked for from there, and `offset` and `length` don't count.
   */
  extendedOffsetTable?: number
}

/** One frame (PS3.3 C.7.6.3.1). */
export interface Frame {
  /** Where the frame's bytes are in the file, in order. Joined they are the frame if `verbatim`. */
  ranges: ByteRange[]
  /** Bytes of the frame as `alignFrame` gives it. */
  length: number
  /** `alignFrame` has nothing to do. */
  verbatim: boolean
  /** What `alignFrame` does: reverse words of this size (1: none), then take `bits` bits from `bitOffset` on. */
  swapBytes: number
  bitOffset: number
  bits: number
}

export interface Frames {
  /** How many frames there are. */
  count: number
  /**
   * `number` from 1. Rejects with ArchiveError `not_found` beyond the last one, `unsupported` when the frame isn't wholly
   * in the file, and with what `read` rejects with.
   */
  frame(number: number): Promise<Frame>
}

/** More frames or fragments than this cost more memory than Firn spends on one instance; the largest slides have fewer. */
export const FRAMES_MAX = 2 ** 20

/** Throws ArchiveError `not_found`. */
export function checkFrameNumber(number: number, count: number): void {
  if (Number.isInteger(number) && number >= 1 && number <= count) return
  throw new ArchiveError('not_found', `there is no frame ${number}; the instance has ${count}`)
}

/** The error of a frame whose bytes end before it does. */
export function incomplete(number: number): ArchiveError {
  return new ArchiveError('unsupported', `frame ${number} is not wholly in the file: its pixel data is too short`)
}
