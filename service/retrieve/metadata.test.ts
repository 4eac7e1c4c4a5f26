import '../../test/property/ts-workers.ts'
import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import { mkdtemp, readdir, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { after, afterEach, describe, test } from 'node:test'
import { dicomFile, identifiers } from '../../test/fixtures/dicom.ts'
import type { InstanceRecord } from '../catalogue/ports.ts'
import type { DicomJson } from '../dicom/types.ts'
import { ArchiveError, isArchiveError } from '../errors.ts'
import { RecordDescriber } from './describe-record.ts'
import { Describer } from './describer.ts'
import { MetadataStore } from './metadata.ts'

const ROOT = 'http://localhost/dicom-web'
const STUDY = '1.2.3'

/** An archive of files in memory. */
class Site {
  readonly files = new Map<string, Buffer>()
  readonly records: InstanceRecord[] = []
  /** SOP Instance UIDs whose bytes can't be read for now. */
  readonly unreadable = new Set<string>()
  reads = 0
  readonly store: MetadataStore

  constructor(folder: string) {
    this.store = new MetadataStore({
      folder,
      catalogue: {
        instances: () => all(this.records),
        studyVersion: async () => (this.records.length > 0 ? `epoch-1-${this.records.length}` : undefined),
      },
      describer: new RecordDescriber(
        { open: (record) => ({ record, bytes: (start, end) => this.#bytes(record, start, end) }) },
        16 * 1024 * 1024,
      ),
      quietMs: 1000,
      warn: () => undefined,
    })
  }

  add(file: Buffer, sopInstanceUid: string): void {
    const sha256 = createHash('sha256').update(file).digest('hex')
    this.files.set(sopInstanceUid, file)
    const ids = { ...identifiers({}), studyUid: STUDY, seriesUid: '1.2.3.4', sopInstanceUid }
    this.records.push({ ...ids, sha256, sizeBytes: file.length } as InstanceRecord)
  }

  addSmall(number: number): void {
    const sopInstanceUid = `1.2.3.4.${number}`
    this.add(dicomFile({ seed: number, studyUid: STUDY, seriesUid: '1.2.3.4', sopInstanceUid }), sopInstanceUid)
  }

  async metadata(root = ROOT): Promise<DicomJson[]> {
    const array = await this.store.array(STUDY, () => true, root)
    assert.ok(array)
    return parsed(array)
  }

  async *#bytes({ sopInstanceUid }: InstanceRecord, start?: number, end?: number): AsyncGenerator<Buffer> {
    this.reads += 1
    if (this.unreadable.has(sopInstanceUid)) throw new ArchiveError('storage_failed', 'input/output error')
    yield (this.files.get(sopInstanceUid) as Buffer).subarray(start, end)
  }
}

async function* all<T>(items: readonly T[]): AsyncGenerator<T> {
  yield* items
}

async function parsed(array: AsyncIterable<Buffer>): Promise<DicomJson[]> {
  const pieces: Buffer[] = []
  for await (const piece of array) pieces.push(piece)
  return JSON.parse(Buffer.concat(pieces).toString('utf8'))
}

/** Each with a tag of its own. */
function emptyElements(bytes: number): Buffer {
  const elements = Buffer.alloc(bytes)
  for (let at = 0; at < bytes; at += 8) {
    elements.writeUInt16LE(0x4021 + 2 * (at >> 19), at)
    elements.writeUInt16LE((at >> 3) & 0xffff, at + 2)
    elements.write('LO', at + 4)
  }
  return elements
}

const openFiles = async () => (await readdir('/proc/self/fd')).length
const uidOf = (json: DicomJson) => json['00080018']?.Value?.[0]

describe('MetadataStore', () => {
  const folders: string[] = []
  const stores: MetadataStore[] = []
  const site = async (): Promise<Site> => {
    const folder = await mkdtemp(join(tmpdir(), 'firn-metadata-'))
    folders.push(folder)
    const made = new Site(folder)
    stores.push(made.store)
    return made
  }
  afterEach(() => Promise.all(stores.splice(0).map((store) => store.close())))
  after(() => Promise.all(folders.map((folder) => rm(folder, { recursive: true }))))

  test('a study without instances', async () => {
    assert.equal(await (await site()).store.array(STUDY, () => true, ROOT), undefined)
  })

  test('instances in order, each root its own, and a growing study reads what is new', async () => {
    const it = await site()
    for (let number = 1; number <= 20; number++) it.addSmall(number)
    assert.deepEqual(
      (await it.metadata()).map(uidOf),
      it.records.map(({ sopInstanceUid }) => sopInstanceUid),
    )
    const before = it.reads
    it.addSmall(21)
    for (const root of [ROOT, 'https://other.example/dicom-web', ROOT]) {
      const metadata = await it.metadata(root)
      assert.equal(metadata.length, 21)
      const base = `${root}/studies/${STUDY}/series/1.2.3.4/instances/1.2.3.4.21/bulkdata`
      assert.equal(metadata[20]?.['7FE00010']?.BulkDataURI, `${base}/7FE00010`)
    }
    assert.equal(it.reads, before + 1)
    const some = await it.store.instances(STUDY, new Set(['1.2.3.4.7', '1.2.3.4.20']), ROOT)
    assert.deepEqual([...some.keys()], ['1.2.3.4.7', '1.2.3.4.20'])
  })

  test('an instance that can not be read fails the answer, and nothing is kept of it', async () => {
    const it = await site()
    for (let number = 1; number <= 9; number++) it.addSmall(number)
    it.unreadable.add('1.2.3.4.2')
    await assert.rejects(it.metadata(), (error) => isArchiveError(error, 'storage_failed'))
    it.unreadable.clear()
    assert.equal((await it.metadata()).length, 9)
  })

  test('an answer that nobody iterates, or leaves, holds no file open', async () => {
    const it = await site()
    for (let number = 1; number <= 3; number++) it.addSmall(number)
    await it.metadata()
    const before = await openFiles()
    for (let i = 0; i < 50; i++) {
      await it.store.array(STUDY, () => true, `${ROOT}${i}`)
      for await (const _ of (await it.store.array(STUDY, () => true, `${ROOT}${i}`)) ?? []) break
    }
    assert.ok((await openFiles()) <= before)
  })

  test('a file that is replaced before its array is iterated', async () => {
    const it = await site()
    for (let number = 1; number <= 3; number++) it.addSmall(number)
    const array = await it.store.array(STUDY, () => true, ROOT)
    it.addSmall(4)
    await it.store.study(STUDY)
    assert.ok(array)
    assert.equal((await parsed(array)).length, 4)
  })

  test('a header of half a million elements does not keep the event loop', async () => {
    const it = await site()
    it.add(
      Buffer.concat([dicomFile({ rows: 0, sopInstanceUid: '1.2.3.4.1' }), emptyElements(4 * 1024 * 1024)]),
      '1.2.3.4.1',
    )
    const delay = monitorEventLoopDelay({ resolution: 5 })
    delay.enable()
    const file = await it.store.study(STUDY)
    delay.disable()
    assert.ok((file?.entries[0]?.length ?? 0) > 1024 * 1024)
    assert.ok(delay.max / 1e6 < 1500, `${delay.max / 1e6} ms`)
  })
})

describe('Describer', () => {
  const request = (bytes: Buffer) => ({ bytes, whole: true, last: true, bulkDataRoot: ROOT })

  test('a thread that dies fails its job only, and the next ones get a new one', async () => {
    const describer = new Describer(24)
    const hostile = emptyElements(8 * 1024 * 1024)
    const file = dicomFile({})
    const jobs = [file, Buffer.concat([dicomFile({ rows: 0 }), hostile]), file, file, file, file].map((bytes) =>
      describer.describe(request(bytes)),
    )
    const outcomes = await Promise.allSettled(jobs)
    assert.deepEqual(
      outcomes.map(({ status }) => status),
      ['fulfilled', 'rejected', 'fulfilled', 'fulfilled', 'fulfilled', 'fulfilled'],
    )
    await describer.close()
    await assert.rejects(describer.describe(request(file)), (error) => isArchiveError(error, 'unavailable'))
  })

  test('what needs more of the file, and what is none', async () => {
    const describer = new Describer()
    const file = dicomFile({})
    const beginning = { ...request(file.subarray(0, 600)), whole: false, last: false }
    assert.equal(await describer.describe(beginning), undefined)
    await assert.rejects(describer.describe(request(Buffer.alloc(500))), (error) =>
      isArchiveError(error, 'storage_failed'),
    )
    await describer.close()
  })
})
