import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { isCapacityAware, isLockable, isRecallable } from '../contract/adapter.ts'
import { bytesSource } from '../contract/read-source.ts'
import { closeStore, openStore, permitFor, rejectsWith, type Suite, sha256, someBytes } from './fixture.ts'
import { honestSource } from './liars.ts'

/** Capabilities that are there keep their promise, and those that aren't are refused. */
export function abilityTests(suite: Suite): void {
  describe('capabilities', () => {
    test('are told in full, and are the same when the store is probed again', async () => {
      const { store } = suite
      const told = { ...store.capabilities }
      assert.ok(['native', 'link', 'none'].includes(told.createOnly))
      assert.ok(['none', 'governance', 'compliance'].includes(told.objectLock))
      for (const flag of [told.rangeRead, told.capacity, told.recall, told.backendSha256]) {
        assert.equal(typeof flag, 'boolean')
      }
      assert.ok(Number.isSafeInteger(told.requestsMax) && told.requestsMax > 0)
      for (const { reason } of told.lowered) assert.ok(reason.length > 10, 'a reason is a sentence')
      await store.open()
      assert.deepEqual({ ...store.capabilities }, told)
    })

    test('are there as methods exactly when they are told', () => {
      const { store } = suite
      const { objectLock, capacity, recall } = store.capabilities
      if (objectLock !== 'none') assert.ok(isLockable(store))
      assert.equal(isCapacityAware(store), capacity)
      assert.equal(isRecallable(store), recall)
    })

    test('a lock that the store has not is refused, and nothing stored', async () => {
      if (suite.store.capabilities.objectLock !== 'none') return
      const key = suite.key()
      const lockUntil = new Date(Date.now() + suite.lockMs)
      await rejectsWith('unsupported', suite.store.put(key, honestSource(someBytes(10)), { lockUntil }))
      await suite.assertMissing(key)
    })

    test('capacity is plausible', async () => {
      const { store } = suite
      if (!isCapacityAware(store)) return
      const { bytesTotal, bytesFree } = await store.capacity()
      assert.ok(Number.isFinite(bytesTotal) && bytesTotal > 0)
      assert.ok(bytesFree >= 0 && bytesFree <= bytesTotal)
    })

    test('a cold object is readable after it was recalled', async () => {
      const { store } = suite
      if (!isRecallable(store)) return
      const bytes = someBytes(1_000)
      const key = await suite.stored(bytes)
      assert.equal(await store.recallState(key), 'cold')
      await rejectsWith('recall_needed', store.get(key))
      assert.equal((await store.stat(key)).sizeBytes, bytes.length)
      await suite.assertHolds(key, bytes)
      assert.equal(await store.recallState(key), 'online')
      await rejectsWith('not_found', store.recallState(suite.key()))
    })

    test('who checked the digest is told, and is the store only where it can', async () => {
      const { checksumBy } = await suite.store.put(suite.key(), honestSource(someBytes(1_000)))
      if (!suite.store.capabilities.backendSha256) assert.equal(checksumBy, 'adapter')
    })
  })
}

export function fullTests(suite: Suite): void {
  const { small } = suite
  if (small === undefined) return
  describe('a full store', () => {
    test('refuses what does not fit, keeps and reads what it has, and takes what fits', async () => {
      const opened = await openStore(small)
      const store = opened.adapter
      try {
        const bytes = someBytes(1_000)
        await store.put('kept', bytesSource(bytes))
        await rejectsWith('out_of_space', store.put('large', honestSource(someBytes(suite.largeBytes))))
        await rejectsWith('not_found', store.stat('large'))
        assert.equal((await store.stat('kept')).sizeBytes, bytes.length)
        assert.equal((await store.put('fits', bytesSource(bytes))).sha256, sha256(bytes))
        await store.remove('kept', permitFor('kept', bytes))
      } finally {
        await closeStore(opened)
      }
    })
  })
}
