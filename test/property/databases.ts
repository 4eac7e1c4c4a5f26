/** The databases that the catalogue runs on; each test gets a new, empty one. */
import './ts-workers.ts'
import { execFileSync, spawnSync } from 'node:child_process'
import { randomBytes } from 'node:crypto'
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import pg from 'pg'
import { KnexCatalogue } from '../../service/catalogue/knex/catalogue.ts'
import { freePort, removeDir, skipUnless, tempDir } from '../support/host.ts'

export interface Opened {
  catalogue: KnexCatalogue
  /** Another node on the same database. */
  another(): Promise<KnexCatalogue>
  close(): Promise<void>
}

export interface TestDatabase {
  name: string
  skip: string | false
  /** Several nodes may write to it at once. */
  manyNodes: boolean
  open(): Promise<Opened>
  /** To be called when all tests are over. */
  stop(): Promise<void>
}

function opener(connect: () => Promise<KnexCatalogue>, drop: () => Promise<void>) {
  return async (): Promise<Opened> => {
    const opened = [await connect()]
    return {
      catalogue: opened[0] as KnexCatalogue,
      async another() {
        const one = await connect()
        opened.push(one)
        return one
      },
      async close() {
        for (const one of opened) await one.close()
        await drop()
      },
    }
  }
}

const sqlite: TestDatabase = {
  name: 'SQLite',
  skip: false,
  manyNodes: false,
  open() {
    const dataDir = tempDir('catalogue')
    return opener(
      () => KnexCatalogue.open({ dataDir }),
      async () => removeDir(dataDir),
    )()
  },
  stop: async () => undefined,
}

const script = join(import.meta.dirname, '../peers/postgres.sh')
const serverInstalled = spawnSync('sh', ['-c', 'ls /usr/lib/postgresql/*/bin/initdb']).status === 0

class Postgres implements TestDatabase {
  readonly name = 'PostgreSQL'
  readonly manyNodes = true
  readonly skip = skipUnless(
    process.env.FIRN_TEST_PG_URL !== undefined || serverInstalled,
    'neither FIRN_TEST_PG_URL nor a PostgreSQL server',
  )
  #url: Promise<string> | undefined
  #folder: string | undefined

  async open(): Promise<Opened> {
    this.#url ??= this.#start()
    const server = await this.#url
    const name = `firn_${randomBytes(8).toString('hex')}`
    await execute(server, `CREATE DATABASE ${name}`)
    const url = new URL(server)
    url.pathname = `/${name}`
    const drop = () => execute(server, `DROP DATABASE ${name} WITH (FORCE)`)
    return opener(() => KnexCatalogue.open({ url: url.href, dataDir: tmpdir() }), drop)()
  }

  async #start(): Promise<string> {
    if (process.env.FIRN_TEST_PG_URL !== undefined) return process.env.FIRN_TEST_PG_URL
    this.#folder = mkdtempSync(join(tmpdir(), 'firn-postgres-'))
    const args = ['start', this.#folder, String(await freePort())]
    return execFileSync(script, args, { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }).trim()
  }

  async stop(): Promise<void> {
    if (this.#folder === undefined) return
    execFileSync(script, ['stop', this.#folder])
    removeDir(this.#folder)
    this.#url = undefined
  }
}

async function execute(url: string, sql: string): Promise<void> {
  const client = new pg.Client({ connectionString: url })
  await client.connect()
  try {
    await client.query(sql)
  } finally {
    await client.end()
  }
}

export const databases: readonly TestDatabase[] = [sqlite, new Postgres()]
