import { bytesOf, type ParsedDataSet } from '../dicom/data-set.ts'
import { vrOf } from '../dicom/dictionary.ts'
import { encodeDataSet, explicitHeader } from '../dicom/encode.ts'
import type { Header } from '../dicom/part10.ts'
import type { DicomJson, JsonAttribute, JsonPersonName, JsonValue, Tag } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'

export type Syntax = 'implicit' | 'explicit'

/** How text is written into a file that has a character set already. */
export interface Charset {
  encoding: 'ascii' | 'latin1' | 'utf8'
  /** Specific Character Set to be declared, where there was none and now one is needed. */
  added?: JsonAttribute
}

const TEXT_VRS = new Set(['SH', 'LO', 'ST', 'LT', 'UC', 'UT', 'PN'])
/** The default repertoire, Latin 1, and Unicode (PS3.3 C.12.1.1.2): in these Firn writes. */
const DEFAULT = new Set(['', 'ISO_IR 6'])

/**
 * In which character set the new values are written: the file's own, and UTF-8 where the file declares none and all its
 * text is ASCII. Throws ArchiveError `not_acceptable` where they can't be.
 */
export function charsetFor(header: Header, values: readonly JsonAttribute[]): Charset {
  const text = values.map(allText).join('')
  const isAscii = !/[^\0-\x7f]/.test(text)
  const declared = declaredSet(header.dataSet)
  if (declared === 'ISO_IR 192') return { encoding: 'utf8' }
  if (isAscii) return { encoding: 'ascii' }
  if (declared === 'ISO_IR 100' && !/[^\0-\xff]/.test(text)) return { encoding: 'latin1' }
  if (DEFAULT.has(declared) && hasOnlyAscii(header.dataSet)) {
    return { encoding: 'utf8', added: { vr: 'CS', Value: ['ISO_IR 192'] } }
  }
  throw new ArchiveError(
    'not_acceptable',
    `no corrected version of this instance can be made: its character set (${declared || 'none'}) lacks what is to be written`,
  )
}

function declaredSet(dataSet: ParsedDataSet): string {
  const element = dataSet.elements.x00080005
  if (!element) return ''
  const { dataOffset, length } = element
  return bytesOf(dataSet)
    .toString('latin1', dataOffset, dataOffset + length)
    .replace(/[\0 ]+$/, '')
    .trim()
}

/** Whether UTF-8 may be declared for text that is there already. */
function hasOnlyAscii(dataSet: ParsedDataSet): boolean {
  const bytes = bytesOf(dataSet)
  return Object.entries(dataSet.elements).every(([key, element]) => {
    const vr = vrOf(key.slice(1).toUpperCase()) ?? element.vr ?? 'UN'
    if (element.items) return element.items.every((item) => !item.dataSet || hasOnlyAscii(item.dataSet))
    if (vr === 'SQ') return element.length === 0
    if (!TEXT_VRS.has(vr)) return true
    return bytes.subarray(element.dataOffset, element.dataOffset + element.length).every((byte) => byte < 0x80)
  })
}

function allText({ vr, Value: values = [] }: JsonAttribute): string {
  return values
    .map((value) =>
      vr === 'SQ'
        ? Object.values((value ?? {}) as DicomJson)
            .map(allText)
            .join('')
        : textOf(value),
    )
    .join('\\')
}

function textOf(value: JsonValue): string {
  if (value === null || typeof value !== 'object') return String(value ?? '')
  const { Alphabetic = '', Ideographic = '', Phonetic = '' } = value as JsonPersonName
  return `${Alphabetic}=${Ideographic}=${Phonetic}`.replace(/=+$/, '')
}

/** One element, little endian. */
export function encodeElement(tag: Tag, attribute: JsonAttribute, syntax: Syntax, charset: Charset): Buffer {
  const text = allText(attribute)
  // What is ASCII is the same in every character set that is written here.
  if (charset.encoding === 'ascii' || !/[^\0-\x7f]/.test(text)) return encodeDataSet({ [tag]: attribute }, syntax)
  if (attribute.vr === 'SQ') return inUtf8(tag, attribute, syntax, charset)
  const value = Buffer.from(text, charset.encoding)
  const padded = value.length % 2 === 0 ? value : Buffer.concat([value, Buffer.from(' ')])
  return Buffer.concat([elementHeader(tag, attribute.vr, padded.length, syntax), padded])
}

function inUtf8(tag: Tag, attribute: JsonAttribute, syntax: Syntax, { encoding }: Charset): Buffer {
  if (encoding !== 'utf8') {
    throw new ArchiveError('not_acceptable', 'a sequence is not written in another character set than Unicode')
  }
  const both = encodeDataSet({ [tag]: attribute }, syntax)
  // The encoder declares the character set in front; here the file does so.
  return both.subarray(encodeDataSet({ '00080005': { vr: 'CS', Value: ['ISO_IR 192'] } }, syntax).length)
}

function elementHeader(tag: Tag, vr: string, length: number, syntax: Syntax): Buffer {
  if (syntax === 'explicit') return explicitHeader(tag, vr, length)
  const header = Buffer.alloc(8)
  header.writeUInt16LE(Number.parseInt(tag.slice(0, 4), 16), 0)
  header.writeUInt16LE(Number.parseInt(tag.slice(4), 16), 2)
  header.writeUInt32LE(length, 4)
  return header
}
