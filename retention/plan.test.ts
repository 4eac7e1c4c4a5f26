import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { type PlannedStudy, planChange } from './plan.ts'
import { evaluate } from './policy.ts'
import { FACTS, policyOf } from './testing/study.ts'

const before = policyOf('1', 10)
const study = (n: number, change: Partial<PlannedStudy['facts']> = {}): PlannedStudy => ({
  facts: { ...FACTS, studyUid: `1.2.${n}`, ...change },
})
const found = (list: readonly { yearsMax: number | null; count: number }[]) =>
  list.filter(({ count }) => count > 0).map(({ yearsMax, count }) => [yearsMax, count])

describe('planning a change of policy', () => {
  test('counts what becomes longer, by how much, and by which rule', async () => {
    const treatment = study(3, { classes: ['treatment'] })
    const summary = await planChange(before, policyOf('2', 30), [study(1), study(2), treatment])
    assert.deepEqual([summary.studies, summary.same, summary.longer, summary.shorterIfAllowed], [3, 1, 2, 0])
    assert.deepEqual(found(summary.longerBy), [[20, 2]])
    assert.equal(summary.daysAdded, 2 * 7305)
    assert.deepEqual(summary.byRule, { 'house-minimum': 2, 'de-treatment': 1 })
  })

  test('counts what a shorter policy would shorten, though nothing gets shorter', async () => {
    const summary = await planChange(policyOf('2', 40), policyOf('1', 30), [
      study(1),
      { ...study(2), previous: 'forever' },
    ])
    assert.deepEqual([summary.longer, summary.shorterIfAllowed], [0, 2])
    assert.deepEqual(found(summary.shorterBy), [
      [10, 1],
      [null, 1],
    ])
    assert.deepEqual(summary.byRule, { previous: 2 })
  })

  test('the same policy changes nothing, and decisions before count', async () => {
    const previous = evaluate(before, study(1).facts).retainUntil
    const summary = await planChange(before, before, [{ ...study(1), previous }])
    assert.deepEqual([summary.same, summary.longer, summary.shorterIfAllowed], [1, 0, 0])
  })

  test('a study that cannot be evaluated is named, and the rest goes on', async () => {
    async function* studies() {
      yield study(1, { receivedOn: 'yesterday' })
      yield study(2)
    }
    const summary = await planChange(before, before, studies())
    assert.deepEqual([summary.studies, summary.same, summary.failed], [2, 1, 1])
    assert.equal(summary.failures[0]?.studyUid, '1.2.1')
  })
})
