import type { Knex } from 'knex'

/** Stands where a digest would, before the disposition's name. */
export const DESTROYED = 'destroyed '

/** Of these SOP Instance UIDs, those that were destroyed, whatever their bytes: nothing destroyed comes back. */
export async function destroyedAmong(knex: Knex, uids: readonly string[]): Promise<[uid: string, mark: string][]> {
  const rows: { uid: string; disposition: string }[] = await knex('tombstones')
    .whereIn('uid', [...uids])
    .select('uid', 'disposition')
  return rows.map(({ uid, disposition }) => [uid, DESTROYED + disposition])
}

/** By the very bytes, as `UID SHA-256`: what came with other bytes before anybody knew was acknowledged, and is kept. */
export async function destroyedCopies(
  knex: Knex,
  copies: readonly { uid: string; sha256: string }[],
): Promise<ReadonlySet<string>> {
  const rows: { uid: string; sha256: string }[] = await knex('tombstones')
    .whereIn(
      'uid',
      copies.map(({ uid }) => uid),
    )
    .select('uid', 'sha256')
  return new Set(rows.map(({ uid, sha256 }) => `${uid} ${sha256}`))
}
