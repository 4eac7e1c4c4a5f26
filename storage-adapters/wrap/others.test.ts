import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { keysOf, readAll, rejectsWith, sha256, someBytes } from '../conformance/fixture.ts'
import { stalledSource } from '../conformance/liars.ts'
import { isCapacityAware, isLockable, isRecallable } from '../contract/adapter.ts'
import { bytesSource } from '../contract/read-source.ts'
import { memoryStore } from '../memory/memory.ts'
import { circuitBreaker } from './circuit-breaker.ts'
import { manualClock } from './clock.test.ts'
import { fault } from './fault.ts'
import { limit } from './limit.ts'
import { metrics, type Observation } from './metrics.ts'
import { retry } from './retry.ts'
import { verifyRead } from './verify-read.ts'

const BYTES = someBytes(3_000_000)
const SOURCE = bytesSource(BYTES)

describe('optional interfaces', () => {
  const wrappers = [
    retry,
    circuitBreaker,
    verifyRead,
    fault,
    (inner: ReturnType<typeof memoryStore>) => metrics(inner, () => undefined),
    (inner: ReturnType<typeof memoryStore>) => limit(inner, { requestsMax: 1 }),
  ]
  test('are there behind each wrapper exactly when the inner adapter has them', () => {
    for (const wrap of wrappers) {
      const plain = wrap(memoryStore())
      assert.deepEqual([isLockable(plain), isRecallable(plain), isCapacityAware(plain)], [false, false, true])
      const rich = wrap(memoryStore({ objectLock: 'compliance', recallMs: 1 }))
      assert.deepEqual([isLockable(rich), isRecallable(rich), isCapacityAware(rich)], [true, true, true])
      const poor = wrap(Object.assign(Object.create(memoryStore()), { capacity: undefined }))
      assert.equal(isCapacityAware(poor), false)
    }
  })
})

describe('limit', () => {
  test('no more calls reach the store than are allowed', async () => {
    const inner = memoryStore()
    const store = limit(inner, { requestsMax: 2 })
    const sources = Array.from({ length: 5 }, () => stalledSource(BYTES))
    const puts = sources.map((source, i) => store.put(`k${i}`, source))
    await Promise.all(sources.slice(0, 2).map((source) => source.stalled))
    assert.equal(sources.filter((source) => source.opened.length > 0).length, 2)
    for (const source of sources) source.finish()
    await Promise.all(puts)
  })

  test('a body counts until it was read or destroyed', async () => {
    const store = limit(memoryStore(), { requestsMax: 1 })
    await store.put('a', SOURCE)
    const first = await store.get('a')
    const second = store.get('a')
    const early = await Promise.race([second.then(() => 'early'), new Promise((resolve) => setTimeout(resolve, 30))])
    assert.equal(early, undefined)
    first.body.destroy()
    assert.ok((await readAll((await second).body)).equals(BYTES))
  })

  test('who waits too long can leave, and too many are refused', async () => {
    const store = limit(memoryStore(), { requestsMax: 1, waitingMax: 1 })
    const stalled = stalledSource(BYTES)
    const putting = store.put('a', stalled)
    const controller = new AbortController()
    const waiting = store.stat('a', controller.signal)
    await rejectsWith('rate_limited', store.stat('a'))
    controller.abort()
    await rejectsWith('aborted', waiting)
    stalled.finish()
    await putting
    await store.stat('a')
  })

  test('bytes in both directions are spread over time', async () => {
    const clock = manualClock()
    const store = limit(memoryStore(), { requestsMax: 4, bytesPerSecond: 1_000_000, clock })
    await store.put('a', SOURCE)
    await readAll((await store.get('a')).body)
    const tookMs = clock.now()
    assert.ok(tookMs >= 3_000 && tookMs <= 6_000, `${tookMs} ms for 6 MB at 1 MB/s, the last piece being free`)
  })
})

describe('verified reads', () => {
  for (const lie of ['wrong_byte', 'short_body'] as const) {
    test(`${lie}: nobody gets a whole object that is wrong`, async () => {
      const inner = fault(memoryStore())
      const store = verifyRead(inner)
      await store.put('a', SOURCE)
      inner.faults.inject(lie)
      await rejectsWith('integrity_mismatch', readAll((await store.get('a')).body))
      assert.ok((await readAll((await store.get('a')).body)).equals(BYTES))
    })
  }

  test('what the caller expects counts more than what the store recorded', async () => {
    const inner = memoryStore()
    await inner.put('a', SOURCE)
    const store = verifyRead(inner, { expected: (key) => (key === 'a' ? sha256(Buffer.from('other')) : undefined) })
    await rejectsWith('integrity_mismatch', readAll((await store.get('a')).body))
  })

  test('an object of one piece is held back until it is known to be right', async () => {
    const inner = fault(memoryStore())
    await inner.put('a', bytesSource(someBytes(100)))
    inner.faults.inject('wrong_byte')
    const { body } = await verifyRead(inner).get('a')
    let received = 0
    await assert.rejects(async () => {
      for await (const chunk of body) received += (chunk as Buffer).length
    })
    assert.equal(received, 0)
  })
})

describe('metrics', () => {
  test('tell what was done, how much and how it ended', async () => {
    const seen: Observation[] = []
    const inner = fault(memoryStore({ id: 'shelf' }))
    const store = metrics(inner, (observation) => seen.push(observation))
    await store.put('a', SOURCE)
    await readAll((await store.get('a')).body)
    inner.faults.inject('broken_body')
    await readAll((await store.get('a')).body).catch(() => undefined)
    ;(await store.get('a')).body.destroy()
    await new Promise(setImmediate)
    await store.stat('b').catch(() => undefined)
    await keysOf(store.list())
    const summary = seen.map(({ operation, outcome, bytes }) => `${operation} ${outcome} ${bytes}`)
    assert.deepEqual(summary, [
      `put ok ${BYTES.length}`,
      'get ok 0',
      `read ok ${BYTES.length}`,
      'get ok 0',
      `read unavailable ${BYTES.length / 2}`,
      'get ok 0',
      'read aborted 0',
      'stat not_found 0',
      'list ok 0',
    ])
    assert.ok(seen.every(({ store, durationMs }) => store === 'shelf' && durationMs >= 0))
  })
})

describe('faults', () => {
  test('the same seed makes the same faults', async () => {
    const run = async (seed: number) => {
      const store = fault(memoryStore(), { seed, rates: { error_before: 0.5 } })
      const outcomes: string[] = []
      for (let i = 0; i < 40; i++) outcomes.push(await store.stat('a').catch((error) => error.code))
      return outcomes.join()
    }
    assert.equal(await run(1), await run(1))
    assert.notEqual(await run(1), await run(2))
  })

  test('lists lag, sizes are stale and disks are full', async () => {
    const clock = manualClock()
    const store = fault(memoryStore(), { clock, rates: { list_late: 1 } })
    await store.put('a', SOURCE)
    assert.deepEqual(await keysOf(store.list()), [])
    clock.advance(5_000)
    assert.deepEqual(await keysOf(store.list()), ['a'])
    store.faults.inject('stale_size', { operation: 'stat' })
    assert.notEqual((await store.stat('a')).sizeBytes, BYTES.length)
    store.faults.inject('full')
    await rejectsWith('out_of_space', store.put('b', SOURCE))
    store.faults.flap(1, 1)
    await store.stat('a')
    await rejectsWith('unavailable', store.stat('a'))
    store.faults.heal()
    await store.stat('a')
  })
})
