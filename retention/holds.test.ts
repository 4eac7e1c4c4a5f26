import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import fc from 'fast-check'
import { agreeToRelease, type HoldEvent, HoldSet, type HoldTarget, placeHold } from './holds.ts'
import { RetentionRefusal } from './refusal.ts'

const AT = '2026-11-24T10:00:00Z'
const NORTH = { site: 'north', generation: 'g1' }
const SOUTH = { site: 'south', generation: 'g1' }
const SITES = [NORTH, SOUTH]
const anna = { id: 'anna', roles: ['records'] as const }
const bert = { id: 'bert', roles: ['records'] as const }

const place = (holdId: string, target: HoldTarget, site = NORTH) =>
  placeHold(
    { id: `p-${holdId}`, holdId, target, caseReference: 'C 1', reason: 'claim', holder: 'court' },
    anna,
    AT,
    site,
  )
const study = (studyUid: string): HoldTarget => ({ kind: 'study', studyUid })
const refused = (code: string, deed: () => unknown) =>
  assert.throws(deed, (error) => error instanceof RetentionRefusal && error.code === code, code)
const activeOn = (holds: HoldSet, uid: string, patients: string[] = []) =>
  holds.on(uid, patients).map(({ holdId }) => holdId)

describe('holds', () => {
  test('are found by study, by any key of the patient, and by what a query had found', () => {
    const holds = new HoldSet(SITES, [
      place('h1', study('1.1')),
      place('h2', { kind: 'patient', patientKey: 'P1' }),
      place('h3', { kind: 'query', query: 'AccessionNumber=7', studyUids: ['1.1', '1.2'] }),
    ])
    assert.deepEqual(activeOn(holds, '1.1', ['P1']), ['h1', 'h2', 'h3'])
    assert.deepEqual(activeOn(holds, '1.2', ['P9', 'P1']), ['h2', 'h3'])
    assert.deepEqual(activeOn(holds, '1.3', ['P2']), [])
  })

  test('end only with the consent of two different persons', () => {
    const holds = new HoldSet(SITES, [place('h1', study('1.1'))])
    holds.add(agreeToRelease(holds, { id: 'r1', holdId: 'h1', reason: 'closed' }, anna, AT, NORTH))
    assert.deepEqual(activeOn(holds, '1.1'), ['h1'])
    refused('same_person', () => agreeToRelease(holds, { id: 'r2', holdId: 'h1', reason: 'x' }, anna, AT, SOUTH))
    refused('same_person', () =>
      agreeToRelease(holds, { id: 'r2', holdId: 'h1', reason: 'x' }, { ...anna, id: ' ANNA ' }, AT, SOUTH),
    )
    holds.add(agreeToRelease(holds, { id: 'r3', holdId: 'h1', reason: 'closed' }, bert, AT, SOUTH))
    assert.deepEqual(activeOn(holds, '1.1'), [])
    assert.deepEqual(holds.hold('h1')?.releasedBy, ['anna', 'bert'])
    refused('already_released', () => agreeToRelease(holds, { id: 'r4', holdId: 'h1', reason: 'x' }, bert, AT, SOUTH))
  })

  test('two events of one person are one consent, also when they were forged past the check', () => {
    const release = (id: string, by: string): HoldEvent => ({
      ...{ kind: 'release-agreed', id, holdId: 'h1', reason: 'x', ...NORTH, by, at: AT },
    })
    const holds = new HoldSet(SITES, [place('h1', study('1.1')), release('r1', 'anna'), release('r2', 'Anna')])
    assert.deepEqual(activeOn(holds, '1.1'), ['h1'])
  })

  test('one of several on a study is enough to hold it', () => {
    const holds = new HoldSet(SITES, [place('h1', study('1.1')), place('h2', study('1.1'))])
    for (const actor of [anna, bert]) {
      holds.add(agreeToRelease(holds, { id: `r-${actor.id}`, holdId: 'h1', reason: 'x' }, actor, AT, NORTH))
    }
    assert.deepEqual(activeOn(holds, '1.1'), ['h2'])
  })

  test('are local only until every site has confirmed them', () => {
    const holds = new HoldSet(SITES, [place('h1', study('1.1'))])
    assert.equal(holds.hold('h1')?.assurance, 'local only')
    holds.add({ kind: 'confirmed', id: 'c1', holdId: 'h1', ...SOUTH, by: 'firn', at: AT })
    assert.equal(holds.hold('h1')?.assurance, 'local only')
    holds.add({ kind: 'confirmed', id: 'c2', holdId: 'h1', ...NORTH, by: 'firn', at: AT })
    assert.equal(holds.hold('h1')?.assurance, 'guaranteed')
    const restored = new HoldSet([NORTH, { ...SOUTH, generation: 'g2' }], holds.events())
    assert.equal(restored.hold('h1')?.assurance, 'local only', 'a restored site must confirm again')
  })

  test('a release that is known before the hold waits for it', () => {
    const full = new HoldSet(SITES, [place('h1', study('1.1'))])
    const release = agreeToRelease(full, { id: 'r1', holdId: 'h1', reason: 'x' }, anna, AT, NORTH)
    const holds = new HoldSet(SITES, [release])
    assert.equal(holds.hold('h1'), undefined)
    assert.deepEqual(holds.merge(full).hold('h1')?.releasedBy, ['anna'])
  })

  test('an id used twice hides nothing: both targets stay held, and neither can be released', () => {
    const holds = new HoldSet(SITES, [place('h1', study('1.1')), place('h1', study('1.2'), SOUTH)])
    for (const actor of [anna, bert]) {
      holds.add(agreeToRelease(holds, { id: `r-${actor.id}`, holdId: 'h1', reason: 'x' }, actor, AT, NORTH))
    }
    assert.deepEqual([activeOn(holds, '1.1'), activeOn(holds, '1.2')], [['h1'], ['h1']])
  })

  test('only a records officer places and releases them, with a reason and a target', () => {
    const holds = new HoldSet(SITES, [place('h1', study('1.1'))])
    const hold = { id: 'p', holdId: 'h', target: study('1.1'), caseReference: 'C', reason: 'r', holder: 'court' }
    for (const role of ['admin', 'send', 'read'] as const) {
      refused('role_missing', () => placeHold(hold, { id: 'x', roles: [role] }, AT, NORTH))
      refused('role_missing', () =>
        agreeToRelease(holds, { id: 'r', holdId: 'h1', reason: 'x' }, { id: 'x', roles: [role] }, AT, NORTH),
      )
    }
    refused('reason_missing', () => placeHold({ ...hold, reason: ' ' }, anna, AT, NORTH))
    refused('reason_missing', () => placeHold({ ...hold, caseReference: '' }, anna, AT, NORTH))
    refused('invalid_target', () => placeHold({ ...hold, target: study('') }, anna, AT, NORTH))
    refused('invalid_target', () =>
      placeHold({ ...hold, target: { kind: 'query', query: 'x', studyUids: [] } }, anna, AT, NORTH),
    )
    const tooMany = Array.from({ length: 100_001 }, (_, n) => `1.${n}`)
    refused('invalid_target', () =>
      placeHold({ ...hold, target: { kind: 'query', query: 'x', studyUids: tooMany } }, anna, AT, NORTH),
    )
    refused('unknown_hold', () => agreeToRelease(holds, { id: 'r', holdId: 'h9', reason: 'x' }, anna, AT, NORTH))
  })
})

const event: fc.Arbitrary<HoldEvent> = fc
  .record({
    hold: fc.integer({ min: 1, max: 3 }),
    by: fc.constantFrom('anna', 'bert', 'carl'),
    n: fc.integer({ min: 0, max: 4 }),
  })
  .map(({ hold, by, n }): HoldEvent => {
    const base = { id: `e${n}`, holdId: `h${hold}`, by, at: AT, ...(n % 2 === 0 ? NORTH : SOUTH) }
    if (n < 2) return place(`h${hold}`, study(`1.${hold}`), NORTH)
    return n < 4 ? { ...base, kind: 'release-agreed', reason: 'x' } : { ...base, kind: 'confirmed' }
  })
const events = fc.array(event, { maxLength: 12 })
const view = (holds: HoldSet) => ({ events: holds.events(), all: holds.all() })

describe('merging holds of two sites', () => {
  test('is commutative, associative and idempotent, and what is held is the same at both', () => {
    fc.assert(
      fc.property(events, events, events, (a, b, c) => {
        const [x, y, z] = [a, b, c].map((list) => new HoldSet(SITES, list)) as [HoldSet, HoldSet, HoldSet]
        assert.deepEqual(view(x.merge(y)), view(y.merge(x)))
        assert.deepEqual(view(x.merge(y).merge(z)), view(x.merge(y.merge(z))))
        assert.deepEqual(view(x.merge(x)), view(x))
        assert.deepEqual(view(new HoldSet(SITES, [...a].reverse())), view(x))
      }),
    )
  })

  test('never ends a hold that neither site had two consents for together', () => {
    fc.assert(
      fc.property(events, events, (a, b) => {
        for (const { holdId, state } of new HoldSet(SITES, a).merge(new HoldSet(SITES, b)).all()) {
          const persons = new Set(
            [...a, ...b].filter((e) => e.kind === 'release-agreed' && e.holdId === holdId).map(({ by }) => by),
          )
          assert.equal(state, persons.size >= 2 ? 'released' : 'active')
        }
      }),
    )
  })
})
