import assert from 'node:assert/strict'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { after, describe, it } from 'node:test'
import { Firn, firnCommand } from '../support/firn.ts'
import { tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { first, get, instancePath, json, retrieve, search, stow } from '../support/web.ts'

const random = new Random(newSeed())

interface Finding {
  studyUid: string
  kind: string
  object: string
}
interface Study {
  studyUid: string
  state: string
  expected: number
  here: number
}

function put(folder: string, path: string, bytes: Buffer): void {
  mkdirSync(dirname(join(folder, path)), { recursive: true })
  writeFileSync(join(folder, path), bytes)
}

function makeStudy(instances: number, sizeBytes = 20_000): Instance[] {
  const studyUid = random.uid()
  return Array.from({ length: instances }, (_, n) =>
    instanceOfSize(random, sizeBytes, { studyUid, instanceNumber: n + 1 }),
  )
}

async function command(firn: Firn, ...args: string[]) {
  return await firnCommand(['import', ...args, '--data', firn.dataDir])
}

async function lines<Row>(firn: Firn, ...args: string[]): Promise<Row[]> {
  const { stdout } = await command(firn, 'report', ...args)
  return stdout
    .split('\n')
    .filter((line) => line !== '')
    .map((line) => JSON.parse(line) as Row)
}

describe(`import from a folder (seed ${random.seed})`, () => {
  const nodes: Firn[] = []
  const start = async (folder: string, more: object = {}): Promise<Firn> => {
    const firn = await Firn.start({ config: { imports: [{ name: 'old', type: 'folder', folder, ...more }] } })
    nodes.push(firn)
    return firn
  }
  after(async () => {
    for (const firn of nodes) await firn.kill()
  })
  const assertServed = async (firn: Firn, instances: readonly Instance[]) => {
    for (const instance of instances) {
      const [bytes] = await retrieve(firn.dicomWeb, instancePath(instance))
      assert.ok(bytes?.equals(instance.file), instance.sopInstanceUid)
    }
  }

  it('takes every byte, and reports what is damaged, doubled, in conflict or no image', async () => {
    const folder = tempDir('old')
    const studies = [makeStudy(3), makeStudy(4), makeStudy(1)]
    const all = studies.flat()
    for (const [n, { file }] of all.entries()) put(folder, `${n % 3}/deep ${n}/IM${n}`, file)
    // The same bytes twice, other bytes under a known UID, no DICOM, a header that ends in the middle, an index.
    const [one, other] = [studies[0]?.[0] as Instance, studies[1]?.[0] as Instance]
    put(folder, 'again/same.dcm', one.file)
    const { studyUid, seriesUid, sopInstanceUid } = other
    const conflicting = instanceOfSize(random, 500, { studyUid, seriesUid, sopInstanceUid })
    put(folder, 'z-conflict.dcm', conflicting.file)
    put(folder, 'README.txt', Buffer.from('no image'))
    put(folder, 'empty', Buffer.alloc(0))
    put(folder, 'cut.dcm', one.file.subarray(0, 300))
    put(folder, 'DICOMDIR', Buffer.from('an index'))

    const firn = await start(folder)
    const dry = await command(firn, 'start', 'old', '--dry-run', '--json')
    assert.equal(dry.code, 0, dry.stderr)
    const planned = JSON.parse(dry.stdout)
    assert.equal(planned.state, 'listed')
    assert.deepEqual(
      [planned.totals.studies, planned.totals.listedInstances, planned.totals.done],
      [3, all.length + 2, 0],
    )
    assert.equal((await search(firn.dicomWeb, '/instances')).length, 0, 'a dry run takes nothing')

    const ran = await command(firn, 'start', 'old', '--verify', 'all', '--json')
    assert.equal(ran.code, 0, ran.stderr + ran.stdout)
    const { totals, state } = JSON.parse(ran.stdout)
    assert.equal(state, 'done')
    assert.deepEqual([totals.done, totals.expected, totals.here], [3, all.length, all.length])
    assert.deepEqual([totals.stored, totals.duplicates, totals.conflicts], [all.length, 1, 1])
    assert.deepEqual([totals.verified, totals.differing], [all.length + 2, 0])
    await assertServed(firn, all)

    const findings = await lines<Finding>(firn, 'old')
    assert.deepEqual(findings.map(({ kind, object }) => `${kind} ${object}`).sort(), [
      `conflict ${other.sopInstanceUid}`,
      'not_dicom README.txt',
      'not_dicom empty',
      'refused cut.dcm',
    ])
    const perStudy = await lines<Study>(firn, 'old', '--studies')
    for (const study of studies) {
      const said = perStudy.find((row) => row.studyUid === study[0]?.studyUid)
      assert.deepEqual([said?.state, said?.expected, said?.here], ['done', study.length, study.length])
    }
    const csv = await command(firn, 'report', 'old', '--format', 'csv')
    assert.equal(csv.code, 1, 'there is something to report')
    assert.match(csv.stdout, /^id,studyUid,kind,object,detail\n/)
    const [instance] = await search(firn.dicomWeb, `/instances?SOPInstanceUID=${one.sopInstanceUid}`)
    assert.equal(first(instance, '00080018'), one.sopInstanceUid)

    // Once more: nothing is stored twice, what is new is found.
    const late = makeStudy(2)
    for (const [n, { file }] of late.entries()) put(folder, `late/${n}`, file)
    const second = JSON.parse((await command(firn, 'start', 'old', '--json')).stdout)
    assert.deepEqual([second.totals.done, second.totals.stored], [4, all.length + 2])
    assert.equal((await lines<Finding>(firn, 'old')).length, 4, 'a finding is told once')
    await assertServed(firn, late)
    const started = await firnCommand(['events', 'verify', '--data', firn.dataDir])
    assert.equal(started.code, 0, started.stdout)
  })

  it('goes on where it was killed, and stores nothing twice', async () => {
    const folder = tempDir('old')
    const studies = Array.from({ length: 24 }, () => makeStudy(4, 100_000))
    const all = studies.flat()
    for (const [n, { file }] of all.entries()) put(folder, `${n}.dcm`, file)
    const firn = await start(folder, { bytesPerSecond: 3_000_000, parallel: 2 })
    for (let kills = 1; kills <= 3; kills += 1) {
      if (kills === 1) assert.equal((await command(firn, 'start', 'old', '--detach')).code, 0)
      const done = async () =>
        json<{ totals: { done: number } }>(await get(`${firn.url}/api/v1/imports/old`)).totals.done
      await until('some studies more', async () => (await done()) >= kills * 4, 30_000)
      await firn.kill()
      await firn.start()
    }
    await until(
      'the end',
      async () => json<{ state: string }>(await get(`${firn.url}/api/v1/imports/old`)).state === 'done',
      60_000,
    )
    await assertServed(firn, all)
    const status = json<{ catalogue: { instances: number; conflicts: number } }>(await get(`${firn.url}/api/v1/status`))
    assert.deepEqual([status.catalogue.instances, status.catalogue.conflicts], [all.length, 0])
    assert.deepEqual(await lines<Finding>(firn, 'old'), [])
    const { totals } = json<{ totals: { expected: number; here: number; stored: number; duplicates: number } }>(
      await get(`${firn.url}/api/v1/imports/old`),
    )
    assert.deepEqual([totals.expected, totals.here], [all.length, all.length])
    assert.equal(totals.stored + totals.duplicates, all.length)
  })

  it('reports a file that went away after it was listed as unreadable and missing, and takes it when it is back', async () => {
    const folder = tempDir('old')
    const study = makeStudy(3)
    for (const [n, { file }] of study.entries()) put(folder, `${n}.dcm`, file)
    const firn = await start(folder)
    assert.equal((await command(firn, 'start', 'old', '--dry-run')).code, 0)
    rmSync(join(folder, '1.dcm'))
    const ran = await command(firn, 'start', 'old', '--json')
    assert.equal(ran.code, 1, 'something is missing')
    assert.equal(JSON.parse(ran.stdout).totals.missing, 1)
    const kinds = (await lines<Finding>(firn, 'old')).map(({ kind, object }) => `${kind} ${object}`).sort()
    assert.deepEqual(kinds, [`missing ${study[1]?.sopInstanceUid}`, 'unreadable 1.dcm'])
    put(folder, '1.dcm', (study[1] as Instance).file)
    assert.equal((await command(firn, 'start', 'old', '--again')).code, 0)
    await assertServed(firn, study)
  })

  it('is answered through, and imported first, while it runs', async () => {
    const folder = tempDir('old')
    const studies = Array.from({ length: 6 }, () => makeStudy(2, 200_000))
    for (const [n, { file }] of studies.flat().entries()) put(folder, `${String(n).padStart(3, '0')}.dcm`, file)
    // So slow that without being asked for the last study would come in minutes.
    const firn = await start(folder, { bytesPerSecond: 20_000, parallel: 1 })
    const wanted = studies.at(-1) as Instance[]
    const studyUid = wanted[0]?.studyUid as string
    assert.equal((await get(`${firn.dicomWeb}/studies/${studyUid}`)).status, 404, 'not before it runs')
    assert.equal((await command(firn, 'start', 'old', '--detach')).code, 0)
    await until(
      'the listing',
      async () => json<{ listed: boolean }>(await get(`${firn.url}/api/v1/imports/old`)).listed,
      20_000,
    )
    const [found] = await search(firn.dicomWeb, `/studies?StudyInstanceUID=${studyUid}`)
    assert.equal(first(found, '0020000D'), studyUid)
    const patientId = first(found, '00100020')
    assert.equal((await search(firn.dicomWeb, `/studies?PatientID=${encodeURIComponent(patientId)}`)).length, 1)
    const files = await retrieve(firn.dicomWeb, `/studies/${studyUid}`)
    assert.deepEqual(files.map((file) => file.length).sort(), wanted.map(({ file }) => file.length).sort())
    await assertServed(firn, wanted)
    assert.equal((await search(firn.dicomWeb, `/studies/${studyUid}/instances`)).length, 2)
    assert.equal((await get(`${firn.dicomWeb}/studies/${random.uid()}`)).status, 404)
    const [listed] = await search(firn.dicomWeb, `/studies?StudyInstanceUID=${studyUid}`)
    assert.equal(first(listed, '00201208'), '2', 'told once, as it is here')
    // A study of which a part was sent meanwhile comes whole.
    const half = studies.at(-2) as Instance[]
    await stow(firn.dicomWeb, [(half[0] as Instance).file])
    assert.equal((await retrieve(firn.dicomWeb, `/studies/${half[0]?.studyUid}`)).length, 2)
    assert.equal((await command(firn, 'stop', 'old')).code, 0)
  })
})
