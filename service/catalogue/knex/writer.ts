import { Worker } from 'node:worker_threads'
import { ArchiveError } from '../../errors.ts'
import type { NewInstance, RecordOutcome } from '../ports.ts'
import type { DatabaseOptions } from './connect.ts'
import { type InstanceRows, instanceRows } from './rows.ts'

export type WriterRequest =
  | { id: number; kind: 'record'; instances: readonly InstanceRows[] }
  | { id: number; kind: 'digests'; uids: readonly string[] }
  | { id: number; kind: 'forget' | 'close' }

export type WriterReply = { id: number; result: unknown[]; error?: never } | { id: number; error: string }

type Ask = WriterRequest extends infer Request ? (Request extends unknown ? Omit<Request, 'id'> : never) : never

interface Pending {
  resolve(result: unknown[]): void
  reject(error: Error): void
}

/** Sends work to the writing thread and starts a new one where it died; what was pending then failed. */
class WriterThread {
  readonly #options: DatabaseOptions
  #worker: Worker | undefined
  readonly #pending = new Map<number, Pending>()
  #lastId = 0

  constructor(options: DatabaseOptions) {
    this.#options = options
  }

  ask(request: Ask): Promise<unknown[]> {
    this.#worker ??= this.#start()
    const worker = this.#worker
    this.#lastId += 1
    const id = this.#lastId
    return new Promise((resolve, reject) => {
      this.#pending.set(id, { resolve, reject })
      worker.postMessage({ id, ...request })
    })
  }

  async close(): Promise<void> {
    if (!this.#worker) return
    await this.ask({ kind: 'close' }).catch(() => undefined)
    await this.#worker?.terminate()
  }

  #start(): Worker {
    // The same file as source (tests) and as built.
    const extension = import.meta.url.endsWith('.ts') ? 'ts' : 'js'
    const worker = new Worker(new URL(`./writer-thread.${extension}`, import.meta.url), { workerData: this.#options })
    worker.on('message', (reply: WriterReply) => this.#take(reply))
    worker.on('error', (error) => this.#failAll(error))
    worker.on('exit', () => this.#failAll(new Error('the writing thread ended')))
    return worker
  }

  #take(reply: WriterReply): void {
    const pending = this.#pending.get(reply.id)
    this.#pending.delete(reply.id)
    if (reply.error === undefined) pending?.resolve(reply.result)
    else pending?.reject(new Error(reply.error))
  }

  #failAll(error: Error): void {
    this.#worker = undefined
    for (const { reject } of this.#pending.values()) reject(error)
    this.#pending.clear()
  }
}

interface Waiting<Item, Answer> {
  item: Item
  resolve(answer: Answer): void
  reject(error: ArchiveError): void
}

/** Gathers what comes while a batch is under way: one round trip serves many. */
class Batches<Item, Answer> {
  readonly #work: (batch: readonly Waiting<Item, Answer>[]) => Promise<void>
  readonly #itemsMax: number
  #queue: Waiting<Item, Answer>[] = []
  #running: Promise<void> | undefined

  constructor(itemsMax: number, work: (batch: readonly Waiting<Item, Answer>[]) => Promise<void>) {
    this.#itemsMax = itemsMax
    this.#work = work
  }

  add(item: Item): Promise<Answer> {
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, resolve, reject })
      this.#running ??= this.#run()
    })
  }

  async idle(): Promise<void> {
    await this.#running
  }

  async #run(): Promise<void> {
    // Lets everything that arrives in the same turn of the event loop share the first batch.
    await new Promise(setImmediate)
    while (this.#queue.length > 0) await this.#work(this.#queue.splice(0, this.#itemsMax))
    this.#running = undefined
  }
}

const RECORDS_PER_COMMIT = 250
const UIDS_PER_QUERY = 200
const KNOWN_SERIES_MAX = 20_000

/** The catalogue's writing side, from the main thread. See CatalogueWriter. */
export class Writer {
  readonly #thread: WriterThread
  readonly #records: Batches<NewInstance, RecordOutcome>
  readonly #digests: Batches<string, readonly string[]>
  /** Series that were recorded: their upper levels need not be worked out again. */
  readonly #knownSeries = new Set<string>()

  constructor(options: DatabaseOptions) {
    this.#thread = new WriterThread(options)
    this.#records = new Batches(RECORDS_PER_COMMIT, (batch) => this.#settle(batch))
    this.#digests = new Batches(UIDS_PER_QUERY, (batch) => this.#lookUp(batch))
  }

  record(instance: NewInstance): Promise<RecordOutcome> {
    return this.#records.add(instance)
  }

  digests(sopInstanceUid: string): Promise<readonly string[]> {
    return this.#digests.add(sopInstanceUid)
  }

  /** What was recorded may be gone from the database. */
  async forget(): Promise<void> {
    this.#knownSeries.clear()
    await this.#thread.ask({ kind: 'forget' })
  }

  async close(): Promise<void> {
    await this.#records.idle()
    await this.#thread.close()
  }

  /** One bad instance must not spoil the others of its batch: they are tried again one by one. */
  async #settle(batch: readonly Waiting<NewInstance, RecordOutcome>[]): Promise<void> {
    const keys = batch.map(({ item }) => `${item.studyUid} ${item.seriesUid}`)
    try {
      const instances = batch.map(({ item }, index) =>
        instanceRows(item, !this.#knownSeries.has(keys[index] as string)),
      )
      const outcomes = await this.#thread.ask({ kind: 'record', instances })
      for (const [index, { resolve }] of batch.entries()) resolve(outcomes[index] as RecordOutcome)
      if (this.#knownSeries.size > KNOWN_SERIES_MAX) this.#knownSeries.clear()
      for (const [index, outcome] of outcomes.entries()) {
        if (outcome === 'stored') this.#knownSeries.add(keys[index] as string)
      }
    } catch (error) {
      const first = this.#knownSeries.size === 0 && batch.length === 1
      this.#knownSeries.clear()
      if (!first) {
        for (const waiting of batch) await this.#settle([waiting])
        return
      }
      const message = `the catalogue can't be written: ${(error as Error).message}`
      batch[0]?.reject(new ArchiveError('catalogue_failed', message, { cause: error }))
    }
  }

  async #lookUp(batch: readonly Waiting<string, readonly string[]>[]): Promise<void> {
    try {
      const pairs = (await this.#thread.ask({ kind: 'digests', uids: batch.map(({ item }) => item) })) as [
        string,
        string,
      ][]
      const found = new Map<string, string[]>()
      for (const [uid, sha256] of pairs) found.set(uid, [...(found.get(uid) ?? []), sha256])
      for (const { item, resolve } of batch) resolve(found.get(item) ?? [])
    } catch (error) {
      const message = `the catalogue can't be read: ${(error as Error).message}`
      for (const { reject } of batch) reject(new ArchiveError('unavailable', message, { cause: error }))
    }
  }
}
