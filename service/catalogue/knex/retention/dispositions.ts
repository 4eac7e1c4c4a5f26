import type { Knex } from 'knex'
import type { StepRecord } from '../../../retention/fold.ts'
import type { InstanceRecord } from '../../ports.ts'
import type { DoomedInstance, Page, StoredDisposition, Tombstone } from '../../retention-ports.ts'
import { conflictingCopies, servedCopies } from '../instances.ts'
import { type CopyRow, toRecord } from '../rows.ts'

const PAGE_ROWS = 1000

interface Row {
  id: string
  study_uid: string
}

async function withSteps(knex: Knex, rows: readonly Row[]): Promise<StoredDisposition[]> {
  const ids = rows.map(({ id }) => id)
  const steps: { disposition: string; body: string }[] = await knex('disposition_steps').whereIn('disposition', ids)
  return rows.map(({ id, study_uid }) => ({
    id,
    studyUid: study_uid,
    records: steps
      .filter(({ disposition }) => disposition === id)
      .map(({ body }) => JSON.parse(body) as StepRecord)
      .sort((a, b) => (a.site < b.site ? -1 : a.site > b.site ? 1 : a.seq - b.seq)),
  }))
}

export async function disposition(knex: Knex, id: string): Promise<StoredDisposition | undefined> {
  const [found] = await withSteps(knex, await knex('dispositions').where({ id }))
  return found
}

export async function dispositions(
  knex: Knex,
  { state, studyUid }: { state?: string | undefined; studyUid?: string | undefined },
  { after = '', limit }: Page,
): Promise<StoredDisposition[]> {
  const page = knex('dispositions').where('id', '>', after).orderBy('id').limit(limit)
  if (state !== undefined) page.where({ state })
  if (studyUid !== undefined) page.where({ study_uid: studyUid })
  return withSteps(knex, await page)
}

export async function* doomed(knex: Knex, disposition: string): AsyncGenerator<DoomedInstance> {
  for (let last: { uid: string; sha256: string } | undefined; ; ) {
    const page = knex('disposition_instances').where({ disposition }).orderBy(['uid', 'sha256']).limit(PAGE_ROWS)
    if (last) page.whereRaw('(uid, sha256) > (?, ?)', [last.uid, last.sha256])
    const rows: { uid: string; sha256: string; size_bytes: number }[] = await page
    for (const { uid, sha256, size_bytes } of rows) yield { sopInstanceUid: uid, sha256, sizeBytes: size_bytes }
    if (rows.length < PAGE_ROWS) return
    last = rows.at(-1)
  }
}

interface TombstoneRow {
  uid: string
  sha256: string
  study_uid: string
  disposition: string
}

const toTombstone = ({ uid, sha256, study_uid, disposition }: TombstoneRow): Tombstone => ({
  sopInstanceUid: uid,
  sha256,
  studyUid: study_uid,
  disposition,
})

export async function tombstone(knex: Knex, sopInstanceUid: string): Promise<Tombstone | undefined> {
  const row: TombstoneRow | undefined = await knex('tombstones').where({ uid: sopInstanceUid }).first()
  return row && toTombstone(row)
}

/** Of one study, found by the dispositions on it. */
export async function tombstones(knex: Knex, studyUid: string, limit: number): Promise<Tombstone[]> {
  const ids = (await knex('dispositions').where({ study_uid: studyUid }).select('id')).map(({ id }) => id)
  const named: { uid: string; sha256: string }[] = await knex('disposition_instances')
    .whereIn('disposition', ids)
    .limit(limit)
  const rows: TombstoneRow[] = []
  for (const { uid, sha256 } of named) {
    const row = await knex('tombstones').where({ uid, sha256 }).first()
    if (row) rows.push(row)
  }
  return rows.map(toTombstone)
}

export async function copies(knex: Knex, studyUid: string): Promise<InstanceRecord[]> {
  const served: CopyRow[] = await servedCopies(knex).where('studies.uid', studyUid)
  const others: CopyRow[] = await conflictingCopies(knex).where('conflicts.study_uid', studyUid)
  return [...served, ...others].map(toRecord)
}
