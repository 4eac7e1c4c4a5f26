import assert from 'node:assert/strict'
import { readdirSync } from 'node:fs'
import { after, describe, test } from 'node:test'
import { type DicomOptions, dicomFile, identifiers } from '../../test/fixtures/dicom.ts'
import {
  all,
  bytesOf,
  inChunks,
  landingIn,
  MemoryCatalogue,
  openSite,
  openSqlite,
  type Site,
  SOURCE,
  sha256,
} from '../../test/property/core.ts'
import { tempDir } from '../../test/support/host.ts'
import { until, within } from '../../test/support/until.ts'
import type { KnexCatalogue } from '../catalogue/knex/catalogue.ts'
import { type ArchiveErrorCode, isArchiveError } from '../errors.ts'
import { segmentPath } from '../landing/files.ts'
import { isIntact, scanSegment } from '../landing/scan.ts'
import type { Incoming, Receipt } from './ports.ts'

const MIB = 1024 * 1024

function send(site: Site<never> | Site<KnexCatalogue> | Site<MemoryCatalogue>, file: Buffer, chunkBytes?: number) {
  return within('an answer', 20_000, site.receiver.receive({ body: inChunks(file, chunkBytes), source: SOURCE }))
}

const refused = (code: ArchiveErrorCode) => (error: unknown) => isArchiveError(error, code)

/** Digests of all that the landing's segments hold. */
async function landed(folder: string): Promise<string[]> {
  const digests: string[] = []
  for (const name of readdirSync(folder)) {
    const path = segmentPath(folder, Number(name.slice(0, 10)))
    for (const { found } of await all(scanSegment(path))) {
      assert.ok(found && (await isIntact(path, found)))
      digests.push(found.member.note.sha256)
    }
  }
  return digests.sort()
}

describe('an instance arrives, with SQLite and a real landing', () => {
  const sites: Site<KnexCatalogue>[] = []
  after(async () => {
    for (const { landing, ledger, catalogue } of sites) {
      ledger.close()
      await landing.close()
      await catalogue.close()
    }
  })

  async function makeSite(options: Parameters<typeof openSite>[2] = {}) {
    const dir = tempDir('receive')
    const site = await openSite(landingIn(dir), await openSqlite(dir), options)
    sites.push(site)
    return site
  }

  async function assertServed({ catalogue, instances }: Site<KnexCatalogue>, file: Buffer, receipt: Receipt) {
    const record = await catalogue.byDigest(receipt.sha256)
    assert.ok(record)
    assert.ok((await bytesOf(instances.read(record.location, 0, record.sizeBytes))).equals(file))
  }

  test('stored, then a duplicate, then a conflict; each copy reads back', async () => {
    const site = await makeSite()
    const options: DicomOptions = { seed: 'outcomes' }
    const file = dicomFile(options)
    const other = dicomFile({ ...options, studyDescription: 'edited' })
    const first = await send(site, file)
    assert.deepEqual(first, {
      ...identifiers(options),
      sha256: sha256(file),
      sizeBytes: file.length,
      outcome: 'stored',
      durability: 'local',
    })
    assert.equal((await send(site, file)).outcome, 'duplicate')
    const conflict = await send(site, other)
    assert.equal(conflict.outcome, 'conflict')
    assert.equal((await send(site, other)).outcome, 'duplicate')
    await assertServed(site, file, first)
    await assertServed(site, other, conflict)
    const [served] = await all(site.catalogue.instances({ studyUids: [first.studyUid] }))
    assert.equal(served?.sha256, first.sha256)
    assert.deepEqual(await landed(site.landing.folder), [first.sha256, conflict.sha256].sort())
  })

  test('the same instance from many at once is stored once', async () => {
    const site = await makeSite()
    const file = dicomFile({ seed: 'at-once' })
    const receipts = await Promise.all(Array.from({ length: 20 }, (_, n) => send(site, file, 100 + n)))
    const outcomes = receipts.map(({ outcome }) => outcome).sort()
    assert.deepEqual(outcomes, [...Array(19).fill('duplicate'), 'stored'])
    assert.deepEqual(await landed(site.landing.folder), [sha256(file)])
  })

  test('different bytes under one UID at once: all kept, one served', async () => {
    const site = await makeSite({ lanes: 4 })
    const sopInstanceUid = '2.25.4711'
    const files = Array.from({ length: 8 }, (_, n) =>
      dicomFile({
        seed: 'race',
        sopInstanceUid,
        studyDescription: `version ${n}`,
        rows: n < 2 ? 600 : 8,
        columns: 600,
      }),
    )
    const receipts = await Promise.all(files.map((file) => send(site, file)))
    const count = (outcome: string) => receipts.filter((one) => one.outcome === outcome).length
    assert.deepEqual([count('stored'), count('conflict'), count('duplicate')], [1, 7, 0])
    for (const [n, receipt] of receipts.entries()) await assertServed(site, files[n] as Buffer, receipt)
    assert.equal((await site.catalogue.conflicts(100)).length, 7)
    assert.deepEqual(await landed(site.landing.folder), files.map(sha256).sort())
  })

  test('a large instance streams through a segment of its own', async () => {
    const site = await makeSite()
    const file = dicomFile({ seed: 'large', rows: 1024, columns: 1024 })
    const receipt = await send(site, file, 65_521)
    assert.equal(receipt.outcome, 'stored')
    await assertServed(site, file, receipt)
    assert.equal((await send(site, file)).outcome, 'duplicate')
    assert.deepEqual(await landed(site.landing.folder), [sha256(file)])
  })

  test('whatever the chunks, the same bytes are kept', async () => {
    const site = await makeSite()
    for (const [index, chunkBytes] of [1, 7, 131, 132, 133, 511, 32_768, 1 << 20].entries()) {
      const file = dicomFile({ seed: `chunks/${index}`, rows: 100, columns: 100 })
      const receipt = await send(site, file, chunkBytes)
      assert.equal(receipt.sha256, sha256(file), `chunks of ${chunkBytes}`)
      await assertServed(site, file, receipt)
    }
  })

  test('identifiers far behind the first chunk are found, in small and in large instances', async () => {
    const site = await makeSite()
    // A private element of 100 KB in group 0009 stands before the study's UID.
    const attributes = { '00090010': ['LO', 'FILLER'], '00091001': ['OB', Buffer.alloc(100_000)] } as const
    const large = { '00090010': ['LO', 'FILLER'], '00091001': ['OB', Buffer.alloc(600_000)] } as const
    for (const [name, filler] of Object.entries({ small: attributes, large })) {
      const options: DicomOptions = { seed: `far/${name}`, attributes: filler }
      const file = dicomFile(options)
      const receipt = await send(site, file, 40_000)
      assert.equal(receipt.studyUid, identifiers(options).studyUid)
      await assertServed(site, file, receipt)
    }
  })

  test('a restart brings everything back, and knows duplicates', async () => {
    const dir = tempDir('receive')
    const before = await openSite(landingIn(dir), await openSqlite(dir))
    const files = Array.from({ length: 10 }, (_, n) => dicomFile({ seed: `restart/${n}` }))
    const receipts = await Promise.all(files.map((file) => send(before, file)))
    await before.landing.close()
    await before.catalogue.close()
    const site = await openSite(landingIn(dir), await openSqlite(dir))
    sites.push(site)
    for (const [n, file] of files.entries()) await assertServed(site, file, receipts[n] as Receipt)
    assert.equal((await send(site, files[3] as Buffer)).outcome, 'duplicate')
  })
})

describe('an instance is refused', () => {
  /** Refuses, then shows that neither memory nor lock nor bytes of the refused are left. */
  async function assertRefused(
    incoming: Omit<Incoming, 'source'>,
    code: ArchiveErrorCode,
    options: DicomOptions = { seed: 'refused' },
  ): Promise<unknown> {
    const folder = tempDir('refused')
    const site = await openSite(folder, new MemoryCatalogue(), { limits: { ingestBufferBytes: MIB } })
    let reason: unknown
    const work = site.receiver.receive({ ...incoming, source: SOURCE })
    await assert.rejects(within('a refusal', 20_000, work), (error) => {
      reason = error
      return refused(code)(error)
    })
    assert.deepEqual(await landed(folder), [])
    assert.deepEqual(site.catalogue.digestsKnown, [])
    // As many as fill the gate several times over, and one under the same UID.
    const good = [
      dicomFile(options),
      ...Array.from({ length: 12 }, (_, n) => dicomFile({ seed: n, rows: 340, columns: 340 })),
    ]
    const receipts = await Promise.all(good.map((file) => send(site, file)))
    assert.ok(receipts.every(({ outcome }) => outcome === 'stored'))
    await site.landing.close()
    return reason
  }

  const file = dicomFile({ seed: 'refused' })
  const large = dicomFile({ seed: 'refused', rows: 1024, columns: 1024 })

  test('what is no DICOM file, is cut short, or lacks an identifier', async () => {
    await assertRefused({ body: inChunks(Buffer.alloc(10_000)) }, 'not_dicom')
    await assertRefused({ body: inChunks(Buffer.alloc(0)) }, 'not_dicom')
    await assertRefused({ body: inChunks(file.subarray(0, 250)) }, 'header_truncated')
    const nameless = dicomFile({ seed: 'refused', attributes: { '0020000D': null } })
    const error = await assertRefused({ body: inChunks(nameless) }, 'missing_identifier')
    assert.ok(isArchiveError(error))
    assert.equal(error.identifiers.sopInstanceUid, identifiers({ seed: 'refused' }).sopInstanceUid)
    const strange = dicomFile({ seed: 'refused', attributes: { '0020000D': ['UI', '../../etc/passwd'] } })
    await assertRefused({ body: inChunks(strange) }, 'invalid_identifier')
  })

  test('what is not what was announced', async () => {
    await assertRefused({ body: inChunks(file), expected: { studyUid: '1.2.3' } }, 'study_mismatch')
    await assertRefused({ body: inChunks(file), expected: { sopInstanceUid: '1.2.3' } }, 'instance_mismatch')
    await assertRefused({ body: inChunks(large), expected: { sopClassUid: '1.2.3' } }, 'instance_mismatch')
  })

  test('what is too large, or whose identifiers come too late', async () => {
    const giant = dicomFile({ seed: 'refused', rows: 1600, columns: 1600 })
    assert.ok(giant.length > 4 * MIB)
    await assertRefused({ body: inChunks(giant) }, 'too_large')
    const filler = { '00090010': ['LO', 'FILLER'], '00091001': ['OB', Buffer.alloc(2 * MIB)] } as const
    await assertRefused({ body: inChunks(dicomFile({ attributes: filler })) }, 'header_too_large')
  })

  test('when its sender goes away: before, in the middle of and behind the header, also of a large one', async () => {
    for (const failAt of [0, 200, 700, file.length]) {
      await assertRefused({ body: inChunks(file, 100, failAt) }, 'aborted')
    }
    await assertRefused({ body: inChunks(large, 10_000, 1_500_000) }, 'aborted')
    await assertRefused({ body: inChunks(large, 10_000, large.length) }, 'aborted')
  })

  test('its sender is told to stop', async () => {
    for (const bytes of [Buffer.alloc(2 * MIB), dicomFile({ seed: 1, rows: 1600, columns: 1600 })]) {
      let stopped = false
      const body = async function* () {
        try {
          yield* inChunks(bytes)
        } finally {
          stopped = true
        }
      }
      const site = await openSite(tempDir('refused'), new MemoryCatalogue())
      await assert.rejects(site.receiver.receive({ body: body(), source: SOURCE }))
      assert.ok(stopped)
    }
  })

  test('senders who stall hold up nobody else', async () => {
    const site = await openSite(tempDir('stalled'), new MemoryCatalogue(), { limits: { ingestBufferBytes: MIB } })
    let goOn = (): void => undefined
    const never = new Promise<void>((resolve) => {
      goOn = resolve
    })
    const stalled = async function* (bytes: Buffer) {
      yield* inChunks(bytes.subarray(0, 200_000))
      await never
      throw new Error('gone')
    }
    const medium = (n: number) => dicomFile({ seed: `stalled/${n}`, rows: 340, columns: 340 })
    const work = Array.from({ length: 10 }, (_, n) =>
      site.receiver.receive({ body: stalled(medium(n)), source: SOURCE }).catch((error) => error),
    )
    const good = await Promise.all(Array.from({ length: 5 }, (_, n) => send(site, medium(100 + n))))
    assert.ok(good.every(({ outcome }) => outcome === 'stored'))
    // A header that comes in pieces needs memory before anything is known of it: later, but never "no DICOM file".
    const inPieces = await send(site, medium(200), 100).then(
      ({ outcome }) => outcome,
      (error) => error.code,
    )
    assert.ok(['stored', 'busy'].includes(inPieces), inPieces)
    goOn()
    for (const error of await Promise.all(work))
      assert.ok(isArchiveError(error) && error.retry === 'later', String(error))
    await site.landing.close()
  })
})

describe('the catalogue fails while instances arrive', () => {
  test('what was landed stays acknowledged, new work is refused, and nothing is lost', async () => {
    const folder = tempDir('catalogue-fails')
    const site = await openSite(folder, new MemoryCatalogue())
    const files = [1, 2, 3].map((n) => dicomFile({ seed: `owed/${n}` }))
    site.catalogue.fails = 2
    assert.equal((await send(site, files[0] as Buffer)).outcome, 'stored')
    await until('the failure to be known', () => site.ledger.trouble !== undefined, 10_000)
    await assert.rejects(send(site, files[1] as Buffer), refused('unavailable'))
    assert.deepEqual(await landed(folder), [sha256(files[0] as Buffer)])
    await until('the catalogue to catch up', () => site.ledger.trouble === undefined, 10_000)
    assert.deepEqual(site.catalogue.digestsKnown, [sha256(files[0] as Buffer)])
    // Who asks again is told that it was stored after all.
    assert.equal((await send(site, files[0] as Buffer)).outcome, 'duplicate')
    assert.equal((await send(site, files[1] as Buffer)).outcome, 'stored')
    await site.landing.close()
    const restarted = await openSite(folder, new MemoryCatalogue())
    assert.deepEqual(restarted.catalogue.digestsKnown.sort(), files.slice(0, 2).map(sha256).sort())
    await restarted.landing.close()
  })
})
