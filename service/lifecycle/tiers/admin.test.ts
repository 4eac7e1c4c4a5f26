import assert from 'node:assert/strict'
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { dicomFile } from '../../../test/fixtures/dicom.ts'
import { all } from '../../../test/property/core.ts'
import { type OpenedSite, withSite } from '../../../test/property/site.ts'
import { tempDir } from '../../../test/support/host.ts'
import { isArchiveError } from '../../errors.ts'

const ACTOR = { name: 'huber', role: 'admin', from: '10.0.0.7' }
const ONE = { id: 'one', type: 'file', folder: 'one' }
const TWO = { id: 'two', type: 'file', folder: 'two' }

const told = async ({ archive }: OpenedSite) =>
  (await all(archive.events.read()))
    .filter(({ kind }) => kind === 'store.added' || kind === 'store.removed')
    .map(({ kind, subject, data, actor }) => `${kind} ${subject.store} ${data.tier} ${actor.name}`)

describe('stores that come and go', () => {
  test('one that is added is used at once and after a restart, and can be removed when it is drained and empty', async () => {
    const dataDir = tempDir('admin')
    await withSite(dataDir, { stores: [ONE] }, async (site) => {
      const { admin } = site.tiering
      await admin.notice()
      await admin.add({ ...TWO, weight: 100 }, ACTOR)
      const { studyUid } = await site.send(dicomFile({ seed: 'admin' }))
      assert.deepEqual((await site.sealer.seal(studyUid)).packs[0]?.stores, ['two'])
      await assert.rejects(admin.remove('two', ACTOR), (error) => isArchiveError(error, 'forbidden'))
    })
    await withSite(dataDir, { stores: [ONE] }, async (site) => {
      const { admin } = site.tiering
      assert.equal(site.archive.stores.get('two')?.trouble, undefined)
      await site.drainer.start('two')
      await site.drainer.settled('two')
      await admin.remove('two', ACTOR)
      assert.equal(site.archive.stores.get('two'), undefined)
      assert.deepEqual([...(await site.archive.catalogue.drainingStores())], [])
      assert.deepEqual(await told(site), [
        'store.added one online system',
        'store.added two online huber',
        'store.removed two online huber',
      ])
    })
    await withSite(dataDir, { stores: [ONE] }, async (site) => {
      assert.deepEqual(
        site.archive.stores.all.map(({ id }) => id),
        ['one'],
      )
    })
  })

  test('what is no store, is taken, can not be opened or is another archive is refused, and nothing stays of it', async () => {
    const dataDir = tempDir('admin')
    writeFileSync(join(dataDir, 'file'), 'no folder')
    const other = tempDir('admin')
    await withSite(other, { stores: [ONE] }, async () => undefined)
    await withSite(dataDir, { stores: [ONE] }, async ({ tiering, archive }) => {
      const refused = (given: unknown, message: RegExp) =>
        assert.rejects(
          tiering.admin.add(given, ACTOR),
          (error) => isArchiveError(error, 'invalid_request') && message.test(error.message),
        )
      await refused({ id: 'Two!', type: 'file', folder: 'two' }, /id: a store is called/)
      await refused({ id: 'two', type: 'file' }, /folder/)
      await refused({ ...TWO, colour: 'red' }, /colour/)
      await refused({ ...ONE }, /a store called one already/)
      await refused({ ...TWO, folder: join(dataDir, 'file', 'x') }, /store two can't be used/)
      await refused({ ...TWO, folder: join(other, 'one') }, /already, of/)
      await refused({ ...TWO, folder: 'one' }, /the same as store one/)
      assert.equal(archive.stores.all.length, 1)
      assert.ok(!existsSync(join(dataDir, 'stores-added.json')))
      await tiering.admin.add(TWO, ACTOR)
      await assert.rejects(tiering.admin.remove('three', ACTOR), (error) => isArchiveError(error, 'not_found'))
      await assert.rejects(tiering.admin.remove('one', ACTOR), /is in the configuration/)
    })
  })

  test('the configuration counts where a store is in both, and its changes are told too', async () => {
    const dataDir = tempDir('admin')
    await withSite(dataDir, { stores: [ONE] }, async ({ tiering }) => {
      await tiering.admin.notice()
      await tiering.admin.add(TWO, ACTOR)
    })
    await withSite(dataDir, { stores: [{ ...TWO, tier: 'nearline' }] }, async (site) => {
      await site.tiering.admin.notice()
      assert.equal(site.archive.stores.get('two')?.tier, 'nearline')
      assert.deepEqual((await told(site)).slice(2), [
        'store.added two nearline system',
        'store.removed one online system',
      ])
    })
    const file = join(dataDir, 'stores-added.json')
    assert.equal(JSON.parse(readFileSync(file, 'utf8')).length, 1)
    writeFileSync(file, 'damaged')
    await assert.rejects(
      withSite(dataDir, { stores: [ONE] }, async () => undefined),
      /stores-added\.json is no list of stores/,
    )
  })
})
