import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { goldenCases } from '../golden/table.ts'
import { evaluate } from '../policy.ts'
import { FACTS, frenchPolicy, hold, policyOf } from '../testing/study.ts'
import { explain } from './explain.ts'

const minor = evaluate(policyOf('3', 0), { ...FACTS, birthDate: '201503', studyDate: '20200115' })

describe('explanations', () => {
  test('say in English until when, by which rule, from which inputs, and what was assumed', () => {
    assert.deepEqual(explain(minor, [], 'en'), [
      'Study 1.2.3 is kept until the end of 30 March 2043.',
      'The rule de-examination-minor gives this date; it is the latest of all that apply.',
      'Before it may be destroyed, 2 different persons must agree.',
      'Nobody holds it.',
      '',
      'What was known:',
      '- policy radiology, version 3, days of Europe/Berlin',
      '- class: examination',
      '- study date "20200115": 15 January 2020',
      '- birth date "201503": 1 March 2015 – 31 March 2015',
      '- last instance came on 15 January 2020',
      '',
      'What each rule says:',
      '- de-treatment: does not apply: it is about another class',
      "- de-examination: 15 January 2030: 10 years from 15 January 2020, the patient's last study of the class examination",
      '- de-examination-minor: 30 March 2043: until completion of year of life 28, born at the latest on 31 March 2015 (this one decides)',
      '- de-screening: does not apply: it is about another class',
      '- de-research: does not apply: it is about another class',
      '- de-research-consent: does not apply: it is about another class',
      '- de-research-application: does not apply: it is about another class',
      '- de-record: does not apply: it is about another class',
      '- house-minimum: 15 January 2020: counted from 15 January 2020',
      '',
      'What was assumed, in favour of keeping:',
      '- The birth date is known in part: the possible day that keeps it longest counts.',
    ])
  })

  test('say the same in German', () => {
    const lines = explain(minor, [], 'de')
    assert.equal(lines[0], 'Die Studie 1.2.3 wird bis zum Ablauf des 30.03.2043 aufbewahrt.')
    assert.ok(
      lines.includes(
        '- de-examination-minor: 30.03.2043: bis zur Vollendung des 28. Lebensjahres, geboren spätestens am 31.03.2015 (diese entscheidet)',
      ),
    )
    assert.equal(lines.length, explain(minor, [], 'en').length)
  })

  test('name the holds, who placed them, and whether the other site knows', () => {
    const lines = explain(minor, [hold()], 'en')
    assert.ok(lines.includes('It is held, so it stays whatever the date.'))
    assert.match(lines.at(-1) ?? '', /^- h1: case C 1, for court, placed by anna .*: claim\. Local only/)
    assert.match(explain(minor, [hold()], 'de').at(-1) ?? '', /^- h1: Fall C 1, für court, .* Nur hier/)
  })

  test('say that time stands still, that an earlier promise decides, that it is for ever', () => {
    const events = [{ id: 'c1', kind: 'claim', date: '20300101', recordedOn: '2030-01-01' }]
    const suspended = explain(evaluate(frenchPolicy, { ...FACTS, events }), [], 'en')
    assert.ok(suspended.some((line) => line.startsWith('Its time stands still: c1 ')))
    const promised = explain(evaluate(policyOf('1'), FACTS, '2070-01-01'), [], 'en')
    assert.ok(promised.some((line) => line.startsWith('An earlier decision had promised 1 January 2070')))
    assert.equal(
      explain(evaluate(policyOf('1'), FACTS, 'forever'), [], 'de')[0],
      'Die Studie 1.2.3 wird für immer aufbewahrt.',
    )
  })

  test('say that a rule about an age does not apply to who was older', () => {
    const lines = explain(evaluate(policyOf('1'), FACTS), [], 'en')
    assert.ok(lines.includes('- de-examination-minor: does not apply: the patient was not of the age'))
  })

  test('have a sentence for everything in both languages: every golden case, with its date in the first line', () => {
    for (const { id, policy, facts, previous } of goldenCases) {
      const decision = evaluate(policy, facts, previous)
      const [english, german] = [explain(decision, [], 'en'), explain(decision, [], 'de')]
      assert.equal(english.length, german.length, id)
      for (const line of [...english, ...german]) assert.doesNotMatch(line, /undefined|NaN|null|\[object/, id)
      const [y = '', m = '', d = ''] = decision.retainUntil.split('-')
      if (d !== '') assert.ok(german[0]?.includes(`${d}.${m}.${y}`), id)
      assert.equal(
        english.filter((line) => line.endsWith('(this one decides)')).length,
        decision.rule === 'previous' ? 0 : 1,
      )
    }
  })
})
