import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { keysOf, permitFor, rejectsWith, type Suite, someBytes, within } from './fixture.ts'
import { honestSource, stalledSource } from './liars.ts'

export function signalTests(suite: Suite): void {
  describe('a caller that gives up', () => {
    test('beforehand, changes nothing', async () => {
      const bytes = someBytes(1_000)
      const [key, there] = [suite.key(), await suite.stored(bytes)]
      const signal = AbortSignal.abort()
      const source = honestSource(bytes)
      await rejectsWith('aborted', suite.store.put(key, source, { signal }))
      await suite.assertMissing(key)
      await rejectsWith('aborted', suite.store.get(there, { signal }))
      await rejectsWith('aborted', suite.store.stat(there, signal))
      await rejectsWith('aborted', keysOf(suite.store.list({ signal })))
      await rejectsWith('aborted', suite.store.remove(there, permitFor(there, bytes), signal))
      await suite.assertHolds(there, bytes)
    })

    for (const size of [1_000, suite.largeBytes]) {
      test(`while the source of ${size} bytes is slow, is heard at once`, async () => {
        const bytes = someBytes(size)
        const key = suite.key()
        const source = stalledSource(bytes)
        const controller = new AbortController()
        const putting = suite.store.put(key, source, { signal: controller.signal })
        putting.catch(() => undefined)
        await within(10_000, source.stalled)
        controller.abort()
        await within(5_000, rejectsWith('aborted', putting))
        for (const stream of source.opened) assert.ok(stream.destroyed)
        source.finish()
        await suite.assertMissing(key)
        assert.equal((await suite.store.put(key, honestSource(bytes))).created, true)
      })
    }

    test('while objects are listed, is heard', async () => {
      for (let i = 0; i < 3; i++) await suite.stored(someBytes(10))
      const controller = new AbortController()
      const listing = async () => {
        for await (const _ of suite.store.list({ prefix: 'conformance/', signal: controller.signal }))
          controller.abort()
      }
      await rejectsWith('aborted', listing())
    })
  })
}
