import assert from 'node:assert/strict'
import { join } from 'node:path'
import { afterEach, describe, test } from 'node:test'
import { dicomFile, identifiers } from '../../test/fixtures/dicom.ts'
import { inChunks, landingIn, openSite, openSqlite, sha256 } from '../../test/property/core.ts'
import { tempDir } from '../../test/support/host.ts'
import { until } from '../../test/support/until.ts'
import { ArchiveError, isArchiveError } from '../errors.ts'
import { SYSTEM } from '../events/event.ts'
import { EventLog } from '../events/log.ts'
import { Imports } from './imports.ts'
import type { FoundStudy, ImportSource } from './ports.ts'
import { ReadThrough } from './through.ts'

const STUDIES = 4
const START = { listOnly: false, again: false }
const studyUid = (n: number) => `1.2.840.97.${n}`
const options = (n: number) => ({ seed: `import/${n}`, studyUid: studyUid(n), rows: 0 })
const file = (n: number) => dicomFile(options(n))

const closing: (() => Promise<void>)[] = []
afterEach(async () => {
  for (const close of closing.splice(0)) await close()
})

/** An old archive whose misbehaviour the tests choose. */
class Fake implements ImportSource {
  readonly type = 'dicomweb'
  readonly address = 'old'
  fetched: string[] = []
  asked = 0
  failures = 0
  listed: Promise<void> = Promise.resolve()
  gate: Promise<void> = Promise.resolve()
  lies = false
  missing = false

  async *list() {
    await this.listed
    const studies = Array.from({ length: STUDIES }, (_, n) => this.#found(n))
    yield { studies, cursor: 'end' }
  }

  async contents(uid: string) {
    return new Set([identifiers(options(numberOf(uid))).sopInstanceUid, ...(this.missing ? ['1.2.3.missing'] : [])])
  }

  async *fetch(uid: string, signal: AbortSignal) {
    this.fetched.push(uid)
    const stopped = new Promise((_, reject) => signal.addEventListener('abort', () => reject(signal.reason)))
    await Promise.race([this.gate, stopped])
    if (this.failures > 0) {
      this.failures -= 1
      throw new ArchiveError('unavailable', 'away')
    }
    yield { name: uid, body: inChunks(file(numberOf(uid))) }
  }

  async again({ studyUid: uid }: { studyUid: string }) {
    return sha256(this.lies ? Buffer.from('other bytes') : file(numberOf(uid)))
  }

  async find({ studyUid: uid }: { studyUid?: string }): Promise<FoundStudy[]> {
    this.asked += 1
    const n = numberOf(uid ?? '')
    return n >= 0 && n < STUDIES ? [this.#found(n)] : []
  }

  #found(n: number): FoundStudy {
    return { studyUid: studyUid(n), patientId: 'P', attributes: {}, instances: 1 }
  }
}

const numberOf = (uid: string): number => (uid.startsWith('1.2.840.97.') ? Number(uid.split('.').at(-1)) : -1)

async function open(source: Fake, readThroughMs = 10_000) {
  const dir = tempDir('imports')
  const catalogue = await openSqlite(dir)
  const { landing, receiver, ledger, instances } = await openSite(landingIn(dir), catalogue)
  const events = await EventLog.open({ folder: join(dir, 'events'), site: 'test', generation: 'one' })
  const warn = (): void => undefined
  const imports = new Imports({
    definitions: [{ name: 'old', type: 'dicomweb', source: () => source, parallel: 1, verify: 0, readThroughMs }],
    records: catalogue.imports,
    receive: receiver,
    catalogue,
    isIntact: (stored) => instances.isIntact(stored),
    events,
    warn,
  })
  const through = new ReadThrough({ running: () => imports.running, records: catalogue.imports, catalogue, warn })
  closing.push(async () => {
    await imports.close()
    ledger.close()
    await landing.close()
    await ledger.idle()
    await events.close()
    await catalogue.close()
  })
  const ended = () => until('the end', async () => (await imports.status('old')).state !== 'running', 20_000)
  return { imports, through, catalogue, ended }
}

const forEver = new Promise<void>(() => undefined)
const isUnavailable = (error: unknown) => isArchiveError(error, 'unavailable')

describe('an import', () => {
  test('tries again what its source could not give, and ends with all of it', async () => {
    const source = new Fake()
    source.failures = 2
    const { imports, ended } = await open(source)
    await imports.start('old', START, SYSTEM)
    await ended()
    const { state, totals } = await imports.status('old')
    assert.deepEqual(
      [state, totals.done, totals.failed, totals.here, totals.findings],
      ['done', STUDIES, 0, STUDIES, 0],
    )
    assert.equal(source.fetched.length, STUDIES + 2)
  })

  test('reports what differs when it is read twice, and what is listed and does not come', async () => {
    const source = new Fake()
    source.lies = source.missing = true
    const { imports, ended } = await open(source)
    await imports.start('old', { ...START, verify: 1 }, SYSTEM)
    await ended()
    const { totals } = await imports.status('old')
    assert.deepEqual([totals.verified, totals.differing, totals.missing], [STUDIES, STUDIES, STUDIES])
    const kinds = (await imports.findings('old', { after: 0, limit: 100 })).map(({ kind }) => kind)
    assert.deepEqual(kinds.filter((kind) => kind === 'differs').length, STUDIES)
    assert.deepEqual(kinds.filter((kind) => kind === 'missing').length, STUDIES)
  })

  test('that is not configured is not found', async () => {
    const { imports } = await open(new Fake())
    await assert.rejects(imports.start('other', START, SYSTEM), (error) => isArchiveError(error, 'not_found'))
  })
})

describe('reading through to the old archive', () => {
  test('brings a study once, however many ask, before it was listed too; what the source lacks is asked for once', async () => {
    const source = new Fake()
    source.listed = forEver
    const { imports, through, catalogue } = await open(source)
    await through.bring(studyUid(3))
    assert.equal(source.asked, 0, 'no import runs')
    await imports.start('old', START, SYSTEM)
    await Promise.all([1, 2, 3, 4].map(() => through.bring(studyUid(3))))
    assert.deepEqual(source.fetched, [studyUid(3)])
    assert.ok(await catalogue.studyVersion(studyUid(3)))
    await through.bring(studyUid(3))
    assert.deepEqual(source.fetched, [studyUid(3)])
    const before = source.asked
    for (let n = 0; n < 5; n += 1) await through.bring('1.2.3.unknown')
    assert.equal(source.asked, before + 1)
    assert.deepEqual(await through.find({ studyUid: studyUid(3) }), [], 'it is here')
    assert.equal((await through.find({ studyUid: studyUid(2) })).length, 1)
  })

  test('that takes too long says so', async () => {
    const source = new Fake()
    source.listed = source.gate = forEver
    const { imports, through } = await open(source, 50)
    await imports.start('old', START, SYSTEM)
    await assert.rejects(through.bring(studyUid(1)), isUnavailable)
  })

  test('that fails says so, and succeeds when it is asked for again', async () => {
    const source = new Fake()
    source.listed = forEver
    source.failures = 1
    const { imports, through, catalogue } = await open(source)
    await imports.start('old', START, SYSTEM)
    await assert.rejects(through.bring(studyUid(2)), isUnavailable)
    await through.bring(studyUid(2))
    assert.ok(await catalogue.studyVersion(studyUid(2)))
  })
})
