import { readFile } from 'node:fs/promises'
import { writeDurably } from './write-durably.ts'

/** Which store is behind which name of the configuration, for life: a file in the data folder. */
export class StoreIdentities {
  readonly #path: string
  #known: Record<string, string>
  #writing: Promise<void> = Promise.resolve()

  private constructor(path: string, known: Record<string, string>) {
    this.#path = path
    this.#known = known
  }

  static async open(path: string): Promise<StoreIdentities> {
    try {
      return new StoreIdentities(path, JSON.parse(await readFile(path, 'utf8')))
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new StoreIdentities(path, {})
      throw new Error(`${path} can't be read: ${(error as Error).message}`, { cause: error })
    }
  }

  get(id: string): string | undefined {
    return this.#known[id]
  }

  /** Names that stand for this store, but for `id`. */
  othersOf(id: string, store: string): string[] {
    return Object.keys(this.#known).filter((other) => other !== id && this.#known[other] === store)
  }

  /** Counts at once; durable when it resolves. */
  async remember(id: string, store: string): Promise<void> {
    this.#known = { ...this.#known, [id]: store }
    const text = `${JSON.stringify(this.#known, null, 2)}\n`
    this.#writing = this.#writing.then(() => writeDurably(this.#path, text))
    await this.#writing
  }
}
