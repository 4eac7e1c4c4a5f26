import { createHash } from 'node:crypto'
import { constants, inflateRawSync } from 'node:zlib'

/**
 * A DICOM reader of the tests' own: what Firn says about a file is judged by code that shares nothing with it. Reads
 * whole files in memory and only as far as the four identifiers, or as far as asked.
 */
export interface Part10 {
  transferSyntaxUid: string
  mediaStorageSopClassUid: string
  /** Where the data set starts. */
  dataSetOffset: number
  studyUid: string
  seriesUid: string
  sopInstanceUid: string
  sopClassUid: string
}

export interface Element {
  /** Eight upper-case hexadecimal digits. */
  tag: string
  vr: string
  /** Raw bytes; of an element with undefined length everything up to and including its delimiter. */
  value: Buffer
}

const DEFLATED = '1.2.840.10008.1.2.1.99'
const IMPLICIT = '1.2.840.10008.1.2'
const BIG_ENDIAN = '1.2.840.10008.1.2.2'
export const DICOMDIR_CLASS = '1.2.840.10008.1.3.10'
const UNDEFINED = 0xffffffff
const LONG_VRS = new Set(['OB', 'OD', 'OF', 'OL', 'OV', 'OW', 'SQ', 'SV', 'UC', 'UN', 'UR', 'UT', 'UV'])
const IDENTIFIERS_END = '00200010'

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export function text(value: Buffer | undefined): string {
  return (value?.toString('latin1') ?? '').replace(/[\0 ]+$/, '')
}

class Reader {
  readonly #bytes: Buffer
  readonly #explicit: boolean
  readonly #big: boolean
  at: number

  constructor(bytes: Buffer, at: number, explicit: boolean, big: boolean) {
    this.#bytes = bytes
    this.#explicit = explicit
    this.#big = big
    this.at = at
  }

  #u16(at: number): number {
    return this.#big ? this.#bytes.readUInt16BE(at) : this.#bytes.readUInt16LE(at)
  }

  #u32(at: number): number {
    return this.#big ? this.#bytes.readUInt32BE(at) : this.#bytes.readUInt32LE(at)
  }

  peekTag(): string {
    const hex = (n: number) => n.toString(16).toUpperCase().padStart(4, '0')
    return hex(this.#u16(this.at)) + hex(this.#u16(this.at + 2))
  }

  get more(): boolean {
    return this.at + 8 <= this.#bytes.length
  }

  next(): Element {
    const tag = this.peekTag()
    const head = this.#head(tag)
    this.at = head.valueAt
    if (head.length === UNDEFINED) this.#skipItems(head.vr)
    else this.at += head.length
    return { tag, vr: head.vr, value: this.#bytes.subarray(head.valueAt, this.at) }
  }

  #head(tag: string): { vr: string; valueAt: number; length: number } {
    const at = this.at
    if (!this.#explicit || tag.startsWith('FFFE')) return { vr: '', valueAt: at + 8, length: this.#u32(at + 4) }
    const vr = this.#bytes.toString('latin1', at + 4, at + 6)
    if (LONG_VRS.has(vr)) return { vr, valueAt: at + 12, length: this.#u32(at + 8) }
    return { vr, valueAt: at + 8, length: this.#u16(at + 6) }
  }

  /** Moves past items up to and including the sequence delimiter. */
  #skipItems(vr: string): void {
    while (this.more) {
      const tag = this.peekTag()
      const length = this.#u32(this.at + 4)
      this.at += 8
      if (tag === 'FFFEE0DD') return
      if (length === UNDEFINED) this.#skipItem(vr)
      else this.at += length
    }
  }

  #skipItem(vr: string): void {
    // PS3.5 6.2.2: the items of an UN element of undefined length are implicit little endian.
    const inner = vr === 'UN' ? new Reader(this.#bytes, this.at, false, false) : this
    while (inner.more) {
      if (inner.peekTag() === 'FFFEE00D') {
        this.at = inner.at + 8
        return
      }
      inner.next()
    }
    this.at = inner.at
  }
}

function metaInformation(file: Buffer): { values: Map<string, Buffer>; end: number } {
  const values = new Map<string, Buffer>()
  if (file.toString('latin1', 128, 132) !== 'DICM') throw new Error('no DICM prefix')
  const reader = new Reader(file, 132, true, false)
  while (reader.more && reader.peekTag().startsWith('0002')) {
    const element = reader.next()
    values.set(element.tag, element.value)
  }
  return { values, end: reader.at }
}

/** The data set's bytes as elements are counted in it: inflated where the transfer syntax is deflated. */
function dataSetReader(file: Buffer, offset: number, transferSyntaxUid: string): Reader {
  if (transferSyntaxUid === DEFLATED) {
    // A deflated stream that was cut gives what it holds.
    const options = { finishFlush: constants.Z_SYNC_FLUSH }
    return new Reader(inflateRawSync(file.subarray(offset), options), 0, true, false)
  }
  // Some writers put an implicit VR data set under an explicit transfer syntax; two capital letters tell them apart.
  const explicit = transferSyntaxUid !== IMPLICIT && /^[A-Z]{2}$/.test(file.toString('latin1', offset + 4, offset + 6))
  return new Reader(file, offset, explicit, transferSyntaxUid === BIG_ENDIAN)
}

/** Top-level elements of a file's data set in order, up to the tag `end` (exclusive) or the first unreadable one. */
export function elements(file: Buffer, end = 'FFFFFFFF'): Map<string, Element> {
  const meta = metaInformation(file)
  const found = new Map<string, Element>()
  const reader = dataSetReader(file, meta.end, text(meta.values.get('00020010')) || IMPLICIT)
  try {
    while (reader.more && reader.peekTag() < end) {
      const element = reader.next()
      found.set(element.tag, element)
    }
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
  }
  return found
}

/** Throws when the file has no DICM prefix; identifiers that are missing are empty. */
export function readPart10(file: Buffer): Part10 {
  const meta = metaInformation(file)
  const found = elements(file, IDENTIFIERS_END)
  return {
    transferSyntaxUid: text(meta.values.get('00020010')),
    mediaStorageSopClassUid: text(meta.values.get('00020002')),
    dataSetOffset: meta.end,
    studyUid: text(found.get('0020000D')?.value),
    seriesUid: text(found.get('0020000E')?.value),
    sopInstanceUid: text(found.get('00080018')?.value),
    sopClassUid: text(found.get('00080016')?.value),
  }
}

/** The archive's condition for keeping a file: the four identifiers, and no DICOMDIR. */
export function archivable(part10: Part10): boolean {
  if (part10.mediaStorageSopClassUid === DICOMDIR_CLASS) return false
  return [part10.studyUid, part10.seriesUid, part10.sopInstanceUid, part10.sopClassUid].every((uid) => uid !== '')
}

export function dataSet(file: Buffer): Buffer {
  return file.subarray(readPart10(file).dataSetOffset)
}
