/** Rejection (IHE IOCM) as a client sees it: what is shown changes, what is kept never does. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { Firn, firnCommand } from '../support/firn.ts'
import { tempDir } from '../support/host.ts'
import { type Instance, makeInstance } from '../support/instances.ts'
import { Officer } from '../support/officer.ts'
import { sha256 } from '../support/part10.ts'
import { newSeed, Random } from '../support/random.ts'
import { rejectionNote } from '../support/rejection-note.ts'
import { first, get, instancePath, json, retrieve, search, send, stow } from '../support/web.ts'

const random = new Random(newSeed())

describe(`rejection (seed ${random.seed})`, () => {
  let firn: Firn
  let api: string
  let officer: Officer

  before(async () => {
    firn = await Firn.start({ config: { corrections: { dicomwebDelete: 'hide' } } })
    api = `${firn.url}/api/v1`
    officer = new Officer(firn, random)
  })
  after(() => firn?.kill())

  const shown = (uid: string) => search(firn.dicomWeb, `/studies?StudyInstanceUID=${uid}`)
  const status = async (path: string) => (await get(firn.dicomWeb + path)).status

  async function counts(uid: string): Promise<string[]> {
    const [found] = await shown(uid)
    return [first(found, '00201206'), first(found, '00201208'), (found?.['00080061']?.Value ?? []).join()]
  }

  it('hides a series and shows it again, with counts, ETag and change feed', async () => {
    const instances = officer.study()
    await officer.store(...instances)
    const { studyUid } = instances[0] as Instance
    const gone = (instances[2] as Instance).seriesUid
    const etag = async () => (await get(`${firn.dicomWeb}/studies/${studyUid}/metadata`)).headers.get('etag')
    const etags = [await etag()]
    const since = (json<{ next: number }>(await get(`${api}/changes?limit=10000`)).next ?? 0) as number
    const { rejection, instances: number } = await officer.ok('POST', `/studies/${studyUid}/rejections`, {
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
    await officer.sameBytes(instances)
    etags.push(await etag())
    const listed = (await officer.ok('GET', `/studies/${studyUid}/rejections`)).rejections as Record<string, unknown>[]
    assert.deepEqual(
      listed.map(({ id, code, reason, instances: n, restored }) => [id, code, reason, n, restored]),
      [[rejection, '113037', 'wrong side', 2, 0]],
    )
    await officer.ok('DELETE', `/studies/${studyUid}/rejections/${rejection}`)
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
    const instances = officer.study()
    const late = makeInstance(random, { studyUid: (instances[0] as Instance).studyUid })
    await officer.store(...instances)
    const { studyUid } = instances[0] as Instance
    await officer.ok('POST', `/studies/${studyUid}/rejections`, { code: '113038' })
    assert.deepEqual(await shown(studyUid), [])
    for (const path of ['', '/metadata', '/series', '/instances']) {
      const answer = await status(`/studies/${studyUid}${path}`)
      assert.ok(answer === 404 || answer === 204, `${path}: ${answer}`)
    }
    assert.equal((await officer.call('POST', `/studies/${studyUid}/rejections`, { code: '113001' })).status, 404)
    // Sent again: taken in, and still hidden, as the profile wants it for this reason.
    await officer.store(instances[0] as Instance)
    assert.deepEqual(await shown(studyUid), [])
    await officer.store(late)
    assert.deepEqual(await counts(studyUid), ['1', '1', 'OT'])
    await officer.sameBytes(instances)
  })

  it('what is sent again after "retention expired" is shown again; expired or not, nothing is freed', async () => {
    const instances = officer.study()
    await officer.store(...instances)
    const { studyUid } = instances[0] as Instance
    await officer.ok('POST', `/studies/${studyUid}/rejections`, { code: '113039' })
    assert.deepEqual(await shown(studyUid), [])
    await officer.sameBytes(instances)
    await officer.store(instances[1] as Instance)
    assert.deepEqual(await counts(studyUid), ['1', '1', 'CT'])
  })

  it('DELETE of DICOMweb hides at each level, and what is sent again is back', async () => {
    const instances = officer.study()
    await officer.store(...instances)
    const { studyUid } = instances[0] as Instance
    const remove = async (path: string) => (await send(firn.dicomWeb + path, { method: 'DELETE' })).status
    assert.equal(await remove(instancePath(instances[0] as Instance)), 204)
    assert.deepEqual(await counts(studyUid), ['2', '3', 'CT,MR'])
    assert.equal(await remove(instancePath(instances[0] as Instance)), 404)
    assert.equal(await remove(`/studies/${studyUid}/series/${instances[2]?.seriesUid}`), 204)
    assert.deepEqual(await counts(studyUid), ['1', '1', 'CT'])
    assert.equal(await remove(`/studies/${studyUid}`), 204)
    assert.deepEqual(await shown(studyUid), [])
    await officer.sameBytes(instances)
    await officer.store(instances[0] as Instance)
    assert.deepEqual(await counts(studyUid), ['1', '1', 'CT'])
  })

  it('a rejection note hides what it names, itself too, also what comes after it', async () => {
    const instances = officer.study()
    const [one, two, three, four] = instances as [Instance, Instance, Instance, Instance]
    await officer.store(one, two, three)
    const note = rejectionNote(random, '113001', [one, four])
    await officer.store(note)
    assert.deepEqual(await counts(one.studyUid), ['2', '2', 'CT,MR'])
    await officer.store(four)
    assert.deepEqual(await counts(one.studyUid), ['2', '2', 'CT,MR'])
    assert.equal(await status(instancePath(note)), 404)
    await officer.sameBytes([...instances, note])
    const { rejections } = await officer.ok('GET', `/studies/${one.studyUid}/rejections`)
    const [rejection] = rejections as { id: string; noteUid: string; instances: number }[]
    assert.deepEqual([rejection?.noteUid, rejection?.instances], [note.sopInstanceUid, 2])
    await officer.store(note)
    assert.equal(((await officer.ok('GET', `/studies/${one.studyUid}/rejections`)).rejections as unknown[]).length, 1)
    await officer.ok('DELETE', `/studies/${one.studyUid}/rejections/${rejection?.id}`)
    assert.deepEqual(await counts(one.studyUid), ['3', '5', 'CT,KO,MR'])
  })

  it('a key object of another title, or of another study, hides nothing', async () => {
    const instances = officer.study()
    const others = officer.study()
    const [one] = instances as [Instance]
    await officer.store(...instances, ...others)
    await officer.store(
      rejectionNote(random, '113000', instances),
      rejectionNote(random, '113001', instances, '99OTHER'),
    )
    assert.deepEqual(await counts(one.studyUid), ['4', '6', 'CT,KO,MR'])
    // It names instances of the other study as if they were of its own.
    const lie = rejectionNote(
      random,
      '113001',
      others.map((instance) => ({ ...instance, studyUid: one.studyUid })),
    )
    await officer.store(lie)
    assert.deepEqual(await counts((others[0] as Instance).studyUid), ['2', '4', 'CT,MR'])
  })
})

describe('who may reject and correct', () => {
  it('only tokens with the role records, or admin; and only they see by digest what is hidden', async () => {
    const dataDir = tempDir('roles')
    const tokens = new Map<string, string>()
    for (const role of ['send', 'read', 'records', 'admin']) {
      const made = await firnCommand(['token', 'create', '--role', role, '--name', role, '--data', dataDir, '--json'])
      tokens.set(role, (JSON.parse(made.stdout) as { token: string }).token)
    }
    const config = { auth: { required: true }, corrections: { dicomwebDelete: 'hide' } }
    const firn = await Firn.start({ dataDir, config })
    try {
      const instances = ['send', 'read', 'records', 'admin'].map(() => makeInstance(random))
      for (const { file } of instances) {
        const headers = { authorization: `Bearer ${tokens.get('send')}` }
        assert.equal((await stow(firn.dicomWeb, [file], { headers })).status, 200)
      }
      for (const [n, role] of ['send', 'read', 'records', 'admin'].entries()) {
        const { studyUid, file } = instances[n] as Instance
        const authorization = `Bearer ${tokens.get(role)}`
        const ask = async (method: string, url: string, body?: object) => {
          const headers = { authorization, 'content-type': 'application/json' }
          return (await send(url, { method, headers, ...(body ? { body: JSON.stringify(body) } : {}) })).status
        }
        const may = role === 'records' || role === 'admin'
        const api = `${firn.url}/api/v1`
        const routes: [string, string, object?][] = [
          ['POST', `/studies/${studyUid}/corrections`, { attributes: { StudyID: '1' } }],
          ['POST', `/studies/${studyUid}/patient`, { to: { patientId: role }, attributes: { PatientName: 'A' } }],
          ['POST', '/patients/merges', { prior: { patientId: role }, surviving: { patientId: `${role}2` } }],
          ['POST', `/patients/${role}2/corrections`, { attributes: { PatientSex: 'F' } }],
          ['GET', `/studies/${studyUid}/corrections`],
          ['POST', `/studies/${studyUid}/rejections`, { code: '113001' }],
          ['GET', `/studies/${studyUid}/rejections`],
        ]
        for (const [method, path, body] of routes) {
          assert.equal(await ask(method, api + path, body), may ? 200 : 403, `${role} ${method} ${path}`)
        }
        const rest = await ask('DELETE', `${firn.dicomWeb}/studies/${studyUid}`)
        assert.equal(rest, may ? 404 : 403, 'what is hidden already is not there to be deleted')
        const hidden = sha256((instances[2] as Instance).file)
        if (n >= 2) assert.equal(await ask('GET', `${api}/instances/by-digest/${hidden}`), 200, role)
        if (n >= 2) assert.equal(await ask('GET', `${api}/instances/by-digest/${sha256(file)}`), 200, role)
      }
      const reader = { authorization: `Bearer ${tokens.get('read')}` }
      const url = `${firn.url}/api/v1/instances/by-digest/${sha256((instances[2] as Instance).file)}`
      assert.equal((await send(url, { headers: reader })).status, 404)
    } finally {
      await firn.kill()
    }
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
