/** What persons decide at one site counts at the other: corrections, rejections, holds. */
import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import type { Instance } from '../support/instances.ts'
import { Officer } from '../support/officer.ts'
import { PairOfSites, siteStatus, tokenFor } from '../support/pair-of-sites.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { first, json, search, send } from '../support/web.ts'

const random = new Random(newSeed())

describe(`decisions at two sites (seed ${random.seed})`, () => {
  let pair: PairOfSites
  let atA: Officer

  before(async () => {
    pair = await PairOfSites.start()
    atA = new Officer(pair.a, random)
  })
  after(() => pair.kill())

  const study = async (): Promise<Instance[]> => {
    const instances = atA.study({ accessionNumber: 'WRONG' })
    await atA.store(...instances)
    return instances
  }
  const atB = (studyUid: string) => search(pair.b.dicomWeb, `/studies?StudyInstanceUID=${studyUid}`)

  it('a correction at one site is shown at the other, and searched by', async () => {
    const [one] = (await study()) as [Instance]
    const path = `/studies/${one.studyUid}/corrections`
    await atA.ok('POST', path, { attributes: { AccessionNumber: 'RIGHT-AT-A' }, reason: 'typed wrongly' })
    await until('B to show it', async () => first((await atB(one.studyUid))[0], '00080050') === 'RIGHT-AT-A')
    const found = await search(pair.b.dicomWeb, '/studies?AccessionNumber=RIGHT-AT-A')
    assert.equal(first(found[0], '0020000D'), one.studyUid)
  })

  it('what is rejected at one site is hidden at the other, until it is restored', async () => {
    const [one] = (await study()) as [Instance]
    const path = `/studies/${one.studyUid}/rejections`
    await atA.ok('POST', path, { code: '113001', reason: 'blurred' })
    await until('B to hide it', async () => (await atB(one.studyUid)).length === 0)
    const { rejections } = (await atA.ok('GET', path)) as { rejections: { id: string }[] }
    await new Officer(pair.b, random).ok('DELETE', `${path}/${rejections[0]?.id}?reason=sharp+enough`)
    const shownAtA = () => search(pair.a.dicomWeb, `/studies?StudyInstanceUID=${one.studyUid}`)
    await until('A to show it again', async () => (await shownAtA()).length === 1)
  })

  it('a hold is guaranteed when both sites have confirmed it, and only then', async () => {
    const [one] = (await study()) as [Instance]
    const token = await tokenFor(pair.a, 'ann', 'records')
    const headers = { authorization: `Bearer ${token}`, 'content-type': 'application/json' }
    const isKnown = async () => (await send(`${pair.a.url}/api/v1/status`, { headers })).status === 200
    await until('the token to be known', isKnown)
    const place = async (studyUid: string): Promise<{ id: string; assurance: string }> => {
      const hold = { studyUid, case: 'Az 1', reason: 'lawsuit', holder: 'legal' }
      const answer = await send(`${pair.a.url}/api/v1/holds`, { method: 'POST', headers, body: JSON.stringify(hold) })
      assert.equal(answer.status, 200, answer.bytes.toString())
      return json(answer)
    }
    const assurance = async (id: string): Promise<string> =>
      json<{ assurance: string }>(await send(`${pair.a.url}/api/v1/holds/${id}`, { headers })).assurance
    const { id } = await place(one.studyUid)
    await until('both to have confirmed it', async () => (await assurance(id)) === 'guaranteed')
    await pair.b.kill()
    await until('A to notice', async () => (await siteStatus(pair.a)).state === 'away')
    const alone = await place(one.studyUid)
    assert.equal(await assurance(alone.id), 'local only')
    await pair.b.start()
    await until('B to confirm it', async () => (await assurance(alone.id)) === 'guaranteed', 60_000)
  })
})
