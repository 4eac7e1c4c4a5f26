import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { isLockable, type Lockable, type StorageAdapter } from '../contract/adapter.ts'
import { bytesSource } from '../contract/read-source.ts'
import { permitFor, rejectsWith, type Suite, someBytes } from './fixture.ts'
import { honestSource } from './liars.ts'

export function lockTests(suite: Suite): void {
  describe('locks', () => {
    /** Undefined where the store has none; what it does then is tested elsewhere. */
    const locking = (): (StorageAdapter & Lockable) | undefined =>
      suite.store.capabilities.objectLock !== 'none' && isLockable(suite.store) ? suite.store : undefined
    /** Stores keep whole seconds. */
    const later = (ms: number) => new Date(Math.ceil((Date.now() + ms) / 1000) * 1000)

    for (const size of [1_000, suite.largeBytes]) {
      test(`${size} bytes that are locked can't be removed before the lock has run out`, async () => {
        const store = locking()
        if (!store) return
        const bytes = someBytes(size)
        const key = suite.key()
        const lockUntil = later(suite.lockMs)
        const receipt = await store.put(key, honestSource(bytes), { lockUntil })
        assert.ok(receipt.lockedUntil && receipt.lockedUntil >= lockUntil)
        const lock = await store.getLock(key)
        assert.equal(lock.mode, store.capabilities.objectLock)
        assert.ok(lock.until && lock.until >= lockUntil)
        await rejectsWith('locked', store.remove(key, permitFor(key, bytes)))
        await suite.assertHolds(key, bytes)
        await delay(lock.until.getTime() - Date.now() + 1_100)
        await store.remove(key, permitFor(key, bytes))
        await suite.assertMissing(key)
      })
    }

    test('a lock is only ever extended', async () => {
      const store = locking()
      if (!store) return
      const key = await suite.stored(someBytes(1_000))
      assert.deepEqual(await store.getLock(key), { mode: 'none', legalHold: false })
      const [first, second] = [later(suite.lockMs), later(suite.lockMs + 2_000)]
      assert.ok(((await store.extendLock(key, first)).until ?? 0) >= first)
      assert.ok(((await store.extendLock(key, second)).until ?? 0) >= second)
      assert.ok(((await store.extendLock(key, first)).until ?? 0) >= second)
      await rejectsWith('locked', store.remove(key, permitFor(key, someBytes(1_000))))
    })

    test('what was stored before gets the lock of a later put', async () => {
      const store = locking()
      if (!store) return
      const key = await suite.stored(someBytes(1_000))
      const lockUntil = later(suite.lockMs)
      const receipt = await store.put(key, bytesSource(someBytes(1_000)), { lockUntil })
      assert.equal(receipt.created, false)
      assert.ok(((await store.getLock(key)).until ?? 0) >= lockUntil)
    })

    test('a legal hold forbids removal until it is lifted', async () => {
      const store = locking()
      if (!store) return
      const bytes = someBytes(1_000)
      const key = await suite.stored(bytes)
      assert.equal((await store.setLegalHold(key, true)).legalHold, true)
      await rejectsWith('locked', store.remove(key, permitFor(key, bytes)))
      await suite.assertHolds(key, bytes)
      assert.equal((await store.setLegalHold(key, false)).legalHold, false)
      await store.remove(key, permitFor(key, bytes))
      await suite.assertMissing(key)
    })

    test('an object that is missing has no lock', async () => {
      const store = locking()
      if (!store) return
      await rejectsWith('not_found', store.getLock(suite.key()))
      await rejectsWith('not_found', store.extendLock(suite.key(), later(1_000)))
      await rejectsWith('not_found', store.setLegalHold(suite.key(), true))
    })
  })
}
