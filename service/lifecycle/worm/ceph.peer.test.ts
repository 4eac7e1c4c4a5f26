import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'
import { setTimeout as sleep } from 'node:timers/promises'
import { CreateBucketCommand, DeleteObjectCommand, ListObjectVersionsCommand, S3Client } from '@aws-sdk/client-s3'
import { s3Store } from '../../../storage-adapters/s3/s3.ts'
import { LOCK, locking, STUDIES, site, studyUid } from '../../../test/property/worm.ts'
import { skipUnless } from '../../../test/support/host.ts'
import { type Gateway, rgwInstalled, startGateway } from '../../../test/support/rgw.ts'
import { isArchiveError } from '../../errors.ts'
import type { Store } from '../../stores/ports.ts'

const BUCKET = 'firn-worm'
const SECOND_DAYS = 1 / 86_400

/** Locks that run out within seconds, on a real gateway: what is in retention stays, and what isn't can go. */
describe('locks on Ceph that run out', { skip: skipUnless(rgwInstalled, 'Ceph is not installed') }, () => {
  let gateway: Gateway
  let owner: S3Client
  before(async () => {
    gateway = await startGateway()
    owner = new S3Client({
      endpoint: gateway.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: gateway.accessKey, secretAccessKey: gateway.secretKey },
    })
    await owner.send(new CreateBucketCommand({ Bucket: BUCKET, ObjectLockEnabledForBucket: true }))
  })
  after(async () => {
    owner?.destroy()
    await gateway?.stop()
  })

  async function ceph(): Promise<{ store: Store }> {
    const adapter = s3Store({
      id: 'ceph',
      bucket: BUCKET,
      endpoint: gateway.endpoint,
      credentials: { accessKeyIdVariable: 'KEY', secretAccessKeyVariable: 'SECRET' },
      env: { KEY: gateway.accessKey, SECRET: gateway.secretKey },
      objectLock: 'compliance',
      canaryLockMs: 5_000,
    })
    await adapter.open()
    const lock = { ...LOCK, initialDays: 5 * SECOND_DAYS }
    const store: Store = {
      id: 'ceph',
      adapter,
      lock,
      trouble: undefined,
      tier: 'online' as const,
      weight: 1,
      health: 1,
      refusal: undefined,
      takes: true,
      tryAgain: async () => undefined,
      probe: () => adapter.open(),
      capacity: async () => undefined,
    }
    return { store }
  }

  test('until then the copy stays whatever asks, and then it goes with all its versions, unless it is held', async () => {
    const [remote, local] = [await ceph(), locking('local', { lock: 'none' })]
    const { worm, sealAll, packOf, copies, decided, held, said } = await site([remote, local], [], { copies: 2 })
    const end = new Date(Math.ceil(Date.now() / 1000) * 1000 + 20_000)
    for (let n = 0; n < STUDIES; n++) decided.set(studyUid(n), end)
    held.set(studyUid(1), true)
    await sealAll()
    await worm.probe()
    assert.deepEqual(worm.troubles, [])
    const locks = (await said('pack.locked')).map(({ data }) => [data.mode, data.until, data.legalHold])
    const untilEnd = ['compliance', end.toISOString()]
    const byHold = (a: unknown[], b: unknown[]) => Number(a[2]) - Number(b[2])
    assert.deepEqual(locks.sort(byHold), [
      [...untilEnd, false],
      [...untilEnd, false],
      [...untilEnd, true],
    ])
    const free = async (n: number) => copies.free(await packOf(n), 'ceph', 1, 'a test')
    for (let n = 0; n < STUDIES; n++) {
      await assert.rejects(
        free(n),
        (error) => isArchiveError(error, 'forbidden') && /locks it until/.test(error.message),
      )
    }
    // Somebody deletes what is locked, and it is brought back.
    const { key } = await packOf(2)
    await owner.send(new DeleteObjectCommand({ Bucket: BUCKET, Key: key }))
    assert.equal(await worm.recover(await packOf(2), 'ceph'), true)
    assert.ok(Date.now() < end.getTime(), 'the test took too long')
    await sleep(end.getTime() - Date.now() + 1_500)
    await free(0)
    await free(2)
    await assert.rejects(free(1), /by a legal hold/)
    held.set(studyUid(1), false)
    assert.deepEqual(await worm.on(studyUid(1), false), { done: 1, pending: 0 })
    await free(1)
    const { Versions = [], DeleteMarkers = [] } = await owner.send(
      new ListObjectVersionsCommand({ Bucket: BUCKET, Prefix: 'packs/' }),
    )
    assert.deepEqual([Versions, DeleteMarkers], [[], []])
    for (let n = 0; n < STUDIES; n++) {
      assert.deepEqual(
        (await packOf(n)).copies.map(({ store }) => store),
        ['local'],
      )
    }
  })
})
