import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { fileURLToPath } from 'node:url'
import type { TransferSyntax } from '../fixtures/dicom.ts'
import { Firn } from '../support/firn.ts'
import { freePort, installed, run, skipUnless, tempDir } from '../support/host.ts'
import { type Instance, makeInstance } from '../support/instances.ts'
import { dataSet, readPart10, sha256 } from '../support/part10.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { first, retrieve, search, send, stow } from '../support/web.ts'

const PEER = fileURLToPath(new URL('../peers/orthanc.sh', import.meta.url))
const present = installed('Orthanc') || existsSync('/usr/sbin/Orthanc')
const random = new Random(newSeed())

/** Orthanc as the PACS beside Firn, spoken to by its REST API. */
class Orthanc {
  readonly url: string
  readonly #dir = tempDir('orthanc')

  constructor(port: number) {
    this.url = `http://127.0.0.1:${port}`
  }

  async start(firn: Firn, httpPort: number, dimsePort: number): Promise<void> {
    const env = { FIRN_URL: `${firn.dicomWeb}/`, FIRN_DIMSE: `127.0.0.1:${firn.dimsePort}` }
    const started = await run('bash', [PEER, 'start', this.#dir, String(httpPort), String(dimsePort)], { env })
    assert.equal(started.code, 0, started.stderr)
    process.once('exit', () => this.stop())
  }

  stop(): void {
    spawnSync('bash', [PEER, 'stop', this.#dir])
  }

  async post<T>(path: string, body: unknown): Promise<T> {
    const answer = await send(this.url + path, {
      method: 'POST',
      body: Buffer.isBuffer(body) ? body : JSON.stringify(body),
    })
    assert.equal(answer.status, 200, `${path}: ${answer.status} ${answer.bytes.toString().slice(0, 500)}`)
    return JSON.parse(answer.bytes.toString()) as T
  }

  async get<T>(path: string): Promise<T> {
    return JSON.parse((await send(this.url + path)).bytes.toString()) as T
  }

  /** Stores the instances in Orthanc itself and returns its IDs of them. */
  async upload(instances: readonly Instance[]): Promise<string[]> {
    const ids: string[] = []
    for (const instance of instances) ids.push((await this.post<{ ID: string }>('/instances', instance.file)).ID)
    return ids
  }

  async files(): Promise<Buffer[]> {
    const files: Buffer[] = []
    for (const id of await this.get<string[]>('/instances'))
      files.push((await send(`${this.url}/instances/${id}/file`)).bytes)
    return files
  }

  async empty(): Promise<void> {
    for (const id of await this.get<string[]>('/patients'))
      await send(`${this.url}/patients/${id}`, { method: 'DELETE' })
    assert.deepEqual(await this.get<string[]>('/instances'), [])
  }
}

function digests(files: readonly Buffer[]): string[] {
  return files.map((file) => sha256(file)).sort()
}

const SYNTAXES: readonly TransferSyntax[] = [
  'explicitLittle',
  'implicitLittle',
  'jpegBaseline',
  'jpegLossless',
  'jpeg2000Lossless',
  'rle',
]

/** A study of one instance in each transfer syntax, in two series. */
function makeStudy(): Instance[] {
  const studyUid = random.uid()
  const series = [random.uid(), random.uid()] as const
  return SYNTAXES.map((transferSyntax, n) =>
    makeInstance(random, {
      studyUid,
      seriesUid: series[n % 2 === 0 ? 0 : 1],
      transferSyntax,
      instanceNumber: n + 1,
      frameBytes: 20_000,
    }),
  )
}

describe(`Orthanc (seed ${random.seed})`, { skip: skipUnless(present, 'Orthanc is not installed') }, () => {
  let firn: Firn
  let orthanc: Orthanc
  before(async () => {
    const [httpPort, dimsePort] = [await freePort(), await freePort()]
    const destinations = [{ aeTitle: 'ORTHANC', host: '127.0.0.1', port: dimsePort }]
    firn = await Firn.start({ config: { dimse: { destinations }, commitment: { patienceSeconds: 2 } } })
    orthanc = new Orthanc(httpPort)
    await orthanc.start(firn, httpPort, dimsePort)
  })
  after(async () => {
    orthanc?.stop()
    await firn?.kill()
  })
  const studyOf = (study: readonly Instance[]) => study[0]?.studyUid ?? ''

  it('sends a study by DICOMweb, and Firn holds the same bytes', async () => {
    const study = makeStudy()
    const ids = await orthanc.upload(study)
    const answer = await orthanc.post<{ RemoteFailures?: unknown[] }>('/dicom-web/servers/firn/stow', {
      Resources: ids,
      Synchronous: true,
    })
    assert.deepEqual(answer.RemoteFailures ?? [], [])
    const got = await retrieve(firn.dicomWeb, `/studies/${studyOf(study)}`)
    assert.deepEqual(digests(got), digests(study.map((one) => one.file)))
    await orthanc.empty()
  })

  it('sends a study by C-STORE, and Firn holds the same data sets', async () => {
    const study = makeStudy()
    const ids = await orthanc.upload(study)
    const answer = await orthanc.post<{ FailedInstancesCount: number }>('/modalities/firn/store', {
      Resources: ids,
      Synchronous: true,
    })
    assert.equal(answer.FailedInstancesCount, 0)
    const got = await retrieve(firn.dicomWeb, `/studies/${studyOf(study)}`)
    assert.deepEqual(digests(got.map(dataSet)), digests(study.map((one) => one.dataSet)))
    for (const file of got) {
      const sent = study.find((one) => one.sopInstanceUid === readPart10(file).sopInstanceUid)
      assert.equal(readPart10(file).transferSyntaxUid, sent?.transferSyntaxUid)
    }
    await orthanc.empty()
  })

  it('asks for commitment of what it has sent, and is told on an association of its own', async () => {
    interface Outcome {
      Status: string
      RemoteAET: string
      Success: { SOPInstanceUID: string }[]
      Failures: { SOPInstanceUID: string; FailureReason: number }[]
    }
    const study = makeStudy()
    const ids = await orthanc.upload(study)
    await orthanc.post('/modalities/firn/store', { Resources: ids, Synchronous: true })
    const ask = async (body: object): Promise<Outcome> => {
      const { ID } = await orthanc.post<{ ID: string }>('/modalities/firn/storage-commitment', body)
      return await until('the result in Orthanc', async () => {
        const outcome = await orthanc.get<Outcome>(`/storage-commitment/${ID}`)
        return outcome.Status !== 'Pending' && outcome
      })
    }
    const outcome = await ask({ Resources: ids })
    assert.deepEqual([outcome.Status, outcome.RemoteAET], ['Success', 'FIRN'])
    assert.deepEqual(
      outcome.Success.map((one) => one.SOPInstanceUID).sort(),
      study.map((one) => one.sopInstanceUid).sort(),
    )
    const [one] = study as [Instance]
    const [missing, otherClass] = [random.uid(), '1.2.840.10008.5.1.4.1.1.4']
    const partly = await ask({
      DicomInstances: [
        { SOPClassUID: one.sopClassUid, SOPInstanceUID: one.sopInstanceUid },
        { SOPClassUID: otherClass, SOPInstanceUID: study[1]?.sopInstanceUid },
        { SOPClassUID: one.sopClassUid, SOPInstanceUID: missing },
      ],
    })
    assert.equal(partly.Status, 'Failure')
    assert.deepEqual(
      partly.Success.map((each) => each.SOPInstanceUID),
      [one.sopInstanceUid],
    )
    assert.deepEqual(
      new Map(partly.Failures.map((each) => [each.SOPInstanceUID, each.FailureReason])),
      new Map([
        [study[1]?.sopInstanceUid, 0x0119],
        [missing, 0x0112],
      ]),
    )
    await orthanc.empty()
  })

  it('echoes', async () => {
    await orthanc.post('/modalities/firn/echo', {})
  })

  it('queries Firn by QIDO-RS and by C-FIND, with the same answers', async () => {
    const study = makeStudy()
    await stow(
      firn.dicomWeb,
      study.map((one) => one.file),
    )
    const patientId = first((await search(firn.dicomWeb, `/studies?StudyInstanceUID=${studyOf(study)}`))[0], '00100020')
    assert.notEqual(patientId, '')
    const byWeb = await orthanc.post<Record<string, { Value: string }>[]>('/dicom-web/servers/firn/qido', {
      Uri: '/studies',
      Arguments: { PatientID: patientId },
    })
    assert.deepEqual(
      byWeb.map((one) => one['0020000D']?.Value),
      [studyOf(study)],
    )
    const query = await orthanc.post<{ ID: string }>('/modalities/firn/query', {
      Level: 'Study',
      Query: { PatientID: patientId, StudyInstanceUID: '' },
    })
    const answers = await orthanc.get<Record<string, { Value: string }>[]>(`/queries/${query.ID}/answers?expand`)
    assert.deepEqual(
      answers.map((one) => one['0020,000d']?.Value),
      [studyOf(study)],
    )
  })

  it('retrieves a study and an instance by WADO-RS, and gets the same bytes', async () => {
    const study = makeStudy()
    await stow(
      firn.dicomWeb,
      study.map((one) => one.file),
    )
    const retrieving = (resource: object) =>
      orthanc.post('/dicom-web/servers/firn/retrieve', { Resources: [resource], Synchronous: true })
    const one = study[0] as Instance
    await retrieving({ Study: one.studyUid, Series: one.seriesUid, Instance: one.sopInstanceUid })
    assert.deepEqual(digests(await orthanc.files()), digests([one.file]))
    await orthanc.empty()
    await retrieving({ Study: one.studyUid })
    assert.deepEqual(digests(await orthanc.files()), digests(study.map((each) => each.file)))
    await orthanc.empty()
  })

  it('retrieves a study by C-MOVE, and gets the same data sets', async () => {
    const study = makeStudy()
    await stow(
      firn.dicomWeb,
      study.map((one) => one.file),
    )
    const uids = { StudyInstanceUID: studyOf(study), SeriesInstanceUID: study[0]?.seriesUid ?? '' }
    const inSeries = study.filter((one) => one.seriesUid === uids.SeriesInstanceUID)
    const wanted: [level: string, keys: Record<string, string>, answers: number, instances: Instance[]][] = [
      ['Study', { StudyInstanceUID: uids.StudyInstanceUID }, 1, study],
      ['Series', { ...uids, SeriesInstanceUID: '' }, 2, study],
      ['Instance', { ...uids, SOPInstanceUID: '' }, inSeries.length, inSeries],
    ]
    for (const [level, keys, count, instances] of wanted) {
      const query = await orthanc.post<{ ID: string }>('/modalities/firn/query', { Level: level, Query: keys })
      assert.equal((await orthanc.get<string[]>(`/queries/${query.ID}/answers`)).length, count, level)
      await orthanc.post(`/queries/${query.ID}/retrieve`, { TargetAet: 'ORTHANC', Synchronous: true })
      assert.deepEqual(
        digests((await orthanc.files()).map(dataSet)),
        digests(instances.map((one) => one.dataSet)),
        level,
      )
      await orthanc.empty()
    }
  })
})
