import assert from 'node:assert/strict'
import { readdirSync, renameSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { pino } from 'pino'
import { dicomFile } from '../test/fixtures/dicom.ts'
import { bytesOf, inChunks, openSqlite, SOURCE } from '../test/property/core.ts'
import { withSite } from '../test/property/site.ts'
import { tempDir } from '../test/support/host.ts'
import { type Archive, openArchive, WrongCatalogue } from './archive.ts'
import { loadConfig } from './config/load.ts'
import { DataFolder } from './data-folder.ts'

const log = pino({ level: 'silent' })

async function withArchive<T>(dataDir: string, use: (archive: Awaited<ReturnType<typeof openArchive>>) => Promise<T>) {
  const folder = await DataFolder.open(dataDir)
  try {
    const archive = await openArchive(loadConfig({ flags: { dataDir } }), folder, log)
    try {
      return await use(archive)
    } finally {
      await archive.close()
    }
  } finally {
    await folder.close()
  }
}

describe('archive', () => {
  test('an empty catalogue is filled from the landing, which knows everything', async () => {
    const dataDir = tempDir('archive')
    const files = Array.from({ length: 5 }, (_, n) => dicomFile({ seed: `archive/${n}` }))
    const receipts = await withArchive(dataDir, ({ receiver }) =>
      Promise.all(files.map((file) => receiver.receive({ body: inChunks(file), source: SOURCE }))),
    )
    const catalogue = await openSqlite(dataDir)
    await catalogue.clear()
    await catalogue.close()
    await withArchive(dataDir, async ({ catalogue, instances }) => {
      for (const [n, { sha256 }] of receipts.entries()) {
        const record = await catalogue.byDigest(sha256)
        assert.ok(record)
        const bytes = await bytesOf(instances.read(record.location, 0, record.sizeBytes))
        assert.ok(bytes.equals(files[n] as Buffer))
      }
    })
  })

  describe('what only packs hold', () => {
    const file = dicomFile({ seed: 'archive/packed' })

    /** One instance that has left the landing. */
    async function packed(settings: Record<string, unknown>) {
      const dataDir = tempDir('archive')
      const { sha256 } = await withSite(dataDir, settings, async ({ send, sealer }) => {
        const receipt = await send(file)
        await sealer.seal(receipt.studyUid)
        return receipt
      })
      await withSite(dataDir, settings, ({ sealing }) => sealing.run())
      assert.deepEqual(readdirSync(join(dataDir, 'landing')), [])
      return { dataDir, sha256 }
    }

    async function assertServed({ catalogue, instances }: Archive, sha256: string): Promise<void> {
      const record = await catalogue.byDigest(sha256)
      assert.ok(record)
      assert.ok((await bytesOf(instances.read(record.location, 0, record.sizeBytes))).equals(file))
    }

    test('is found again by a new catalogue', async () => {
      const { dataDir, sha256 } = await packed({})
      for (const name of readdirSync(dataDir)) if (name.startsWith('catalogue.sqlite')) rmSync(join(dataDir, name))
      await withSite(dataDir, {}, ({ archive }) => assertServed(archive, sha256))
    })

    test('is found again after a rebuild that was broken off', async () => {
      const { dataDir, sha256 } = await packed({})
      const catalogue = await openSqlite(dataDir)
      await catalogue.clear()
      await catalogue.close()
      await withSite(dataDir, {}, ({ archive }) => assertServed(archive, sha256))
    })

    test('is missed aloud while its store is away, and found by the first start after that', async () => {
      const store = join(tempDir('archive'), 'store')
      const settings = { stores: [{ id: 'one', type: 'file', folder: store }] }
      const { dataDir, sha256 } = await packed(settings)
      const catalogue = await openSqlite(dataDir)
      await catalogue.clear()
      await catalogue.close()
      renameSync(store, `${store}.away`)
      await withSite(dataDir, settings, async ({ archive }) => {
        assert.equal(await archive.catalogue.byDigest(sha256), undefined)
        assert.match(archive.troubles().join('\n'), /lacks what only these stores hold: one/)
      })
      renameSync(`${store}.away`, store)
      await withSite(dataDir, settings, async ({ archive }) => {
        await assertServed(archive, sha256)
        assert.deepEqual(archive.troubles(), [])
      })
    })
  })

  test("another archive's catalogue is refused, and left as it was", async () => {
    const dataDir = tempDir('archive')
    const others = await openSqlite(dataDir)
    await others.setArchiveId('another-archive')
    await others.close()
    const wrong = (error: unknown) => error instanceof WrongCatalogue && error.message.includes('another-archive')
    await assert.rejects(
      withArchive(dataDir, async () => undefined),
      wrong,
    )
    const again = await openSqlite(dataDir)
    assert.equal(await again.archiveId(), 'another-archive')
    await again.close()
  })
})
