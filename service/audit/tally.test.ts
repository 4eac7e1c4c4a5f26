import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { type Counted, Tally } from './tally.ts'

function tallyOf(keysMax = 1000) {
  const told: Counted<number>[] = []
  const clock = { now: 1_000_000 }
  const options = { windowMs: 1000, keysMax, add: (a: number, b: number) => a + b, now: () => clock.now }
  const tally = new Tally<number>({ ...options, emit: (counted) => void told.push(counted) })
  return { tally, told, clock }
}

test('the first is told at once, the others as one sum when the window is over', () => {
  const { tally, told, clock } = tallyOf()
  for (const n of [1, 2, 3]) tally.add('a', n)
  assert.deepEqual(
    told.map(({ fact, requests }) => [fact, requests]),
    [[1, 1]],
  )
  clock.now += 999
  tally.sweep()
  assert.equal(told.length, 1)
  clock.now += 1
  tally.sweep()
  assert.deepEqual([told[1]?.fact, told[1]?.requests, told[1]?.since.getTime()], [5, 2, 1_000_000])
  clock.now += 1000
  tally.sweep()
  assert.deepEqual([told.length, tally.size], [2, 0])
})

test('whatever comes when, under whatever keys and however few are remembered: no count is lost, memory is bounded', () => {
  const step = fc.record({
    key: fc.integer({ min: 0, max: 9 }),
    value: fc.nat(100),
    later: fc.nat(600),
    sweep: fc.boolean(),
  })
  fc.assert(
    fc.property(fc.array(step, { maxLength: 200 }), fc.integer({ min: 1, max: 12 }), (steps, keysMax) => {
      const { tally, told, clock } = tallyOf(keysMax)
      for (const { key, value, later, sweep } of steps) {
        clock.now += later
        tally.add(String(key), value)
        assert.ok(tally.size <= keysMax)
        if (sweep) tally.sweep()
      }
      tally.flush()
      const sum = (some: readonly number[]) => some.reduce((a, b) => a + b, 0)
      assert.equal(sum(told.map(({ requests }) => requests)), steps.length)
      assert.equal(sum(told.map(({ fact }) => fact)), sum(steps.map(({ value }) => value)))
    }),
  )
})
