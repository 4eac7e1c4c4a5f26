import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { dicomFile } from '../../../test/fixtures/dicom.ts'
import { BadStores } from '../../../test/property/bad-stores.ts'
import { all } from '../../../test/property/core.ts'
import { withSite } from '../../../test/property/site.ts'
import { tempDir } from '../../../test/support/host.ts'

const TIB = 1024 ** 4
const ONE = { id: 'one', type: 'file', folder: 'one' }
const FAR = { id: 'far', type: 'file', folder: 'far', tier: 'nearline' }
const DAY_MS = 86_400_000
const day = (ago: number): string => new Date(Date.now() - ago * DAY_MS).toISOString().slice(0, 10)

describe('capacity', () => {
  test('shows what was promised, used and is there, and how long it lasts', async () => {
    const stores = new BadStores({ one: 10 * TIB, far: 10 * TIB })
    const settings = {
      stores: [ONE, FAR],
      volumes: [
        { id: 'ct', provisionedBytes: 30 * TIB, modalities: ['CT'] },
        { id: 'stow', provisionedBytes: 20 * TIB, sources: ['tester'] },
      ],
      build: stores.build,
    }
    await withSite(tempDir('capacity'), settings, async ({ archive, tiering, send, sealer }) => {
      const first = await tiering.capacity()
      assert.deepEqual([first.declaredBytes, first.physicalBytes, first.overCommit], [50 * TIB, 20 * TIB, 2.5])
      assert.match(first.tiers[0]?.noForecast ?? '', /not enough history/)
      assert.equal(first.expiring, null)
      const history = Array.from({ length: 31 }, (_, n) => ({
        day: day(30 - n),
        store: 'one',
        bytes: n * 1e11,
        bytesTotal: 10 * TIB,
        bytesFree: null,
      }))
      await archive.catalogue.tiers.recordDay(history, '2000-01-01')
      const { studyUid } = await send(dicomFile({ seed: 'capacity' }))
      await sealer.seal(studyUid)
      const { tiers, volumes, usedBytes } = await tiering.capacity()
      const online = tiers.find(({ tier }) => tier === 'online')
      assert.ok(online?.growth && online.daysUntil)
      assert.ok(Math.abs(online.growth.bytesPerDay - 1e11) < 1)
      const expected = ((online.bytesFree ?? 0) - 0.1 * 10 * TIB) / 1e11
      assert.ok(Math.abs((online.daysUntil.free10.days ?? 0) - expected) < 0.2)
      assert.ok((online.daysUntil.full.days ?? 0) > (online.daysUntil.reserve.days ?? 0))
      const held = volumes.filter(({ bytes }) => bytes > 0)
      assert.equal(held.length, 1)
      assert.equal(held[0]?.bytes, usedBytes)
      assert.ok(['ct', 'stow'].includes(held[0]?.id ?? ''), 'by its modality, or by who sent it')
      // What comes late stays with its study, whoever sends it; a rebuild finds it in the pack.
      assert.equal((await archive.catalogue.packs({ limit: 1 }))[0]?.volume, held[0]?.id)
    })
  })

  test('thresholds are alarms of the pool, each once, and go with a margin', async () => {
    const stores = new BadStores()
    await withSite(tempDir('capacity'), { stores: [ONE], build: stores.build }, async ({ archive, tiering }) => {
      const [store] = archive.stores.all
      assert.ok(store)
      let free = 0.5
      Object.assign(store, { capacity: async () => ({ bytesTotal: 1000, bytesFree: free * 1000 }) })
      const raised = async (share: number) => {
        free = share
        await tiering.watch.look()
        return tiering.watch.alarms.map(({ alarm }) => alarm).sort()
      }
      assert.deepEqual(await raised(0.5), [])
      assert.deepEqual(await raised(0.299), ['free_30'])
      assert.deepEqual(await raised(0.31), ['free_30'], 'a level that is crossed all the time is one alarm')
      assert.deepEqual(await raised(0.15), ['free_20', 'free_30'])
      assert.deepEqual(await raised(0.04), ['free_10', 'free_20', 'free_30', 'reserve'])
      assert.match(tiering.watch.refusal ?? '', /tier online has come to its reserve \(one\)/)
      assert.deepEqual(await raised(0.9), [])
      assert.equal(tiering.watch.refusal, undefined)
      const events = (await all(archive.events.read())).filter(({ kind }) => kind === 'store.alarm')
      assert.deepEqual(
        events.map(({ data }) => `${data.alarm} ${data.raised}`),
        [
          'free_30 true',
          'free_20 true',
          'reserve true',
          'free_10 true',
          'free_30 false',
          'free_20 false',
          'reserve false',
          'free_10 false',
        ],
      )
      assert.match(String(events[0]?.data.detail), /tier online \(stores one\) has less than 30 % free/)
      const days = await archive.catalogue.tiers.days('2000-01-01')
      assert.deepEqual(
        days.map(({ store: id, bytesTotal }) => [id, bytesTotal]),
        [['one', 1000]],
      )
    })
  })

  test('a volume that holds more than it was promised is an alarm', async () => {
    const settings = { stores: [ONE], volumes: [{ id: 'all', provisionedBytes: 1, sources: ['tester'] }] }
    await withSite(tempDir('capacity'), settings, async ({ tiering, send, sealer }) => {
      await sealer.seal((await send(dicomFile({ seed: 'over' }))).studyUid)
      await tiering.watch.look()
      assert.match(tiering.watch.alarms[0]?.detail ?? '', /^volume all holds \d+ bytes, 1 were promised/)
    })
  })
})
