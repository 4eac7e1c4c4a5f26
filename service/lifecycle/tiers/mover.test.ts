import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { dicomFile } from '../../../test/fixtures/dicom.ts'
import { BadStores } from '../../../test/property/bad-stores.ts'
import { all, bytesOf, sha256 } from '../../../test/property/core.ts'
import { type OpenedSite, withSite } from '../../../test/property/site.ts'
import { tempDir } from '../../../test/support/host.ts'

const STUDIES = 4
const ACTOR = { name: 'huber', role: 'admin', from: '' }
const file = (n: number) => dicomFile({ seed: `moves/${n}`, studyUid: `1.2.840.97.${n}` })
const FAST = { id: 'fast', type: 'file', folder: 'fast' }
const SLOW = { id: 'slow', type: 'file', folder: 'slow', tier: 'nearline' }
const AT_ONCE = { rules: [{ to: 'nearline' }] }

/** Some studies, each in a pack of the fastest tier. */
async function seal({ send, sealer }: OpenedSite): Promise<void> {
  for (let n = 0; n < STUDIES; n++) {
    const { studyUid } = await send(file(n))
    await sealer.seal(studyUid)
  }
}

async function assertReadable({ archive }: OpenedSite): Promise<void> {
  for (let n = 0; n < STUDIES; n++) {
    const record = await archive.catalogue.byDigest(sha256(file(n)))
    assert.ok(record && 'pack' in record.location)
    const { pack, offset } = record.location
    const bytes = await bytesOf(archive.packs.read({ pack, offset }, 0, record.sizeBytes))
    assert.ok(bytes.equals(file(n)), `study ${n}`)
  }
}

const kinds = async ({ archive }: OpenedSite, kind: string) =>
  (await all(archive.events.read())).filter((event) => event.kind === kind)

describe('moving packs between tiers', () => {
  test('what is old enough moves, is read from there, and is not looked at again', async () => {
    const stores = new BadStores()
    const settings = { stores: [FAST, SLOW], moves: AT_ONCE, build: stores.build }
    await withSite(tempDir('mover'), settings, async (site) => {
      const { mover } = site.tiering
      await seal(site)
      const plan = await mover.plan()
      assert.equal(plan.packs, STUDIES)
      assert.deepEqual(
        plan.routes.map(({ from, to, packs }) => [from, to, packs]),
        [['online', 'nearline', STUDIES]],
      )
      assert.equal((await stores.keys('slow')).length, 0, 'a plan moves nothing')
      await mover.run()
      assert.deepEqual([mover.report?.state, mover.report?.moved, mover.report?.stayed], ['done', STUDIES, 0])
      assert.deepEqual([await stores.keys('fast'), (await stores.keys('slow')).length], [[], STUDIES])
      assert.equal((await kinds(site, 'pack.moved')).length, STUDIES)
      assert.deepEqual((await kinds(site, 'pack.moved'))[0]?.data.to, 'nearline')
      await assertReadable(site)
      await mover.run()
      assert.equal((await mover.plan()).packs, 0)
      assert.deepEqual(await site.archive.catalogue.tiers.packsToLook('9999-12-30', { limit: 10 }), [])
    })
  })

  test('without rules nothing moves, and with other rules everything is looked at anew', async () => {
    const stores = new BadStores()
    const dataDir = tempDir('mover')
    const base = { stores: [FAST, SLOW], build: stores.build }
    await withSite(dataDir, base, async (site) => {
      await seal(site)
      await site.tiering.mover.run()
      assert.equal((await stores.keys('fast')).length, STUDIES)
    })
    const some = { rules: [{ to: 'nearline', modalities: ['XX'] }] }
    await withSite(dataDir, { ...base, moves: some }, async ({ tiering }) => {
      await tiering.mover.run()
      assert.equal(tiering.mover.report?.looked, STUDIES)
      assert.equal(tiering.mover.report?.moved, 0)
    })
    await withSite(dataDir, { ...base, moves: AT_ONCE }, async (site) => {
      await site.tiering.mover.run()
      assert.equal((await stores.keys('slow')).length, STUDIES)
      await assertReadable(site)
    })
  })

  test('broken off again and again, also after restarts, nothing is lost and all arrives', async () => {
    const stores = new BadStores()
    const dataDir = tempDir('mover')
    const settings = { stores: [FAST, SLOW], moves: AT_ONCE, build: stores.build }
    await withSite(dataDir, settings, seal)
    for (let round = 0; round < 12; round++) {
      await withSite(dataDir, settings, async (site) => {
        for (const id of ['fast', 'slow']) {
          stores.faults(id).rates.error_before = stores.faults(id).rates.error_after = 0.2
        }
        await site.archive.catalogue.tiers.lookAgain({ from: 1, to: STUDIES })
        await site.tiering.mover.run()
        for (const id of ['fast', 'slow']) stores.faults(id).heal()
        await assertReadable(site)
      })
    }
    await withSite(dataDir, settings, async (site) => {
      await site.archive.catalogue.tiers.lookAgain({ from: 1, to: STUDIES })
      await site.tiering.mover.run()
      assert.deepEqual(
        (await site.archive.catalogue.holdings()).map(({ store, packs }) => [store, packs]),
        [['slow', STUDIES]],
      )
      await assertReadable(site)
      assert.deepEqual(await stores.keys('fast'), [], 'and nothing is left that nobody knows of')
      assert.deepEqual(await site.archive.catalogue.tiers.leftovers(10), [])
    })
  })

  test('what a store did not remove is removed later', async () => {
    const stores = new BadStores()
    const dataDir = tempDir('mover')
    const settings = { stores: [FAST, SLOW], moves: AT_ONCE, build: stores.build }
    await withSite(dataDir, settings, async (site) => {
      await seal(site)
      stores.faults('fast').inject('error_before', { operation: 'remove', code: 'permission_denied', times: 1000 })
      await site.tiering.mover.run()
      assert.equal((await stores.keys('fast')).length, STUDIES)
      assert.equal((await site.archive.catalogue.tiers.leftovers(10)).length, STUDIES)
      stores.faults('fast').heal()
    })
    await withSite(dataDir, settings, async (site) => {
      await site.tiering.mover.run()
      assert.deepEqual(await stores.keys('fast'), [])
      assert.deepEqual(await site.archive.catalogue.tiers.leftovers(10), [])
      await assertReadable(site)
    })
  })

  test('a tier that takes nothing keeps them where they are, and gets them when it does', async () => {
    const stores = new BadStores()
    const tiers = { nearline: { copies: 2 } }
    const settings = { stores: [FAST, SLOW], tiers, moves: AT_ONCE, build: stores.build }
    await withSite(tempDir('mover'), settings, async (site) => {
      await seal(site)
      await site.tiering.mover.run()
      assert.match(site.tiering.mover.report?.reasons.join() ?? '', /no store can take the pack/)
      assert.equal((await stores.keys('fast')).length, STUDIES, 'one copy of two is not enough to free anything')
      await assertReadable(site)
      await site.tiering.admin.add({ id: 'second', type: 'file', folder: 'second', tier: 'nearline' }, ACTOR)
      site.tiering.mover.begin()
      await site.tiering.mover.run()
      assert.deepEqual(
        [(await stores.keys('fast')).length, (await stores.keys('slow')).length, (await stores.keys('second')).length],
        [0, STUDIES, STUDIES],
      )
      await assertReadable(site)
    })
  })

  test('a store that gives back other bytes than it took gets nothing, and the old copies stay', async () => {
    const stores = new BadStores()
    const settings = { stores: [FAST, SLOW], moves: AT_ONCE, build: stores.build }
    await withSite(tempDir('mover'), settings, async (site) => {
      await seal(site)
      stores.faults('slow').rates.wrong_byte = 1
      await site.tiering.mover.run()
      assert.equal((await stores.keys('fast')).length, STUDIES)
      assert.ok((site.tiering.mover.report?.stayed ?? 0) > 0)
      await assertReadable(site)
    })
  })

  test('a pinned study comes back, stays, and goes when it is let go', async () => {
    const stores = new BadStores()
    const settings = { stores: [FAST, SLOW], moves: AT_ONCE, build: stores.build }
    await withSite(tempDir('mover'), settings, async (site) => {
      await seal(site)
      const { mover, pins } = site.tiering
      await mover.run()
      const studyUid = '1.2.840.97.1'
      const pin = await pins.pin(studyUid, 'tumour board', ACTOR)
      assert.deepEqual([pin.studyUid, pin.by], [studyUid, 'huber'])
      await mover.run()
      assert.equal((await stores.keys('fast')).length, 1)
      assert.equal((await stores.keys('slow')).length, STUDIES - 1)
      await assertReadable(site)
      await pins.unpin(studyUid, ACTOR)
      await mover.run()
      assert.equal((await stores.keys('fast')).length, 0)
      await assert.rejects(pins.unpin(studyUid, ACTOR), /not pinned/)
      await assert.rejects(pins.pin('1.2.3.4', 'x', ACTOR), /no study/)
    })
  })

  test('what clients read is noted to the day, and what background work reads is not', async () => {
    const stores = new BadStores()
    const settings = { stores: [FAST, SLOW], sealing: { quietSeconds: 0, landingSeconds: 0 }, build: stores.build }
    await withSite(tempDir('mover'), settings, async (site) => {
      await seal(site)
      const { catalogue, instances } = site.archive
      const used = async () =>
        (await catalogue.tiers.packsToLook('9999-12-31', { limit: 10 })).filter(({ lastUsed }) => lastUsed !== '')
          .length
      site.scrubber.now()
      await site.scrubber.stop()
      await site.tiering.uses.flush()
      assert.equal(await used(), 0)
      const record = await catalogue.byDigest(sha256(file(0)))
      assert.ok(record)
      await bytesOf(instances.open(record).bytes())
      await site.tiering.uses.flush()
      assert.equal(await used(), 1)
    })
  })
})
