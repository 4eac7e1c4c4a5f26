import {
  DeleteObjectCommand,
  ListObjectVersionsCommand,
  type ListObjectVersionsCommandOutput,
  type ObjectVersion,
} from '@aws-sdk/client-s3'
import { isStorageError, StorageError } from '../contract/errors.ts'
import { type Permit, permits } from '../contract/permit.ts'
import { type Bucket, SHA256_METADATA } from './bucket.ts'
import { lockOf } from './locks.ts'

/** More versions of one key than repeated writes could ever make; somebody else uses the bucket. */
const VERSIONS_MAX = 1_000

interface Versions {
  /** The oldest first, so that a removal that is interrupted leaves the current one. */
  data: string[]
  /** Delete markers: what a DELETE without a version leaves, by whoever. */
  markers: string[]
}

/** All versions of exactly this key. */
export async function versionsOf(bucket: Bucket, key: string, signal?: AbortSignal): Promise<Versions> {
  const { Bucket, Key } = bucket.at(key)
  const found: Versions = { data: [], markers: [] }
  let after: Pick<ListObjectVersionsCommandOutput, 'NextKeyMarker' | 'NextVersionIdMarker'> = {}
  for (;;) {
    const page: ListObjectVersionsCommandOutput = await bucket.send(
      new ListObjectVersionsCommand({
        Bucket,
        Prefix: Key,
        ...(after.NextKeyMarker !== undefined && { KeyMarker: after.NextKeyMarker }),
        ...(after.NextVersionIdMarker !== undefined && { VersionIdMarker: after.NextVersionIdMarker }),
      }),
      { signal, what: `versions of ${key}` },
    )
    const ids = (versions: readonly Pick<ObjectVersion, 'Key' | 'VersionId'>[] = []) =>
      versions.flatMap((version) => (version.Key === Key && version.VersionId !== undefined ? [version.VersionId] : []))
    found.data.push(...ids(page.Versions))
    found.markers.push(...ids(page.DeleteMarkers))
    // Keys are sorted, so everything of this one comes before those that only begin like it.
    if (!page.IsTruncated || page.NextKeyMarker !== Key) break
    if (found.data.length + found.markers.length > VERSIONS_MAX) {
      throw new StorageError('unsupported', `${bucket.id}: ${key} has more than ${VERSIONS_MAX} versions`)
    }
    after = page
  }
  found.data.reverse()
  return found
}

/** Frees every version that the permit covers; refuses before the first if there is one that it doesn't. */
export async function removeVersions(bucket: Bucket, key: string, permit: Permit, signal?: AbortSignal): Promise<void> {
  const { data, markers } = await versionsOf(bucket, key, signal)
  if (data.length === 0) throw new StorageError('not_found', `${bucket.id} has no ${key}`)
  for (const version of data) await checkPermit(bucket, key, permit, version, signal)
  for (const version of [...data, ...markers]) await removeOne(bucket, key, version, signal)
}

/**
 * Takes back deletions that left the bytes where they were, by removing their marks. Only where the newest version is a mark,
 * and the newest one below has the digest: what others have put under the key isn't Firn's to bring back.
 */
export async function undelete(bucket: Bucket, key: string, sha256: string, signal?: AbortSignal): Promise<boolean> {
  if (await bucket.headIfThere(key, signal)) return false
  const { data, markers } = await versionsOf(bucket, key, signal)
  const newest = data.at(-1)
  if (newest === undefined || markers.length === 0) return false
  const { Metadata } = await bucket.head(key, signal, newest)
  if (Metadata?.[SHA256_METADATA] !== sha256) return false
  for (const marker of markers) await removeOne(bucket, key, marker, signal)
  return (await bucket.headIfThere(key, signal))?.VersionId === newest
}

/** For a bucket without versions. */
export async function removeObject(bucket: Bucket, key: string, permit: Permit, signal?: AbortSignal): Promise<void> {
  await checkPermit(bucket, key, permit, undefined, signal)
  await removeOne(bucket, key, undefined, signal)
}

async function checkPermit(
  bucket: Bucket,
  key: string,
  permit: Permit,
  version: string | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const { Metadata } = await bucket.head(key, signal, version)
  if (permits(permit, key, Metadata?.[SHA256_METADATA])) return
  throw new StorageError('permission_denied', `${bucket.id}: the permit for ${key} is for other bytes`)
}

async function removeOne(
  bucket: Bucket,
  key: string,
  version: string | undefined,
  signal: AbortSignal | undefined,
): Promise<void> {
  const command = new DeleteObjectCommand({ ...bucket.at(key), ...(version !== undefined && { VersionId: version }) })
  try {
    await bucket.send(command, { signal, write: true, what: `removal of ${key}` })
  } catch (error) {
    if (isStorageError(error, 'permission_denied') && (await isLocked(bucket, key, version, signal))) {
      throw new StorageError('locked', `${bucket.id}: ${key} is locked`, { cause: error })
    }
    throw error
  }
}

/** A store refuses a locked object like any other that it doesn't let go. */
async function isLocked(bucket: Bucket, key: string, version: string | undefined, signal: AbortSignal | undefined) {
  const lock = await bucket.head(key, signal, version).then(lockOf, () => undefined)
  return lock !== undefined && (lock.legalHold || (lock.until !== undefined && lock.until > new Date()))
}
