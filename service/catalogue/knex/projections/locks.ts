import type { Knex } from 'knex'
import type { ProjectedEvent, Projection } from './projection.ts'

/** What changes until when a study is kept, or whether it is held, makes its packs' locks due. After `holds`, whose tables it reads. */
export const locks: Projection = {
  kinds: ['retention.decided', 'hold.placed', 'hold.expanded', 'hold.agreed', 'hold.released'],
  tables: [],
  async apply(trx, { kind, subject }: ProjectedEvent) {
    if (kind === 'retention.decided') return due(trx, [subject.study ?? ''])
    if (subject.hold === undefined) return
    const targets = (of: 'study' | 'patient') =>
      trx('hold_targets').where({ hold: subject.hold, kind: of }).select('target')
    const patients = trx('patients').whereIn('identity', targets('patient')).select('id')
    await due(trx, targets('study'))
    await due(trx, trx('studies').whereIn('patient', patients).select('uid'))
  },
}

async function due(trx: Knex.Transaction, studies: readonly string[] | Knex.QueryBuilder): Promise<void> {
  const packs = trx('packs')
    .whereIn('study_uid', studies as Knex.QueryBuilder)
    .select('id')
  await trx('pack_copies').whereIn('pack', packs).update({ lock_due: '' })
}
