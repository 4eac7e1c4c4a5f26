import type { Knex } from 'knex'
import { recount } from '../overlay/visibility.ts'
import { durably } from '../pack-writes.ts'

/**
 * Takes what a committed disposition names out of the catalogue, as the last of its bytes are gone: instances, then what
 * they leave empty. Instances that came to the study since stay. What is deleted is overwritten where the database can do
 * that: attributes name patients.
 */
export async function forgetDoomed(knex: Knex, disposition: string): Promise<void> {
  const isPg = knex.client.config.client === 'pg'
  const found = await knex('dispositions').where({ id: disposition }).first('study_uid')
  if (!found) return
  const studyUid: string = found.study_uid
  if (!isPg) await knex.raw('PRAGMA secure_delete = ON')
  await durably(knex, async (trx) => {
    await removeInstances(trx, disposition, studyUid)
    const study = await trx('studies').where({ uid: studyUid }).first('id', 'patient')
    const { rows: packs } = { rows: await emptyPacks(trx, studyUid) }
    await trx('pack_copies').whereIn('pack', packs).del()
    await trx('packs').whereIn('id', packs).del()
    if (!study) return
    const emptied: number[] = await trx('series')
      .where({ study: study.id })
      .whereNotExists(trx('instances').select('id').whereRaw('instances.series = series.id'))
      .pluck('id')
    await trx('series_originals').whereIn('id', emptied).del()
    await trx('series').whereIn('id', emptied).del()
    if (await trx('series').where({ study: study.id }).first('id')) return recountBytes(trx, study.id)
    await trx('retention_evaluated').where({ study_uid: studyUid }).del()
    await trx('study_originals').where({ id: study.id }).del()
    await trx('studies').where({ id: study.id }).del()
    // Corrections of a study that is gone say nothing any more, but that there were some.
    await trx('corrections').where({ study_uid: studyUid }).update({ attributes: '{}', reason: '' })
    if (await trx('studies').where({ patient: study.patient }).first('id')) return
    await trx('patient_originals').where({ id: study.patient }).del()
    await trx('patients').where({ id: study.patient }).del()
  })
  if (!isPg) await knex.raw('PRAGMA wal_checkpoint(TRUNCATE)')
}

async function removeInstances(trx: Knex.Transaction, disposition: string, studyUid: string): Promise<void> {
  for (const table of ['instances', 'conflicts']) {
    await trx(table)
      .whereIn('uid', trx('disposition_instances').where({ disposition }).select('uid'))
      .whereExists(
        trx('tombstones')
          .select('uid')
          .where({ 'tombstones.study_uid': studyUid })
          .whereRaw('tombstones.uid = ?? AND tombstones.sha256 = ??', [`${table}.uid`, `${table}.sha256`]),
      )
      .del()
  }
}

async function emptyPacks(trx: Knex.Transaction, studyUid: string): Promise<number[]> {
  const rows: { id: number }[] = await trx('packs')
    .where({ study_uid: studyUid })
    .whereNotExists(trx('instances').select('id').whereRaw('instances.pack = packs.id'))
    .whereNotExists(trx('conflicts').select('id').whereRaw('conflicts.pack = packs.id'))
    .select('id')
  return rows.map(({ id }) => id)
}

/** Something came after the commit. Bytes count everything that is kept, the other figures only what is shown. */
async function recountBytes(trx: Knex.Transaction, study: number): Promise<void> {
  const series: number[] = await trx('series').where({ study }).pluck('id')
  let all = 0
  for (const id of series) {
    const [sums] = await trx('instances').where({ series: id }).sum({ bytes: 'size_bytes' })
    const bytes = Number(sums?.bytes ?? 0)
    await trx('series').where({ id }).update({ bytes })
    all += bytes
  }
  await trx('studies').where({ id: study }).update({ bytes: all })
  await recount(trx, study)
}
