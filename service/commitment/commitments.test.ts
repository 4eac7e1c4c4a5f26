import assert from 'node:assert/strict'
import { after, before, beforeEach, describe, test } from 'node:test'
import { databases, type Opened } from '../../test/property/databases.ts'
import { until } from '../../test/support/until.ts'
import { ArchiveError } from '../errors.ts'
import type { KnownEvent } from '../events/kinds.ts'
import { type CommitmentsOptions, StorageCommitments } from './commitments.ts'
import type { CommitmentRequest, Delivery, Finding, Reference, Transaction } from './ports.ts'

const references = (count: number, from = 0): Reference[] =>
  Array.from({ length: count }, (_, n) => ({
    sopClassUid: '1.2.840.10008.5.1.4.1.1.2',
    sopInstanceUid: `1.2.3.${from + n}`,
  }))
const dimse = { protocol: 'dimse', name: 'CT1', address: '10.0.0.7' } as const
const web = { protocol: 'dicomweb', name: 'token', address: '10.0.0.8' } as const
const COMMITTED: Finding = { verdict: 'committed' }

describe('requests for commitment', () => {
  let opened: Opened
  let running: StorageCommitments[] = []
  let events: KnownEvent[]
  let told: Transaction[]
  let findings: (reference: Reference) => Finding
  let delivery: (transaction: Transaction) => Delivery | Promise<Delivery>
  let appending: () => void
  before(async () => {
    opened = await (databases[0] as (typeof databases)[number]).open()
  })
  after(() => opened.close())
  beforeEach(async () => {
    await Promise.all(running.map((one) => one.stop()))
    const { commitments } = opened.catalogue
    for (const { id, state } of await commitments.list({ limit: 100 })) {
      if (state === 'pending') await commitments.answer(id, 1, 'done')
      else await commitments.attempted(id, { state: 'done', endedAt: 1, nextAt: null, trouble: '' })
    }
    while (await commitments.forgetOne(Number.MAX_SAFE_INTEGER));
    running = []
    events = []
    told = []
    findings = () => COMMITTED
    delivery = () => ({ outcome: 'delivered', reason: '' })
    appending = () => undefined
  })

  const open = (over: Partial<CommitmentsOptions> = {}): StorageCommitments => {
    const commitments = new StorageCommitments({
      records: opened.catalogue.commitments,
      verifier: { verify: async (some) => some.map((one) => findings(one)) },
      deliver: {
        isHere: () => false,
        async deliver(transaction) {
          const outcome = await delivery(transaction)
          if (outcome.outcome === 'delivered') told.push(transaction)
          return outcome
        },
      },
      events: {
        async append(...some) {
          appending()
          events.push(...some)
          return []
        },
      },
      referencesMax: 1000,
      openMax: 100,
      patienceMs: 60_000,
      pendingMs: 60_000,
      deliverMs: 60_000,
      keepMs: 60_000,
      metrics: { requested: () => undefined, judged: () => undefined, delivered: () => undefined },
      warn: () => undefined,
      ...over,
    })
    running.push(commitments)
    return commitments
  }
  const request = (uid: string, over: Partial<CommitmentRequest> = {}): CommitmentRequest => ({
    transactionUid: uid,
    requester: dimse,
    form: 'instances',
    references: references(3),
    ...over,
  })
  const reach = async (commitments: StorageCommitments, id: number, state: Transaction['state']) =>
    until(
      state,
      async () => {
        const now = await commitments.get(id)
        return now?.state === state && now
      },
      5000,
    )

  test('are answered and told, with an event for each', async () => {
    findings = ({ sopInstanceUid }) =>
      sopInstanceUid.endsWith('.1') ? { verdict: 'failed', reason: 'class_conflict' } : COMMITTED
    const commitments = open()
    const { transaction } = await commitments.request(request('1.1'))
    const done = await reach(commitments, transaction.id, 'done')
    assert.deepEqual([done.committed, done.failed], [2, 1])
    assert.deepEqual(
      told.map(({ transactionUid }) => transactionUid),
      ['1.1'],
    )
    assert.deepEqual(events, [
      {
        kind: 'commitment.requested',
        actor: { name: 'CT1', role: 'send', from: '10.0.0.7' },
        subject: { transaction: '1.1' },
        data: { protocol: 'dimse', references: 3 },
      },
      {
        kind: 'commitment.answered',
        actor: { name: 'system', role: '', from: '' },
        subject: { transaction: '1.1' },
        data: { protocol: 'dimse', requester: 'CT1', committed: 2, failed: 1, failures: { class_conflict: 1 } },
      },
    ])
  })

  test('of many instances are decided in steps, with others in between', async () => {
    const order: number[] = []
    const commitments = open({
      verifier: {
        async verify(some) {
          order.push(some.length)
          return some.map(() => COMMITTED)
        },
      },
    })
    await Promise.all([
      commitments.request(request('2.1', { references: references(700) })),
      commitments.request(request('2.2', { references: references(1) })),
    ])
    await until('both', () => told.length === 2, 5000)
    assert.equal(
      order.reduce((sum, n) => sum + n, 0),
      701,
    )
    assert.ok(Math.max(...order) <= 200)
    assert.ok(order.indexOf(1) < order.length - 1, `${order}: the small one waited for the end of the large one`)
  })

  test('the same again is the same transaction, told again; another one is failed, or refused', async () => {
    const commitments = open()
    const { transaction } = await commitments.request(request('3.1'))
    await reach(commitments, transaction.id, 'done')
    const again = await commitments.request(request('3.1'))
    assert.deepEqual([again.outcome, again.transaction.id], ['repeated', transaction.id])
    await until('a second telling', () => told.length === 2, 5000)
    for (const other of [
      request('3.1', { references: references(2) }),
      request('3.1', { requester: { ...dimse, name: 'MR1' } }),
    ]) {
      const { outcome, transaction: failed } = await commitments.request(other)
      assert.equal(outcome, 'taken')
      const { committed, failed: all } = await reach(commitments, failed.id, 'done')
      assert.deepEqual([committed, all], [0, other.references.length])
    }
    const taken = await commitments.request(request('3.1', { requester: web }))
    assert.deepEqual([taken.outcome, taken.transaction.id], ['taken', transaction.id])
    assert.equal((await commitments.list({ transactionUid: '3.1', limit: 10 })).length, 3)
  })

  test('the same many times at once is one', async () => {
    const commitments = open()
    const all = await Promise.all(Array.from({ length: 10 }, () => commitments.request(request('4.1'))))
    assert.equal(new Set(all.map(({ transaction }) => transaction.id)).size, 1)
    assert.equal(all.filter(({ outcome }) => outcome === 'accepted').length, 1)
  })

  test('what is absent is given time, what cannot be verified longer, and then both fail', async () => {
    const why: Record<string, 'absent' | 'unreadable' | 'peer'> = {
      '1.2.3.0': 'absent',
      '1.2.3.1': 'unreadable',
      '1.2.3.2': 'peer',
    }
    findings = ({ sopInstanceUid }) => ({ verdict: 'pending', why: why[sopInstanceUid] as 'absent' })
    const commitments = open({ patienceMs: 300, pendingMs: 4000 })
    commitments.start()
    const { transaction } = await commitments.request(request('5.1'))
    await until('patience to be over', async () => (await commitments.get(transaction.id))?.failed === 1, 5000)
    assert.equal((await commitments.get(transaction.id))?.state, 'pending')
    assert.notEqual((await commitments.get(transaction.id))?.trouble, '')
    await reach(commitments, transaction.id, 'done')
    const all = await commitments.page(transaction.id, { which: 'all', after: 0, limit: 9 })
    assert.deepEqual(
      all.map(({ verdict }) => verdict),
      ['no_such_instance', 'processing_failure', 'processing_failure'],
    )
  })

  test('no answer without its event, and no request either', async () => {
    const commitments = open()
    appending = () => {
      throw new ArchiveError('unavailable', 'the event log is closed')
    }
    await assert.rejects(commitments.request(request('6.1')), /event log/)
    assert.deepEqual(await commitments.list({ limit: 9 }), [])
    appending = () => undefined
    const { transaction } = await commitments.request(request('6.2', { requester: web }))
    appending = () => {
      throw new ArchiveError('unavailable', 'the event log is closed')
    }
    await until(
      'trouble',
      async () => {
        const now = await commitments.get(transaction.id)
        return now?.state === 'done' || now?.trouble.includes('event log')
      },
      5000,
    )
    const now = await commitments.get(transaction.id)
    assert.equal(
      now?.state === 'done',
      events.some(({ kind }) => kind === 'commitment.answered'),
    )
  })

  test('a verifier that fails for one keeps no other back', async () => {
    const commitments = open({
      verifier: {
        async verify(some) {
          if (some.length === 3) throw new Error('the catalogue is away')
          return some.map(() => COMMITTED)
        },
      },
    })
    const bad = await commitments.request(request('7.1'))
    const good = await commitments.request(request('7.2', { references: references(2) }))
    await reach(commitments, good.transaction.id, 'done')
    const now = await commitments.get(bad.transaction.id)
    assert.deepEqual([now?.state, now?.trouble], ['pending', 'the catalogue is away'])
  })

  test('a restart takes up what was pending, and what was not told', async () => {
    findings = () => ({ verdict: 'pending', why: 'absent' })
    delivery = () => ({ outcome: 'later', reason: 'nobody there' })
    const first = open()
    const pending = await first.request(request('8.1'))
    findings = () => COMMITTED
    const untold = await first.request(request('8.2', { references: references(1, 50) }))
    await until('an attempt', async () => (await first.get(untold.transaction.id))?.attempts === 1, 5000)
    await first.stop()
    delivery = () => ({ outcome: 'delivered', reason: '' })
    const second = open()
    second.start()
    await reach(second, pending.transaction.id, 'done')
    await reach(second, untold.transaction.id, 'done')
  })

  test('results that are not taken wait together, one that is not wanted ends', async () => {
    const attempts: string[] = []
    delivery = ({ transactionUid }) => {
      attempts.push(transactionUid)
      return { outcome: 'later', reason: 'nobody there' }
    }
    const commitments = open()
    const ids: number[] = []
    for (let n = 0; n < 5; n++) ids.push((await commitments.request(request(`9.${n}`))).transaction.id)
    await until(
      'all to wait',
      async () => {
        const now = await Promise.all(ids.map((id) => commitments.get(id)))
        return now.every((one) => (one?.nextAt ?? 0) > Date.now() + 2000)
      },
      5000,
    )
    assert.ok(attempts.length <= 5)
    delivery = () => ({ outcome: 'never', reason: 'status 0112' })
    const { transaction } = await commitments.request(request('9.9', { requester: { ...dimse, name: 'MR1' } }))
    assert.equal((await reach(commitments, transaction.id, 'undelivered')).trouble, 'status 0112')
    delivery = () => ({ outcome: 'later', reason: 'nobody there' })
    const impatient = open({ deliverMs: -1 })
    const late = await impatient.request(request('9.10', { requester: { ...dimse, name: 'US1' } }))
    await reach(impatient, late.transaction.id, 'undelivered')
  })

  test('over DICOMweb the answer is waited for a while', async () => {
    findings = () => ({ verdict: 'pending', why: 'peer' })
    const commitments = open()
    const { transaction } = await commitments.request(request('10.1', { requester: web }))
    assert.equal((await commitments.settled(transaction.id, 50)).state, 'pending')
    findings = () => COMMITTED
    commitments.start()
    assert.equal((await commitments.settled(transaction.id, 5000)).state, 'done')
    assert.equal((await commitments.find('10.1'))?.id, transaction.id)
    assert.deepEqual(told, [])
    await assert.rejects(commitments.settled(4711, 10), { code: 'not_found' })
  })

  test('wrong, too large and too many ones are refused', async () => {
    findings = () => ({ verdict: 'pending', why: 'absent' })
    const commitments = open({ openMax: 2 })
    for (const [over, code] of [
      [{ transactionUid: '' }, 'invalid_request'],
      [{ transactionUid: '../x' }, 'invalid_request'],
      [{ references: [] }, 'invalid_request'],
      [{ references: [{ sopClassUid: '1.2', sopInstanceUid: '' }] }, 'invalid_request'],
      [{ references: [{ ...references(1)[0], studyUid: '1 2', seriesUid: '1' } as Reference] }, 'invalid_request'],
      [{ references: references(1001) }, 'too_large'],
    ] as const) {
      await assert.rejects(commitments.request(request('11.0', over as Partial<CommitmentRequest>)), { code })
    }
    assert.deepEqual(events, [])
    await commitments.request(request('11.1'))
    await commitments.request(request('11.2'))
    await assert.rejects(commitments.request(request('11.3')), { code: 'busy' })
    assert.equal((await commitments.request(request('11.1'))).outcome, 'repeated')
  })
})
