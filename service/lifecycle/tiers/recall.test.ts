import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import type { Recallable, StorageAdapter } from '../../../storage-adapters/contract/adapter.ts'
import { memoryStore } from '../../../storage-adapters/memory/memory.ts'
import { dicomFile } from '../../../test/fixtures/dicom.ts'
import { bytesOf, sha256 } from '../../../test/property/core.ts'
import { withSite } from '../../../test/property/site.ts'
import { tempDir } from '../../../test/support/host.ts'
import { isArchiveError } from '../../errors.ts'

const FAST = { id: 'fast', type: 'file', folder: 'fast' }
const TAPE = { id: 'tape', type: 'file', folder: 'tape', tier: 'cold' }
const FILE = dicomFile({ seed: 'recall' })

/** A fast store, and one whose objects are cold until they were asked for and an hour has passed. */
function tapeAndDisk() {
  let now = Date.now()
  let asked = 0
  const stores = new Map<string, StorageAdapter>()
  const build = ({ id }: { id: string }): StorageAdapter => {
    const known = stores.get(id)
    if (known) return known
    const store = memoryStore({ id, ...(id === 'tape' ? { recallMs: 3_600_000, now: () => new Date(now) } : {}) })
    if (id === 'tape') {
      const tape = store as StorageAdapter as StorageAdapter & Recallable
      const request = tape.requestRecall.bind(tape)
      tape.requestRecall = async (keys, signal) => {
        if (keys[0]?.startsWith('packs/')) asked += 1
        await request(keys, signal)
      }
      // Small objects, such as the store's identity, stay on the robot's own disk.
      const get = store.get.bind(store)
      store.get = async (key, options) => {
        if (!key.startsWith('packs/')) {
          const before = now
          await request([key])
          now += 4_000_000
          try {
            return await get(key, options)
          } finally {
            now = before
          }
        }
        return get(key, options)
      }
    }
    stores.set(id, store)
    return store
  }
  return { build, asked: () => asked, pass: (ms: number) => (now += ms) }
}

describe('a cold store', () => {
  test('gets a pack for good only when it was recalled and read; readers hear that it is recalled, which is asked once', async () => {
    const { build, asked, pass } = tapeAndDisk()
    const settings = { stores: [FAST, TAPE], moves: { rules: [{ to: 'cold' }] }, cache: { packBytes: 0 }, build }
    const dataDir = tempDir('recall')
    await withSite(dataDir, settings, async ({ send, sealer }) => {
      const { studyUid } = await send(FILE)
      await sealer.seal(studyUid)
    })
    await withSite(dataDir, settings, async (site) => {
      await site.sealing.run()
      const { catalogue, instances } = site.archive
      const { mover } = site.tiering
      const holders = async () => (await catalogue.holdings()).map(({ store }) => store)
      mover.begin()
      await mover.run()
      assert.deepEqual(await holders(), ['fast'], 'what was not read back is no copy')
      assert.equal(asked(), 1)
      assert.match(mover.report?.reasons.join() ?? '', /must recall it first/)
      pass(3_700_000)
      // Tomorrow.
      await catalogue.tiers.lookAgain({ from: 1, to: 1 })
      await mover.run()
      assert.deepEqual(await holders(), ['tape'])
      // It has gone cold again.
      const tape = site.archive.stores.get('tape')?.adapter
      assert.ok(tape)
      const record = await catalogue.byDigest(sha256(FILE))
      assert.ok(record && 'pack' in record.location && !record.location.landed)
      const read = () => bytesOf(instances.open(record).bytes())
      pass(-3_700_000)
      const before = asked()
      for (let n = 0; n < 5; n++) {
        await assert.rejects(read(), (error) => isArchiveError(error, 'unavailable') && /recalled/.test(error.message))
      }
      assert.ok(asked() - before <= 1, 'however many want to read it')
      pass(8_000_000)
      assert.ok((await read()).equals(FILE))
    })
  })

  test('what was read of a slow tier is read from the cache the next time', async () => {
    const stores = new Map<string, StorageAdapter>()
    let gets = 0
    const build = ({ id }: { id: string }): StorageAdapter => {
      const store = stores.get(id) ?? memoryStore({ id })
      if (id === 'tape' && !stores.has(id)) {
        const get = store.get.bind(store)
        store.get = (key, options) => {
          gets += 1
          return get(key, options)
        }
      }
      stores.set(id, store)
      return store
    }
    const settings = { stores: [FAST, TAPE], moves: { rules: [{ to: 'cold' }] }, build }
    const dataDir = tempDir('recall')
    await withSite(dataDir, settings, async ({ send, sealer }) => {
      await sealer.seal((await send(FILE)).studyUid)
    })
    await withSite(dataDir, settings, async (site) => {
      await site.sealing.run()
      await site.tiering.mover.run()
      const record = await site.archive.catalogue.byDigest(sha256(FILE))
      assert.ok(record)
      const read = () => bytesOf(site.archive.instances.open(record).bytes())
      assert.ok((await read()).equals(FILE))
      const before = gets
      for (let n = 0; n < 3; n++) assert.ok((await read()).equals(FILE))
      assert.equal(gets, before)
    })
  })
})
