import assert from 'node:assert/strict'
import { connect } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { Firn } from '../support/firn.ts'
import { type Instance, instanceOfSize, makeInstance, uidsOf } from '../support/instances.ts'
import { multipart, stowType } from '../support/multipart.ts'
import { sha256 } from '../support/part10.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
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

  it('understands unusual but valid framing', async () => {
    const odd: [string, (i: Instance) => { body: Buffer; contentType: string }][] = [
      [
        'unquoted boundary',
        (i) => ({
          ...multipart([i.file], 'abc'),
          contentType: 'multipart/related; boundary=abc; type=application/dicom',
        }),
      ],
      ['boundary of 70 characters', (i) => multipart([i.file], `0123456789'()+_,-./:=?${'z'.repeat(48)}`)],
      [
        'capitals in the type',
        (i) => ({
          ...multipart([i.file], 'aB'),
          contentType: 'Multipart/Related; Type="Application/DICOM"; Boundary="aB"',
        }),
      ],
      [
        'preamble and epilogue',
        (i) => {
          const { body, contentType } = multipart([i.file], 'p')
          return { contentType, body: Buffer.concat([Buffer.from('ignore me\r\n'), body, Buffer.from('and me')]) }
        },
      ],
      [
        'no CRLF after the end',
        (i) => {
          const { body, contentType } = multipart([i.file], 'e')
          return { contentType, body: body.subarray(0, body.length - 2) }
        },
      ],
      [
        'blanks after the boundary',
        (i) => {
          const { body, contentType } = multipart([i.file], 'w')
          return { contentType, body: Buffer.concat([Buffer.from('--w \t\r\n'), body.subarray(5)]) }
        },
      ],
      ['no part headers', (i) => multipart([i.file], 'n', '')],
      [
        'more part headers',
        (i) =>
          multipart(
            [i.file],
            'm',
            'content-type: application/dicom; transfer-syntax=1.2.840.10008.1.2.1\r\nContent-Location: x\r\nContent-ID: <1>\r\n',
          ),
      ],
    ]
    for (const [what, frame] of odd) {
      const instance = makeInstance(random)
      const { body, contentType } = frame(instance)
      assert.equal((await stowRaw(firn.dicomWeb, body, contentType)).status, 200, what)
      await assertKept(instance)
    }
  })

  it('is not confused by boundary look-alikes inside the pixel data', async () => {
    const lures = ['\r\n--lur', '\r\n-', '\r\n--', '\r\n\r\n--lurE--', '--lure\r\n', '\n--lure']
    const pixels = Buffer.from(lures.join('').padEnd(1_000, '\r\n--lur'))
    const instance = makeInstance(random, { pixelData: pixels })
    const { body, contentType } = multipart([instance.file], 'lure')
    assert.equal((await stowRaw(firn.dicomWeb, body, contentType)).status, 200)
    await assertKept(instance)
  })

  it('takes a chunked body split at every byte around the boundaries', async () => {
    const instances = [makeInstance(random), makeInstance(random)]
    const { body, contentType } = multipart(instances.map((one) => one.file))
    let at = 0
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (at >= body.length) return controller.close()
        const size = at < 120 || at > body.length - 120 ? 1 : random.between(1, 97)
        controller.enqueue(body.subarray(at, at + size))
        at += size
      },
    })
    assert.equal((await stowRaw(firn.dicomWeb, stream, contentType)).status, 200)
    for (const instance of instances) await assertKept(instance)
  })

  it('answers "100 Continue" to a client that waits for it', async () => {
    const instance = makeInstance(random)
    const { body, contentType } = multipart([instance.file])
    const answer = await rawRequest(firn, contentType, body, body.length, 'Expect: 100-continue\r\n')
    assert.match(answer, /^HTTP\/1\.1 100 /)
    assert.match(answer, /HTTP\/1\.1 200 /)
    await assertKept(instance)
  })

  it('leaves nothing of a request whose client goes away in the middle of a part', async () => {
    const [whole, cut] = [instanceOfSize(random, 100_000), instanceOfSize(random, 9_000_000)]
    const { body, contentType } = multipart([whole.file, cut.file])
    for (const length of [whole.file.length + 10_000, body.length - 5_000, 5_000]) {
      await abortedRequest(firn, contentType, body.subarray(0, length), body.length)
    }
    // The aborts are noticed asynchronously; a later request of the same kind shows that Firn is through with them.
    const later = makeInstance(random)
    assert.equal((await stow(firn.dicomWeb, [later.file])).status, 200)
    await assertInvisible(cut)
    // The first part was complete: it may have been kept, but then whole.
    const found = await search(firn.dicomWeb, `/instances?SOPInstanceUID=${whole.sopInstanceUid}`)
    if (found.length > 0) await assertKept(whole)
    assert.equal((await stow(firn.dicomWeb, [cut.file])).status, 200)
    await assertKept(cut)
  })
})

async function answerOf(response: Response): Promise<{ status: number; headers: Headers; bytes: Buffer }> {
  return { status: response.status, headers: response.headers, bytes: Buffer.from(await response.arrayBuffer()) }
}

function requestHead(firn: Firn, contentType: string, length: number, extra = ''): string {
  const lines = ['POST /dicom-web/studies HTTP/1.1', `Host: 127.0.0.1:${firn.httpPort}`, `Content-Type: ${contentType}`]
  return `${lines.join('\r\n')}\r\nContent-Length: ${length}\r\nConnection: close\r\n${extra}\r\n`
}

/** Sends the head, waits for a first answer, sends the body, and returns all that came back. */
async function rawRequest(
  firn: Firn,
  contentType: string,
  body: Buffer,
  length: number,
  extra: string,
): Promise<string> {
  const socket = connect(firn.httpPort, '127.0.0.1')
  let received = ''
  let closed = false
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    received += chunk
  })
  socket.on('close', () => {
    closed = true
  })
  socket.on('error', () => {})
  socket.write(requestHead(firn, contentType, length, extra))
  await until('100 Continue', () => received.includes('\r\n\r\n'))
  socket.write(body)
  await until('the answer', () => closed)
  return received
}

async function abortedRequest(firn: Firn, contentType: string, start: Buffer, length: number): Promise<void> {
  const socket = connect(firn.httpPort, '127.0.0.1')
  socket.on('error', () => {})
  await new Promise<void>((resolve) => {
    socket.write(requestHead(firn, contentType, length))
    socket.write(start, () => {
      socket.destroy()
      resolve()
    })
  })
}
