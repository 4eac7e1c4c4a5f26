import { ArchiveError } from '../errors.ts'
import { encodeNumbers } from './encode-numbers.ts'
import type { DicomJson, JsonAttribute, JsonPersonName, JsonValue, Tag } from './types.ts'
import { binaryWordBytes, hasLongLength, isKnownVr, numberBytes } from './value-representations.ts'

type Syntax = 'implicit' | 'explicit'

const SPECIFIC_CHARACTER_SET = '00080005'
const UNICODE: JsonAttribute = { vr: 'CS', Value: ['ISO_IR 192'] }

/** The longest value that a 16-bit length can say, even as it has to be. */
const SHORT_VALUE_BYTES_MAX = 0xfffe

/**
 * Encodes a data set, little endian, in ascending tag order, sequences and items with defined lengths. When any text isn't
 * ASCII all of it is UTF-8 and Specific Character Set says so. Group 0002 and group lengths are left out; BulkDataURIs
 * become empty values.
 *
 * @throws ArchiveError `invalid_request` for a value that its VR can't hold, naming the tag
 */
export function encodeDataSet(json: DicomJson, syntax: Syntax): Buffer {
  return encodeItem(hasUnicode(json) ? { ...json, [SPECIFIC_CHARACTER_SET]: UNICODE } : json, syntax, true)
}

/** Items follow the data set's character set and need not repeat it. */
function encodeItem(json: DicomJson, syntax: Syntax, root = false): Buffer {
  const parts: Buffer[] = []
  for (const tag of Object.keys(json).sort()) {
    if (!/^[0-9A-F]{8}$/.test(tag)) throw new ArchiveError('invalid_request', `not a tag: ${tag.slice(0, 20)}`)
    if (tag.endsWith('0000') || tag.startsWith('0002') || (tag === SPECIFIC_CHARACTER_SET && !root)) continue
    encodeElement(parts, tag, json[tag] as JsonAttribute, syntax)
  }
  return Buffer.concat(parts)
}

function encodeElement(parts: Buffer[], tag: Tag, attribute: JsonAttribute, syntax: Syntax): void {
  const value = encodeValue(tag, attribute, syntax)
  const tooLong = !hasLongLength(attribute.vr) && value.length > SHORT_VALUE_BYTES_MAX
  // PS3.5 6.2.2: what a 16-bit length can't say goes as UN.
  const vr = tooLong || !isKnownVr(attribute.vr) ? 'UN' : attribute.vr
  parts.push(syntax === 'implicit' ? implicitHeader(tag, value.length) : explicitHeader(tag, vr, value.length), value)
}

function writeTag(header: Buffer, tag: Tag): void {
  header.writeUInt16LE(Number.parseInt(tag.slice(0, 4), 16), 0)
  header.writeUInt16LE(Number.parseInt(tag.slice(4), 16), 2)
}

function implicitHeader(tag: Tag, length: number): Buffer {
  const header = Buffer.alloc(8)
  writeTag(header, tag)
  header.writeUInt32LE(length, 4)
  return header
}

/** The header of an explicit element (PS3.5 7.1.2). */
export function explicitHeader(tag: Tag, vr: string, length: number): Buffer {
  const header = Buffer.alloc(hasLongLength(vr) ? 12 : 8)
  writeTag(header, tag)
  header.write(vr, 4, 2, 'latin1')
  if (hasLongLength(vr)) header.writeUInt32LE(length, 8)
  else header.writeUInt16LE(length, 6)
  return header
}

function encodeValue(tag: Tag, attribute: JsonAttribute, syntax: Syntax): Buffer {
  const { vr, Value: values = [], InlineBinary: inline } = attribute
  if (inline !== undefined) return padded(Buffer.from(inline, 'base64'), 0)
  if (vr === 'SQ') return encodeSequence(values, syntax)
  if (binaryWordBytes(vr) !== undefined) return Buffer.alloc(0)
  if (numberBytes(vr) !== undefined) return encodeNumbers(tag, vr, values)
  const text = values.map((value) => textOf(vr, value)).join('\\')
  return padded(Buffer.from(text, 'utf8'), vr === 'UI' ? 0 : 0x20)
}

function padded(value: Buffer, padding: number): Buffer {
  return value.length % 2 === 0 ? value : Buffer.concat([value, Buffer.of(padding)])
}

function encodeSequence(items: readonly JsonValue[], syntax: Syntax): Buffer {
  const parts: Buffer[] = []
  for (const item of items) {
    const content = encodeItem((item ?? {}) as DicomJson, syntax)
    parts.push(implicitHeader('FFFEE000', content.length), content)
  }
  return Buffer.concat(parts)
}

function textOf(vr: string, value: JsonValue): string {
  if (value === null) return ''
  if (vr === 'PN' && typeof value === 'object') return nameOf(value as JsonPersonName)
  if (vr === 'DS' && typeof value === 'number') return decimalString(value)
  return typeof value === 'object' ? '' : String(value)
}

function nameOf({ Alphabetic = '', Ideographic = '', Phonetic = '' }: JsonPersonName): string {
  return `${Alphabetic}=${Ideographic}=${Phonetic}`.replace(/=+$/, '')
}

const DECIMAL_STRING_LENGTH_MAX = 16

/** PS3.5 6.2: at most 16 characters, so as many digits as fit. */
function decimalString(number: number): string {
  const shortest = String(number)
  if (shortest.length <= DECIMAL_STRING_LENGTH_MAX) return shortest
  for (let digits = 17; digits > 1; digits--) {
    const rounded = withoutLeadingZero(String(Number(number.toPrecision(digits))))
    if (rounded.length <= DECIMAL_STRING_LENGTH_MAX) return rounded
  }
  return number.toPrecision(1)
}

/** `0.5` is also `.5`, which leaves room for another digit. */
function withoutLeadingZero(text: string): string {
  return text.replace(/^(-?)0\./, '$1.')
}

function hasUnicode(json: DicomJson): boolean {
  return Object.values(json).some(({ vr, Value: values }) =>
    values?.some((value) => (vr === 'SQ' ? hasUnicode((value ?? {}) as DicomJson) : !isAscii(textOf(vr, value)))),
  )
}

function isAscii(text: string): boolean {
  for (let i = 0; i < text.length; i++) {
    if (text.charCodeAt(i) >= 0x80) return false
  }
  return true
}
