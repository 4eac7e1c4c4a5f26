import type { Knex } from 'knex'
import type { NewPack } from '../ports.ts'

/** Records a pack and points its instances into it, in one transaction. See CataloguePacks.addPack. */
export function addPack(knex: Knex, pack: NewPack): Promise<number> {
  return knex.transaction(async (trx) => {
    const id = await packId(trx, pack)
    await trx('pack_copies')
      .where({ pack: id })
      .whereIn('store', [...(pack.notIn ?? [])])
      .del()
    for (const { store, verifiedAt } of pack.copies) {
      await trx('pack_copies')
        .insert({ pack: id, store, verified_at: verifiedAt })
        .onConflict(['pack', 'store'])
        .merge(['verified_at'])
    }
    const places = JSON.stringify(
      pack.instances.map(({ sopInstanceUid, sha256, offset }) => [sopInstanceUid, sha256, offset]),
    )
    for (const table of ['instances', 'conflicts']) await trx.raw(pointing(trx, table), [id, places])
    return id
  })
}

async function packId(trx: Knex.Transaction, { key, ...pack }: NewPack): Promise<number> {
  const known = await trx('packs').where({ key }).first('id')
  if (known) return known.id
  const [inserted] = await trx('packs')
    .insert({
      study_uid: pack.studyUid,
      key,
      sha256: pack.sha256,
      size_bytes: pack.sizeBytes,
      instance_count: pack.instances.length,
      payload_bytes: pack.instances.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
      sealed_at: pack.sealedAt,
      volume: pack.volume ?? 'default',
    })
    .returning('id')
  return inserted.id
}

/** One statement for all instances of a pack: a thousand of them would keep everybody else's commits waiting. */
function pointing(trx: Knex.Transaction, table: string): string {
  const isPg = trx.client.config.client === 'pg'
  const [uid, sha256, offset, rows] = isPg
    ? ['j.value->>0', 'j.value->>1', '(j.value->>2)::bigint', 'json_array_elements(?::json) AS j(value)']
    : ["j.value->>'$[0]'", "j.value->>'$[1]'", "j.value->>'$[2]'", 'json_each(?) AS j']
  return (
    `UPDATE ${table} SET pack = ?, pack_offset = ${offset} FROM ${rows} ` +
    `WHERE ${table}.uid = ${uid} AND ${table}.sha256 = ${sha256} AND ${table}.pack IS NULL`
  )
}

/** Synced, with all that was committed before: the segment's file is removed because of it. */
export async function retireSegment(knex: Knex, id: number): Promise<void> {
  await durably(knex, async (trx) => {
    for (const table of ['instances', 'conflicts']) {
      const where = { segment: id }
      if (await trx(table).where(where).whereNull('pack').first('id')) {
        throw new Error(`segment ${id} holds instances that are in no pack`)
      }
      await trx(table).where(where).update({ segment: 0, segment_offset: 0 })
    }
    await trx('segments').where({ id }).update({ state: 'retired' })
  })
}

/** Other commits need no sync, because the landing holds what they say; this one speaks of what it will not hold. */
export async function durably(knex: Knex, work: (trx: Knex.Transaction) => Promise<void>): Promise<void> {
  if (knex.client.config.client === 'pg') {
    await knex.transaction(async (trx) => {
      await trx.raw('SET LOCAL synchronous_commit = on')
      await work(trx)
    })
    return
  }
  // There is one connection, and what others commit meanwhile is only synced too.
  await knex.raw('PRAGMA synchronous = FULL')
  try {
    await knex.transaction(work)
  } finally {
    await knex.raw('PRAGMA synchronous = NORMAL')
  }
}

export async function dropCopy(knex: Knex, { pack, store }: { pack: number; store: string }): Promise<void> {
  await durably(knex, async (trx) => {
    await trx('pack_copies').where({ pack, store }).del()
  })
}

export async function segmentRemoved(knex: Knex, id: number): Promise<void> {
  await knex('segments').where({ id }).update({ state: 'removed' })
}
