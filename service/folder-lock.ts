import { open as openFile } from 'node:fs/promises'
import sqlite3 from 'sqlite3'

/**
 * Locks a file for as long as the process lives. The lock is the kernel's (fcntl(2), by SQLite): it dies with its holder,
 * whatever the holder died of, and holds across containers, where process numbers mean nothing.
 */
export class FolderLock {
  readonly #database: sqlite3.Database

  private constructor(database: sqlite3.Database) {
    this.#database = database
  }

  /** Undefined when another process holds it. */
  static async take(path: string): Promise<FolderLock | undefined> {
    await create(path)
    const database = await open(path)
    try {
      // Whoever finds it taken needn't wait.
      database.configure('busyTimeout', 0)
      // An exclusive transaction that is never ended, and leaves nothing behind.
      await run(database, 'PRAGMA journal_mode = MEMORY; BEGIN EXCLUSIVE')
      return new FolderLock(database)
    } catch (error) {
      await close(database)
      if ((error as { code?: string }).code === 'SQLITE_BUSY') return undefined
      throw error
    }
  }

  release(): Promise<void> {
    return close(this.#database)
  }
}

/**
 * Readable by its owner only. A file that is there is not opened: closing it would give up the locks that this process
 * holds on it (fcntl(2)).
 */
async function create(path: string): Promise<void> {
  try {
    await (await openFile(path, 'wx', 0o600)).close()
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error
  }
}

function open(path: string): Promise<sqlite3.Database> {
  return new Promise((resolve, reject) => {
    const database: sqlite3.Database = new sqlite3.Database(path, (error) =>
      error ? reject(error) : resolve(database),
    )
  })
}

function run(database: sqlite3.Database, sql: string): Promise<void> {
  return new Promise((resolve, reject) => database.exec(sql, (error) => (error ? reject(error) : resolve())))
}

function close(database: sqlite3.Database): Promise<void> {
  return new Promise((resolve, reject) => database.close((error) => (error ? reject(error) : resolve())))
}
