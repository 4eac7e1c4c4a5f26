import type { Knex } from 'knex'
import { showOrHide } from '../overlay/visibility.ts'
import type { ProjectedEvent, Projection } from './projection.ts'

const ROWS_PER_INSERT = 200

/** Which instances are rejected, by which rejection, and which rejections were taken back; and so what is hidden. */
export const rejections: Projection = {
  kinds: ['instances.rejected', 'instances.restored'],
  tables: ['rejected_instances', 'restorations', 'rejections'],
  async apply(trx, event) {
    if (event.kind === 'instances.rejected') await rejected(trx, event)
    else if (event.kind === 'instances.restored') await restored(trx, event)
  },
}

type Rejected = ProjectedEvent & { kind: 'instances.rejected' }
type Restored = ProjectedEvent & { kind: 'instances.restored' }

async function rejected(trx: Knex.Transaction, event: Rejected): Promise<void> {
  const { study = '', rejection = '' } = event.subject
  const { code, reason, note = '', instances } = event.data
  const row = { id: rejection, study_uid: study, code, reason, note_uid: note, ...madeBy(event) }
  await trx('rejections').insert(row).onConflict('id').ignore()
  const rows = [...instances.map((uid) => [uid, false] as const), ...(note === '' ? [] : [[note, true] as const])].map(
    ([instance_uid, is_note]) => ({ instance_uid, rejection, study_uid: study, code, is_note }),
  )
  for (let at = 0; at < rows.length; at += ROWS_PER_INSERT) {
    await trx('rejected_instances')
      .insert(rows.slice(at, at + ROWS_PER_INSERT))
      .onConflict(['instance_uid', 'rejection'])
      .ignore()
  }
  await showOrHide(
    trx,
    rows.map(({ instance_uid }) => instance_uid),
    event.at,
  )
}

async function restored(trx: Knex.Transaction, event: Restored): Promise<void> {
  const { rejection = '' } = event.subject
  const { reason, instances = [''] } = event.data
  const made = { reason, ...madeBy(event) }
  for (const instance_uid of instances) {
    await trx('restorations')
      .insert({ rejection, instance_uid, ...made })
      .onConflict(['rejection', 'instance_uid'])
      .ignore()
  }
  const all = trx('rejected_instances').where({ rejection })
  if (event.data.instances) all.whereIn('instance_uid', instances)
  await showOrHide(trx, await all.orderBy('instance_uid').pluck('instance_uid'), event.at)
}

export function madeBy({ site, seq, actor, at }: ProjectedEvent) {
  return { site, seq, by: actor.name, role: actor.role, address: actor.from, at }
}
