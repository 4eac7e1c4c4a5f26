import type { Knex } from 'knex'
import { foldDisposition, type StepRecord } from '../../../retention/fold.ts'
import type { Projection } from './projection.ts'

/** Dispositions, and the tombstones of what they have destroyed. */
export const dispositions: Projection = {
  kinds: [
    'disposition.listed',
    'disposition.reviewed',
    'disposition.approved',
    'disposition.rejected',
    'disposition.aborted',
    'disposition.doomed',
    'disposition.committed',
    'disposition.destroyed',
    // Of those that a disposition has freed.
    'pack.freed',
  ],
  tables: ['tombstones', 'disposition_instances', 'disposition_steps', 'dispositions'],
  async apply(trx, event, site) {
    const { disposition, study } = event.subject
    if (disposition === undefined || study === undefined) return
    if (event.kind === 'disposition.doomed') return doomed(trx, disposition, event.data.instances)
    const record: StepRecord = {
      ...{ kind: event.kind, site, seq: event.seq, by: event.actor.name, at: event.at },
      data: event.data as Record<string, unknown>,
    }
    await trx('disposition_steps')
      .insert({ disposition, site, seq: event.seq, body: JSON.stringify(record) })
      .onConflict(['disposition', 'site', 'seq'])
      .ignore()
    if (event.kind === 'pack.freed') return
    if (event.kind === 'disposition.committed') await bury(trx, disposition, study)
    const rows: { body: string }[] = await trx('disposition_steps').where({ disposition }).select('body')
    const records = rows.map(({ body }) => JSON.parse(body) as StepRecord)
    const state = foldDisposition(disposition, study, records)?.disposition.state ?? 'unknown'
    await trx('dispositions').insert({ id: disposition, study_uid: study, state }).onConflict('id').merge(['state'])
  },
}

async function doomed(
  trx: Knex.Transaction,
  disposition: string,
  instances: readonly (readonly [string, string, number])[],
) {
  const rows = instances.map(([uid, sha256, size_bytes]) => ({ disposition, uid, sha256, size_bytes }))
  for (let at = 0; at < rows.length; at += 200) {
    await trx('disposition_instances')
      .insert(rows.slice(at, at + 200))
      .onConflict(['disposition', 'uid', 'sha256'])
      .ignore()
  }
}

async function bury(trx: Knex.Transaction, disposition: string, study: string) {
  await trx.raw(
    'INSERT INTO tombstones (uid, sha256, study_uid, disposition) ' +
      'SELECT uid, sha256, ?, disposition FROM disposition_instances WHERE disposition = ? ON CONFLICT DO NOTHING',
    [study, disposition],
  )
}
