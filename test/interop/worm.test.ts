import assert from 'node:assert/strict'
import { after, before, describe, it } from 'node:test'
import {
  CreateBucketCommand,
  DeleteBucketCommand,
  DeleteObjectCommand,
  DeleteObjectsCommand,
  GetObjectCommand,
  HeadObjectCommand,
  type HeadObjectCommandOutput,
  ListObjectVersionsCommand,
  PutBucketVersioningCommand,
  PutObjectCommand,
  PutObjectRetentionCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { Firn, firnCommand } from '../support/firn.ts'
import { skipUnless, tempDir } from '../support/host.ts'
import { type Instance, instanceOfSize } from '../support/instances.ts'
import { newSeed, Random } from '../support/random.ts'
import { type Gateway, rgwInstalled, startGateway } from '../support/rgw.ts'
import { until } from '../support/until.ts'
import { get, instancePath, json, retrieve, stow } from '../support/web.ts'

const random = new Random(newSeed())
const LOCKED = 'firn-locked'
const OPEN = 'firn-open'
const env = { CEPH_KEY: 'archive', CEPH_SECRET: 'archive-secret' }
const YEAR_MS = 365.25 * 24 * 3_600_000

interface WormStore {
  store: string
  asked: string
  enforced: string
  reason: string | null
  due: number
}

/** As whoever has all the rights of the bucket would try it: the keys are those of its owner. */
describe(`write-once storage on Ceph (seed ${random.seed})`, {
  skip: skipUnless(rgwInstalled, 'no Ceph RADOS Gateway'),
}, () => {
  const dataDir = tempDir('worm')
  const sent: Instance[] = []
  let gateway: Gateway
  let firn: Firn
  let owner: S3Client

  const bucket = (id: string, name: string) => ({
    id,
    type: 's3',
    bucket: name,
    endpoint: gateway.endpoint,
    credentials: { accessKeyIdVariable: 'CEPH_KEY', secretAccessKeyVariable: 'CEPH_SECRET' },
    objectLock: 'compliance',
  })
  const start = async (stores: unknown[]) => {
    const sealing = { quietSeconds: 0.5, landingSeconds: 0, worm: 'required' }
    firn = await Firn.start({ dataDir, env, config: { stores, sealing, landing: { segmentBytes: 1024 * 1024 } } })
  }
  const ask = async <T>(path: string, method = 'GET'): Promise<T> => {
    const answer = await fetch(`${firn.url}/api/v1${path}`, { method })
    assert.equal(answer.status, 200, await answer.clone().text())
    return (await answer.json()) as T
  }
  const probe = async () => (await ask<{ stores: WormStore[] }>('/worm/probe', 'POST')).stores
  const degraded = async () => (await ask<{ degraded: string[] }>('/status')).degraded
  const send = async () => {
    const studyUid = random.uid()
    const files = Array.from({ length: 3 }, () => instanceOfSize(random, random.between(20_000, 90_000), { studyUid }))
    const { status } = await stow(
      firn.dicomWeb,
      files.map(({ file }) => file),
    )
    assert.equal(status, 200)
    sent.push(...files)
  }
  const packKeys = async () =>
    json<{ packs: { key: string }[] }>(await get(`${firn.url}/api/v1/packs`, 'application/json')).packs.map(
      ({ key }) => key,
    )
  const head = (Key: string, VersionId?: string): Promise<HeadObjectCommandOutput> =>
    owner.send(new HeadObjectCommand({ Bucket: LOCKED, Key, VersionId }))
  const assertAllServed = async () => {
    for (const instance of sent) {
      const [bytes] = await retrieve(firn.dicomWeb, instancePath(instance))
      assert.ok(bytes?.equals(instance.file), instance.sopInstanceUid)
    }
  }

  before(async () => {
    gateway = await startGateway()
    owner = new S3Client({
      endpoint: gateway.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: env.CEPH_KEY, secretAccessKey: env.CEPH_SECRET },
      requestChecksumCalculation: 'WHEN_REQUIRED',
    })
    await owner.send(new CreateBucketCommand({ Bucket: LOCKED, ObjectLockEnabledForBucket: true }))
    await owner.send(new CreateBucketCommand({ Bucket: OPEN }))
  })
  after(async () => {
    await firn?.kill()
    owner?.destroy()
    await gateway?.stop()
  })

  it('a bucket that can not lock is no such storage: an alarm, and nothing is placed there', async () => {
    await start([bucket('open', OPEN)])
    await send()
    const [open] = await probe()
    assert.deepEqual([open?.asked, open?.enforced], ['compliance', 'none'])
    assert.match(open?.reason ?? '', /made without object lock/)
    await until('the refusal', async () => (await degraded()).join().includes('studies stay in the landing'), 20_000)
    assert.match((await degraded()).join(), /store open is no write-once storage.*made without object lock/)
    assert.deepEqual(await packKeys(), [])
    const status = await firnCommand(['status', '--data', dataDir])
    assert.match(status.stdout, /NOT locked: compliance was asked for/)
    await firn.stop()
  })

  it('packs go to the one that locks, and stay locked for thirty years from receipt', async () => {
    await start([bucket('open', OPEN), bucket('locked', LOCKED)])
    await send()
    await until('two packs', async () => (await packKeys()).length === 2, 60_000)
    const locked = (await probe()).find(({ store }) => store === 'locked')
    assert.deepEqual([locked?.enforced, locked?.reason, locked?.due], ['compliance', null, 0])
    for (const key of await packKeys()) {
      const { ObjectLockMode, ObjectLockRetainUntilDate } = await head(key)
      const years = ((ObjectLockRetainUntilDate?.getTime() ?? 0) - Date.now()) / YEAR_MS
      assert.equal(ObjectLockMode, 'COMPLIANCE')
      assert.ok(Math.abs(years - 30) < 0.05, String(years))
    }
    const kinds = (await firnCommand(['events', 'list', '--kind', 'pack.locked', '--json', '--data', dataDir])).stdout
    assert.equal(kinds.trim().split('\n').length, 2, kinds)
    await assertAllServed()
  })

  it("survives the administrator's own delete, with bypass headers, in batches, by version, and by a shorter lock", async () => {
    const [key = ''] = await packKeys()
    const { VersionId, ObjectLockRetainUntilDate: end } = await head(key)
    assert.ok(VersionId && end)
    const at = { Bucket: LOCKED, Key: key, VersionId }
    const soon = new Date(Date.now() + 60_000)
    const retain = (Mode: 'COMPLIANCE' | 'GOVERNANCE', RetainUntilDate: Date, BypassGovernanceRetention: boolean) =>
      new PutObjectRetentionCommand({ ...at, Retention: { Mode, RetainUntilDate }, BypassGovernanceRetention })
    const attacks = [
      new DeleteObjectCommand(at),
      new DeleteObjectCommand({ ...at, BypassGovernanceRetention: true }),
      retain('COMPLIANCE', soon, false),
      retain('COMPLIANCE', soon, true),
      retain('GOVERNANCE', end, false),
      retain('GOVERNANCE', end, true),
      retain('GOVERNANCE', soon, true),
      new PutBucketVersioningCommand({ Bucket: LOCKED, VersioningConfiguration: { Status: 'Suspended' } }),
      new DeleteBucketCommand({ Bucket: LOCKED }),
    ]
    for (const attack of attacks)
      await assert.rejects(owner.send(attack as DeleteObjectCommand), attack.constructor.name)
    const batch = new DeleteObjectsCommand({
      Bucket: LOCKED,
      Delete: { Objects: [{ Key: key, VersionId }] },
      BypassGovernanceRetention: true,
    })
    await owner.send(batch).then(
      ({ Deleted = [] }) => assert.deepEqual(Deleted, []),
      () => undefined,
    )
    const now = await head(key, VersionId)
    assert.deepEqual([now.ObjectLockMode, now.ObjectLockRetainUntilDate], ['COMPLIANCE', end])
    await assertAllServed()
  })

  it('a deletion that only hides a pack is taken back by the scrub, and an overwriting leaves it underneath', async () => {
    const [hidden = '', overwritten = ''] = await packKeys()
    await owner.send(new DeleteObjectCommand({ Bucket: LOCKED, Key: hidden }))
    await assert.rejects(head(hidden))
    const scrubbed = await firnCommand(['scrub', '--now', '--json', '--data', dataDir])
    const report = JSON.parse(scrubbed.stdout) as { relocked: number; lost: number; findings: string[] }
    assert.deepEqual([report.relocked, report.lost], [1, 0], scrubbed.stdout)
    assert.match(report.findings.join(), /was brought back/)
    await head(hidden)
    await assertAllServed()
    const alarms = (await firnCommand(['events', 'list', '--kind', 'store.alarm', '--json', '--data', dataDir])).stdout
    assert.match(alarms, /"alarm":"deleted"/)
    assert.match((await degraded()).join(), /deleted by somebody else/)
    const { VersionId: good = '' } = await head(overwritten)
    const { VersionId: bad = '' } = await owner.send(
      new PutObjectCommand({ Bucket: LOCKED, Key: overwritten, Body: Buffer.from('ransom') }),
    )
    const lost = await firnCommand(['scrub', '--now', '--json', '--data', dataDir])
    assert.equal((JSON.parse(lost.stdout) as { lost: number }).lost, 1, lost.stdout)
    // What docs/operating/storage-adapters.md tells an administrator to do.
    await owner.send(new DeleteObjectCommand({ Bucket: LOCKED, Key: overwritten, VersionId: bad }))
    assert.equal((await head(overwritten)).VersionId, good)
    const again = await firnCommand(['scrub', '--now', '--json', '--data', dataDir])
    assert.equal((JSON.parse(again.stdout) as { lost: number }).lost, 0, again.stdout)
    await assertAllServed()
  })

  it('nothing that Firn itself does removes it, and a rebuild finds all of it', async () => {
    const before = await packKeys()
    await firn.stop()
    const stores = [bucket('locked', LOCKED)]
    const rebuilt = await firnCommand(['rebuild', '--data', dataDir], {
      env: { ...env, FIRN_STORES: JSON.stringify(stores) },
    })
    assert.equal(rebuilt.code, 0, rebuilt.stdout + rebuilt.stderr)
    const disk = { id: 'disk', type: 'file', folder: tempDir('worm-disk') }
    await firn.kill()
    firn = await Firn.start({ dataDir, env, config: { stores: [...stores, disk], sealing: { quietSeconds: 0.5 } } })
    assert.deepEqual((await packKeys()).sort(), before.sort())
    const drained = await firnCommand(['drain', 'locked', '--json', '--data', dataDir])
    assert.equal(drained.code, 1, drained.stdout)
    assert.match(drained.stdout, /the store locks it until/)
    for (const key of before) {
      const { Body } = await owner.send(new GetObjectCommand({ Bucket: LOCKED, Key: key }))
      assert.ok((await Body?.transformToByteArray())?.length)
    }
    const { Versions = [], DeleteMarkers = [] } = await owner.send(
      new ListObjectVersionsCommand({ Bucket: LOCKED, Prefix: 'packs/' }),
    )
    assert.deepEqual([Versions.length, DeleteMarkers.length], [before.length, 0])
    await assertAllServed()
  })
})
