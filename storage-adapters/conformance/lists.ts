import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { bytesSource } from '../contract/read-source.ts'
import { keysOf, rejectsWith, type Suite, someBytes } from './fixture.ts'

/** In the order of their bytes, which isn't that of a walk through folders. */
const ORDERED = ['A', 'a-b', 'a.b', 'a/-', 'a/b', 'a/b.c', 'a/b/c', 'a0', 'aa/a', 'b'].filter((key) => key !== 'a/b')

export function listTests(suite: Suite): void {
  describe('list', () => {
    const folder = 'listed'
    const many = Array.from(
      { length: suite.listedObjects },
      (_, i) => `many/${String(i * 7919).padStart(9, '0')}/x.tar`,
    )

    before(async () => {
      const keys = [...ORDERED.map((key) => `${folder}/${key}`), ...many].reverse()
      for (let at = 0; at < keys.length; at += 16) {
        await Promise.all(
          keys.slice(at, at + 16).map((key) => suite.store.put(key, bytesSource(someBytes(key.length)))),
        )
      }
    })

    test('keys come in the order of their bytes, with their sizes', async () => {
      const sizes = new Map<string, number>()
      for await (const { key, sizeBytes } of suite.store.list({ prefix: `${folder}/` })) sizes.set(key, sizeBytes)
      assert.deepEqual(
        [...sizes.keys()],
        ORDERED.map((key) => `${folder}/${key}`),
      )
      for (const [key, sizeBytes] of sizes) assert.equal(sizeBytes, key.length)
    })

    for (const prefix of ['', 'a', 'a/', 'a/b', 'a/b/', 'a.', 'z', 'a/b.c']) {
      test(`a prefix '${prefix}' may end anywhere in a key`, async () => {
        const listed = await keysOf(suite.store.list({ prefix: `${folder}/${prefix}` }))
        const expected = ORDERED.filter((key) => key.startsWith(prefix)).map((key) => `${folder}/${key}`)
        assert.deepEqual(listed, expected)
      })
    }

    test('a list goes on after any key, whether it exists or not', async () => {
      for (const after of ['', 'A', 'a', 'a-b', 'a/', 'a/b', 'a/b/c', 'a/zzz', 'a0', 'b', 'c']) {
        const listed = await keysOf(suite.store.list({ prefix: `${folder}/`, after: `${folder}/${after}` }))
        const expected = ORDERED.filter((key) => key > after).map((key) => `${folder}/${key}`)
        assert.deepEqual(listed, expected, `after ${after}`)
      }
    })

    test('many objects come once each', async () => {
      assert.deepEqual(await keysOf(suite.store.list({ prefix: 'many/' })), many)
      assert.deepEqual(await keysOf(suite.store.list({ prefix: 'many/', after: many[50] })), many.slice(51))
    })

    test('everything is listed without a prefix', async () => {
      const listed = new Set(await keysOf(suite.store.list()))
      for (const key of many) assert.ok(listed.has(key))
      assert.ok([...listed].every((key) => !key.split('/').some((segment) => segment.startsWith('.'))))
    })

    test('who has seen enough may stop', async () => {
      const seen: string[] = []
      for await (const { key } of suite.store.list({ prefix: 'many/' })) {
        seen.push(key)
        if (seen.length === 3) break
      }
      assert.deepEqual(seen, many.slice(0, 3))
    })

    test('what is no beginning of a key is refused', async () => {
      for (const prefix of ['..', '../', '/', 'a//', 'a b', 'a/../b', '.firn']) {
        await rejectsWith('unsupported', keysOf(suite.store.list({ prefix })))
      }
    })
  })
}
