import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import { sopClasses } from '../fixtures/dicom.ts'
import { Firn } from '../support/firn.ts'
import { type Instance, makeInstance } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { first, get, items, json, send, stow } from '../support/web.ts'

const random = new Random(newSeed())
const NO_SUCH_INSTANCE = 0x0112

describe(`storage commitment over DICOMweb (seed ${random.seed})`, () => {
  let firn: Firn
  before(async () => {
    firn = await Firn.start({ config: { commitment: { patienceSeconds: 3 } } })
  })
  after(() => firn.kill())

  const stored = async (count: number): Promise<Instance[]> => {
    const instances = Array.from({ length: count }, () => makeInstance(random, { frameBytes: 3000 }))
    const files = instances.map(({ file }) => file)
    assert.equal((await stow(firn.dicomWeb, files)).status, 200)
    return instances
  }
  const uids = (instances: readonly Instance[]) => instances.map(({ sopInstanceUid }) => sopInstanceUid).sort()
  const path = (transactionUid: string) => `${firn.dicomWeb}/commitment-requests/${transactionUid}`
  const ui = (uid: string) => ({ vr: 'UI', Value: [uid] })
  const sq = (...values: object[]) => ({ vr: 'SQ', Value: values })
  const payload = (instances: readonly Pick<Instance, 'sopClassUid' | 'sopInstanceUid'>[]) => ({
    '00081199': sq(
      ...instances.map((one) => ({ '00081150': ui(one.sopClassUid), '00081155': ui(one.sopInstanceUid) })),
    ),
  })
  const post = (transactionUid: string, body: unknown, headers: Record<string, string> = {}) =>
    send(path(transactionUid), {
      method: 'POST',
      headers: { 'content-type': 'application/dicom+json', accept: 'application/dicom+json', ...headers },
      body: typeof body === 'string' ? body : JSON.stringify(body),
    })

  it('answers at once what it can, and the same again', async () => {
    const instances = await stored(3)
    const transactionUid = random.uid()
    for (let n = 0; n < 2; n++) {
      const answer = await post(transactionUid, payload(instances))
      assert.equal(answer.status, 200)
      assert.equal(answer.headers.get('content-type')?.split(';')[0], 'application/dicom+json')
      const body = json<Record<string, { vr: string }>>(answer)
      assert.deepEqual(Object.keys(body), ['00081199'])
      assert.deepEqual(
        items(body, '00081199')
          .map((item) => first(item, '00081155'))
          .sort(),
        uids(instances),
      )
    }
    const other = await post(transactionUid, payload(instances.slice(1)))
    assert.equal(other.status, 409)
    const again = await get(path(transactionUid), 'application/dicom+xml')
    assert.equal(again.status, 200)
    assert.match(again.bytes.toString(), new RegExp(`<Value number="1">${instances[0]?.sopInstanceUid}</Value>`))
  })

  it('answers 202 without a payload and when to come back, until all is decided', async () => {
    const [good] = (await stored(1)) as [Instance]
    const missing = { sopClassUid: sopClasses.ct, sopInstanceUid: random.uid() }
    const transactionUid = random.uid()
    const answer = await post(transactionUid, payload([good, missing]))
    assert.equal(answer.status, 202)
    assert.equal(answer.bytes.length, 0)
    assert.ok(Number(answer.headers.get('retry-after')) >= 1)
    assert.equal((await get(path(transactionUid), 'application/dicom+json')).status, 202)
    const done = await until('the result', async () => {
      const result = await get(path(transactionUid), 'application/dicom+json')
      return result.status === 200 && result
    })
    const body = json<Record<string, { vr: string }>>(done)
    assert.deepEqual(
      items(body, '00081199').map((item) => first(item, '00081155')),
      [good.sopInstanceUid],
    )
    const [failed] = items(body, '00081198')
    assert.deepEqual([first(failed, '00081155'), first(failed, '00081197')], [missing.sopInstanceUid, '274'])
  })

  it('takes and answers requests by study', async () => {
    const [one] = (await stored(1)) as [Instance]
    const absent = random.uid()
    const inSeries = (...instances: object[]) =>
      sq({
        '0020000E': ui(one.seriesUid),
        '00081112': sq({ '00081150': ui(one.sopClassUid), '0008114A': sq(...instances) }),
      })
    const body = {
      '00081110': sq({
        '0020000D': ui(one.studyUid),
        '00081115': inSeries({ '00081155': ui(one.sopInstanceUid) }, { '00081155': ui(absent) }),
      }),
    }
    const transactionUid = random.uid()
    await post(transactionUid, body)
    const done = await until('the result', async () => {
      const result = await get(path(transactionUid), 'application/dicom+json')
      return result.status === 200 && json<Record<string, unknown>>(result)
    })
    assert.deepEqual(done, {
      '00081110': sq({ '0020000D': ui(one.studyUid), '00081115': inSeries({ '00081155': ui(one.sopInstanceUid) }) }),
      '0008119B': sq({
        '0020000D': ui(one.studyUid),
        '00081115': inSeries({ '00081155': ui(absent), '00081197': { vr: 'US', Value: [NO_SUCH_INSTANCE] } }),
      }),
    })
  })

  it('refuses what is wrong, and knows no other requests', async () => {
    const [one] = (await stored(1)) as [Instance]
    const uid = random.uid()
    const both = { ...payload([one]), '00081110': sq({ '0020000D': ui('1.2') }) }
    const cases: [string, number, () => Promise<{ status: number }>][] = [
      ['no JSON', 400, () => post(uid, '{')],
      ['no data set', 400, () => post(uid, '[]')],
      ['text', 400, () => post(uid, '"text"')],
      ['two data sets', 400, () => post(uid, [payload([one]), payload([one])])],
      ['nothing named', 400, () => post(uid, {})],
      ['both forms', 400, () => post(uid, both)],
      ['no UID', 400, () => post(uid, payload([{ sopClassUid: sopClasses.ct, sopInstanceUid: '' }]))],
      ['a sequence that is none', 400, () => post(uid, { '00081199': { vr: 'SQ', Value: [null, 3] } })],
      ['a path without UID', 400, () => post('no uid', payload([one]))],
      ['XML', 415, () => post(uid, '<x/>', { 'content-type': 'application/dicom+xml' })],
      ['not acceptable', 406, () => post(uid, payload([one]), { accept: 'text/plain' })],
      ['too many', 413, () => post(uid, payload(Array.from({ length: 20_001 }, () => one)))],
      ['unknown', 404, () => get(path(uid), 'application/dicom+json')],
      ['not changed', 405, () => send(path(uid), { method: 'DELETE' })],
    ]
    for (const [what, status, act] of cases) assert.equal((await act()).status, status, what)
    // Firn answers without reading to the end, and closes: a client that is still sending may miss the answer.
    const tooLong = () => post(uid, ' '.repeat(11_000_000)).then(({ status }) => status)
    assert.equal(await until('an answer to what is too long', tooLong), 413)
  })
})
