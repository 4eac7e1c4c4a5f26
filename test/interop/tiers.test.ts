import assert from 'node:assert/strict'
import { existsSync, readdirSync } from 'node:fs'
import { after, before, describe, it } from 'node:test'
import { CreateBucketCommand, S3Client } from '@aws-sdk/client-s3'
import { Firn, firnCommand } from '../support/firn.ts'
import { skipUnless, tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { type Gateway, rgwInstalled, startGateway } from '../support/rgw.ts'
import { until } from '../support/until.ts'
import { get, instancePath, json, retrieve, stow } from '../support/web.ts'

const random = new Random(newSeed())
const BUCKET = 'firn-nearline'
const STUDIES = 6

interface Capacity {
  stores: { id: string; packs: number; trouble: string | null }[]
  alarms: { subject: string; alarm: string; detail: string }[]
}

/** A real object store as the nearline tier: added while the node runs, gone for a while, and drained. */
describe(`a tier on Ceph (seed ${random.seed})`, { skip: skipUnless(rgwInstalled, 'no Ceph RADOS Gateway') }, () => {
  const disk = tempDir('tier-disk')
  const sent: Instance[] = []
  let gateway: Gateway
  let firn: Firn

  const capacity = async () => json<Capacity>(await get(`${firn.url}/api/v1/capacity`, 'application/json'))
  const packsIn = async (id: string) => (await capacity()).stores.find((store) => store.id === id)?.packs ?? 0
  const command = (...args: string[]) => firnCommand([...args, '--data', firn.dataDir])
  const onDisk = () =>
    existsSync(disk)
      ? readdirSync(disk, { recursive: true, encoding: 'utf8' }).filter((name) => name.endsWith('.tar')).length
      : 0
  const send = async (studies: number) => {
    for (let n = 0; n < studies; n++) {
      const instance = instanceOfSize(random, 50_000 + random.below(200_000))
      sent.push(instance)
      assert.equal((await stow(firn.dicomWeb, [instance.file])).status, 200)
    }
  }
  const assertAllServed = async () => {
    for (const instance of sent) {
      const [bytes] = await retrieve(firn.dicomWeb, instancePath(instance))
      assert.ok(bytes?.equals(instance.file), instance.sopInstanceUid)
    }
  }

  before(async () => {
    gateway = await startGateway()
    const { endpoint, accessKey, secretKey } = gateway
    const client = new S3Client({
      endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: accessKey, secretAccessKey: secretKey },
    })
    await client.send(new CreateBucketCommand({ Bucket: BUCKET }))
    client.destroy()
    firn = await Firn.start({
      env: { CEPH_KEY: accessKey, CEPH_SECRET: secretKey },
      config: {
        stores: [{ id: 'disk', type: 'file', folder: disk }],
        sealing: { quietSeconds: 0.5, landingSeconds: 0 },
        landing: { segmentBytes: 1024 * 1024, lanes: 1 },
        moves: { everySeconds: 1, rules: [{ to: 'nearline', afterDays: 0 }] },
      },
    })
    await send(STUDIES)
    await until('packs', async () => (await packsIn('disk')) === STUDIES, 60_000)
  })
  after(async () => {
    await firn?.kill()
    await gateway?.stop()
  })

  it('takes over what is old enough as soon as it is added, through kill -9', async () => {
    const settings = {
      endpoint: gateway.endpoint,
      bytesTotal: 1e12,
      credentials: { accessKeyIdVariable: 'CEPH_KEY', secretAccessKeyVariable: 'CEPH_SECRET' },
    }
    const args = ['--bucket', BUCKET, '--tier', 'nearline', '--settings', JSON.stringify(settings)]
    const added = await command('store', 'add', 'ceph', ...args)
    assert.equal(added.code, 0, added.stderr)
    await until('the first packs to move', async () => (await packsIn('ceph')) > 0, 60_000)
    await firn.kill()
    await firn.start()
    await until('all packs to move', async () => (await packsIn('ceph')) === STUDIES, 60_000)
    await until('the old copies to go', () => onDisk() === 0, 60_000)
    await assertAllServed()
    assert.match((await command('status')).stdout, /ceph +nearline +6 .* in use/)
  })

  it('is named when it goes away, keeps nobody from storing, and is used again by itself', async () => {
    await gateway.stopGateway()
    await send(2)
    await until(
      'the alarm',
      async () =>
        (await capacity()).alarms.some(({ subject, alarm }) => subject === 'store ceph' && alarm === 'unusable'),
      90_000,
    )
    const detail = (await capacity()).alarms.find(({ alarm }) => alarm === 'unusable')?.detail ?? ''
    assert.match(detail, /^store ceph can't be used: .*see to the machine/)
    await until('new packs on the disk', async () => (await packsIn('disk')) === 2, 60_000)
    await gateway.resumeGateway()
    await until(
      'the alarm to go',
      async () => !(await capacity()).alarms.some(({ alarm }) => alarm === 'unusable'),
      120_000,
    )
    await command('move', 'now')
    await until('the rest to move', async () => (await packsIn('ceph')) === STUDIES + 2, 120_000)
    await assertAllServed()
  })

  it('is drained, and can be removed', async () => {
    const drained = await command('drain', 'ceph')
    assert.equal(drained.code, 0, drained.stdout + drained.stderr)
    const removed = await command('store', 'remove', 'ceph')
    assert.equal(removed.code, 0, removed.stderr)
    assert.equal(onDisk(), STUDIES + 2)
    await assertAllServed()
    assert.equal((await command('events', 'verify')).code, 0)
  })
})
