import { ArchiveError } from '../errors.ts'
import { type ParsedDataSet, type ParsedElement, UNDEFINED_LENGTH } from './data-set.ts'
import { vrOf } from './dictionary.ts'
import { hasLongLength, isKnownVr } from './value-representations.ts'

/** Sequences in sequences; real objects nest fewer than ten. */
const DEPTH_MAX = 32

const ITEM = 0xfffee000
const ITEM_END = 0xfffee00d
const SEQUENCE_END = 0xfffee0dd

const littleEndian: ParsedDataSet['byteArrayParser'] = {
  readUint16: (bytes, position) => (bytes[position] as number) | ((bytes[position + 1] as number) << 8),
}

/**
 * Reads a little endian data set strictly within [start, end) of `bytes`. Values aren't copied. Unlike
 * `parseDataSet`, which takes files as they are, it bounds the depth and accepts nothing that isn't right.
 *
 * @throws ArchiveError `invalid_request` naming the offset where the bytes stop being a data set
 */
export function readDataSet(bytes: Buffer, start: number, end: number, syntax: 'implicit' | 'explicit'): ParsedDataSet {
  return new Reader(bytes, start).dataSet(end, syntax === 'explicit', 0)
}

/** Reads the items of a sequence whose value is [start, end) of `bytes`. Throws as `readDataSet`. */
export function readItems(
  bytes: Buffer,
  start: number,
  end: number,
  syntax: 'implicit' | 'explicit',
): { dataSet: ParsedDataSet }[] {
  return new Reader(bytes, start).items(end, syntax === 'explicit', 1)
}

class Reader {
  private readonly bytes: Buffer
  private at: number

  constructor(bytes: Buffer, at: number) {
    this.bytes = bytes
    this.at = at
  }

  /** Elements up to `end`, or to the end of the item. */
  dataSet(end: number, explicit: boolean, depth: number): ParsedDataSet {
    if (depth > DEPTH_MAX) this.fail(`sequences nest deeper than ${DEPTH_MAX}`)
    const elements: Record<string, ParsedElement> = {}
    while (this.at < end) {
      const tag = this.tag(end)
      if (tag === ITEM_END) {
        this.length(end)
        break
      }
      const element = this.element(tag, end, explicit, depth)
      elements[element.tag] = element
    }
    return { byteArray: this.bytes, byteArrayParser: littleEndian, elements }
  }

  items(end: number, explicit: boolean, depth: number): { dataSet: ParsedDataSet }[] {
    const items: { dataSet: ParsedDataSet }[] = []
    while (this.at < end) {
      const tag = this.tag(end)
      const length = this.length(end)
      if (tag === SEQUENCE_END) break
      if (tag !== ITEM) this.fail('expected an item of a sequence')
      const itemEnd = length === UNDEFINED_LENGTH ? end : this.at + length
      if (itemEnd > end) this.fail('an item reaches beyond its sequence')
      items.push({ dataSet: this.dataSet(itemEnd, explicit, depth) })
    }
    return items
  }

  private element(tag: number, end: number, explicit: boolean, depth: number): ParsedElement {
    const name = tag.toString(16).padStart(8, '0')
    const vr = explicit ? this.vr(end) : vrOf(name.toUpperCase())
    const length = !explicit ? this.length(end) : hasLongLength(vr as string) ? this.longLength(end) : this.short(end)
    const element: ParsedElement = { tag: `x${name}`, vr, length, dataOffset: this.at }
    const open = length === UNDEFINED_LENGTH
    const valueEnd = open ? end : this.at + length
    if (valueEnd > end) this.fail(`the value of (${name.slice(0, 4)},${name.slice(4)}) reaches beyond the end`)
    if (vr === 'SQ' || (open && (vr === undefined || vr === 'UN'))) {
      // PS3.5 6.2.2 note 1: a sequence of VR UN is implicit inside.
      element.items = this.items(valueEnd, explicit && vr === 'SQ', depth + 1)
      element.length = this.at - element.dataOffset
      return element
    }
    if (open) this.fail('a value of undefined length that is no sequence')
    this.at = valueEnd
    return element
  }

  private tag(end: number): number {
    this.need(4, end)
    const tag = this.bytes.readUInt16LE(this.at) * 0x10000 + this.bytes.readUInt16LE(this.at + 2)
    this.at += 4
    return tag
  }

  private vr(end: number): string {
    this.need(2, end)
    const vr = this.bytes.toString('latin1', this.at, this.at + 2)
    if (!isKnownVr(vr)) this.fail('no known VR')
    this.at += 2
    return vr
  }

  private longLength(end: number): number {
    this.need(6, end)
    this.at += 2
    return this.length(end)
  }

  private length(end: number): number {
    this.need(4, end)
    this.at += 4
    return this.bytes.readUInt32LE(this.at - 4)
  }

  private short(end: number): number {
    this.need(2, end)
    this.at += 2
    return this.bytes.readUInt16LE(this.at - 2)
  }

  private need(count: number, end: number): void {
    if (this.at + count > end) this.fail('the data set ends inside an element')
  }

  private fail(reason: string): never {
    throw new ArchiveError('invalid_request', `not a DICOM data set: ${reason} (at byte ${this.at})`)
  }
}
