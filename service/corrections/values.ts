import { keywordOf, parseAttributeId, vrOf } from '../dicom/dictionary.ts'
import type { DicomJson, JsonAttribute, JsonPersonName, Tag } from '../dicom/types.ts'
import { ArchiveError } from '../errors.ts'
import type { Attributes } from './ports.ts'

/**
 * What may be corrected at each level. Identifiers of instances can't: the archive is about them. Patient ID and its issuer
 * are corrected by merging or moving, which says whether it is the same person.
 */
export const CORRECTABLE: Readonly<Record<'patient' | 'study' | 'series', ReadonlySet<Tag>>> = {
  patient: new Set([
    '00100010', // PatientName
    '00100030', // PatientBirthDate
    '00100032', // PatientBirthTime
    '00100040', // PatientSex
    '00104000', // PatientComments
  ]),
  study: new Set([
    '00080020', // StudyDate
    '00080030', // StudyTime
    '00080050', // AccessionNumber
    '00080080', // InstitutionName
    '00080090', // ReferringPhysicianName
    '00081030', // StudyDescription
    '00200010', // StudyID
  ]),
  series: new Set([
    '0008103E', // SeriesDescription
    '00081050', // PerformingPhysicianName
    '00081070', // OperatorsName
    '00180015', // BodyPartExamined
    '00181030', // ProtocolName
    '00200011', // SeriesNumber
    '00200060', // Laterality
  ]),
}

/** Lengths and characters of PS3.5 6.2; what isn't listed isn't correctable. */
const FORMS: Readonly<Record<string, RegExp>> = {
  CS: /^[A-Z0-9 _]{0,16}$/,
  DA: /^(\d{4}(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01]))?$/,
  IS: /^([+-]?\d{1,9})?$/,
  LO: /^[^\\\p{Cc}]{0,64}$/u,
  LT: /^[^\p{Cc}]{0,10240}$/u,
  PN: /^[^\\\p{Cc}]{0,194}$/u,
  SH: /^[^\\\p{Cc}]{0,16}$/u,
  TM: /^(([01]\d|2[0-3])([0-5]\d([0-5]\d([.]\d{1,6})?)?)?)?$/,
}
const GROUP_CHARS_MAX = 64

/** DICOM JSON of attributes given by keyword or tag; null or empty text empties one. Throws ArchiveError `invalid_request`. */
export function correctedValues(level: keyof typeof CORRECTABLE, attributes: Attributes): DicomJson {
  const entries = Object.entries(attributes).map(([name, value]): [Tag, JsonAttribute] => {
    const tag = parseAttributeId(name)?.[0]
    if (tag === undefined || !CORRECTABLE[level].has(tag)) {
      const those = [...CORRECTABLE[level]].map((one) => keywordOf(one)).join(', ')
      throw new ArchiveError('invalid_request', `${name.slice(0, 64)} of a ${level} can't be corrected: only ${those}`)
    }
    return [tag, attributeOf(tag, name, (value ?? '').trim())]
  })
  if (entries.length === 0) throw new ArchiveError('invalid_request', 'no attributes are given')
  return Object.fromEntries(entries)
}

function attributeOf(tag: Tag, name: string, value: string): JsonAttribute {
  const vr = vrOf(tag) ?? 'UN'
  if (!FORMS[vr]?.test(value)) throw new ArchiveError('invalid_request', `the value of ${name} is no ${vr}`)
  if (value === '') return { vr }
  if (vr === 'PN') return { vr, Value: [nameOf(name, value)] }
  return { vr, Value: [vr === 'IS' ? Number(value) : value] }
}

function nameOf(attribute: string, value: string): JsonPersonName {
  const groups = value.split('=')
  if (groups.length > 3 || groups.some((group) => group.length > GROUP_CHARS_MAX)) {
    throw new ArchiveError('invalid_request', `the value of ${attribute} is no PN`)
  }
  const [Alphabetic = '', Ideographic = '', Phonetic = ''] = groups
  return {
    ...(Alphabetic === '' ? {} : { Alphabetic }),
    ...(Ideographic === '' ? {} : { Ideographic }),
    ...(Phonetic === '' ? {} : { Phonetic }),
  }
}
