/** Rejection (IHE IOCM) and correction (IHE PIR), as a client sees them: what is shown changes, what is kept never does. */
import assert from 'node:assert/strict'
import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { dcmtkInstalled, findscu, movescu, storescu } from '../support/dcmtk.ts'
import { Firn, firnCommand } from '../support/firn.ts'
import { freePort, skipUnless, tempDir } from '../support/host.ts'
import { type Instance, makeInstance } from '../support/instances.ts'
import { Officer } from '../support/officer.ts'
import { newSeed, Random } from '../support/random.ts'
import { rejectionNote } from '../support/rejection-note.ts'
import { until } from '../support/until.ts'
import { type DataSetJson, first, get, instancePath, items, json, retrieve, search } from '../support/web.ts'

const random = new Random(newSeed())

const isRecordInStore = (path: string): boolean => /.[/]records[/][0-9a-f]{64}[.]json$/.test(path)

describe(`rejection and correction (seed ${random.seed})`, () => {
  let firn: Firn
  let officer: Officer
  let movePort: number

  before(async () => {
    movePort = await freePort()
    const destinations = [{ aeTitle: 'MOVESCU', host: '127.0.0.1', port: movePort }]
    firn = await Firn.start({ config: { corrections: { dicomwebDelete: 'hide' }, dimse: { destinations } } })
    officer = new Officer(firn, random)
  })
  after(() => firn?.kill())

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

  const shown = (uid: string) => search(firn.dicomWeb, `/studies?StudyInstanceUID=${uid}`)

  it('corrects attributes of a study and a series in QIDO and metadata; the files stay', async () => {
    const instances = officer.study({ accessionNumber: 'WRONG-1' })
    await officer.store(...instances)
    const [one, , three] = instances as [Instance, Instance, Instance]
    const path = `/studies/${one.studyUid}/corrections`
    await officer.ok('POST', path, {
      attributes: { AccessionNumber: 'RIGHT-1', StudyDescription: 'Grünes Knie' },
      reason: 'x',
    })
    await officer.ok('POST', path, { attributes: { SeriesDescription: 'links' }, seriesUid: three.seriesUid })
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
    await officer.sameBytes(instances)
    assert.ok((await retrieve(firn.dicomWeb, instancePath(one)))[0]?.equals(one.file))
    const corrections = (await officer.ok('GET', path)).corrections as { id: string; type: string }[]
    assert.deepEqual(
      corrections.map(({ type }) => type),
      ['series', 'study'],
    )
    await officer.ok('DELETE', `/corrections/${corrections[1]?.id}`)
    assert.equal(
      (await search(firn.dicomWeb, `/studies?StudyInstanceUID=${one.studyUid}&AccessionNumber=WRONG-1`)).length,
      1,
    )
  })

  it('merges patients: found by both identifiers, shown with the surviving one', async () => {
    const [old, kept] = ['OLD', 'KEPT'].map((name) => `${name}-${random.uid().slice(-12)}`) as [string, string]
    const prior = officer.study({ patientId: old, patientName: 'Meier^Old' })
    const surviving = officer.study({ patientId: kept, patientName: 'Meyer^New' })
    await officer.store(...prior, ...surviving)
    const { correction } = await officer.ok('POST', '/patients/merges', {
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
    await officer.store(late)
    assert.equal(first((await shown(late.studyUid))[0], '00100020'), kept)
    await officer.ok('POST', `/patients/${kept}/corrections`, {
      attributes: { PatientName: 'Mayer^Right' },
    })
    assert.equal(first((await shown(late.studyUid))[0], '00100010'), 'Mayer^Right')
    assert.equal((await search(firn.dicomWeb, '/studies?PatientName=Mayer^Right')).length, 3)
    await officer.ok('DELETE', `/corrections/${correction}?reason=two+people`)
    assert.equal((await search(firn.dicomWeb, `/studies?PatientID=${old}`)).length, 2)
    assert.equal(first((await shown(late.studyUid))[0], '00100010'), 'Meier^Old')
    assert.equal((await search(firn.dicomWeb, `/studies?PatientID=${kept}`)).length, 1)
    await officer.sameBytes([...prior, ...surviving, late])
  })

  it('moves a study to its right patient, of whom nothing wrong is left', async () => {
    const [wrong, right] = ['WRONG', 'RIGHT'].map((name) => `${name}-${random.uid().slice(-12)}`) as [string, string]
    const moved = officer.study({
      patientId: wrong,
      patientName: 'Wrong^Wanda',
      attributes: { '00101040': ['LO', 'Elsewhere 1'], '00101010': ['AS', '042Y'] },
    })
    await officer.store(...moved)
    const [one] = moved as [Instance]
    const path = `/studies/${one.studyUid}/patient`
    assert.equal((await officer.call('POST', path, { to: { patientId: right } })).status, 400)
    await officer.ok('POST', path, {
      to: { patientId: right, issuer: 'HOSP' },
      attributes: { PatientName: 'Right^Rita' },
    })
    assert.deepEqual(await search(firn.dicomWeb, `/studies?PatientID=${wrong}`), [])
    const [found] = await search(firn.dicomWeb, `/studies?PatientID=${right}&includefield=all`)
    assert.deepEqual([first(found, '00100010'), first(found, '00100021')], ['Right^Rita', 'HOSP'])
    assert.equal(first(found, '00101010'), '042Y')
    const [metadata] = json<DataSetJson[]>(await get(`${firn.dicomWeb}/studies/${one.studyUid}/metadata`))
    assert.equal(metadata?.['00101040'], undefined)
    assert.equal(first(items(items(metadata ?? {}, '04000561')[0] ?? {}, '04000550')[0], '00101040'), 'Elsewhere 1')
    const corrections = (await officer.ok('GET', `/studies/${one.studyUid}/corrections`)).corrections as {
      type: string
    }[]
    assert.deepEqual(
      corrections.map(({ type }) => type),
      ['move'],
    )
    await officer.sameBytes(moved)
  })

  it('refuses what it should, in words', async () => {
    const [one] = officer.study() as [Instance]
    await officer.store(one)
    const reject = (body: object) => officer.call('POST', `/studies/${one.studyUid}/rejections`, body)
    assert.equal((await reject({ code: '113002' })).status, 400)
    assert.equal((await reject({ code: '113001', sopInstanceUids: [random.uid()] })).status, 404)
    assert.equal((await reject({ code: '113001', surprise: 1 })).status, 400)
    const correct = (attributes: object) => officer.call('POST', `/studies/${one.studyUid}/corrections`, { attributes })
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
    assert.equal((await officer.call('DELETE', '/corrections/nothing')).status, 404)
    assert.equal(
      (await officer.call('POST', `/studies/${random.uid()}/corrections`, { attributes: { StudyID: '1' } })).status,
      404,
    )
    const same = { patientId: 'A' }
    assert.equal((await officer.call('POST', '/patients/merges', { prior: same, surviving: same })).status, 400)
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
    const instances = officer.study({ patientId })
    const [one, two] = instances as [Instance, Instance]
    await cStore(...instances)
    await cStore(rejectionNote(random, '113037', [one]))
    await officer.ok('POST', `/studies/${one.studyUid}/corrections`, { attributes: { AccessionNumber: 'DCMTK-1' } })
    await officer.ok('POST', `/patients/${patientId}/corrections`, { attributes: { PatientName: 'Dcmtk^Right' } })
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
