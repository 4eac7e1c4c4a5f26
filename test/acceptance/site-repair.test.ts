import assert from 'node:assert/strict'
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { firnCommand } from '../support/firn.ts'
import { type Instance, instanceOfSize } from '../support/instances.ts'
import { PairOfSites } from '../support/pair-of-sites.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { get, instancePath, json, retrieve, stow } from '../support/web.ts'

const random = new Random(newSeed())

/** Packs are made at once, and the landing lets go of them, so that a lost pack is a lost instance. */
describe(`a site whose storage lost something (seed ${random.seed})`, () => {
  let pair: PairOfSites
  const studyUid = random.uid()
  const sent: Instance[] = []

  before(async () => {
    const config = {
      sealing: { quietSeconds: 0.5, landingSeconds: 0 },
      landing: { segmentBytes: 1024 * 1024, lanes: 1 },
      scrub: { enabled: false },
    }
    pair = await PairOfSites.start({ config })
    // The last one streams into a segment of its own.
    for (const sizeBytes of [100_000, 200_000, 300_000, 400_000, 300_000, 6_000_000]) {
      sent.push(instanceOfSize(random, sizeBytes, { studyUid, instanceNumber: sent.length + 1 }))
    }
    const { status } = await stow(
      pair.a.dicomWeb,
      sent.map(({ file }) => file),
    )
    assert.equal(status, 200)
    const packed = async (): Promise<boolean> => {
      const { packs } = json<{ packs: { instances: number }[] }>(
        await get(`${pair.b.url}/api/v1/packs`, 'application/json'),
      )
      const segments = readdirSync(join(pair.b.dataDir, 'landing')).filter((name) => name.endsWith('.tar'))
      return packs.reduce((sum, pack) => sum + pack.instances, 0) === sent.length && segments.length <= 1
    }
    await until('B to have all of it in packs', packed, 60_000)
  })
  after(() => pair.kill())

  it('serves it from the other site, keeps it again, and goes on serving it when that is gone', async () => {
    await pair.b.stop()
    rmSync(join(pair.b.dataDir, 'store', 'packs'), { recursive: true })
    await pair.b.start()
    await pair.inSync()
    const whole = await retrieve(pair.b.dicomWeb, `/studies/${studyUid}`)
    assert.equal(whole.length, sent.length)
    for (const { file } of sent) assert.ok(whole.some((bytes) => bytes.equals(file)))
    await pair.a.kill()
    for (const instance of sent) {
      const [bytes] = await retrieve(pair.b.dicomWeb, instancePath(instance))
      assert.ok(bytes?.equals(instance.file))
    }
  })

  it('finds in a scrub what was damaged, and brings it back from the other site', async () => {
    await pair.a.start()
    await pair.inSync()
    const study = random.uid()
    const more = [1, 2, 3].map((n) => instanceOfSize(random, 150_000, { studyUid: study, instanceNumber: n }))
    assert.equal(
      (
        await stow(
          pair.a.dicomWeb,
          more.map(({ file }) => file),
        )
      ).status,
      200,
    )
    const folder = join(pair.b.dataDir, 'store', 'packs')
    const tars = () =>
      readdirSync(folder, { recursive: true })
        .map(String)
        .filter((name) => name.includes(study))
    await until('B to have sealed it, and let go of the rest', async () => {
      const landing = readdirSync(join(pair.b.dataDir, 'landing')).filter((name) => name.endsWith('.tar'))
      return tars().some((name) => name.endsWith('.tar')) && landing.length <= 1
    })
    for (const name of tars().filter((one) => one.endsWith('.tar'))) {
      const bytes = readFileSync(join(folder, name))
      bytes.fill(0xff, bytes.length >> 1, (bytes.length >> 1) + 5000)
      writeFileSync(join(folder, name), bytes)
    }
    await firnCommand(['scrub', '--now', '--data', pair.b.dataDir])
    await pair.a.kill()
    for (const instance of more) {
      const [bytes] = await retrieve(pair.b.dicomWeb, instancePath(instance))
      assert.ok(bytes?.equals(instance.file))
    }
  })
})
