import type { ParsedDataSet } from './data-set.ts'

/** [start, end) in bytes of the file. */
export type ByteRange = readonly [start: number, end: number]

/** What locating frames needs to know of an instance. */
export interface PixelData {
  transferSyntaxUid: string
  /** Of the value's first byte in the file. */
  offset: number
  /** Bytes of the value; undefined when encapsulated (undefined length). */
  length: number | undefined
  numberOfFrames: number
  rows: number
  columns: number
  samplesPerPixel: number
  bitsAllocated: number
  photometricInterpretation: string
  /** (7FE0,0001) and (7FE0,0002), where present. */
  extendedOffsets?: Float64Array
  extendedLengths?: Float64Array
}

/** What of a parsed header locating frames needs; undefined when the instance has no pixel data. */
export function pixelDataOf(dataSet: ParsedDataSet, transferSyntaxUid: string): PixelData | undefined {
  throw new Error(`not yet: ${dataSet} ${transferSyntaxUid}`)
}

export interface Frame {
  /** Where the frame's bytes are in the file, in order; joined they are the frame. */
  ranges: ByteRange[]
  /**
   * Native frames of 1 bit per pixel may start inside a byte: shift the joined bytes right by so many bits
   * (`alignFrame`). 0 otherwise.
   */
  bitOffset: number
  /** Bytes of the frame after alignment. */
  length: number
}

export interface Frames {
  /** How many frames there are. */
  count: number
  /** `number` from 1. Throws ArchiveError `not_found` beyond the last one. */
  frame(number: number): Frame
}

/** `read(start, end)` gives exactly these bytes of the file. Throws ArchiveError `unsupported` where frames can't be told. */
export function locateFrames(
  pixelData: PixelData,
  fileSize: number,
  read: (start: number, end: number) => Promise<Buffer>,
): Promise<Frames> {
  throw new Error(`not yet: ${pixelData} ${fileSize} ${read}`)
}

/** Streams a frame of `bitOffset` > 0 so that it starts at a byte boundary; other frames pass unchanged. */
export function alignFrame(frame: Frame, bytes: AsyncIterable<Buffer>): AsyncIterable<Buffer> {
  throw new Error(`not yet: ${frame} ${bytes}`)
}
