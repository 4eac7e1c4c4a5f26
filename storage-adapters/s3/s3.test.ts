import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import {
  DeleteObjectCommand,
  GetObjectLockConfigurationCommand,
  type HeadObjectCommandOutput,
  PutObjectCommand,
  PutObjectRetentionCommand,
} from '@aws-sdk/client-s3'
import { rejectsWith, someBytes } from '../conformance/fixture.ts'
import { bytesSource } from '../contract/read-source.ts'
import type { Bucket } from './bucket.ts'
import { probeLocks } from './canary.ts'
import { s3Error } from './errors.ts'
import { OBJECT_BYTES_MAX, PARTS_MAX, partBytesFor } from './options.ts'
import { partsOf } from './parts.ts'

const MIB = 1024 * 1024
const forbidden = () =>
  Object.assign(new Error('forbidden'), { name: 'AccessDenied', $metadata: { httpStatusCode: 403 } })

/** A store whose locks hold, but for what a test lets through. */
function lockingBucket(allows: (command: unknown) => boolean, accepts = true) {
  let head: Partial<HeadObjectCommandOutput> = { VersionId: 'v1' }
  const act = async (command: unknown): Promise<unknown> => {
    if (command instanceof GetObjectLockConfigurationCommand) {
      return { ObjectLockConfiguration: { ObjectLockEnabled: 'Enabled' } }
    }
    if (command instanceof PutObjectCommand) return { VersionId: 'v1' }
    const isFirstLock = command instanceof PutObjectRetentionCommand && head.ObjectLockMode === undefined
    if (!isFirstLock && !allows(command)) throw forbidden()
    if (command instanceof PutObjectRetentionCommand && accepts) {
      const { Mode, RetainUntilDate } = command.input.Retention ?? {}
      head = { ...head, ObjectLockMode: Mode, ObjectLockRetainUntilDate: RetainUntilDate }
    }
    return {}
  }
  return {
    id: 'fake',
    settings: { canaryLockMs: 5_000, bucket: 'b' },
    at: (Key: string) => ({ Bucket: 'b', Key }),
    head: async () => head,
    send: act,
    sendRaw: act,
  } as unknown as Bucket
}

describe('the probe of locks', () => {
  test('is content with locks that hold', async () => {
    assert.equal(
      await probeLocks(
        lockingBucket(() => false),
        'compliance',
      ),
      undefined,
    )
    assert.equal(
      await probeLocks(
        lockingBucket(() => false),
        'governance',
      ),
      undefined,
    )
  })

  const bypassing = (command: { input: { BypassGovernanceRetention?: boolean | undefined } }) =>
    command.input.BypassGovernanceRetention === true
  for (const [name, allows, reason] of [
    ['a deletion', (c: unknown) => c instanceof DeleteObjectCommand && !bypassing(c), /could be deleted$/],
    [
      'a deletion that bypasses governance',
      (c: unknown) => c instanceof DeleteObjectCommand && bypassing(c),
      /bypassing/,
    ],
    [
      'a shorter lock',
      (c: unknown) => c instanceof PutObjectRetentionCommand && !bypassing(c),
      /earlier than its lock/,
    ],
    [
      'a weaker lock',
      (c: unknown) => c instanceof PutObjectRetentionCommand && c.input.Retention?.Mode === 'GOVERNANCE',
      /weaker/,
    ],
  ] as const) {
    test(`sees ${name} that is let through`, async () => {
      assert.match((await probeLocks(lockingBucket(allows), 'compliance')) ?? '', reason)
    })
  }

  test('sees locks that are accepted and dropped', async () => {
    assert.match(
      (await probeLocks(
        lockingBucket(() => false, false),
        'compliance',
      )) ?? '',
      /shows none/,
    )
  })

  test('does not judge a store that breaks down meanwhile', async () => {
    const bucket = lockingBucket(() => {
      throw Object.assign(new Error('?'), { name: 'InternalError', $metadata: { httpStatusCode: 500 } })
    })
    await rejectsWith('unavailable', probeLocks(bucket, 'compliance'))
  })
})

describe('parts', () => {
  test('the largest object fits into the number of parts that there may be', () => {
    const partBytes = partBytesFor(OBJECT_BYTES_MAX, 16 * MIB)
    assert.ok(partBytes * PARTS_MAX >= OBJECT_BYTES_MAX)
    assert.equal(partBytesFor(500 * MIB, 16 * MIB), 16 * MIB)
  })

  for (const size of [0, 1, 9, 10, 11, 20, 25]) {
    test(`${size} bytes in parts of 10 are all there, in order`, async () => {
      const bytes = someBytes(size)
      const parts = []
      for await (const part of partsOf(bytesSource(bytes), 10)) parts.push(part)
      assert.ok(Buffer.concat(parts.map((part) => part.bytes)).equals(bytes))
      assert.deepEqual(
        parts.map(({ number }) => number),
        Array.from({ length: Math.max(1, Math.ceil(size / 10)) }, (_, i) => i + 1),
      )
    })
  }

  test('the last part is not given before the whole is known to be right', async () => {
    const lying = { ...bytesSource(someBytes(20)), sha256: '0'.repeat(64) }
    const given: number[] = []
    const giving = async () => {
      for await (const { number } of partsOf(lying, 10)) given.push(number)
    }
    await rejectsWith('integrity_mismatch', giving())
    assert.deepEqual(given, [1])
  })
})

describe('errors', () => {
  const http = (name: string, httpStatusCode: number) =>
    Object.assign(new Error(), { name, $metadata: { httpStatusCode } })
  const network = (code: string) => Object.assign(new Error(code), { code })
  for (const [error, read, write] of [
    [http('NoSuchKey', 404), 'not_found', 'not_found'],
    [http('Unknown', 404), 'not_found', 'not_found'],
    [http('QuotaExceeded', 403), 'out_of_space', 'out_of_space'],
    [http('SlowDown', 503), 'rate_limited', 'rate_limited'],
    [http('ServiceUnavailable', 503), 'unavailable', 'unavailable'],
    [http('InternalError', 500), 'unavailable', 'outcome_unknown'],
    [http('Unknown', 504), 'unavailable', 'outcome_unknown'],
    [http('Unknown', 418), 'unsupported', 'unsupported'],
    [http('InvalidObjectState', 403), 'recall_needed', 'recall_needed'],
    [network('ECONNREFUSED'), 'unavailable', 'unavailable'],
    [network('ECONNRESET'), 'unavailable', 'outcome_unknown'],
    [network('ETIMEDOUT'), 'unavailable', 'outcome_unknown'],
  ] as const) {
    test(`${error.name} ${error.message} is ${read}, and ${write} of a write`, () => {
      assert.equal(s3Error(error, 'x', { write: false }).code, read)
      assert.equal(s3Error(error, 'x', { write: true }).code, write)
    })
  }
})
