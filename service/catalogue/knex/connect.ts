import { mkdirSync } from 'node:fs'
import { dirname } from 'node:path'
import createKnex, { type Knex } from 'knex'
import pg from 'pg'
import { migrations } from './migrations/index.ts'

/** One database, two doors: SQLite's single writer never makes readers wait. */
export interface Database {
  dialect: 'sqlite' | 'postgres'
  write: Knex
  read: Knex
  close(): Promise<void>
}

/** PostgreSQL gives 64-bit integers as text; ours stay below 2^53. */
const INT8 = 20
pg.types.setTypeParser(INT8, Number)

export interface DatabaseOptions {
  /** PostgreSQL; SQLite in `file` without it. */
  url?: string | undefined
  file: string
}

/**
 * Opens the database and brings its schema up to date.
 *
 * The catalogue can be rebuilt from storage, so its commits need not be synced one by one: after power loss the
 * landing is replayed into it. What it must be is consistent, and both settings below keep it so.
 */
export async function connect(options: DatabaseOptions): Promise<Database> {
  const database = openDatabase(options)
  try {
    await database.write.migrate.latest({ migrationSource: migrations, tableName: 'schema_migrations' })
    return database
  } catch (error) {
    await database.close()
    const where = options.url === undefined ? options.file : new URL(options.url).host
    throw new Error(`the catalogue (${database.dialect}, ${where}) can't be opened: ${(error as Error).message}`, {
      cause: error,
    })
  }
}

/** Opens a database whose schema is known to be up to date. */
export function openDatabase(options: DatabaseOptions): Database {
  return options.url === undefined ? openSqlite(options.file) : openPostgres(options.url)
}

function openSqlite(file: string): Database {
  mkdirSync(dirname(file), { recursive: true, mode: 0o750 })
  const write = sqlite(file, 1)
  const read = sqlite(file, 4)
  return {
    dialect: 'sqlite',
    write,
    read,
    close: async () => {
      await read.destroy()
      await write.destroy()
    },
  }
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

function openPostgres(url: string): Database {
  const knex = createKnex({
    client: 'pg',
    log: SILENT,
    connection: url,
    pool: {
      min: 0,
      max: 10,
      afterCreate(connection: pg.Client, done: PoolDone) {
        connection.query('SET synchronous_commit = off').then(
          () => done(null, connection),
          (error: Error) => done(error, connection),
        )
      },
    },
  })
  return { dialect: 'postgres', write: knex, read: knex, close: () => knex.destroy() }
}

/** Knex writes to the console what it also throws. */
const SILENT = { warn() {}, error() {}, deprecate() {}, debug() {} }

type PoolDone = (error: Error | null, connection: unknown) => void
