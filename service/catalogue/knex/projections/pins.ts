import type { Projection } from './projection.ts'

/** Which studies stay in the fastest tier: pins that were placed, without those that were released, in whatever order. */
export const pins: Projection = {
  kinds: ['study.pinned', 'study.unpinned'],
  tables: ['pins'],
  async apply(trx, { kind, subject, data, actor, at }) {
    const { pin: id, study = '' } = subject
    if (id === undefined) return
    if (kind === 'study.pinned') {
      const row = { id, study_uid: study, reason: data.reason, by: actor.name, at }
      await trx('pins').insert(row).onConflict('id').merge(['study_uid', 'reason', 'by', 'at'])
    } else if (kind === 'study.unpinned') {
      await trx('pins').insert({ id, released: true }).onConflict('id').merge(['released'])
    }
    // Rules look at it again.
    await trx('packs').where({ study_uid: study }).update({ next_look: '' })
  },
}
