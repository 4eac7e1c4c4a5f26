import assert from 'node:assert/strict'
import { mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { chmod } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, test } from 'node:test'
import { dicomFile } from '../../test/fixtures/dicom.ts'
import { bytesOf } from '../../test/property/core.ts'
import { withSite } from '../../test/property/site.ts'
import { tempDir } from '../../test/support/host.ts'

const segments = (dataDir: string) => readdirSync(join(dataDir, 'landing')).filter((name) => name.endsWith('.tar'))

/** One instance, sealed into a pack of `store`, with its segment ended. */
async function sealed(dataDir: string, seed: string, settings: Record<string, unknown> = {}) {
  return withSite(dataDir, settings, async ({ send, sealer }) => {
    const { studyUid, sha256 } = await send(dicomFile({ seed }))
    const { packs } = await sealer.seal(studyUid)
    return { sha256, key: packs[0]?.key as string }
  })
}

describe('retiring', () => {
  test('what is sealed leaves the landing, and is read from its pack', async () => {
    const dataDir = tempDir('retire')
    const { sha256 } = await sealed(dataDir, 'retire')
    await withSite(dataDir, {}, async ({ archive, sealing }) => {
      await sealing.run()
      assert.deepEqual(segments(dataDir), [])
      const record = await archive.catalogue.byDigest(sha256)
      assert.ok(record)
      const bytes = await bytesOf(archive.instances.read(record.location, 0, record.sizeBytes))
      assert.ok(bytes.equals(dicomFile({ seed: 'retire' })))
    })
  })

  test('a store that was emptied since holds nothing: the landing keeps the last copy', async () => {
    const dataDir = tempDir('retire')
    await sealed(dataDir, 'emptied')
    rmSync(join(dataDir, 'store'), { recursive: true })
    mkdirSync(join(dataDir, 'store'))
    await withSite(dataDir, {}, async ({ sealing }) => sealing.run())
    assert.equal(segments(dataDir).length, 1)
  })

  test('a pack that is away keeps its segments, until it is back', async () => {
    const dataDir = tempDir('retire')
    const { key } = await sealed(dataDir, 'away')
    const pack = join(dataDir, 'store', key)
    renameSync(pack, `${dataDir}/pack`)
    await withSite(dataDir, {}, async ({ sealing }) => {
      await sealing.run()
      assert.equal(segments(dataDir).length, 1)
      renameSync(`${dataDir}/pack`, pack)
      await sealing.run()
      assert.deepEqual(segments(dataDir), [])
    })
  })

  test('a pack that was damaged since proves nothing', async () => {
    const dataDir = tempDir('retire')
    const { key } = await sealed(dataDir, 'damaged')
    const pack = join(dataDir, 'store', key)
    const bytes = readFileSync(pack)
    bytes.writeUInt8(bytes.readUInt8(bytes.length - 1600) ^ 1, bytes.length - 1600)
    await chmod(pack, 0o640)
    writeFileSync(pack, bytes)
    await withSite(dataDir, {}, async ({ sealing }) => sealing.run())
    assert.equal(segments(dataDir).length, 1)
  })

  test('a store that is no longer configured proves nothing', async () => {
    const dataDir = tempDir('retire')
    await sealed(dataDir, 'gone', { stores: [{ id: 'old', type: 'file', folder: 'old' }] })
    await withSite(dataDir, {}, async ({ sealing }) => sealing.run())
    assert.equal(segments(dataDir).length, 1)
  })
  test('a segment whose file is missing keeps no other one in the landing', async () => {
    const dataDir = tempDir('retire')
    await sealed(dataDir, 'first')
    await sealed(dataDir, 'second')
    const [first] = segments(dataDir)
    rmSync(join(dataDir, 'landing', first as string))
    await withSite(dataDir, {}, async ({ sealing }) => sealing.run())
    assert.deepEqual(segments(dataDir), [])
  })
})
