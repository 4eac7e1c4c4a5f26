import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { Firn, firnCommand } from '../support/firn.ts'
import { tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { until } from '../support/until.ts'
import { get, instancePath, json, retrieve, stow } from '../support/web.ts'

const random = new Random(newSeed())
const STUDIES = 6

interface Capacity {
  stores: { id: string; tier: string; packs: number; origin: string; draining: boolean; trouble: string | null }[]
  tiers: { tier: string; stores: string[]; noForecast: string | null; bytesTotal: number | null }[]
  volumes: { id: string; provisionedBytes: number | null; packs: number }[]
  overCommit: number | null
}

const packFiles = (folder: string): string[] =>
  existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.tar'))
    : []

/** As an administrator would: one store, then a second one while it runs, which takes over what is old. */
describe(`tiers (seed ${random.seed})`, () => {
  const disk = tempDir('tiers-disk')
  const near = tempDir('tiers-near')
  const sent: Instance[] = []
  const config = {
    stores: [{ id: 'disk', type: 'file', folder: disk }],
    sealing: { quietSeconds: 0.5, landingSeconds: 0 },
    landing: { segmentBytes: 1024 * 1024, lanes: 1 },
    volumes: [{ id: 'radiology', provisionedBytes: 1e15, modalities: ['CT', 'MR', 'OT'] }],
    moves: { everySeconds: 1, rules: [{ to: 'nearline', afterDays: 0 }] },
  }
  let firn: Firn

  const capacity = async () => json<Capacity>(await get(`${firn.url}/api/v1/capacity`, 'application/json'))
  const packsIn = async (id: string) => (await capacity()).stores.find((store) => store.id === id)?.packs ?? 0
  const command = (...args: string[]) => firnCommand([...args, '--data', firn.dataDir])
  const assertAllServed = async () => {
    for (const instance of sent) {
      const [bytes] = await retrieve(firn.dicomWeb, instancePath(instance))
      assert.ok(bytes?.equals(instance.file), instance.sopInstanceUid)
    }
  }
  const send = async (studies: number) => {
    for (let n = 0; n < studies; n++) {
      const instance = instanceOfSize(random, 50_000 + random.below(100_000))
      sent.push(instance)
      assert.equal((await stow(firn.dicomWeb, [instance.file])).status, 200)
    }
  }

  before(async () => {
    firn = await Firn.start({ config })
    await send(STUDIES)
    await until('packs', async () => (await packsIn('disk')) === STUDIES, 30_000)
  })
  after(async () => {
    await firn?.kill()
  })

  it('are one of all stores as long as nothing is said of them, and rules to a tier without stores move nothing', async () => {
    const { stores, tiers, volumes, overCommit } = await capacity()
    assert.deepEqual(
      stores.map(({ id, tier, origin, draining, trouble }) => [id, tier, origin, draining, trouble]),
      [['disk', 'online', 'configuration', false, null]],
    )
    assert.deepEqual(
      tiers.map(({ tier }) => tier),
      ['online'],
    )
    assert.match(tiers[0]?.noForecast ?? '', /not enough history/)
    assert.equal(volumes[0]?.provisionedBytes, 1e15)
    assert.equal(
      volumes.reduce((sum, { packs }) => sum + packs, 0),
      STUDIES,
    )
    assert.ok((overCommit ?? 0) > 1, 'a petabyte was promised')
    const plan = await command('move', 'plan')
    assert.match(plan.stdout, /nothing has to move/, plan.stderr)
  })

  it('get a store while the node runs, to which everything that is old enough moves, and is served from there', async () => {
    const added = await command('store', 'add', 'near', '--folder', near, '--tier', 'nearline', '--json')
    assert.equal(added.code, 0, added.stderr)
    assert.equal((JSON.parse(added.stdout) as { origin: string }).origin, 'api')
    await until('all packs to move', async () => (await packsIn('near')) === STUDIES, 60_000)
    await until('the old copies to go', () => packFiles(disk).length === 0, 10_000)
    assert.equal(packFiles(near).length, STUDIES)
    await assertAllServed()
    const events = await command('events', 'list')
    assert.equal(events.stdout.match(/pack\.moved/g)?.length, STUDIES)
    for (const kind of ['store.added', 'pack.freed']) assert.match(events.stdout, new RegExp(kind))
  })

  it('are told of by status as a table, and by metrics', async () => {
    const { stdout, code } = await command('status')
    assert.equal(code, 0, stdout)
    assert.match(stdout, /STORE +TIER +PACKS +USED/)
    assert.match(stdout, new RegExp(`near +nearline +${STUDIES} .* in use`))
    assert.match(stdout, /TIER +COPIES .*GROWTH\/DAY/)
    assert.match(stdout, /no forecast for online: not enough history/)
    assert.match(stdout, /radiology/)
    const metrics = (await get(`${firn.url}/metrics`)).bytes.toString()
    assert.match(metrics, /firn_store_up\{store="near",tier="nearline"\} 1/)
    assert.match(metrics, /firn_tier_free_share\{tier="nearline"\} 0\.\d+/)
  })

  it('keep a pinned study up, and bring it back', async () => {
    const [first] = sent
    assert.ok(first)
    assert.equal((await command('pin', first.studyUid)).code, 2, 'it wants a reason')
    assert.equal((await command('pin', first.studyUid, '--reason', 'tumour board')).code, 0)
    await until('the pinned pack to come back', async () => (await packsIn('disk')) === 1, 30_000)
    assert.match((await command('pin')).stdout, /tumour board/)
    assert.equal((await command('unpin', first.studyUid)).code, 0)
    await until('it to go again', async () => (await packsIn('disk')) === 0, 30_000)
    assert.equal((await command('unpin', first.studyUid)).code, 3)
    await assertAllServed()
  })

  it('survive kill -9 in the midst of moving, and a restart that finds the added store', async () => {
    for (let kills = 0; kills < 3; kills++) {
      await send(3)
      await until('something to move', async () => (await packsIn('near')) > STUDIES + 3 * kills, 30_000)
      await firn.kill()
      await firn.start()
    }
    await until('all packs to move', async () => (await packsIn('near')) === sent.length, 60_000)
    await until('the old copies to go', async () => (await packsIn('disk')) === 0, 30_000)
    await assertAllServed()
  })

  it('let a store go only when it was drained and is empty', async () => {
    const refused = await command('store', 'remove', 'near')
    assert.equal(refused.code, 3)
    assert.match(refused.stderr, /firn drain near/)
    assert.equal((await command('store', 'remove', 'disk')).code, 3, 'it is in the configuration')
    const drained = await command('drain', 'near')
    assert.equal(drained.code, 0, drained.stdout + drained.stderr)
    assert.equal((await command('store', 'remove', 'near')).code, 0)
    const list = await command('store', 'list')
    assert.ok(!list.stdout.includes('near'), list.stdout)
    assert.equal(packFiles(near).length, 0)
    await firn.stop()
    await firn.start()
    assert.deepEqual(
      (await capacity()).stores.map(({ id }) => id),
      ['disk'],
    )
    await assertAllServed()
    const events = await command('events', 'verify')
    assert.equal(events.code, 0, events.stdout)
  })

  it('refuse what is no store, in words, and from whom may not say so', async () => {
    const post = (body: string, type = 'application/json') =>
      fetch(`${firn.url}/api/v1/stores`, { method: 'POST', body, headers: { 'content-type': type } })
    for (const body of [
      '{}',
      '[]',
      '"x"',
      'no json',
      '{"id":"x","type":"tape"}',
      '{"id":"../x","type":"file","folder":"x"}',
    ])
      assert.equal((await post(body)).status, 400, body)
    assert.equal((await post('{"id":"x","type":"file","folder":"x"}', 'text/plain')).status, 400)
    assert.equal((await post(JSON.stringify({ id: 'x', filler: 'x'.repeat(2_000_000) }))).status, 413)
    assert.equal((await command('store', 'add', 'x')).code, 2)
    assert.deepEqual(
      (await capacity()).stores.map(({ id }) => id),
      ['disk'],
    )
  })
})
