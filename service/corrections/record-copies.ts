import { Readable } from 'node:stream'
import type { Store, Stores } from '../stores/ports.ts'
import type { Records } from './records.ts'

export interface RecordCopiesOptions {
  stores: Stores
  records: Records
  /** Between two looks at what a store lacks; default ten minutes. */
  everyMs?: number
  warn(message: string, details: object): void
}

const PREFIX = 'records/'
const EVERY_MS = 600_000

export const recordKey = (sha256: string): string => `${PREFIX}${sha256}.json`

/**
 * Copies of records on every store, so that a lost data folder takes no correction with it. A correction doesn't wait for
 * them: its record is durable in the data folder, and a store that is away gets it when it is back.
 */
export class RecordCopies {
  readonly #options: RecordCopiesOptions
  readonly #closing = new AbortController()
  #timer: NodeJS.Timeout | undefined
  #running: Promise<void> = Promise.resolve()

  constructor(options: RecordCopiesOptions) {
    this.#options = options
  }

  start(): void {
    this.soon()
    this.#timer = setInterval(() => this.soon(), this.#options.everyMs ?? EVERY_MS).unref()
  }

  /** There is a new record. */
  soon(): void {
    this.#running = this.#running.then(() => this.#sweep())
  }

  /** Resolves when every look that was asked for is done. */
  idle(): Promise<void> {
    return this.#running
  }

  async stop(): Promise<void> {
    clearInterval(this.#timer)
    this.#closing.abort()
    await this.#running
  }

  async #sweep(): Promise<void> {
    const { stores, warn } = this.#options
    for (const store of stores.all) {
      if (this.#closing.signal.aborted) return
      await store.tryAgain()
      if (store.trouble !== undefined) continue
      await this.#bring(store).catch((error: Error) => {
        if (!this.#closing.signal.aborted)
          warn('records are not on a store yet', { store: store.id, reason: error.message })
      })
    }
  }

  /** Both lists are in order, so neither has to be in memory. */
  async #bring({ adapter }: Store): Promise<void> {
    const { records } = this.#options
    const { signal } = this.#closing
    const there = adapter.list({ prefix: PREFIX, signal })[Symbol.asyncIterator]()
    let next = await there.next()
    try {
      for await (const sha256 of records.list()) {
        const key = recordKey(sha256)
        while (!next.done && next.value.key < key) next = await there.next()
        if (!next.done && next.value.key === key) continue
        const text = await records.get(sha256)
        if (text === undefined) continue
        const bytes = Buffer.from(text)
        await adapter.put(key, { sizeBytes: bytes.length, sha256, open: () => Readable.from([bytes]) }, { signal })
      }
    } finally {
      await there.return?.()
    }
  }
}

const RECORD_BYTES_MAX = 1024 * 1024

/** Brings back from the stores what corrections name and the data folder lacks. Resolves with how many it found. */
export async function recoverRecords(
  catalogue: { missingRecords(limit: number): Promise<string[]> },
  records: Records,
  stores: Stores,
): Promise<number> {
  let found = 0
  for (const sha256 of await catalogue.missingRecords(1000)) {
    for (const { adapter, trouble } of stores.all) {
      if (trouble !== undefined) continue
      const text = await read(adapter, sha256).catch(() => undefined)
      if (text === undefined || (await records.put(text)) !== sha256) continue
      found += 1
      break
    }
  }
  return found
}

async function read(adapter: Store['adapter'], sha256: string): Promise<string | undefined> {
  const { stat, body } = await adapter.get(recordKey(sha256))
  if (stat.sizeBytes > RECORD_BYTES_MAX) {
    body.destroy()
    return undefined
  }
  const pieces: Buffer[] = []
  for await (const piece of body) pieces.push(piece as Buffer)
  return Buffer.concat(pieces).toString('utf8')
}
