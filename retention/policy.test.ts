import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { dayNumber, formatDate, fromDayNumber, parseDate } from './dates/civil.ts'
import { lastStudies, type RetentionEvent, type StudyFacts } from './facts.ts'
import { evaluate, hasExpired, laterUntil, type RetainUntil, reproduce } from './policy.ts'
import { presets } from './presets/index.ts'
import { policyFrom } from './presets/preset.ts'
import { type Policy, PolicyError, type PolicyInput, parsePolicy, STUDY_CLASSES } from './rule.ts'

const between = (from: string, to: string) =>
  fc
    .integer({ min: dayNumber(parseDate(from)), max: dayNumber(parseDate(to)) })
    .map((n) => formatDate(fromDayNumber(n)))
const da = (from: string, to: string) =>
  fc.tuple(between(from, to), fc.constantFrom(8, 8, 8, 6, 4)).map(([date, n]) => date.replaceAll('-', '').slice(0, n))

const recordedOn = between('2010-01-01', '2026-01-01')
const kinds = ['death', 'contact', 'entry', 'consent', 'diagnosis-of-cancer', 'transfusion', 'claim'] as const
const event = fc.record({
  id: fc.uuid(),
  kind: fc.constantFrom(...kinds),
  date: fc.option(da('1990-01-01', '2026-01-01'), { nil: undefined }),
  recordedOn,
})
const study = fc.record({
  classes: fc.subarray([...STUDY_CLASSES], { minLength: 1 }),
  studyDate: fc.option(da('1980-01-01', '2026-01-01'), { nil: undefined }),
  receivedOn: recordedOn,
})
const facts: fc.Arbitrary<StudyFacts> = fc
  .tuple(study, fc.option(da('1930-01-01', '2026-01-01'), { nil: undefined }), fc.array(study, { maxLength: 4 }))
  .chain(([own, birthDate, others]) =>
    fc.record({
      studyUid: fc.constant('1.2.3'),
      classes: fc.oneof(fc.constant(own.classes), fc.constant([])),
      studyDate: fc.constant(own.studyDate),
      birthDate: fc.constant(birthDate),
      receivedOn: fc.constant(own.receivedOn),
      last: fc.constant(lastStudies(others)),
      events: fc.array(event, { maxLength: 4 }),
    }),
  )
const presetIds = Object.keys(presets)
const policy = (ids: readonly string[], version = '1'): Policy =>
  policyFrom(
    ids.map((id) => presets[id] ?? assert.fail(id)),
    { id: 'p', version, timeZone: 'Europe/Berlin', houseMinimum: { years: 0 } },
  )
const policies = fc.subarray(presetIds, { minLength: 1 }).map((ids) => policy(ids))
/** Rules that nothing recorded later can shorten, not even before a date was decided. */
const withoutShortening = fc
  .subarray(
    presetIds.filter((id) => id !== 'fr' && id !== 'us'),
    { minLength: 1 },
  )
  .map((ids) => policy(ids))
const atLeast = (later: RetainUntil, earlier: RetainUntil) => assert.equal(laterUntil(later, earlier), later)

describe('policy', () => {
  test('adding rules never shortens', () => {
    fc.assert(
      fc.property(
        facts,
        fc.subarray(presetIds, { minLength: 1 }),
        fc.constantFrom(...presetIds),
        (study, ids, more) => {
          const known = study.classes.length > 0 && ids.includes('at')
          // A first rule for a class ends the assumption that every rule is about it; a decision before it still counts.
          const before = evaluate(policy(ids), study).retainUntil
          const with_ = policy([...new Set([...ids, more])])
          atLeast(evaluate(with_, study, known ? undefined : before).retainUntil, before)
        },
      ),
    )
  })

  test('adding events never shortens, whatever order they come in', () => {
    fc.assert(
      fc.property(facts, policies, fc.array(event, { minLength: 1, maxLength: 4 }), (study, rules, more) => {
        let known: readonly RetentionEvent[] = study.events ?? []
        let until = evaluate(rules, study).retainUntil
        for (const next of more) {
          known = [...known, next]
          const { retainUntil } = evaluate(rules, { ...study, events: known }, until)
          atLeast(retainUntil, until)
          until = retainUntil
        }
      }),
    )
  })

  test('adding events to rules without shortening exceptions gives a later date even on its own', () => {
    fc.assert(
      fc.property(facts, withoutShortening, event, (study, rules, more) => {
        const events = [...(study.events ?? []), more]
        atLeast(evaluate(rules, { ...study, events }).retainUntil, evaluate(rules, study).retainUntil)
      }),
    )
  })

  test('adding instances never shortens: later arrival, more classes, more studies of the patient', () => {
    fc.assert(
      fc.property(facts, policies, fc.array(study, { maxLength: 4 }), (first, rules, others) => {
        const before = evaluate(rules, first)
        const [next, ...rest] = others
        const grown: StudyFacts = {
          ...first,
          classes: [...new Set([...first.classes, ...(next?.classes ?? [])])],
          receivedOn: laterUntil(first.receivedOn, next?.receivedOn ?? first.receivedOn),
          last: lastStudies([...rest, { ...first, classes: first.classes }]),
        }
        atLeast(evaluate(rules, grown, before.retainUntil).retainUntil, before.retainUntil)
      }),
    )
  })

  test('more classes of a study whose classes have rules give a later date even on their own', () => {
    fc.assert(
      fc.property(facts, fc.constantFrom(...STUDY_CLASSES), (first, more) => {
        if (first.classes.length === 0) return
        const rules = policy(['de', 'at', 'rcr'])
        atLeast(
          evaluate(rules, { ...first, classes: [...first.classes, more] }).retainUntil,
          evaluate(rules, first).retainUntil,
        )
      }),
    )
  })

  test('what is not known never makes it earlier: class, birth, day of birth, date', () => {
    fc.assert(
      fc.property(facts, fc.constantFrom('de', 'at', 'ch', 'england', 'rcr', 'be', 'nl', 'it'), (study, id) => {
        const rules = policy([id])
        const made = study.studyDate?.length === 8 && study.studyDate.replace(/(....)(..)(..)/, '$1-$2-$3')
        if (!made || made > study.receivedOn) return
        if (study.birthDate !== undefined && study.birthDate > study.studyDate) return
        const { retainUntil } = evaluate(rules, study)
        const birthYear = study.birthDate?.slice(0, 4)
        for (const less of [
          { birthDate: undefined },
          { birthDate: birthYear },
          { classes: [] },
          { studyDate: undefined },
          { studyDate: study.studyDate.slice(0, 4) },
          { studyDate: study.studyDate.slice(0, 6), birthDate: birthYear },
          { classes: [], birthDate: undefined, studyDate: undefined },
        ]) {
          atLeast(evaluate(rules, { ...study, ...less }).retainUntil, retainUntil)
        }
      }),
    )
  })

  test('two sites that see the same things in any order end with the same date', () => {
    fc.assert(
      fc.property(
        fc.array(facts, { minLength: 1, maxLength: 5 }),
        policies,
        fc.infiniteStream(fc.nat()),
        (all, rules, dice) => {
          const decisions = all.map((study) => evaluate(rules, study).retainUntil)
          const order = decisions.map((_, n) => [dice.next().value ?? 0, n] as const).sort(([a], [b]) => a - b)
          const shuffled = order.map(([, n]) => decisions[n] ?? assert.fail())
          const half = Math.floor(shuffled.length / 2)
          const merge = (list: readonly RetainUntil[]) => list.reduce(laterUntil, '0001-01-01')
          assert.equal(merge(shuffled), merge(decisions))
          assert.equal(laterUntil(merge(shuffled.slice(half)), merge(shuffled.slice(0, half))), merge(decisions))
          assert.equal(laterUntil(merge(decisions), merge(shuffled)), merge(decisions))
        },
      ),
    )
  })

  test('a decision is reproduced from what it recorded, after it was written as JSON and read back', () => {
    fc.assert(
      fc.property(
        facts,
        policies,
        fc.option(between('2000-01-01', '2100-01-01'), { nil: undefined }),
        (study, rules, before) => {
          const recorded = JSON.parse(JSON.stringify(evaluate(rules, study, before)))
          assert.deepEqual(JSON.parse(JSON.stringify(reproduce(recorded))), recorded)
        },
      ),
    )
  })

  test('the order of events and of rules does not matter', () => {
    fc.assert(
      fc.property(facts, policies, (study, rules) => {
        const other = { ...study, events: [...(study.events ?? [])].reverse() }
        const reversed = parsePolicy({ ...rules, rules: [...rules.rules].reverse() })
        assert.equal(evaluate(reversed, other).retainUntil, evaluate(rules, study).retainUntil)
        assert.deepEqual(evaluate(reversed, other).suspendedBy, evaluate(rules, study).suspendedBy)
      }),
    )
  })

  test('a study expires after the end of its last day in the zone, and not while a claim is open', () => {
    const study: StudyFacts = {
      studyUid: '1.2',
      classes: ['examination'],
      studyDate: '20100315',
      receivedOn: '2010-03-15',
    }
    const france = evaluate(policy(['fr']), { ...study, birthDate: '19600101' })
    assert.equal(france.retainUntil, '2030-03-15')
    assert.equal(hasExpired(france, Date.parse('2030-03-15T22:59:59.999Z')), false)
    assert.equal(hasExpired(france, Date.parse('2030-03-15T23:00:00Z')), true)
    const claim = { id: 'c', kind: 'claim', date: '20200101', recordedOn: '2020-01-01' }
    const claimed = evaluate(policy(['fr']), { ...study, events: [claim] })
    assert.equal(hasExpired(claimed, Date.parse('2099-01-01T00:00:00Z')), false)
    const forever = evaluate(policy(['it']), { ...study, classes: ['record'] })
    assert.equal(hasExpired(forever, Date.parse('9999-01-01T00:00:00Z')), false)
  })

  test('years can be counted from the end of the year', () => {
    const rule = { id: 'r', class: 'any', years: 10, anchor: 'study-date', countsFrom: 'year-end' }
    const rules = parsePolicy({ id: 'p', version: '1', timeZone: 'UTC', houseMinimum: { years: 0 }, rules: [rule] })
    const study: StudyFacts = { studyUid: '1', classes: ['record'], studyDate: '20100315', receivedOn: '2010-03-15' }
    assert.equal(evaluate(rules, study).retainUntil, '2020-12-31')
  })

  test('a death rule that takes the place of the years can have a floor', () => {
    const deathRule = { years: 1, effect: 'instead', withinYears: 10 }
    const rule = { id: 'r', class: 'any', years: 20, anchor: 'study-date', floorYears: 5, deathRule }
    const rules = parsePolicy({ id: 'p', version: '1', timeZone: 'UTC', houseMinimum: { years: 0 }, rules: [rule] })
    const study = (death: string): StudyFacts => ({
      studyUid: '1',
      classes: ['record'],
      studyDate: '20100315',
      receivedOn: '2010-03-15',
      events: [{ id: 'd', kind: 'death', date: death, recordedOn: '2019-01-01' }],
    })
    assert.equal(evaluate(rules, study('20110101')).retainUntil, '2015-03-15')
    assert.equal(evaluate(rules, study('20180101')).retainUntil, '2019-01-01')
  })

  const oneRule = (rule: object) => {
    const rules = [{ id: 'r', class: 'any', years: 1, anchor: 'study-date', ...rule }]
    return parsePolicy({ id: 'p', version: '1', timeZone: 'UTC', houseMinimum: { years: 0 }, rules })
  }
  const child: StudyFacts = {
    studyUid: '1',
    classes: ['record'],
    studyDate: '20100315',
    birthDate: '20000101',
    receivedOn: '2010-03-15',
    last: { any: { studyDate: '20300101', receivedOn: '2030-01-01' } },
  }

  test('an age is asked for on the day of the study or of the anchor, as the rule says', () => {
    const until = (on: string) =>
      evaluate(oneRule({ anchor: 'last-contact', untilAge: { age: 60, ends: 'birthday', on, below: 18 } }), child)
        .retainUntil
    assert.equal(until('study'), '2060-01-01')
    assert.equal(until('anchor'), '2031-01-01')
  })

  test('a death counts only within the years that the rule gives it, to the day', () => {
    const until = (death: string) =>
      evaluate(oneRule({ deathRule: { years: 30, effect: 'also', withinYears: 2 } }), {
        ...child,
        events: [{ id: 'd', kind: 'death', date: death, recordedOn: '2019-01-01' }],
      }).retainUntil
    assert.equal(until('20120314'), '2042-03-14')
    assert.equal(until('20120315'), '2011-03-15')
    assert.equal(until('2012'), '2042-03-14')
  })

  test('a class that no rule knows makes every rule count, and is told', () => {
    const rules = parsePolicy({
      ...{ id: 'p', version: '1', timeZone: 'UTC', houseMinimum: { years: 0 } },
      rules: [
        { id: 'short', class: 'examination', years: 5, anchor: 'study-date' },
        { id: 'long', class: 'treatment', years: 30, anchor: 'study-date' },
      ],
    })
    const decision = evaluate(rules, { ...child, classes: ['examination', 'research'] })
    assert.deepEqual([decision.retainUntil, decision.assumptions], ['2040-03-15', ['class_without_rule']])
    assert.equal(evaluate(rules, { ...child, classes: ['examination'] }).retainUntil, '2015-03-15')
  })

  test('the approvals of the strictest rule that applies are needed', () => {
    const rule = (id: string, studyClass: string, approvals: number) => ({
      ...{ id, class: studyClass, years: 1, anchor: 'study-date', approvals },
    })
    const rules = parsePolicy({
      ...{ id: 'p', version: '1', timeZone: 'UTC' },
      rules: [rule('a', 'any', 2), rule('b', 'research', 4), rule('c', 'record', 3)],
    })
    const study: StudyFacts = { studyUid: '1', classes: ['record'], receivedOn: '2010-03-15' }
    assert.equal(evaluate(rules, study).approvals, 3)
    assert.equal(evaluate(rules, { ...study, classes: [] }).approvals, 4)
  })
})

describe('policy files', () => {
  const good: PolicyInput = {
    id: 'radiology',
    version: '1',
    timeZone: 'Europe/Berlin',
    rules: [{ id: 'r', class: 'any', years: 30, anchor: 'last-contact' }],
  }
  const [rule = assert.fail()] = good.rules
  const complaint = (input: unknown): string => {
    try {
      parsePolicy(input)
    } catch (error) {
      assert.ok(error instanceof PolicyError)
      return error.message
    }
    return ''
  }

  test('the house keeps 30 years from arrival unless the policy says otherwise', () => {
    assert.deepEqual(parsePolicy(good).houseMinimum, { years: 30, from: 'receipt' })
  })

  test('a policy cannot be changed once it was read', () => {
    const policy = parsePolicy(good)
    assert.throws(() => Object.assign(policy.rules[0] ?? assert.fail(), { years: 1 }), TypeError)
  })

  test('what is wrong is named, with its place', () => {
    const withRule = (part: object) => ({ ...good, rules: [{ ...rule, ...part }] })
    for (const [input, pattern] of [
      [{ ...good, timeZone: 'Europe/Atlantis' }, /timeZone: a time zone such as/],
      [{ ...good, rules: [] }, /rules: /],
      [{ ...good, rules: [rule, rule] }, /rules: two rules have the same id/],
      [withRule({ years: -1 }), /rules\.0\.years/],
      [withRule({ years: 1.5 }), /rules\.0\.years/],
      [withRule({ yeras: 1 }), /yeras/],
      [withRule({ combine: 'min' }), /rules\.0\.combine/],
      [withRule({ anchor: 'birthday' }), /rules\.0\.anchor/],
      [withRule({ anchor: 'last-of-class' }), /`last-of-class` needs a class/],
      [withRule({ anchor: 'event:consent' }), /at least one rule must apply without a recorded event/],
      [withRule({ deathRule: { years: 1, effect: 'instead' } }), /within how many years/],
      [
        withRule({ years: 'forever', deathRule: { years: 1, effect: 'instead', withinYears: 2 } }),
        /place of `forever`/,
      ],
      [withRule({ untilAge: { age: 25, ends: 'birthday', from: 18, below: 17 } }), /`from` must be less/],
      [withRule({ yearsIfFollowed: 31 }), /must not be more/],
      [withRule({ approvals: 1 }), /rules\.0\.approvals/],
      ['nonsense', /can't be used/],
    ] as const) {
      assert.match(complaint(input), pattern)
    }
  })
})
