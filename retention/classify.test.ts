import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  type ClassOverride,
  type ClassRule,
  classify,
  classRuleSchema,
  DEFAULT_CLASS_RULES,
  overrideClass,
} from './classify.ts'
import { RetentionRefusal } from './refusal.ts'
import type { StudyClass } from './rule.ts'

const CT_IMAGE = '1.2.840.10008.5.1.4.1.1.2'
const RT_PLAN = '1.2.840.10008.5.1.4.1.1.481.5'
const study = (
  modalities: string[],
  sopClassUids: string[] = [],
  studyDescription?: string,
  sources: string[] = [],
) => ({
  ...{ modalities, sopClassUids, studyDescription, sources },
})
const anna = { id: 'anna', roles: ['records'] as const }

describe('classification', () => {
  test('radiotherapy is treatment, by modality or by SOP class', () => {
    for (const modality of ['RTIMAGE', 'RTDOSE', 'RTPLAN', 'RTSTRUCT', 'RTRECORD', 'rtplan']) {
      assert.deepEqual(classify(study([modality])).classes, ['treatment'], modality)
    }
    assert.deepEqual(classify(study(['OT'], [RT_PLAN])).classes, ['treatment'])
  })

  test('images are examinations, mammograms screening too, documents records', () => {
    assert.deepEqual(classify(study(['CT'], [CT_IMAGE])).classes, ['examination'])
    assert.deepEqual(classify(study(['MG'])).classes, ['examination', 'mammography-screening'])
    assert.deepEqual(classify(study(['SR'])).classes, ['record'])
  })

  test('a planning CT with its plan is both', () => {
    assert.deepEqual(classify(study(['CT', 'RTPLAN'], [CT_IMAGE, RT_PLAN])).classes, ['examination', 'treatment'])
  })

  test('what no rule knows stays unknown', () => {
    assert.deepEqual(classify(study(['OT'])).classes, [])
    assert.deepEqual(classify(study([])).classes, [])
    assert.deepEqual(classify(study(['ARTERY'])).classes, [])
  })

  test('each class comes with the value and the pattern that gave it', () => {
    assert.deepEqual(classify(study(['CT', 'RTDOSE'])).reasons, [
      { rule: 'radiotherapy-modality', class: 'treatment', attribute: 'modality', value: 'RTDOSE', pattern: 'RT*' },
      { rule: 'images', class: 'examination', attribute: 'modality', value: 'CT', pattern: 'CT' },
    ])
  })

  test('a rule with several attributes needs all of them', () => {
    const trial: ClassRule = {
      id: 'trial',
      when: { studyDescription: ['*trial 7*', 'T7 *'], source: ['RESEARCH_*'] },
      class: 'research',
    }
    const classes = (description: string | undefined, source: string) =>
      classify(study(['OT'], [], description, [source]), [trial]).classes
    assert.deepEqual(classes('Abdomen TRIAL 7 visit 2', 'RESEARCH_CT1'), ['research'])
    assert.deepEqual(classes('T7 head', 'research_x'), ['research'])
    assert.deepEqual(classes('Abdomen trial 7', 'CT1'), [])
    assert.deepEqual(classes('Abdomen', 'RESEARCH_CT1'), [])
    assert.deepEqual(classes(undefined, 'RESEARCH_CT1'), [])
  })

  test('wildcards match any characters, overlap nothing, and stay fast', () => {
    const one = (pattern: string, value: string) =>
      classify(study([value]), [{ id: 'x', when: { modality: [pattern] }, class: 'record' }]).classes.length === 1
    assert.ok(one('*', ''))
    assert.ok(one('a*b*c', 'a1b2c'))
    assert.ok(!one('ab*ba', 'aba'))
    assert.ok(!one('a*b*c', 'acb'))
    assert.ok(!one('.*', 'x'))
    assert.ok(!one(`${'a*'.repeat(5000)}b`, 'a'.repeat(100_000)))
  })

  test("a records officer's decision takes the place of the rules, which are still shown", () => {
    const override = overrideClass(
      { id: 'o1', studyUid: '1.2', classes: ['research'], reason: 'trial 7' },
      [],
      anna,
      'now',
    )
    const result = classify(study(['RTPLAN']), DEFAULT_CLASS_RULES, [override])
    assert.deepEqual(result.classes, ['research'])
    assert.equal(result.overrides[0]?.by, 'anna')
    assert.equal(result.reasons[0]?.class, 'treatment')
  })

  test('a later decision supersedes those it knew; two that knew nothing of each other both count, in any order', () => {
    const say = (id: string, classes: StudyClass[], before: ClassOverride[] = []) =>
      overrideClass({ id, studyUid: '1.2', classes, reason: 'x' }, before, anna, 'now')
    const first = say('o1', ['treatment'])
    const north = say('o2', ['research'], [first])
    const south = say('o3', ['record'], [first])
    const classes = (...overrides: ClassOverride[]) => classify(study(['CT']), DEFAULT_CLASS_RULES, overrides).classes
    assert.deepEqual(classes(first), ['treatment'])
    assert.deepEqual(classes(first, north), ['research'])
    assert.deepEqual(classes(south, first, north), ['record', 'research'])
    assert.deepEqual(classes(north, south, first), ['record', 'research'])
    assert.deepEqual(classes(first, north, south, say('o4', ['examination'], [north, south])), ['examination'])
    assert.deepEqual(classes(first, north, say('o5', [], [first])), [])
  })

  test('nobody else classifies, and nobody without a reason', () => {
    const override = { id: 'o1', studyUid: '1.2', classes: ['record'] as const, reason: 'x' }
    for (const roles of [['admin'], ['send'], ['read'], []] as const) {
      assert.throws(() => overrideClass(override, [], { id: 'x', roles }, 'now'), RetentionRefusal)
    }
    assert.throws(() => overrideClass({ ...override, reason: '' }, [], anna, 'now'), RetentionRefusal)
  })

  test('the rules that are shipped are valid, and one that looks at nothing is not', () => {
    for (const rule of DEFAULT_CLASS_RULES) classRuleSchema.parse(rule)
    assert.ok(!classRuleSchema.safeParse({ id: 'x', when: {}, class: 'record' }).success)
    assert.ok(
      !classRuleSchema.safeParse({ id: 'x', when: { modality: ['CT'], other: ['x'] }, class: 'record' }).success,
    )
  })
})
