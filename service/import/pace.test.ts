import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { Pace, parseWindow, type TimeWindow, untilOpenMs } from './pace.ts'

const at = (hours: number, minutes: number) => new Date(2026, 10, 24, hours, minutes)
const window = (text: string) => parseWindow(text) as TimeWindow

describe('the pace of an import', () => {
  test('a window may pass midnight', () => {
    const night = window('20:00-06:00')
    assert.equal(untilOpenMs(night, at(23, 0)), 0)
    assert.equal(untilOpenMs(night, at(5, 59)), 0)
    assert.equal(untilOpenMs(night, at(6, 0)), 14 * 3_600_000)
    assert.equal(untilOpenMs(night, at(19, 30)), 30 * 60_000)
    const noon = window('12:00-13:00')
    assert.equal(untilOpenMs(noon, at(12, 30)), 0)
    assert.equal(untilOpenMs(noon, at(13, 0)), 23 * 3_600_000)
  })

  test('what is no window is none', () => {
    for (const text of ['', '20:00', '24:00-06:00', '20:00-20:00', '8:00-9:00'])
      assert.equal(parseWindow(text), undefined)
  })

  test('bytes come no faster than allowed, whoever takes them, and a stop ends the wait', async () => {
    const pace = new Pace({ bytesPerSecond: 100_000 })
    const { signal } = new AbortController()
    const started = performance.now()
    // A second's worth may come at once after a pause, none has passed yet.
    await Promise.all([1, 2, 3].map(() => pace.take(10_000, signal)))
    assert.ok(performance.now() - started >= 250, 'three tenths of a second')
    const stop = new AbortController()
    const waiting = pace.take(10_000_000, stop.signal)
    stop.abort()
    await assert.rejects(waiting)
  })
})
