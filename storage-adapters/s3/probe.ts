import { randomUUID } from 'node:crypto'
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  type CreateMultipartUploadCommandOutput,
  DeleteObjectCommand,
  GetBucketVersioningCommand,
  HeadBucketCommand,
  ListMultipartUploadsCommand,
  ListObjectVersionsCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import type { Capacity } from '../contract/adapter.ts'
import type { LoweredCapability } from '../contract/capabilities.ts'
import { isStorageError, type StorageErrorCode } from '../contract/errors.ts'
import { announcingSha256, type Bucket, watchingHeaders } from './bucket.ts'
import { PROBES, probeLocks } from './canary.ts'

/** How much of what probes and interrupted uploads left is removed at one `open()`. */
const CLEANED_MAX = 1_000

export interface Probed {
  readonly backendSha256: boolean
  readonly createOnly: CreateOnly
  readonly lowered: readonly LoweredCapability[]
}

/**
 * Finds out, by writing, what the store keeps of its promises. A store that is full must still be opened, to be read and
 * evacuated: what can't be tried there is taken for missing, as it is where nothing may be written.
 */
export async function probe(bucket: Bucket, signal?: AbortSignal): Promise<Probed> {
  if (bucket.settings.readOnly) return unprobed(bucket, "it isn't tried where nothing may be written")
  try {
    const backendSha256 = await probeSha256(bucket, signal)
    const createOnly = await probeCreateOnly(bucket, signal)
    const { objectLock } = bucket.settings
    const fault = objectLock === 'none' ? undefined : await probeLocks(bucket, objectLock, signal)
    await cleanProbes(bucket, signal)
    const lowered: LoweredCapability[] = []
    const lower = (capability: LoweredCapability['capability'], reason: string) => lowered.push({ capability, reason })
    if (!backendSha256) lower('backendSha256', 'the store takes bytes with a wrong SHA-256')
    if (!createOnly.whole) lower('createOnly', 'the store ignores If-None-Match')
    else if (!createOnly.inParts) lower('createOnly', 'the store ignores If-None-Match of uploads in parts')
    if (fault !== undefined) lower('objectLock', fault)
    return { backendSha256, createOnly, lowered }
  } catch (error) {
    if (!isStorageError(error, 'out_of_space')) throw error
    return unprobed(bucket, "it couldn't be tried, as the store is full")
  }
}

function unprobed(bucket: Bucket, reason: string): Probed {
  const lowered: LoweredCapability[] = [
    { capability: 'backendSha256', reason },
    { capability: 'createOnly', reason },
  ]
  if (bucket.settings.objectLock !== 'none') lowered.push({ capability: 'objectLock', reason })
  return { backendSha256: false, createOnly: { whole: false, inParts: false }, lowered }
}

export async function isVersioned(bucket: Bucket, signal?: AbortSignal): Promise<boolean> {
  const command = new GetBucketVersioningCommand({ Bucket: bucket.settings.bucket })
  return (await bucket.send(command, { signal, what: 'versioning' })).Status !== undefined
}

/** Whether the store refuses a body that doesn't have the SHA-256 that was announced. */
async function probeSha256(bucket: Bucket, signal?: AbortSignal): Promise<boolean> {
  const at = bucket.at(`${PROBES}sha256-${randomUUID()}`)
  const command = announcingSha256(new PutObjectCommand({ ...at, Body: Buffer.from('probe') }), 'f'.repeat(64))
  return isRefused(
    bucket.send(command, { signal, what: 'probe' }),
    'integrity_mismatch',
    'permission_denied',
    'unsupported',
  )
}

export interface CreateOnly {
  whole: boolean
  inParts: boolean
}

/** Whether `If-None-Match: *` is honoured, for an object in one request and for one in parts. */
async function probeCreateOnly(bucket: Bucket, signal?: AbortSignal): Promise<CreateOnly> {
  const at = bucket.at(`${PROBES}create-${randomUUID()}`)
  const call = { signal, what: 'probe' }
  const once = { ...at, Body: Buffer.from('probe'), IfNoneMatch: '*' }
  try {
    await bucket.send(new PutObjectCommand(once), call)
  } catch (error) {
    if (isStorageError(error, 'unsupported')) return { whole: false, inParts: false }
    throw error
  }
  const whole = await isRefused(bucket.send(new PutObjectCommand(once), call), 'exists_different')
  return { whole, inParts: await probeParts(bucket, at, signal) }
}

async function probeParts(bucket: Bucket, at: ReturnType<Bucket['at']>, signal?: AbortSignal): Promise<boolean> {
  const call = { signal, what: 'probe' }
  const { UploadId }: CreateMultipartUploadCommandOutput = await bucket.send(new CreateMultipartUploadCommand(at), call)
  const upload = { ...at, UploadId }
  const part = new UploadPartCommand({ ...upload, PartNumber: 1, Body: Buffer.from('probe') })
  const { ETag } = await bucket.send(part, call)
  const completing = bucket.send(
    new CompleteMultipartUploadCommand({
      ...upload,
      MultipartUpload: { Parts: [{ PartNumber: 1, ...(ETag !== undefined && { ETag }) }] },
      IfNoneMatch: '*',
    }),
    call,
  )
  const refused = await isRefused(completing, 'exists_different', 'unsupported')
  if (refused) await bucket.sendRaw(new AbortMultipartUploadCommand(upload)).catch(() => undefined)
  return refused
}

async function isRefused(sending: Promise<unknown>, ...codes: StorageErrorCode[]): Promise<boolean> {
  try {
    await sending
    return false
  } catch (error) {
    if (isStorageError(error, ...codes)) return true
    throw error
  }
}

/** Removes what earlier probes left; one that is still locked stays until a later time. */
async function cleanProbes(bucket: Bucket, signal?: AbortSignal): Promise<void> {
  const { Bucket, Key } = bucket.at(PROBES)
  const page = await bucket.send(new ListObjectVersionsCommand({ Bucket, Prefix: Key, MaxKeys: CLEANED_MAX }), {
    signal,
    what: 'probes',
  })
  for (const { Key, VersionId } of [...(page.Versions ?? []), ...(page.DeleteMarkers ?? [])]) {
    const version = VersionId === undefined || VersionId === 'null' ? {} : { VersionId }
    await bucket.sendRaw(new DeleteObjectCommand({ Bucket, Key, ...version }), signal).catch(() => undefined)
  }
}

/** Removes uploads in parts that nobody has completed for so long that nobody will. They take space that no list shows. */
export async function cleanUploads(bucket: Bucket, olderThan: Date, signal?: AbortSignal): Promise<void> {
  const { Bucket, Key } = bucket.at('')
  const command = new ListMultipartUploadsCommand({ Bucket, Prefix: Key, MaxUploads: CLEANED_MAX })
  const { Uploads = [] } = await bucket.send(command, { signal, what: 'uploads' })
  for (const { Key, UploadId, Initiated } of Uploads) {
    if (!Initiated || Initiated >= olderThan) continue
    await bucket.sendRaw(new AbortMultipartUploadCommand({ Bucket, Key, UploadId }), signal).catch(() => undefined)
  }
}

/** Ceph tells the owner of a bucket how much is in it, and its quota. Undefined where that isn't known. */
export async function capacityOf(bucket: Bucket, signal?: AbortSignal): Promise<Capacity | undefined> {
  let headers: Record<string, string | undefined> = {}
  const command = watchingHeaders(new HeadBucketCommand({ Bucket: bucket.settings.bucket }), (seen) => {
    headers = seen
  })
  await bucket.send(command, { signal, what: `bucket ${bucket.settings.bucket}` })
  const bytesUsed = numberOf(headers['x-rgw-bytes-used'])
  // A user's quota isn't looked at: how much he has in other buckets isn't told here.
  const bounds = [bucket.settings.bytesTotal, numberOf(headers['x-rgw-quota-bucket-size'])].filter(isPositive)
  if (bytesUsed === undefined || bounds.length === 0) return undefined
  const bytesTotal = Math.min(...bounds)
  return { bytesTotal, bytesFree: Math.max(0, bytesTotal - bytesUsed) }
}

function isPositive(bytes: number | undefined): bytes is number {
  return bytes !== undefined && bytes > 0
}

function numberOf(header: string | undefined): number | undefined {
  const value = Number(header)
  return header !== undefined && Number.isSafeInteger(value) ? value : undefined
}
