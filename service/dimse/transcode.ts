import { hasLongLength } from '../dicom/value-representations.ts'
import { ArchiveError } from '../errors.ts'

/** VRs with a 16-bit length (PS3.5 7.1.2). */
const SHORT_VRS = new Set([
  'AE',
  'AS',
  'AT',
  'CS',
  'DA',
  'DS',
  'DT',
  'FD',
  'FL',
  'IS',
  'LO',
  'LT',
  'PN',
  'SH',
  'SL',
  'SS',
  'ST',
  'TM',
  'UI',
  'UL',
  'US',
])

const UNDEFINED_LENGTH = 0xffffffff
const ITEM = 0xfffee000
const ITEM_DELIMITER = 0xfffee00d
const SEQUENCE_DELIMITER = 0xfffee0dd
/** Values of at least this size are passed on as they are; smaller ones are gathered. */
const DIRECT_BYTES = 4096
/** PS3.5 sets no limit; real data sets nest less than ten levels. */
const DEPTH_MAX = 64

function broken(message: string): ArchiveError {
  return new ArchiveError('unsupported', `can't be transcoded: ${message}`)
}

interface Container {
  kind: 'dataSet' | 'sequence' | 'item'
  /** Input offset at which it ends; Infinity: at its delimiter. */
  end: number
  /** Contents of a UN element of undefined length are implicit already (PS3.5 6.2.2 note 4). */
  implicit: boolean
}

/**
 * Explicit VR little endian to implicit VR little endian, streaming: values are passed on unchanged, headers rewritten.
 * Sequences and items of defined length get undefined length and a delimiter, as their new length isn't known in advance;
 * group lengths, which would be wrong, are left out (PS3.5 7.2). For uncompressed data sets only.
 */
class ExplicitToImplicit {
  readonly #stack: Container[] = [{ kind: 'dataSet', end: Number.POSITIVE_INFINITY, implicit: false }]
  #at = 0
  #pending = Buffer.alloc(0)
  #valueLeft = 0
  #dropValue = false
  #out: Buffer[] = []
  #small: Buffer[] = []

  /** Throws ArchiveError `unsupported`. */
  push(chunk: Buffer): Buffer[] {
    let bytes = this.#pending.length > 0 ? Buffer.concat([this.#pending, chunk]) : chunk
    for (;;) {
      if (this.#valueLeft > 0) bytes = this.#value(bytes)
      const used = this.#valueLeft > 0 ? 0 : this.#header(bytes)
      if (used === 0) break
      bytes = bytes.subarray(used)
    }
    this.#pending = Buffer.from(bytes)
    return this.#flush()
  }

  /** Throws ArchiveError `unsupported` when the data set is cut short. */
  end(): Buffer[] {
    this.#closeContainers()
    if (this.#pending.length > 0 || this.#valueLeft > 0 || this.#stack.length !== 1) throw broken('data set cut short')
    return this.#flush()
  }

  #flush(): Buffer[] {
    this.#gather()
    const out = this.#out
    this.#out = []
    return out
  }

  #gather(): void {
    if (this.#small.length > 0) this.#out.push(Buffer.concat(this.#small))
    this.#small = []
  }

  #value(bytes: Buffer): Buffer {
    const take = Math.min(bytes.length, this.#valueLeft)
    const piece = bytes.subarray(0, take)
    this.#valueLeft -= take
    this.#at += take
    if (!this.#dropValue && take >= DIRECT_BYTES) {
      this.#gather()
      this.#out.push(piece)
    } else if (!this.#dropValue && take > 0) {
      this.#small.push(piece)
    }
    return bytes.subarray(take)
  }

  #emit(tag: number, length: number): void {
    const header = Buffer.allocUnsafe(8)
    header.writeUInt16LE(tag >>> 16, 0)
    header.writeUInt16LE(tag & 0xffff, 2)
    header.writeUInt32LE(length, 4)
    this.#small.push(header)
  }

  get #top(): Container {
    const top = this.#stack.at(-1)
    if (!top) throw broken('unbalanced delimiters')
    return top
  }

  #enter(kind: Container['kind'], length: number, implicit: boolean): void {
    if (this.#stack.length >= DEPTH_MAX) throw broken(`more than ${DEPTH_MAX} levels`)
    const end = length === UNDEFINED_LENGTH ? Number.POSITIVE_INFINITY : this.#at + length
    if (end !== Number.POSITIVE_INFINITY && end > this.#top.end) throw broken('longer than what it is part of')
    this.#stack.push({ kind, end, implicit })
  }

  #closeContainers(): void {
    while (this.#at >= this.#top.end) {
      const { kind, end } = this.#top
      if (this.#at > end) throw broken('longer than what it is part of')
      this.#stack.pop()
      this.#emit(kind === 'item' ? ITEM_DELIMITER : SEQUENCE_DELIMITER, 0)
    }
  }

  /** Takes one element's or item's header; gives its size in the input, 0 when it isn't all there yet. */
  #header(bytes: Buffer): number {
    this.#closeContainers()
    if (bytes.length < 8) return 0
    const tag = bytes.readUInt16LE(0) * 0x10000 + bytes.readUInt16LE(2)
    if (this.#top.kind === 'sequence') return this.#itemHeader(tag, bytes.readUInt32LE(4))
    if (tag === ITEM_DELIMITER) return this.#delimiter('item', tag)
    if (this.#top.implicit) return this.#implicitHeader(tag, bytes.readUInt32LE(4))
    return this.#explicitHeader(tag, bytes)
  }

  #itemHeader(tag: number, length: number): number {
    if (tag === SEQUENCE_DELIMITER) return this.#delimiter('sequence', tag)
    if (tag !== ITEM) throw broken('sequence with something else than items')
    const { implicit } = this.#top
    this.#at += 8
    this.#emit(ITEM, UNDEFINED_LENGTH)
    this.#enter('item', length, implicit)
    return 8
  }

  #delimiter(kind: Container['kind'], tag: number): number {
    if (this.#top.kind !== kind || this.#top.end !== Number.POSITIVE_INFINITY) throw broken('unexpected delimiter')
    this.#stack.pop()
    this.#at += 8
    this.#emit(tag, 0)
    return 8
  }

  #implicitHeader(tag: number, length: number): number {
    this.#at += 8
    this.#emit(tag, length)
    if (length === UNDEFINED_LENGTH) this.#enter('sequence', length, true)
    else this.#expectValue(length, false)
    return 8
  }

  #explicitHeader(tag: number, bytes: Buffer): number {
    const vr = bytes.toString('latin1', 4, 6)
    if (!hasLongLength(vr)) {
      if (!SHORT_VRS.has(vr)) throw broken('unknown VR')
      const length = bytes.readUInt16LE(6)
      this.#at += 8
      this.#element(tag, length)
      return 8
    }
    if (bytes.length < 12) return 0
    const length = bytes.readUInt32LE(8)
    this.#at += 12
    if (vr === 'SQ' || (vr === 'UN' && length === UNDEFINED_LENGTH)) {
      this.#emit(tag, UNDEFINED_LENGTH)
      this.#enter('sequence', length, vr === 'UN')
    } else if (length === UNDEFINED_LENGTH) {
      throw broken('encapsulated value')
    } else {
      this.#element(tag, length)
    }
    return 12
  }

  #element(tag: number, length: number): void {
    const isGroupLength = (tag & 0xffff) === 0
    if (!isGroupLength) this.#emit(tag, length)
    this.#expectValue(length, isGroupLength)
  }

  #expectValue(length: number, drop: boolean): void {
    if (this.#at + length > this.#top.end) throw broken('longer than what it is part of')
    this.#valueLeft = length
    this.#dropValue = drop
  }
}

/** Iteration throws ArchiveError `unsupported` for a data set that can't be transcoded faithfully. */
export async function* explicitToImplicit(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer, void, undefined> {
  const transcoder = new ExplicitToImplicit()
  for await (const chunk of source) yield* transcoder.push(chunk)
  yield* transcoder.end()
}
