import assert from 'node:assert/strict'
import { closeSync, openSync, readdirSync, writeSync } from 'node:fs'
import { join } from 'node:path'
import { after, before, describe, it } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { Firn, firnCommand } from '../support/firn.ts'
import { skipUnless, tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { type Gateway, rgwInstalled, startGateway } from '../support/rgw.ts'
import { until } from '../support/until.ts'
import { get, instancePath, json, retrieve, stow } from '../support/web.ts'

const random = new Random(newSeed())
const BUCKETS = ['firn-first', 'firn-second']
const env = { CEPH_KEY: 'archive', CEPH_SECRET: 'archive-secret' }

const packFiles = (folder: string): string[] =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.tar'))

interface Capacity {
  stores: { id: string; packs: number; trouble: string | null }[]
}

/** As an administrator would: from one disk to object stores of another maker, while the archive is in use. */
describe(`moving from a folder to Ceph (seed ${random.seed})`, {
  skip: skipUnless(rgwInstalled, 'no Ceph RADOS Gateway'),
}, () => {
  const dataDir = tempDir('moving')
  const disk = tempDir('moving-disk')
  const sent: Instance[] = []
  let gateway: Gateway
  let firn: Firn

  const bucket = (id: string, name: string) => ({
    id,
    type: 's3',
    bucket: name,
    endpoint: gateway.endpoint,
    credentials: { accessKeyIdVariable: 'CEPH_KEY', secretAccessKeyVariable: 'CEPH_SECRET' },
  })
  const start = async (stores: unknown[], copies = 1) => {
    const sealing = { quietSeconds: 0.5, landingSeconds: 0, copies }
    firn = await Firn.start({ dataDir, env, config: { stores, sealing, landing: { segmentBytes: 1024 * 1024 } } })
  }
  const folder = { id: 'disk', type: 'file', folder: disk }
  const capacity = async (): Promise<Capacity['stores']> =>
    json<Capacity>(await get(`${firn.url}/api/v1/capacity`, 'application/json')).stores
  const packsIn = async (id: string) => (await capacity()).find((store) => store.id === id)?.packs ?? 0
  const send = async (studies: number) => {
    for (let study = 0; study < studies; study++) {
      const studyUid = random.uid()
      const files = Array.from({ length: 4 }, () =>
        instanceOfSize(random, random.between(20_000, 150_000), { studyUid }),
      )
      const { status } = await stow(
        firn.dicomWeb,
        files.map(({ file }) => file),
      )
      assert.equal(status, 200)
      sent.push(...files)
    }
  }
  const assertAllServed = async () => {
    for (const instance of sent) {
      const [bytes] = await retrieve(firn.dicomWeb, instancePath(instance))
      assert.ok(bytes?.equals(instance.file), instance.sopInstanceUid)
    }
  }
  const sealed = () => until('all to be sealed', async () => (await unsealed()) === 0, 60_000)
  const unsealed = async () => {
    const studies = new Set(sent.map(({ studyUid }) => studyUid))
    const packs = json<{ packs: { studyUid: string }[] }>(
      await get(`${firn.url}/api/v1/packs`, 'application/json'),
    ).packs
    return [...studies].filter((uid) => !packs.some(({ studyUid }) => studyUid === uid)).length
  }

  before(async () => {
    gateway = await startGateway()
    const client = new S3Client({
      endpoint: gateway.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: env.CEPH_KEY, secretAccessKey: env.CEPH_SECRET },
    })
    for (const Bucket of BUCKETS) await client.send(new CreateBucketCommand({ Bucket }))
    client.destroy()
    await start([folder])
    await send(12)
    await sealed()
  })
  after(async () => {
    await firn?.kill()
    await gateway?.stop()
  })

  it('says beforehand what would be moved, and refuses where there is nowhere to go', async () => {
    const refused = await firnCommand(['drain', 'disk', '--dry-run', '--data', dataDir])
    assert.notEqual(refused.code, 0)
    assert.match(refused.stderr, /add one first/)
    await firn.stop()
    await start([folder, bucket('ceph', BUCKETS[0] as string)])
    const plan = await firnCommand(['drain', 'disk', '--dry-run', '--data', dataDir])
    assert.equal(plan.code, 0, plan.stderr)
    assert.match(plan.stdout, /would move 12 packs/)
    assert.equal(await packsIn('disk'), 12)
  })

  it('moves everything while it is killed, sent to and read from, and nothing is missing', async () => {
    const stores = [folder, bucket('ceph', BUCKETS[0] as string)]
    for (let kills = 0; kills < 2; kills++) {
      await get(`${firn.url}/health/live`, 'application/json')
      await fetch(`${firn.url}/api/v1/stores/disk/drain`, { method: 'POST' })
      await sleep(random.between(50, 400))
      await firn.kill()
      // It goes on by itself.
      await start(stores)
      await send(1)
      await assertAllServed()
    }
    const drained = await firnCommand(['drain', 'disk', '--data', dataDir])
    assert.equal(drained.code, 0, drained.stdout + drained.stderr)
    await sealed()
    assert.equal(await packsIn('disk'), 0)
    assert.deepEqual(packFiles(disk), [])
    await assertAllServed()
  })

  it('finds what was damaged, and makes it good from another store', async () => {
    await firn.stop()
    const both = [bucket('ceph', BUCKETS[0] as string), bucket('second', BUCKETS[1] as string)]
    const folder = tempDir('moving-mirror')
    const mirror = { id: 'mirror', type: 'file', folder }
    await start([bucket('ceph', BUCKETS[0] as string), mirror], 2)
    await send(4)
    await sealed()
    await firn.stop()
    await start([...both, mirror], 2)
    const hit = packFiles(folder)
    assert.equal(hit.length, 4)
    for (const name of hit) {
      const file = openSync(join(folder, name), 'r+')
      writeSync(file, Buffer.from('damage'), 0, 6, 30_000)
      closeSync(file)
    }
    const scrubbed = await firnCommand(['scrub', '--now', '--json', '--data', dataDir])
    const report = JSON.parse(scrubbed.stdout) as { repaired: number; lost: number; intact: number }
    assert.deepEqual([report.repaired, report.lost], [hit.length, 0], scrubbed.stdout)
    assert.equal(scrubbed.code, 0)
    const again = await firnCommand(['scrub', '--now', '--json', '--data', dataDir])
    assert.equal((JSON.parse(again.stdout) as { repaired: number }).repaired, 0)
    await assertAllServed()
  })

  it('leaves a log that verifies, and a catalogue that can be made anew', async () => {
    await firn.stop()
    const events = await firnCommand(['events', 'verify', '--data', dataDir])
    assert.equal(events.code, 0, events.stdout)
    const listed = await firnCommand(['events', 'list', '--data', dataDir])
    for (const kind of ['pack.sealed', 'pack.freed', 'store.drained', 'pack.verified'])
      assert.match(listed.stdout, new RegExp(kind))
    await start([bucket('ceph', BUCKETS[0] as string), bucket('second', BUCKETS[1] as string)])
    await firn.stop()
    const stores = JSON.stringify([bucket('ceph', BUCKETS[0] as string), bucket('second', BUCKETS[1] as string)])
    const rebuilt = await firnCommand(['rebuild', '--data', dataDir], { env: { ...env, FIRN_STORES: stores } })
    assert.equal(rebuilt.code, 0, rebuilt.stdout + rebuilt.stderr)
    await firn.start()
    await assertAllServed()
  })
})
