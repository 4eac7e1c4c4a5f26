import type { Knex } from 'knex'

type Value = string | number | boolean | null

/** Runs SQL that is the same on both databases: `?` for values, names quoted where they are words of SQL. */
export interface Statements {
  all<Row = unknown>(sql: string, values: readonly Value[]): Promise<Row[]>
}

interface SqliteStatement {
  all(values: readonly Value[], done: (error: Error | null, rows: unknown[]) => void): void
  finalize(done: () => void): void
}

/** What node-sqlite3 gives. */
interface SqliteConnection {
  prepare(sql: string, done: (error: Error | null) => void): SqliteStatement
}

/** What node-postgres gives. */
interface PostgresConnection {
  query(query: { text: string; values: readonly Value[] }): Promise<{ rows: unknown[] }>
}

/** Prepared statements that are kept: each text with another number of rows is one. */
const KEPT_MAX = 200

/**
 * Statements that run thousands of times a minute, over one of Knex's connections. Knex would build each anew, which costs
 * more than running it; SQLite keeps them prepared. To be used with a pool of one connection where that is SQLite: it
 * is never exchanged, and can't be closed while statements are prepared on it.
 */
export class StatementRunner {
  readonly #knex: Knex
  readonly #isPg: boolean
  readonly #prepared = new Map<string, SqliteStatement>()

  constructor(knex: Knex) {
    this.#knex = knex
    this.#isPg = knex.client.config.client === 'pg'
  }

  async use<Result>(work: (statements: Statements) => Promise<Result>): Promise<Result> {
    const connection = await this.#knex.client.acquireConnection()
    try {
      return await work(this.#over(connection))
    } finally {
      await this.#knex.client.releaseConnection(connection)
    }
  }

  /** All of it or nothing; `trx` is the same transaction, for what is done now and then. */
  transaction<Result>(work: (statements: Statements, trx: Knex.Transaction) => Promise<Result>): Promise<Result> {
    return this.#knex.transaction(async (trx) => {
      const connection = await trx.client.acquireConnection()
      return work(this.#over(connection), trx)
    })
  }

  async close(): Promise<void> {
    const all = [...this.#prepared.values()]
    this.#prepared.clear()
    await Promise.all(all.map((statement) => new Promise<void>((done) => statement.finalize(done))))
  }

  #over(connection: SqliteConnection | PostgresConnection): Statements {
    return { all: (sql, values) => this.#all(connection, sql, values) as Promise<never[]> }
  }

  #all(connection: SqliteConnection | PostgresConnection, sql: string, values: readonly Value[]): Promise<unknown[]> {
    return this.#isPg
      ? inPostgres(connection as PostgresConnection, sql, values)
      : this.#inSqlite(connection as SqliteConnection, sql, values)
  }

  async #inSqlite(connection: SqliteConnection, sql: string, values: readonly Value[]): Promise<unknown[]> {
    const statement = this.#prepared.get(sql) ?? (await this.#prepare(connection, sql))
    return new Promise((resolve, reject) => {
      statement.all(values, (error, rows) => (error ? reject(error) : resolve(rows)))
    })
  }

  async #prepare(connection: SqliteConnection, sql: string): Promise<SqliteStatement> {
    if (this.#prepared.size >= KEPT_MAX) await this.close()
    const statement = await new Promise<SqliteStatement>((resolve, reject) => {
      const made = connection.prepare(sql, (error) => (error ? reject(error) : resolve(made)))
    })
    this.#prepared.set(sql, statement)
    return statement
  }
}

/** Not by name: a pool between us and the database may give each transaction another connection. */
async function inPostgres(connection: PostgresConnection, sql: string, values: readonly Value[]): Promise<unknown[]> {
  let count = 0
  const text = sql.replaceAll('?', () => `$${++count}`)
  const { rows } = await connection.query({ text, values })
  return rows
}

/** `INSERT` of so many rows, each with these columns. */
export function insertInto(table: string, columns: readonly string[], rows = 1): string {
  const names = columns.map((column) => `"${column}"`).join(', ')
  const marks = `(${columns.map(() => '?').join(', ')})`
  return `INSERT INTO ${table} (${names}) VALUES ${Array(rows).fill(marks).join(', ')}`
}

/** `?` for each of so many values. */
export const marksFor = (count: number): string => Array(count).fill('?').join(', ')
