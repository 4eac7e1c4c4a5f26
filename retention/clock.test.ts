import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { type ClockState, isPastEverywhere, observe, setForward, startClock } from './clock.ts'

const DAY = 86_400_000
const YEAR = 365 * DAY
const T0 = Date.parse('2026-01-01T00:00:00Z')

const start = (clockId = 'north'): ClockState => startClock(clockId, { systemMs: T0, monotonicMs: 0, runId: 'r0' })

describe('compliance clock', () => {
  test('follows a system clock that is right', () => {
    const state = observe(start(), { systemMs: T0 + DAY, monotonicMs: DAY, runId: 'r0' })
    assert.equal(state.complianceMs, T0 + DAY)
    assert.equal(state.systemBehind, false)
  })

  test('a system clock that jumps ten years ahead moves it by no more than the time that passed', () => {
    const state = observe(start(), { systemMs: T0 + 10 * YEAR, monotonicMs: 1000, runId: 'r0' })
    assert.equal(state.complianceMs, T0 + 1000)
  })

  test('nor do many jumps, each with a restart', () => {
    let state = start()
    for (let n = 1; n <= 1000; n++) state = observe(state, { systemMs: T0 + n * YEAR, monotonicMs: n, runId: `r${n}` })
    assert.equal(state.complianceMs, T0)
  })

  test('a system clock that is set back stops it and is noticed; it never runs back', () => {
    const ahead = observe(start(), { systemMs: T0 + DAY, monotonicMs: DAY, runId: 'r0' })
    const state = observe(ahead, { systemMs: T0 - 10 * YEAR, monotonicMs: 2 * DAY, runId: 'r0' })
    assert.equal(state.complianceMs, T0 + DAY)
    assert.equal(state.systemBehind, true)
  })

  test("a time server's small correction is no alarm", () => {
    const state = observe(start(), { systemMs: T0 - 1000, monotonicMs: 1000, runId: 'r0' })
    assert.deepEqual([state.complianceMs, state.systemBehind], [T0, false])
  })

  test('what is no time is refused, and changes nothing', () => {
    const good = { systemMs: T0, monotonicMs: 1, runId: 'r0' }
    const peer = { clockId: 'south', complianceMs: Number.POSITIVE_INFINITY }
    for (const wrong of [{ systemMs: Number.NaN }, { monotonicMs: Number.NaN }, { peer }]) {
      assert.throws(() => observe(start(), { ...good, ...wrong }), RangeError)
    }
  })

  test('a monotonic clock that starts again without a new process adds nothing', () => {
    const ahead = observe(start(), { systemMs: T0 + DAY, monotonicMs: DAY, runId: 'r0' })
    assert.equal(observe(ahead, { systemMs: T0 + 9 * DAY, monotonicMs: 5, runId: 'r0' }).complianceMs, T0 + DAY)
  })

  test("after a restart the peer's clock vouches for the time between, and for no more", () => {
    const peer = (days: number, clockId = 'south') => ({ clockId, complianceMs: T0 + days * DAY })
    const met = observe(start(), { systemMs: T0 + DAY, monotonicMs: DAY, runId: 'r0', peer: peer(1) })
    const back = { systemMs: T0 + 31 * DAY, monotonicMs: 7, runId: 'r1' }
    assert.equal(observe(met, back).complianceMs, T0 + DAY)
    assert.equal(observe(met, { ...back, peer: peer(31) }).complianceMs, T0 + 31 * DAY)
    assert.equal(observe(met, { ...back, systemMs: T0 + 9999 * DAY, peer: peer(31) }).complianceMs, T0 + 31 * DAY)
    assert.equal(observe(met, { ...back, peer: peer(31, 'set up anew') }).complianceMs, T0 + DAY)
  })

  test("a peer's clock that was ahead when the two were compared is not believed later", () => {
    const peer = { clockId: 'south', complianceMs: T0 + 10 * YEAR }
    const met = observe(start(), { systemMs: T0 + 11 * YEAR, monotonicMs: DAY, runId: 'r0', peer })
    const again = observe(met, { systemMs: T0 + 11 * YEAR, monotonicMs: 2 * DAY, runId: 'r0', peer })
    assert.equal(again.complianceMs, T0 + 2 * DAY)
  })

  test('two persons can take out a lag, not beyond the system clock and never back', () => {
    const now = { systemMs: T0 + 30 * DAY, monotonicMs: 0, runId: 'r0' }
    assert.equal(setForward(start(), T0 + 20 * DAY, now).complianceMs, T0 + 20 * DAY)
    assert.equal(setForward(start(), T0 + 20 * YEAR, now).complianceMs, T0 + 30 * DAY)
    assert.equal(setForward(start(), T0 - YEAR, now).complianceMs, T0)
  })

  test('two clocks that vouch for each other never show more than has passed, whatever their system clocks say', () => {
    const step = fc.record({
      site: fc.constantFrom(0, 1),
      passedMs: fc.integer({ min: 0, max: 100 * DAY }),
      offMs: fc.integer({ min: -20 * YEAR, max: 20 * YEAR }),
      restart: fc.boolean(),
      meets: fc.boolean(),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 40 }), (steps) => {
        const clocks = [start('north'), start('south')] as [ClockState, ClockState]
        let realMs = T0
        for (const [n, { site, passedMs, offMs, restart, meets }] of steps.entries()) {
          realMs += passedMs
          const own = clocks[site]
          const other = clocks[1 - site] ?? assert.fail()
          const next = observe(own, {
            systemMs: realMs + offMs,
            monotonicMs: restart ? 0 : realMs - T0,
            runId: restart ? `r${n}` : own.runId,
            ...(meets ? { peer: other } : {}),
          })
          assert.ok(next.complianceMs >= own.complianceMs)
          assert.ok(next.complianceMs <= realMs, `${next.complianceMs - realMs} ms too far`)
          clocks[site] = next
          if (restart) clocks[site] = { ...next, monotonicMs: realMs - T0 }
        }
      }),
    )
  })

  test('a day is past only when it is past at both sites', () => {
    const day = { y: 2026, m: 1, d: 1 }
    const [before, after] = [Date.parse('2026-01-01T22:59:59Z'), Date.parse('2026-01-01T23:00:00Z')]
    assert.equal(isPastEverywhere(day, 'Europe/Berlin', [after, after]), true)
    assert.equal(isPastEverywhere(day, 'Europe/Berlin', [after, before]), false)
    assert.equal(isPastEverywhere(day, 'Europe/Berlin', [after, Number.NaN]), false)
    assert.equal(isPastEverywhere(day, 'Europe/Berlin', []), false)
  })
})
