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
  readonly #queue: Waiting<Item, Answer>[] = []
  #running: Promise<void> | undefined

  /** `work` answers each of its batch, and never rejects. */
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
