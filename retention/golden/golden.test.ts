import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { evaluate, reproduce } from '../policy.ts'
import { presets } from '../presets/index.ts'
import { goldenCases } from './table.ts'

describe('golden cases', () => {
  test('there are at least 120, with every preset among them and no id twice', (t) => {
    t.diagnostic(`${goldenCases.length} golden cases`)
    assert.ok(goldenCases.length >= 120)
    assert.equal(new Set(goldenCases.map(({ id }) => id)).size, goldenCases.length)
    assert.deepEqual([...new Set(goldenCases.map(({ policy }) => policy.id))].sort(), Object.keys(presets).sort())
  })

  test('every rule of every preset decides at least one case', () => {
    const decided = new Set(goldenCases.map(({ rule }) => rule))
    const rules = Object.values(presets).flatMap((preset) => preset.rules.map(({ id }) => id))
    assert.deepEqual(
      rules.filter((id) => !decided.has(id)),
      [],
    )
  })

  for (const { id, policy, facts, previous, until, suspendedBy, rule, why } of goldenCases) {
    test(`${id}: ${why}`, () => {
      const decision = evaluate(policy, facts, previous)
      assert.deepEqual(
        { until: decision.retainUntil, rule: decision.rule, suspendedBy: decision.suspendedBy },
        { until, rule, suspendedBy },
      )
      assert.deepEqual(reproduce(JSON.parse(JSON.stringify(decision))), JSON.parse(JSON.stringify(decision)))
    })
  }
})
