import type { Knex } from 'knex'
import type { CatalogueReplication, CopyId, InstanceRecord } from '../ports.ts'
import { conflictingCopies, servedCopies } from './instances.ts'
import { type CopyRow, digestPrefix, toRecord } from './rows.ts'
import type { Writer } from './writer.ts'

const PAGE_ROWS = 2000
/** SQLite takes 32,766 parameters a statement. */
const COPIES_PER_STATEMENT = 400

/** See CatalogueReplication. What was acknowledged before is always seen. */
export class KnexReplication implements CatalogueReplication {
  readonly #read: Knex
  readonly #writer: Writer

  constructor(read: Knex, writer: Writer) {
    this.#read = read
    this.#writer = writer
  }

  async owed(after: number, limit: number): Promise<{ id: number; copy: CopyId }[]> {
    await this.#writer.caughtUp()
    return owed(this.#read, after, limit)
  }

  async owedCount(): Promise<number> {
    await this.#writer.caughtUp()
    return owedCount(this.#read)
  }

  async isOwed(sha256: string): Promise<boolean> {
    await this.#writer.caughtUp()
    return (await this.#read('owed').where({ sha256 }).first('id')) !== undefined
  }

  owe(copies: readonly CopyId[]): Promise<void> {
    return this.#writer.owe(copies)
  }

  paid(copies: readonly CopyId[]): Promise<void> {
    return this.#writer.paid(copies)
  }

  async copy(id: CopyId): Promise<(InstanceRecord & { served: boolean }) | undefined> {
    await this.#writer.caughtUp()
    return copy(this.#read, id)
  }

  async *copiesFrom(prefix: string): AsyncGenerator<CopyId & { served: boolean }> {
    await this.#writer.caughtUp()
    yield* copiesFrom(this.#read, prefix)
  }
}

/** Copies that are owed already stay where they are in the line. */
export async function owe(knex: Knex, copies: readonly CopyId[]): Promise<void> {
  for (let at = 0; at < copies.length; at += COPIES_PER_STATEMENT) {
    const rows = copies.slice(at, at + COPIES_PER_STATEMENT)
    await knex('owed')
      .insert(rows.map(({ sopInstanceUid, sha256 }) => ({ uid: sopInstanceUid, sha256 })))
      .onConflict(['sha256', 'uid'])
      .ignore()
  }
}

export async function paid(knex: Knex, copies: readonly CopyId[]): Promise<void> {
  for (let at = 0; at < copies.length; at += COPIES_PER_STATEMENT) {
    const digests = copies.slice(at, at + COPIES_PER_STATEMENT).map(({ sha256 }) => sha256)
    await knex('owed').whereIn('sha256', digests).del()
  }
}

async function owed(knex: Knex, after: number, limit: number): Promise<{ id: number; copy: CopyId }[]> {
  const rows: { id: number; uid: string; sha256: string }[] = await knex('owed')
    .where('id', '>', after)
    .orderBy('id')
    .limit(limit)
  return rows.map(({ id, uid, sha256 }) => ({ id, copy: { sopInstanceUid: uid, sha256 } }))
}

async function owedCount(knex: Knex): Promise<number> {
  const [row] = await knex('owed').count({ n: '*' })
  return Number(row?.n ?? 0)
}

async function copy(
  knex: Knex,
  { sopInstanceUid: uid, sha256 }: CopyId,
): Promise<(InstanceRecord & { served: boolean }) | undefined> {
  const served: CopyRow | undefined = await servedCopies(knex).where('instances.uid', uid).first()
  if (served?.sha256 === sha256) return { ...toRecord(served), served: true }
  const kept: CopyRow | undefined = await conflictingCopies(knex)
    .where({ 'conflicts.uid': uid, 'conflicts.sha256': sha256 })
    .first()
  return kept && { ...toRecord(kept), served: false }
}

/** Along the index of the digests' first bits, so that a small range costs little however large the archive is. */
async function* copiesFrom(knex: Knex, prefix: string): AsyncGenerator<CopyId & { served: boolean }> {
  const first = digestPrefix(prefix.padEnd(8, '0'))
  const last = digestPrefix(prefix.padEnd(8, 'f'))
  for (const table of ['instances', 'conflicts'] as const) {
    let after = { digest_prefix: first - 1, id: Number.MAX_SAFE_INTEGER }
    for (;;) {
      const rows: { id: number; digest_prefix: number; uid: string; sha256: string }[] = await knex(table)
        .whereRaw('(digest_prefix, id) > (?, ?)', [after.digest_prefix, after.id])
        .where('digest_prefix', '<=', last)
        .orderBy(['digest_prefix', 'id'])
        .limit(PAGE_ROWS)
        .select('id', 'digest_prefix', 'uid', 'sha256')
      for (const { uid, sha256 } of rows) {
        if (sha256.startsWith(prefix)) yield { sopInstanceUid: uid, sha256, served: table === 'instances' }
      }
      const end = rows.at(-1)
      if (!end || rows.length < PAGE_ROWS) break
      after = end
    }
  }
}

/** What both tables say of a copy's bytes. */
const COPY_COLUMNS = [
  'uid',
  'sha256',
  'digest_prefix',
  'sop_class',
  'transfer_syntax',
  'size_bytes',
  'data_set_offset',
  'source',
  'received',
  'segment',
  'segment_offset',
  'pack',
  'pack_offset',
]

/**
 * Makes room for another copy to be served under this UID: the served one goes among the conflicting ones. Its study and
 * series stay, even empty: another copy of theirs may come.
 */
export async function unserve(trx: Knex.Transaction, uid: string, servedSha256: string): Promise<void> {
  const { id, study, series, ...row } = await trx('instances').where({ uid }).first()
  const copy = Object.fromEntries(COPY_COLUMNS.map((column) => [column, row[column]]))
  const { uid: study_uid } = await trx('studies').where({ id: study }).first('uid')
  const { uid: series_uid } = await trx('series').where({ id: series }).first('uid')
  await trx('instances').where({ id }).del()
  await trx('conflicts').where({ uid, sha256: servedSha256 }).del()
  await trx('conflicts').insert({ ...copy, study_uid, series_uid, served_sha256: servedSha256 })
  await trx('conflicts').where({ uid }).update({ served_sha256: servedSha256 })
  for (const [table, row] of [
    ['studies', study],
    ['series', series],
  ]) {
    await trx(table)
      .where({ id: row })
      .update({
        // Hidden ones are not counted.
        instance_count: trx.raw('instance_count - ?', [row.hidden ? 0 : 1]),
        bytes: trx.raw('bytes - ?', [copy.size_bytes]),
      })
  }
}
