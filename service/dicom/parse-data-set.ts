import { type ParsedDataSet, type ParsedElement, UNDEFINED_LENGTH } from './data-set.ts'
import { isPrivate, vrOf } from './dictionary.ts'
import { hasLongLength, LONG_LENGTH_VRS } from './value-representations.ts'

/** How a data set is written (PS3.5 7.1, 7.3). */
export interface Encoding {
  explicit: boolean
  littleEndian: boolean
}

/**
 * What parsing may cost: elements and items that become objects. What is beyond counts as cut off. Merely passing over an
 * element in search of a sequence's end costs a hundredth of that.
 */
export interface Budget {
  elements: number
}

export interface Parsed {
  dataSet: ParsedDataSet
  /** Why parsing ended: pixel data was reached, the bytes' end between two elements, or anything else. */
  end: 'pixels' | 'end' | 'cut'
}

const ITEM = 0xfffee000
const ITEM_END = 0xfffee00d
const SEQUENCE_END = 0xfffee0dd
/** Float, double float and integer pixel data. */
const PIXEL_DATA: ReadonlySet<number> = new Set([0x7fe00008, 0x7fe00009, 0x7fe00010])
const PIXEL_GROUP = 0x7fe0

/** Sequences in sequences; real objects nest fewer than ten. */
const DEPTH_MAX = 64
const STEPS_PER_ELEMENT = 100
/** Bytes that are searched for a delimiter at the cost of one step. */
const SEARCH_BYTES_PER_STEP = 64

/** VRs with a 32-bit length, as the number that their two letters make. */
const LONG_VRS: ReadonlySet<number> = new Set(LONG_LENGTH_VRS.map((vr) => (vr.charCodeAt(0) << 8) | vr.charCodeAt(1)))

/** Where a value can't be passed over: it reaches beyond the bytes or the budget, or isn't what it should be. */
const FAULT = -1

const littleEndianParser: ParsedDataSet['byteArrayParser'] = {
  readUint16: (bytes, at) => (bytes[at] as number) | ((bytes[at + 1] as number) << 8),
}
const bigEndianParser: ParsedDataSet['byteArrayParser'] = {
  readUint16: (bytes, at) => ((bytes[at] as number) << 8) | (bytes[at + 1] as number),
}

/**
 * Parses a data set as leniently as files need it, up to its pixel data. Never throws. Time and memory are bounded by
 * `budget`: a sequence is only passed over, and its items are parsed when they are asked for, within the same budget.
 * Elements whose value isn't wholly there are left out, but for those of the pixel data's group.
 *
 * @param whole the bytes are all there is: a sequence that nobody closed ends with them
 */
export function parseDataSet(bytes: Buffer, at: number, encoding: Encoding, whole: boolean, budget: Budget): Parsed {
  return new Parser(bytes, encoding.littleEndian, whole, budget).top(at, encoding.explicit)
}

interface Found {
  tag: number
  vr: string | undefined
  length: number
  dataOffset: number
}

class Parser {
  readonly bytes: Buffer
  readonly #littleEndian: boolean
  readonly #whole: boolean
  #elementsLeft: number
  #stepsLeft: number

  constructor(bytes: Buffer, littleEndian: boolean, whole: boolean, budget: Budget) {
    this.bytes = bytes
    this.#littleEndian = littleEndian
    this.#whole = whole
    this.#elementsLeft = budget.elements
    this.#stepsLeft = budget.elements * STEPS_PER_ELEMENT
  }

  top(start: number, explicit: boolean): Parsed {
    const dataSet = this.#emptyDataSet()
    const end = this.bytes.length
    let at = start
    while (at < end) {
      const found = this.#header(at, end, explicit)
      if (!found || this.#elementsLeft-- <= 0) return { dataSet, end: 'cut' }
      const isPixelData = PIXEL_DATA.has(found.tag)
      const after = isPixelData ? end : this.#after(found, end, explicit, 1)
      if (after === FAULT && found.tag >>> 16 !== PIXEL_GROUP) return { dataSet, end: 'cut' }
      this.#add(dataSet, found, isPixelData ? FAULT : after, explicit, 1)
      if (isPixelData || after === FAULT) return { dataSet, end: 'pixels' }
      at = after
    }
    return { dataSet, end: start < end ? 'end' : 'cut' }
  }

  /** The elements of an item; those that don't fit into it are left out. */
  item(start: number, end: number, explicit: boolean, depth: number): ParsedDataSet {
    const dataSet = this.#emptyDataSet()
    let at = start
    while (at < end) {
      const found = this.#header(at, end, explicit)
      if (!found || found.tag === ITEM_END || this.#elementsLeft-- <= 0) break
      const after = this.#after(found, end, explicit, depth)
      if (after === FAULT) break
      this.#add(dataSet, found, after, explicit, depth)
      at = after
    }
    return dataSet
  }

  /** Undefined when there is something else than items. */
  items(start: number, end: number, explicit: boolean, depth: number): Item[] | undefined {
    const items: Item[] = []
    let at = start
    while (at + 8 <= end && this.#tag(at) !== SEQUENCE_END) {
      if (this.#tag(at) !== ITEM) return items.length > 0 ? items : undefined
      if (this.#elementsLeft-- <= 0) break
      const after = this.#afterItem(at, end, explicit, depth)
      if (after === FAULT) break
      items.push(new Item(this, at + 8, after, explicit, depth))
      at = after
    }
    return items
  }

  #emptyDataSet(): ParsedDataSet {
    const byteArrayParser = this.#littleEndian ? littleEndianParser : bigEndianParser
    return { byteArray: this.bytes, byteArrayParser, elements: {} }
  }

  #add(dataSet: ParsedDataSet, found: Found, after: number, explicit: boolean, depth: number): void {
    const element = new Element(this, found, after, explicit, depth)
    dataSet.elements[element.tag] = element
  }

  /** Undefined where the bytes end inside it. */
  #header(at: number, end: number, explicit: boolean): Found | undefined {
    if (at + 8 > end) return undefined
    const tag = this.#tag(at)
    // Items and delimiters have no VR (PS3.5 7.5).
    if (!explicit || tag >>> 16 === 0xfffe) {
      const vr = explicit ? undefined : vrOf(tag.toString(16).padStart(8, '0').toUpperCase())
      return { tag, vr, length: this.#uint32(at + 4), dataOffset: at + 8 }
    }
    const vr = this.bytes.toString('latin1', at + 4, at + 6)
    if (!hasLongLength(vr)) return { tag, vr, length: this.#uint16(at + 6), dataOffset: at + 8 }
    return at + 12 > end ? undefined : { tag, vr, length: this.#uint32(at + 8), dataOffset: at + 12 }
  }

  isSequence({ tag, vr, length, dataOffset }: Found, explicit: boolean): boolean {
    if (vr === 'SQ') return true
    if (explicit && vr !== 'UN') return false
    if (length === UNDEFINED_LENGTH) return vr === undefined || vr === 'UN'
    if (explicit || vr !== undefined || dataOffset + 8 > this.bytes.length || isPrivate(hex(tag))) return false
    return length >= 8 && this.#tag(dataOffset) === ITEM
  }

  /** The offset behind a value, or FAULT. */
  #after(found: Found, end: number, explicit: boolean, depth: number): number {
    const { tag, vr, length, dataOffset } = found
    if (tag === ITEM_END || tag === SEQUENCE_END) return dataOffset
    if (length !== UNDEFINED_LENGTH) return dataOffset + length <= end ? dataOffset + length : FAULT
    if (this.isSequence(found, explicit)) return this.#afterItems(dataOffset, end, explicit && vr === 'SQ', depth)
    if (dataOffset + 8 > end || this.#tag(dataOffset) !== ITEM) return this.#afterDelimiter(dataOffset, end)
    // Fragments (PS3.5 A.4), for example of an icon: their items have no elements.
    return explicit ? this.#afterFragments(dataOffset, end) : this.#afterItems(dataOffset, end, false, depth)
  }

  /** Passes over the items of a sequence of undefined length and its delimiter. */
  #afterItems(start: number, end: number, explicit: boolean, depth: number): number {
    let at = start
    while (at + 8 <= end) {
      const tag = this.#tag(at)
      if (tag === SEQUENCE_END) return at + 8
      at = tag === ITEM ? this.#afterItem(at, end, explicit, depth) : FAULT
      if (at === FAULT) return FAULT
    }
    return this.#unclosed(at, end)
  }

  #afterItem(at: number, end: number, explicit: boolean, depth: number): number {
    if (depth >= DEPTH_MAX || this.#stepsLeft-- <= 0) return FAULT
    const length = this.#uint32(at + 4)
    if (length === UNDEFINED_LENGTH) return this.#afterElements(at + 8, end, explicit, depth + 1)
    return at + 8 + length <= end ? at + 8 + length : FAULT
  }

  /** Passes over the elements of an item of undefined length and its delimiter. */
  #afterElements(start: number, end: number, explicit: boolean, depth: number): number {
    let at = start
    while (at + 8 <= end) {
      if (this.#stepsLeft-- <= 0) return FAULT
      const tag = this.#tag(at)
      if (tag === ITEM_END) return at + 8
      at = this.#afterPlain(at, tag, explicit) ?? this.#afterOpen(at, end, explicit, depth)
      if (at === FAULT || at > end) return FAULT
    }
    return this.#unclosed(at, end)
  }

  /** The offset behind an element of defined length, found without making anything of it; undefined for others. */
  #afterPlain(at: number, tag: number, explicit: boolean): number | undefined {
    if (explicit && tag >>> 16 !== 0xfffe) {
      const isLong = LONG_VRS.has(((this.bytes[at + 4] as number) << 8) | (this.bytes[at + 5] as number))
      if (!isLong) return at + 8 + this.#uint16(at + 6)
      if (at + 12 > this.bytes.length) return undefined
      at += 4
    }
    const length = this.#uint32(at + 4)
    return length === UNDEFINED_LENGTH ? undefined : at + 8 + length
  }

  #afterOpen(at: number, end: number, explicit: boolean, depth: number): number {
    const found = this.#header(at, end, explicit)
    return found ? this.#after(found, end, explicit, depth) : FAULT
  }

  #afterFragments(start: number, end: number): number {
    let at = start
    while (at + 8 <= end) {
      if (this.#stepsLeft-- <= 0) return FAULT
      const tag = this.#tag(at)
      if (tag === SEQUENCE_END) return at + 8
      at += 8 + this.#uint32(at + 4)
      if (tag !== ITEM) return FAULT
    }
    return this.#unclosed(at, end)
  }

  /** A value of undefined length that is neither a sequence nor fragments: up to the next item delimiter. */
  #afterDelimiter(start: number, end: number): number {
    let at = start
    while (at + 8 <= end && this.#tag(at) !== ITEM_END) {
      at += 2
      if ((at - start) % SEARCH_BYTES_PER_STEP === 0 && this.#stepsLeft-- <= 0) return FAULT
    }
    return at + 8 <= end ? at + 8 : this.#unclosed(end, end)
  }

  #unclosed(at: number, end: number): number {
    return at === end && (this.#whole || end < this.bytes.length) ? end : FAULT
  }

  #tag(at: number): number {
    return this.#uint16(at) * 0x10000 + this.#uint16(at + 2)
  }

  #uint16(at: number): number {
    const first = this.bytes[at] as number
    const second = this.bytes[at + 1] as number
    return this.#littleEndian ? first | (second << 8) : (first << 8) | second
  }

  #uint32(at: number): number {
    const first = this.#uint16(at)
    const second = this.#uint16(at + 2)
    return this.#littleEndian ? second * 0x10000 + first : first * 0x10000 + second
  }
}

/** An element whose items, if it is a sequence, are parsed at the first look. */
class Element implements ParsedElement {
  readonly tag: string
  readonly vr: string | undefined
  readonly length: number
  readonly dataOffset: number
  readonly hadUndefinedLength: boolean
  readonly #parser: Parser
  readonly #isSequence: boolean
  readonly #explicit: boolean
  readonly #depth: number
  #items: Item[] | undefined

  /** @param after the offset behind the value; FAULT where its end isn't known, and the length stays as written */
  constructor(parser: Parser, found: Found, after: number, explicit: boolean, depth: number) {
    this.tag = `x${hex(found.tag)}`
    this.vr = found.vr
    this.dataOffset = found.dataOffset
    this.hadUndefinedLength = found.length === UNDEFINED_LENGTH
    this.length = after !== FAULT && this.hadUndefinedLength ? after - found.dataOffset : found.length
    this.#parser = parser
    this.#isSequence = after !== FAULT && parser.isSequence(found, explicit)
    this.#explicit = explicit && found.vr === 'SQ'
    this.#depth = depth
  }

  get items(): Item[] | undefined {
    if (!this.#isSequence) return undefined
    this.#items ??= this.#parser.items(this.dataOffset, this.dataOffset + this.length, this.#explicit, this.#depth)
    return this.#items
  }
}

/** An item whose elements are parsed at the first look. */
class Item {
  readonly #parser: Parser
  readonly #start: number
  readonly #end: number
  readonly #explicit: boolean
  readonly #depth: number
  #dataSet: ParsedDataSet | undefined

  constructor(parser: Parser, start: number, end: number, explicit: boolean, depth: number) {
    this.#parser = parser
    this.#start = start
    this.#end = end
    this.#explicit = explicit
    this.#depth = depth
  }

  get dataSet(): ParsedDataSet {
    this.#dataSet ??= this.#parser.item(this.#start, this.#end, this.#explicit, this.#depth + 1)
    return this.#dataSet
  }
}

const hex = (tag: number): string => tag.toString(16).padStart(8, '0')
