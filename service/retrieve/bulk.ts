import type { InstanceRecord } from '../catalogue/ports.ts'
import type { ParsedDataSet } from '../dicom/data-set.ts'
import { alignFrame, type Frame, type Frames, locateFrames, pixelDataOf } from '../dicom/frames.ts'
import { bulkDataRange } from '../dicom/json.ts'
import { readHeader } from '../dicom/read-header.ts'
import { type TransferSyntax, transferSyntax } from '../dicom/transfer-syntaxes.ts'
import { ArchiveError } from '../errors.ts'
import type { OpenInstances } from './ports.ts'

/** A frame, or the value of an attribute. */
export interface Bulk {
  sizeBytes: number
  bytes(): AsyncIterable<Buffer>
}

interface Located {
  dataSet: ParsedDataSet
  /** What offsets of `dataSet` count in: the file, or the inflated data set. */
  read(start: number, end: number): AsyncIterable<Buffer>
  sizeBytes: number
  frames: Frames | undefined
}

const LOCATED_MAX = 32

/** Cuts frames and bulk data out of stored instances, reading no more of them than that. */
export class BulkReader {
  readonly #instances: OpenInstances
  readonly #headerBytesMax: number
  /** Of the instances read last: viewers ask for one frame after the other. */
  readonly #located = new Map<string, Promise<Located>>()

  constructor(instances: OpenInstances, headerBytesMax: number) {
    this.#instances = instances
    this.#headerBytesMax = headerBytesMax
  }

  syntaxOf(record: InstanceRecord): TransferSyntax {
    return transferSyntax(record.transferSyntaxUid)
  }

  /** Frames by number, from 1; all of them without numbers. Throws ArchiveError `not_found`, `unsupported`. */
  async frames(record: InstanceRecord, numbers?: readonly number[]): Promise<Bulk[]> {
    const { frames, read } = await this.#locate(record)
    if (!frames) throw new ArchiveError('not_found', 'the instance has no pixel data')
    const wanted = numbers ?? Array.from({ length: frames.count }, (_, index) => index + 1)
    const found: Bulk[] = []
    for (const number of wanted) {
      const frame = await frames.frame(number)
      found.push({ sizeBytes: frame.length, bytes: () => frameBytes(frame, read) })
    }
    return found
  }

  /**
   * The value behind a BulkDataURI's path; pixel data in fragments comes as its frames.
   * Throws ArchiveError `not_found`.
   */
  async bulkData(record: InstanceRecord, path: string): Promise<{ parts: Bulk[]; isPixelData: boolean }> {
    const { dataSet, read, sizeBytes } = await this.#locate(record)
    const range = bulkDataRange(dataSet, path)
    if (!range) throw new ArchiveError('not_found', `the instance has no value at ${path}`)
    const { offset, length, tag, swapBytes } = range
    const isPixelData = path === '7FE00010'
    if (isPixelData && (length === undefined || this.syntaxOf(record).encapsulated)) {
      return { parts: await this.frames(record), isPixelData }
    }
    if (length === undefined || offset + length > sizeBytes) {
      throw new ArchiveError('not_found', `the value of ${tag} is not wholly in the file`)
    }
    const value: Frame = {
      ranges: [[offset, offset + length]],
      length,
      verbatim: swapBytes === 1,
      swapBytes,
      bitOffset: 0,
      bits: length * 8,
    }
    return { parts: [{ sizeBytes: length, bytes: () => frameBytes(value, read) }], isPixelData }
  }

  #locate(record: InstanceRecord): Promise<Located> {
    const known = this.#located.get(record.sha256)
    this.#located.delete(record.sha256)
    const located = known ?? this.#open(record)
    this.#located.set(record.sha256, located)
    located.catch(() => this.#located.delete(record.sha256))
    for (const oldest of this.#located.keys()) {
      if (this.#located.size <= LOCATED_MAX) break
      this.#located.delete(oldest)
    }
    return located
  }

  async #open(record: InstanceRecord): Promise<Located> {
    const opened = this.#instances.open(record)
    const fromFile = (start: number, end: number) => opened.bytes(start, end)
    const { header } = await readHeader(fromFile, record.sizeBytes, this.#headerBytesMax)
    const inflated = header.inflated ? Buffer.from(header.dataSet.byteArray) : undefined
    const read = inflated ? (start: number, end: number) => one(inflated.subarray(start, end)) : fromFile
    const sizeBytes = inflated?.length ?? record.sizeBytes
    const pixelData = pixelDataOf(header.dataSet, record.transferSyntaxUid)
    const readAll = async (start: number, end: number): Promise<Buffer> => {
      const pieces: Buffer[] = []
      for await (const piece of read(start, end)) pieces.push(piece)
      return Buffer.concat(pieces)
    }
    const frames = pixelData && (await locateFrames(pixelData, sizeBytes, readAll))
    return { dataSet: header.dataSet, read, sizeBytes, frames }
  }
}

async function* one(bytes: Buffer): AsyncGenerator<Buffer> {
  yield bytes
}

function frameBytes(frame: Frame, read: Located['read']): AsyncIterable<Buffer> {
  const joined = async function* () {
    for (const [start, end] of frame.ranges) yield* read(start, end)
  }
  return frame.verbatim ? joined() : alignFrame(frame, joined())
}
