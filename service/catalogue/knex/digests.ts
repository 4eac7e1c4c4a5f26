import type { Knex } from 'knex'
import { ArchiveError } from '../../errors.ts'

interface Waiting {
  uid: string
  resolve(digests: readonly string[]): void
  reject(error: ArchiveError): void
}

const BATCH_MAX = 200

/** Answers "which copies are there of this instance?", one query for all who ask in the same turn of the event loop. */
export class DigestLookup {
  readonly #knex: Knex
  #queue: Waiting[] = []
  #running = false

  constructor(knex: Knex) {
    this.#knex = knex
  }

  of(sopInstanceUid: string): Promise<readonly string[]> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ uid: sopInstanceUid, resolve, reject })
      if (!this.#running) void this.#run()
    })
  }

  async #run(): Promise<void> {
    this.#running = true
    await new Promise(setImmediate)
    while (this.#queue.length > 0) await this.#answer(this.#queue.splice(0, BATCH_MAX))
    this.#running = false
  }

  async #answer(batch: readonly Waiting[]): Promise<void> {
    try {
      const found = await this.#query(batch.map(({ uid }) => uid))
      for (const { uid, resolve } of batch) resolve(found.get(uid) ?? [])
    } catch (error) {
      const message = `the catalogue can't be read: ${(error as Error).message}`
      for (const { reject } of batch) reject(new ArchiveError('unavailable', message, { cause: error }))
    }
  }

  async #query(uids: readonly string[]): Promise<Map<string, string[]>> {
    const conflicts = this.#knex('conflicts').whereIn('uid', uids).select('uid', 'sha256')
    const rows: { uid: string; sha256: string }[] = await this.#knex('instances')
      .whereIn('uid', uids)
      .select('uid', 'sha256')
      .unionAll(conflicts)
    const found = new Map<string, string[]>()
    for (const { uid, sha256 } of rows) found.set(uid, [...(found.get(uid) ?? []), sha256])
    return found
  }
}
