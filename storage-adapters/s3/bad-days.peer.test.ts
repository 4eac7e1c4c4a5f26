import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { after, before, beforeEach, describe, test } from 'node:test'
import { inspect } from 'node:util'
import {
  CreateBucketCommand,
  DeleteObjectCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  S3Client,
} from '@aws-sdk/client-s3'
import { type BadNetwork, startBadNetwork } from '../../test/support/bad-network.ts'
import { skipUnless } from '../../test/support/host.ts'
import { type Gateway, rgwInstalled, startGateway } from '../../test/support/rgw.ts'
import { keysOf, permitFor, readAll, rejectsWith, sha256, someBytes, within } from '../conformance/fixture.ts'
import { isCapacityAware } from '../contract/adapter.ts'
import { bytesSource } from '../contract/read-source.ts'
import { retry } from '../wrap/retry.ts'
import { SHA256_METADATA } from './bucket.ts'
import type { S3Options } from './options.ts'
import { s3Store } from './s3.ts'

const MIB = 1024 * 1024
const SMALL = someBytes(300_000)
const LARGE = someBytes(11 * MIB)

/** What stores and networks were seen to do, on a real Ceph gateway behind a network that fails on demand. */
describe('bad days of s3 on Ceph', { skip: skipUnless(rgwInstalled, 'Ceph is not installed') }, () => {
  let gateway: Gateway
  let network: BadNetwork
  let client: S3Client
  let bucket: string

  before(async () => {
    gateway = await startGateway()
    network = await startBadNetwork(gateway.endpoint)
    client = new S3Client({
      endpoint: gateway.endpoint,
      region: 'us-east-1',
      forcePathStyle: true,
      credentials: { accessKeyId: gateway.accessKey, secretAccessKey: gateway.secretKey },
    })
    bucket = await newBucket()
  })
  after(async () => {
    await network?.stop()
    await gateway?.stop()
  })
  beforeEach(() => network.set('fine'))

  async function newBucket(objectLock = false): Promise<string> {
    const name = `firn-${randomUUID()}`
    await client.send(new CreateBucketCommand({ Bucket: name, ObjectLockEnabledForBucket: objectLock }))
    return name
  }

  async function open(more: Partial<S3Options> = {}) {
    const store = s3Store({
      id: 's3',
      bucket,
      endpoint: network.url,
      credentials: { accessKeyIdVariable: 'KEY', secretAccessKeyVariable: 'SECRET' },
      env: { KEY: gateway.accessKey, SECRET: gateway.secretKey },
      partBytes: 5 * MIB,
      canaryLockMs: 3_000,
      requestTimeoutMs: 1_500,
      idleTimeoutMs: 500,
      ...more,
    })
    await store.open()
    return store
  }

  const versions = async (Prefix: string) => {
    const { Versions = [], DeleteMarkers = [] } = await client.send(
      new ListObjectVersionsCommand({ Bucket: bucket, Prefix }),
    )
    return Versions.length + DeleteMarkers.length
  }
  const uploads = async () => (await client.send(new ListMultipartUploadsCommand({ Bucket: bucket }))).Uploads ?? []

  test('an answer that was lost after the object was stored is an unknown outcome, and is found by stat', async () => {
    const store = await open()
    network.set('answers_lost')
    await rejectsWith('outcome_unknown', store.put('lost', bytesSource(SMALL)))
    network.set('fine')
    assert.equal((await store.stat('lost')).sha256, sha256(SMALL))
    assert.equal((await store.put('lost', bytesSource(SMALL))).created, false)
  })

  test('a store that is silent is given up in time; what it may have done is unknown, what it was to tell unavailable', async () => {
    const store = await open()
    await store.put('silent', bytesSource(SMALL))
    network.set('silent')
    await within(5_000, rejectsWith('outcome_unknown', store.put('silent2', bytesSource(SMALL))))
    await within(5_000, rejectsWith('unavailable', store.get('silent')))
    await within(5_000, rejectsWith('unavailable', store.stat('silent')))
    // It looks before it removes, so nothing was sent that could.
    await within(5_000, rejectsWith('unavailable', store.remove('silent', permitFor('silent', SMALL))))
  })

  test('a connection that breaks in the middle of an upload in parts leaves nothing, and the next try succeeds', async () => {
    const store = await open()
    network.set({ requestBytesMax: 7 * MIB })
    await rejectsWith('unavailable', store.put('parts', bytesSource(LARGE)))
    network.set('fine')
    await rejectsWith('not_found', store.stat('parts'))
    assert.equal((await store.put('parts', bytesSource(LARGE))).created, true)
    // The network was down when the upload was to be aborted; when it is old, the next start removes it.
    assert.equal((await uploads()).length, 1)
    await open()
    assert.equal((await uploads()).length, 1)
    await open({ staleUploadMs: 0 })
    assert.deepEqual(await uploads(), [])
  })

  test('a source that lies leaves no upload behind', async () => {
    const store = await open()
    const lying = { ...bytesSource(LARGE), sha256: sha256(SMALL) }
    await rejectsWith('integrity_mismatch', store.put('liar', lying))
    assert.deepEqual(await uploads(), [])
  })

  for (const then of ['break', 'stall'] as const) {
    test(`a body that ${then}s is an error, and is taken up by retries`, async () => {
      const store = await open()
      const key = `body-${then}`
      await store.put(key, bytesSource(LARGE))
      network.set({ answerBytesMax: 3 * MIB, then })
      const { body } = await store.get(key)
      await within(5_000, rejectsWith('unavailable', readAll(body)))
      network.set({ answerBytesMax: 3 * MIB, then })
      const retrying = await retry(store, { firstDelayMs: 500 }).get(key)
      setTimeout(() => network.set('fine'), 600)
      assert.ok((await readAll(retrying.body)).equals(LARGE))
    })
  }

  test('a reader who takes longer than a store may be silent keeps his body', async () => {
    const store = await open()
    await store.put('slow', bytesSource(LARGE))
    const { body } = await store.get('slow')
    const chunks: Buffer[] = []
    for await (const chunk of body) {
      if (chunks.length === 1) await new Promise((resolve) => setTimeout(resolve, 1_200))
      chunks.push(chunk as Buffer)
    }
    assert.ok(Buffer.concat(chunks).equals(LARGE))
  })

  test('a gateway that is gone is unavailable, and is used again when it is back', async () => {
    const store = await open({ endpoint: gateway.endpoint })
    await gateway.stopGateway()
    await rejectsWith('unavailable', store.put('gone', bytesSource(SMALL)))
    await rejectsWith('unavailable', store.stat('gone'))
    await rejectsWith('unavailable', open({ endpoint: gateway.endpoint }))
    await gateway.resumeGateway()
    assert.equal((await store.put('gone', bytesSource(SMALL))).created, true)
  })

  test('wrong keys, missing variables and missing buckets are told apart, and no secret is told', async () => {
    const env = { KEY: gateway.accessKey, SECRET: 'a-wrong-secret' }
    const outcome = await open({ env }).catch((error: unknown) => error)
    await rejectsWith('permission_denied', Promise.reject(outcome))
    assert.ok(!inspect(outcome, { depth: 10, showHidden: true }).includes('a-wrong-secret'))
    await rejectsWith('misconfigured', open({ env: {} }))
    await rejectsWith('misconfigured', open({ bucket: 'there-is-none' }))
    await rejectsWith('misconfigured', open({ partBytes: 1 }))
  })

  test('the default checksums of the SDK work too', async () => {
    const store = await open({ checksums: 'when_supported' })
    for (const bytes of [SMALL, LARGE]) {
      const key = `checksums-${bytes.length}`
      await store.put(key, bytesSource(bytes))
      assert.ok((await readAll((await store.get(key)).body)).equals(bytes))
    }
  })

  test('what Ceph can and what it cannot is found out', async () => {
    const plain = (await open()).capabilities
    assert.equal(plain.backendSha256, true)
    assert.equal(plain.createOnly, 'none')
    assert.match(plain.lowered.find(({ capability }) => capability === 'createOnly')?.reason ?? '', /uploads in parts/)
    const claimed = await open({ objectLock: 'compliance' })
    assert.equal(claimed.capabilities.objectLock, 'none')
    const { reason } = claimed.capabilities.lowered.find(({ capability }) => capability === 'objectLock') ?? {}
    assert.match(reason ?? '', /made without object lock/)
    const lockUntil = new Date(Date.now() + 1_000)
    await rejectsWith('unsupported', claimed.put('locked', bytesSource(SMALL), { lockUntil }))
    await rejectsWith('not_found', claimed.stat('locked'))
    const locking = await open({ bucket: await newBucket(true), objectLock: 'compliance' })
    assert.equal(locking.capabilities.objectLock, 'compliance')
  })

  test('a store that is open for reading only is read, and nothing is written to it', async () => {
    const writer = await open()
    await writer.put('evacuated', bytesSource(SMALL))
    const reader = await open({ readOnly: true, objectLock: 'compliance' })
    assert.equal(reader.capabilities.objectLock, 'none')
    assert.ok((await readAll((await reader.get('evacuated')).body)).equals(SMALL))
    await rejectsWith('permission_denied', reader.put('more', bytesSource(SMALL)))
    await rejectsWith('permission_denied', reader.remove('evacuated', permitFor('evacuated', SMALL)))
  })

  test('what others put beside the objects is no object', async () => {
    for (const Key of ['pre/', 'pre/a b', 'pre/.x', 'pre/\u{1F600}', 'pre/\uFFFD', 'pre/x', 'y']) {
      await client.send(new PutObjectCommand({ Bucket: bucket, Key, Body: SMALL }))
    }
    const store = await open({ prefix: 'pre/' })
    assert.deepEqual(await keysOf(store.list()), ['x'])
    await rejectsWith('exists_different', store.put('x', bytesSource(LARGE)))
    assert.equal((await store.put('x', bytesSource(SMALL))).created, false)
  })

  test('a quota is capacity, and when it is used up the store is full', async () => {
    const small = await newBucket()
    const unknown = await open({ bucket: small })
    assert.equal(isCapacityAware(unknown), false)
    const bought = await open({ bucket: small, bytesTotal: 100 * MIB })
    assert.deepEqual(await bought.capacity(), { bytesTotal: 100 * MIB, bytesFree: 100 * MIB })
    await gateway.admin('quota', 'set', '--quota-scope=bucket', `--bucket=${small}`, '--max-size=3M')
    await gateway.admin('quota', 'enable', '--quota-scope=bucket', `--bucket=${small}`)
    try {
      const bounded = await open({ bucket: small })
      assert.deepEqual(await bounded.capacity(), { bytesTotal: 3 * MIB, bytesFree: 3 * MIB })
      // Ceph looks at its quota for each part alone, so parts that are small beside it get through.
      // It may close the connection on a body that it refuses before its answer is read, which is worth another try.
      const patient = retry(bounded, { attemptsMax: 20, firstDelayMs: 50, delayMsMax: 200 })
      await rejectsWith('out_of_space', patient.put('large', bytesSource(LARGE)))
      await rejectsWith('not_found', bounded.stat('large'))
      await bounded.put('small', bytesSource(SMALL))
      await gateway.admin('quota', 'set', '--quota-scope=bucket', `--bucket=${small}`, '--max-size=1')
      const full = await open({ bucket: small })
      assert.match(full.capabilities.lowered[0]?.reason ?? '', /full/)
      assert.ok((await readAll((await full.get('small')).body)).equals(SMALL))
      await full.remove('small', permitFor('small', SMALL))
    } finally {
      await gateway.admin('quota', 'disable', '--quota-scope=bucket', `--bucket=${small}`)
    }
  })

  describe('versions', () => {
    before(async () => {
      bucket = await newBucket(true)
    })
    const putDirectly = (Key: string, Body: Buffer) =>
      client.send(new PutObjectCommand({ Bucket: bucket, Key, Body, Metadata: { [SHA256_METADATA]: sha256(Body) } }))

    test('a removal removes all of them, and what deletions without a version left', async () => {
      const store = await open()
      for (let i = 0; i < 3; i++) await putDirectly('versions', SMALL)
      await putDirectly('versions.other', SMALL)
      await client.send(new DeleteObjectCommand({ Bucket: bucket, Key: 'versions' }))
      await rejectsWith('not_found', store.stat('versions'))
      assert.equal(await versions('versions'), 5)
      await store.remove('versions', permitFor('versions', SMALL))
      assert.equal(await versions('versions'), 1)
    })

    test('a version with other bytes than the permit names keeps them all', async () => {
      const store = await open()
      await putDirectly('mixed', someBytes(10))
      await putDirectly('mixed', SMALL)
      await rejectsWith('permission_denied', store.remove('mixed', permitFor('mixed', SMALL)))
      assert.equal(await versions('mixed'), 2)
    })

    test('probes and canaries are removed at a later start', async () => {
      await open({ objectLock: 'compliance' })
      assert.equal(await versions('.firn-probe/'), 1)
      await new Promise((resolve) => setTimeout(resolve, 4_100))
      await open()
      assert.equal(await versions('.firn-probe/'), 0)
    })
  })
})
