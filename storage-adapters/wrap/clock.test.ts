import assert from 'node:assert/strict'
import { test } from 'node:test'
import { rejectsWith } from '../conformance/fixture.ts'
import { throwIfAborted } from '../contract/errors.ts'
import { type Clock, systemClock } from './clock.ts'

/** A clock that only sleeping moves. */
export function manualClock(): Clock & { slept: number[]; advance(ms: number): void } {
  let nowMs = 0
  const slept: number[] = []
  return {
    slept,
    now: () => nowMs,
    advance(ms) {
      nowMs += ms
    },
    async sleep(ms, signal) {
      throwIfAborted(signal)
      slept.push(ms)
      nowMs += ms
    },
  }
}

test('whoever sleeps can be woken', async () => {
  await rejectsWith('aborted', systemClock.sleep(60_000, AbortSignal.timeout(10)))
  await rejectsWith('aborted', systemClock.sleep(1, AbortSignal.abort()))
  const startedAt = systemClock.now()
  await systemClock.sleep(5)
  assert.ok(systemClock.now() - startedAt >= 4)
})
