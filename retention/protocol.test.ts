import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { ALL_RULES, type ProtocolRules } from './protocol.ts'
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
