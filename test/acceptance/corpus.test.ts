import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import {
  dcmtkInstalled,
  dcmtkKnows,
  findscu,
  getscu,
  getscuOption,
  movescu,
  Storescp,
  storescu,
} from '../support/dcmtk.ts'
import { Association } from '../support/dimse.ts'
import { Firn } from '../support/firn.ts'
import { freePort, skipUnless } from '../support/host.ts'
import { archivable, dataSet, elements, type Part10, readPart10, sha256 } from '../support/part10.ts'
import { type DataSetJson, first, get, retrieve, searchAll, stow } from '../support/web.ts'

/** FIRN_CORPUS names a folder of real DICOM files: every one of them must be kept or refused as it deserves. */
const folder = process.env.FIRN_CORPUS
const skip = skipUnless(folder !== undefined, 'FIRN_CORPUS is not set')

/** A storage class that getscu 3.6.7 doesn't offer. */
const PARAMETRIC_MAP = '1.2.840.10008.5.1.4.1.1.30'

interface CorpusFile {
  path: string
  bytes: Buffer
  part10: Part10
}

function corpus(): CorpusFile[] {
  assert.ok(folder, 'FIRN_CORPUS names the folder of files')
  return readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .map((name) => join(folder, name))
    .filter((path) => path.endsWith('.dcm'))
    .sort()
    .map((path) => {
      const bytes = readFileSync(path)
      return { path, bytes, part10: readPart10(bytes) }
    })
}

/** Digests of all that an archive keeps: what it serves, and the other files of its conflicts. */
async function keptFiles(firn: Firn): Promise<Buffer[]> {
  const kept: Buffer[] = []
  for (const study of await searchAll(firn.dicomWeb, '/studies')) {
    kept.push(...(await retrieve(firn.dicomWeb, `/studies/${first(study, '0020000D')}`)))
  }
  for (const digest of await conflictDigests(firn)) {
    const answer = await get(`${firn.url}/api/v1/instances/by-digest/${digest}`)
    assert.equal(answer.status, 200, digest)
    assert.equal(sha256(answer.bytes), digest)
    kept.push(answer.bytes)
  }
  return kept
}

async function conflictDigests(firn: Firn): Promise<Set<string>> {
  const answer = await get(`${firn.url}/api/v1/conflicts?limit=1000`, 'application/json')
  assert.equal(answer.status, 200)
  return new Set(answer.bytes.toString().match(/\b[0-9a-f]{64}\b/g))
}

function unique(files: readonly Buffer[]): string[] {
  return [...new Set(files.map((file) => sha256(file)))].sort()
}

describe('the corpus', { skip }, () => {
  let files: CorpusFile[]
  let good: CorpusFile[]
  let firn: Firn
  let movePort: number
  before(async () => {
    files = corpus()
    good = files.filter((file) => archivable(file.part10))
    movePort = await freePort()
    const destinations = [{ aeTitle: 'MOVESCU', host: '127.0.0.1', port: movePort }]
    firn = await Firn.start({ config: { dimse: { destinations } } })
  })
  after(async () => {
    await firn?.kill()
  })

  it('by STOW: what has the four identifiers is accepted, the rest refused with a reason', async (t) => {
    const wrong: string[] = []
    for (const file of files) {
      const answer = await stow(firn.dicomWeb, [file.bytes])
      // 202: accepted with the warning that the instance was there with other content.
      const accepted = [200, 202].includes(answer.status) && answer.stored.length === 1 && answer.failed.length === 0
      const refused = answer.status === 409 && (answer.failed[0]?.reason ?? 0) > 0
      if (archivable(file.part10) ? !accepted : !refused) wrong.push(`${file.path}: ${answer.status}`)
    }
    t.diagnostic(`${good.length} of ${files.length} accepted`)
    assert.deepEqual(wrong, [])
  })

  it('comes back byte for byte, conflicting copies by their digest', async () => {
    const kept = new Set(unique(await keptFiles(firn)))
    const sent = new Set(good.map((file) => sha256(file.bytes)))
    const missing = good.filter((file) => !kept.has(sha256(file.bytes))).map((file) => file.path)
    assert.deepEqual(missing, [])
    assert.deepEqual(
      [...kept].filter((digest) => !sent.has(digest)),
      [],
    )
    const uids = new Set(good.map((file) => file.part10.sopInstanceUid))
    assert.equal((await searchAll(firn.dicomWeb, '/instances')).length, uids.size)
  })

  it('serves the first of conflicting files', async () => {
    const firsts = new Map<string, string>()
    for (const { part10, bytes } of good) {
      if (!firsts.has(part10.sopInstanceUid)) firsts.set(part10.sopInstanceUid, sha256(bytes))
    }
    for (const study of await searchAll(firn.dicomWeb, '/studies')) {
      for (const file of await retrieve(firn.dicomWeb, `/studies/${first(study, '0020000D')}`)) {
        assert.equal(sha256(file), firsts.get(readPart10(file).sopInstanceUid))
      }
    }
  })

  it('has metadata for every instance', async () => {
    for (const study of await searchAll(firn.dicomWeb, '/studies')) {
      const path = `/studies/${first(study, '0020000D')}/metadata`
      const answer = await get(firn.dicomWeb + path, 'application/dicom+json')
      assert.equal(answer.status, 200, path)
      const list = JSON.parse(answer.bytes.toString()) as DataSetJson[]
      assert.equal(list.length, Number(first(study, '00201208')), path)
      for (const item of list) assert.ok(first(item, '00080018') !== '', path)
    }
  })

  it('by C-STORE: the bytes of each data set are kept', async () => {
    const own = await Firn.start()
    try {
      const wrong: string[] = []
      for (const { part10, bytes, path } of good) {
        const { sopClassUid, sopInstanceUid, transferSyntaxUid } = part10
        const proposals = [{ sopClassUid, transferSyntaxUids: [transferSyntaxUid] }]
        const association = await Association.open(own.dimsePort, proposals)
        const status = await association.store(sopClassUid, sopInstanceUid, transferSyntaxUid, dataSet(bytes))
        if (status !== 0) wrong.push(`${path}: ${status.toString(16)}`)
        await association.release()
      }
      assert.deepEqual(wrong, [])
      const kept = await keptFiles(own)
      assert.deepEqual(unique(kept.map(dataSet)), unique(good.map((file) => dataSet(file.bytes))))
    } finally {
      await own.kill()
    }
  })

  const noDcmtk = skip || skipUnless(dcmtkInstalled, 'dcmtk is not installed')
  it("by dcmtk's storescu: the same data sets arrive as at dcmtk's own receiver", { skip: noDcmtk }, async (t) => {
    const reference = await Storescp.start()
    const own = await Firn.start()
    try {
      const toSend = good.map(({ path, part10 }) => ({ path, transferSyntaxUid: part10.transferSyntaxUid }))
      const there = await storescu(reference.port, toSend)
      const here = await storescu(own.dimsePort, toSend)
      t.diagnostic(`${here.sent} of ${good.length} sent; the reference receiver took ${there.sent}`)
      assert.ok(here.sent >= there.sent, here.output)
      const kept = new Set(unique((await keptFiles(own)).map(dataSet)))
      for (const file of reference.files()) assert.ok(kept.has(sha256(dataSet(file))), readPart10(file).sopInstanceUid)
    } finally {
      await reference.stop()
      await own.kill()
    }
  })

  it('findscu agrees with QIDO at every level', { skip: noDcmtk }, async () => {
    const studies = await searchAll(firn.dicomWeb, '/studies')
    const keys = { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: '', NumberOfStudyRelatedInstances: '', PatientID: '' }
    const row = (found: Map<string, string>) =>
      ['0020000D', '00201208', '00100020'].map((tag) => found.get(tag) ?? '').join('|')
    const wanted = studies.map((item) => ['0020000D', '00201208', '00100020'].map((tag) => first(item, tag)).join('|'))
    assert.deepEqual((await findscu(firn.dimsePort, keys)).map(row).sort(), wanted.sort())
    for (const study of studies) {
      const studyUid = first(study, '0020000D')
      const found = await findscu(firn.dimsePort, {
        QueryRetrieveLevel: 'SERIES',
        StudyInstanceUID: studyUid,
        SeriesInstanceUID: '',
      })
      const series = (await searchAll(firn.dicomWeb, `/studies/${studyUid}/series`)).map((item) =>
        first(item, '0020000E'),
      )
      assert.deepEqual(found.map((item) => item.get('0020000E') ?? '').sort(), series.sort(), studyUid)
      const of = { StudyInstanceUID: studyUid, SeriesInstanceUID: series[0] ?? '' }
      const images = await findscu(firn.dimsePort, { QueryRetrieveLevel: 'IMAGE', ...of, SOPInstanceUID: '' })
      const path = `/studies/${studyUid}/series/${series[0]}/instances`
      const instances = (await searchAll(firn.dicomWeb, path)).map((item) => first(item, '00080018'))
      assert.deepEqual(images.map((item) => item.get('00080018') ?? '').sort(), instances.sort(), path)
    }
  })

  it('movescu receives every instance as stored, as far as dcmtk knows its transfer syntax', {
    skip: noDcmtk,
  }, async () => {
    for (const study of await searchAll(firn.dicomWeb, '/studies')) {
      const studyUid = first(study, '0020000D')
      const stored = await retrieve(firn.dicomWeb, `/studies/${studyUid}`)
      const fit = stored.filter(movable)
      const moved = await movescu(firn.dimsePort, movePort, { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: studyUid })
      assert.deepEqual(unique(moved.files.map(dataSet)), unique(fit.map(dataSet)), `${studyUid}\n${moved.ended.stderr}`)
    }
  })

  it('getscu receives every instance that fits the syntax it prefers, unchanged', { skip: noDcmtk }, async () => {
    for (const study of await searchAll(firn.dicomWeb, '/studies')) {
      const studyUid = first(study, '0020000D')
      const stored = new Map(
        (await retrieve(firn.dicomWeb, `/studies/${studyUid}`)).map((file) => [readPart10(file).sopInstanceUid, file]),
      )
      const syntaxes = new Set([...stored.values()].map((file) => readPart10(file).transferSyntaxUid))
      for (const syntax of syntaxes) {
        const prefer = getscuOption(syntax)
        if (prefer === undefined) continue
        const got = await getscu(firn.dimsePort, prefer, { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: studyUid })
        const received = new Map(got.files.map((file) => [readPart10(file).sopInstanceUid, file]))
        for (const [uid, file] of stored) {
          const [mine, theirs] = [readPart10(file), received.get(uid)]
          if (mine.transferSyntaxUid === syntax && mine.sopClassUid !== PARAMETRIC_MAP && movable(file))
            assert.ok(theirs, `${uid} in ${syntax}\n${got.ended.stderr}`)
          if (theirs !== undefined) assertSameContent(file, theirs, uid)
        }
      }
    }
  })
})

/** dcmtk knows the transfer syntax, and the data set is not of odd length, which dcmtk refuses. */
function movable(file: Buffer): boolean {
  return dcmtkKnows(readPart10(file).transferSyntaxUid) && dataSet(file).length % 2 === 0
}

/** The same data set's bytes, or, where Firn re-encoded it for the peer, the same elements. */
function assertSameContent(mine: Buffer, theirs: Buffer, uid: string): void {
  if (readPart10(mine).transferSyntaxUid === readPart10(theirs).transferSyntaxUid) {
    assert.ok(dataSet(mine).equals(dataSet(theirs)), `${uid}: data set changed`)
    return
  }
  const [before, after] = [elements(mine), elements(theirs)]
  const tags = (found: Map<string, unknown>) => [...found.keys()].filter((tag) => !tag.endsWith('0000'))
  assert.deepEqual(tags(after), tags(before), `${uid}: elements changed`)
  for (const [tag, { vr, value }] of before) {
    // Group lengths and the inside of sequences depend on the encoding.
    if (!tag.endsWith('0000') && /^[A-Z]{2}$/.test(vr) && vr !== 'SQ' && vr !== 'UN')
      assert.ok(after.get(tag)?.value.equals(value), `${uid}: ${tag}`)
  }
}
