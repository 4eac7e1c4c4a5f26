import type { Knex } from 'knex'
import type { ClassOverride } from '../../../../retention/classify.ts'
import type { RetentionEvent } from '../../../../retention/facts.ts'
import { textOf } from '../../../dicom/describe.ts'
import type { DicomJson } from '../../../dicom/types.ts'
import type { LoadedPatient, LoadedStudy, StoredDecision } from '../../retention-ports.ts'
import { inBackslashes, toDecision, toNote } from './studies.ts'

/** SQLite takes 32,766 parameters a statement. */
const PER_QUERY = 500

/** All studies of some patients with everything that is decided from, in a few queries for all of them. */
export async function load(knex: Knex, patients: readonly string[]): Promise<LoadedPatient[]> {
  const rows = await knex('studies')
    .join('patients', 'patients.id', 'studies.patient')
    .whereIn('patients.identity', [...patients])
    .orderBy('studies.id')
    .select(
      ...['studies.id', 'studies.uid', 'studies.attributes', 'studies.modalities', 'studies.last_received'],
      'patients.identity',
    )
  const uids: string[] = rows.map(({ uid }) => uid)
  const [served, conflicts, overrides, decisions, notes] = [
    await servedOf(
      knex,
      rows.map(({ id }) => id),
    ),
    await conflictsOf(knex, uids),
    await overridesOf(knex, uids),
    await decisionsOf(knex, uids),
    await notesOf(knex, [...uids, ...patients]),
  ]
  const byPatient = new Map<string, LoadedStudy[]>()
  for (const row of rows) {
    const json = JSON.parse(row.attributes) as DicomJson
    const others = conflicts.get(row.uid) ?? []
    const copies = [...(served.get(row.id) ?? []), ...others]
    const study = {
      studyUid: row.uid,
      patient: row.identity,
      studyDate: textOf(json, '00080020'),
      birthDate: textOf(json, '00100030'),
      lastReceived: others.reduce((last, { received }) => (received > last ? received : last), row.last_received),
      version: row.last_received,
      studyDescription: textOf(json, '00081030'),
      modalities: inBackslashes(row.modalities),
      sopClassUids: [...new Set(copies.map(({ sop_class }) => sop_class))].sort(),
      sources: [...new Set(copies.map(({ source }) => source))].filter((name) => name !== '').sort(),
    }
    const about = [...(notes.get(`study ${row.uid}`) ?? []), ...(notes.get(`patient ${row.identity}`) ?? [])]
    const loaded = {
      study,
      overrides: overrides.get(row.uid) ?? [],
      notes: about.sort((a, b) => (a.id < b.id ? -1 : 1)),
      decision: decisions.get(row.uid)?.[0],
    }
    put(byPatient, row.identity, loaded)
  }
  return [...byPatient].map(([patient, studies]) => ({ patient, studies }))
}

interface Copy {
  sop_class: string
  source: string
}

async function servedOf(knex: Knex, ids: readonly number[]): Promise<Map<number, Copy[]>> {
  const found = new Map<number, Copy[]>()
  for (const some of chunks(ids)) {
    const rows = await knex('instances')
      .join('sources', 'sources.id', 'instances.source')
      .whereIn('instances.study', some)
      .distinct('instances.study', 'instances.sop_class', 'sources.name as source')
    for (const row of rows) put(found, row.study, row)
  }
  return found
}

async function conflictsOf(knex: Knex, uids: readonly string[]): Promise<Map<string, (Copy & { received: string })[]>> {
  const found = new Map<string, (Copy & { received: string })[]>()
  for (const some of chunks(uids)) {
    const rows = await knex('conflicts')
      .join('sources', 'sources.id', 'conflicts.source')
      .whereIn('conflicts.study_uid', some)
      .select('conflicts.study_uid', 'conflicts.sop_class', 'conflicts.received', 'sources.name as source')
    for (const row of rows) put(found, row.study_uid, row)
  }
  return found
}

async function overridesOf(knex: Knex, uids: readonly string[]): Promise<Map<string, ClassOverride[]>> {
  const found = new Map<string, ClassOverride[]>()
  for (const some of chunks(uids)) {
    const rows = await knex('retention_overrides').whereIn('study_uid', some).select('study_uid', 'body')
    for (const { study_uid, body } of rows) put(found, study_uid, JSON.parse(body) as ClassOverride)
  }
  return found
}

async function decisionsOf(knex: Knex, uids: readonly string[]): Promise<Map<string, StoredDecision[]>> {
  const found = new Map<string, StoredDecision[]>()
  for (const some of chunks(uids)) {
    const rows = await knex('retention_decisions').whereIn('study_uid', some)
    for (const row of rows) put(found, row.study_uid, toDecision(row))
  }
  return found
}

async function notesOf(knex: Knex, targets: readonly string[]): Promise<Map<string, RetentionEvent[]>> {
  const found = new Map<string, RetentionEvent[]>()
  for (const some of chunks(targets)) {
    const rows = await knex('retention_notes')
      .whereIn('target_kind', ['study', 'patient'])
      .whereIn('target', some)
      .select('target_kind', 'target', 'body')
    for (const { target_kind, target, body } of rows) put(found, `${target_kind} ${target}`, toNote(body))
  }
  return found
}

function put<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key)
  if (list) list.push(value)
  else map.set(key, [value])
}

function* chunks<T>(all: readonly T[]): Generator<T[]> {
  for (let at = 0; at < all.length; at += PER_QUERY) yield all.slice(at, at + PER_QUERY)
}
