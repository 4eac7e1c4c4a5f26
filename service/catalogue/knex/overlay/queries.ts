import type { Knex } from 'knex'
import { type Laid, NOTHING_LAID } from '../../../corrections/overlay.ts'
import type {
  CorrectedStudy,
  CorrectionEntry,
  Made,
  PatientKey,
  RejectedInstance,
  RejectionEntry,
} from '../../../corrections/ports.ts'
import type { DicomJson } from '../../../dicom/types.ts'
import { patientIdentity, patientRow } from '../rows.ts'
import { activeRejections } from './visibility.ts'

/** Nobody rejects or corrects one study more often; older ones are in the event log. */
const ENTRIES_MAX = 1000

interface MadeRow {
  by: string
  role: string
  address: string
  at: string
  site: string
  seq: number
}

const madeOf = ({ by, role, address, at, site, seq }: MadeRow): Made => ({
  by,
  role,
  address,
  at,
  site,
  seq: Number(seq),
})

export async function rejections(knex: Knex, studyUid: string): Promise<RejectionEntry[]> {
  const count = (rows: Knex.QueryBuilder): Knex.QueryBuilder => rows.where('is_note', false).count('*')
  const named = count(knex('rejected_instances').whereRaw('rejection = rejections.id'))
  const left = count(knex.from(activeRejections(knex).as('a')).whereRaw('rejection = rejections.id'))
  const rows = await knex('rejections')
    .where({ study_uid: studyUid })
    .select('*', named.as('named'), left.as('left'))
    .orderBy([
      { column: 'at', order: 'desc' },
      { column: 'id', order: 'desc' },
    ])
    .limit(ENTRIES_MAX)
  return rows.map((row) => ({
    id: row.id,
    studyUid: row.study_uid,
    code: row.code,
    reason: row.reason,
    noteUid: row.note_uid === '' ? null : row.note_uid,
    instances: Number(row.named),
    restored: Number(row.named) - Number(row.left),
    ...madeOf(row),
  }))
}

export async function rejectionsOf(knex: Knex, sopInstanceUid: string): Promise<RejectedInstance[]> {
  const rows: { rejection: string; study_uid: string; code: string }[] = await activeRejections(knex).where(
    'r.instance_uid',
    sopInstanceUid,
  )
  return rows.map(({ rejection, study_uid, code }) => ({ rejection, studyUid: study_uid, code }))
}

interface CorrectionRow extends MadeRow {
  id: string
  kind: CorrectionEntry['type']
  study_uid: string
  series_uid: string
  patient_id: string
  issuer: string
  to_patient_id: string
  to_issuer: string
  attributes: string | null
  reason: string
}

function entries(knex: Knex): Knex.QueryBuilder {
  return knex('corrections').orderBy([
    { column: 'place', order: 'desc' },
    { column: 'site', order: 'desc' },
    { column: 'seq', order: 'desc' },
  ])
}

async function toEntries(knex: Knex, rows: readonly CorrectionRow[]): Promise<CorrectionEntry[]> {
  const ids = rows.map(({ id }) => id)
  const withdrawn: (MadeRow & { correction: string; reason: string })[] = []
  for (let at = 0; at < ids.length; at += 500) {
    withdrawn.push(...(await knex('withdrawals').whereIn('correction', ids.slice(at, at + 500))))
  }
  const byId = new Map(withdrawn.map((row) => [row.correction, { ...madeOf(row), reason: row.reason }]))
  const key = (patientId: string, issuer: string): PatientKey | null =>
    patientId === '' ? null : { patientId, issuer }
  return rows.map((row) => ({
    id: row.id,
    type: row.kind,
    studyUid: row.study_uid === '' ? null : row.study_uid,
    seriesUid: row.series_uid === '' ? null : row.series_uid,
    patient: key(row.patient_id, row.issuer),
    to: key(row.to_patient_id, row.to_issuer),
    attributes: row.attributes === null ? null : (JSON.parse(row.attributes) as DicomJson),
    reason: row.reason,
    ...madeOf(row),
    withdrawn: byId.get(row.id) ?? null,
  }))
}

export async function correction(knex: Knex, id: string): Promise<CorrectionEntry | undefined> {
  return (await toEntries(knex, await knex('corrections').where({ id })))[0]
}

export async function correctionsOfPatient(knex: Knex, key: PatientKey): Promise<CorrectionEntry[]> {
  const rows = await entries(knex)
    .where({ patient_id: key.patientId, issuer: key.issuer })
    .orWhere({ to_patient_id: key.patientId, to_issuer: key.issuer })
    .limit(ENTRIES_MAX)
  return toEntries(knex, rows)
}

export async function correctionsOfStudy(knex: Knex, studyUid: string): Promise<CorrectionEntry[]> {
  const found = new Map<string, CorrectionRow>()
  const own: CorrectionRow[] = await entries(knex).where({ study_uid: studyUid }).limit(ENTRIES_MAX)
  for (const row of own) found.set(row.id, row)
  for (const key of await patientsOf(knex, studyUid)) {
    const rows: CorrectionRow[] = await entries(knex)
      .where({ patient_id: key.patient_id, issuer: key.issuer })
      .limit(ENTRIES_MAX)
    for (const row of rows) found.set(row.id, row)
  }
  const list = await toEntries(knex, [...found.values()])
  return list.sort((a, b) => (a.at < b.at ? 1 : a.at > b.at ? -1 : b.seq - a.seq))
}

/** Whom the study belongs to, as shown and as stored. */
async function patientsOf(knex: Knex, studyUid: string): Promise<{ patient_id: string; issuer: string }[]> {
  const study = await knex('studies').where({ uid: studyUid }).first('id', 'patient_id', 'issuer')
  if (!study) return []
  const before = await knex('study_originals').where({ id: study.id }).first('attributes')
  const stored = before ? [patientRow('', JSON.parse(before.attributes))] : []
  const keys = [study, ...stored].filter(({ patient_id }) => patient_id !== '')
  return [...new Map(keys.map((key) => [patientIdentity(key, ''), key])).values()]
}

export async function corrected(knex: Knex, studyUid: string): Promise<CorrectedStudy | undefined> {
  const study = await knex('studies').where({ uid: studyUid }).first('id', 'revision')
  // Most studies were never corrected, and need no further question.
  if (!study || study.revision === 0) return undefined
  const own = await knex('study_originals').where({ id: study.id }).first('laid')
  const rows: { uid: string; laid: string }[] = await knex('series_originals')
    .join('series', 'series.id', 'series_originals.id')
    .where('series.study', study.id)
    .select('series.uid', 'series_originals.laid')
  if (!own && rows.length === 0) return undefined
  return {
    laid: own ? (JSON.parse(own.laid) as Laid) : NOTHING_LAID,
    series: new Map(rows.map(({ uid, laid }) => [uid, JSON.parse(laid) as Laid])),
  }
}

export async function nextPlace(knex: Knex): Promise<number> {
  const row = await knex('corrections').max({ place: 'place' }).first()
  return Number(row?.place ?? 0) + 1
}

export async function patient(knex: Knex, key: PatientKey): Promise<DicomJson | undefined> {
  const identity = patientIdentity({ patient_id: key.patientId, issuer: key.issuer }, '')
  const row = await knex('patients').where({ identity }).first('id', 'attributes')
  if (!row) return undefined
  const before = await knex('patient_originals').where({ id: row.id }).first('attributes')
  return JSON.parse(before?.attributes ?? row.attributes) as DicomJson
}

export async function knowsStudy(knex: Knex, studyUid: string, seriesUid?: string): Promise<boolean> {
  const study = await knex('studies').where({ uid: studyUid }).first('id')
  if (!study || seriesUid === undefined) return study !== undefined
  return (await knex('series').where({ study: study.id, uid: seriesUid }).first('id')) !== undefined
}

export async function patientOf(knex: Knex, studyUid: string): Promise<PatientKey | undefined> {
  const study = await knex('studies').where({ uid: studyUid }).first('patient_id', 'issuer')
  return study && study.patient_id !== '' ? { patientId: study.patient_id, issuer: study.issuer } : undefined
}

export async function missingRecords(knex: Knex, limit: number): Promise<string[]> {
  return knex('corrections').whereNull('attributes').distinct('record').orderBy('record').limit(limit).pluck('record')
}
