import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { permits } from '../storage-adapters/contract/permit.ts'
import { type Disposition, reject } from './disposition.ts'
import { type GateRequest, requestPermit, type VerifiedCopy } from './gate.ts'
import {
  AT,
  anna,
  approved,
  type Circumstances,
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
  standing,
} from './testing/study.ts'

const NOW = new Date(AT)
const HOUR_MS = 3_600_000
const DAY_MS = 24 * HOUR_MS
const object = { place: 'store-a', key: 'packs/aa/1.2.3/x.tar', sha256: digest(77) }

interface State extends Circumstances {
  disposition: Disposition | undefined
  instances?: readonly string[]
}

/** Everything that a study's destruction can be in the way of, and the one state in which nothing is. */
const STATES: Record<string, State> = {
  'in retention': { disposition: undefined, clocks: clocksAt(0, 0) },
  'in retention, destruction forged': { disposition: destroying(), clocks: clocksAt(0, 0) },
  'on hold': { disposition: destroying(), holds: [hold()] },
  'expired, nobody has looked': { disposition: undefined },
  'expired, candidate': { disposition: candidate() },
  'expired, reviewed by one': { disposition: reviewed() },
  'expired, approved by two, not committed': { disposition: approved() },
  'expired, rejected': { disposition: reject(reviewed(), carl, AT, 'of interest') },
  'one person forged as two': { disposition: { ...destroying(), approvedBy: ['ANNA'] } },
  'approved by nobody': { disposition: { ...destroying(), approvedBy: [], reviewedBy: undefined } },
  'of another study': { disposition: destroying(), facts: { ...FACTS, studyUid: '9.9' } },
  'peer away': { disposition: destroying(), clocks: clocksAt(NOW_MS) },
  'peer’s clock before': { disposition: destroying(), clocks: clocksAt(NOW_MS, Date.parse('2050-01-15T12:00:00Z')) },
  'own clock before': { disposition: destroying(), clocks: clocksAt(Date.parse('2050-01-15T12:00:00Z'), NOW_MS) },
  'clock back': {
    disposition: destroying(),
    clocks: clocksAt(NOW_MS, NOW_MS).map((clock, n) => ({ ...clock, systemBehind: n === 1 })),
  },
  'policy longer': { disposition: destroying(), policy: policyOf('2', 40) },
  'policy shorter': { disposition: destroying(), policy: policyOf('2', 10), previous: '2050-01-15' },
  'corrected birth date': { disposition: destroying(), facts: { ...FACTS, birthDate: '20300101' } },
  'claim open': {
    disposition: destroying(),
    policy: frenchPolicy,
    facts: { ...FACTS, events: [{ id: 'c', kind: 'claim', date: '20300101', recordedOn: '2030-01-01' }] },
  },
  'to be kept for ever': { disposition: destroying(), previous: 'forever' },
  'instance came late': { disposition: destroying(), instances: [...INSTANCES, digest(4)] },
  'approved and committed': { disposition: destroying() },
}

/** Copies as a path could have them: none, one of this place twice, a damaged one, an old check, a good one, enough. */
const copy = (place: string, change: Partial<VerifiedCopy> = {}): VerifiedCopy => ({
  ...{ place, key: object.key, sha256: object.sha256, verifiedAtMs: NOW_MS - HOUR_MS },
  ...change,
})
const COPIES: Record<string, readonly VerifiedCopy[]> = {
  none: [],
  'only itself': [copy('store-a'), copy('store-a')],
  'itself and one other': [copy('store-a'), copy('store-b')],
  'same place twice': [copy('store-b'), copy('store-b')],
  'other bytes': [copy('store-b'), copy('store-c', { sha256: digest(78) })],
  'checked long ago': [copy('store-b'), copy('store-c', { verifiedAtMs: NOW_MS - 2 * DAY_MS })],
  'checked tomorrow': [copy('store-b'), copy('store-c', { verifiedAtMs: NOW_MS + DAY_MS })],
  'checked never': [copy('store-b'), copy('store-c', { verifiedAtMs: Number.NaN })],
  enough: [copy('store-b'), copy('store-c')],
}

/** What each path brings along when it wants to free an object. Whatever it calls itself, the gate sees only this. */
const PATHS = {
  'retention expiry': ['disposition'],
  'IOCM rejection': ['disposition', 'never_acknowledged'],
  'purge after rejection': ['disposition', 'never_acknowledged'],
  'DICOMweb DELETE': ['disposition'],
  'patient merge': ['disposition'],
  'overwrite by a re-sent instance': ['copies_elsewhere', 'never_acknowledged'],
  'low-space purge': ['copies_elsewhere', 'never_acknowledged'],
  'tier move': ['copies_elsewhere'],
  drain: ['copies_elsewhere'],
  'compaction of the landing': ['copies_elsewhere', 'never_acknowledged'],
  'recovery of interrupted writes': ['never_acknowledged'],
  'admin CLI': ['disposition', 'copies_elsewhere', 'never_acknowledged'],
} as const

const byDisposition = (state: State, change: object = {}): GateRequest => ({
  ...{ ground: 'disposition', object, holdsInstances: INSTANCES.slice(0, 2), disposition: state.disposition },
  ...{ standing: standing(state), instances: state.instances ?? INSTANCES },
  ...change,
})
const byCopies = (held: boolean, copies: readonly VerifiedCopy[], change: object = {}): GateRequest => ({
  ...{ ground: 'copies_elsewhere', object, copies, condemned: [], copiesMin: 2, held, movesHeld: false, nowMs: NOW_MS },
  ...change,
})
/** The catalogue knows every study of the matrix, so nothing of them was never acknowledged. */
const byNobodyKnowing = (change: object = {}): GateRequest => ({
  ...{ ground: 'never_acknowledged', object, catalogueEntries: ['1.2.3'], firstSeenMs: 0, nowMs: NOW_MS },
  ...change,
})

describe('the gate', () => {
  test('path x state: nothing is freed but what was approved and committed, or kept elsewhere', (t) => {
    let tried = 0
    const freed: string[] = []
    for (const [path, grounds] of Object.entries(PATHS)) {
      for (const [name, state] of Object.entries(STATES)) {
        for (const ground of grounds) {
          const requests: (readonly [string, GateRequest])[] =
            ground === 'disposition'
              ? [['', byDisposition(state)]]
              : ground === 'never_acknowledged'
                ? [['', byNobodyKnowing()]]
                : Object.entries(COPIES).map(([kind, copies]) => [kind, byCopies(state.holds !== undefined, copies)])
          for (const [kind, request] of requests) {
            tried += 1
            const answer = requestPermit(request, NOW)
            if (answer.allowed) freed.push([path, name, ground, kind].join(' | '))
            else assert.ok(answer.codes.length > 0, 'every refusal says why')
          }
        }
      }
    }
    const expected = Object.entries(PATHS).flatMap(([path, grounds]) =>
      Object.keys(STATES).flatMap((state) =>
        grounds.flatMap((ground: GateRequest['ground']) => {
          if (ground === 'disposition' && state === 'approved and committed')
            return [[path, state, ground, ''].join(' | ')]
          if (ground === 'copies_elsewhere' && state !== 'on hold') return [[path, state, ground, 'enough'].join(' | ')]
          return []
        }),
      ),
    )
    assert.deepEqual(freed, expected)
    t.diagnostic(
      `${Object.keys(PATHS).length} paths x ${Object.keys(STATES).length} states: ${tried} requests, ` +
        `${freed.length} permits, all expected, 0 bypasses`,
    )
  })

  test('a direct call with something that looks like a permit frees nothing', () => {
    const answer = requestPermit(byDisposition(STATES['approved and committed'] ?? assert.fail()), NOW)
    assert.ok(answer.allowed)
    assert.ok(permits(answer.permit, object.key, object.sha256))
    assert.ok(!permits({ ...answer.permit }, object.key, object.sha256))
    assert.ok(!permits(answer.permit, 'another key', object.sha256))
    assert.ok(!permits(answer.permit, object.key, digest(1)))
    assert.ok(!permits(JSON.parse(JSON.stringify(answer.permit)), object.key))
  })

  test('what forbids is named', () => {
    const codes = (request: GateRequest) => {
      const answer = requestPermit(request, NOW)
      return answer.allowed ? [] : answer.codes
    }
    const inState = (name: string) => codes(byDisposition(STATES[name] ?? assert.fail(name)))
    assert.deepEqual(inState('on hold'), ['on_hold'])
    assert.deepEqual(inState('in retention'), ['no_disposition', 'in_retention'])
    assert.deepEqual(inState('expired, approved by two, not committed'), ['not_approved'])
    assert.deepEqual(inState('one person forged as two'), ['not_approved'])
    assert.deepEqual(inState('peer away'), ['peer_away'])
    assert.deepEqual(inState('clock back'), ['clock_back'])
    assert.deepEqual(inState('policy longer'), ['in_retention', 'decision_changed'])
    assert.deepEqual(inState('policy shorter'), ['decision_changed'])
    assert.deepEqual(inState('instance came late'), ['instances_changed'])
    assert.deepEqual(inState('of another study'), ['decision_changed'])
    assert.deepEqual(codes(byCopies(true, COPIES.enough ?? [])), ['on_hold'])
    assert.deepEqual(codes(byCopies(false, [])), ['too_few_copies'])
    assert.deepEqual(codes(byNobodyKnowing()), ['acknowledged'])
  })

  test('a decision with a forged date is evaluated again', () => {
    const honest = standing({ clocks: clocksAt(0, 0) })
    const decision = { ...honest.decision, retainUntil: '1960-01-01', suspendedBy: [] }
    const state = STATES['approved and committed'] ?? assert.fail()
    const answer = requestPermit(byDisposition(state, { standing: { ...honest, decision } }), NOW)
    assert.ok(!answer.allowed && answer.codes.includes('in_retention'))
  })

  test('an object that holds anything besides what was approved is not freed', () => {
    const state = STATES['approved and committed'] ?? assert.fail()
    for (const holdsInstances of [[], [digest(1), digest(99)], [digest(99)]]) {
      const answer = requestPermit(byDisposition(state, { holdsInstances }), NOW)
      assert.deepEqual(answer, { allowed: false, codes: ['other_instances'] })
    }
  })

  test('what is held is moved only where the house says that a hold keeps the study and not each copy', () => {
    assert.ok(requestPermit(byCopies(true, COPIES.enough ?? [], { movesHeld: true }), NOW).allowed)
    assert.ok(!requestPermit(byCopies(true, COPIES['only itself'] ?? [], { movesHeld: true }), NOW).allowed)
  })

  test('two copies are not freed because of each other', () => {
    const free = (place: string, other: string, condemned: string[]) =>
      requestPermit(byCopies(false, [copy(other)], { object: { ...object, place }, copiesMin: 1, condemned }), NOW)
        .allowed
    assert.ok(free('store-a', 'store-b', []))
    assert.ok(!free('store-b', 'store-a', ['store-a']))
  })

  test('as many other copies as the policy wants are needed, and one at least', () => {
    const enough = COPIES.enough ?? []
    const allowed = (copiesMin: number) => requestPermit(byCopies(false, enough, { copiesMin }), NOW).allowed
    assert.deepEqual([1, 2, 3, 0, -1, 1.5, Number.NaN].map(allowed), [true, true, false, false, false, false, false])
  })

  test('leftovers are freed when somebody has looked, nobody knows them, and a week has passed', () => {
    const free = (change: object) => requestPermit(byNobodyKnowing({ catalogueEntries: [], ...change }), NOW).allowed
    assert.ok(free({ firstSeenMs: NOW_MS - 7 * DAY_MS }))
    assert.ok(!free({ firstSeenMs: NOW_MS - 7 * DAY_MS + 1 }))
    assert.ok(!free({ firstSeenMs: NOW_MS + DAY_MS }))
    assert.ok(!free({ firstSeenMs: Number.NaN }))
    assert.ok(!free({ catalogueEntries: undefined }))
    assert.ok(!free({ catalogueEntries: ['1.2'] }))
  })

  test('an object must be named whole, and a ground must be one of three', () => {
    for (const wrong of [{ key: '' }, { place: '' }, { sha256: '' }, { sha256: 'x'.repeat(64) }]) {
      const request = byNobodyKnowing({ catalogueEntries: [], object: { ...object, ...wrong } })
      assert.deepEqual(requestPermit(request, NOW), { allowed: false, codes: ['invalid_object'] })
    }
    const other = { ...byNobodyKnowing({ catalogueEntries: [] }), ground: 'because' } as unknown as GateRequest
    assert.deepEqual(requestPermit(other, NOW), { allowed: false, codes: ['unknown_ground'] })
  })

  test('a records officer cannot open it alone', () => {
    const alone = { ...destroying(), approvedBy: [anna.id] }
    const answer = requestPermit(byDisposition({ disposition: alone }), NOW)
    assert.deepEqual(answer, { allowed: false, codes: ['not_approved'] })
  })
})
