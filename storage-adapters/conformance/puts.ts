import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isStorageError } from '../contract/errors.ts'
import { bytesSource } from '../contract/read-source.ts'
import { keysOf, rejectsWith, type Suite, sha256, someBytes, within } from './fixture.ts'
import { honestSource, LIES, stalledSource } from './liars.ts'

const NO_KEYS = ['', '/', 'a//b', '/a', 'a/', '..', 'a/../b', 'a/./b', '.a', 'a/.b', 'a b', 'ä', 'a\\b', 'a\nb', 'a:b']
const WRITERS = 6

export function putTests(suite: Suite): void {
  describe('put', () => {
    for (const [name, size] of sizes(suite)) {
      test(`${name} is stored whole, and its receipt tells what was stored`, async () => {
        const bytes = someBytes(size)
        const key = suite.key()
        const receipt = await suite.store.put(key, honestSource(bytes))
        assert.equal(receipt.created, true)
        assert.equal(receipt.sizeBytes, bytes.length)
        assert.equal(receipt.sha256, sha256(bytes))
        await suite.assertHolds(key, bytes)
        const { sha256: recorded } = await suite.store.stat(key)
        assert.ok(recorded === undefined || recorded === sha256(bytes))
      })
    }

    test('a source may come in pieces of any size', async () => {
      const bytes = someBytes(4_099)
      const key = suite.key()
      await suite.store.put(key, honestSource(bytes, 1))
      await suite.assertHolds(key, bytes)
    })

    test('the same bytes again are not created again', async () => {
      const bytes = someBytes(suite.largeBytes)
      const key = await suite.stored(bytes)
      const receipt = await suite.store.put(key, bytesSource(bytes))
      assert.equal(receipt.created, false)
      assert.equal(receipt.sha256, sha256(bytes))
      await suite.assertHolds(key, bytes)
    })

    for (const [name, other] of [
      ['other bytes of the same size', someBytes(1_000, 'other')],
      ['more bytes', someBytes(1_001)],
      ['fewer bytes', someBytes(999)],
      ['no bytes', Buffer.alloc(0)],
    ] as const) {
      test(`${name} don't replace what is there`, async () => {
        const bytes = someBytes(1_000)
        const key = await suite.stored(bytes)
        await rejectsWith('exists_different', suite.store.put(key, bytesSource(other)))
        await suite.assertHolds(key, bytes)
      })
    }

    test('nobody sees an object before it is whole', async () => {
      const bytes = someBytes(suite.largeBytes)
      const key = suite.key()
      const source = stalledSource(bytes)
      const putting = suite.store.put(key, source)
      await within(10_000, source.stalled)
      await suite.assertMissing(key)
      source.finish()
      assert.equal((await putting).created, true)
      await suite.assertHolds(key, bytes)
    })

    test('writers of the same bytes at the same moment all succeed', async () => {
      const bytes = someBytes(suite.largeBytes)
      const key = suite.key()
      const receipts = await Promise.all(Array.from({ length: 3 }, () => suite.store.put(key, honestSource(bytes))))
      const created = receipts.filter((receipt) => receipt.created).length
      if (suite.store.capabilities.createOnly !== 'none') assert.ok(created <= 1, `${created} say they created it`)
      await suite.assertHolds(key, bytes)
    })

    test('of writers of other bytes at the same moment one succeeds, where the store can tell', async () => {
      const key = suite.key()
      const versions = Array.from({ length: WRITERS }, (_, i) => someBytes(10_000, `writer ${i}`))
      const outcomes = await Promise.allSettled(versions.map((bytes) => suite.store.put(key, honestSource(bytes))))
      const refused = outcomes.filter((outcome) => outcome.status === 'rejected')
      for (const { reason } of refused) assert.ok(isStorageError(reason, 'exists_different'), String(reason))
      const held = await suite.read(key)
      const winner = versions.findIndex((bytes) => bytes.equals(held))
      assert.ok(winner >= 0, 'the object is a mixture')
      if (suite.store.capabilities.createOnly === 'none') return
      assert.equal(refused.length, WRITERS - 1)
      assert.equal(outcomes[winner]?.status, 'fulfilled', 'the bytes of a writer that was refused are there')
    })

    test('other keys are written side by side', async () => {
      const keys = Array.from({ length: WRITERS }, () => suite.key())
      await Promise.all(keys.map((key) => suite.store.put(key, honestSource(someBytes(50_000, key)))))
      for (const key of keys) await suite.assertHolds(key, someBytes(50_000, key))
    })

    test('what is no key is refused', async () => {
      for (const key of [...NO_KEYS, 'a'.repeat(201), 'a/'.repeat(300)]) {
        await rejectsWith('unsupported', suite.store.put(key, bytesSource(someBytes(1))))
        await rejectsWith('unsupported', suite.store.get(key))
        await rejectsWith('unsupported', suite.store.stat(key))
      }
    })

    test('an object larger than the store takes is refused before its source is opened', async () => {
      const { objectBytesMax } = suite.store.capabilities
      if (objectBytesMax === undefined) return
      const source = { ...honestSource(someBytes(1)), sizeBytes: objectBytesMax + 1 }
      const key = suite.key()
      await rejectsWith('unsupported', suite.store.put(key, source))
      assert.equal(source.opened.length, 0)
      await suite.assertMissing(key)
    })
  })
}

function sizes({ largeBytes }: Suite): [string, number][] {
  return [
    ['an empty object', 0],
    ['one byte', 1],
    ['a small object', 70_001],
    ['a large object', largeBytes],
  ]
}

export function lieTests(suite: Suite): void {
  describe('a source that lies', () => {
    for (const { name, code, tell } of LIES) {
      for (const size of [1_000, suite.largeBytes]) {
        test(`${name} (of ${size} bytes)`, async () => {
          const bytes = someBytes(size)
          const key = suite.key()
          const liar = tell(bytes)
          await rejectsWith(code, suite.store.put(key, liar))
          await suite.assertMissing(key)
          for (const stream of liar.opened) assert.ok(stream.destroyed, "the source's stream was left open")
          assert.equal((await suite.store.put(key, honestSource(bytes))).created, true)
          await suite.assertHolds(key, bytes)
        })
      }
    }

    test('leaves nothing that a list shows', async () => {
      const prefix = `${suite.key('lies')}/`
      for (const { tell } of LIES) await suite.store.put(`${prefix}x`, tell(someBytes(100))).catch(() => undefined)
      assert.deepEqual(await keysOf(suite.store.list({ prefix })), [])
    })
  })
}
