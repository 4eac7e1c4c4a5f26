import assert from 'node:assert/strict'
import { chmodSync, existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { dicomFile, identifiers } from '../../test/fixtures/dicom.ts'
import { pseudoRandom } from '../../test/fixtures/random.ts'
import { bytesOf, sha256 } from '../../test/property/core.ts'
import { type OpenedSite, withSite } from '../../test/property/site.ts'
import { tempDir } from '../../test/support/host.ts'
import { Placement } from './placement.ts'
import { Sealer } from './seal.ts'

const STORES = { stores: ['one', 'two'].map((id) => ({ id, type: 'file', folder: id })) }

async function served({ catalogue, instances }: OpenedSite['archive'], file: Buffer): Promise<Buffer> {
  const record = await catalogue.byDigest(sha256(file))
  assert.ok(record)
  return bytesOf(instances.read(record.location, 0, record.sizeBytes))
}

describe('sealing, as a whole site does it', () => {
  test('a damaged pack that was healed by its sender is not served again, nor counted', async () => {
    const dataDir = tempDir('seal')
    const file = dicomFile({ seed: 'seal/healed', rows: 64, columns: 64 })
    const [key, damaged] = await withSite(dataDir, STORES, async ({ send, sealer }) => {
      const { packs } = await sealer.seal((await send(file)).studyUid)
      return [packs[0]?.key as string, packs[0]?.stores[0] as string]
    })
    await withSite(dataDir, STORES, async ({ archive, send, sealer, sealing }) => {
      await sealing.run()
      assert.ok((await served(archive, file)).equals(file))
      const path = join(dataDir, damaged, key)
      const bytes = readFileSync(path)
      const at = bytes.indexOf(file) + 2000
      bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
      chmodSync(path, 0o640)
      writeFileSync(path, bytes)
      const { outcome, studyUid } = await send(file)
      assert.equal(outcome, 'duplicate')
      assert.ok((await served(archive, file)).equals(file))
      const { packs } = await sealer.seal(studyUid)
      assert.notDeepEqual(packs[0]?.stores, [damaged])
    })
    await withSite(dataDir, STORES, async ({ archive, sealing }) => {
      await sealing.run()
      assert.ok(existsSync(join(dataDir, damaged, key)))
      assert.ok((await served(archive, file)).equals(file))
      const [pack] = await archive.catalogue.packs({ limit: 10 })
      assert.ok(pack?.copies.every(({ store }) => store !== damaged))
    })
  })
  test('a study of which there is too much to say becomes several packs', async () => {
    const dataDir = tempDir('seal')
    const { studyUid, seriesUid } = identifiers({ seed: 'seal/talkative' })
    const files = [1, 2, 3, 4, 5].map((n) =>
      dicomFile({ seed: `seal/talkative/${n}`, studyUid, seriesUid, instanceNumber: n }),
    )
    await withSite(dataDir, {}, async ({ archive, send }) => {
      for (const file of files) await send(file)
      const sealer = new Sealer({
        catalogue: archive.catalogue,
        instances: archive.instances,
        placement: new Placement(archive.stores),
        describe: async ({ sha256 }) =>
          Buffer.from(JSON.stringify({ text: pseudoRandom(sha256, 10_000).toString('hex') })),
        stores: archive.stores,
        events: archive.events,
        copies: 1,
        metadataBytesMax: 25_000,
        changed: () => undefined,
        warn: () => undefined,
      })
      const { packs } = await sealer.seal(studyUid)
      assert.deepEqual(
        packs.map(({ instances }) => instances),
        [2, 1, 2],
      )
      assert.deepEqual(await archive.catalogue.unsealedCopies(studyUid), [])
      for (const file of files) assert.ok((await served(archive, file)).equals(file))
    })
  })
  test('who closes the archive can wait for what is being sealed', async () => {
    const dataDir = tempDir('seal')
    const file = dicomFile({ seed: 'seal/idle' })
    await withSite(dataDir, {}, async ({ archive, send, sealer }) => {
      const { studyUid } = await send(file)
      void sealer.seal(studyUid)
      await sealer.idle()
      assert.deepEqual(await archive.catalogue.unsealedCopies(studyUid), [])
    })
  })
})
