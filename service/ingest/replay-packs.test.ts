import assert from 'node:assert/strict'
import { chmodSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { dicomFile, identifiers } from '../../test/fixtures/dicom.ts'
import { bytesOf, sha256 } from '../../test/property/core.ts'
import { type OpenedSite, withSite } from '../../test/property/site.ts'
import { tempDir } from '../../test/support/host.ts'
import { replayPacks } from './replay-packs.ts'

const TWO = {
  stores: ['one', 'two'].map((id) => ({ id, type: 'file', folder: id })),
  sealing: { copies: 2 },
}
const { studyUid, seriesUid } = identifiers({ seed: 'replay-packs' })
const files = [1, 2, 3].map((n) =>
  dicomFile({ seed: `replay-packs/${n}`, studyUid, seriesUid, instanceNumber: n, rows: 64, columns: 64 }),
)

/** Three instances in one pack that both stores hold. */
async function sealed({ send, sealer }: OpenedSite): Promise<string> {
  for (const file of files) await send(file)
  const { packs } = await sealer.seal(studyUid)
  return packs[0]?.key as string
}

/** Damages one of the instances in a store's copy of a pack. */
function damage(dataDir: string, store: string, key: string, instance: number): void {
  const path = join(dataDir, store, key)
  const bytes = readFileSync(path)
  const at = bytes.indexOf(files[instance] as Buffer) + 2000
  bytes.writeUInt8(bytes.readUInt8(at) ^ 1, at)
  chmodSync(path, 0o640)
  writeFileSync(path, bytes)
}

async function rebuilt({ catalogue, stores }: OpenedSite['archive']) {
  await catalogue.clear()
  return replayPacks({ stores, catalogue, warn: () => undefined })
}

/** The bytes of an instance by way of the catalogue; undefined when it doesn't know it. */
async function served({ catalogue, instances }: OpenedSite['archive'], file: Buffer): Promise<Buffer | undefined> {
  const record = await catalogue.byDigest(sha256(file))
  return record && bytesOf(instances.read(record.location, 0, record.sizeBytes))
}

describe('a catalogue is rebuilt from packs', () => {
  test('every instance is found again, and every store that holds it', async () => {
    const dataDir = tempDir('replay-packs')
    await withSite(dataDir, TWO, async (site) => {
      await sealed(site)
      const report = await rebuilt(site.archive)
      assert.deepEqual(report, { packs: 1, instances: 3, damaged: 0, unreadable: [] })
      for (const file of files) assert.ok((await served(site.archive, file))?.equals(file))
      const [pack] = await site.archive.catalogue.packs({ limit: 10 })
      assert.deepEqual(
        pack?.copies.map(({ store }) => store),
        ['one', 'two'],
      )
    })
  })

  test('a copy that is damaged is no copy, while there is a whole one', async () => {
    const dataDir = tempDir('replay-packs')
    await withSite(dataDir, TWO, async (site) => {
      damage(dataDir, 'one', await sealed(site), 0)
      const report = await rebuilt(site.archive)
      assert.equal(report.damaged, 1)
      for (const file of files) assert.ok((await served(site.archive, file))?.equals(file))
      const [pack] = await site.archive.catalogue.packs({ limit: 10 })
      assert.deepEqual(
        pack?.copies.map(({ store }) => store),
        ['two'],
      )
    })
  })

  test('where every copy is damaged, nothing damaged is served, and no number of copies is claimed', async () => {
    const dataDir = tempDir('replay-packs')
    await withSite(dataDir, TWO, async (site) => {
      const key = await sealed(site)
      damage(dataDir, 'one', key, 0)
      damage(dataDir, 'two', key, 2)
      const report = await rebuilt(site.archive)
      assert.equal(report.damaged, 2)
      for (const file of files) {
        const bytes = await served(site.archive, file)
        assert.ok(bytes === undefined || bytes.equals(file))
      }
      const [pack] = await site.archive.catalogue.packs({ limit: 10 })
      assert.equal(pack?.copies.length, 1)
    })
  })
})
