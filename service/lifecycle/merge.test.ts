import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import type { ObjectStat } from '../../storage-adapters/contract/adapter.ts'
import type { Pack } from '../catalogue/ports.ts'
import { merge } from './merge.ts'

const packOf = (key: string): Pack => ({
  id: 1,
  studyUid: '1.2',
  key,
  sha256: '',
  sizeBytes: 1,
  instanceCount: 1,
  payloadBytes: 1,
  sealedAt: '',
  volume: 'default',
  copies: [],
})

async function* listing(keys: readonly string[], failAfter = Number.POSITIVE_INFINITY): AsyncGenerator<ObjectStat> {
  for (const [n, key] of keys.entries()) {
    if (n >= failAfter) throw new Error('away')
    yield { key, sizeBytes: 1 }
  }
}

const keys = fc.uniqueArray(fc.stringMatching(/^[a-c/-]{1,4}$/), { maxLength: 12 }).map((list) => [...list].sort())

describe('merging listings with the catalogue', () => {
  test('tells of every key once, in order, with all that have it', async () => {
    await fc.assert(
      fc.asyncProperty(
        keys,
        fc.array(keys, { maxLength: 3 }),
        fc.integer({ min: 1, max: 5 }),
        async (known, stores, page) => {
          const packs = async (after: string) =>
            known
              .filter((key) => key > after)
              .slice(0, page)
              .map(packOf)
          const listings = stores.map((list, n) => ({ store: `s${n}`, objects: listing(list) }))
          const seen: [string, boolean, string[]][] = []
          for await (const { key, pack, objects } of merge({ packs, listings, failed: assert.fail })) {
            seen.push([key, pack !== undefined, [...objects.keys()].sort()])
          }
          const all = [...new Set([...known, ...stores.flat()])].sort()
          assert.deepEqual(
            seen,
            all.map((key) => [
              key,
              known.includes(key),
              stores.flatMap((list, n) => (list.includes(key) ? [`s${n}`] : [])),
            ]),
          )
        },
      ),
    )
  })

  test('a store that fails in the middle says nothing more, and keeps the others from nothing', async () => {
    const failed: string[] = []
    const seen: string[] = []
    const merged = merge({
      packs: async (after) => (after === '' ? [packOf('b')] : []),
      listings: [
        { store: 'bad', objects: listing(['a', 'b', 'c'], 1) },
        { store: 'good', objects: listing(['b', 'd']) },
      ],
      failed: (store) => failed.push(store),
    })
    for await (const { key, objects } of merged) seen.push(`${key} ${[...objects.keys()]}`)
    assert.deepEqual(seen, ['a bad', 'b good', 'd good'])
    assert.deepEqual(failed, ['bad'])
  })
})
