import { searchForm, searchForms } from '../../dicom/charset.ts'
import { integerOf, textOf } from '../../dicom/describe.ts'
import type { DicomJson, JsonPersonName, Tag } from '../../dicom/types.ts'
import { type InstanceRecord, isPacked, type Location, type NewInstance } from '../ports.ts'
import { dateForm, timeForm } from './temporal.ts'

/** Long texts are no keys; an index entry must stay below what PostgreSQL takes. */
const KEY_CHARS_MAX = 256

/** Text as a column holds it: PostgreSQL has no NUL, and blanks around a value never count (PS3.5 6.2). */
function plain(json: DicomJson, tag: Tag): string {
  return (textOf(json, tag) ?? '').replaceAll('\0', '').trim().slice(0, KEY_CHARS_MAX)
}

/** Text for case- and accent-insensitive search. */
function folded(json: DicomJson, tag: Tag): string {
  return searchForm(plain(json, tag))
}

function personName(json: DicomJson, tag: Tag): Required<JsonPersonName> {
  const value = json[tag]?.Value?.[0]
  const { Alphabetic, Ideographic, Phonetic } = searchForms(
    typeof value === 'object' ? ((value ?? {}) as JsonPersonName) : {},
  )
  // Trailing empty components don't count (PS3.5 6.2.1.1).
  const clean = (text: string): string => text.replaceAll('\0', '').slice(0, KEY_CHARS_MAX).replace(/\^+$/, '')
  return { Alphabetic: clean(Alphabetic), Ideographic: clean(Ideographic), Phonetic: clean(Phonetic) }
}

function nameColumns(json: DicomJson) {
  const name = personName(json, '00100010')
  return { name_alphabetic: name.Alphabetic, name_ideographic: name.Ideographic, name_phonetic: name.Phonetic }
}

function patientColumns(json: DicomJson) {
  return {
    patient_id: plain(json, '00100020'),
    issuer: plain(json, '00100021'),
    ...nameColumns(json),
    birth_date: dateForm(plain(json, '00100030')),
    sex: plain(json, '00100040'),
  }
}

const isPatientTag = (tag: Tag): boolean => tag.startsWith('0010') || tag === '00080005'

export function patientRow(studyUid: string, json: DicomJson) {
  const columns = patientColumns(json)
  const own = Object.fromEntries(Object.entries(json).filter(([tag]) => isPatientTag(tag)))
  return { identity: patientIdentity(columns, studyUid), ...columns, attributes: JSON.stringify(own) }
}

/** A study without patient ID is a patient of its own. */
export function patientIdentity(key: { patient_id: string; issuer: string }, studyUid: string): string {
  return key.patient_id === '' ? `study ${studyUid}` : `id ${key.issuer}\\${key.patient_id}`
}

/** Whatever is looked for or shown of a study beside its counts. */
export function studyColumns(json: DicomJson) {
  return {
    ...patientColumns(json),
    study_date: dateForm(plain(json, '00080020')),
    study_time: timeForm(plain(json, '00080030')),
    accession: plain(json, '00080050'),
    study_id: plain(json, '00200010'),
    description: folded(json, '00081030'),
    referring: personName(json, '00080090').Alphabetic,
    institution: folded(json, '00080080'),
    attributes: JSON.stringify(json),
  }
}

function studyRow(instance: NewInstance, json: DicomJson) {
  return {
    uid: instance.studyUid,
    ...studyColumns(json),
    series_count: 0,
    instance_count: 0,
    bytes: 0,
    first_received: instance.receivedAt,
    last_received: instance.receivedAt,
  }
}

export function seriesColumns(json: DicomJson) {
  return {
    modality: plain(json, '00080060'),
    series_number: integerOf(json, '00200011') ?? null,
    description: folded(json, '0008103E'),
    body_part: plain(json, '00180015'),
    station: folded(json, '00081010'),
    pps_start_date: dateForm(plain(json, '00400244')),
    pps_start_time: timeForm(plain(json, '00400245')),
    scheduled_step_ids: requestIds(json, '00400009'),
    requested_procedure_ids: requestIds(json, '00401001'),
    attributes: JSON.stringify(json),
  }
}

function seriesRow(instance: NewInstance, json: DicomJson) {
  return { uid: instance.seriesUid, ...seriesColumns(json), instance_count: 0, bytes: 0 }
}

function requestIds(json: DicomJson, tag: Tag): string {
  const items = (json['00400275']?.Value ?? []) as DicomJson[]
  const ids = items.map((item) => plain(item, tag)).filter((id) => id !== '')
  return ids.length === 0 ? '' : `\\${ids.join('\\')}\\`
}

/** Segment 0 stands for none. */
function placeOf(location: Location) {
  const landed = isPacked(location) ? location.landed : location
  const packed = isPacked(location) ? location : undefined
  return {
    segment: landed?.segment ?? 0,
    segment_offset: landed?.offset ?? 0,
    pack: packed?.pack ?? null,
    pack_offset: packed?.offset ?? null,
  }
}

function locationOf({ segment, segment_offset, pack, pack_offset }: CopyRow): Location {
  const landed = { segment, offset: segment_offset }
  if (pack == null || pack_offset == null) return landed
  return { pack, offset: pack_offset, ...(segment === 0 ? {} : { landed }) }
}

function copyRow(instance: NewInstance) {
  return {
    uid: instance.sopInstanceUid,
    sha256: instance.sha256,
    digest_prefix: digestPrefix(instance.sha256),
    sop_class: instance.sopClassUid,
    transfer_syntax: instance.transferSyntaxUid,
    size_bytes: instance.sizeBytes,
    data_set_offset: instance.dataSetOffset,
    received: instance.receivedAt,
    ...placeOf(instance.location),
  }
}

/** The rows that an instance becomes, without the numbers that the database gives. Plain data: it crosses threads. */
export interface InstanceRows {
  studyUid: string
  seriesUid: string
  source: { protocol: string; name: string; address: string }
  copy: ReturnType<typeof copyRow>
  instance: { instance_number: number | null; number_of_frames: number | null; position: number; attributes: string }
  owed: boolean
  servedThere: boolean
  /** Needed only where study or series are new. */
  upper?: {
    patient: ReturnType<typeof patientRow>
    study: ReturnType<typeof studyRow>
    series: ReturnType<typeof seriesRow>
  }
}

export function instanceRows(instance: NewInstance, withUpper: boolean): InstanceRows {
  const rows: InstanceRows = {
    studyUid: instance.studyUid,
    seriesUid: instance.seriesUid,
    source: { ...instance.source },
    copy: copyRow(instance),
    instance: {
      instance_number: instance.instanceNumber,
      number_of_frames: instance.numberOfFrames,
      position: instance.instanceNumber ?? Number.MIN_SAFE_INTEGER,
      attributes: JSON.stringify(instance.attributes.instance),
    },
    owed: instance.owed ?? false,
    servedThere: instance.servedThere ?? false,
  }
  if (!withUpper) return rows
  const study = instance.attributes.study()
  const upper = {
    patient: patientRow(instance.studyUid, study),
    study: studyRow(instance, study),
    series: seriesRow(instance, instance.attributes.series()),
  }
  return { ...rows, upper }
}

/** The digest's first 31 bits, which fit a signed 32-bit column. */
export function digestPrefix(sha256: string): number {
  return Number.parseInt(sha256.slice(0, 8), 16) >>> 1
}

/** A stored copy joined with its source, and with study and series where it is a served one. */
export interface CopyRow {
  id: number
  uid: string
  study_uid: string
  series_uid: string
  sha256: string
  sop_class: string
  transfer_syntax: string
  size_bytes: number
  data_set_offset: number
  received: string
  segment: number
  segment_offset: number
  pack: number | null
  pack_offset: number | null
  protocol: InstanceRecord['source']['protocol']
  source_name: string
  source_address: string
  instance_number?: number | null
  number_of_frames?: number | null
}

export function toRecord(row: CopyRow): InstanceRecord {
  return {
    studyUid: row.study_uid,
    seriesUid: row.series_uid,
    sopInstanceUid: row.uid,
    sopClassUid: row.sop_class,
    sha256: row.sha256,
    sizeBytes: row.size_bytes,
    dataSetOffset: row.data_set_offset,
    transferSyntaxUid: row.transfer_syntax,
    instanceNumber: row.instance_number ?? null,
    numberOfFrames: row.number_of_frames ?? null,
    receivedAt: row.received,
    source: { protocol: row.protocol, name: row.source_name, address: row.source_address },
    location: locationOf(row),
  }
}
