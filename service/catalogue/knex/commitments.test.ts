import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { described } from '../../../test/property/core.ts'
import { databases, type Opened } from '../../../test/property/databases.ts'
import type { NewTransaction, Reference } from '../../commitment/ports.ts'
import type { NewInstance } from '../ports.ts'

const T0 = 1_790_000_000_000
const references = (count: number): Reference[] =>
  Array.from({ length: count }, (_, n) => ({ sopClassUid: '1.2.840.10008.5.1.4.1.1.2', sopInstanceUid: `1.2.3.${n}` }))
const transaction = (uid: string, over: Partial<NewTransaction> = {}): NewTransaction => ({
  transactionUid: uid,
  requester: { protocol: 'dimse', name: 'CT1', address: '10.0.0.7' },
  form: 'instances',
  content: 'c'.repeat(64),
  requestedAt: T0,
  ...over,
})
const NEXT = { nextAt: T0 + 1000, trouble: 'waits' }
const ENDED = { state: 'done', endedAt: T0 + 9, nextAt: null, trouble: '' } as const

for (const database of databases) {
  describe(`commitments in the catalogue on ${database.name}`, { skip: database.skip }, () => {
    const opened: Opened[] = []
    after(async () => {
      for (const one of opened) await one.close()
      await database.stop()
    })
    const open = async () => {
      const one = await database.open()
      opened.push(one)
      return { catalogue: one.catalogue, records: one.catalogue.commitments }
    }

    test('a request is kept with its references in order, page by page', async () => {
      const { records } = await open()
      const kept = await records.add(transaction('1.1'), references(2345))
      assert.deepEqual([kept.references, kept.state, kept.nextAt, kept.committed], [2345, 'pending', T0, 0])
      assert.deepEqual(await records.get(kept.id), kept)
      assert.deepEqual(await records.byUid('1.1'), [kept])
      assert.deepEqual(await records.byUid('1.2'), [])
      const page = await records.references(kept.id, { which: 'pending', after: 1999, limit: 1000 })
      assert.deepEqual([page.length, page[0]?.number, page[0]?.sopInstanceUid], [346, 2000, '1.2.3.1999'])
      assert.equal(page[0]?.studyUid, undefined)
      const [grouped] = [{ ...(references(1)[0] as Reference), studyUid: '1.9', seriesUid: '1.9.1' }]
      const other = await records.add(transaction('1.2', { form: 'studies' }), [grouped])
      const [found] = await records.references(other.id, { which: 'all', after: 0, limit: 10 })
      assert.deepEqual(found, { ...grouped, number: 1, verdict: 'pending' })
    })

    test('a verdict stands: judging the same again changes neither it nor the counts', async () => {
      const { records } = await open()
      const { id } = await records.add(transaction('2.1'), references(5))
      await records.judge(
        id,
        [
          [1, 'committed'],
          [2, 'no_such_instance'],
          [3, 'committed'],
        ],
        NEXT,
      )
      await records.judge(
        id,
        [
          [1, 'processing_failure'],
          [3, 'committed'],
          [4, 'class_conflict'],
        ],
        NEXT,
      )
      const now = await records.get(id)
      assert.deepEqual([now?.committed, now?.failed, now?.nextAt, now?.trouble], [2, 2, NEXT.nextAt, 'waits'])
      const which = async (query: 'pending' | 'committed' | 'failed') =>
        (await records.references(id, { which: query, after: 0, limit: 10 })).map(({ number }) => number)
      assert.deepEqual([await which('committed'), await which('failed'), await which('pending')], [[1, 3], [2, 4], [5]])
      assert.deepEqual(await records.verdicts(id), { committed: 2, no_such_instance: 1, class_conflict: 1, pending: 1 })
    })

    test('a request goes from pending to answered to its end, and what is due is found by its time', async () => {
      const { records } = await open()
      const [a, b] = [
        await records.add(transaction('3.1'), references(1)),
        await records.add(transaction('3.2'), references(1)),
      ]
      assert.deepEqual(
        (await records.due('pending', T0, 10)).map(({ id }) => id),
        [a.id, b.id],
      )
      await records.judge(a.id, [[1, 'committed']], NEXT)
      assert.deepEqual(
        (await records.due('pending', T0, 10)).map(({ id }) => id),
        [b.id],
      )
      await records.answer(a.id, T0 + 5, 'answered')
      await records.answer(a.id, T0 + 99, 'done')
      const answered = await records.get(a.id)
      assert.deepEqual([answered?.state, answered?.answeredAt, answered?.endedAt], ['answered', T0 + 5, null])
      await records.attempted(a.id, { state: 'answered', endedAt: null, nextAt: T0 + 500, trouble: 'nobody there' })
      assert.deepEqual(await records.due('answered', T0 + 499, 10), [])
      assert.deepEqual(
        (await records.due('answered', T0 + 500, 10)).map(({ attempts }) => attempts),
        [1],
      )
      await records.attempted(a.id, ENDED)
      assert.deepEqual(await records.due('answered', T0 + 9999, 10), [])
      await records.redeliver(a.id, T0 + 1000)
      assert.equal((await records.due('answered', T0 + 1000, 10)).length, 1)
      await records.redeliver(b.id, T0 + 1000)
      assert.equal((await records.get(b.id))?.state, 'pending', 'what is not decided is not delivered')
      assert.deepEqual([await records.count('pending', 10), await records.count('pending', 0)], [1, 0])
      assert.deepEqual(
        (await records.list({ limit: 1 })).map(({ id }) => id),
        [b.id],
      )
      assert.deepEqual(
        (await records.list({ limit: 9, before: b.id })).map(({ id }) => id),
        [a.id],
      )
      assert.deepEqual(
        (await records.list({ limit: 9, state: 'pending' })).map(({ id }) => id),
        [b.id],
      )
    })

    test('results for one AE are put off and brought forward together', async () => {
      const { records } = await open()
      const ids: number[] = []
      for (const [n, name] of ['CT1', 'CT1', 'MR1'].entries()) {
        const requester = { protocol: 'dimse', name, address: '' } as const
        const { id } = await records.add(transaction(`4.${n}`, { requester }), references(1))
        await records.judge(id, [[1, 'committed']], NEXT)
        await records.answer(id, T0, 'answered')
        ids.push(id)
      }
      const due = async (now: number) =>
        (await records.due('answered', now, 10)).map(({ id }) => ids.indexOf(id)).sort()
      await records.postpone('CT1', T0 + 100)
      assert.deepEqual(await due(T0 + 99), [2])
      await records.hasten('CT1', T0 + 50)
      assert.deepEqual(await due(T0 + 50), [0, 1, 2])
      await records.postpone('CT1', T0 + 100)
      await records.postpone('MR1', T0 + 100)
      await records.hasten(undefined, T0)
      assert.deepEqual(await due(T0), [0, 1, 2])
    })

    test('one that is failed throughout needs no judging', async () => {
      const { records } = await open()
      const { id, failed } = await records.add(transaction('5.1'), references(3), 'duplicate_transaction')
      assert.equal(failed, 3)
      assert.deepEqual(await records.verdicts(id), { duplicate_transaction: 3 })
    })

    test('what ended long ago is forgotten, and nothing else', async () => {
      const { records } = await open()
      const old = await records.add(transaction('6.1'), references(2500))
      const open1 = await records.add(transaction('6.2'), references(1))
      await records.judge(
        old.id,
        Array.from({ length: 2500 }, (_, n) => [n + 1, 'committed'] as const),
        NEXT,
      )
      await records.answer(old.id, T0, 'done')
      assert.equal(await records.forgetOne(T0), false)
      assert.equal(await records.forgetOne(T0 + 1), true)
      assert.equal(await records.forgetOne(T0 + 1), false)
      assert.deepEqual(
        (await records.list({ limit: 9 })).map(({ id }) => id),
        [open1.id],
      )
      assert.deepEqual(await records.references(old.id, { which: 'all', after: 0, limit: 10 }), [])
    })

    test('copies are found by UID, served and conflicting ones; a rebuild leaves requests as they are', async () => {
      const { catalogue, records } = await open()
      const one = described({ seed: 'commitments/1', rows: 0 })
      const other: NewInstance = { ...one, sha256: 'd'.repeat(64), location: { segment: 7, offset: 2048 } }
      for (const each of [one, other]) await catalogue.record(each, { urgent: false })
      const { served, conflicting } = await records.copiesOf([one.sopInstanceUid, '1.2.3'])
      assert.deepEqual(
        served.map(({ sha256 }) => sha256),
        [one.sha256],
      )
      assert.deepEqual(
        conflicting.map(({ sha256 }) => sha256),
        [other.sha256],
      )
      const kept = await records.add(transaction('7.1'), references(2))
      await catalogue.clear()
      assert.deepEqual(await records.byUid('7.1'), [kept])
      assert.deepEqual((await records.copiesOf([one.sopInstanceUid])).served, [])
    })
  })
}
