import type { Knex } from 'knex'
import {
  byPlace,
  type Correction,
  identityOf,
  isNothing,
  keyText,
  type Laid,
  laidOver,
  type Merge,
  type PatientKey,
  type Redirection,
  redirected,
  type StudyOverlay,
  shown,
} from '../../../corrections/overlay.ts'
import type { DicomJson } from '../../../dicom/types.ts'
import { addChanges } from '../feed.ts'
import { patientIdentity, patientRow, seriesColumns, studyColumns } from '../rows.ts'

/** Patients that lead to one another; more are a mistake, and are not followed further. */
const REACHED_MAX = 1000

interface CorrectionRow {
  id: string
  kind: string
  patient_id: string
  issuer: string
  to_patient_id: string
  to_issuer: string
  attributes: string
  place: number
  site: string
  seq: number
  at: string
}

/** Corrections that nobody has withdrawn and whose record is here. */
function active(knex: Knex, kind: string): Knex.QueryBuilder<object, CorrectionRow[]> {
  return knex('corrections')
    .leftJoin('withdrawals', 'withdrawals.correction', 'corrections.id')
    .whereNull('withdrawals.correction')
    .whereNotNull('corrections.attributes')
    .where('corrections.kind', kind)
    .select('corrections.*')
}

const toCorrection = ({ attributes, place, site, seq, at }: CorrectionRow): Correction => ({
  at,
  order: Number(place),
  site,
  seq: Number(seq),
  values: JSON.parse(attributes) as DicomJson,
})

const toRedirection = (row: CorrectionRow): Redirection => ({
  ...toCorrection(row),
  to: { patientId: row.to_patient_id, issuer: row.to_issuer },
})

const toMerge = (row: CorrectionRow): Merge => ({
  ...toRedirection(row),
  from: { patientId: row.patient_id, issuer: row.issuer },
})

const columnsOf = ({ patientId, issuer }: PatientKey) => ({ patient_id: patientId, issuer })

/** The merges that begin at this patient or can be got to from there. */
export async function mergesFrom(knex: Knex, start: PatientKey): Promise<Merge[]> {
  const merges: Merge[] = []
  for await (const key of reachable(knex, start, true)) {
    const rows = await active(knex, 'merge').where(prefixed(columnsOf(key)))
    merges.push(...rows.map(toMerge))
  }
  return merges
}

/** This patient and those to whom merges lead from there; those that were withdrawn count too unless `activeOnly`. */
export async function* reachable(knex: Knex, start: PatientKey, activeOnly = false): AsyncGenerator<PatientKey> {
  const seen = new Map([[keyText(start), start]])
  for (const key of seen.values()) {
    yield key
    const merges = activeOnly ? active(knex, 'merge') : knex('corrections').where({ kind: 'merge' })
    const rows: CorrectionRow[] = await merges.where(prefixed(columnsOf(key)))
    for (const row of rows) {
      const to = { patientId: row.to_patient_id, issuer: row.to_issuer }
      if (seen.size < REACHED_MAX) seen.set(keyText(to), to)
    }
  }
}

const prefixed = (where: Record<string, string>): Record<string, string> =>
  Object.fromEntries(Object.entries(where).map(([name, value]) => [`corrections.${name}`, value]))

interface Original {
  attributes: string
  laid: string
}

/** What the stored files say of a patient, study or series. */
async function original(knex: Knex, level: Level, id: number): Promise<Original | undefined> {
  return knex(`${level}_originals`).where({ id }).first('attributes', 'laid')
}

type Level = 'study' | 'series' | 'patient'

const keyOf = (json: DicomJson): PatientKey | undefined => {
  const { patient_id, issuer } = patientRow('', json)
  return patient_id === '' ? undefined : { patientId: patient_id, issuer }
}

async function overlayOf(trx: Knex, studyUid: string, stored: DicomJson): Promise<StudyOverlay> {
  const own = (kind: string) => active(trx, kind).where('corrections.study_uid', studyUid)
  const moves = (await own('move')).map(toRedirection)
  const study = (await own('study')).map(toCorrection)
  const from = keyOf(stored)
  const start = redirected(from, moves, []).key
  const merges = start ? await mergesFrom(trx, start) : []
  const { key } = redirected(from, moves, merges)
  return { original: from, moves, merges, patient: key ? await ofPatient(trx, key) : [], study }
}

async function ofPatient(trx: Knex, key: PatientKey): Promise<Correction[]> {
  return (await active(trx, 'patient').where(prefixed(columnsOf(key)))).map(toCorrection)
}

/** Shows a study as its corrections want it; `at` is for the change feed. */
export async function refreshStudy(trx: Knex.Transaction, id: number, at: string): Promise<void> {
  const row: { uid: string; attributes: string } = await trx('studies').where({ id }).first('uid', 'attributes')
  const before = await original(trx, 'study', id)
  const stored = JSON.parse(before?.attributes ?? row.attributes) as DicomJson
  const overlay = await overlayOf(trx, row.uid, stored)
  const laid = laidOver(overlay)
  if (!(await keepOriginal(trx, 'study', id, laid, stored, before))) return
  const columns = studyColumns(shown(stored, laid))
  // A patient of whom nothing else is known gets the attributes that came with the correction.
  const ownPatient = shown(stored, laidOver({ ...overlay, patient: [], study: [] }))
  const patient = await patientId(trx, row.uid, ownPatient)
  await trx('studies')
    .where({ id })
    .update({ ...columns, patient, revision: trx.raw('?? + 1', ['revision']) })
  await addChanges(trx, [
    { kind: 'study_corrected', at, studyUid: row.uid, seriesUid: '', sopInstanceUid: '', sha256: '' },
  ])
}

/** Remembers what was stored as long as something is laid over it. False when all of it was so before. */
async function keepOriginal(
  trx: Knex.Transaction,
  level: Level,
  id: number,
  laid: Laid,
  stored: DicomJson,
  before: Original | undefined,
): Promise<boolean> {
  const text = isNothing(laid) ? undefined : JSON.stringify(laid)
  if (text === before?.laid) return false
  const table = `${level}_originals`
  if (text === undefined) await trx(table).where({ id }).del()
  else if (before) await trx(table).where({ id }).update({ laid: text })
  else await trx(table).insert({ id, attributes: JSON.stringify(stored), laid: text })
  return true
}

async function patientId(trx: Knex.Transaction, studyUid: string, json: DicomJson): Promise<number> {
  const row = patientRow(studyUid, json)
  const known = await trx('patients').where({ identity: row.identity }).first('id')
  if (known) return known.id
  const [inserted] = await trx('patients')
    .insert({ ...row, named_only: true })
    .returning('id')
  await refreshPatient(trx, inserted.id)
  return inserted.id
}

/** Shows a patient's own attributes as its corrections want them. */
async function refreshPatient(trx: Knex.Transaction, id: number): Promise<void> {
  const row: { attributes: string; named_only: boolean | number } = await trx('patients')
    .where({ id })
    .first('attributes', 'named_only')
  const before = await original(trx, 'patient', id)
  const stored = JSON.parse(before?.attributes ?? row.attributes) as DicomJson
  const key = keyOf(stored)
  if (!key) return
  const own = (row.named_only ? await baseOf(trx, key) : undefined) ?? stored
  const patient = await ofPatient(trx, key)
  const laid = laidOver({ original: key, moves: [], merges: [], patient, study: [] })
  const { identity: _, ...columns } = patientRow('', shown(own, laid))
  await trx('patients').where({ id }).update(columns)
  await trx('patient_originals').where({ id }).del()
  if (isNothing(laid)) return
  await trx('patient_originals').insert({ id, attributes: JSON.stringify(own), laid: JSON.stringify(laid) })
}

/** What corrections say of a patient whom no file names: the greatest of them. */
async function baseOf(trx: Knex, key: PatientKey): Promise<DicomJson | undefined> {
  const to = { 'corrections.to_patient_id': key.patientId, 'corrections.to_issuer': key.issuer }
  const rows = [...(await active(trx, 'move').where(to)), ...(await active(trx, 'merge').where(to))]
  const greatest = rows.map(toRedirection).sort(byPlace).at(-1)
  return greatest && { ...greatest.values, ...identityOf(key) }
}

export async function refreshSeries(trx: Knex.Transaction, id: number, at: string): Promise<void> {
  const row: { uid: string; attributes: string; study: number } = await trx('series')
    .where({ id })
    .first('uid', 'attributes', 'study')
  const study = await trx('studies').where({ id: row.study }).first('uid')
  const before = await original(trx, 'series', id)
  const stored = JSON.parse(before?.attributes ?? row.attributes) as DicomJson
  const corrections = await active(trx, 'series').where({
    'corrections.study_uid': study.uid,
    'corrections.series_uid': row.uid,
  })
  const laid = laidOver({
    original: undefined,
    moves: [],
    merges: [],
    patient: [],
    study: corrections.map(toCorrection),
  })
  if (!(await keepOriginal(trx, 'series', id, laid, stored, before))) return
  await trx('series')
    .where({ id })
    .update(seriesColumns(shown(stored, laid)))
  await trx('studies').where({ id: row.study }).increment('revision')
  await addChanges(trx, [
    { kind: 'study_corrected', at, studyUid: study.uid, seriesUid: row.uid, sopInstanceUid: '', sha256: '' },
  ])
}

export interface Target {
  kind: string
  study_uid: string
  series_uid: string
  patient_id: string
  issuer: string
  to_patient_id: string
  to_issuer: string
}

/** Shows whatever a correction that came, or went, may have changed. */
export async function refreshTarget(trx: Knex.Transaction, target: Target, at: string): Promise<void> {
  const { kind, study_uid, series_uid, patient_id, issuer } = target
  if (kind === 'move') await refreshNamed(trx, target)
  if (kind === 'patient' || kind === 'merge') {
    for await (const key of reachable(trx, { patientId: patient_id, issuer })) await refreshAllOf(trx, key, at)
    return
  }
  const study = await trx('studies').where({ uid: study_uid }).first('id')
  if (!study) return
  if (kind !== 'series') return refreshStudy(trx, study.id, at)
  const series = await trx('series').where({ study: study.id, uid: series_uid }).first('id')
  if (series) await refreshSeries(trx, series.id, at)
}

/** Of whom nothing is known but by corrections. */
async function refreshNamed(trx: Knex.Transaction, { to_patient_id, to_issuer }: Target): Promise<void> {
  const identity = patientIdentity({ patient_id: to_patient_id, issuer: to_issuer }, '')
  const patient = await trx('patients').where({ identity, named_only: true }).first('id')
  if (patient) await refreshPatient(trx, patient.id)
}

async function refreshAllOf(trx: Knex.Transaction, key: PatientKey, at: string): Promise<void> {
  const identity = patientIdentity(columnsOf(key), '')
  const patient = await trx('patients').where({ identity }).first('id')
  if (!patient) return
  await refreshPatient(trx, patient.id)
  const studies: number[] = await trx('studies').where({ patient: patient.id }).orderBy('id').pluck('id')
  for (const study of studies) await refreshStudy(trx, study, at)
}

/** Corrections that were there before the study, or the patient of its files. */
export async function layOverNewStudy(
  trx: Knex.Transaction,
  study: { id: number; uid: string; at: string; patientId: number; patient: ReturnType<typeof patientRow> },
): Promise<void> {
  const { id, uid, at, patientId, patient } = study
  const { patient_id, issuer } = patient
  const some = trx('corrections').where({ study_uid: uid })
  if (patient_id !== '') {
    some.orWhere({ patient_id, issuer }).orWhere({ to_patient_id: patient_id, to_issuer: issuer })
  }
  if (!(await some.first('id'))) return
  // A file that names the patient tells more than what came with a correction.
  const claimed = await trx('patients')
    .where({ id: patientId, named_only: true })
    .update({ ...patient, named_only: false })
  if (claimed > 0) await trx('patient_originals').where({ id: patientId }).del()
  await refreshPatient(trx, patientId)
  await refreshStudy(trx, id, at)
}

export async function layOverNewSeries(
  trx: Knex.Transaction,
  series: { id: number; uid: string; at: string },
): Promise<void> {
  if (!(await trx('corrections').where({ series_uid: series.uid }).first('id'))) return
  await refreshSeries(trx, series.id, series.at)
}
