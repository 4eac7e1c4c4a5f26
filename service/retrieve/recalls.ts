import { isRecallable } from '../../storage-adapters/contract/adapter.ts'
import type { Store } from '../stores/ports.ts'

/** A recall that nothing came of is asked for again after this. */
const AGAIN_MS = 60 * 60_000
const KNOWN_MAX = 10_000

/** Asks cold stores to make packs readable: once for all who want to read, however often they ask. */
export class Recalls {
  readonly #now: () => number
  readonly #asked = new Map<string, number>()

  constructor(now: () => number = Date.now) {
    this.#now = now
  }

  /** False where the store can't be asked. Throws what the store throws. */
  async request({ id, adapter }: Pick<Store, 'id' | 'adapter'>, key: string): Promise<boolean> {
    if (!isRecallable(adapter)) return false
    const name = `${id} ${key}`
    const at = this.#asked.get(name)
    if (at !== undefined && this.#now() - at < AGAIN_MS) return true
    if (this.#asked.size >= KNOWN_MAX) this.#asked.clear()
    this.#asked.set(name, this.#now())
    try {
      if ((await adapter.recallState(key)) === 'cold') await adapter.requestRecall([key])
    } catch (error) {
      this.#asked.delete(name)
      throw error
    }
    return true
  }
}
