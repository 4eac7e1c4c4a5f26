import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { identifiers } from '../../../test/fixtures/dicom.ts'
import { all, described } from '../../../test/property/core.ts'
import { databases, type Opened } from '../../../test/property/databases.ts'
import type { NewInstance, NewPack } from '../ports.ts'

const LATER = '9999-01-01T00:00:00.000Z'
const NOW = '2026-11-24T12:00:00.000Z'

const studyUid = (study: number) => identifiers({ seed: `packs/${study}` }).studyUid
const instance = (n: number, study = 0, over: Partial<NewInstance> = {}): NewInstance => {
  const { seriesUid } = identifiers({ seed: `packs/${study}` })
  const options = { seed: `packs/${study}/${n}`, studyUid: studyUid(study), seriesUid, instanceNumber: n, rows: 0 }
  return described(options, { location: { segment: 1 + study, offset: 2048 + n }, ...over })
}

const packOf = (instances: readonly NewInstance[], stores: readonly string[] = ['a']): NewPack => ({
  studyUid: (instances[0] as NewInstance).studyUid,
  key: `packs/${instances.map(({ sha256 }) => sha256.slice(0, 8)).join('-')}.tar`,
  sha256: 'f'.repeat(64),
  sizeBytes: 10_000,
  sealedAt: NOW,
  copies: stores.map((store) => ({ store, verifiedAt: NOW })),
  instances: instances.map((one, n) => ({ ...one, offset: 5000 + n })),
})

for (const database of databases) {
  describe(`packs in the catalogue on ${database.name}`, { skip: database.skip }, () => {
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

    test('a study is unsealed until all its copies are in packs, conflicting ones too', async () => {
      const catalogue = await open()
      const [one, two] = [instance(1), instance(2)]
      const other: NewInstance = { ...one, sha256: 'c'.repeat(64), location: { segment: 9, offset: 2048 } }
      for (const each of [one, two, other, instance(1, 1)]) await catalogue.record(each)
      const unsealed = () => all(catalogue.unsealedStudies(LATER))
      assert.deepEqual((await unsealed()).sort(), [studyUid(0), studyUid(1)].sort())
      assert.deepEqual(await all(catalogue.unsealedStudies(one.receivedAt)), [], 'nothing came before it')
      assert.equal((await catalogue.unsealedCopies(studyUid(0))).length, 3)
      const id = await catalogue.addPack(packOf([one, two]))
      assert.deepEqual(
        (await catalogue.unsealedCopies(studyUid(0))).map(({ sha256 }) => sha256),
        [other.sha256],
      )
      assert.ok((await unsealed()).includes(studyUid(0)), 'only a conflicting copy is left')
      await catalogue.addPack(packOf([other]))
      assert.deepEqual(await unsealed(), [studyUid(1)])
      const record = await catalogue.byDigest(two.sha256)
      assert.deepEqual(record?.location, { pack: id, offset: 5001, landed: two.location })
      assert.deepEqual(await catalogue.packsOf([two.sha256, 'e'.repeat(64)]), new Map([[two.sha256, id]]))
    })

    test('a pack that is known gets further copies, and its instances stay where they are', async () => {
      const catalogue = await open()
      const one = instance(1)
      await catalogue.record(one)
      const id = await catalogue.addPack(packOf([one], ['b']))
      assert.equal(await catalogue.addPack({ ...packOf([one], ['a']), instances: [] }), id)
      const pack = await catalogue.pack(id)
      assert.deepEqual(
        pack?.copies.map(({ store }) => store),
        ['a', 'b'],
      )
      assert.deepEqual([pack?.instanceCount, pack?.payloadBytes], [1, one.sizeBytes])
      assert.deepEqual(await catalogue.holdings(), [
        { store: 'a', packs: 1, bytes: 10_000 },
        { store: 'b', packs: 1, bytes: 10_000 },
      ])
      assert.deepEqual(
        (await catalogue.packs({ limit: 10, studyUid: studyUid(0) })).map((each) => each.id),
        [id],
      )
      assert.deepEqual(await catalogue.packs({ limit: 10, after: id }), [])
    })

    test('a segment is retirable when it is complete and nothing in it is in no pack, and then nobody is sent to it', async () => {
      const catalogue = await open()
      const [one, two] = [instance(1), instance(2)]
      for (const each of [one, two]) await catalogue.record(each)
      await catalogue.addPack(packOf([one]))
      assert.deepEqual(await catalogue.retirableSegments(LATER), [], 'not complete')
      await catalogue.segmentComplete(1)
      assert.deepEqual(await catalogue.retirableSegments(LATER), [], 'an instance is in no pack')
      await assert.rejects(catalogue.retireSegment(1), /in no pack/)
      await catalogue.addPack(packOf([two]))
      assert.deepEqual(await catalogue.retirableSegments(NOW), [], 'packed too lately')
      assert.deepEqual(await catalogue.retirableSegments(LATER), [1])
      await catalogue.retireSegment(1)
      assert.deepEqual(await catalogue.retiredSegments(), [1])
      assert.deepEqual(await catalogue.completeSegments(), new Set())
      assert.deepEqual((await catalogue.byDigest(one.sha256))?.location, { pack: 1, offset: 5000 })
      await catalogue.segmentRemoved(1)
      assert.deepEqual(await catalogue.retiredSegments(), [])
      assert.deepEqual(await catalogue.retirableSegments(LATER), [])
      assert.equal(await catalogue.lastSegment(), 1, 'its number stays taken')
    })

    test('a copy that was damaged and came again is in no pack any more', async () => {
      const catalogue = await open()
      const one = instance(1)
      await catalogue.record(one)
      await catalogue.addPack(packOf([one]))
      await catalogue.relocate(one.sopInstanceUid, one.sha256, { segment: 5, offset: 2048 })
      assert.deepEqual((await catalogue.byDigest(one.sha256))?.location, { segment: 5, offset: 2048 })
      assert.deepEqual(await all(catalogue.unsealedStudies(LATER)), [studyUid(0)])
    })
  })
}
