import type { Knex } from 'knex'
import type { Alarm, StoreDay } from '../tier-ports.ts'

/** Everything about tiers that is written: plain data, because it crosses threads. */
export type TierChange =
  | { kind: 'next_looks'; looks: readonly { pack: number; day: string }[] }
  | { kind: 'look_again'; from: number; to: number }
  | { kind: 'look_again_study'; studyUid: string }
  | { kind: 'used'; packs: readonly number[]; day: string }
  | { kind: 'days'; days: readonly StoreDay[]; forgetBefore: string }
  | { kind: 'leave'; pack: number; store: string }
  | { kind: 'left'; pack: number; store: string }
  | { kind: 'raise'; alarm: Alarm }
  | { kind: 'clear'; subject: string; alarm: string }

const IDS_PER_STATEMENT = 500

export async function changeTiers(knex: Knex, change: TierChange): Promise<void> {
  await knex.transaction((trx) => apply(trx, change))
}

async function apply(trx: Knex.Transaction, change: TierChange): Promise<void> {
  switch (change.kind) {
    case 'next_looks':
      for (const { pack, day } of change.looks) await trx('packs').where({ id: pack }).update({ next_look: day })
      return
    case 'look_again':
      await trx('packs')
        .where('id', '>=', change.from)
        .where('id', '<=', change.to)
        .whereNot('next_look', '')
        .update({ next_look: '' })
      return
    case 'look_again_study':
      await trx('packs').where({ study_uid: change.studyUid }).update({ next_look: '' })
      return
    case 'used':
      for (let at = 0; at < change.packs.length; at += IDS_PER_STATEMENT) {
        await trx('packs')
          .whereIn('id', change.packs.slice(at, at + IDS_PER_STATEMENT))
          .where('last_used', '<', change.day)
          .update({ last_used: change.day })
      }
      return
    case 'days':
      for (const { day, store, bytes, bytesTotal, bytesFree } of change.days) {
        await trx('store_days')
          .insert({ day, store, bytes, bytes_total: bytesTotal, bytes_free: bytesFree })
          .onConflict(['day', 'store'])
          .merge()
      }
      await trx('store_days').where('day', '<', change.forgetBefore).del()
      return
    case 'leave':
      await trx('leftovers').insert({ pack: change.pack, store: change.store }).onConflict(['pack', 'store']).ignore()
      return
    case 'left':
      await trx('leftovers').where({ pack: change.pack, store: change.store }).del()
      return
    case 'raise':
      await trx('alarms').insert(change.alarm).onConflict(['subject', 'alarm']).merge(['detail'])
      return
    case 'clear':
      await trx('alarms').where({ subject: change.subject, alarm: change.alarm }).del()
  }
}
