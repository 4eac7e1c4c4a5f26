import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rejectsWith } from '../conformance/fixture.ts'
import { memoryStore } from '../memory/memory.ts'
import { fault } from '../wrap/fault.ts'
import { checkStore, claimStore, IDENTITY_KEY, readIdentity } from './identity.ts'
import { bytesSource } from './read-source.ts'

test('a new store is claimed once and known again', async () => {
  const store = memoryStore()
  assert.equal(await readIdentity(store), undefined)
  const identity = await claimStore(store, { archive: 'Radiology', now: new Date(0) })
  assert.equal(identity.createdAt, '1970-01-01T00:00:00.000Z')
  assert.deepEqual(await checkStore(store, identity.store), identity)
  await rejectsWith('misconfigured', claimStore(store))
})

test('a store that is not empty is not claimed', async () => {
  const store = memoryStore()
  await store.put('packs/x.tar', bytesSource(Buffer.from('x')))
  await rejectsWith('misconfigured', claimStore(store))
  assert.equal(await readIdentity(store), undefined)
})

test('of two archives that claim a store at the same moment one gets it', async () => {
  const store = memoryStore()
  const outcomes = await Promise.allSettled([claimStore(store), claimStore(store)])
  const won = outcomes.filter((outcome) => outcome.status === 'fulfilled')
  assert.equal(won.length, 1)
  await checkStore(store, won[0]?.value.store ?? '')
})

test('an emptied, another and a damaged store are refused', async () => {
  const [mine, other, emptied, damaged] = [memoryStore(), memoryStore(), memoryStore(), memoryStore()]
  const { store } = await claimStore(mine)
  await claimStore(other)
  await rejectsWith('misconfigured', checkStore(other, store))
  await rejectsWith('misconfigured', checkStore(emptied, store))
  for (const text of ['', '{', 'null', '[]', '{"firn":1}', JSON.stringify({ firn: 2, store, createdAt: '' })]) {
    const unreadable = memoryStore()
    await unreadable.put(IDENTITY_KEY, bytesSource(Buffer.from(text)))
    await rejectsWith('misconfigured', checkStore(unreadable, store))
  }
  await damaged.put(IDENTITY_KEY, bytesSource(Buffer.alloc(1024 * 1024)))
  await rejectsWith('misconfigured', checkStore(damaged, store))
})

test("a store that doesn't answer is not taken for another one", async () => {
  const store = fault(memoryStore())
  const identity = await claimStore(store)
  store.faults.inject('error_before', { operation: 'get' })
  await rejectsWith('unavailable', checkStore(store, identity.store))
  await checkStore(store, identity.store)
})
