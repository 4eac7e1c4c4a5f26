import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import createKnex, { type Knex } from 'knex'
import pg from 'pg'
import { migrations } from './migrations/index.ts'

/** PostgreSQL gives 64-bit integers as text; ours stay below 2^53. */
const INT8 = 20
pg.types.setTypeParser(INT8, Number)

export interface DatabaseOptions {
  /** PostgreSQL; SQLite in `file` without it. */
  url?: string | undefined
  file: string
}

export type Dialect = 'sqlite' | 'postgres'

export const dialectOf = ({ url }: DatabaseOptions): Dialect => (url === undefined ? 'sqlite' : 'postgres')

/**
 * Brings the schema up to date.
 *
 * The catalogue can be rebuilt from storage, so its commits need not be synced one by one: after power loss the
 * landing is replayed into it. What it must be is consistent, and the settings below keep it so.
 */
export async function migrate(options: DatabaseOptions): Promise<void> {
  if (options.url === undefined) mkdirSync(dirname(options.file), { recursive: true, mode: 0o750 })
  const knex = openWriter(options)
  try {
    await knex.migrate.latest({ migrationSource: migrations, tableName: 'schema_migrations' })
  } catch (error) {
    const where = options.url === undefined ? options.file : new URL(options.url).host
    throw new Error(`the catalogue (${dialectOf(options)}, ${where}) can't be opened: ${(error as Error).message}`, {
      cause: error,
    })
  } finally {
    await knex.destroy()
  }
}

/** To be used by one thread only: SQLite has one writer, and two of them refuse each other's work. */
export function openWriter({ url, file }: DatabaseOptions): Knex {
  return url === undefined ? sqlite(file, 1) : postgres(url, 4)
}

/** Readers never wait for the writer, nor it for them. */
export function openReader({ url, file }: DatabaseOptions, connections?: number): Knex {
  return url === undefined ? sqlite(file, connections ?? 4) : postgres(url, connections ?? 10)
}

function sqlite(filename: string, connections: number): Knex {
  const pragmas = [
    'journal_mode = WAL',
    'synchronous = NORMAL',
    'busy_timeout = 10000',
    'foreign_keys = ON',
    'temp_store = MEMORY',
    'case_sensitive_like = ON',
    'cache_size = -16000',
    'wal_autocheckpoint = 4000',
  ]
  return createKnex({
    client: 'sqlite3',
    log: SILENT,
    connection: { filename },
    useNullAsDefault: true,
    pool: {
      min: 1,
      max: connections,
      afterCreate(connection: { exec(sql: string, done: (error: Error | null) => void): void }, done: PoolDone) {
        connection.exec(pragmas.map((pragma) => `PRAGMA ${pragma};`).join(''), (error) => done(error, connection))
      },
    },
  })
}

function postgres(url: string, connections: number): Knex {
  return createKnex({
    client: 'pg',
    log: SILENT,
    connection: url,
    pool: {
      min: 0,
      max: connections,
      afterCreate(connection: pg.Client, done: PoolDone) {
        connection.query('SET synchronous_commit = off').then(
          () => done(null, connection),
          (error: Error) => done(error, connection),
        )
      },
    },
  })
}

/** Knex writes to the console what it also throws. */
const SILENT = { warn() {}, error() {}, deprecate() {}, debug() {} }

type PoolDone = (error: Error | null, connection: unknown) => void
