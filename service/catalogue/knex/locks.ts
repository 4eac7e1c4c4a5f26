import type { Knex } from 'knex'
import type { CopyLock, LockedCopy } from '../lock-ports.ts'
import type { Pack } from '../ports.ts'
import { packsById } from './packs.ts'

interface LockRow {
  pack: number
  lock_mode: CopyLock['mode'] | null
  lock_until: string | null
  legal_hold: boolean | number | null
}

export interface LockNote {
  pack: number
  store: string
  lock?: CopyLock
  due: string
}

/** See CatalogueLocks. */
export async function locksDue(knex: Knex, store: string, by: string, limit: number): Promise<LockedCopy[]> {
  const rows: LockRow[] = await knex('pack_copies')
    .where({ store })
    .where('lock_due', '<=', by)
    .orderBy('lock_due')
    .limit(limit)
    .select('pack', 'lock_mode', 'lock_until', 'legal_hold')
  const found = await packsById(
    knex,
    rows.map(({ pack }) => pack),
  )
  return rows.map((row) => ({ pack: found.get(row.pack) as Pack, lock: toLock(row) }))
}

export async function lockOf(knex: Knex, pack: number, store: string): Promise<CopyLock | undefined> {
  const row: LockRow | undefined = await knex('pack_copies')
    .where({ pack, store })
    .first('pack', 'lock_mode', 'lock_until', 'legal_hold')
  return row && toLock(row)
}

function toLock({ lock_mode: mode, lock_until: until, legal_hold }: LockRow): CopyLock | undefined {
  if (mode === null) return undefined
  return { mode, ...(until !== null && { until }), legalHold: Boolean(legal_hold) }
}

export async function noteLock(knex: Knex, { pack, store, lock, due }: LockNote): Promise<void> {
  const seen = lock && { lock_mode: lock.mode, lock_until: lock.until ?? null, legal_hold: lock.legalHold }
  await knex('pack_copies')
    .where({ pack, store })
    .update({ ...seen, lock_due: due })
}

export async function studyLocksDue(knex: Knex, studyUid: string): Promise<void> {
  const held = knex('packs').where({ study_uid: studyUid }).select('id')
  await knex('pack_copies').whereIn('pack', held).update({ lock_due: '' })
}

export async function lastReceived(knex: Knex, studyUid: string): Promise<string | undefined> {
  return (await knex('studies').where({ uid: studyUid }).first('last_received'))?.last_received
}
