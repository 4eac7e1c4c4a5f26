import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { StorageError } from '../../storage-adapters/contract/errors.ts'
import type { Observation } from '../../storage-adapters/wrap/metrics.ts'
import { adviceFor, Health } from './health.ts'

const seen = (outcome: Observation['outcome'], operation: Observation['operation'] = 'get', durationMs = 5) => ({
  outcome,
  operation,
  durationMs,
})

describe('health of a store', () => {
  test('falls with failures and slow answers, and comes back', () => {
    const health = new Health()
    for (let n = 0; n < 10; n++) health.observe(seen('unavailable'))
    assert.ok(health.share < 0.4)
    for (let n = 0; n < 60; n++) health.observe(seen('ok'))
    assert.ok(health.share > 0.99)
    for (let n = 0; n < 60; n++) health.observe(seen('ok', 'stat', 8000))
    assert.ok(health.share > 0.45 && health.share < 0.55, `${health.share}`)
  })

  test('does not fall with refusals, large bodies and readers who leave', () => {
    const health = new Health()
    for (const outcome of ['not_found', 'exists_different', 'aborted', 'range_invalid'] as const) {
      health.observe(seen(outcome))
    }
    health.observe(seen('ok', 'read', 60_000))
    health.observe(seen('ok', 'put', 60_000))
    assert.equal(health.share, 1)
  })

  test('a refused write counts for a minute, and until one is taken', () => {
    let now = 1000
    const health = new Health(() => now)
    assert.ok(health.takes)
    health.observe(seen('permission_denied', 'get'))
    assert.ok(health.takes, 'only writes count')
    health.observe(seen('out_of_space', 'put'))
    assert.equal(health.refused?.code, 'out_of_space')
    assert.ok(!health.takes)
    now += 61_000
    assert.ok(health.takes)
    assert.ok(health.refused, 'not before it has taken something')
    health.observe(seen('ok', 'put'))
    assert.equal(health.refused, undefined)
  })

  test('there is advice for whatever is wrong', () => {
    assert.match(adviceFor(new StorageError('misconfigured', 'x')), /right disk/)
    assert.match(adviceFor(new StorageError('permission_denied', 'x')), /read-only/)
    assert.match(adviceFor(new StorageError('unavailable', 'x')), /machine/)
    assert.match(adviceFor(undefined), /machine/)
  })
})
