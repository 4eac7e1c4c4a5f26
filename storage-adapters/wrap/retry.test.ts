import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { keysOf, permitFor, readAll, rejectsWith, someBytes } from '../conformance/fixture.ts'
import type { StorageAdapter } from '../contract/adapter.ts'
import { StorageError } from '../contract/errors.ts'
import { bytesSource } from '../contract/read-source.ts'
import { memoryStore } from '../memory/memory.ts'
import { manualClock } from './clock.test.ts'
import { type FaultOptions, fault } from './fault.ts'
import { metrics, type Observation } from './metrics.ts'
import { retry } from './retry.ts'

const BYTES = someBytes(3_000_000)

/** A retrying store over a bad one, and what really reached the latter. */
function setUp(options: FaultOptions = {}, inner: StorageAdapter = memoryStore({ objectLock: 'compliance' })) {
  const clock = manualClock()
  const seen: Observation[] = []
  const bad = fault(inner, { ...options, clock })
  const store = retry(
    metrics(bad, (observation) => seen.push(observation)),
    { clock, random: () => 1 },
  )
  const calls = (operation: string) => seen.filter((each) => each.operation === operation).length
  return { store, inner, faults: bad.faults, clock, calls }
}

describe('retry', () => {
  test('what may succeed later is repeated with growing pauses, five times in all', async () => {
    const { store, faults, clock, calls } = setUp()
    faults.inject('error_before', { operation: 'stat', times: 100 })
    await rejectsWith('unavailable', store.stat('a'))
    assert.equal(calls('stat'), 5)
    assert.deepEqual(clock.slept, [200, 400, 800, 1600])
  })

  for (const code of ['permission_denied', 'out_of_space', 'recall_needed', 'misconfigured', 'aborted'] as const) {
    test(`${code} is not repeated`, async () => {
      const { store, faults, calls } = setUp()
      faults.inject('error_before', { operation: 'put', code })
      await rejectsWith(code, store.put('a', bytesSource(BYTES)))
      assert.equal(calls('put'), 1)
    })
  }

  test('a put whose outcome is unknown but that was done is found by stat, not repeated', async () => {
    const { store, faults, calls } = setUp()
    faults.inject('error_after', { operation: 'put' })
    const receipt = await store.put('a', bytesSource(BYTES))
    assert.equal(receipt.sha256, bytesSource(BYTES).sha256)
    assert.deepEqual([calls('put'), calls('stat')], [1, 1])
  })

  test('a put whose outcome is unknown and that was not done is repeated', async () => {
    const { store, faults, calls } = setUp()
    faults.inject('error_before', { operation: 'put', code: 'outcome_unknown' })
    assert.equal((await store.put('a', bytesSource(BYTES))).created, true)
    assert.deepEqual([calls('put'), calls('stat')], [2, 1])
  })

  test('a put whose outcome is unknown is repeated when a lock is wanted, so that it gets one', async () => {
    const { store, faults } = setUp()
    faults.inject('error_after', { operation: 'put' })
    const lockUntil = new Date(Date.now() + 60_000)
    const receipt = await store.put('a', bytesSource(BYTES), { lockUntil })
    assert.deepEqual(receipt.lockedUntil, lockUntil)
  })

  test('a stale size while the outcome is looked for is not believed', async () => {
    const { store, faults, inner } = setUp()
    faults.inject('error_after', { operation: 'put' })
    faults.inject('stale_size', { operation: 'stat' })
    await store.put('a', bytesSource(BYTES))
    assert.equal((await inner.stat('a')).sizeBytes, BYTES.length)
  })

  test('an outcome that stays unknown is told as such', async () => {
    const { store, faults, calls } = setUp()
    faults.inject('error_before', { operation: 'put', code: 'outcome_unknown', times: 100 })
    await rejectsWith('outcome_unknown', store.put('a', bytesSource(BYTES)))
    assert.equal(calls('put'), 5)
  })

  test('a removal whose outcome is unknown is looked for', async () => {
    const { store, faults, calls } = setUp()
    await store.put('a', bytesSource(BYTES))
    faults.inject('error_after', { operation: 'remove' })
    await store.remove('a', permitFor('a', BYTES))
    assert.equal(calls('remove'), 1)
  })

  test('a body that breaks off is taken up where it stopped', async () => {
    const { store, faults, calls } = setUp()
    await store.put('a', bytesSource(BYTES))
    faults.inject('broken_body', { times: 2 })
    assert.ok((await readAll((await store.get('a')).body)).equals(BYTES))
    assert.equal(calls('get'), 3)
    faults.inject('broken_body')
    const range = { start: 1_000_000, end: 2_500_000 }
    assert.ok((await readAll((await store.get('a', { range })).body)).equals(BYTES.subarray(range.start, range.end)))
  })

  test('a body that always breaks off is given up', async () => {
    const { store, faults } = setUp()
    await store.put('a', bytesSource(BYTES))
    faults.inject('broken_body', { times: 100 })
    await rejectsWith('unavailable', readAll((await store.get('a')).body))
  })

  test('a list that breaks off goes on after the last key', async () => {
    const inner = memoryStore()
    for (const key of ['a', 'b', 'c']) await inner.put(key, bytesSource(Buffer.from(key)))
    let breaks = 2
    const breaking: StorageAdapter = Object.assign(Object.create(inner), {
      async *list(options: object) {
        for await (const stat of inner.list(options)) {
          yield stat
          if (stat.key !== 'c' && breaks-- > 0) throw new StorageError('unavailable', 'the list broke off')
        }
      },
    })
    const store = retry(breaking, { clock: manualClock() })
    assert.deepEqual(await keysOf(store.list()), ['a', 'b', 'c'])
  })

  test('a caller who gives up does not wait for the pause', async () => {
    const store = retry(setUpDown(), { firstDelayMs: 60_000 })
    await rejectsWith('aborted', store.stat('a', AbortSignal.timeout(20)))
  })
})

function setUpDown(): StorageAdapter {
  return fault(memoryStore(), { rates: { error_before: 1 } })
}
