import { type CharacterDecoder, decoderFor } from './charset.ts'
import { bytesOf, isLittleEndian, type ParsedDataSet, type ParsedElement } from './data-set.ts'
import { jsonValues } from './json-values.ts'
import { readItems } from './read-data-set.ts'
import type { DicomJson, JsonAttribute, Tag } from './types.ts'
import { binaryWordBytes, effectiveVr, hasOpenEnd } from './value-representations.ts'

export interface DicomJsonOptions {
  /** Binary values up to so many bytes become InlineBinary. Default 1024. */
  inlineBytesMax?: number
  /** Texts and numbers of more bytes become bulk data too, as PS3.18 F.2.2 allows. Default 1 MiB. */
  valueBytesMax?: number
  /**
   * The BulkDataURI of a longer value, and of pixel data always, from its path (`7FE00010`,
   * `00082112.1.00281201`, item numbers from 1). Left out: such elements have neither value nor URI.
   */
  bulkDataUri?: (path: string) => string
  /** Convert only these top-level tags. */
  only?: ReadonlySet<Tag>
  /** Convert top-level tags below this one only. */
  until?: Tag
}

/** What holds for one data set: the instance's, or an item's. */
interface Scope {
  bytes: Buffer
  littleEndian: boolean
  decoder: CharacterDecoder
  /** Pixel Representation says that pixel values are signed. */
  signed: boolean
  depth: number
  /** Before each tag of a path: '' or `00082112.1.`. */
  path: string
  options: DicomJsonOptions
}

const SPECIFIC_CHARACTER_SET = '00080005'
const PIXEL_DATA: ReadonlySet<Tag> = new Set(['7FE00008', '7FE00009', '7FE00010'])
const INLINE_BYTES_MAX = 1024

const VALUE_BYTES_MAX = 1024 * 1024

/** Deeper items are left out; real objects nest fewer than ten. */
const DEPTH_MAX = 64

/**
 * A data set in the DICOM JSON Model (PS3.18 Annex F). File meta information, group lengths and delimiters are left out.
 * Text becomes Unicode, so Specific Character Set is given as ISO_IR 192. Never throws for what a data set holds: an element
 * that can't be read stands with its VR and no value.
 */
export function toDicomJson(dataSet: ParsedDataSet, options: DicomJsonOptions = {}): DicomJson {
  const { only } = options
  // Most callers want some tags of many; looking for those is faster than looking at all.
  const keys = only ? [...only].map(keyOf).filter((key) => Object.hasOwn(dataSet.elements, key)) : undefined
  return convert(dataSet, rootScope(dataSet, options), keys, options.until)
}

function rootScope(dataSet: ParsedDataSet, options: DicomJsonOptions): Scope {
  const bytes = bytesOf(dataSet)
  const outer = { bytes, decoder: decoderFor(undefined), signed: false, depth: 0, path: '', options }
  return innerScope(dataSet, { ...outer, littleEndian: true }, '')
}

/** Items inherit the character set and pixel representation that they don't have themselves (PS3.3 C.12.1.1.2). */
function innerScope(dataSet: ParsedDataSet, outer: Scope, path: string): Scope {
  const { bytes } = outer
  const littleEndian = isLittleEndian(dataSet)
  const characterSet = dataSet.elements.x00080005
  const representation = dataSet.elements.x00280103
  return {
    ...outer,
    path,
    littleEndian,
    depth: outer.depth + 1,
    decoder: characterSet ? decoderFor(characterSetOf(bytes, characterSet)) : outer.decoder,
    signed: representation ? bytes[representation.dataOffset + (littleEndian ? 0 : 1)] === 1 : outer.signed,
  }
}

/** Longer than any combination of the standard's terms. */
const CHARACTER_SET_BYTES_MAX = 512

function characterSetOf(bytes: Buffer, { dataOffset, length }: ParsedElement): string {
  const end = dataOffset + Math.min(length, CHARACTER_SET_BYTES_MAX)
  return bytes.toString('latin1', dataOffset, end).replaceAll('\0', '')
}

function keyOf(tag: Tag): string {
  return `x${tag.toLowerCase()}`
}

function convert(dataSet: ParsedDataSet, scope: Scope, keys = Object.keys(dataSet.elements), until?: Tag): DicomJson {
  const json: DicomJson = {}
  for (const key of keys.sort()) {
    const tag = key.slice(1).toUpperCase()
    if (until !== undefined && tag >= until) break
    if (tag.endsWith('0000') || tag.startsWith('0002') || tag.startsWith('FFFE')) continue
    json[tag] = attribute(tag, dataSet.elements[key] as ParsedElement, scope)
  }
  return json
}

function attribute(tag: Tag, element: ParsedElement, scope: Scope): JsonAttribute {
  const vr = effectiveVr(scope.bytes, element, tag, scope.signed)
  if (vr === 'SQ') return sequence(tag, element, scope)
  if (tag === SPECIFIC_CHARACTER_SET) return element.length > 0 ? { vr: 'CS', Value: ['ISO_IR 192'] } : { vr: 'CS' }
  return plain(tag, vr, element, scope)
}

/** Every attribute but sequences. */
function plain(tag: Tag, vr: string, element: ParsedElement, scope: Scope): JsonAttribute {
  const { bytes, littleEndian } = scope
  if (isBulk(tag, vr, element, scope)) {
    const { bulkDataUri } = scope.options
    return bulkDataUri ? { vr, BulkDataURI: bulkDataUri(scope.path + tag) } : { vr }
  }
  const start = Math.min(element.dataOffset, bytes.length)
  const end = Math.min(start + element.length, bytes.length)
  if (binaryWordBytes(vr) !== undefined) {
    return end > start ? { vr, InlineBinary: inlineBinary(vr, bytes.subarray(start, end), littleEndian) } : { vr }
  }
  const value = jsonValues(vr, { bytes, start, end, littleEndian }, scope.decoder)
  return value ? { vr, Value: value } : { vr }
}

function isBulk(tag: Tag, vr: string, element: ParsedElement, scope: Scope): boolean {
  if (element.length === 0) return false
  if (hasOpenEnd(element) || element.hadUndefinedLength || PIXEL_DATA.has(tag)) return true
  const binary = binaryWordBytes(vr) !== undefined
  const { inlineBytesMax = INLINE_BYTES_MAX, valueBytesMax = VALUE_BYTES_MAX } = scope.options
  const max = binary ? inlineBytesMax : valueBytesMax
  return element.length > max || (binary && element.dataOffset + element.length > scope.bytes.length)
}

/** Base64 of the value in little endian byte order, whatever order the file has. */
function inlineBinary(vr: string, value: Buffer, littleEndian: boolean): string {
  const wordBytes = littleEndian ? 1 : (binaryWordBytes(vr) as number)
  if (wordBytes === 1 || value.length % wordBytes !== 0) return value.toString('base64')
  const swapped = Buffer.from(value)
  if (wordBytes === 2) swapped.swap16()
  else if (wordBytes === 4) swapped.swap32()
  else swapped.swap64()
  return swapped.toString('base64')
}

function sequence(tag: Tag, element: ParsedElement, scope: Scope): JsonAttribute {
  if (scope.depth > DEPTH_MAX) return { vr: 'SQ' }
  const items = itemsOf(element, scope)
  // What should be a sequence but isn't one is kept as the bytes it is.
  if (items === undefined) return plain(tag, 'UN', element, scope)
  if (items.length === 0) return { vr: 'SQ' }
  const value = items.map((item, index) =>
    item.dataSet ? convert(item.dataSet, innerScope(item.dataSet, scope, itemPath(scope, tag, index + 1))) : {},
  )
  return { vr: 'SQ', Value: value }
}

function itemPath(scope: Scope, tag: Tag, number: number): string {
  return `${scope.path}${tag}.${number}.`
}

/** The parser's items, or those of a value that came as UN (PS3.5 6.2.2: implicit inside); undefined if it has none. */
function itemsOf(element: ParsedElement, { bytes }: Scope): ParsedElement['items'] {
  if (element.items) return element.items
  if (element.length === 0) return []
  if (hasOpenEnd(element) || element.dataOffset + element.length > bytes.length) return undefined
  try {
    return readItems(bytes, element.dataOffset, element.dataOffset + element.length, 'implicit')
  } catch {
    return undefined
  }
}

/** Where a bulk value's bytes are. */
export interface BulkDataRange {
  tag: Tag
  vr: string
  /** Of the value's first byte in the parsed byte array: the file, or the inflated data set of a deflated one. */
  offset: number
  /** Bytes; undefined where the parser left the end open (encapsulated pixel data, see `locateFrames`). */
  length: number | undefined
  /** Fragments in items (PS3.5 A.4), not the plain value. */
  encapsulated: boolean
  /** More than 1: bulk data is little endian, so the bytes of each word of this size have to be reversed. */
  swapBytes: number
}

/** Resolves a path that `toDicomJson` gave to `bulkDataUri`; undefined when the data set has no such element. */
export function bulkDataRange(dataSet: ParsedDataSet, path: string): BulkDataRange | undefined {
  const parts = path.split('.')
  if (parts.length > 2 * DEPTH_MAX + 1) return undefined
  let scope = rootScope(dataSet, {})
  let current = dataSet
  for (let i = 0; i + 2 < parts.length; i += 2) {
    const element = elementAt(current, parts[i])
    const item = element && itemsOf(element, scope)?.[Number(parts[i + 1]) - 1]?.dataSet
    if (!item) return undefined
    scope = innerScope(item, scope, '')
    current = item
  }
  const element = parts.length % 2 === 1 ? elementAt(current, parts.at(-1)) : undefined
  return element && rangeOf(element, scope)
}

function elementAt(dataSet: ParsedDataSet, tag = ''): ParsedElement | undefined {
  const key = keyOf(tag)
  return Object.hasOwn(dataSet.elements, key) ? dataSet.elements[key] : undefined
}

function rangeOf(element: ParsedElement, scope: Scope): BulkDataRange {
  const tag = element.tag.slice(1).toUpperCase()
  const vr = effectiveVr(scope.bytes, element, tag, scope.signed)
  const wordBytes = binaryWordBytes(vr) ?? 1
  return {
    tag,
    vr: vr === 'SQ' ? 'UN' : vr,
    offset: element.dataOffset,
    length: hasOpenEnd(element) ? undefined : element.length,
    encapsulated: element.hadUndefinedLength === true && PIXEL_DATA.has(tag),
    swapBytes: scope.littleEndian ? 1 : wordBytes,
  }
}

/**
 * JSON text with the attributes in ascending order (PS3.18 F.2.1.1.2) also where `JSON.stringify` would put them elsewhere:
 * JavaScript moves keys that look like array indices, such as `30060002`, to the front.
 */
export function stringifyDicomJson(json: DicomJson): string {
  const members = Object.keys(json)
    .sort()
    .map((tag) => `"${tag}":${stringifyAttribute(json[tag] as JsonAttribute)}`)
  return `{${members.join(',')}}`
}

function stringifyAttribute(attribute: JsonAttribute): string {
  const { vr, Value } = attribute
  // Most attributes are one text or number; serialising that alone is three times as fast.
  const only = Value?.length === 1 ? Value[0] : undefined
  if (typeof only === 'string' || typeof only === 'number') return `{"vr":"${vr}","Value":[${JSON.stringify(only)}]}`
  if (attribute.vr !== 'SQ' || !attribute.Value) return JSON.stringify(attribute)
  const items = attribute.Value.map((item) => stringifyDicomJson((item ?? {}) as DicomJson))
  return `{"vr":"SQ","Value":[${items.join(',')}]}`
}
