import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { daysUntil, growthOf } from './forecast.ts'

const day = (n: number): string => new Date(Date.UTC(2026, 0, 1) + n * 86_400_000).toISOString().slice(0, 10)

/** Mulberry32, so that a failure comes again. */
function random(seed: number): () => number {
  let state = seed
  return () => {
    state = (state + 0x6d2b79f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

describe('growth', () => {
  test('of a steady archive is exact, also where days are missing', () => {
    const history = [0, 1, 2, 5, 6, 9, 14, 20].map((n) => ({ day: day(n), bytes: 1000 + 50 * n }))
    const growth = growthOf(history)
    assert.ok(growth)
    assert.ok(Math.abs(growth.bytesPerDay - 50) < 1e-6)
    assert.ok(growth.high - growth.low < 1e-3)
    assert.equal(growth.overDays, 20)
    assert.deepEqual(daysUntil(500, growth), { days: 10, soonest: 10, latest: 10 })
  })

  test('is not told where there is not enough history', () => {
    const days = (n: number) => Array.from({ length: n }, (_, at) => ({ day: day(at), bytes: at }))
    assert.equal(growthOf([]), undefined)
    assert.equal(growthOf(days(1)), undefined)
    assert.equal(growthOf(days(14)), undefined)
    assert.ok(growthOf(days(15)))
    // Long ago and today is no history either.
    assert.equal(growthOf([day(0), day(100)].map((at) => ({ day: at, bytes: 1 }))), undefined)
  })

  test('is within what is told of it about as often as it says', () => {
    let within = 0
    const runs = 400
    for (let seed = 0; seed < runs; seed++) {
      const chance = random(seed)
      let bytes = 0
      const history = Array.from({ length: 60 }, (_, n) => {
        // Nothing on two days of seven, and now and then a great deal.
        bytes += n % 7 > 4 ? 0 : 140 * chance() ** 3 * 4
        return { day: day(n), bytes }
      })
      const growth = growthOf(history)
      assert.ok(growth)
      const truth = (140 * 5) / 7
      if (growth.low <= truth && truth <= growth.high) within += 1
    }
    assert.ok(within / runs > 0.88, `${within} of ${runs}`)
    assert.ok(within / runs < 1, 'a range that always holds says nothing')
  })

  test('that is none or negative reaches nothing; what is reached already needs no days', () => {
    const growth = { bytesPerDay: -1, low: -3, high: 2, overDays: 30 }
    assert.deepEqual(daysUntil(10, growth), { days: null, soonest: 5, latest: null })
    assert.deepEqual(daysUntil(-10, growth), { days: 0, soonest: 0, latest: 0 })
  })
})
