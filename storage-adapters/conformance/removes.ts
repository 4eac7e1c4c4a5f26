import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Permit } from '../contract/permit.ts'
import { bytesSource } from '../contract/read-source.ts'
import { permitFor, rejectsWith, type Suite, someBytes } from './fixture.ts'

export function removeTests(suite: Suite): void {
  describe('remove', () => {
    for (const size of [1_000, suite.largeBytes]) {
      test(`with a permit ${size} bytes are gone, and the key can be used again`, async () => {
        const bytes = someBytes(size)
        const key = await suite.stored(bytes)
        await suite.store.remove(key, permitFor(key, bytes))
        await suite.assertMissing(key)
        await rejectsWith('not_found', suite.store.remove(key, permitFor(key, bytes)))
        const other = someBytes(size, 'other')
        assert.equal((await suite.store.put(key, bytesSource(other))).created, true)
        await suite.assertHolds(key, other)
      })
    }

    test('without a genuine permit for this very object nothing is freed', async () => {
      const bytes = someBytes(1_000)
      const key = await suite.stored(bytes)
      const permit = permitFor(key, bytes)
      const forged: unknown[] = [
        { ...permit },
        Object.create(permit),
        JSON.parse(JSON.stringify(permit)),
        undefined,
        null,
      ]
      for (const forgery of forged) await rejectsWith('permission_denied', suite.store.remove(key, forgery as Permit))
      await rejectsWith('permission_denied', suite.store.remove(key, permitFor(`${key}x`, bytes)))
      const { sha256 } = await suite.store.stat(key)
      if (sha256 !== undefined) {
        await rejectsWith('permission_denied', suite.store.remove(key, permitFor(key, someBytes(1_000, 'other'))))
      }
      await suite.assertHolds(key, bytes)
    })

    test('neighbours stay', async () => {
      const folder = suite.key('folder')
      const [gone, stays] = [`${folder}/a`, `${folder}/a.b`]
      for (const key of [gone, stays]) await suite.store.put(key, bytesSource(someBytes(100)))
      await suite.store.remove(gone, permitFor(gone, someBytes(100)))
      await suite.assertNotFound(gone)
      await suite.assertHolds(stays, someBytes(100))
    })

    test('objects come and go side by side in one folder', async () => {
      const folder = suite.key('busy')
      await Promise.all(
        Array.from({ length: 4 }, async (_, writer) => {
          const key = `${folder}/deep/${writer}`
          for (let i = 0; i < 5; i++) {
            await suite.store.put(key, bytesSource(someBytes(500)))
            await suite.store.remove(key, permitFor(key, someBytes(500)))
          }
          await suite.store.put(key, bytesSource(someBytes(500)))
        }),
      )
      for (let writer = 0; writer < 4; writer++) await suite.assertHolds(`${folder}/deep/${writer}`, someBytes(500))
    })
  })
}
