import type { ArchiveError } from '../../errors.ts'

export interface Waiting<Item, Answer> {
  item: Item
  resolve(answer: Answer): void
  reject(error: ArchiveError): void
}

/** Gathers what comes while a batch is under way: one round trip serves many. */
export class Batches<Item, Answer> {
  readonly #work: (batch: readonly Waiting<Item, Answer>[]) => Promise<void>
  readonly #itemsMax: number
  readonly #patienceMs: number
  readonly #queue: Waiting<Item, Answer>[] = []
  #running: Promise<void> | undefined
  /** Ends the gathering of a batch that nobody waited for until now. */
  #begin: (() => void) | undefined
  /** Somebody waits for the answer to what is in the queue. */
  #urgent = false
  #added = 0
  #done = 0
  #watchers: { upTo: number; resolve(): void }[] = []

  /**
   * `work` answers each of its batch, and never rejects. Items that nobody waits for are kept for `patienceMs`, so that
   * others can share their batch.
   */
  constructor(itemsMax: number, work: (batch: readonly Waiting<Item, Answer>[]) => Promise<void>, patienceMs = 0) {
    this.#itemsMax = itemsMax
    this.#work = work
    this.#patienceMs = patienceMs
  }

  add(item: Item, urgent = true): Promise<Answer> {
    this.#added += 1
    return new Promise((resolve, reject) => {
      this.#queue.push({ item, resolve, reject })
      this.#urgent ||= urgent
      if (urgent || this.#queue.length >= this.#itemsMax) this.#begin?.()
      this.#running ??= this.#run()
    })
  }

  /** Resolves when everything that was added before was answered; what comes meanwhile keeps nobody waiting. */
  async settled(): Promise<void> {
    if (this.#done === this.#added) return
    const watched = new Promise<void>((resolve) => this.#watchers.push({ upTo: this.#added, resolve }))
    this.#begin?.()
    await watched
  }

  async #run(): Promise<void> {
    while (this.#queue.length > 0) {
      const hurry = this.#urgent || this.#watchers.length > 0 || this.#queue.length >= this.#itemsMax
      // Lets at least everything that arrives in the same turn of the event loop share the batch.
      await (hurry ? new Promise(setImmediate) : this.#gather())
      this.#urgent = false
      const batch = this.#queue.splice(0, this.#itemsMax)
      await this.#work(batch)
      this.#done += batch.length
      this.#tell()
    }
    this.#running = undefined
  }

  async #gather(): Promise<void> {
    await new Promise<void>((resolve) => {
      const timer = setTimeout(resolve, this.#patienceMs)
      this.#begin = () => {
        clearTimeout(timer)
        resolve()
      }
    })
    this.#begin = undefined
  }

  #tell(): void {
    const told = this.#watchers.filter(({ upTo }) => upTo <= this.#done)
    if (told.length === 0) return
    this.#watchers = this.#watchers.filter(({ upTo }) => upTo > this.#done)
    for (const { resolve } of told) resolve()
  }
}
