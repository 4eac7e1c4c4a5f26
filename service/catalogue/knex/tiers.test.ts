import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { identifiers } from '../../../test/fixtures/dicom.ts'
import { described } from '../../../test/property/core.ts'
import { databases, type Opened } from '../../../test/property/databases.ts'
import { GENESIS } from '../../events/event.ts'
import type { NewPack } from '../ports.ts'

const NOW = '2026-11-24T12:00:00.000Z'
const TODAY = '2026-11-24'

const packOf = (n: number, over: Partial<NewPack> = {}): NewPack => ({
  studyUid: identifiers({ seed: `tiers/${n}` }).studyUid,
  key: `packs/${n}.tar`,
  sha256: String(n).padStart(64, '0'),
  sizeBytes: 1000 + n,
  sealedAt: NOW,
  copies: [{ store: 'a', verifiedAt: NOW }],
  instances: [],
  ...over,
})

for (const database of databases) {
  describe(`tiers in the catalogue on ${database.name}`, { skip: database.skip }, () => {
    const opened: Opened[] = []
    after(async () => {
      for (const one of opened) await one.close()
      await database.stop()
    })
    const open = async () => {
      const one = await database.open()
      opened.push(one)
      return one.catalogue
    }

    test('what stores and volumes hold is counted with every change', async () => {
      const catalogue = await open()
      const two = [
        { store: 'a', verifiedAt: NOW },
        { store: 'b', verifiedAt: NOW },
      ]
      const ids = [
        await catalogue.addPack(packOf(1)),
        await catalogue.addPack(packOf(2, { copies: two, volume: 'ct' })),
      ]
      // Known already: a further copy, and one that was there.
      await catalogue.addPack(packOf(1, { copies: two }))
      await catalogue.addPack(packOf(1, { copies: two }))
      assert.deepEqual(await catalogue.holdings(), [
        { store: 'a', packs: 2, bytes: 2003 },
        { store: 'b', packs: 2, bytes: 2003 },
      ])
      await catalogue.addPack(packOf(2, { copies: [], notIn: ['b'] }))
      await catalogue.dropCopy(ids[0] as number, 'a')
      assert.deepEqual(await catalogue.holdings(), [
        { store: 'a', packs: 1, bytes: 1002 },
        { store: 'b', packs: 1, bytes: 1001 },
      ])
      assert.deepEqual(await catalogue.tiers.volumes(), [
        { volume: 'ct', packs: 1, bytes: 1002 },
        { volume: 'default', packs: 1, bytes: 1001 },
      ])
      await catalogue.clear()
      assert.deepEqual(await catalogue.holdings(), [])
    })

    test('copies that are added and dropped at once are counted right', async () => {
      const catalogue = await open()
      const stores = ['a', 'b', 'c']
      await Promise.all(
        Array.from({ length: 30 }, async (_, n) => {
          const copies = [...stores, ...stores].slice(n % 3, (n % 3) + 3).map((store) => ({ store, verifiedAt: NOW }))
          const id = await catalogue.addPack(packOf(n, { copies, sizeBytes: 10 }))
          await catalogue.dropCopy(id, stores[n % 3] as string)
        }),
      )
      assert.deepEqual(
        await catalogue.holdings(),
        stores.map((store) => ({ store, packs: 20, bytes: 200 })),
      )
    })

    test('packs are looked at in the order of their days, page by page, with what rules ask of them', async () => {
      const catalogue = await open()
      const instance = described({ seed: 'tiers/1', studyUid: packOf(1).studyUid, rows: 0 })
      await catalogue.record(instance)
      for (let n = 1; n <= 5; n++) await catalogue.addPack(packOf(n))
      const days = ['2026-11-24', '2026-11-20', '2026-12-24', '2026-11-20', '']
      await catalogue.tiers.setNextLooks(days.map((day, index) => ({ pack: index + 1, day })))
      const seen: number[] = []
      for (let cursor: { day: string; id: number } | undefined; ; ) {
        const page = await catalogue.tiers.packsToLook(TODAY, { limit: 2, ...(cursor ? { after: cursor } : {}) })
        seen.push(...page.map(({ pack }) => pack.id))
        const last = page.at(-1)
        if (!last) break
        cursor = { day: last.day, id: last.pack.id }
      }
      assert.deepEqual(seen, [5, 2, 4, 1])
      await catalogue.tiers.markUsed([1, 3], TODAY)
      await catalogue.tiers.markUsed([1], '2026-01-01')
      const facts = (await catalogue.tiers.packsToLook('2099-01-01', { limit: 10 })).find(({ pack }) => pack.id === 1)
      assert.equal(facts?.lastUsed, TODAY)
      assert.equal(facts?.received, instance.receivedAt.slice(0, 10))
      assert.deepEqual(facts?.modalities, await catalogue.tiers.modalitiesOf(packOf(1).studyUid))
      assert.match(facts?.studyDate ?? '', /^(\d{4}-\d\d-\d\d)?$/)
      await catalogue.tiers.lookAgain({ from: 2, to: 3 })
      assert.deepEqual(
        (await catalogue.tiers.packsToLook('', { limit: 10 })).map(({ pack }) => pack.id),
        [2, 3, 5],
      )
      assert.equal(await catalogue.tiers.lastPack(), 5)
      assert.equal(await catalogue.tiers.volumeOf(packOf(3).studyUid), 'default')
    })

    test('days are kept one by one and forgotten when they are old; alarms until they are cleared', async () => {
      const { tiers } = await open()
      const day = (date: string, bytes: number) => ({ day: date, store: 'a', bytes, bytesTotal: null, bytesFree: 5e12 })
      await tiers.recordDay([day('2025-01-01', 1), day('2026-11-23', 2)], '2024-01-01')
      await tiers.recordDay([day('2026-11-23', 3)], '2025-06-01')
      assert.deepEqual(await tiers.days('2020-01-01'), [day('2026-11-23', 3)])
      const alarm = { subject: 'store a', alarm: 'free_30', detail: 'one', since: NOW }
      await tiers.raise(alarm)
      await tiers.raise({ ...alarm, detail: 'two', since: '2027-01-01T00:00:00.000Z' })
      assert.deepEqual(await tiers.alarms(), [{ ...alarm, detail: 'two' }])
      await tiers.clear(alarm)
      assert.deepEqual(await tiers.alarms(), [])
    })

    test('what may have been left behind is known until it is gone, and forgotten with the catalogue', async () => {
      const catalogue = await open()
      const { tiers } = catalogue
      const left = { pack: 1, store: 'a' }
      for (let n = 0; n < 2; n++) await tiers.noteLeftover(left)
      await tiers.noteLeftover({ pack: 2, store: 'a' })
      assert.deepEqual(await tiers.leftovers(1), [left])
      await tiers.forgetLeftover(left)
      assert.deepEqual(await tiers.leftovers(10), [{ pack: 2, store: 'a' }])
      await catalogue.clear()
      assert.deepEqual(await tiers.leftovers(10), [])
    })

    test('a pin holds until it is released, whichever event comes first', async () => {
      const catalogue = await open()
      const { studyUid } = packOf(1)
      const id = await catalogue.addPack(packOf(1))
      await catalogue.tiers.setNextLooks([{ pack: id, day: '2999-01-01' }])
      const event = (seq: number, kind: 'study.pinned' | 'study.unpinned', pin: string) => ({
        kind,
        seq,
        hash: GENESIS,
        prev: GENESIS,
        site: 's',
        generation: 'g',
        at: NOW,
        actor: { name: 'huber', role: 'admin', from: '' },
        subject: { study: studyUid, pin },
        data: kind === 'study.pinned' ? { reason: 'conference' } : {},
      })
      await catalogue.project('s', [event(1, 'study.pinned', 'one'), event(2, 'study.unpinned', 'two')], 2)
      assert.deepEqual(await catalogue.tiers.pins(), [
        { id: 'one', studyUid, reason: 'conference', by: 'huber', at: NOW },
      ])
      const [looked] = await catalogue.tiers.packsToLook('', { limit: 1 })
      assert.equal(looked?.pinned, true)
      await catalogue.project('s', [event(3, 'study.pinned', 'two'), event(4, 'study.unpinned', 'one')], 4)
      assert.deepEqual(await catalogue.tiers.pins(), [])
    })
  })
}
