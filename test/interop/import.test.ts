import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { TransferSyntax } from '../fixtures/dicom.ts'
import { dcmtkInstalled, findscu, getscu } from '../support/dcmtk.ts'
import { Firn, firnCommand } from '../support/firn.ts'
import { skipUnless } from '../support/host.ts'
import { type Instance, makeInstance } from '../support/instances.ts'
import { OldOrthanc, orthancInstalled } from '../support/orthanc.ts'
import { dataSet, sha256 } from '../support/part10.ts'
import { newSeed, Random } from '../support/random.ts'
import { first, retrieve, search } from '../support/web.ts'

const random = new Random(newSeed())
const SYNTAXES: readonly TransferSyntax[] = [
  'explicitLittle',
  'implicitLittle',
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

const digests = (files: readonly Buffer[]): string[] => files.map((file) => sha256(file)).sort()
const studyOf = (study: readonly Instance[]): string => study[0]?.studyUid ?? ''

describe(`import from a real Orthanc (seed ${random.seed})`, {
  skip: skipUnless(orthancInstalled, 'Orthanc is not installed'),
}, () => {
  const studies = Array.from({ length: 6 }, makeStudy)
  const all = studies.flat()
  let old: OldOrthanc
  const nodes: Firn[] = []

  /** A new Firn that knows the old archive in each way, and is known to it by the last one started. */
  const start = async (more: object = {}): Promise<Firn> => {
    const dimse = { type: 'dimse', aeTitle: 'ORTHANC', host: '127.0.0.1', port: old.dimsePort, pageSize: 4 }
    const firn = await Firn.prepare({
      config: {
        imports: [
          { name: 'web', type: 'dicomweb', url: `${old.url}/dicom-web`, pageSize: 4, ...more },
          { name: 'get', ...dimse, retrieve: 'get', ...more },
          { name: 'move', ...dimse, retrieve: 'move', ...more },
        ],
      },
    })
    nodes.push(firn)
    await firn.start()
    return firn
  }
  const command = (firn: Firn, ...args: string[]) => firnCommand(['import', ...args, '--data', firn.dataDir])

  before(async () => {
    old = await OldOrthanc.prepare()
    const firn = await start()
    await old.start(firn)
    await old.upload(all)
  })
  after(async () => {
    old?.stop()
    for (const firn of nodes) await firn.kill()
  })

  const imported = async (firn: Firn, name: string) => {
    const { code, stdout, stderr } = await command(firn, 'start', name, '--verify', 'all', '--json')
    assert.equal(code, 0, stderr + stdout)
    const { totals, state } = JSON.parse(stdout)
    assert.equal(state, 'done')
    assert.deepEqual([totals.studies, totals.done, totals.failed], [6, 6, 0], stdout)
    assert.deepEqual([totals.expected, totals.here, totals.missing], [all.length, all.length, 0], stdout)
    assert.deepEqual([totals.verified, totals.differing, totals.findings], [all.length, 0, 0], stdout)
    return totals
  }

  it('by DICOMweb brings the same bytes', async () => {
    const firn = nodes[0] as Firn
    const totals = await imported(firn, 'web')
    assert.equal(totals.stored, all.length)
    for (const study of studies) {
      const files = await retrieve(firn.dicomWeb, `/studies/${studyOf(study)}`)
      assert.deepEqual(digests(files), digests(study.map(({ file }) => file)))
    }
  })

  it('by DICOMweb is read through: a study that has not come is found and served, the rest comes later', async () => {
    const firn = await start({ bytesPerSecond: 5000, parallel: 1, verify: 0 })
    const wanted = studies[5] as Instance[]
    assert.deepEqual(await search(firn.dicomWeb, `/studies?StudyInstanceUID=${studyOf(wanted)}`), [])
    assert.equal((await command(firn, 'start', 'web', '--detach')).code, 0)
    const [found] = await search(firn.dicomWeb, `/studies?StudyInstanceUID=${studyOf(wanted)}`)
    assert.equal(first(found, '0020000D'), studyOf(wanted))
    const patientId = first(found, '00100020')
    assert.equal((await search(firn.dicomWeb, `/studies?PatientID=${encodeURIComponent(patientId)}`)).length, 1)
    const files = await retrieve(firn.dicomWeb, `/studies/${studyOf(wanted)}`)
    assert.deepEqual(digests(files), digests(wanted.map(({ file }) => file)))
    assert.equal((await search(firn.dicomWeb, `/studies?PatientID=${encodeURIComponent(patientId)}`)).length, 1)
    await command(firn, 'stop', 'web')
  })

  for (const name of ['get', 'move']) {
    it(`by C-${name.toUpperCase()} brings the same data sets`, async () => {
      const firn = await start()
      if (name === 'move') await old.reach(firn)
      const totals = await imported(firn, name)
      assert.equal(totals.stored, all.length)
      for (const study of studies) {
        const files = await retrieve(firn.dicomWeb, `/studies/${studyOf(study)}`)
        assert.deepEqual(digests(files.map(dataSet)), digests(study.map((one) => one.dataSet)))
      }
    })
  }

  const noDcmtk = skipUnless(dcmtkInstalled, 'dcmtk is not installed')
  it('by DIMSE is read through, by a client that speaks DIMSE too', { skip: noDcmtk }, async () => {
    const firn = await start({ bytesPerSecond: 5000, parallel: 1, verify: 0 })
    const wanted = studies[4] as Instance[]
    assert.equal((await command(firn, 'start', 'get', '--detach')).code, 0)
    const keys = { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: studyOf(wanted) }
    const found = await findscu(firn.dimsePort, { ...keys, PatientID: '' })
    assert.equal(found.length, 1)
    const { files, ended } = await getscu(firn.dimsePort, '+xs', keys)
    assert.ok(files.length > 0, ended.stderr + ended.stdout)
    const [one] = await retrieve(firn.dicomWeb, `/studies/${studyOf(wanted)}`)
    assert.ok(one)
    assert.equal((await search(firn.dicomWeb, `/studies/${studyOf(wanted)}/instances`)).length, wanted.length)
    await command(firn, 'stop', 'get')
  })
})
