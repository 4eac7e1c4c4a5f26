import assert from 'node:assert/strict'
import { test } from 'node:test'
import { conformance } from '../conformance/conformance.ts'
import { type MemoryOptions, memoryStore } from '../memory/memory.ts'
import { circuitBreaker } from './circuit-breaker.ts'
import { fault } from './fault.ts'
import { limit } from './limit.ts'
import { metrics } from './metrics.ts'
import { retry } from './retry.ts'
import { verifyRead } from './verify-read.ts'

/** Each wrapper, and all of them, must be invisible to whoever relies on the contract. */
const MIB = 1024 * 1024
const options = { lockMs: 300, small: () => retry(memoryStore({ bytesTotal: 100_000 })) }
const locking: MemoryOptions = { objectLock: 'compliance' }

conformance('retry', () => retry(memoryStore(locking)), options)
conformance('limit', () => limit(memoryStore(locking), { requestsMax: 2, bytesPerSecond: 400 * MIB }), options)
conformance('circuit-breaker', () => circuitBreaker(memoryStore()), options)
conformance('verify-read', () => verifyRead(memoryStore({ recallMs: 1 })), options)
conformance('metrics', () => metrics(memoryStore(), () => undefined), options)
conformance('fault, without any', () => fault(memoryStore(locking)), options)

conformance(
  'retry over a store that fails every now and then',
  () => {
    const rates = { error_before: 0.2, broken_body: 0.2 }
    return retry(fault(memoryStore(locking), { seed: 7, rates }), { firstDelayMs: 1, attemptsMax: 20 })
  },
  { lockMs: 1_000 },
)

conformance(
  'all wrappers together',
  () => {
    const bad = fault(memoryStore(locking), { seed: 8, rates: { error_before: 0.05, broken_body: 0.05 } })
    const guarded = circuitBreaker(limit(bad, { requestsMax: 8 }))
    return metrics(verifyRead(retry(guarded, { firstDelayMs: 1, attemptsMax: 20 })), () => undefined)
  },
  { lockMs: 1_000 },
)

test('a wrapped store has the name and the capabilities of the inner one, as they are now', async () => {
  const inner = memoryStore({ id: 'shelf', objectLock: 'governance', requestsMax: 100 })
  const store = metrics(verifyRead(retry(circuitBreaker(limit(fault(inner), { requestsMax: 7 })))), () => undefined)
  assert.equal(store.id, 'shelf')
  assert.deepEqual(store.capabilities, { ...inner.capabilities, requestsMax: 7 })
  Object.assign(inner, { capabilities: { ...inner.capabilities, objectLock: 'none' } })
  assert.equal(store.capabilities.objectLock, 'none', 'a label that was lost is still shown')
})
