import { join } from 'node:path'
import type { Knex } from 'knex'
import type {
  CatalogueJournal,
  CatalogueReader,
  CatalogueTotals,
  CatalogueWriter,
  Change,
  Conflict,
  InstanceRecord,
  InstanceScope,
  NewInstance,
  Query,
  QueryLevel,
  RecordOutcome,
} from '../ports.ts'
import { connect, type Database } from './connect.ts'
import { find } from './find.ts'
import { conflictingCopies, instances, servedCopies } from './instances.ts'
import { keyFor } from './keys.ts'
import { type CopyRow, digestPrefix, toRecord } from './rows.ts'
import { Writer } from './writer.ts'

/** Tables that `rebuild` fills again from storage, those that refer to others first. */
const REBUILT = ['changes', 'conflicts', 'instances', 'series', 'studies', 'patients', 'sources', 'segments']

/** The catalogue over SQLite or PostgreSQL: an index of what storage holds, never the truth itself. */
export class KnexCatalogue implements CatalogueReader, CatalogueWriter, CatalogueJournal {
  readonly #database: Database
  readonly #writer: Writer

  private constructor(database: Database, writer: Writer) {
    this.#database = database
    this.#writer = writer
  }

  /** `url`: PostgreSQL; without it SQLite in `dataDir`. */
  static async open(options: { url?: string | undefined; dataDir: string }): Promise<KnexCatalogue> {
    const database = { url: options.url, file: join(options.dataDir, 'catalogue.sqlite') }
    return new KnexCatalogue(await connect(database), new Writer(database))
  }

  get dialect(): Database['dialect'] {
    return this.#database.dialect
  }

  async close(): Promise<void> {
    await this.#writer.close()
    await this.#database.close()
  }

  /** The archive that this catalogue indexes, so that a wrong database or data folder is noticed. */
  async archiveId(): Promise<string | undefined> {
    return (await this.#read('meta').where({ key: 'archive_id' }).first('value'))?.value
  }

  async setArchiveId(value: string): Promise<void> {
    await this.#database.write('meta').insert({ key: 'archive_id', value }).onConflict('key').merge()
  }

  /** Forgets everything that a replay of storage brings back. */
  async clear(): Promise<void> {
    await this.#database.write.transaction(async (trx) => {
      for (const table of REBUILT) await trx(table).del()
      await trx('counters').where({ name: 'changes' }).update({ value: 0 })
    })
    await this.#writer.forget()
  }

  // --- reading

  supports(level: QueryLevel, path: readonly string[]): boolean {
    return keyFor(level, path) !== undefined
  }

  find(query: Query) {
    return find(this.#read, query)
  }

  instances(scope: InstanceScope): AsyncGenerator<InstanceRecord> {
    return instances(this.#read, scope)
  }

  async studyVersion(studyUid: string): Promise<string | undefined> {
    const row = await this.#read('studies').where({ uid: studyUid }).first('id', 'instance_count')
    return row && `${row.id}-${row.instance_count}`
  }

  // --- writing

  digests(sopInstanceUid: string): Promise<readonly string[]> {
    return this.#writer.digests(sopInstanceUid)
  }

  record(instance: NewInstance): Promise<RecordOutcome> {
    return this.#writer.record(instance)
  }

  async segmentComplete(segment: number): Promise<void> {
    await this.#database.write('segments').insert({ id: segment }).onConflict('id').ignore()
  }

  async completeSegments(): Promise<ReadonlySet<number>> {
    return new Set((await this.#read('segments').select('id')).map(({ id }) => id))
  }

  // --- the API's listings

  async changes(since: number, limit: number): Promise<Change[]> {
    const rows = await this.#read('changes').where('seq', '>', since).orderBy('seq').limit(limit)
    return rows.map((row) => ({
      seq: row.seq,
      kind: row.kind,
      at: row.at,
      studyUid: row.study_uid,
      seriesUid: row.series_uid,
      sopInstanceUid: row.instance_uid,
      sha256: row.sha256,
    }))
  }

  async conflicts(limit: number, before?: number): Promise<{ id: number; conflict: Conflict }[]> {
    const page = conflictingCopies(this.#read).orderBy('conflicts.id', 'desc').limit(limit)
    if (before !== undefined) page.where('conflicts.id', '<', before)
    const rows: (CopyRow & { served_sha256: string })[] = await page
    return rows.map((row) => ({ id: row.id, conflict: { ...toRecord(row), servedSha256: row.served_sha256 } }))
  }

  async byDigest(sha256: string): Promise<InstanceRecord | undefined> {
    const where = { digest_prefix: digestPrefix(sha256), sha256 }
    const row: CopyRow | undefined =
      (await servedCopies(this.#read).where(qualified('instances', where)).first()) ??
      (await conflictingCopies(this.#read).where(qualified('conflicts', where)).first())
    return row && toRecord(row)
  }

  async totals(): Promise<CatalogueTotals> {
    const count = async (table: string): Promise<number> => {
      const [row] = await this.#read(table).count({ n: '*' })
      return Number(row?.n ?? 0)
    }
    const [sums] = await this.#read('studies').sum({
      series: 'series_count',
      instances: 'instance_count',
      bytes: 'bytes',
    })
    return {
      patients: await count('patients'),
      studies: await count('studies'),
      series: Number(sums?.series ?? 0),
      instances: Number(sums?.instances ?? 0),
      conflicts: await count('conflicts'),
      bytes: Number(sums?.bytes ?? 0),
    }
  }

  get #read(): Knex {
    return this.#database.read
  }
}

function qualified(table: string, where: Record<string, unknown>): Record<string, unknown> {
  return Object.fromEntries(Object.entries(where).map(([name, value]) => [`${table}.${name}`, value]))
}
