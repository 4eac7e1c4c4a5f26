import assert from 'node:assert/strict'
import { writeFileSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { Firn } from '../support/firn.ts'
import { installed, run, skipUnless, tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize, makeInstance } from '../support/instances.ts'
import { multipart } from '../support/multipart.ts'
import { newSeed, Random } from '../support/random.ts'
import { until, within } from '../support/until.ts'
import { get, instancePath, retrieve, search, stow, stowRaw } from '../support/web.ts'

const random = new Random(newSeed())

describe(`STOW-RS as a stream (seed ${random.seed})`, () => {
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
    assert.ok(got[0]?.equals(instance.file))
  }

  async function assertInvisible(instance: Instance): Promise<void> {
    const found = await search(firn.dicomWeb, `/instances?SOPInstanceUID=${instance.sopInstanceUid}`)
    assert.deepEqual(found, [])
    const got = await get(firn.dicomWeb + instancePath(instance), 'multipart/related; type="application/dicom"')
    assert.equal(got.status, 404)
  }

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
      // RFC 2046 allows 70; Orthanc's DICOMweb plugin sends 73.
      ['boundary of 73 characters', (i) => multipart([i.file], `${'0123456789ab'.repeat(6)}c`)],
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

  it('takes what curl sends as the README says', {
    skip: skipUnless(installed('curl'), 'curl is not installed'),
  }, async () => {
    const instance = makeInstance(random)
    const path = join(tempDir('curl'), 'image.dcm')
    writeFileSync(path, instance.file)
    const type = 'Content-Type: multipart/related; type="application/dicom"'
    const args = ['-sS', '-f', '-F', `file=@${path};type=application/dicom`, '-H', type, `${firn.dicomWeb}/studies`]
    const ended = await run('curl', args)
    assert.equal(ended.code, 0, ended.stderr)
    assert.ok(ended.stdout.includes(instance.sopInstanceUid))
    await assertKept(instance)
  })

  it('answers "100 Continue" to a client that waits for it', async () => {
    const instance = makeInstance(random)
    const { body, contentType } = multipart([instance.file])
    const answer = await rawRequest(firn, contentType, body, body.length, 'Expect: 100-continue\r\n')
    assert.match(answer, /^HTTP\/1\.1 100 /)
    assert.match(answer, /HTTP\/1\.1 200 /)
    await assertKept(instance)
  })

  it('takes many instances at once that together exceed its buffer, and small ones beside stalled large ones', async () => {
    const stalled: Socket[] = []
    for (let n = 0; n < 20; n++) {
      const { body, contentType } = multipart([instanceOfSize(random, 4_000_000).file])
      stalled.push(await startedRequest(firn, contentType, body.subarray(0, 3_900_000), body.length))
    }
    try {
      const instances = Array.from({ length: 48 }, () => instanceOfSize(random, 4_000_000))
      const small = makeInstance(random)
      const sending = [small, ...instances].map((one) => stow(firn.dicomWeb, [one.file]))
      const answers = await within('all to be stored', 40_000, Promise.all(sending))
      const others = answers
        .filter((answer) => answer.status !== 200)
        .map((answer) => answer.bytes.toString().slice(0, 400))
      assert.deepEqual(others, [])
      await assertKept(small)
    } finally {
      for (const socket of stalled) socket.destroy()
    }
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
  const socket = await startedRequest(firn, contentType, start, length)
  socket.destroy()
}

/** A request that has sent `start` of its body and stays there. */
async function startedRequest(firn: Firn, contentType: string, start: Buffer, length: number): Promise<Socket> {
  const socket = connect(firn.httpPort, '127.0.0.1')
  socket.on('error', () => {})
  socket.write(requestHead(firn, contentType, length))
  // A server that holds back must not stop the test.
  await Promise.race([new Promise<void>((resolve) => socket.write(start, () => resolve())), delay(1_000)])
  return socket
}
