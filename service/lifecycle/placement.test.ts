import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { StorageAdapter } from '../../storage-adapters/contract/adapter.ts'
import { isArchiveError } from '../errors.ts'
import type { Store, Stores, Tier } from '../stores/ports.ts'
import { Placement, type Where } from './placement.ts'
import { Tiers } from './tiers/tiers.ts'

interface Given extends Partial<Store> {
  free?: number
}

const store = (id: string, { free = 0.5, ...over }: Given = {}): Store => ({
  id,
  tier: 'online',
  weight: 1,
  health: 1,
  adapter: {} as StorageAdapter,
  trouble: undefined,
  refusal: undefined,
  takes: true,
  tryAgain: async () => undefined,
  capacity: async () => ({ bytesTotal: 1000, bytesFree: free * 1000 }),
  ...over,
})

const placed = async (
  all: Store[],
  where: Where = {},
  draining: string[] = [],
  sizeBytes = 10,
  tried: string[] = [],
) => {
  const stores: Stores = { all, get: (id) => all.find((one) => one.id === id) }
  const half = { copies: 1, reserveShare: 0.05 }
  const tiers = new Tiers(stores, { online: half, nearline: { copies: 2, reserveShare: 0.2 }, cold: half })
  return (await new Placement(tiers, async () => new Set(draining)).choose(sizeBytes, new Set(tried), where)).id
}
const refused = (code: 'out_of_space' | 'unavailable', reason: RegExp) => (error: unknown) =>
  isArchiveError(error, code) && reason.test(error.message)

describe('placement', () => {
  test('goes by free share, weight and health, within the fastest tier', async () => {
    const near = store('near', { tier: 'nearline', free: 1 })
    assert.equal(await placed([store('a', { free: 0.3 }), store('b', { free: 0.6 }), near]), 'b')
    assert.equal(await placed([store('a', { free: 0.3, weight: 3 }), store('b', { free: 0.6 })]), 'a')
    assert.equal(await placed([store('a', { free: 0.3 }), store('b', { free: 0.6, health: 0.4 })]), 'a')
    assert.equal(await placed([near], {}), 'near', 'the fastest that there is')
    assert.equal(await placed([store('a'), near], { tier: 'nearline' }), 'near')
  })

  test('fills stores in proportion to their weights', async () => {
    const free = { a: 1, b: 1 }
    const room = (id: 'a' | 'b') => ({ capacity: async () => ({ bytesTotal: 1e6, bytesFree: free[id] * 1e6 }) })
    const all = [store('a', { ...room('a'), weight: 1 }), store('b', { ...room('b'), weight: 2 })]
    for (let n = 0; n < 300; n++) free[(await placed(all)) as 'a' | 'b'] -= 0.002
    assert.ok(free.b < free.a && Math.abs(free.a - 2 * free.b) < 0.02, JSON.stringify(free))
  })

  test('leaves the reserve of the tier, which repairs may use, and not more than there is', async () => {
    await assert.rejects(placed([store('a', { free: 0.05 })]), refused('out_of_space', /a: it is full/))
    const near = store('near', { tier: 'nearline', free: 0.15 })
    await assert.rejects(placed([near], { tier: 'nearline' }), refused('out_of_space', /near: it is full/))
    assert.equal(await placed([near], { tier: 'nearline', repair: true }), 'near')
    await assert.rejects(placed([near], { tier: 'nearline', repair: true }, [], 151), refused('out_of_space', /full/))
  })

  test('only a repair, or the emptying of a tier, leads to another one; the slower one first', async () => {
    const all = [
      store('fast', { free: 0.9 }),
      store('mid', { tier: 'nearline', free: 0 }),
      store('slow', { tier: 'cold' }),
    ]
    const tier: Tier = 'nearline'
    await assert.rejects(placed(all, { tier }), refused('out_of_space', /mid/))
    await assert.rejects(placed(all, { tier, elsewhere: true }), refused('out_of_space', /mid/))
    assert.equal(await placed(all, { tier, elsewhere: true }, ['mid']), 'slow')
    assert.equal(await placed(all, { tier, repair: true }), 'slow')
    assert.equal(await placed(all, { tier, repair: true }, [], 10, ['slow']), 'fast')
  })

  test('passes over what is away, refuses writes or is emptied, and says so', async () => {
    const away = store('away', { trouble: 'no route' })
    const readOnly = store('read-only', { takes: false, refusal: 'it may not be written to' })
    const drained = store('drained')
    await assert.rejects(
      placed([away, readOnly, drained], {}, ['drained']),
      refused('unavailable', /away: no route; read-only: it may not be written to; drained: it is drained/),
    )
    assert.equal(await placed([away, readOnly, drained, store('good')], {}, ['drained']), 'good')
  })

  test("a store that can't tell how full it is takes what it gets", async () => {
    assert.equal(await placed([store('blind', { capacity: async () => undefined })]), 'blind')
  })
})
