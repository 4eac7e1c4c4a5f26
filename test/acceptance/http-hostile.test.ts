import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'
import http from 'node:http'
import { connect, type Socket } from 'node:net'
import { after, before, describe, it } from 'node:test'
import { Firn } from '../support/firn.ts'
import { type Instance, instanceOfSize, makeInstance, uidsOf } from '../support/instances.ts'
import { sha256 } from '../support/part10.ts'
import { newSeed, Random } from '../support/random.ts'
import { until, within } from '../support/until.ts'
import { type DataSetJson, first, get, instancePath, items, json, parts, retrieve, stow } from '../support/web.ts'

const random = new Random(newSeed())
const MIB = 1024 * 1024

const openFiles = (pid: number): number => readdirSync(`/proc/${pid}/fd`).length
const residentBytes = (pid: number): number =>
  Number(/^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1]) * 1024

/** A connection that sends and, unless `reads`, takes nothing. */
async function open(port: number, bytes: string, reads = false): Promise<Socket> {
  const socket = connect(port, '127.0.0.1')
  socket.on('error', () => undefined)
  if (reads) socket.resume()
  else socket.pause()
  await new Promise<void>((resolve) => socket.once('connect', () => socket.write(bytes, () => resolve())))
  return socket
}

/** A request whose Host header and others are the caller's choice. */
function request(
  firn: Firn,
  path: string,
  headers: Record<string, string>,
  method = 'GET',
): Promise<{ status: number; headers: http.IncomingHttpHeaders; body: string }> {
  return new Promise((resolve, reject) => {
    const sent = http.request({ port: firn.httpPort, host: '127.0.0.1', path, method, headers }, (res) => {
      let body = ''
      res.setEncoding('latin1').on('data', (text: string) => {
        body += text
      })
      res.once('end', () => resolve({ status: res.statusCode ?? 0, headers: res.headers, body }))
    })
    sent.once('error', reject).end()
  })
}

describe(`clients that cost memory or files (seed ${random.seed})`, () => {
  let firn: Firn
  let large: Instance
  before(async () => {
    firn = await Firn.start({ config: { http: { idleSeconds: 3 } } })
    large = instanceOfSize(random, 9 * MIB)
    assert.equal((await stow(firn.dicomWeb, [large.file])).status, 200)
  })
  after(() => firn.kill())

  it('reads for one request of a connection at a time', async () => {
    const before = residentBytes(firn.pid)
    const line = `GET /dicom-web${instancePath(large)} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    const socket = await open(firn.httpPort, line.repeat(200))
    await new Promise((resolve) => setTimeout(resolve, 1500))
    assert.equal((await within('/health/live', 1000, firn.get('/health/live'))).status, 200)
    const grown = residentBytes(firn.pid) - before
    socket.destroy()
    assert.ok(grown < 60 * MIB, `grew by ${Math.round(grown / MIB)} MiB`)
  })

  it('answers pipelined requests in order and whole', async () => {
    const socket = connect(firn.httpPort, '127.0.0.1')
    const chunks: Buffer[] = []
    socket.on('data', (chunk: Buffer) => chunks.push(chunk))
    const one = 'Host: localhost\r\n\r\n'
    const last = 'Host: localhost\r\nConnection: close\r\n\r\n'
    socket.write(`GET /dicom-web${instancePath(large)}?accept=application/dicom HTTP/1.1\r\n${one}`.repeat(3))
    socket.write(`GET /health/live HTTP/1.1\r\n${one}HEAD /dicom-web/studies HTTP/1.1\r\n${one}`)
    socket.write(`GET /no/such HTTP/1.1\r\n${last}`)
    await within('the answers', 20_000, new Promise<void>((resolve) => socket.once('close', () => resolve())))
    const answer = Buffer.concat(chunks)
    let at = 0
    for (let n = 0; n < 3; n++) {
      const file = answer.indexOf(large.file, at)
      assert.ok(file > at, `file ${n}`)
      at = file + large.file.length
    }
    assert.match(answer.toString('latin1', at), /^HTTP\/1\.1 200.*live.*HTTP\/1\.1 20[04].*HTTP\/1\.1 404/s)
  })

  it('keeps within its memory though many clients read nothing, serves others, and lets those go', async () => {
    const before = residentBytes(firn.pid)
    const line = `GET /dicom-web${instancePath(large)} HTTP/1.1\r\nHost: localhost\r\n\r\n`
    const stalled = await Promise.all(Array.from({ length: 120 }, () => open(firn.httpPort, line)))
    let closed = 0
    for (const socket of stalled) socket.once('close', () => closed++)
    await new Promise((resolve) => setTimeout(resolve, 1000))
    const grown = residentBytes(firn.pid) - before
    assert.ok(grown < 200 * MIB, `grew by ${Math.round(grown / MIB)} MiB`)
    const [file] = await within('another client', 10_000, retrieve(firn.dicomWeb, instancePath(large)))
    assert.ok(file?.equals(large.file))
    // A paused socket doesn't learn that the other side has gone before it reads again.
    await new Promise((resolve) => setTimeout(resolve, 9000))
    for (const socket of stalled) socket.resume()
    await until('the stalled connections to be closed', () => closed === stalled.length, 20_000)
  })

  it('leaves no file open behind HEAD, a client that goes, and answers that were not wanted', async () => {
    const small = makeInstance(random)
    assert.equal((await stow(firn.dicomWeb, [small.file])).status, 200)
    assert.equal((await get(`${firn.dicomWeb}/studies/${small.studyUid}/metadata`)).status, 200)
    const before = openFiles(firn.pid)
    const paths = [`/studies/${small.studyUid}/metadata`, instancePath(small), `/studies/${small.studyUid}`]
    const lines = paths.map((path) => `HEAD /dicom-web${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`).join('')
    for (let n = 0; n < 5; n++) {
      const socket = await open(firn.httpPort, lines.repeat(100), true)
      await new Promise((resolve) => setTimeout(resolve, 300))
      assert.ok(openFiles(firn.pid) <= before + 20, `${openFiles(firn.pid)} open files, ${before} before`)
      socket.destroy()
    }
    for (const path of [...paths, instancePath(large)]) {
      const socket = await open(firn.httpPort, `GET /dicom-web${path} HTTP/1.1\r\nHost: localhost\r\n\r\n`)
      socket.destroy()
    }
    await until('the files to be closed', () => openFiles(firn.pid) <= before + 8, 10_000)
    const head = await request(firn, `/dicom-web${paths[0]}`, {}, 'HEAD')
    assert.deepEqual([head.status, head.body], [200, ''])
    assert.equal((await request(firn, '/dicom-web/studies/1.2.3.4/metadata', {}, 'HEAD')).status, 404)
  })
})

describe('names, addresses and headers of others', () => {
  let firn: Firn
  const instance = makeInstance(random)
  before(async () => {
    firn = await Firn.start({ config: { http: { publicUrl: 'http://pacs.example:8042', trustProxy: true } } })
  })
  after(() => firn.kill())

  it('answers 421 to a name that is not its own, and says what to do', async () => {
    for (const host of ['localhost', `127.0.0.1:${firn.httpPort}`, '[::1]:1', 'pacs.example:8042', 'PACS.example']) {
      const answer = await request(firn, '/dicom-web/studies', { host })
      assert.ok([200, 204].includes(answer.status), `${host}: ${answer.status}`)
    }
    for (const host of ['evil.example', `evil.example:${firn.httpPort}`, '127.0.0.1.evil.example']) {
      for (const path of ['/dicom-web/studies', '/api/v1/status', '/metrics', '/wado']) {
        const answer = await request(firn, path, { host })
        assert.equal(answer.status, 421, `${host} ${path}`)
        assert.match(answer.body, /http\.publicUrl/)
      }
    }
  })

  it('believes of a proxy what can be an address, the one that the proxy itself saw', async () => {
    const addressOf = async (forwarded: string): Promise<string> => {
      const one = makeInstance(random)
      const answer = await stow(firn.dicomWeb, [one.file], { headers: { 'x-forwarded-for': forwarded } })
      assert.equal(answer.status, 200)
      const info = await firn.get(`/api/v1/instances/by-digest/${sha256(one.file)}/info`)
      return ((await info.json()) as { source: { address: string } }).source.address
    }
    assert.equal(await addressOf('10.1.2.3'), '10.1.2.3')
    assert.equal(await addressOf('6.6.6.6, 10.1.2.3'), '10.1.2.3')
    assert.equal(await addressOf('a'.repeat(2000)), '')
    assert.equal(await addressOf('10.1.2.3"}'), '')
  })

  it('ignores a range that makes no sense, and ranges of HEAD', async () => {
    assert.equal((await stow(firn.dicomWeb, [instance.file])).status, 200)
    const path = `/dicom-web${instancePath(instance)}?accept=application/dicom`
    const status = async (range: string, method = 'GET') => (await request(firn, path, { range }, method)).status
    assert.equal(await status('bytes=5-2'), 200)
    assert.equal(await status('bytes=-'), 200)
    assert.equal(await status('bytes=2-5'), 206)
    assert.equal(await status('bytes=-0'), 416)
    assert.equal(await status(`bytes=${instance.file.length}-`), 416)
    assert.equal(await status('bytes=2-5', 'HEAD'), 200)
  })
})

describe('what a proxy says of the scheme', () => {
  it('gets into URLs only as http or https', async () => {
    const firn = await Firn.start({ config: { http: { trustProxy: true } } })
    try {
      const one = makeInstance(random)
      assert.equal((await stow(firn.dicomWeb, [one.file])).status, 200)
      for (const [proto, scheme] of [
        ['https', 'https'],
        ['javascript"', 'http'],
      ] as const) {
        const answer = await request(firn, '/dicom-web/studies', { 'x-forwarded-proto': proto })
        assert.ok(answer.body.includes(`"${scheme}://127.0.0.1:`), answer.body)
      }
    } finally {
      await firn.kill()
    }
  })
})

describe('forms and warnings of the standard', () => {
  let firn: Firn
  const studyUid = random.uid()
  const instances = Array.from({ length: 3 }, () => makeInstance(random, { studyUid }))
  before(async () => {
    firn = await Firn.start()
    const files = instances.map(({ file }) => file)
    assert.equal((await stow(firn.dicomWeb, files)).status, 200)
  })
  after(() => firn.kill())

  it('gives metadata in XML, instance by instance', async () => {
    const xml = 'multipart/related; type="application/dicom+xml"'
    const answer = await get(`${firn.dicomWeb}/studies/${studyUid}/metadata`, xml)
    const found = parts(answer)
    assert.equal(found.length, 3)
    for (const part of found) assert.match(part.body.toString(), /^<\?xml .*<NativeDicomModel .*<\/NativeDicomModel>$/s)
    for (const { sopInstanceUid } of instances) {
      const needle = `>${sopInstanceUid}</Value>`
      assert.equal(found.filter((part) => part.body.includes(needle)).length, 1)
    }
    const json = await get(`${firn.dicomWeb}/studies/${studyUid}/metadata`, 'application/dicom+json')
    assert.notEqual(json.headers.get('etag'), answer.headers.get('etag'))
    assert.equal((await get(`${firn.dicomWeb}/studies/${studyUid}/metadata`, 'image/png')).status, 406)
  })

  it('takes `accept` in the query of searches and metadata', async () => {
    for (const [path, accept, type] of [
      ['/studies', 'application/dicom%2Bjson', /^application\/dicom\+json/],
      ['/studies', 'application/dicom%2Bxml', /^multipart\/related; type="application\/dicom\+xml"/],
      [
        `/studies/${studyUid}/metadata`,
        'application/dicom%2Bxml',
        /^multipart\/related; type="application\/dicom\+xml"/,
      ],
    ] as const) {
      const answer = await get(`${firn.dicomWeb}${path}?accept=${accept}`, 'application/dicom+json')
      assert.equal(answer.status, 200, path)
      assert.match(answer.headers.get('content-type') ?? '', type)
    }
  })

  it('warns the sender of a conflict, and gives no URL of other bytes', async () => {
    const one = makeInstance(random)
    assert.equal((await stow(firn.dicomWeb, [one.file])).status, 200)
    const other = instanceOfSize(random, 30_000, uidsOf(one))
    const answer = await stow(firn.dicomWeb, [other.file])
    assert.equal(answer.status, 202)
    const [item] = items(json<DataSetJson>(answer), '00081199')
    assert.equal(first(item, '00081155'), one.sopInstanceUid)
    assert.equal(first(item, '00081190'), '')
    assert.equal(first(item, '00081196'), String(0xb100))
    assert.match(first(item, '00091001'), new RegExp(sha256(other.file)))
    assert.match(answer.headers.get('warning') ?? '', /came first/)
    // Once more it is a conflict that is known; the first one's bytes are a mere duplicate.
    assert.equal((await stow(firn.dicomWeb, [one.file])).status, 200)
  })

  it('refuses patterns that no database takes, and says which', async () => {
    for (const key of ['PatientName', 'PatientID', 'ModalitiesInStudy', 'StudyDescription']) {
      for (const value of [`*${'a'.repeat(14_000)}*`, `*${'%EF%B7%BA'.repeat(1_600)}?`]) {
        const answer = await request(firn, `/dicom-web/studies?${key}=${value}`, { accept: 'application/dicom+json' })
        assert.ok([204, 400].includes(answer.status), `${key}: ${answer.status} ${answer.body.slice(0, 200)}`)
      }
    }
  })
})
