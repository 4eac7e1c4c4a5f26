import assert from 'node:assert/strict'
import { once } from 'node:events'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { isStorageError } from '../contract/errors.ts'
import { readAll, rejectsWith, type Suite, someBytes, within } from './fixture.ts'

const READERS = 20

export function getTests(suite: Suite): void {
  describe('get', () => {
    test('whoever asks for a key that nobody put is told so', async () => {
      await suite.assertMissing(suite.key())
      await suite.assertMissing('nowhere/at/all')
    })

    test('a range gives exactly its bytes, and the size of the whole', async () => {
      const bytes = someBytes(suite.largeBytes)
      const key = await suite.stored(bytes)
      if (!suite.store.capabilities.rangeRead) {
        await rejectsWith('unsupported', suite.open(key, { range: { start: 0, end: 1 } }))
        return
      }
      const size = bytes.length
      for (const [start, end] of ranges(size)) {
        const { stat, body } = await suite.open(key, { range: { start, end } })
        assert.equal(stat.sizeBytes, size)
        assert.ok((await readAll(body)).equals(bytes.subarray(start, end)), `${start} to ${end}`)
      }
    })

    test('a range that is none, or goes past the end, is refused', async () => {
      if (!suite.store.capabilities.rangeRead) return
      const [key, empty] = [await suite.stored(someBytes(100)), await suite.stored(Buffer.alloc(0))]
      for (const [start, end] of NO_RANGES) {
        await rejectsWith('range_invalid', suite.open(key, { range: { start, end } }))
      }
      await rejectsWith('range_invalid', suite.open(empty, { range: { start: 0, end: 1 } }))
      await rejectsWith('range_invalid', suite.open(empty, { range: { start: 0, end: 0 } }))
    })

    test('many readers read the same object', async () => {
      const bytes = someBytes(suite.largeBytes)
      const key = await suite.stored(bytes)
      const reads = await Promise.all(Array.from({ length: 6 }, () => suite.read(key)))
      for (const read of reads) assert.ok(read.equals(bytes))
    })

    test('a slow reader gets everything', async () => {
      const bytes = someBytes(suite.largeBytes)
      const key = await suite.stored(bytes)
      const { body } = await suite.open(key)
      const chunks: Buffer[] = []
      for await (const chunk of body) {
        if (chunks.length < 5) await delay(50)
        chunks.push(chunk as Buffer)
      }
      assert.ok(Buffer.concat(chunks).equals(bytes))
    })

    test('readers that leave, before or after the first byte, take nothing with them', async () => {
      const bytes = someBytes(suite.largeBytes)
      const key = await suite.stored(bytes)
      for (let i = 0; i < READERS; i++) {
        const { body } = await suite.open(key)
        if (i % 2) await once(body, 'readable')
        body.destroy()
        if (!body.closed) await within(10_000, once(body, 'close'))
      }
      await suite.assertHolds(key, bytes)
    })

    test("what a reader does with its bytes doesn't change the object", async () => {
      const bytes = someBytes(1_000)
      const key = await suite.stored(bytes)
      const { body } = await suite.open(key)
      for await (const chunk of body) (chunk as Buffer).fill(0)
      await suite.assertHolds(key, bytes)
    })

    test('an object is there when the store is opened again', async () => {
      const { again } = suite
      if (again === undefined) return
      const bytes = someBytes(suite.largeBytes)
      const key = await suite.stored(bytes)
      const other = await again()
      await other.open()
      try {
        assert.equal((await other.stat(key)).sizeBytes, bytes.length)
        await suite.assertHolds(key, bytes)
      } finally {
        await other.close()
      }
    })

    test('a body may fail before anybody reads it, and tells who reads it then', async () => {
      const key = await suite.stored(someBytes(suite.largeBytes))
      const controller = new AbortController()
      const { body } = await suite.open(key, { signal: controller.signal })
      controller.abort()
      await delay(20)
      await rejectsWith('aborted', readAll(body))
    })

    test('a reader that gives up is told so by the body', async () => {
      const key = await suite.stored(someBytes(suite.largeBytes))
      const controller = new AbortController()
      const { body } = await suite.open(key, { signal: controller.signal })
      const reading = readAll(body)
      controller.abort()
      const [outcome] = await Promise.allSettled([within(10_000, reading)])
      // A fast store may have given everything before.
      if (outcome.status === 'rejected') assert.ok(isStorageError(outcome.reason, 'aborted'), String(outcome.reason))
      assert.ok(body.destroyed)
    })
  })
}

function ranges(size: number): [number, number][] {
  const middle = Math.floor(size / 2)
  return [
    [0, 1],
    [size - 1, size],
    [0, size],
    [1, size - 1],
    [middle, middle + 1],
    [middle - 40_000, middle + 40_000],
    [1024 * 1024 - 1, 1024 * 1024 + 1],
  ]
}

const NO_RANGES: readonly [number, number][] = [
  [0, 0],
  [5, 5],
  [5, 3],
  [-1, 3],
  [0, 101],
  [99, 101],
  [100, 101],
  [200, 300],
  [0.5, 2],
  [0, Number.NaN],
  [0, Number.POSITIVE_INFINITY],
]
