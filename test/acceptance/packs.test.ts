import assert from 'node:assert/strict'
import { closeSync, existsSync, openSync, readdirSync, renameSync, rmSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { Firn, firnCommand } from '../support/firn.ts'
import { run, tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { get, instancePath, json, retrieve, search, stow } from '../support/web.ts'

const random = new Random(newSeed())

interface Pack {
  studyUid: string
  key: string
  instances: number
  copies: { store: string }[]
}

/** Quiet studies are sealed within a second, and the landing lets go of them at once. */
describe(`packs (seed ${random.seed})`, () => {
  const studies = [random.uid(), random.uid(), random.uid()]
  const sent: Instance[] = []
  const store = tempDir('packs-store')
  const config = {
    stores: [{ id: 'disk', type: 'file', folder: store }],
    sealing: { quietSeconds: 0.5, landingSeconds: 0 },
    landing: { segmentBytes: 1024 * 1024, lanes: 1 },
  }
  let firn: Firn

  const packs = async (): Promise<Pack[]> =>
    json<{ packs: Pack[] }>(await get(`${firn.url}/api/v1/packs`, 'application/json')).packs
  const segments = () => readdirSync(join(firn.dataDir, 'landing')).filter((name) => name.endsWith('.tar'))
  const assertAllServed = async () => {
    for (const instance of sent) {
      const [bytes] = await retrieve(firn.dicomWeb, instancePath(instance))
      assert.ok(bytes?.equals(instance.file), instance.sopInstanceUid)
    }
  }
  const sealed = (instances: number) =>
    until(
      `${instances} instances in packs`,
      async () => (await packs()).reduce((sum, pack) => sum + pack.instances, 0) >= instances,
      30_000,
    )

  before(async () => {
    firn = await Firn.start({ config })
    for (const studyUid of studies) {
      const files = Array.from({ length: 8 }, (_, n) =>
        instanceOfSize(random, 100_000 + random.below(100_000), { studyUid, instanceNumber: n }),
      )
      sent.push(...files)
      const { status } = await stow(
        firn.dicomWeb,
        files.map(({ file }) => file),
      )
      assert.equal(status, 200)
    }
  })
  after(async () => {
    await firn?.kill()
  })

  it('hold each study once it is quiet, and the landing lets go of its segments', async () => {
    const before = segments().length
    await sealed(sent.length)
    assert.deepEqual(new Set((await packs()).map((pack) => pack.studyUid)), new Set(studies))
    await until('segments to go', () => segments().length < Math.max(2, before), 30_000)
    await assertAllServed()
    const metadata = json<unknown[]>(await get(`${firn.dicomWeb}/studies/${studies[0]}/metadata`))
    assert.equal(metadata.length, 8)
  })

  it('are read by tar and checked by sha256sum', async () => {
    for (const { key } of await packs()) {
      const folder = tempDir('unpacked')
      assert.equal((await run('tar', ['-xf', join(store, key), '-C', folder])).code, 0)
      const checked = await run('sh', ['-c', `cd '${folder}' && sha256sum -c manifest-sha256.txt`])
      assert.equal(checked.code, 0, checked.stdout)
    }
    assert.ok(existsSync(join(store, 'storage-format.md')), 'what a stranger needs is beside them')
  })

  it('are told of by status and verify', async () => {
    const status = await firnCommand(['status', '--data', firn.dataDir])
    assert.match(status.stdout, /disk\s+online\s+\d+/)
    const file = join(tempDir('verify'), 'firn.json')
    const verify = await firnCommand(['verify', '--data', firn.dataDir, '--json'], {
      env: { FIRN_STORES: JSON.stringify(config.stores) },
    })
    const { packs: intact, faults } = JSON.parse(verify.stdout) as { packs: number; faults: string[] }
    assert.ok(intact >= studies.length, file)
    assert.deepEqual(
      faults.filter((fault) => fault.includes('store')),
      [],
    )
  })

  it('take what comes late as a further pack, on demand too', async () => {
    const late = instanceOfSize(random, 1000, { studyUid: studies[0] as string })
    sent.push(late)
    assert.equal((await stow(firn.dicomWeb, [late.file])).status, 200)
    const { code, stdout } = await firnCommand(['seal', studies[0] as string, '--data', firn.dataDir])
    assert.equal(code, 0, stdout)
    await sealed(sent.length)
    const ofStudy = (await packs()).filter((pack) => pack.studyUid === studies[0])
    assert.equal(ofStudy.length, 2)
    await assertAllServed()
  })

  it('are all that is needed to make the catalogue anew', async () => {
    const before = await search(firn.dicomWeb, '/instances?includefield=all')
    await firn.stop()
    for (const name of readdirSync(firn.dataDir)) {
      if (name.startsWith('catalogue.sqlite')) rmSync(join(firn.dataDir, name))
    }
    await firn.start()
    const uids = (found: typeof before) => found.map((one) => JSON.stringify(one['00080018'])).sort()
    assert.deepEqual(uids(await search(firn.dicomWeb, '/instances?includefield=all')), uids(before))
    await assertAllServed()
  })

  it('in a store that is away, or emptied, are missed loudly and come back with it, without a restart', async () => {
    await firn.stop()
    renameSync(store, `${store}-away`)
    await firn.start()
    const health = json<{ degraded: string[] }>(await get(`${firn.url}/health/ready`))
    assert.ok(
      health.degraded.some((reason) => reason.includes('store disk')),
      health.degraded.join(),
    )
    const inPack = sent[0] as Instance
    const answer = await get(`${firn.dicomWeb}${instancePath(inPack)}`, 'application/dicom').catch(() => undefined)
    assert.ok(answer === undefined || answer.status >= 500, `HTTP ${answer?.status}`)
    // New instances are taken all the same, and stay in the landing.
    const meanwhile = instanceOfSize(random, 1000)
    sent.push(meanwhile)
    assert.equal((await stow(firn.dicomWeb, [meanwhile.file])).status, 200)
    renameSync(`${store}-away`, store)
    await until(
      'the store to be used again',
      async () =>
        (await get(`${firn.dicomWeb}${instancePath(inPack)}`, 'application/dicom').catch(() => undefined))?.status ===
        200,
      60_000,
    )
    await assertAllServed()
  })

  it('that were damaged are never served as if they were whole, and heal when the instance comes again', async () => {
    const [pack] = (await packs()).filter(({ studyUid }) => studyUid === studies[1])
    assert.ok(pack)
    const file = openSync(join(store, pack.key), 'r+')
    // Every instance of the pack is hit somewhere.
    for (let at = 20_000; at < 700_000; at += 50_000) writeSync(file, Buffer.from('damage'), 0, 6, at)
    closeSync(file)
    const ofStudy = sent.filter(({ studyUid }) => studyUid === studies[1])
    const verify = await firnCommand(['verify', '--data', firn.dataDir], {
      env: { FIRN_STORES: JSON.stringify(config.stores) },
    })
    assert.equal(verify.code, 1)
    assert.match(verify.stdout, /SHA-256/)
    for (const { file: bytes } of ofStudy) assert.equal((await stow(firn.dicomWeb, [bytes])).status, 200)
    await assertAllServed()
  })
})
