import type { Knex } from 'knex'
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
    await trx('series')
      .where({ study: study.id })
      .whereNotExists(trx('instances').select('id').whereRaw('instances.series = series.id'))
      .del()
    if (await trx('series').where({ study: study.id }).first('id')) return recount(trx, study.id)
    await trx('retention_evaluated').where({ study_uid: studyUid }).del()
    await trx('studies').where({ id: study.id }).del()
    const others = await trx('studies').where({ patient: study.patient }).first('id')
    if (!others) await trx('patients').where({ id: study.patient }).del()
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

/** Something came after the commit. */
async function recount(trx: Knex.Transaction, study: number): Promise<void> {
  const series: { id: number; modality: string }[] = await trx('series').where({ study }).select('id', 'modality')
  let instances = 0
  let bytes = 0
  for (const { id } of series) {
    const [sums] = await trx('instances').where({ series: id }).count({ n: '*' }).sum({ bytes: 'size_bytes' })
    const counts = { instance_count: Number(sums?.n ?? 0), bytes: Number(sums?.bytes ?? 0) }
    await trx('series').where({ id }).update(counts)
    instances += counts.instance_count
    bytes += counts.bytes
  }
  const modalities = [...new Set(series.map(({ modality }) => modality))].filter((name) => name !== '').sort()
  await trx('studies')
    .where({ id: study })
    .update({
      series_count: series.length,
      instance_count: instances,
      bytes,
      modalities: modalities.length === 0 ? '' : `\\${modalities.join('\\')}\\`,
    })
}
