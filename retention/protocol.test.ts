import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  ALL_RULES,
  hold,
  newSite,
  type ProtocolMessage,
  type ProtocolRules,
  propose,
  receive,
  restore,
} from './protocol.ts'
import { type Bounds, search } from './testing/protocol-model.ts'

const BOUNDS: readonly Bounds[] = [
  { proposals: 2, restores: 0, extends: true },
  { proposals: 1, restores: 1, extends: true },
]

describe('two-site destruction', () => {
  for (const bounds of BOUNDS) {
    const name = `${bounds.proposals} proposals, ${bounds.restores} restores`
    test(`with all rules nothing is destroyed over a guaranteed hold, and destruction can end: ${name}`, (t) => {
      const started = performance.now()
      const { states, destroyed, trace, what } = search(ALL_RULES, bounds)
      t.diagnostic(`${states} states, all safe, in ${Math.round(performance.now() - started)} ms`)
      assert.deepEqual({ what, trace }, { what: undefined, trace: undefined })
      assert.ok(destroyed > 0, 'both sites can get to the end')
    })
  }

  for (const left of Object.keys(ALL_RULES) as (keyof ProtocolRules)[]) {
    test(`without the rule ${left} something goes wrong`, (t) => {
      const found = search({ ...ALL_RULES, [left]: false }, { proposals: 1, restores: 1, extends: true })
      assert.ok(found.trace, `no violation in ${found.states} states`)
      t.diagnostic(`${found.what}, after ${found.states} states: ${found.trace.join(' -> ')}`)
    })
  }
})

describe('steps of the protocol', () => {
  const site = newSite(0, 0)
  const get = (state: typeof site, ...messages: ProtocolMessage[]) =>
    messages.reduce((before, message) => receive(before, message, true).state, state)

  test('a prepare that comes after its abort prepares nothing, so the site still grants holds', () => {
    const state = get(site, { kind: 'abort', number: 1 }, { kind: 'prepare', number: 1 })
    assert.equal(state.prepared, undefined)
    assert.deepEqual(hold(state, 'h').send, [{ kind: 'held', holdId: 'h', generation: 0 }])
  })

  test('an abort of another proposal changes nothing', () => {
    assert.equal(get(site, { kind: 'prepare', number: 2 }, { kind: 'abort', number: 1 }).prepared, 2)
  })

  test('a restored site takes over what the other knows, from the answer to this restore alone', () => {
    const answer = (generation: number, holds: string[]): ProtocolMessage => ({
      ...{ kind: 'rejoined', generation, peerGeneration: 7, highest: 5, holds, destroyed: false },
    })
    const { state, send } = restore(propose(site).state, 3)
    assert.deepEqual(send, [{ kind: 'rejoin', generation: 3, committed: undefined }])
    assert.ok(get(state, answer(2, []), { kind: 'prepared', number: 1 }, { kind: 'commit', number: 1 }).fenced)
    const back = get(state, answer(3, ['h']))
    assert.deepEqual([back.fenced, back.holds, back.coordinating, back.peerGeneration], [false, ['h'], undefined, 7])
    assert.deepEqual(propose(back).send, [], 'what is held is not proposed')
    assert.deepEqual(propose(get(state, answer(3, []))).send, [{ kind: 'prepare', number: 3_000_001 }])
  })
})
