/** Stores for tests of what writes to them. */

import type { Store, Stores, Tier } from '../../service/stores/ports.ts'
import type { StorageAdapter } from '../../storage-adapters/contract/adapter.ts'

/** Adapters as stores without anything around them; `away` says which of them can't be used. */
export function storesOf(
  adapters: readonly StorageAdapter[],
  away: ReadonlyMap<string, string> = new Map(),
  tiers: ReadonlyMap<string, Tier> = new Map(),
): Stores {
  const all = adapters.map(
    (adapter): Store => ({
      id: adapter.id,
      tier: tiers.get(adapter.id) ?? 'online',
      weight: 1,
      health: 1,
      refusal: undefined,
      takes: true,
      adapter,
      get trouble() {
        return away.get(adapter.id)
      },
      tryAgain: async () => undefined,
      capacity: async () => ({ bytesTotal: 1e9, bytesFree: 5e8 }),
    }),
  )
  return { all, get: (id) => all.find((store) => store.id === id) }
}
