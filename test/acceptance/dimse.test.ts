import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { sopClasses, transferSyntaxes } from '../fixtures/dicom.ts'
import { dcmtkInstalled, findscu, getscu, movescu, storescu } from '../support/dcmtk.ts'
import { Association, associateRq, PDU, PduSocket, type Proposal, VERIFICATION } from '../support/dimse.ts'
import { Firn, RESIDENT_BYTES_MAX } from '../support/firn.ts'
import { freePort, run, skipUnless, tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize, makeInstance, uidsOf } from '../support/instances.ts'
import { dataSet, elements, readPart10, sha256 } from '../support/part10.ts'
import { newSeed, Random } from '../support/random.ts'
import { until, within } from '../support/until.ts'
import { first, instancePath, retrieve, search, stow } from '../support/web.ts'

const random = new Random(newSeed())
const ECHO: Proposal = { sopClassUid: VERIFICATION, transferSyntaxUids: [transferSyntaxes.implicitLittle] }
const PRIVATE_CLASS = '1.2.826.0.1.3680043.10.1520.77.1'

function proposal({ sopClassUid, transferSyntaxUid }: Instance): Proposal {
  return { sopClassUid, transferSyntaxUids: [transferSyntaxUid] }
}

describe(`DIMSE (seed ${random.seed})`, () => {
  let firn: Firn
  let movePort: number
  before(async () => {
    movePort = await freePort()
    const destinations = [{ aeTitle: 'MOVESCU', host: '127.0.0.1', port: movePort }]
    firn = await Firn.start({ config: { dimse: { destinations } } })
  })
  after(async () => {
    await firn.kill()
  })

  async function store(instance: Instance, dataSetBytes = instance.dataSet): Promise<number> {
    const association = await Association.open(firn.dimsePort, [proposal(instance)])
    const status = await association.store(
      instance.sopClassUid,
      instance.sopInstanceUid,
      instance.transferSyntaxUid,
      dataSetBytes,
    )
    await association.release()
    return status
  }

  it('echoes, many times over one association', async () => {
    const association = await Association.open(firn.dimsePort, [ECHO])
    for (let n = 0; n < 20; n++) assert.equal(await association.echo(), 0)
    await association.release()
  })

  it('keeps the data set of every transfer syntax as it came, and says which it was', async () => {
    for (const transferSyntax of Object.keys(transferSyntaxes) as (keyof typeof transferSyntaxes)[]) {
      const instance = makeInstance(random, { transferSyntax, frames: 2, frameBytes: 700 })
      assert.equal(await store(instance), 0, transferSyntax)
      const file = (await retrieve(firn.dicomWeb, instancePath(instance)))[0] ?? Buffer.alloc(0)
      assert.ok(dataSet(file).equals(instance.dataSet), transferSyntax)
      assert.equal(readPart10(file).transferSyntaxUid, instance.transferSyntaxUid)
    }
  })

  it('takes private SOP Classes, and data sets of odd length and unusual sizes', async () => {
    for (const size of [1, 3, 16_375, 16_376, 16_377, 70_001, 3_000_000]) {
      const instance = instanceOfSize(random, size, { sopClassUid: size === 1 ? PRIVATE_CLASS : sopClasses.mr })
      assert.equal(await store(instance), 0, `${size}`)
      assert.equal((await retrieve(firn.dicomWeb, instancePath(instance))).length, 1)
    }
  })

  it('stores the same again with success, and keeps the first of two that differ', async () => {
    const instance = makeInstance(random)
    assert.equal(await store(instance), 0)
    assert.equal(await store(instance), 0)
    const other = instanceOfSize(random, 500, uidsOf(instance))
    assert.equal(await store({ ...instance, dataSet: other.dataSet }), 0)
    const files = await retrieve(firn.dicomWeb, instancePath(instance))
    assert.deepEqual(
      files.map((file) => sha256(dataSet(file))),
      [sha256(instance.dataSet)],
    )
    const found = await search(firn.dicomWeb, `/studies?StudyInstanceUID=${instance.studyUid}`)
    assert.equal(first(found[0], '00201208'), '1')
  })

  it('refuses what contradicts the command or lacks identifiers, and goes on with the association', async () => {
    const good = makeInstance(random)
    const bad = [
      { ...makeInstance(random), sopInstanceUid: random.uid() },
      makeInstance(random, { attributes: { '0020000D': null } }),
      makeInstance(random, { attributes: { '0020000E': null } }),
      { ...good, dataSet: random.bytes(2_000) },
      { ...good, dataSet: good.dataSet.subarray(0, 60) },
    ]
    const association = await Association.open(firn.dimsePort, [proposal(good)])
    for (const one of bad) {
      const status = await association.store(one.sopClassUid, one.sopInstanceUid, one.transferSyntaxUid, one.dataSet)
      assert.ok(status >= 0xa900 && status <= 0xcfff, status.toString(16))
    }
    assert.equal(
      await association.store(good.sopClassUid, good.sopInstanceUid, good.transferSyntaxUid, good.dataSet),
      0,
    )
    await association.release()
    const found = await search(firn.dicomWeb, `/instances?SOPInstanceUID=${bad[0]?.sopInstanceUid}`)
    assert.deepEqual(found, [])
  })

  it('leaves nothing of a data set whose sender goes away', async () => {
    const instance = instanceOfSize(random, 6_000_000)
    const association = await Association.open(firn.dimsePort, [proposal(instance)])
    const cut = association.store(
      instance.sopClassUid,
      instance.sopInstanceUid,
      instance.transferSyntaxUid,
      instance.dataSet,
    )
    association.destroy()
    await assert.rejects(cut)
    assert.equal(await store(makeInstance(random)), 0)
    assert.deepEqual(await search(firn.dicomWeb, `/instances?SOPInstanceUID=${instance.sopInstanceUid}`), [])
  })

  it('takes a large instance within its memory bound', async () => {
    const instance = makeInstance(random, { pixelData: Buffer.alloc(400 * 1024 * 1024, 7) })
    assert.equal(await store(instance), 0)
    assert.ok(firn.residentPeakBytes() < RESIDENT_BYTES_MAX, `${firn.residentPeakBytes() >> 20} MiB`)
  })

  it('rejects contexts it does not serve, and accepts the others beside them', async () => {
    const instance = makeInstance(random)
    const association = await Association.open(firn.dimsePort, [
      { sopClassUid: '1.2.840.10008.5.1.1.1', transferSyntaxUids: [transferSyntaxes.implicitLittle] },
      proposal(instance),
      ECHO,
    ])
    assert.deepEqual(
      association.accepted.map((one) => one.contextId),
      [3, 5],
    )
    assert.equal(await association.echo(), 0)
    await association.release()
  })

  const noDcmtk = skipUnless(dcmtkInstalled, 'dcmtk is not installed')
  it("serves dcmtk's tools: store, find at each level, move and get", { skip: noDcmtk }, async () => {
    const study = random.uid()
    const series = [random.uid(), random.uid()] as const
    const dir = tempDir('dcmtk')
    const instances = [0, 1, 2, 3].map((n) =>
      makeInstance(random, { studyUid: study, seriesUid: series[n < 3 ? 0 : 1], instanceNumber: n }),
    )
    const paths = instances.map((one, n) => {
      const path = join(dir, `${n}.dcm`)
      writeFileSync(path, one.file)
      return { path, transferSyntaxUid: one.transferSyntaxUid }
    })
    assert.equal((await storescu(firn.dimsePort, paths)).sent, 4)
    const of = { StudyInstanceUID: study }
    const patient = await findscu(
      firn.dimsePort,
      { QueryRetrieveLevel: 'PATIENT', PatientID: `P${study.slice(-12)}`, PatientName: '' },
      ['-P'],
    )
    assert.deepEqual(
      patient.map((one) => one.get('00100010')),
      [`Test^${study.slice(-12)}`],
    )
    assert.equal((await findscu(firn.dimsePort, { QueryRetrieveLevel: 'STUDY', ...of })).length, 1)
    assert.equal(
      (await findscu(firn.dimsePort, { QueryRetrieveLevel: 'SERIES', ...of, SeriesInstanceUID: '' })).length,
      2,
    )
    const images = await findscu(firn.dimsePort, {
      QueryRetrieveLevel: 'IMAGE',
      ...of,
      SeriesInstanceUID: series[0],
      SOPInstanceUID: '',
    })
    assert.equal(images.length, 3)
    const wanted = (some: readonly Instance[]) => some.map((one) => sha256(one.dataSet)).sort()
    const got = (files: readonly Buffer[]) => files.map((file) => sha256(dataSet(file))).sort()
    const pixelsOf = (files: readonly Buffer[]) =>
      files
        .map((file) => `${readPart10(file).sopInstanceUid} ${elements(file).get('7FE00010')?.value.toString('hex')}`)
        .sort()
    const one = instances[0] as Instance
    const image = {
      QueryRetrieveLevel: 'IMAGE',
      ...of,
      SeriesInstanceUID: one.seriesUid,
      SOPInstanceUID: one.sopInstanceUid,
    }
    for (const [keys, some] of [
      [{ QueryRetrieveLevel: 'STUDY', ...of }, instances],
      [{ QueryRetrieveLevel: 'SERIES', ...of, SeriesInstanceUID: series[0] }, instances.slice(0, 3)],
      [image, [one]],
      [{ QueryRetrieveLevel: 'STUDY', StudyInstanceUID: random.uid() }, []],
    ] as const) {
      const moved = await movescu(firn.dimsePort, movePort, { ...keys })
      assert.deepEqual(got(moved.files), wanted(some), moved.ended.stderr)
      const gotten = await getscu(firn.dimsePort, '+xe', { ...keys })
      // getscu offers all uncompressed syntaxes at once, so Firn may send implicit VR: pixels are compared, not encodings.
      assert.deepEqual(pixelsOf(gotten.files), pixelsOf(some.map((each) => each.file)), gotten.ended.stderr)
    }
  })

  it('says that a move destination is unknown', { skip: noDcmtk }, async () => {
    const args = [
      '-v',
      '-S',
      '-aec',
      'FIRN',
      '-aem',
      'NOBODY',
      '-k',
      'QueryRetrieveLevel=STUDY',
      '-k',
      'StudyInstanceUID=1.2.3',
    ]
    const ended = await run('movescu', [...args, '127.0.0.1', String(firn.dimsePort)])
    assert.match(ended.stdout + ended.stderr, /a801|Destination ?unknown/i)
  })

  it('counts instances that a destination can not take as failed, and never alters them', {
    skip: noDcmtk,
  }, async () => {
    const studyUid = random.uid()
    const plain = makeInstance(random, { studyUid })
    const jpeg = makeInstance(random, { studyUid, transferSyntax: 'jpegBaseline' })
    await stow(firn.dicomWeb, [plain.file, jpeg.file])
    const got = await getscu(firn.dimsePort, '+xe', { QueryRetrieveLevel: 'STUDY', StudyInstanceUID: studyUid })
    assert.deepEqual(
      got.files.map((file) => readPart10(file).sopInstanceUid),
      [plain.sopInstanceUid],
    )
    assert.match(got.ended.stdout + got.ended.stderr, /Failed[^\n]*1/)
  })

  it('stops a search that is cancelled', { skip: noDcmtk }, async () => {
    const studies = Array.from({ length: 300 }, () => makeInstance(random, { rows: 0 }).file)
    assert.equal((await stow(firn.dicomWeb, studies)).status, 200)
    const args = [
      '-v',
      '-S',
      '-aec',
      'FIRN',
      '--cancel',
      '3',
      '-k',
      'QueryRetrieveLevel=STUDY',
      '-k',
      'StudyInstanceUID',
    ]
    const ended = await run('findscu', [...args, '127.0.0.1', String(firn.dimsePort)])
    assert.equal(ended.code, 0, ended.stderr)
    const association = await Association.open(firn.dimsePort, [ECHO])
    assert.equal(await association.echo(), 0)
    await association.release()
  })
})

describe('DIMSE limits', () => {
  let firn: Firn
  before(async () => {
    const dimse = {
      idleSeconds: 2,
      artimSeconds: 2,
      associationsMax: 5,
      allowedCallingAeTitles: ['PACS'],
      checkCalledAeTitle: true,
      acceptUnknownSopClasses: false,
    }
    firn = await Firn.start({ config: { dimse } })
  })
  after(async () => {
    await firn.kill()
  })
  const open = (calling: string, called: string, proposals = [ECHO]) =>
    Association.open(firn.dimsePort, proposals, { calling, called })

  it('let in only the AE titles allowed, for the one it has', async () => {
    await assert.rejects(open('STRANGER', 'FIRN'), /PDU type 3/)
    await assert.rejects(open('PACS', 'OTHER'), /PDU type 3/)
    const association = await open('PACS', 'FIRN')
    assert.equal(await association.echo(), 0)
    await association.release()
  })

  it('refuse SOP Classes that are unknown when so configured', async () => {
    const instance = makeInstance(random, { sopClassUid: PRIVATE_CLASS })
    const association = await open('PACS', 'FIRN', [proposal(instance), ECHO])
    assert.deepEqual(
      association.accepted.map((one) => one.sopClassUid),
      [VERIFICATION],
    )
    await association.release()
  })

  it('hold at most so many associations, and take new ones when others end', async () => {
    const held = await Promise.all(Array.from({ length: 5 }, () => open('PACS', 'FIRN')))
    await assert.rejects(open('PACS', 'FIRN'), /PDU type 3/)
    for (const association of held) await association.release()
    const again = await until('a free place', async () => await open('PACS', 'FIRN'))
    await again.release()
  })

  it('end associations that are idle and connections that ask for none', async () => {
    const idle = await open('PACS', 'FIRN')
    const silent = await PduSocket.open(firn.dimsePort)
    const half = await PduSocket.open(firn.dimsePort)
    await half.write(associateRq([ECHO], 'PACS').subarray(0, 50))
    await within(
      'the idle association to end',
      15_000,
      idle.peer.read().catch(() => ({ type: PDU.abort })),
    )
    await until('all three to be closed', () => idle.peer.closed && silent.closed && half.closed, 15_000)
  })
})
