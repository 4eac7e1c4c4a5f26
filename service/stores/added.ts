import { readFile } from 'node:fs/promises'
import { type StoreConfig, storeConfig } from '../config/stores.ts'
import { writeDurably } from './write-durably.ts'

/** Stores that were added while the node ran: a file of the data folder, because the configuration is the administrator's. */
export class AddedStores {
  readonly #path: string
  #configs: readonly StoreConfig[]

  private constructor(path: string, configs: readonly StoreConfig[]) {
    this.#path = path
    this.#configs = configs
  }

  /** Throws when the file can't be read: stores that were forgotten would be missed only when they are needed. */
  static async open(path: string): Promise<AddedStores> {
    let text: string
    try {
      text = await readFile(path, 'utf8')
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return new AddedStores(path, [])
      throw new Error(`${path} can't be read: ${(error as Error).message}`, { cause: error })
    }
    try {
      return new AddedStores(path, storeConfig.array().parse(JSON.parse(text)))
    } catch (error) {
      throw new Error(`${path} is no list of stores: ${(error as Error).message}`, { cause: error })
    }
  }

  get configs(): readonly StoreConfig[] {
    return this.#configs
  }

  /** Durable when it resolves. */
  async add(config: StoreConfig): Promise<void> {
    await this.#write([...this.#configs.filter(({ id }) => id !== config.id), config])
  }

  async remove(id: string): Promise<void> {
    await this.#write(this.#configs.filter((config) => config.id !== id))
  }

  async #write(configs: readonly StoreConfig[]): Promise<void> {
    await writeDurably(this.#path, `${JSON.stringify(configs, null, 2)}\n`)
    this.#configs = configs
  }
}
