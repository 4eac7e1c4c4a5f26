import type { Tag } from '../../dicom/types.ts'
import type { QueryLevel } from '../ports.ts'

/** How an attribute is matched (PS3.4 C.2.2.2) and what its column holds. */
export type KeyKind =
  /** List of UIDs. */
  | 'uid'
  /** Identifiers and codes: single value, list or wildcard, case counts. */
  | 'code'
  /** Text: single value or wildcard, case and accents don't count. */
  | 'text'
  | 'name'
  | 'date'
  | 'time'
  | 'number'
  /** Any of several values, kept as \a\b\. */
  | 'several'
  /** Any of the study's series. */
  | 'modalities'

export interface Key {
  kind: KeyKind
  /** For names the columns of the three component groups, for others one. */
  columns: readonly string[]
}

type Keys = Readonly<Record<string, Key>>

const key = (kind: KeyKind, ...columns: string[]): Key => ({ kind, columns })

const patientKeys = (table: 'patients' | 'studies'): Keys => ({
  '00100010': key('name', `${table}.name_alphabetic`, `${table}.name_ideographic`, `${table}.name_phonetic`),
  '00100020': key('code', `${table}.patient_id`),
  '00100021': key('code', `${table}.issuer`),
  '00100030': key('date', `${table}.birth_date`),
  '00100040': key('code', `${table}.sex`),
})

const STUDY_KEYS: Keys = {
  '00080020': key('date', 'studies.study_date'),
  '00080030': key('time', 'studies.study_time'),
  '00080050': key('code', 'studies.accession'),
  '00080061': key('modalities', 'studies.id'),
  '00080080': key('text', 'studies.institution'),
  '00080090': key('name', 'studies.referring'),
  '00081030': key('text', 'studies.description'),
  '0020000D': key('uid', 'studies.uid'),
  '00200010': key('code', 'studies.study_id'),
}

const SERIES_KEYS: Keys = {
  '00080060': key('code', 'series.modality'),
  '00081010': key('text', 'series.station'),
  '0008103E': key('text', 'series.description'),
  '00180015': key('code', 'series.body_part'),
  '0020000E': key('uid', 'series.uid'),
  '00200011': key('number', 'series.series_number'),
  '00400244': key('date', 'series.pps_start_date'),
  '00400245': key('time', 'series.pps_start_time'),
  '00400275.00400009': key('several', 'series.scheduled_step_ids'),
  '00400275.00401001': key('several', 'series.requested_procedure_ids'),
}

const INSTANCE_KEYS: Keys = {
  '00080016': key('uid', 'instances.sop_class'),
  '00080018': key('uid', 'instances.uid'),
  '00200013': key('number', 'instances.instance_number'),
  '00280008': key('number', 'instances.number_of_frames'),
}

const UPPER_STUDY_KEYS: Keys = { ...patientKeys('studies'), ...STUDY_KEYS }
const UPPER_SERIES_KEYS: Keys = { ...UPPER_STUDY_KEYS, ...SERIES_KEYS }

const KEYS: Readonly<Record<QueryLevel, Keys>> = {
  patient: patientKeys('patients'),
  study: UPPER_STUDY_KEYS,
  series: UPPER_SERIES_KEYS,
  instance: { ...UPPER_SERIES_KEYS, ...INSTANCE_KEYS },
}

/** Undefined when the attribute isn't indexed at the level. */
export function keyFor(level: QueryLevel, path: readonly Tag[]): Key | undefined {
  return KEYS[level][path.join('.')]
}

/** What an answer holds at a level when nothing more is asked for (PS3.18 tables 10.6.3-3 to 10.6.3-5). */
export const RETURNED: Readonly<Record<QueryLevel, readonly Tag[]>> = {
  patient: ['00080005', '00100010', '00100020', '00100021', '00100030', '00100040'],
  study: ['00080005', '00080020', '00080030', '00080050', '00080090', '00080201', '00081030', '0020000D', '00200010'],
  series: [
    '00080005',
    '00080060',
    '00080201',
    '0008103E',
    '0020000D',
    '0020000E',
    '00200011',
    '00400244',
    '00400245',
    '00400275',
  ],
  instance: [
    '00080005',
    '00080016',
    '00080018',
    '00080201',
    '0020000D',
    '0020000E',
    '00200013',
    '00280008',
    '00280010',
    '00280011',
    '00280100',
  ],
}
