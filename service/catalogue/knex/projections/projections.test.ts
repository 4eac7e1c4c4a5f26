import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { described } from '../../../../test/property/core.ts'
import { databases, type Opened } from '../../../../test/property/databases.ts'
import { type Event, SYSTEM } from '../../../events/event.ts'
import type { KnownEvent } from '../../../events/kinds.ts'
import { foldDisposition } from '../../../retention/fold.ts'
import type { KnexCatalogue } from '../catalogue.ts'

/** Events as a log would hand them over; hashes don't matter to the catalogue. */
function logged(site: string, events: readonly KnownEvent[], first = 1): Event[] {
  return events.map(
    (event, n) =>
      ({
        ...event,
        site,
        generation: site,
        at: '2026-01-01T00:00:00.000Z',
        seq: first + n,
        hash: '',
        prev: '',
      }) as Event,
  )
}

const person = (name: string) => ({ name, role: 'records', from: '' })
const digest = (n: number): string => n.toString(16).padStart(64, '0')
const decided = (study: string, retainUntil: string | undefined, rule: string): KnownEvent => ({
  kind: 'retention.decided',
  actor: SYSTEM,
  subject: { study },
  data: { rule, policy: 'p', inputs: {}, ...(retainUntil === undefined ? {} : { retainUntil }) },
})
const placed = (hold: string, study: string): KnownEvent => ({
  kind: 'hold.placed',
  actor: person('anna'),
  subject: { hold, study },
  data: { case: 'C', reason: 'R', holder: 'H' },
})
const agreed = (hold: string, by: string): KnownEvent => ({
  kind: 'hold.agreed',
  actor: person(by),
  subject: { hold },
  data: { reason: 'R' },
})
const released = (hold: string, by: string): KnownEvent => ({
  kind: 'hold.released',
  actor: person(by),
  subject: { hold },
  data: { reason: 'R', approvedBy: by },
})

for (const database of databases) {
  describe(`what events make of the catalogue on ${database.name}`, { skip: database.skip }, () => {
    const opened: Opened[] = []
    after(async () => {
      for (const one of opened) await one.close()
      await database.stop()
    })
    const open = async (): Promise<KnexCatalogue> => {
      const one = await database.open()
      opened.push(one)
      return one.catalogue
    }

    test('the later date wins, in whatever order two sites tell', async () => {
      const ours = logged('a', [
        decided('1', '2030-01-01', 'x'),
        decided('1', '2040-01-01', 'y'),
        decided('2', undefined, 'z'),
      ])
      const theirs = logged('b', [decided('1', '2035-01-01', 'v'), decided('2', '2050-01-01', 'w')])
      const seen: unknown[] = []
      for (const order of [
        [ours, theirs],
        [theirs, ours],
      ]) {
        const catalogue = await open()
        for (const events of order) {
          const [first] = events
          await catalogue.project(first?.site ?? '', events, events.length)
        }
        const rows = [await catalogue.retention.decision('1'), await catalogue.retention.decision('2')]
        seen.push(rows.map((row) => [row?.retainUntil, row?.rule]))
      }
      assert.deepEqual(seen[0], [
        ['2040-01-01', 'y'],
        ['forever', 'z'],
      ])
      assert.deepEqual(seen[1], seen[0])
    })

    test('events count once, and their number is kept with what they did', async () => {
      const catalogue = await open()
      const events = logged('a', [decided('1', '2030-01-01', 'x'), placed('h', '1')])
      for (let times = 0; times < 3; times++) await catalogue.project('a', events, 2)
      assert.equal(await catalogue.projectedUpTo('a'), 2)
      assert.equal((await catalogue.retention.holdEvents('h')).length, 1)
      assert.equal(await catalogue.projectedUpTo('b'), 0)
    })

    test('a hold ends with the second person, wherever each of them was', async () => {
      const ours = logged('a', [placed('h', '1'), agreed('h', 'anna')])
      const theirs = logged('b', [agreed('h', 'bert')])
      for (const order of [
        [ours, theirs],
        [theirs, ours],
      ]) {
        const catalogue = await open()
        for (const [n, events] of order.entries()) {
          await catalogue.project(events[0]?.site ?? '', events, events.length)
          if (n === 0) assert.equal((await catalogue.retention.holds('released', { limit: 10 })).length, 0)
        }
        assert.deepEqual(await catalogue.retention.holds('released', { limit: 10 }), ['h'])
        assert.equal(await catalogue.retention.isHeld(['1']), false)
      }
      const catalogue = await open()
      const events = logged('a', [placed('h', '1'), agreed('h', 'anna'), released('h', ' ANNA ')])
      await catalogue.project('a', events, 3)
      assert.equal(await catalogue.retention.isHeld(['0', '1']), true, 'one person is not two')
    })

    test('what a disposition has committed to destroy is refused, forgotten and not taken in again', async () => {
      const catalogue = await open()
      const [one, other] = [1, 2].map((n) =>
        described({ seed: `doomed/${n}`, studyUid: '1.2.3', patientId: 'P', rows: 0 }, {}),
      )
      const stays = described({ seed: 'stays', rows: 0 }, {})
      assert.ok(one && other)
      for (const instance of [one, other, stays]) await catalogue.record(instance)
      const subject = { disposition: 'd', study: '1.2.3' }
      const system = { actor: SYSTEM, subject }
      const before: KnownEvent[] = [
        { ...system, kind: 'disposition.listed', data: { rule: 'x', retainUntil: '2020-01-01', subject: {} } },
        { ...system, actor: person('anna'), kind: 'disposition.reviewed', data: { accepted: true, reason: 'R' } },
        { ...system, actor: person('bert'), kind: 'disposition.approved', data: { reason: 'R', reviewedBy: 'anna' } },
        { ...system, kind: 'disposition.doomed', data: { instances: [[one.sopInstanceUid, one.sha256, 7]] } },
      ]
      await catalogue.project('a', logged('a', before), 4)
      assert.equal((await catalogue.digests(one.sopInstanceUid)).length, 1, 'nothing is destroyed before the commit')
      const commit: KnownEvent = { ...system, kind: 'disposition.committed', data: { proposal: 5, packs: [] } }
      await catalogue.project('a', logged('a', [commit], 5), 5)
      await assert.rejects(catalogue.digests(one.sopInstanceUid), { code: 'destroyed' })
      await catalogue.retention.forgetDoomed('d')
      assert.equal((await catalogue.totals()).instances, 2, 'what was not agreed to stays')
      assert.equal(await catalogue.record(one), 'destroyed')
      assert.equal(await catalogue.record({ ...one, sha256: digest(9) }), 'stored', 'it was acknowledged before')
      const { records = [], id = '', studyUid = '' } = (await catalogue.retention.disposition('d')) ?? {}
      assert.equal(foldDisposition(id, studyUid, records)?.disposition.state, 'destroying')
      const late: KnownEvent = { ...system, actor: person('carl'), kind: 'disposition.rejected', data: { reason: 'R' } }
      await catalogue.project('b', logged('b', [late]), 1)
      assert.equal((await catalogue.retention.dispositions({ state: 'destroying' }, { limit: 5 })).length, 1)
      await catalogue.clear()
      assert.equal(await catalogue.retention.tombstone(one.sopInstanceUid), undefined)
      assert.equal(await catalogue.projectedUpTo('a'), 0, 'a rebuild reads the log from its beginning')
    })

    test('what expires is found by date, page by page, for ever behind all days', async () => {
      const catalogue = await open()
      const events: KnownEvent[] = []
      for (let n = 0; n < 5; n++) {
        const studyUid = `1.2.${n}`
        await catalogue.record(described({ seed: studyUid, studyUid, rows: 0 }, {}))
        events.push(decided(studyUid, n === 4 ? undefined : `2030-01-0${1 + (n % 2)}`, 'x'))
      }
      await catalogue.project('a', logged('a', events), 5)
      const found: string[] = []
      for (let after: string | undefined; ; ) {
        const page = await catalogue.retention.expiring('2030-01-01', '2030-12-31', { after, limit: 3 })
        found.push(...page.map(({ studyUid, retainUntil }) => `${retainUntil} ${studyUid}`))
        if (page.length < 3) break
        after = found.at(-1)
      }
      assert.deepEqual(found, ['2030-01-01 1.2.0', '2030-01-01 1.2.2', '2030-01-02 1.2.1', '2030-01-02 1.2.3'])
    })
  })
}
