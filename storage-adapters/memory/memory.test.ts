import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conformance } from '../conformance/conformance.ts'
import { permitFor, rejectsWith, someBytes } from '../conformance/fixture.ts'
import { isLockable, isRecallable } from '../contract/adapter.ts'
import { bytesSource } from '../contract/read-source.ts'
import { memoryStore } from './memory.ts'

const small = () => memoryStore({ bytesTotal: 100_000 })

conformance('memory', () => memoryStore(), { small })
conformance('memory with locks', () => memoryStore({ objectLock: 'compliance' }), { lockMs: 500 })
conformance('memory with governance locks', () => memoryStore({ objectLock: 'governance' }), { lockMs: 500 })
conformance('cold memory', () => memoryStore({ recallMs: 1 }))

test('locks and recalls go by the clock that is given', async () => {
  let now = new Date('2026-01-01T00:00:00Z')
  const store = memoryStore({ objectLock: 'compliance', recallMs: 60_000, now: () => now })
  assert.ok(isLockable(store) && isRecallable(store))
  const bytes = someBytes(100)
  await store.put('a', bytesSource(bytes), { lockUntil: new Date('2056-01-01T00:00:00Z') })
  await store.requestRecall(['a'])
  assert.equal(await store.recallState('a'), 'requested')
  now = new Date('2026-01-01T00:01:00Z')
  assert.equal(await store.recallState('a'), 'online')
  await rejectsWith('locked', store.remove('a', permitFor('a', bytes)))
  now = new Date('2056-01-01T00:00:00Z')
  await store.remove('a', permitFor('a', bytes))
  const { bytesTotal, bytesFree } = await store.capacity()
  assert.equal(bytesFree, bytesTotal)
})
