import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { encapsulatedFrame, sopClasses, type TransferSyntax } from '../fixtures/dicom.ts'
import { Firn } from '../support/firn.ts'
import { type Instance, instanceOfSize, makeInstance } from '../support/instances.ts'
import { sha256 } from '../support/part10.ts'
import { newSeed, Random } from '../support/random.ts'
import {
  type Answer,
  type DataSetJson,
  first,
  get,
  instancePath,
  json,
  parts,
  retrieve,
  send,
  stow,
} from '../support/web.ts'
import { unzip } from '../support/zip.ts'

const random = new Random(newSeed())
const AS_STORED = 'multipart/related; type="application/dicom"; transfer-syntax=*'

function digests(files: readonly Buffer[]): string[] {
  return files.map((file) => sha256(file)).sort()
}

describe(`WADO-RS (seed ${random.seed})`, () => {
  let firn: Firn
  const studyUid = random.uid()
  const seriesUids = [random.uid(), random.uid()] as const
  const study: Instance[] = []
  for (let n = 0; n < 12; n++) {
    const options = { studyUid, seriesUid: seriesUids[n % 2] ?? '', instanceNumber: n + 1, patientName: 'Doe^Jane' }
    study.push(instanceOfSize(random, random.between(1, 100_000), options))
  }
  const one = study[0] as Instance
  const jpeg = makeInstance(random, { transferSyntax: 'jpegBaseline' })

  before(async () => {
    firn = await Firn.start()
    const files = [...study, jpeg].map((instance) => instance.file)
    assert.equal((await stow(firn.dicomWeb, files)).status, 200)
  })
  after(async () => {
    await firn.kill()
  })

  async function at(path: string, accept?: string, headers?: Record<string, string>): Promise<Answer> {
    return await get(firn.dicomWeb + path, accept, headers)
  }

  it('gives a study, a series and an instance as stored', async () => {
    const inSeries = study.filter((instance) => instance.seriesUid === seriesUids[1])
    const wanted: [string, Instance[]][] = [
      [`/studies/${studyUid}`, study],
      [`/studies/${studyUid}/series/${seriesUids[1]}`, inSeries],
      [instancePath(one), [one]],
    ]
    for (const [path, instances] of wanted) {
      const got = await retrieve(firn.dicomWeb, path)
      assert.deepEqual(digests(got), digests(instances.map((instance) => instance.file)), path)
    }
  })

  it('names type and transfer syntax of each part', async () => {
    const answer = await at(instancePath(jpeg), AS_STORED)
    assert.match(answer.headers.get('content-type') ?? '', /^multipart\/related;.*type="application\/dicom"/)
    const type = parts(answer)[0]?.headers.get('content-type') ?? ''
    assert.match(type, /^application\/dicom/)
    assert.ok(type.includes(jpeg.transferSyntaxUid), type)
  })

  it('answers alike for a given transfer syntax, * and none, as long as the stored one fits', async () => {
    const base = 'multipart/related; type="application/dicom"'
    for (const accept of [
      `${base}; transfer-syntax=${one.transferSyntaxUid}`,
      `${base}; transfer-syntax=*`,
      base,
      '*/*',
      undefined,
    ]) {
      const got = parts(await at(instancePath(one), accept)).map((part) => part.body)
      assert.deepEqual(digests(got), digests([one.file]), String(accept))
    }
    const exact = await at(instancePath(jpeg), `${base}; transfer-syntax=${jpeg.transferSyntaxUid}`)
    assert.deepEqual(digests(parts(exact).map((part) => part.body)), digests([jpeg.file]))
  })

  it('answers 406 where a type or a transfer syntax cannot be given', async () => {
    const base = 'multipart/related; type="application/dicom"'
    for (const [instance, accept] of [
      [jpeg, `${base}; transfer-syntax=1.2.840.10008.1.2.1`],
      [one, `${base}; transfer-syntax=1.2.840.10008.1.2.4.90`],
      [one, 'text/html'],
      [one, 'multipart/related; type="text/plain"'],
    ] as const) {
      assert.equal((await at(instancePath(instance), accept)).status, 406, accept)
    }
  })

  it('looks through all that a client accepts, not only the first', async () => {
    const base = 'multipart/related; type="application/dicom"'
    const accepts = [
      `${base}; transfer-syntax=1.2.840.10008.1.2.4.90, ${base}; transfer-syntax=*;q=0.5`,
      `${base}; transfer-syntax=1.2.840.10008.1.2.4.90, ${base}; transfer-syntax=${one.transferSyntaxUid}`,
      `text/html, ${base}`,
    ]
    for (const accept of accepts) {
      const got = parts(await at(instancePath(one), accept)).map((part) => part.body)
      assert.deepEqual(digests(got), digests([one.file]), accept)
    }
  })

  it('gives a single instance without multipart, with ranges', async () => {
    const whole = await at(instancePath(one), 'application/dicom; transfer-syntax=*')
    assert.equal(whole.status, 200)
    assert.match(whole.headers.get('content-type') ?? '', /^application\/dicom(;|$)/)
    assert.equal(sha256(whole.bytes), sha256(one.file))
    const size = one.file.length
    for (const [range, start, end] of [
      ['bytes=0-99', 0, 100],
      ['bytes=100-', 100, size],
      ['bytes=-50', size - 50, size],
      [`bytes=10-${size + 1000}`, 10, size],
    ] as const) {
      const part = await at(instancePath(one), 'application/dicom; transfer-syntax=*', { range })
      assert.equal(part.status, 206, range)
      assert.equal(part.headers.get('content-range'), `bytes ${start}-${end - 1}/${size}`)
      assert.ok(part.bytes.equals(one.file.subarray(start, end)), range)
    }
    const beyond = await at(instancePath(one), 'application/dicom; transfer-syntax=*', { range: `bytes=${size}-` })
    assert.equal(beyond.status, 416)
  })

  it('answers HEAD with the headers of GET and no body', async () => {
    for (const path of [`/studies/${studyUid}`, instancePath(one), `${instancePath(one)}/metadata`]) {
      const accept = path.endsWith('metadata') ? 'application/dicom+json' : AS_STORED
      const head = await send(firn.dicomWeb + path, { method: 'HEAD', headers: { accept } })
      assert.equal(head.status, 200, path)
      assert.equal(head.bytes.length, 0)
      const type = (await at(path, accept)).headers.get('content-type') ?? ''
      const kind = (value: string) => value.split(';')[0]
      assert.equal(kind(head.headers.get('content-type') ?? ''), kind(type))
    }
    const nothing = await send(`${firn.dicomWeb}/studies/${random.uid()}`, {
      method: 'HEAD',
      headers: { accept: AS_STORED },
    })
    assert.equal(nothing.status, 404)
  })

  it('answers 304 to a conditional request while nothing has changed, 200 afterwards', async () => {
    const mine = makeInstance(random)
    await stow(firn.dicomWeb, [mine.file])
    for (const [path, accept] of [
      [instancePath(mine), AS_STORED],
      [`/studies/${mine.studyUid}/metadata`, 'application/dicom+json'],
    ] as const) {
      const etag = (await at(path, accept)).headers.get('etag')
      assert.ok(etag, `${path} has an ETag`)
      assert.equal((await at(path, accept, { 'if-none-match': etag })).status, 304)
      assert.equal((await at(path, accept, { 'if-none-match': '"other"' })).status, 200)
    }
    const path = `/studies/${mine.studyUid}/metadata`
    const etag = (await at(path, 'application/dicom+json')).headers.get('etag') ?? ''
    await stow(firn.dicomWeb, [makeInstance(random, { studyUid: mine.studyUid }).file])
    assert.equal((await at(path, 'application/dicom+json', { 'if-none-match': etag })).status, 200)
  })

  it('answers 404 for what is not there, and for another parent', async () => {
    const foreign = { ...one, studyUid: jpeg.studyUid }
    const paths = [
      `/studies/${random.uid()}`,
      `/studies/${studyUid}/series/${random.uid()}`,
      `/studies/${studyUid}/series/${seriesUids[0]}/instances/${random.uid()}`,
      instancePath(foreign),
      instancePath({ ...one, seriesUid: seriesUids[1] }),
    ]
    for (const path of paths) assert.equal((await at(path, AS_STORED)).status, 404, path)
    for (const path of paths) assert.equal((await at(`${path}/metadata`, 'application/dicom+json')).status, 404, path)
  })

  it('gives metadata at all three levels, with bulk data by reference', async () => {
    for (const [path, count] of [
      [`/studies/${studyUid}/metadata`, study.length],
      [`/studies/${studyUid}/series/${seriesUids[0]}/metadata`, study.length / 2],
      [`${instancePath(one)}/metadata`, 1],
    ] as const) {
      const answer = await at(path, 'application/dicom+json')
      assert.equal(answer.status, 200, path)
      assert.match(answer.headers.get('content-type') ?? '', /^application\/dicom\+json/)
      const list = json<DataSetJson[]>(answer)
      assert.equal(list.length, count, path)
      for (const item of list) {
        assert.equal(first(item, '0020000D'), studyUid)
        assert.equal(first(item, '00100010'), 'Doe^Jane')
        assert.equal(item['7FE00010']?.Value, undefined)
        assert.ok(
          Object.keys(item).every((tag, n, tags) => n === 0 || (tags[n - 1] ?? '') < tag),
          'tags ascend',
        )
        assert.ok(!Object.keys(item).some((tag) => tag.startsWith('0002')), 'no file meta information')
      }
    }
  })

  it('compresses JSON when the client takes gzip', async () => {
    // fetch undoes the encoding, and then shows only the header.
    const answer = await at(`/studies/${studyUid}/metadata`, 'application/dicom+json', { 'accept-encoding': 'gzip' })
    assert.equal(answer.headers.get('content-encoding'), 'gzip')
    assert.equal(json<DataSetJson[]>(answer).length, study.length)
  })

  it('gives the pixel data at its BulkDataURI', async () => {
    const item = json<DataSetJson[]>(await at(`${instancePath(one)}/metadata`, 'application/dicom+json'))[0]
    const uri = item?.['7FE00010']?.BulkDataURI ?? ''
    assert.match(uri, /^http:/)
    const answer = await get(uri, 'multipart/related; type="application/octet-stream"; transfer-syntax=*')
    const body = parts(answer)[0]?.body ?? Buffer.alloc(0)
    assert.ok(one.file.subarray(-body.length).equals(body))
    assert.ok(body.length > 0)
  })

  it('gives a study as a ZIP of its files', async () => {
    const answer = await at(`/studies/${studyUid}`, 'application/zip')
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('content-type') ?? '', /^application\/zip/)
    assert.deepEqual(digests([...unzip(answer.bytes).values()]), digests(study.map((instance) => instance.file)))
  })

  it('stops work for a client that goes away, and stays responsive', async () => {
    const aborts = Array.from({ length: 20 }, async () => {
      const abort = new AbortController()
      const response = await fetch(`${firn.dicomWeb}/studies/${studyUid}`, {
        headers: { accept: AS_STORED },
        signal: abort.signal,
      })
      await response.body?.getReader().read()
      abort.abort()
    })
    await Promise.all(aborts)
    assert.equal((await retrieve(firn.dicomWeb, instancePath(one))).length, 1)
  })

  it('serves old viewers by WADO-URI', async () => {
    const query = `requestType=WADO&studyUID=${one.studyUid}&seriesUID=${one.seriesUid}&objectUID=${one.sopInstanceUid}`
    const answer = await get(`${firn.url}/wado?${query}&contentType=application%2Fdicom`)
    assert.equal(answer.status, 200)
    assert.match(answer.headers.get('content-type') ?? '', /^application\/dicom/)
    assert.equal(sha256(answer.bytes), sha256(one.file))
    assert.equal(
      (await get(`${firn.url}/wado?${query.replace(one.sopInstanceUid, random.uid())}&contentType=application%2Fdicom`))
        .status,
      404,
    )
    assert.equal((await get(`${firn.url}/wado?requestType=WADO&contentType=application%2Fdicom`)).status, 400)
    assert.equal((await get(`${firn.url}/wado?${query.replace('WADO', 'NONE')}`)).status, 400)
  })
})

describe('frames', () => {
  let firn: Firn
  before(async () => {
    firn = await Firn.start()
  })
  after(async () => {
    await firn.kill()
  })

  async function frames(instance: Instance, list: string): Promise<Buffer[]> {
    const accept = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    return parts(await get(`${firn.dicomWeb}${instancePath(instance)}/frames/${list}`, accept)).map((part) => part.body)
  }

  for (const transferSyntax of ['explicitLittle', 'implicitLittle', 'explicitBig', 'deflated'] as const) {
    it(`are cut exactly from native pixel data (${transferSyntax})`, async () => {
      const pixels = random.bytes(5 * 6 * 7)
      const options = { transferSyntax, pixelData: pixels, rows: 6, columns: 7, bitsAllocated: 8, frames: 5 } as const
      const instance = makeInstance(random, options)
      assert.equal((await stow(firn.dicomWeb, [instance.file])).status, 200)
      const frame = (n: number) => pixels.subarray((n - 1) * 42, n * 42)
      for (const list of ['1', '5', '1,2,3,4,5', '4,2']) {
        const got = await frames(instance, list)
        // Order and number of the parts are those of the request (PS3.18 10.4.1.1.2).
        assert.deepEqual(
          got,
          list.split(',').map((n) => frame(Number(n))),
          list,
        )
      }
    })
  }

  const encapsulated: [TransferSyntax, 'none' | 'basic' | 'extended', number][] = [
    ['jpegBaseline', 'none', 1],
    ['jpegBaseline', 'basic', 1],
    ['jpegLossless', 'basic', 3],
    ['jpeg2000', 'extended', 1],
    ['rle', 'basic', 1],
    ['jpegLs', 'none', 1],
    ['htj2kLossless', 'none', 1],
  ]
  for (const [transferSyntax, offsetTable, fragmentsPerFrame] of encapsulated) {
    it(`are taken from encapsulated pixel data (${transferSyntax}, offset table ${offsetTable}, ${fragmentsPerFrame} fragments)`, async () => {
      const options = {
        seed: random.uid(),
        transferSyntax,
        offsetTable,
        fragmentsPerFrame,
        frames: 4,
        frameBytes: 1_002,
      }
      const instance = makeInstance(random, { ...options, sopClassUid: sopClasses.ultrasoundMultiFrame })
      assert.equal((await stow(firn.dicomWeb, [instance.file])).status, 200)
      for (const list of ['1', '3', '1,2,3,4']) {
        const got = await frames(instance, list)
        const wanted = list.split(',').map((n) => encapsulatedFrame(options, Number(n) - 1))
        assert.deepEqual(digests(got), digests(wanted), list)
      }
    })
  }

  it('beyond the last one are 404, and bad lists 400', async () => {
    const instance = makeInstance(random, { frames: 2 })
    await stow(firn.dicomWeb, [instance.file])
    const accept = 'multipart/related; type="application/octet-stream"; transfer-syntax=*'
    for (const [list, status] of [
      ['3', 404],
      ['1,3', 404],
      ['0', 400],
      ['x', 400],
      ['1,,2', 400],
      ['-1', 400],
      ['1.5', 400],
    ] as const) {
      const answer = await get(`${firn.dicomWeb}${instancePath(instance)}/frames/${list}`, accept)
      assert.equal(answer.status, status, list)
    }
  })

  it('of an instance without pixel data are 404', async () => {
    const instance = makeInstance(random, { rows: 0, sopClassUid: sopClasses.basicText })
    await stow(firn.dicomWeb, [instance.file])
    const answer = await get(`${firn.dicomWeb}${instancePath(instance)}/frames/1`, '*/*')
    assert.equal(answer.status, 404)
  })
})
