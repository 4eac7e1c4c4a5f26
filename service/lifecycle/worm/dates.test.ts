import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { driftOf, isShort, targetOf, yearsAfter } from './dates.ts'
import { FOR_EVER } from './ports.ts'

const DAY = 24 * 3_600_000
const NOW = Date.parse('2026-11-24T12:00:00.000Z')
const lock = (yearsMax: number) => ({ mode: 'compliance' as const, initialDays: 7, yearsMax })
const at = (text: string) => new Date(text)

describe('how long a lock is to be', () => {
  test('to the day on which the study may be destroyed, and looked at again a month before', () => {
    const { until, due } = targetOf(at('2056-11-24T12:00:00.000Z'), lock(100), NOW)
    assert.equal(until.toISOString(), '2056-11-24T12:00:00.000Z')
    assert.equal(due.toISOString(), '2056-10-25T12:00:00.000Z')
  })

  test('no longer than the maker of the store allows, and extended every year from then on', () => {
    const { until, due } = targetOf(FOR_EVER, lock(30), NOW)
    assert.equal(until.getTime() - NOW, 30 * 365 * DAY)
    assert.equal(due.getTime() - NOW, 365 * DAY)
    assert.equal(targetOf(FOR_EVER, lock(1), NOW).due.getTime() - NOW, (365 * DAY) / 4)
  })

  test('extended in time, it never runs out before what is wanted, and is never longer than it may be', () => {
    const days = fc.integer({ min: 1, max: 60 * 365 })
    fc.assert(
      fc.property(days, fc.integer({ min: 1, max: 100 }), (wantedDays, yearsMax) => {
        const wanted = new Date(NOW + wantedDays * DAY)
        let standing = 0
        for (let now = NOW; now < wanted.getTime(); ) {
          assert.ok(standing === 0 || standing > now, 'it ran out')
          const { until, due } = targetOf(wanted, lock(yearsMax), now)
          assert.ok(until.getTime() <= Math.max(now + yearsMax * 365 * DAY, standing))
          standing = Math.max(standing, until.getTime())
          assert.ok(due.getTime() > now)
          now = due.getTime()
        }
        assert.ok(standing >= wanted.getTime())
      }),
    )
  })

  test('years are those of the calendar', () => {
    assert.equal(yearsAfter(at('2026-11-24T08:00:00.000Z'), 30).toISOString(), '2056-11-24T08:00:00.000Z')
    assert.equal(yearsAfter(at('2024-02-29T08:00:00.000Z'), 30).toISOString(), '2054-03-01T08:00:00.000Z')
  })
})

describe('a lock is too short', () => {
  const until = at('2056-01-01T00:00:00.000Z')
  const is = (mode: 'none' | 'governance' | 'compliance', end?: string) =>
    isShort({ mode, ...(end && { until: at(end) }), legalHold: false }, until, 'compliance', NOW)

  test('where it ends earlier, is weaker, or missing', () => {
    assert.equal(is('compliance', '2056-01-01T00:00:00.000Z'), false)
    assert.equal(is('compliance', '2057-01-01T00:00:00.000Z'), false)
    assert.equal(is('compliance', '2055-12-31T00:00:00.000Z'), true)
    assert.equal(is('governance', '2057-01-01T00:00:00.000Z'), true)
    assert.equal(is('none'), true)
  })

  test('but not where what it should last for is past', () => {
    assert.equal(isShort({ mode: 'none', legalHold: false }, at('2026-11-24T11:00:00.000Z'), 'compliance', NOW), false)
  })
})

describe('a lock has become less', () => {
  const before = { mode: 'compliance' as const, until: '2056-01-01T00:00:00.000Z', legalHold: false }
  const drift = (mode: 'none' | 'governance' | 'compliance', end?: string, was: typeof before | undefined = before) =>
    driftOf(was, { mode, ...(end && { until: at(end) }), legalHold: false }, NOW)

  test('where it is missing, weaker or shorter', () => {
    assert.match(drift('none') ?? '', /has no lock/)
    assert.match(drift('governance', before.until) ?? '', /in mode governance now/)
    assert.match(drift('compliance', '2055-01-01T00:00:00.000Z') ?? '', /only until 2055/)
  })

  test('not where it is as it was or longer, had run out, or nobody had looked', () => {
    assert.equal(drift('compliance', before.until), undefined)
    assert.equal(drift('compliance', '2060-01-01T00:00:00.000Z'), undefined)
    assert.equal(drift('none', undefined, { ...before, until: '2026-11-01T00:00:00.000Z' }), undefined)
    assert.equal(driftOf(undefined, { mode: 'none', legalHold: false }, NOW), undefined)
  })
})
