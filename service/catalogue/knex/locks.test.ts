import assert from 'node:assert/strict'
import { after, describe, test } from 'node:test'
import { described } from '../../../test/property/core.ts'
import { databases, type Opened } from '../../../test/property/databases.ts'
import type { NewInstance } from '../ports.ts'

const SEALED = '2026-11-24T12:00:00.000Z'
const LATER = '2056-10-25T12:00:00.000Z'
const compliance = { mode: 'compliance' as const, until: '2056-11-24T12:00:00.000Z', legalHold: false }

const instance = (n: number): NewInstance =>
  described(
    { seed: `locks/${n}`, studyUid: `1.2.840.96.${n}`, rows: 0 },
    { location: { segment: 1, offset: 2048 + n } },
  )

for (const database of databases) {
  describe(`locks in the catalogue, ${database.name}`, { skip: database.skip }, () => {
    const opened: Opened[] = []
    after(async () => {
      for (const each of opened) await each.close()
      await database.stop()
    })
    const filled = async () => {
      const one = await database.open()
      opened.push(one)
      const { catalogue } = one
      const ids: number[] = []
      for (const n of [1, 2, 3]) {
        const each = instance(n)
        await catalogue.record(each)
        ids.push(
          await catalogue.addPack({
            studyUid: each.studyUid,
            key: `packs/${n}.tar`,
            sha256: each.sha256,
            sizeBytes: 1000,
            sealedAt: SEALED,
            copies: ['a', 'b'].map((store) => ({ store, verifiedAt: SEALED })),
            instances: [{ ...each, offset: 5000 }],
          }),
        )
      }
      const due = async (store: string, by = SEALED, limit = 10) =>
        (await catalogue.locksDue(store, by, limit)).map(({ pack }) => pack.id)
      return { catalogue, ids: ids as [number, number, number], due }
    }

    test('a new copy is due at once, and what was noted when it is said, in its store alone', async () => {
      const { catalogue, ids, due } = await filled()
      assert.deepEqual((await due('a')).sort(), [...ids])
      assert.equal((await due('a', SEALED, 2)).length, 2)
      assert.equal(await catalogue.lockOf(ids[0], 'a'), undefined)
      await catalogue.noteLock({ pack: ids[0], store: 'a', lock: compliance, due: LATER })
      await catalogue.noteLock({ pack: ids[1], store: 'a', due: '2026-11-24T12:15:00.000Z' })
      assert.deepEqual(await due('a'), [ids[2]])
      assert.deepEqual(await due('a', LATER), [ids[2], ids[1], ids[0]])
      assert.equal((await due('b')).length, 3)
      assert.deepEqual(await catalogue.lockOf(ids[0], 'a'), compliance)
      const [last] = (await catalogue.locksDue('a', LATER, 10)).slice(-1)
      assert.deepEqual(last?.lock, compliance)
      assert.equal(last?.pack.key, 'packs/1.tar')
    })

    test('a look that saw nothing changes nothing but when to look again', async () => {
      const { catalogue, ids } = await filled()
      await catalogue.noteLock({ pack: ids[0], store: 'a', lock: { ...compliance, legalHold: true }, due: LATER })
      await catalogue.noteLock({ pack: ids[0], store: 'a', due: SEALED })
      assert.deepEqual(await catalogue.lockOf(ids[0], 'a'), { ...compliance, legalHold: true })
      await catalogue.noteLock({ pack: ids[0], store: 'a', lock: { mode: 'none', legalHold: false }, due: SEALED })
      assert.deepEqual(await catalogue.lockOf(ids[0], 'a'), { mode: 'none', legalHold: false })
    })

    test('all copies of a study can be made due, and no others', async () => {
      const { catalogue, ids, due } = await filled()
      for (const pack of ids) for (const store of ['a', 'b']) await catalogue.noteLock({ pack, store, due: LATER })
      assert.deepEqual(await due('a'), [])
      await catalogue.studyLocksDue(instance(2).studyUid)
      assert.deepEqual([await due('a'), await due('b')], [[ids[1]], [ids[1]]])
    })

    test('a copy that is read back again keeps its lock, and one that comes anew has none', async () => {
      const { catalogue, ids, due } = await filled()
      await catalogue.noteLock({ pack: ids[0], store: 'a', lock: compliance, due: LATER })
      const pack = await catalogue.pack(ids[0])
      assert.ok(pack)
      const again = { ...pack, instances: [], copies: [{ store: 'a', verifiedAt: LATER }] }
      await catalogue.addPack(again)
      assert.deepEqual(await catalogue.lockOf(ids[0], 'a'), compliance)
      await catalogue.dropCopy(ids[0], 'a')
      await catalogue.addPack(again)
      assert.equal(await catalogue.lockOf(ids[0], 'a'), undefined)
      assert.ok((await due('a')).includes(ids[0]))
    })

    test('when a study got its last instance is known', async () => {
      const { catalogue } = await filled()
      assert.equal(await catalogue.lastReceived(instance(1).studyUid), instance(1).receivedAt)
      assert.equal(await catalogue.lastReceived('1.2.3'), undefined)
    })
  })
}
