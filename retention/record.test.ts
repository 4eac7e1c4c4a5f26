import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { goldenCases } from './golden/table.ts'
import { evaluate } from './policy.ts'
import { type DecisionRecord, fromRecord, policyDigest, RecordMismatch, toRecord } from './record.ts'
import { FACTS, policyOf } from './testing/study.ts'

describe('records of decisions', () => {
  test('every golden decision comes back whole from its record, written as JSON', () => {
    const policies = new Map(goldenCases.map(({ policy }) => [policyDigest(policy), policy]))
    for (const { policy, facts, previous } of goldenCases) {
      const decision = evaluate(policy, facts, previous)
      const record: DecisionRecord = JSON.parse(JSON.stringify(toRecord(decision)))
      assert.deepEqual(JSON.parse(JSON.stringify(fromRecord(record, policies))), JSON.parse(JSON.stringify(decision)))
    }
  })

  test('a record that was altered, or whose policy is another, is found', () => {
    const policy = policyOf('1')
    const policies = new Map([[policyDigest(policy), policy]])
    const record = toRecord(evaluate(policy, FACTS))
    const altered: DecisionRecord[] = [
      { ...record, retainUntil: '2030-01-01' },
      { ...record, rule: 'de-examination' },
      { ...record, approvals: 1 },
      { ...record, inputs: { ...record.inputs, facts: { ...FACTS, receivedOn: '2000-01-15' } } },
      { ...record, inputs: { ...record.inputs, policy: { ...record.inputs.policy, digest: 'ff' } } },
    ]
    for (const other of altered) assert.throws(() => fromRecord(other, policies), RecordMismatch)
    assert.doesNotThrow(() => fromRecord(record, policies))
    const shorter = policyOf('1', 10)
    const renamed = new Map([[record.inputs.policy.digest, shorter]])
    assert.throws(() => fromRecord(record, renamed), RecordMismatch)
  })
})
