import assert from 'node:assert/strict'
import { readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Firn } from '../support/firn.ts'
import { type Instance, instanceOfSize, makeInstance, uidsOf } from '../support/instances.ts'
import { multipart, stowType } from '../support/multipart.ts'
import { sha256 } from '../support/part10.ts'
import { newSeed, Random } from '../support/random.ts'
import { first, get, instancePath, json, retrieve, search, send, stow, stowRaw } from '../support/web.ts'

const random = new Random(newSeed())

describe(`STOW-RS (seed ${random.seed})`, () => {
  let firn: Firn
  before(async () => {
    firn = await Firn.start()
  })
  after(async () => {
    await firn.kill()
  })

  async function assertKept(instance: Instance): Promise<void> {
    const got = await retrieve(firn.dicomWeb, instancePath(instance))
    assert.equal(got.length, 1)
    assert.equal(sha256(got[0] ?? Buffer.alloc(0)), sha256(instance.file))
  }

  async function assertInvisible(instance: Instance): Promise<void> {
    const found = await search(firn.dicomWeb, `/instances?SOPInstanceUID=${instance.sopInstanceUid}`)
    assert.deepEqual(found, [])
    const got = await get(firn.dicomWeb + instancePath(instance), 'multipart/related; type="application/dicom"')
    assert.equal(got.status, 404)
  }

  it('keeps one instance and says where', async () => {
    const instance = makeInstance(random)
    const answer = await stow(firn.dicomWeb, [instance.file])
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('content-type') ?? '', /^application\/dicom\+json/)
    assert.deepEqual(
      answer.stored.map((one) => [one.sopClassUid, one.sopInstanceUid]),
      [[instance.sopClassUid, instance.sopInstanceUid]],
    )
    assert.deepEqual(answer.failed, [])
    assert.match(answer.stored[0]?.retrieveUrl ?? '', new RegExp(`${instancePath(instance).replaceAll('.', '\\.')}$`))
    await assertKept(instance)
  })

  it('keeps many parts of one request, of several studies', async () => {
    const studyUid = random.uid()
    const instances = Array.from({ length: 40 }, (_, n) =>
      instanceOfSize(random, random.between(10, 200_000), n % 2 === 0 ? { studyUid } : {}),
    )
    const answer = await stow(
      firn.dicomWeb,
      instances.map((one) => one.file),
    )
    assert.equal(answer.status, 200)
    assert.equal(answer.stored.length, instances.length)
    for (const instance of instances) await assertKept(instance)
  })

  it('keeps an instance sent to its own study', async () => {
    const instance = makeInstance(random)
    const answer = await stow(firn.dicomWeb, [instance.file], { studyUid: instance.studyUid })
    assert.equal(answer.status, 200)
    await assertKept(instance)
  })

  it('refuses an instance sent to another study with 409 and a reason', async () => {
    const instance = makeInstance(random)
    const answer = await stow(firn.dicomWeb, [instance.file], { studyUid: random.uid() })
    assert.equal(answer.status, 409)
    assert.deepEqual(answer.stored, [])
    assert.equal(answer.failed.length, 1)
    assert.equal(answer.failed[0]?.sopInstanceUid, instance.sopInstanceUid)
    assert.equal(answer.failed[0]?.sopClassUid, instance.sopClassUid)
    assert.ok((answer.failed[0]?.reason ?? 0) > 0)
    await assertInvisible(instance)
  })

  it('answers 202 when some parts are refused, and keeps the others', async () => {
    const good = [makeInstance(random), makeInstance(random)]
    const nameless = makeInstance(random, { attributes: { '0020000D': null } })
    const files = [good[0]?.file, nameless.file, Buffer.from('this is no DICOM'), good[1]?.file]
    const answer = await stow(
      firn.dicomWeb,
      files.map((file) => file ?? Buffer.alloc(0)),
    )
    assert.equal(answer.status, 202)
    assert.deepEqual(
      answer.stored.map((one) => one.sopInstanceUid).sort(),
      good.map((one) => one.sopInstanceUid).sort(),
    )
    assert.equal(answer.failed.length, 2)
    for (const failed of answer.failed) assert.ok(failed.reason > 0)
    assert.ok(answer.failed.some((one) => one.sopInstanceUid === nameless.sopInstanceUid))
    for (const one of good) await assertKept(one)
  })

  for (const [what, tag] of [
    ['Study Instance UID', '0020000D'],
    ['Series Instance UID', '0020000E'],
    ['SOP Instance UID', '00080018'],
    ['SOP Class UID', '00080016'],
  ] as const) {
    it(`refuses a data set without ${what}`, async () => {
      const answer = await stow(firn.dicomWeb, [makeInstance(random, { attributes: { [tag]: null } }).file])
      assert.equal(answer.status, 409)
      assert.equal(answer.failed.length, 1)
      assert.ok((answer.failed[0]?.reason ?? 0) > 0)
    })
  }

  it('refuses a DICOMDIR', async () => {
    const dicomdir = makeInstance(random, { sopClassUid: '1.2.840.10008.1.3.10' })
    const answer = await stow(firn.dicomWeb, [dicomdir.file])
    assert.equal(answer.status, 409)
    assert.equal(answer.failed.length, 1)
  })

  it('refuses a file cut inside its header, and an empty part', async () => {
    const instance = makeInstance(random)
    for (const file of [instance.file.subarray(0, 500), instance.file.subarray(0, 140), Buffer.alloc(0)]) {
      const answer = await stow(firn.dicomWeb, [file])
      assert.equal(answer.status, 409, `${file.length} bytes`)
      assert.equal(answer.failed.length, 1)
    }
    await assertInvisible(instance)
  })

  it('stores the same bytes once, with success each time', async () => {
    const instance = makeInstance(random)
    for (let n = 0; n < 3; n++) {
      const answer = await stow(firn.dicomWeb, [instance.file, instance.file])
      assert.equal(answer.status, 200)
    }
    const found = await search(firn.dicomWeb, `/studies?StudyInstanceUID=${instance.studyUid}`)
    assert.equal(first(found[0], '00201208'), '1')
    await assertKept(instance)
  })

  it('stores the same bytes once even when they come many times at once', async () => {
    const instance = instanceOfSize(random, 3_000_000)
    const before = bytesIn(firn.dataDir)
    const answers = await Promise.all(Array.from({ length: 12 }, () => stow(firn.dicomWeb, [instance.file])))
    assert.ok(answers.every((answer) => answer.status === 200))
    const grown = bytesIn(firn.dataDir) - before
    assert.ok(grown < 2 * instance.file.length, `the data folder grew by ${grown} bytes`)
    await assertKept(instance)
  })

  it('keeps both of two files with one SOP Instance UID, serves the first, lists the conflict', async () => {
    const one = instanceOfSize(random, 5_000)
    const other = instanceOfSize(random, 6_000, uidsOf(one))
    assert.equal((await stow(firn.dicomWeb, [one.file])).status, 200)
    const second = await stow(firn.dicomWeb, [other.file])
    assert.ok(second.status === 200 || second.status === 202, `status ${second.status}`)
    assert.deepEqual(second.failed, [])
    await assertKept(one)
    const conflicts = JSON.stringify(json(await firn.get('/api/v1/conflicts').then(answerOf)))
    assert.ok(conflicts.includes(one.sopInstanceUid), 'the conflict is listed')
    assert.ok(conflicts.includes(sha256(other.file)), 'with the digest of the file that is not served')
    for (const file of [one.file, other.file]) {
      const kept = await answerOf(await firn.get(`/api/v1/instances/by-digest/${sha256(file)}`))
      assert.equal(kept.status, 200)
      assert.equal(sha256(kept.bytes), sha256(file))
    }
  })

  it('keeps the first of ten different files with one SOP Instance UID that arrive at once, and all by digest', async () => {
    const one = makeInstance(random)
    const files = Array.from({ length: 10 }, () => instanceOfSize(random, 20_000, uidsOf(one)).file)
    const answers = await Promise.all(files.map((file) => stow(firn.dicomWeb, [file])))
    for (const answer of answers) assert.ok(answer.status === 200 || answer.status === 202, `status ${answer.status}`)
    const served = await retrieve(firn.dicomWeb, instancePath(one))
    assert.equal(served.length, 1)
    assert.ok(files.some((file) => file.equals(served[0] ?? Buffer.alloc(0))))
    for (const file of files) {
      const kept = await answerOf(await firn.get(`/api/v1/instances/by-digest/${sha256(file)}`))
      assert.equal(sha256(kept.bytes), sha256(file))
    }
  })

  it('answers in XML when asked', async () => {
    const good = makeInstance(random)
    const bad = makeInstance(random, { attributes: { '0020000E': null } })
    const { body, contentType } = multipart([good.file, bad.file])
    const headers = { 'content-type': contentType, accept: 'application/dicom+xml' }
    const answer = await send(`${firn.dicomWeb}/studies`, { method: 'POST', body, headers })
    assert.equal(answer.status, 202)
    assert.match(answer.headers.get('content-type') ?? '', /^application\/dicom\+xml/)
    const xml = answer.bytes.toString()
    assert.match(xml, /<NativeDicomModel/)
    for (const wanted of [
      'tag="00081199"',
      'tag="00081198"',
      'tag="00081197"',
      good.sopInstanceUid,
      bad.sopInstanceUid,
    ]) {
      assert.ok(xml.includes(wanted), wanted)
    }
  })

  it('refuses other content types with 415', async () => {
    const instance = makeInstance(random)
    const json = 'multipart/related; type="application/dicom+json"; boundary=x'
    for (const contentType of [
      'application/dicom',
      'text/plain',
      'application/json',
      'multipart/form-data; boundary=x',
      json,
    ]) {
      const { body } = multipart([instance.file], 'x')
      const answer = await stowRaw(firn.dicomWeb, body, contentType)
      assert.equal(answer.status, 415, contentType)
    }
    await assertInvisible(instance)
  })

  it('refuses a multipart type without boundary, a body without parts and one that never ends', async () => {
    const instance = makeInstance(random)
    const { body } = multipart([instance.file], 'x')
    const unbounded = await stowRaw(firn.dicomWeb, body, 'multipart/related; type="application/dicom"')
    assert.ok([400, 415].includes(unbounded.status), `no boundary: ${unbounded.status}`)
    for (const [what, bytes] of [
      ['no parts', Buffer.from('--x--\r\n')],
      ['empty', Buffer.alloc(0)],
      ['other boundary', multipart([instance.file], 'y').body],
    ] as const) {
      assert.equal((await stowRaw(firn.dicomWeb, bytes, stowType('x'))).status, 400, what)
    }
    const cut = await stowRaw(firn.dicomWeb, body.subarray(0, body.length - 40), stowType('x'))
    assert.ok(cut.status >= 400 && cut.status < 500, `cut: ${cut.status}`)
    await assertInvisible(instance)
  })
})

function bytesIn(folder: string): number {
  const entries = readdirSync(folder, { recursive: true, withFileTypes: true })
  const files = entries.filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name))
  return files.reduce((sum, file) => sum + statSync(file).size, 0)
}

async function answerOf(response: Response): Promise<{ status: number; headers: Headers; bytes: Buffer }> {
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) }
}
