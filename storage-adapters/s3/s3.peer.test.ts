import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, describe, test } from 'node:test'
import { CreateBucketCommand, DeleteObjectCommand, PutObjectCommand, S3Client } from '@aws-sdk/client-s3'
import { skipUnless } from '../../test/support/host.ts'
import { type Gateway, rgwInstalled, startGateway } from '../../test/support/rgw.ts'
import { conformance } from '../conformance/conformance.ts'
import { readAll, rejectsWith, someBytes } from '../conformance/fixture.ts'
import { bytesSource } from '../contract/read-source.ts'
import type { S3Options } from './options.ts'
import { s3Store } from './s3.ts'

const MIB = 1024 * 1024

/** Against a real Ceph gateway: what the contract promises, and what this store was seen to do to those who trust it. */
describe('s3 on Ceph', { skip: skipUnless(rgwInstalled, 'Ceph is not installed') }, () => {
  let gateway: Gateway
  let client: S3Client

  before(async () => {
    gateway = await startGateway()
    client = new S3Client({
      endpoint: gateway.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: gateway.accessKey, secretAccessKey: gateway.secretKey },
      requestChecksumCalculation: 'WHEN_REQUIRED',
    })
  })
  after(() => gateway?.stop())

  async function newBucket(objectLock = false): Promise<string> {
    const bucket = `firn-${randomUUID()}`
    await client.send(new CreateBucketCommand({ Bucket: bucket, ObjectLockEnabledForBucket: objectLock }))
    return bucket
  }

  function options(bucket: string, more: Partial<S3Options> = {}): S3Options {
    return {
      id: 's3',
      bucket,
      endpoint: gateway.endpoint,
      credentials: { accessKeyIdVariable: 'KEY', secretAccessKeyVariable: 'SECRET' },
      env: { KEY: gateway.accessKey, SECRET: gateway.secretKey },
      partBytes: 5 * MIB,
      canaryLockMs: 10_000,
      ...more,
    }
  }

  const onNewBucket = (objectLock: boolean, more: Partial<S3Options>) => async () => {
    const bucket = await newBucket(objectLock)
    const again = () => s3Store(options(bucket, more))
    return { adapter: again(), again }
  }

  const suite = { largeBytes: 10 * MIB + 17, listedObjects: 1_100 }
  conformance('s3, plain bucket', onNewBucket(false, { prefix: 'archive/' }), suite)
  conformance('s3, lock bucket', onNewBucket(true, { objectLock: 'compliance' }), { largeBytes: 5 * MIB + 17 })

  test('a deletion that left the bytes where they were is taken back, and no other is', async () => {
    const bucket = await newBucket(true)
    const store = s3Store(options(bucket, { objectLock: 'compliance' }))
    await store.open()
    const bytes = someBytes(1_000)
    const source = bytesSource(bytes)
    assert.equal(await store.recover('missing', source.sha256), false)
    await store.put('hidden', source)
    assert.equal(await store.recover('hidden', source.sha256), false, 'it is there')
    const hide = () => client.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'hidden' }))
    for (let times = 0; times < 2; times++) await hide()
    await rejectsWith('not_found', store.stat('hidden'))
    assert.equal(await store.recover('hidden', 'f'.repeat(64)), false, 'other bytes were asked for')
    assert.equal(await store.recover('hidden', source.sha256), true)
    assert.ok((await readAll((await store.get('hidden')).body)).equals(bytes))
    await client.send(new PutObjectCommand({ Bucket: bucket, Key: 'hidden', Body: 'other bytes' }))
    await hide()
    assert.equal(await store.recover('hidden', source.sha256), false, 'somebody else has put something there')
    const plain = s3Store(options(await newBucket(false)))
    await plain.open()
    await plain.put('a', source)
    assert.equal(await plain.recover('b', source.sha256), false, 'a bucket without versions keeps nothing')
  })

  test("a lock doesn't bind whoever owns the cluster, and what he removes is missed", async () => {
    const bucket = await newBucket(true)
    const store = s3Store(options(bucket, { objectLock: 'compliance' }))
    await store.open()
    const lockUntil = new Date(Date.now() + 60_000)
    const { version = '' } = await store.put('locked', bytesSource(someBytes(10)), { lockUntil })
    assert.notEqual(version, '')
    await gateway.admin('object', 'rm', `--bucket=${bucket}`, '--object=locked', `--object-version=${version}`)
    await rejectsWith('not_found', store.stat('locked'))
  })
})
