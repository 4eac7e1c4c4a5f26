/** Rejection (IHE IOCM) and correction (IHE PIR), as a client sees them: what is shown changes, what is kept never does. */
import assert from 'node:assert/strict'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { dcmtkInstalled, findscu, movescu, storescu } from '../support/dcmtk.ts'
import { Firn, firnCommand } from '../support/firn.ts'
import { freePort, skipUnless, tempDir } from '../support/host.ts'
import { type Instance, makeInstance } from '../support/instances.ts'
import { elements, sha256 } from '../support/part10.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import {
  type DataSetJson,
  first,
  get,
  instancePath,
  items,
  json,
  parts,
  retrieve,
  search,
  send,
  stow,
} from '../support/web.ts'

const random = new Random(newSeed())
const AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'
const KEY_OBJECT_SELECTION = '1.2.840.10008.5.1.4.1.1.88.59'

const isRecordInStore = (path: string): boolean => /.[/]records[/][0-9a-f]{64}[.]json$/.test(path)

function rejectionNote(code: string, rejected: readonly Instance[], scheme = 'DCM'): Instance {
  const [one] = rejected
  assert.ok(one)
  const series = [...new Set(rejected.map(({ seriesUid }) => seriesUid))].map((seriesUid) => ({
    '0020000E': ['UI', seriesUid] as const,
    '00081199': [
      'SQ',
      rejected
        .filter((instance) => instance.seriesUid === seriesUid)
        .map(({ sopClassUid, sopInstanceUid }) => ({
          '00081150': ['UI', sopClassUid] as const,
          '00081155': ['UI', sopInstanceUid] as const,
        })),
    ] as const,
  }))
  return makeInstance(random, {
    studyUid: one.studyUid,
    sopClassUid: KEY_OBJECT_SELECTION,
    modality: 'KO',
    rows: 0,
    attributes: {
      '0040A043': ['SQ', [{ '00080100': ['SH', code], '00080102': ['SH', scheme], '00080104': ['LO', 'title'] }]],
      '0040A375': ['SQ', [{ '0020000D': ['UI', one.studyUid], '00081115': ['SQ', series] }]],
    },
  })
}

describe(`rejection and correction (seed ${random.seed})`, () => {
  let firn: Firn
  let api: string
  let movePort: number

  before(async () => {
    movePort = await freePort()
    const destinations = [{ aeTitle: 'MOVESCU', host: '127.0.0.1', port: movePort }]
    firn = await Firn.start({ config: { corrections: { dicomwebDelete: 'hide' }, dimse: { destinations } } })
    api = `${firn.url}/api/v1`
  })
  after(() => firn?.kill())

  async function call(method: string, path: string, body?: object) {
    const init: RequestInit = { method }
    if (body) Object.assign(init, { headers: { 'content-type': 'application/json' }, body: JSON.stringify(body) })
    const answer = await send(api + path, init)
    return { status: answer.status, body: answer.bytes.length > 0 ? json<Record<string, unknown>>(answer) : {} }
  }

  async function ok(method: string, path: string, body?: object): Promise<Record<string, unknown>> {
    const answer = await call(method, path, body)
    assert.equal(answer.status, 200, JSON.stringify(answer.body))
    return answer.body
  }

  async function store(...instances: Instance[]): Promise<void> {
    for (const { file } of instances) assert.equal((await stow(firn.dicomWeb, [file])).status, 200)
  }

  async function cStore(...instances: Instance[]): Promise<void> {
    const folder = tempDir('send')
    const files = instances.map(({ file, sopInstanceUid, transferSyntaxUid }) => {
      const path = join(folder, `${sopInstanceUid}.dcm`)
      writeFileSync(path, file)
      return { path, transferSyntaxUid }
    })
    const { sent, output } = await storescu(firn.dimsePort, files)
    assert.equal(sent, files.length, output)
  }

  /** A study of two series with two instances each. */
  function study(options: Parameters<typeof makeInstance>[1] = {}): Instance[] {
    const studyUid = random.uid()
    const series = [random.uid(), random.uid()]
    return [0, 1, 2, 3].map((n) =>
      makeInstance(random, {
        studyUid,
        seriesUid: series[n >> 1] as string,
        modality: n < 2 ? 'CT' : 'MR',
        instanceNumber: n,
        ...options,
      }),
    )
  }

  const shown = (uid: string) => search(firn.dicomWeb, `/studies?StudyInstanceUID=${uid}`)
  const status = async (path: string) => (await get(firn.dicomWeb + path)).status

  async function counts(uid: string): Promise<string[]> {
    const [found] = await shown(uid)
    return [first(found, '00201206'), first(found, '00201208'), (found?.['00080061']?.Value ?? []).join()]
  }

  async function sameBytes(instances: readonly Instance[]): Promise<void> {
    for (const { file } of instances) {
      const kept = await get(`${api}/instances/by-digest/${sha256(file)}`)
      assert.equal(kept.status, 200)
      assert.ok(kept.bytes.equals(file), 'the bytes are as they came')
    }
  }

  it('hides a series and shows it again, with counts, ETag and change feed', async () => {
    const instances = study()
    await store(...instances)
    const { studyUid } = instances[0] as Instance
    const gone = (instances[2] as Instance).seriesUid
    const etag = async () => (await get(`${firn.dicomWeb}/studies/${studyUid}/metadata`)).headers.get('etag')
    const etags = [await etag()]
    const since = (json<{ next: number }>(await get(`${api}/changes?limit=10000`)).next ?? 0) as number
    const { rejection, instances: number } = await ok('POST', `/studies/${studyUid}/rejections`, {
      code: '113037',
      reason: 'wrong side',
      seriesUid: gone,
    })
    assert.equal(number, 2)
    assert.deepEqual(await counts(studyUid), ['1', '2', 'CT'])
    assert.equal((await search(firn.dicomWeb, `/studies/${studyUid}/series`)).length, 1)
    assert.equal((await search(firn.dicomWeb, `/studies/${studyUid}/instances`)).length, 2)
    assert.deepEqual(await search(firn.dicomWeb, `/studies?StudyInstanceUID=${studyUid}&ModalitiesInStudy=MR`), [])
    assert.equal(await status(instancePath(instances[2] as Instance)), 404)
    assert.equal(await status(`/studies/${studyUid}/series/${gone}/metadata`), 404)
    assert.equal(await status(`${instancePath(instances[3] as Instance)}/frames/1`), 404)
    assert.equal((await retrieve(firn.dicomWeb, `/studies/${studyUid}`)).length, 2)
    await sameBytes(instances)
    etags.push(await etag())
    const listed = (await ok('GET', `/studies/${studyUid}/rejections`)).rejections as Record<string, unknown>[]
    assert.deepEqual(
      listed.map(({ id, code, reason, instances: n, restored }) => [id, code, reason, n, restored]),
      [[rejection, '113037', 'wrong side', 2, 0]],
    )
    await ok('DELETE', `/studies/${studyUid}/rejections/${rejection}`)
    assert.deepEqual(await counts(studyUid), ['2', '4', 'CT,MR'])
    assert.equal((await retrieve(firn.dicomWeb, `/studies/${studyUid}`)).length, 4)
    etags.push(await etag())
    assert.equal(new Set(etags).size, 3, 'each state has an ETag of its own')
    const { changes } = json<{ changes: { kind: string }[] }>(await get(`${api}/changes?since=${since}`))
    assert.deepEqual(
      changes.map(({ kind }) => kind),
      ['instance_hidden', 'instance_hidden', 'instance_restored', 'instance_restored'],
    )
  })

  it('a study of which all is rejected is there for nobody, and what comes to it later is shown', async () => {
    const instances = study()
    const late = makeInstance(random, { studyUid: (instances[0] as Instance).studyUid })
    await store(...instances)
    const { studyUid } = instances[0] as Instance
    await ok('POST', `/studies/${studyUid}/rejections`, { code: '113038' })
    assert.deepEqual(await shown(studyUid), [])
    for (const path of ['', '/metadata', '/series', '/instances']) {
      const answer = await status(`/studies/${studyUid}${path}`)
      assert.ok(answer === 404 || answer === 204, `${path}: ${answer}`)
    }
    assert.equal((await call('POST', `/studies/${studyUid}/rejections`, { code: '113001' })).status, 404)
    // Sent again: taken in, and still hidden, as the profile wants it for this reason.
    await store(instances[0] as Instance)
    assert.deepEqual(await shown(studyUid), [])
    await store(late)
    assert.deepEqual(await counts(studyUid), ['1', '1', 'OT'])
    await sameBytes(instances)
  })

  it('what is sent again after "retention expired" is shown again; expired or not, nothing is freed', async () => {
    const instances = study()
    await store(...instances)
    const { studyUid } = instances[0] as Instance
    await ok('POST', `/studies/${studyUid}/rejections`, { code: '113039' })
    assert.deepEqual(await shown(studyUid), [])
    await sameBytes(instances)
    await store(instances[1] as Instance)
    assert.deepEqual(await counts(studyUid), ['1', '1', 'CT'])
  })

  it('DELETE of DICOMweb hides at each level, and what is sent again is back', async () => {
    const instances = study()
    await store(...instances)
    const { studyUid } = instances[0] as Instance
    const remove = async (path: string) => (await send(firn.dicomWeb + path, { method: 'DELETE' })).status
    assert.equal(await remove(instancePath(instances[0] as Instance)), 204)
    assert.deepEqual(await counts(studyUid), ['2', '3', 'CT,MR'])
    assert.equal(await remove(instancePath(instances[0] as Instance)), 404)
    assert.equal(await remove(`/studies/${studyUid}/series/${instances[2]?.seriesUid}`), 204)
    assert.deepEqual(await counts(studyUid), ['1', '1', 'CT'])
    assert.equal(await remove(`/studies/${studyUid}`), 204)
    assert.deepEqual(await shown(studyUid), [])
    await sameBytes(instances)
    await store(instances[0] as Instance)
    assert.deepEqual(await counts(studyUid), ['1', '1', 'CT'])
  })

  it('a rejection note hides what it names, itself too, also what comes after it', async () => {
    const instances = study()
    const [one, two, three, four] = instances as [Instance, Instance, Instance, Instance]
    await store(one, two, three)
    const note = rejectionNote('113001', [one, four])
    await store(note)
    assert.deepEqual(await counts(one.studyUid), ['2', '2', 'CT,MR'])
    await store(four)
    assert.deepEqual(await counts(one.studyUid), ['2', '2', 'CT,MR'])
    assert.equal(await status(instancePath(note)), 404)
    await sameBytes([...instances, note])
    const { rejections } = await ok('GET', `/studies/${one.studyUid}/rejections`)
    const [rejection] = rejections as { id: string; noteUid: string; instances: number }[]
    assert.deepEqual([rejection?.noteUid, rejection?.instances], [note.sopInstanceUid, 2])
    await store(note)
    assert.equal(((await ok('GET', `/studies/${one.studyUid}/rejections`)).rejections as unknown[]).length, 1)
    await ok('DELETE', `/studies/${one.studyUid}/rejections/${rejection?.id}`)
    assert.deepEqual(await counts(one.studyUid), ['3', '5', 'CT,KO,MR'])
  })

  it('a key object of another title, or of another study, hides nothing', async () => {
    const instances = study()
    const others = study()
    const [one] = instances as [Instance]
    await store(...instances, ...others)
    await store(rejectionNote('113000', instances), rejectionNote('113001', instances, '99OTHER'))
    assert.deepEqual(await counts(one.studyUid), ['4', '6', 'CT,KO,MR'])
    // It names instances of the other study as if they were of its own.
    const lie = rejectionNote(
      '113001',
      others.map((instance) => ({ ...instance, studyUid: one.studyUid })),
    )
    await store(lie)
    assert.deepEqual(await counts((others[0] as Instance).studyUid), ['2', '4', 'CT,MR'])
  })

  it('corrects attributes of a study and a series in QIDO and metadata; the files stay', async () => {
    const instances = study({ accessionNumber: 'WRONG-1' })
    await store(...instances)
    const [one, , three] = instances as [Instance, Instance, Instance]
    const path = `/studies/${one.studyUid}/corrections`
    await ok('POST', path, { attributes: { AccessionNumber: 'RIGHT-1', StudyDescription: 'Grünes Knie' }, reason: 'x' })
    await ok('POST', path, { attributes: { SeriesDescription: 'links' }, seriesUid: three.seriesUid })
    assert.deepEqual(
      await search(firn.dicomWeb, `/studies?StudyInstanceUID=${one.studyUid}&AccessionNumber=WRONG-1`),
      [],
    )
    const [found] = await search(firn.dicomWeb, '/studies?AccessionNumber=RIGHT-1&StudyDescription=grunes*')
    assert.equal(first(found, '0020000D'), one.studyUid)
    const [series] = await search(firn.dicomWeb, `/studies/${one.studyUid}/series?SeriesDescription=links`)
    assert.equal(first(series, '0020000E'), three.seriesUid)
    const metadata = json<DataSetJson[]>(await get(`${firn.dicomWeb}/studies/${one.studyUid}/metadata`))
    assert.equal(metadata.length, 4)
    for (const instance of metadata) {
      const inThree = first(instance, '0020000E') === three.seriesUid
      assert.equal(first(instance, '00080050'), 'RIGHT-1')
      assert.equal(first(instance, '0008103E'), inThree ? 'links' : '')
      const [original] = items(instance, '04000561')
      assert.ok(original)
      assert.equal(first(original, '04000563'), 'FIRN')
      assert.equal(first(items(original, '04000550')[0], '00080050'), 'WRONG-1')
    }
    await sameBytes(instances)
    assert.ok((await retrieve(firn.dicomWeb, instancePath(one)))[0]?.equals(one.file))
    const corrections = (await ok('GET', path)).corrections as { id: string; type: string }[]
    assert.deepEqual(
      corrections.map(({ type }) => type),
      ['series', 'study'],
    )
    await ok('DELETE', `/corrections/${corrections[1]?.id}`)
    assert.equal(
      (await search(firn.dicomWeb, `/studies?StudyInstanceUID=${one.studyUid}&AccessionNumber=WRONG-1`)).length,
      1,
    )
  })

  it('merges patients: found by both identifiers, shown with the surviving one', async () => {
    const [old, kept] = ['OLD', 'KEPT'].map((name) => `${name}-${random.uid().slice(-12)}`) as [string, string]
    const prior = study({ patientId: old, patientName: 'Meier^Old' })
    const surviving = study({ patientId: kept, patientName: 'Meyer^New' })
    await store(...prior, ...surviving)
    const { correction } = await ok('POST', '/patients/merges', {
      prior: { patientId: old },
      surviving: { patientId: kept },
      reason: 'registered twice',
    })
    for (const id of [old, kept]) {
      const found = await search(firn.dicomWeb, `/studies?PatientID=${id}`)
      assert.equal(found.length, 2, id)
      for (const one of found) {
        assert.equal(first(one, '00100020'), kept)
        assert.equal(first(one, '00100010'), 'Meyer^New')
      }
    }
    // One that comes later under the old identifier goes the same way.
    const late = makeInstance(random, { patientId: old, patientName: 'Meier^Old' })
    await store(late)
    assert.equal(first((await shown(late.studyUid))[0], '00100020'), kept)
    await ok('POST', `/patients/${kept}/corrections`, {
      attributes: { PatientName: 'Mayer^Right' },
    })
    assert.equal(first((await shown(late.studyUid))[0], '00100010'), 'Mayer^Right')
    assert.equal((await search(firn.dicomWeb, '/studies?PatientName=Mayer^Right')).length, 3)
    await ok('DELETE', `/corrections/${correction}?reason=two+people`)
    assert.equal((await search(firn.dicomWeb, `/studies?PatientID=${old}`)).length, 2)
    assert.equal(first((await shown(late.studyUid))[0], '00100010'), 'Meier^Old')
    assert.equal((await search(firn.dicomWeb, `/studies?PatientID=${kept}`)).length, 1)
    await sameBytes([...prior, ...surviving, late])
  })

  it('moves a study to its right patient, of whom nothing wrong is left', async () => {
    const [wrong, right] = ['WRONG', 'RIGHT'].map((name) => `${name}-${random.uid().slice(-12)}`) as [string, string]
    const moved = study({
      patientId: wrong,
      patientName: 'Wrong^Wanda',
      attributes: { '00101040': ['LO', 'Elsewhere 1'], '00101010': ['AS', '042Y'] },
    })
    await store(...moved)
    const [one] = moved as [Instance]
    const path = `/studies/${one.studyUid}/patient`
    assert.equal((await call('POST', path, { to: { patientId: right } })).status, 400)
    await ok('POST', path, { to: { patientId: right, issuer: 'HOSP' }, attributes: { PatientName: 'Right^Rita' } })
    assert.deepEqual(await search(firn.dicomWeb, `/studies?PatientID=${wrong}`), [])
    const [found] = await search(firn.dicomWeb, `/studies?PatientID=${right}&includefield=all`)
    assert.deepEqual([first(found, '00100010'), first(found, '00100021')], ['Right^Rita', 'HOSP'])
    assert.equal(first(found, '00101010'), '042Y')
    const [metadata] = json<DataSetJson[]>(await get(`${firn.dicomWeb}/studies/${one.studyUid}/metadata`))
    assert.equal(metadata?.['00101040'], undefined)
    assert.equal(first(items(items(metadata ?? {}, '04000561')[0] ?? {}, '04000550')[0], '00101040'), 'Elsewhere 1')
    const corrections = (await ok('GET', `/studies/${one.studyUid}/corrections`)).corrections as { type: string }[]
    assert.deepEqual(
      corrections.map(({ type }) => type),
      ['move'],
    )
    await sameBytes(moved)
  })

  const retrieveCorrected = (instance: Instance) =>
    get(`${firn.dicomWeb}${instancePath(instance)}?corrected=true`, 'application/dicom; transfer-syntax=*')

  for (const transferSyntax of ['explicitLittle', 'implicitLittle', 'jpegBaseline'] as const) {
    it(`gives a corrected version when asked, and says what was before (${transferSyntax})`, async () => {
      const before = { '04000561': ['SQ', [{ '04000565': ['CS', 'COERCE'] }]] } as const
      const [one, two] = study({
        transferSyntax,
        accessionNumber: 'BEFORE',
        undefinedLengths: transferSyntax !== 'explicitLittle',
        attributes: { '00080000': ['UL', 400], '00081140': ['SQ', [{ '00081150': ['UI', '1.2.3'] }]], ...before },
      }) as [Instance, Instance]
      await store(one, two)
      const untouched = await retrieveCorrected(one)
      assert.equal(untouched.headers.get('firn-corrected'), 'false')
      assert.ok(untouched.bytes.equals(one.file))
      const attributes = { AccessionNumber: 'AFTER', StudyDescription: 'Schädel', StudyID: null }
      await ok('POST', `/studies/${one.studyUid}/corrections`, { attributes })
      const answer = await retrieveCorrected(one)
      assert.equal(answer.status, 200, answer.bytes.toString())
      assert.equal(answer.headers.get('firn-corrected'), 'true')
      assert.match(answer.headers.get('content-type') ?? '', /firn-corrected=true/)
      const [was, is] = [elements(one.file), elements(answer.bytes)]
      assert.equal(is.get('00080050')?.value?.toString().trim(), 'AFTER')
      assert.equal(is.get('00081030')?.value?.toString('utf8').trim(), 'Schädel')
      assert.equal(is.get('00080005')?.value?.toString().trim(), 'ISO_IR 192')
      assert.equal(is.get('00200010')?.value?.length, 0)
      const changed = new Set(['00080000', '00080005', '00080050', '00081030', '00200010', '04000561'])
      for (const [tag, element] of was) {
        if (!changed.has(tag)) assert.deepEqual(is.get(tag)?.value, element.value, tag)
      }
      // Stored as an instance of its own elsewhere, it tells all of that to another reader.
      const reader = await Firn.start()
      try {
        assert.equal((await stow(reader.dicomWeb, [answer.bytes])).status, 200)
        const [header] = json<DataSetJson[]>(await get(`${reader.dicomWeb}${instancePath(one)}/metadata`))
        const [coerced, corrected, more] = items(header ?? {}, '04000561')
        assert.equal(first(coerced, '04000565'), 'COERCE')
        assert.equal(more, undefined)
        assert.deepEqual([first(corrected, '04000563'), first(corrected, '04000565')], ['FIRN', 'CORRECT'])
        const [modified] = items(corrected ?? {}, '04000550')
        assert.deepEqual([first(modified, '00080050'), first(modified, '00081030')], ['BEFORE', 'Synthetic study'])
        assert.ok(first(modified, '00200010') !== '')
        const frames = await get(`${reader.dicomWeb}${instancePath(one)}/frames/1`)
        const own = await get(`${firn.dicomWeb}${instancePath(one)}/frames/1`)
        assert.deepEqual(frames.bytes.length, own.bytes.length)
      } finally {
        await reader.kill()
      }
      const all = parts(await get(`${firn.dicomWeb}/studies/${one.studyUid}?corrected=true`, AS_STORED))
      assert.equal(all.length, 2)
      assert.ok(all.some(({ body }) => body.equals(answer.bytes)))
      // Without being asked for it nobody gets it.
      assert.ok((await retrieve(firn.dicomWeb, instancePath(one)))[0]?.equals(one.file))
      await sameBytes([one, two])
    })
  }

  for (const options of [
    { transferSyntax: 'deflated' },
    { transferSyntax: 'explicitBig' },
    { characterSet: 'ISO_IR 144' },
    { patientName: Buffer.from('M\xfcller', 'latin1') },
  ] as const) {
    it(`answers 406 where no corrected version can be made (${JSON.stringify(options).slice(0, 40)})`, async () => {
      const [one] = study({ ...options }) as [Instance]
      await store(one)
      await ok('POST', `/studies/${one.studyUid}/corrections`, { attributes: { StudyDescription: 'Schädel' } })
      assert.equal((await retrieveCorrected(one)).status, 406)
      const multipart = await get(`${firn.dicomWeb}/studies/${one.studyUid}?corrected=true`, AS_STORED)
      assert.equal(multipart.status, 406)
      assert.equal(first((await shown(one.studyUid))[0], '00081030'), 'Schädel')
    })
  }

  it('refuses what it should, in words', async () => {
    const [one] = study() as [Instance]
    await store(one)
    const reject = (body: object) => call('POST', `/studies/${one.studyUid}/rejections`, body)
    assert.equal((await reject({ code: '113002' })).status, 400)
    assert.equal((await reject({ code: '113001', sopInstanceUids: [random.uid()] })).status, 404)
    assert.equal((await reject({ code: '113001', surprise: 1 })).status, 400)
    const correct = (attributes: object) => call('POST', `/studies/${one.studyUid}/corrections`, { attributes })
    for (const attributes of [
      {},
      { StudyInstanceUID: '1.2.3' },
      { PatientID: 'X' },
      { StudyDate: '20241350' },
      { AccessionNumber: 'longer than sixteen' },
      { StudyDescription: 'a\\b' },
      { Nonsense: 'x' },
    ]) {
      assert.equal((await correct(attributes)).status, 400, JSON.stringify(attributes))
    }
    assert.equal((await call('DELETE', '/corrections/nothing')).status, 404)
    assert.equal(
      (await call('POST', `/studies/${random.uid()}/corrections`, { attributes: { StudyID: '1' } })).status,
      404,
    )
    const same = { patientId: 'A' }
    assert.equal((await call('POST', '/patients/merges', { prior: same, surviving: same })).status, 400)
  })

  it('no name of a patient gets into the event log', () => {
    const folder = join(firn.dataDir, 'events')
    const log = readdirSync(folder)
      .map((name) => readFileSync(join(folder, name), 'utf8'))
      .join('')
    assert.match(log, /correction[.]made/)
    assert.doesNotMatch(log, /Mayer|Meier|Right\^Rita|Grünes/)
  })

  it('dcmtk agrees with QIDO after a rejection and a correction', {
    skip: skipUnless(dcmtkInstalled, 'dcmtk is not installed'),
  }, async () => {
    const patientId = `D-${random.uid().slice(-12)}`
    const instances = study({ patientId })
    const [one, two] = instances as [Instance, Instance]
    await cStore(...instances)
    await cStore(rejectionNote('113037', [one]))
    await ok('POST', `/studies/${one.studyUid}/corrections`, { attributes: { AccessionNumber: 'DCMTK-1' } })
    await ok('POST', `/patients/${patientId}/corrections`, { attributes: { PatientName: 'Dcmtk^Right' } })
    const found = await findscu(firn.dimsePort, {
      QueryRetrieveLevel: 'STUDY',
      AccessionNumber: 'DCMTK-1',
      StudyInstanceUID: '',
      PatientName: '',
      NumberOfStudyRelatedInstances: '',
    })
    assert.deepEqual(
      found.map((each) => ['0020000D', '00100010', '00201208'].map((tag) => each.get(tag))),
      [[one.studyUid, 'Dcmtk^Right', '3']],
    )
    const [web] = await shown(one.studyUid)
    assert.deepEqual([first(web, '00100010'), first(web, '00201208')], ['Dcmtk^Right', '3'])
    const listed = await findscu(firn.dimsePort, {
      QueryRetrieveLevel: 'IMAGE',
      StudyInstanceUID: one.studyUid,
      SeriesInstanceUID: one.seriesUid,
      SOPInstanceUID: '',
    })
    assert.deepEqual(
      listed.map((each) => each.get('00080018')),
      [two.sopInstanceUid],
    )
    const study1 = { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: one.studyUid }
    const moved = await movescu(firn.dimsePort, movePort, study1)
    assert.equal(moved.files.length, 3)
  })

  it('all of it is there after a restart and after a rebuild from storage and event log', async () => {
    const all = async () => {
      const studies = await search(firn.dicomWeb, '/studies?limit=1000&includefield=all')
      const series = await search(firn.dicomWeb, '/series?limit=1000')
      return [studies, series].map((list) => list.map((one) => JSON.stringify(one)).sort())
    }
    const before = await all()
    // The store has the records too, so the data folder's may be lost.
    const inStore = () => readdirSync(firn.dataDir, { recursive: true }).filter((name) => isRecordInStore(String(name)))
    const here = readdirSync(join(firn.dataDir, 'records'), { recursive: true }).filter((n) => /json$/.test(String(n)))
    await until('the records are on the store', () => inStore().length === here.length, 20_000)
    await firn.stop()
    const copy = join(tempDir('copy'), 'data')
    cpSync(firn.dataDir, copy, { recursive: true })
    rmSync(join(copy, 'records'), { recursive: true })
    const rebuilt = await firnCommand(['rebuild', '--data', copy])
    assert.equal(rebuilt.code, 0, rebuilt.stderr)
    await firn.start()
    assert.deepEqual(await all(), before)
    await firn.stop()
    const other = await Firn.start({ dataDir: copy })
    try {
      const [studies, series] = before
      const answers = [
        await search(other.dicomWeb, '/studies?limit=1000&includefield=all'),
        await search(other.dicomWeb, '/series?limit=1000'),
      ].map((list) => list.map((one) => JSON.stringify(one).replaceAll(other.url, firn.url)).sort())
      assert.deepEqual(answers, [studies, series])
    } finally {
      await other.kill()
    }
    await firn.start()
  })
})

describe('a purge after a rejection', () => {
  it('finds nothing to free: every byte is there, whatever is sealed and retired meanwhile', async () => {
    const firn = await Firn.start({ config: { sealing: { quietSeconds: 1, landingSeconds: 1 } } })
    try {
      const instances = [1, 2, 3].map((n) => makeInstance(random, { studyUid: '1.2.3.4.5.6', instanceNumber: n }))
      for (const { file } of instances) assert.equal((await stow(firn.dicomWeb, [file])).status, 200)
      const rejected = await send(`${firn.url}/api/v1/studies/1.2.3.4.5.6/rejections`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify({ code: '113001', reason: 'quality' }),
      })
      assert.equal(rejected.status, 200)
      // Nothing of the API purges; sealing, scrubbing and DELETE are all that could come near.
      const seal = await send(`${firn.url}/api/v1/studies/1.2.3.4.5.6/seal`, { method: 'POST' })
      assert.equal(seal.status, 200)
      assert.equal((await send(`${firn.url}/api/v1/scrub`, { method: 'POST' })).status, 200)
      assert.equal((await send(`${firn.dicomWeb}/studies/1.2.3.4.5.6`, { method: 'DELETE' })).status, 405)
      const packs = json<{ packs: { instances: number }[] }>(await get(`${firn.url}/api/v1/packs?studyUid=1.2.3.4.5.6`))
      assert.equal(
        packs.packs.reduce((sum, pack) => sum + pack.instances, 0),
        3,
        'what is hidden is sealed like anything else',
      )
      for (const { file } of instances) {
        const kept = await get(`${firn.url}/api/v1/instances/by-digest/${sha256(file)}`)
        assert.ok(kept.bytes.equals(file))
      }
      assert.equal((await send(`${firn.dicomWeb}/studies/1.2.3.4.5.6`)).status, 404)
    } finally {
      await firn.kill()
    }
  })
})
