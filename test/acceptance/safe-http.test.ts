import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { connect, type Socket } from 'node:net'
import { dirname } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Association } from '../support/dimse.ts'
import { Firn } from '../support/firn.ts'
import { makeInstance } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { until, within } from '../support/until.ts'
import { get, instancePath, retrieve, search, send, stow } from '../support/web.ts'

const random = new Random(newSeed())

/** Sends raw bytes and collects what comes back until the server closes the connection. */
async function raw(port: number, bytes: string): Promise<string> {
  const socket = connect(port, '127.0.0.1')
  let received = ''
  let closed = false
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    received += chunk
  })
  socket.on('error', () => {})
  socket.on('close', () => {
    closed = true
  })
  socket.write(bytes)
  await until('an answer or the end', () => closed || /^HTTP\/1\.1 \d+/.test(received))
  socket.destroy()
  return received
}

async function open(port: number, bytes: string): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => {})
  await new Promise<void>((resolve, reject) => {
    socket.once('connect', () => socket.write(bytes, () => resolve())).once('error', reject)
  })
  return socket
}

describe(`hostile HTTP (seed ${random.seed})`, () => {
  let firn: Firn
  const name = 'Zelda'
  const good = makeInstance(random, { patientName: `Geheim^${name}`, patientId: 'SECRET4711' })
  before(async () => {
    const http = { headersSeconds: 2, idleSeconds: 2 }
    firn = await Firn.start({ config: { http, dimse: { idleSeconds: 2, artimSeconds: 2 } } })
    assert.equal((await stow(firn.dicomWeb, [good.file])).status, 200)
  })
  after(async () => {
    await firn.kill()
  })

  async function assertWell(): Promise<void> {
    assert.equal((await within('/health/live', 1_000, firn.get('/health/live'))).status, 200)
    assert.equal((await retrieve(firn.dicomWeb, instancePath(good))).length, 1)
  }

  const evilUids = [
    '../../../../tmp/evil',
    '..',
    '/etc/passwd',
    'a/b',
    '1.2.3\0.4',
    "1'; DROP TABLE instances; --",
    '1'.repeat(65),
    '1..2',
    '.1',
  ]
  for (const uid of evilUids) {
    it(`refuses the UID ${JSON.stringify(uid)} or keeps it harmlessly`, async () => {
      const folder = readdirSync(dirname(firn.dataDir)).sort()
      for (const part of ['studyUid', 'seriesUid', 'sopInstanceUid'] as const) {
        const instance = makeInstance(random, { [part]: uid })
        const answer = await stow(firn.dicomWeb, [instance.file])
        assert.ok(answer.status === 409 || answer.status === 200, `${part}: ${answer.status}`)
        const { sopClassUid, sopInstanceUid, transferSyntaxUid } = instance
        const association = await Association.open(firn.dimsePort, [
          { sopClassUid, transferSyntaxUids: [transferSyntaxUid] },
        ])
        await association.store(sopClassUid, sopInstanceUid, transferSyntaxUid, instance.dataSet).catch(() => {})
        association.destroy()
      }
      for (const path of [`/studies/${encodeURIComponent(uid)}`, `/studies/${encodeURIComponent(uid)}/metadata`]) {
        const answer = await get(firn.dicomWeb + path, '*/*')
        assert.ok([200, 400, 404].includes(answer.status), `${path}: ${answer.status}`)
        assert.doesNotMatch(answer.bytes.toString('latin1'), /root:/)
      }
      assert.ok(!existsSync('/tmp/evil'))
      const others = readdirSync(dirname(firn.dataDir)).filter(
        (entry) => !entry.startsWith('firn-') && !folder.includes(entry),
      )
      assert.deepEqual(
        others.filter((entry) => entry.includes('evil')),
        [],
      )
      await assertWell()
    })
  }

  it('takes no path out of its routes', async () => {
    for (const path of [
      '/dicom-web/../../etc/passwd',
      '/dicom-web/studies/..%2f..%2fetc%2fpasswd',
      '/%2e%2e/%2e%2e/etc/passwd',
      '//etc/passwd',
      '/%',
      '/dicom-web/studies/%ff',
    ]) {
      const answer = await raw(firn.httpPort, `GET ${path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n`)
      assert.match(answer, /^HTTP\/1\.1 4\d\d /, path)
      assert.doesNotMatch(answer, /root:|\n {4}at /)
    }
    await assertWell()
  })

  it('treats SQL in a query as text', async () => {
    for (const value of [
      "' OR '1'='1",
      "'; DROP TABLE studies; --",
      '" OR 1=1 --',
      '\\',
      '%',
      '_',
      '\u0000',
      "x' UNION SELECT 1,2,3 --",
      '*'.repeat(200),
    ]) {
      for (const key of [
        'PatientName',
        'PatientID',
        'StudyInstanceUID',
        'StudyDate',
        'AccessionNumber',
        'ModalitiesInStudy',
        'limit',
        'includefield',
      ]) {
        const answer = await get(
          `${firn.dicomWeb}/studies?${key}=${encodeURIComponent(value)}`,
          'application/dicom+json',
        )
        assert.ok([200, 204, 400].includes(answer.status), `${key}=${value}: ${answer.status}`)
      }
      const key = encodeURIComponent(value)
      assert.ok(
        [200, 204, 400].includes((await get(`${firn.dicomWeb}/studies?${key}=1`, 'application/dicom+json')).status),
        value,
      )
    }
    assert.equal((await search(firn.dicomWeb, '/studies?PatientID=SECRET4711')).length, 1)
  })

  it('refuses headers without end', async () => {
    for (const bomb of [
      `X-Big: ${'a'.repeat(1_000_000)}\r\n`,
      Array.from({ length: 20_000 }, (_, n) => `X-${n}: y\r\n`).join(''),
    ]) {
      const answer = await raw(firn.httpPort, `GET /health/live HTTP/1.1\r\nHost: x\r\n${bomb}\r\n`)
      assert.doesNotMatch(answer, /^HTTP\/1\.1 2/)
    }
    const url = await raw(
      firn.httpPort,
      `GET /dicom-web/studies?PatientID=${'a'.repeat(200_000)} HTTP/1.1\r\nHost: x\r\n\r\n`,
    )
    assert.doesNotMatch(url, /^HTTP\/1\.1 2/)
    await assertWell()
  })

  it('refuses what is no HTTP', async () => {
    for (const bytes of [
      '\0\x01\x02\x03'.repeat(1_000),
      'GET\r\n\r\n',
      'POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n',
    ]) {
      assert.doesNotMatch(await raw(firn.httpPort, bytes), /^HTTP\/1\.1 2/)
    }
    await assertWell()
  })

  it('lets go of clients that dawdle, in headers, in a body and in an association, and serves others meanwhile', async () => {
    const type = 'Content-Type: multipart/related; type="application/dicom"; boundary=x\r\nContent-Length: 1000000\r\n'
    const sockets: Socket[] = []
    for (let n = 0; n < 30; n++) {
      sockets.push(await open(firn.httpPort, 'GET / HTTP/1.1\r\nHost: x\r\nX-Slow: '))
      sockets.push(
        await open(firn.httpPort, `POST /dicom-web/studies HTTP/1.1\r\nHost: x\r\n${type}\r\n--x\r\n\r\nabc`),
      )
      sockets.push(await open(firn.dimsePort, '\x01\0\0\0\x01\0slow'))
    }
    await assertWell()
    let closed = 0
    for (const socket of sockets) socket.on('close', () => closed++).resume()
    await until('all slow connections to be closed', () => closed === sockets.length, 40_000)
    await assertWell()
  })

  it('sends protective headers, and names neither its framework nor its files', async () => {
    for (const path of ['/health/live', '/dicom-web/studies', '/no/such/path']) {
      const answer = await get(firn.url + path)
      assert.equal(answer.headers.get('x-powered-by'), null)
      assert.equal(answer.headers.get('x-content-type-options'), 'nosniff')
      assert.doesNotMatch(answer.bytes.toString(), /node_modules|\.ts:\d|\.js:\d/)
    }
    assert.equal((await get(`${firn.url}/no/such/path`)).status, 404)
  })

  it('answers 405 or 404 to methods that a route does not have', async () => {
    for (const [method, path] of [
      ['DELETE', '/dicom-web/studies/1.2.3'],
      ['PUT', '/dicom-web/studies'],
      ['POST', '/health/live'],
      ['PATCH', '/api/v1/changes'],
    ] as const) {
      const answer = await send(firn.url + path, { method })
      assert.ok([404, 405].includes(answer.status), `${method} ${path}: ${answer.status}`)
    }
  })

  it('answers with the correlation ID that its log carries', async () => {
    const answer = await get(`${firn.url}/dicom-web/studies`, 'application/dicom+json')
    const id = answer.headers.get('x-request-id') ?? answer.headers.get('x-correlation-id')
    assert.ok(id, 'a header with the ID')
  })

  it('writes no patient data to its log', async () => {
    await search(firn.dicomWeb, `/studies?PatientName=${name}*&PatientID=SECRET4711`)
    await get(`${firn.dicomWeb}/studies?PatientName=${name}&NoSuchKey=SECRET4711`)
    assert.equal((await firn.stop()).code, 0)
    assert.doesNotMatch(firn.log, /Geheim|Zelda|SECRET4711/)
    for (const line of firn.log.split('\n').filter((each) => each.startsWith('{'))) JSON.parse(line)
    assert.doesNotMatch(firn.log, /uncaught/i)
  })
})
