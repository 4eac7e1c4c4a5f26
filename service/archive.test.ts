import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { pino } from 'pino'
import { dicomFile } from '../test/fixtures/dicom.ts'
import { bytesOf, inChunks, openSqlite, SOURCE } from '../test/property/core.ts'
import { tempDir } from '../test/support/host.ts'
import { openArchive, WrongCatalogue } from './archive.ts'
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
    await withArchive(dataDir, async ({ catalogue, landing }) => {
      for (const [n, { sha256 }] of receipts.entries()) {
        const record = await catalogue.byDigest(sha256)
        assert.ok(record)
        const bytes = await bytesOf(landing.read(record.location, 0, record.sizeBytes))
        assert.ok(bytes.equals(files[n] as Buffer))
      }
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
