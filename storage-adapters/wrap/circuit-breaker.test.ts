import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { readAll, rejectsWith, someBytes } from '../conformance/fixture.ts'
import { StorageError } from '../contract/errors.ts'
import { checkStore, claimStore } from '../contract/identity.ts'
import { bytesSource } from '../contract/read-source.ts'
import { memoryStore } from '../memory/memory.ts'
import { type CircuitChange, type CircuitOptions, circuitBreaker } from './circuit-breaker.ts'
import { manualClock } from './clock.test.ts'
import { type FaultOptions, fault } from './fault.ts'
import { metrics } from './metrics.ts'

async function setUp(options: CircuitOptions = {}, faultOptions: FaultOptions = {}) {
  const clock = manualClock()
  const changes: CircuitChange[] = []
  let calls = 0
  const inner = fault(memoryStore(), { ...faultOptions, clock })
  await inner.put('a', bytesSource(someBytes(3_000_000)))
  const counted = metrics(inner, () => {
    calls += 1
  })
  const store = circuitBreaker(counted, { clock, onChange: (change) => changes.push(change), ...options })
  const fails = (times: number) => inner.faults.inject('error_before', { times })
  const states = () => changes.map(({ state }) => state)
  return { store, inner, clock, changes, states, fails, calls: () => calls }
}

async function failTimes(store: { stat(key: string): Promise<unknown> }, times: number): Promise<void> {
  for (let i = 0; i < times; i++) await rejectsWith('unavailable', store.stat('a'))
}

describe('circuit breaker', () => {
  test('a store that keeps failing is left alone until its time is over, and returns by the next call', async () => {
    const { store, clock, fails, calls, states, changes } = await setUp()
    fails(5)
    await failTimes(store, 5)
    assert.deepEqual(states(), ['open'])
    assert.match(changes[0]?.reason ?? '', /5 of the last 5 calls failed: .+/)
    const before = calls()
    await failTimes(store, 100)
    assert.equal(calls(), before, 'an isolated store was asked')
    clock.advance(5_000)
    await store.stat('a')
    assert.deepEqual(states(), ['open', 'half_open', 'closed'])
    await store.stat('a')
  })

  test('a trial that fails doubles the time, up to a bound', async () => {
    const { store, clock, fails, changes } = await setUp({ openMsMax: 15_000 })
    fails(8)
    await failTimes(store, 5)
    for (const openMs of [5_000, 10_000, 15_000]) {
      assert.equal(changes.at(-1)?.openMs, openMs)
      clock.advance(openMs - 1)
      await failTimes(store, 1)
      clock.advance(1)
      await failTimes(store, 1)
    }
    assert.equal(changes.at(-1)?.openMs, 15_000)
  })

  test('a store that works and fails in turns is isolated, for longer each time until it was calm', async () => {
    const { store, inner, clock, changes } = await setUp()
    inner.faults.flap(1, 1)
    const openings = () => changes.flatMap(({ openMs }) => openMs ?? [])
    while (openings().length < 4) {
      await store.stat('a').catch(() => undefined)
      clock.advance(1_000)
    }
    const [first, second] = openings()
    assert.equal(first, 5_000)
    assert.equal(second, 10_000)
    inner.faults.heal()
    clock.advance(10 * 60_000)
    await store.stat('a')
    clock.advance(10 * 60_000 + 1)
    inner.faults.inject('error_before', { times: 20 })
    await failTimes(store, 20)
    assert.equal(openings().at(-1), 5_000)
  })

  test('while one call tries the store, others are refused', async () => {
    const { store, clock, fails, inner, calls } = await setUp({}, { delayMs: 1 })
    fails(5)
    await failTimes(store, 5)
    clock.advance(5_000)
    const before = calls()
    inner.faults.inject('delay')
    const trial = store.stat('a')
    await Promise.all(Array.from({ length: 10 }, () => rejectsWith('unavailable', store.stat('a'))))
    await trial
    assert.equal(calls(), before + 1)
  })

  test('a caller who gives up during the trial leaves it to the next one', async () => {
    const { store, clock, fails } = await setUp()
    fails(5)
    await failTimes(store, 5)
    clock.advance(5_000)
    await rejectsWith('aborted', store.stat('a', AbortSignal.abort()))
    await store.stat('a')
  })

  test('refusals are answers, not failures', async () => {
    const { store, states } = await setUp()
    for (let i = 0; i < 50; i++) await rejectsWith('not_found', store.stat('b'))
    assert.deepEqual(states(), [])
  })

  test('seconds for each call are a failure, where that is set', async () => {
    const { store, inner, states } = await setUp({ slowMs: 2_000 }, { delayMs: 3_000 })
    inner.faults.inject('delay', { times: 5 })
    for (let i = 0; i < 5; i++) await store.stat('a')
    assert.deepEqual(states(), ['open'])
  })

  test('bodies that break off count', async () => {
    const { store, inner, states } = await setUp()
    inner.faults.inject('broken_body', { times: 100 })
    const read = async () => readAll((await store.get('a')).body)
    for (let i = 0; i < 8; i++) await rejectsWith('unavailable', read())
    assert.deepEqual(states(), ['open'])
  })

  test('a store that comes back as another one stays out', async () => {
    const clock = manualClock()
    const mine = fault(memoryStore(), { clock })
    const { store: identity } = await claimStore(mine)
    let disk: ReturnType<typeof fault> = mine
    const slot = new Proxy(mine, { get: (_, name) => Reflect.get(disk, name) })
    const store = circuitBreaker(slot, { clock, probe: async () => void (await checkStore(slot, identity)) })
    mine.faults.inject('error_before', { times: 5 })
    await failTimes(store, 5)
    disk = fault(memoryStore())
    clock.advance(5_000)
    await rejectsWith('misconfigured', store.put('a', bytesSource(someBytes(10))))
    await rejectsWith('not_found', disk.stat('a'))
    disk = mine
    clock.advance(10_000)
    await store.put('a', bytesSource(someBytes(10)))
  })

  test('a probe that is refused leaves the circuit open', async () => {
    let refuses = true
    const probe = async () => {
      if (refuses) throw new StorageError('permission_denied', 'it became read-only')
    }
    const { store, clock, fails, changes } = await setUp({ probe })
    fails(5)
    await failTimes(store, 5)
    clock.advance(5_000)
    await rejectsWith('permission_denied', store.stat('a'))
    assert.deepEqual(changes.at(-1)?.state, 'open')
    refuses = false
    clock.advance(10_000)
    await store.stat('a')
  })

  test('what no adapter may throw is a failure too', async () => {
    const clock = manualClock()
    const broken = Object.assign(Object.create(memoryStore()), { stat: () => Promise.reject(new TypeError('a bug')) })
    const store = circuitBreaker(broken, { clock })
    for (let i = 0; i < 5; i++) await assert.rejects(store.stat('a'), TypeError)
    await assert.rejects(store.stat('a'), StorageError)
  })
})
