/** Storage commitment at two sites: success only for what both hold, from their bytes. */
import assert from 'node:assert/strict'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { type Instance, makeInstance } from '../support/instances.ts'
import { PairOfSites, siteStatus } from '../support/pair-of-sites.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { type DataSetJson, items, json, send, stow } from '../support/web.ts'

const random = new Random(newSeed())

describe(`commitment at two sites (seed ${random.seed})`, () => {
  let pair: PairOfSites

  before(async () => {
    pair = await PairOfSites.start()
  })
  after(() => pair.kill())

  const store = async (): Promise<Instance> => {
    const instance = makeInstance(random, { pixelData: random.bytes(50_000) })
    assert.equal((await stow(pair.a.dicomWeb, [instance.file])).status, 200)
    return instance
  }
  const request = (uid: string, { sopClassUid, sopInstanceUid }: Instance) => {
    const item = {
      '00081150': { vr: 'UI', Value: [sopClassUid] },
      '00081155': { vr: 'UI', Value: [sopInstanceUid] },
    }
    const headers = { 'content-type': 'application/dicom+json', accept: 'application/dicom+json' }
    const body = JSON.stringify({ '00081199': { vr: 'SQ', Value: [item] } })
    return send(`${pair.a.dicomWeb}/commitment-requests/${uid}`, { method: 'POST', headers, body })
  }
  const result = async (uid: string): Promise<DataSetJson | undefined> => {
    const headers = { accept: 'application/dicom+json' }
    const answer = await send(`${pair.a.dicomWeb}/commitment-requests/${uid}`, { headers })
    return answer.status === 200 ? json<DataSetJson>(answer) : undefined
  }

  it('is given for what both hold', async () => {
    const uid = random.uid()
    await request(uid, await store())
    const done = await until('the result', () => result(uid))
    assert.equal(items(done, '00081199').length, 1)
  })

  it('is pending while the other site is away, and given when it is back', async () => {
    await pair.b.kill()
    await until('A to notice', async () => (await siteStatus(pair.a)).state === 'away')
    const uid = random.uid()
    assert.equal((await request(uid, await store())).status, 202)
    assert.equal(await result(uid), undefined)
    await pair.b.start()
    const done = await until('the result', () => result(uid), 90_000)
    assert.equal(items(done, '00081199').length, 1)
  })

  it('is never given for bytes that are damaged at the other site, whatever its catalogue says', async () => {
    const instance = await store()
    const folder = join(pair.b.dataDir, 'landing')
    for (const name of readdirSync(folder).filter((one) => one.endsWith('.tar'))) {
      const bytes = readFileSync(join(folder, name))
      const at = bytes.indexOf(instance.file.subarray(-40_000))
      if (at < 0) continue
      bytes[at + 100] = (bytes[at + 100] as number) ^ 1
      writeFileSync(join(folder, name), bytes)
    }
    const uid = random.uid()
    assert.equal((await request(uid, instance)).status, 202)
    await new Promise((resolve) => setTimeout(resolve, 5000))
    assert.equal(await result(uid), undefined)
  })
})
