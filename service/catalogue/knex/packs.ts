import type { Knex } from 'knex'
import type { InstanceRecord, Pack } from '../ports.ts'
import { conflictingCopies, servedCopies } from './instances.ts'
import { type CopyRow, digestPrefix, toRecord } from './rows.ts'

const DIGESTS_PER_QUERY = 500

export interface PackRow {
  id: number
  study_uid: string
  key: string
  sha256: string
  size_bytes: number
  instance_count: number
  payload_bytes: number
  sealed_at: string
  volume: string
}

/** See CataloguePacks.unsealedStudies. Goes from one study to the next by the index, however many instances each has. */
export async function* unsealedStudies(knex: Knex, lastReceivedBefore: string): AsyncGenerator<string> {
  for (let after = 0; ; ) {
    const next = await knex('instances').whereNull('pack').where('study', '>', after).min({ study: 'study' }).first()
    if (next?.study == null) break
    after = next.study
    const study = await knex('studies')
      .where({ id: after })
      .where('last_received', '<', lastReceivedBefore)
      .first('uid', 'last_received')
    if (study) yield study.uid
  }
  // Copies that are not served may claim a study of their own.
  for (let after = ''; ; ) {
    const next = await knex('conflicts')
      .whereNull('pack')
      .where('study_uid', '>', after)
      .min({ uid: 'study_uid' })
      .first()
    if (next?.uid == null) return
    after = next.uid
    const young = await knex('conflicts')
      .whereNull('pack')
      .where({ study_uid: after })
      .where('received', '>=', lastReceivedBefore)
      .first('id')
    const unserved = await knex('instances')
      .join('studies', 'studies.id', 'instances.study')
      .where('studies.uid', after)
      .whereNull('instances.pack')
      .first('instances.id')
    if (!young && !unserved) yield after
  }
}

export async function unsealedCopies(knex: Knex, studyUid: string): Promise<InstanceRecord[]> {
  const served: CopyRow[] = await servedCopies(knex).where('studies.uid', studyUid).whereNull('instances.pack')
  const others: CopyRow[] = await conflictingCopies(knex)
    .where('conflicts.study_uid', studyUid)
    .whereNull('conflicts.pack')
  return [...served, ...others].map(toRecord)
}

export async function packs(
  knex: Knex,
  { after = 0, limit, studyUid }: { after?: number; limit: number; studyUid?: string },
): Promise<Pack[]> {
  const page = knex('packs').where('id', '>', after).orderBy('id').limit(limit)
  if (studyUid !== undefined) page.where({ study_uid: studyUid })
  return withCopies(knex, await page)
}

export async function pack(knex: Knex, which: { id: number } | { key: string }): Promise<Pack | undefined> {
  const [found] = await withCopies(knex, await knex('packs').where(which))
  return found
}

export async function withCopies(knex: Knex, rows: readonly PackRow[]): Promise<Pack[]> {
  const ids = rows.map(({ id }) => id)
  const copies = await knex('pack_copies').whereIn('pack', ids).orderBy('store')
  return rows.map((row) => ({
    id: row.id,
    studyUid: row.study_uid,
    key: row.key,
    sha256: row.sha256,
    sizeBytes: row.size_bytes,
    instanceCount: row.instance_count,
    payloadBytes: row.payload_bytes,
    sealedAt: row.sealed_at,
    volume: row.volume,
    copies: copies
      .filter(({ pack }) => pack === row.id)
      .map(({ store, verified_at }) => ({ store, verifiedAt: verified_at })),
  }))
}

export async function packsIn(
  knex: Knex,
  store: string,
  { after = 0, limit }: { after?: number; limit: number },
): Promise<Pack[]> {
  const held = knex('pack_copies').where({ store }).where('pack', '>', after).orderBy('pack').limit(limit)
  const ids = (await held.select('pack')).map(({ pack }) => pack)
  return withCopies(knex, await knex('packs').whereIn('id', ids).orderBy('id'))
}

/** In the order of the keys' bytes, as stores list them. */
export async function packsByKey(knex: Knex, afterKey: string, limit: number): Promise<Pack[]> {
  const key = knex.client.config.client === 'pg' ? 'key COLLATE "C"' : 'key'
  const rows = await knex('packs').whereRaw(`${key} > ?`, [afterKey]).orderByRaw(key).limit(limit)
  return withCopies(knex, rows)
}

export async function packsById(knex: Knex, ids: readonly number[]): Promise<Map<number, Pack>> {
  const found = await withCopies(knex, await knex('packs').whereIn('id', [...ids]))
  return new Map(found.map((pack) => [pack.id, pack]))
}

export async function packsToCheck(
  knex: Knex,
  verifiedBefore: string,
  limit: number,
): Promise<{ pack: Pack; store: string }[]> {
  const old: { pack: number; store: string }[] = await knex('pack_copies')
    .where('verified_at', '<', verifiedBefore)
    .orderBy('verified_at')
    .limit(limit)
    .select('pack', 'store')
  const byId = await packsById(
    knex,
    old.map(({ pack }) => pack),
  )
  return old.map(({ pack, store }) => ({ pack: byId.get(pack) as Pack, store }))
}

export async function packsWithFewer(
  knex: Knex,
  copies: number,
  { after, limit }: { after: number; limit: number },
): Promise<Pack[]> {
  const rows: PackRow[] = await knex('packs')
    .where('id', '>', after)
    .whereRaw('(SELECT count(*) FROM pack_copies WHERE pack_copies.pack = packs.id) < ?', [copies])
    .orderBy('id')
    .limit(limit)
  return withCopies(knex, rows)
}

const DRAINING = 'draining '

export async function drainingStores(knex: Knex): Promise<ReadonlySet<string>> {
  const rows: { key: string }[] = await knex('meta').where('key', 'like', `${DRAINING}%`).where({ value: 'yes' })
  return new Set(rows.map(({ key }) => key.slice(DRAINING.length)))
}

export const drainingKey = (store: string): string => DRAINING + store

export async function packsOf(knex: Knex, digests: readonly string[]): Promise<Map<string, number>> {
  const found = new Map<string, number>()
  for (let at = 0; at < digests.length; at += DIGESTS_PER_QUERY) {
    const some = digests.slice(at, at + DIGESTS_PER_QUERY)
    for (const table of ['instances', 'conflicts']) {
      const rows = await knex(table)
        .whereIn('digest_prefix', some.map(digestPrefix))
        .whereIn('sha256', some)
        .whereNotNull('pack')
        .select('sha256', 'pack')
      for (const row of rows) found.set(row.sha256, row.pack)
    }
  }
  return found
}

export async function retirableSegments(knex: Knex, packedBefore: string): Promise<number[]> {
  const rows: { id: number }[] = await knex('segments').where({ state: 'complete' }).orderBy('id').select('id')
  const retirable: number[] = []
  for (const { id } of rows) {
    const inLanding = (table: string) => knex(table).where({ segment: id }).whereNull('pack').first('id')
    if ((await inLanding('instances')) || (await inLanding('conflicts'))) continue
    const young = await knex('instances')
      .join('packs', 'packs.id', 'instances.pack')
      .where('instances.segment', id)
      .where('packs.sealed_at', '>=', packedBefore)
      .first('instances.id')
    if (!young) retirable.push(id)
  }
  return retirable
}
