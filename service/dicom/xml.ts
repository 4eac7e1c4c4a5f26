import { isPrivate, keywordOf } from './dictionary.ts'
import type { DicomJson, JsonAttribute, JsonPersonName, JsonValue, Tag } from './types.ts'

const GROUPS = ['Alphabetic', 'Ideographic', 'Phonetic'] as const
const COMPONENTS = ['FamilyName', 'GivenName', 'MiddleName', 'NamePrefix', 'NameSuffix'] as const

/**
 * One data set in the Native DICOM Model (PS3.19 A.1), for `application/dicom+xml`. UTF-8, without line breaks. Characters that
 * XML 1.0 can't hold (controls, lone surrogates) become U+FFFD.
 */
export function toNativeXml(json: DicomJson): string {
  const content = attributes(json)
  return (
    '<?xml version="1.0" encoding="UTF-8"?>' +
    `<NativeDicomModel xmlns="http://dicom.nema.org/PS3.19/models/NativeDICOM" xml:space="preserve">${content}</NativeDicomModel>`
  )
}

function attributes(json: DicomJson): string {
  return Object.keys(json)
    .sort()
    .map((tag) => attribute(tag, json[tag] as JsonAttribute, json))
    .join('')
}

function attribute(tag: Tag, value: JsonAttribute, dataSet: DicomJson): string {
  const keyword = keywordOf(tag)
  const creator = isPrivate(tag) ? privateCreator(tag, dataSet) : undefined
  const names =
    (keyword === undefined ? '' : ` keyword="${escapeXml(keyword)}"`) +
    (creator === undefined ? '' : ` privateCreator="${escapeXml(creator)}"`)
  return `<DicomAttribute tag="${tag}" vr="${escapeXml(value.vr)}"${names}>${content(value)}</DicomAttribute>`
}

/** The name in (gggg,00bb) of the block bb that a private element (gggg,bbee) is in (PS3.5 7.8.1). */
function privateCreator(tag: Tag, dataSet: DicomJson): string | undefined {
  const creator = dataSet[`${tag.slice(0, 4)}00${tag.slice(4, 6)}`]?.Value?.[0]
  return typeof creator === 'string' ? creator : undefined
}

function content({ vr, Value: values = [], InlineBinary: inline, BulkDataURI: uri }: JsonAttribute): string {
  if (inline !== undefined) return `<InlineBinary>${escapeXml(inline)}</InlineBinary>`
  if (uri !== undefined) return `<BulkData uri="${escapeXml(uri)}"/>`
  return values.map((value, index) => member(vr, value, index + 1)).join('')
}

function member(vr: string, value: JsonValue, number: number): string {
  if (vr === 'SQ') return `<Item number="${number}">${attributes((value ?? {}) as DicomJson)}</Item>`
  if (vr === 'PN') return `<PersonName number="${number}">${personName((value ?? {}) as JsonPersonName)}</PersonName>`
  return `<Value number="${number}">${value === null || typeof value === 'object' ? '' : escapeXml(String(value))}</Value>`
}

function personName(name: JsonPersonName): string {
  return GROUPS.map((group) => {
    const text = name[group]
    return text === undefined ? '' : `<${group}>${components(text)}</${group}>`
  }).join('')
}

/** PS3.5 6.2.1.1: five components; what would be a sixth stays with the fifth, so that nothing is lost. */
function components(group: string): string {
  const parts = group.split('^')
  const five = [...parts.slice(0, 4), parts.slice(4).join('^')]
  return COMPONENTS.map((name, index) => {
    const part = five[index]
    return part ? `<${name}>${escapeXml(part)}</${name}>` : ''
  }).join('')
}

const ENTITIES: Readonly<Record<string, string>> = {
  '&': '&amp;',
  '<': '&lt;',
  '>': '&gt;',
  '"': '&quot;',
  '\t': '&#9;',
  '\n': '&#10;',
  '\r': '&#13;',
}

/** Everything that may be special in XML 1.0, or not allowed there; `\p{Cs}` are surrogates without their other half. */
const SPECIAL = /[&<>"\ufffe\uffff]|\p{Cc}|\p{Cs}/gu

function escapeXml(text: string): string {
  return text.replace(SPECIAL, (character) => ENTITIES[character] ?? (isC1(character) ? character : '\ufffd'))
}

/** DEL and the second block of controls, which XML 1.0 allows. */
function isC1(character: string): boolean {
  const code = character.charCodeAt(0)
  return code >= 0x7f && code <= 0x9f
}
