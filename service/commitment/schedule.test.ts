import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { Pace } from './pace.ts'
import { lookAgainMs, offerAgainMs } from './schedule.ts'

test('what is pending is looked at often at first, then less, and as soon as patience is over', () => {
  fc.assert(
    fc.property(fc.nat(10 * 86_400_000), fc.nat(86_400_000), (ageMs, patienceMs) => {
      const pause = lookAgainMs(ageMs, patienceMs)
      assert.ok(pause >= 1 && pause <= 300_000)
      if (ageMs < patienceMs) assert.ok(ageMs + pause <= patienceMs + 1)
    }),
  )
  let looks = 0
  for (let age = 0; age < 86_400_000; looks++) age += lookAgainMs(age, 600_000)
  assert.ok(looks < 400, `${looks} looks in a day`)
})

test('an AE that takes nothing is tried for days, ever less often', () => {
  assert.deepEqual(
    [1, 2, 3, 9, 10, 1000].map((failures) => offerAgainMs(failures, () => 0.5)),
    [10_000, 20_000, 40_000, 2_560_000, 3_600_000, 3_600_000],
  )
  assert.ok(offerAgainMs(1, () => 0) >= 8000 && offerAgainMs(1, () => 1) <= 12_000)
})

test('reading keeps to its rate, after a burst', async () => {
  const pace = new Pace(1_000_000)
  const started = performance.now()
  await pace.took(900_000)
  assert.ok(performance.now() - started < 100, 'less than a second is read at once')
  await pace.took(400_000)
  const spentMs = performance.now() - started
  assert.ok(spentMs >= 250 && spentMs < 2000, `${spentMs} ms`)
})
