import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import fc from 'fast-check'
import { within } from '../../test/support/until.ts'
import { MemoryGate } from './gate.ts'
import { Turns } from './turns.ts'

const PATIENT_MS = 60_000

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise(setImmediate)
}

describe('memory gate', () => {
  test('never grants more than there is, and everybody gets a turn', async () => {
    const max = 100
    const taker = fc.record({ bytes: fc.integer({ min: 1, max }), holdTurns: fc.nat({ max: 3 }) })
    await fc.assert(
      fc.asyncProperty(fc.array(taker, { minLength: 1, maxLength: 40 }), async (takers) => {
        const gate = new MemoryGate(max, PATIENT_MS)
        let used = 0
        const work = takers.map(async ({ bytes, holdTurns }) => {
          assert.equal(await gate.take(bytes), true)
          used += bytes
          assert.ok(used <= max, `${used} of ${max} granted`)
          await turns(holdTurns)
          used -= bytes
          gate.release(bytes)
        })
        await within('all takers', 5_000, Promise.all(work))
        // Nothing leaked: all of it can be taken at once, without waiting.
        assert.equal(await gate.take(max), true)
      }),
      { numRuns: 100 },
    )
  })

  test('who waits is served in order, also behind one that wants more', async () => {
    const gate = new MemoryGate(10, PATIENT_MS)
    const order: string[] = []
    await gate.take(8)
    const large = gate.take(9).then(() => order.push('large'))
    const small = gate.take(1).then(() => order.push('small'))
    await turns(5)
    assert.deepEqual(order, [])
    gate.release(8)
    await within('both', 1_000, Promise.all([large, small]))
    assert.deepEqual(order, ['large', 'small'])
  })

  test('holders who all want more are told no in time, and what is behind them goes on', async () => {
    const gate = new MemoryGate(10, 20)
    const greedy = await Promise.all([gate.take(5), gate.take(5)])
    assert.deepEqual(greedy, [true, true])
    const more = [gate.take(5), gate.take(5)]
    assert.deepEqual(await within('an answer', 2_000, Promise.all(more)), [false, false])
    // One who gave up in front of others must not keep them waiting.
    const impossible = gate.take(11)
    const possible = delay(15).then(() => gate.take(3))
    gate.release(5)
    assert.equal(await impossible, false)
    assert.equal(await within('the one behind', 2_000, possible), true)
  })

  test('who was told no holds nothing', async () => {
    const gate = new MemoryGate(10, 5)
    await gate.take(10)
    assert.equal(await gate.take(1), false)
    gate.release(10)
    assert.equal(await gate.take(10), true)
  })
})

describe('turns', () => {
  test('who waits is told when somebody else had a turn', async () => {
    const turns = new Turns()
    const first = turns.join('a')
    const second = turns.join('a')
    const other = turns.join('b')
    assert.equal(await second.turn(async (changed) => changed), false)
    assert.equal(await first.turn(async (changed) => changed), true)
    assert.equal(await other.turn(async (changed) => changed), false)
    for (const one of [first, second, other]) one.leave()
    const later = turns.join('a')
    assert.equal(await later.turn(async (changed) => changed), false, 'nothing is remembered of those who left')
    later.leave()
  })

  test('one at a time for a key, in order, also behind one that failed; other keys are free', async () => {
    const locks = new Turns()
    const run = <T>(key: string, work: () => Promise<T>): Promise<T> => locks.join(key).turn(work)
    const log: string[] = []
    const job =
      (name: string, fails = false) =>
      async () => {
        log.push(`${name} begins`)
        await turns(2)
        log.push(`${name} ends`)
        if (fails) throw new Error(name)
        return name
      }
    const results = await Promise.allSettled([
      run('a', job('a1', true)),
      run('a', job('a2')),
      run('b', job('b1')),
      run('a', job('a3')),
    ])
    assert.deepEqual(
      results.map((result) => (result.status === 'fulfilled' ? result.value : 'failed')),
      ['failed', 'a2', 'b1', 'a3'],
    )
    const ofA = log.filter((line) => line.startsWith('a'))
    assert.deepEqual(ofA, ['a1 begins', 'a1 ends', 'a2 begins', 'a2 ends', 'a3 begins', 'a3 ends'])
    assert.ok(log.indexOf('b1 begins') < log.indexOf('a1 ends'))
    assert.equal(await run('a', job('a4')), 'a4')
  })
})
