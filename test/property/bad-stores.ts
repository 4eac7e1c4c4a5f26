/** Stores that tests can make bad, in the place of those that a configuration names. */

import type { StorageAdapter } from '../../storage-adapters/contract/adapter.ts'
import { MemoryStore } from '../../storage-adapters/memory/memory.ts'
import { type Faults, fault } from '../../storage-adapters/wrap/fault.ts'
import { all } from './core.ts'

export class BadStores {
  readonly #stores = new Map<string, StorageAdapter & { readonly faults: Faults }>()
  readonly #inner = new Map<string, MemoryStore>()
  #bytesTotal: Map<string, number>

  /** How much room each has; default 256 MiB. */
  constructor(bytesTotal: Record<string, number> = {}) {
    this.#bytesTotal = new Map(Object.entries(bytesTotal))
  }

  /** What it holds outlives the node that uses it. */
  readonly build = ({ id }: { id: string }): StorageAdapter => {
    const known = this.#stores.get(id)
    if (known) return known
    const bytesTotal = this.#bytesTotal.get(id)
    const inner = new MemoryStore({ id, ...(bytesTotal === undefined ? {} : { bytesTotal }) })
    const store = fault(inner, { delayMs: 200 })
    this.#inner.set(id, inner)
    this.#stores.set(id, store)
    return store
  }

  faults(id: string): Faults {
    const store = this.#stores.get(id)
    if (!store) throw new Error(`no store ${id} was built`)
    return store.faults
  }

  /** What it really holds, whatever it says. */
  async keys(id: string): Promise<string[]> {
    const inner = this.#inner.get(id)
    return inner ? (await all(inner.list({ prefix: 'packs/' }))).map(({ key }) => key) : []
  }
}
