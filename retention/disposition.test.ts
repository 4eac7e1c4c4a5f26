import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Actor } from './actor.ts'
import {
  abort,
  approve,
  begin,
  certify,
  type Disposition,
  instancesDigest,
  nominate,
  reject,
  review,
} from './disposition.ts'
import { type RefusalCode, RetentionRefusal } from './refusal.ts'
import {
  AT,
  adam,
  anna,
  approved,
  bert,
  candidate,
  carl,
  clocksAt,
  destroying,
  digest,
  FACTS,
  frenchPolicy,
  hold,
  INSTANCES,
  NOW_MS,
  policyOf,
  reviewed,
  SITES,
  standing,
} from './testing/study.ts'

const refused = (code: RefusalCode, deed: () => unknown) =>
  assert.throws(deed, (error) => error instanceof RetentionRefusal && error.code === code, code)
const receipt = (site: string, change: object = {}) => ({
  ...{ site, generation: 'g1', proposal: 1, instances: 3, instancesDigest: instancesDigest(INSTANCES) },
  ...{ permits: ['p'], at: AT },
  ...change,
})

describe('disposition', () => {
  test('goes from candidate to certificate by two persons and both sites, and remembers every step', () => {
    const { disposition, certificate } = certify(
      destroying(),
      SITES,
      SITES.map((site) => receipt(site)),
      AT,
    )
    assert.equal(disposition.state, 'certified')
    assert.deepEqual(
      disposition.steps.map(({ to, by }) => `${to} by ${by}`),
      ['candidate by firn', 'reviewed by anna', 'approved by bert', 'destroying by firn', 'certified by firn'],
    )
    assert.equal(certificate.subject.studyUid, '1.2.3')
    assert.equal(certificate.subject.retainUntil, '2050-01-15')
    assert.equal(certificate.subject.rule, 'house-minimum')
    assert.deepEqual([certificate.reviewedBy, certificate.approvedBy], ['anna', ['bert']])
    assert.deepEqual(
      certificate.receipts.map(({ site }) => site),
      ['north', 'south'],
    )
    assert.deepEqual(JSON.parse(JSON.stringify(certificate)), certificate)
  })

  test('only an expired study can be a candidate', () => {
    const nominated = (change: Parameters<typeof standing>[0]) => () => nominate('d', standing(change), INSTANCES, AT)
    refused('not_expired', nominated({ policy: policyOf('1', 40) }))
    refused('not_expired', nominated({ holds: [hold()] }))
    refused('not_expired', nominated({ previous: 'forever' }))
    refused('not_expired', nominated({ clocks: clocksAt(NOW_MS) }))
    refused('not_expired', nominated({ clocks: clocksAt(NOW_MS, Date.parse('2050-01-15T22:59:59Z')) }))
    refused('not_expired', nominated({ clocks: [] }))
  })

  test('an open claim keeps it off the list', () => {
    const facts = { ...FACTS, events: [{ id: 'c', kind: 'claim', date: '20300101', recordedOn: '2030-01-01' }] }
    refused('not_expired', () => nominate('d', standing({ facts, policy: frenchPolicy }), INSTANCES, AT))
  })

  test('the second person must be another one, whatever the spelling', () => {
    refused('same_person', () => approve(reviewed(), anna, AT, 'x'))
    refused('same_person', () => approve(reviewed(), { ...anna, id: ' Anna' }, AT, 'x'))
  })

  test('a rule that wants three persons waits for the third', () => {
    const first = approve({ ...reviewed(), approvalsNeeded: 3 }, bert, AT, 'x')
    assert.equal(first.state, 'reviewed')
    refused('same_person', () => approve(first, bert, AT, 'x'))
    refused('same_person', () => approve(first, anna, AT, 'x'))
    assert.equal(approve(first, carl, AT, 'x').state, 'approved')
  })

  test('nobody but records officers reviews, approves or rejects', () => {
    for (const roles of [['admin'], ['send'], ['read'], []] as const) {
      const actor: Actor = { id: 'x', roles }
      refused('role_missing', () => review(candidate(), actor, AT, 'x'))
      refused('role_missing', () => approve(reviewed(), actor, AT, 'x'))
      refused('role_missing', () => reject(candidate(), actor, AT, 'x'))
    }
    refused('role_missing', () => review(candidate(), { id: ' ', roles: ['records'] }, AT, 'x'))
    refused('role_missing', () => approve(reviewed(), adam, AT, 'x'))
  })

  test('every judgement has a reason', () => {
    refused('reason_missing', () => review(candidate(), anna, AT, ''))
    refused('reason_missing', () => approve(reviewed(), bert, AT, '  '))
    refused('reason_missing', () => reject(reviewed(), bert, AT, '\n'))
    refused('reason_missing', () => abort(reviewed(), 'firn', AT, ''))
  })

  test('rejecting and aborting end it, before destruction only', () => {
    for (const d of [candidate(), reviewed(), approved()]) {
      assert.equal(reject(d, carl, AT, 'of interest').state, 'rejected')
      assert.equal(abort(d, 'firn', AT, 'peer away').state, 'aborted')
    }
    refused('wrong_state', () => reject(destroying(), carl, AT, 'x'))
    refused('wrong_state', () => abort(destroying(), 'firn', AT, 'x'))
  })

  test('no step can be left out, repeated or taken back', () => {
    const certified = certify(
      destroying(),
      SITES,
      SITES.map((site) => receipt(site)),
      AT,
    ).disposition
    const all: Disposition[] = [candidate(), reviewed(), approved(), destroying(), certified]
    all.push(reject(candidate(), anna, AT, 'x'), abort(candidate(), 'firn', AT, 'x'))
    const steps: Record<string, (d: Disposition) => unknown> = {
      candidate: (d) => review(d, anna, AT, 'x'),
      reviewed: (d) => approve(d, carl, AT, 'x'),
      approved: (d) => begin(d, standing(), INSTANCES, 1, AT),
      destroying: (d) =>
        certify(
          d,
          SITES,
          SITES.map((site) => receipt(site)),
          AT,
        ),
    }
    for (const d of all) {
      for (const [from, go] of Object.entries(steps)) {
        if (d.state === from) assert.doesNotThrow(() => go(d), `${from} can go on`)
        else refused('wrong_state', () => go(d))
      }
    }
  })

  test('the recheck aborts whatever has changed since persons agreed, and says what', () => {
    const blocks = (change: Parameters<typeof standing>[0], instances = INSTANCES) => {
      const d = begin(approved(), standing(change), instances, 1, AT)
      assert.equal(d.state === 'aborted', d.steps.at(-1)?.blocks !== undefined)
      assert.equal(d.proposal === undefined, d.state === 'aborted')
      return d.steps.at(-1)?.blocks ?? []
    }
    assert.deepEqual(blocks({}), [])
    assert.deepEqual(blocks({ holds: [hold()] }), ['on_hold'])
    assert.deepEqual(blocks({ clocks: clocksAt(NOW_MS) }), ['peer_away'])
    assert.deepEqual(blocks({ clocks: clocksAt(NOW_MS, 0) }), ['in_retention'])
    assert.deepEqual(blocks({ clocks: clocksAt(NOW_MS, NOW_MS).map((clock) => ({ ...clock, systemBehind: true })) }), [
      'clock_back',
    ])
    assert.deepEqual(blocks({ policy: policyOf('2', 40) }), ['in_retention', 'decision_changed'])
    assert.deepEqual(blocks({ policy: policyOf('2') }), ['decision_changed'])
    assert.deepEqual(blocks({ previous: '2051-01-01' }), ['decision_changed'])
    assert.deepEqual(blocks({}, [...INSTANCES, digest(4)]), ['instances_changed'])
    assert.deepEqual(blocks({}, [digest(3), digest(2), digest(1), digest(1)]), [])
  })

  test('a certificate needs the receipt of every site, for this proposal and these instances', () => {
    const certified =
      (...receipts: ReturnType<typeof receipt>[]) =>
      () =>
        certify(destroying(), SITES, receipts, AT)
    refused('receipts_missing', certified(receipt('north')))
    refused('receipts_missing', certified(receipt('north'), receipt('north')))
    refused('receipts_missing', certified(receipt('north'), receipt('south', { proposal: 2 })))
    refused('receipts_missing', certified(receipt('north'), receipt('south', { instances: 2 })))
    refused('receipts_missing', certified(receipt('north'), receipt('south', { instancesDigest: digest(9) })))
    refused('receipts_missing', () => certify(destroying(), [], [], AT))
  })
})
