import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { PackFacts } from '../../catalogue/tier-ports.ts'
import type { MoveRule } from '../../config/tiers.ts'
import { decide, NEVER, plusDays } from './rules.ts'

const ALL = ['online', 'nearline', 'cold'] as const

const facts = (over: Partial<PackFacts> = {}, volume = 'default'): PackFacts => ({
  pack: { volume } as PackFacts['pack'],
  studyDate: '2026-01-01',
  received: '2026-02-01',
  lastUsed: '',
  modalities: ['CT'],
  pinned: false,
  ...over,
})
const rule = (over: Partial<MoveRule> = {}): MoveRule => ({ to: 'nearline', afterDays: 30, since: 'study', ...over })
const at = (rules: MoveRule[], today: string, over: Partial<PackFacts> = {}, now: (typeof ALL)[number] = 'online') =>
  decide(facts(over), rules, today, { now, present: ALL })

describe('move rules', () => {
  test('a pack moves when it is old enough, and is not looked at before', () => {
    assert.deepEqual(at([rule()], '2026-01-30'), { tier: 'online', nextLook: '2026-01-31' })
    assert.deepEqual(at([rule()], '2026-01-31'), { tier: 'nearline', nextLook: NEVER })
    assert.deepEqual(at([rule({ since: 'received' })], '2026-02-10'), { tier: 'online', nextLook: '2026-03-03' })
  })

  test('a study without a date, or from the future, counts from its arrival', () => {
    for (const studyDate of ['', '2099-01-01']) {
      assert.equal(at([rule()], '2026-03-02', { studyDate }).tier, 'online')
      assert.equal(at([rule()], '2026-03-03', { studyDate }).tier, 'nearline')
    }
  })

  test('the slowest tier that applies counts, and the next one gives the day of the next look', () => {
    const rules = [rule(), rule({ to: 'cold', afterDays: 365 })]
    assert.deepEqual(at(rules, '2026-01-10'), { tier: 'online', nextLook: '2026-01-31' })
    assert.deepEqual(at(rules, '2026-02-10'), { tier: 'nearline', nextLook: '2027-01-01' })
    assert.deepEqual(at(rules, '2027-01-01'), { tier: 'cold', nextLook: NEVER })
  })

  test('what is read stays; unused since counts from its arrival where nobody has read it', () => {
    const rules = [rule({ unusedDays: 60 })]
    assert.deepEqual(at(rules, '2026-03-01'), { tier: 'online', nextLook: '2026-04-02' })
    const lastUsed = '2026-06-01'
    assert.deepEqual(at(rules, '2026-04-02', { lastUsed }), { tier: 'online', nextLook: '2026-07-31' })
    assert.equal(at(rules, '2026-07-31', { lastUsed }).tier, 'nearline')
  })

  test('only the named modalities and volumes', () => {
    assert.deepEqual(at([rule({ modalities: ['MR'] })], '2027-01-01'), { tier: 'online', nextLook: NEVER })
    assert.equal(at([rule({ modalities: ['MR', 'CT'] })], '2027-01-01').tier, 'nearline')
    const only = [rule({ volumes: ['ct'] })]
    assert.equal(decide(facts(), only, '2027-01-01', { now: 'online', present: ALL }).tier, 'online')
    assert.equal(decide(facts({}, 'ct'), only, '2027-01-01', { now: 'online', present: ALL }).tier, 'nearline')
  })

  test('nothing comes back up but what is pinned, which stays', () => {
    assert.deepEqual(at([rule()], '2026-01-02', {}, 'cold'), { tier: 'cold', nextLook: NEVER })
    assert.deepEqual(at([], '2026-01-02', {}, 'nearline'), { tier: 'nearline', nextLook: NEVER })
    assert.deepEqual(at([rule()], '2027-01-01', { pinned: true }, 'cold'), { tier: 'online', nextLook: NEVER })
  })

  test('a tier without stores is no target', () => {
    const present = ['online'] as const
    assert.deepEqual(decide(facts(), [rule()], '2027-01-01', { now: 'online', present }), {
      tier: 'online',
      nextLook: NEVER,
    })
  })

  test('no date and no number of days leads to a date that is none', () => {
    for (const [day, days] of [
      ['', 1],
      ['2026-01-01', 1e12],
      ['9999-12-30', 5],
      ['nonsense', 0],
    ] as const)
      assert.equal(plusDays(day, days), NEVER)
    assert.equal(plusDays('2024-02-28', 1), '2024-02-29')
    assert.equal(plusDays('2026-01-01', 0.5), '2026-01-02')
  })
})
