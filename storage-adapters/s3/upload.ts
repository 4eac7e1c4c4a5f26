import {
  AbortMultipartUploadCommand,
  type CompletedPart,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  PutObjectCommand,
  UploadPartCommand,
} from '@aws-sdk/client-s3'
import { isStorageError, StorageError } from '../contract/errors.ts'
import type { Source } from '../contract/source.ts'
import { announcingSha256, type Bucket, SHA256_METADATA } from './bucket.ts'
import { partBytesFor } from './options.ts'
import { type Part, partsOf } from './parts.ts'

export interface UploadOptions {
  /** The store honours `If-None-Match: *`. */
  createOnly: boolean
  signal?: AbortSignal | undefined
}

/** The object exists. Not an error of the contract yet: what is there must be looked at. */
export class AlreadyThere extends Error {}

export function isInParts({ settings }: Bucket, { sizeBytes }: Source): boolean {
  return sizeBytes > settings.partBytes
}

/** Sends an object in one request. Resolves with its version, if it has one; throws `AlreadyThere`. */
export async function uploadWhole(bucket: Bucket, key: string, source: Source, options: UploadOptions) {
  const { signal, createOnly } = options
  for await (const { bytes } of partsOf(source, source.sizeBytes, signal)) {
    const command = new PutObjectCommand({
      ...bucket.at(key),
      Body: bytes,
      ContentLength: bytes.length,
      Metadata: { [SHA256_METADATA]: source.sha256 },
      ...(createOnly && { IfNoneMatch: '*' }),
    })
    const call = { signal, write: true, what: key }
    const { VersionId } = await unlessThere(bucket.send(announcingSha256(command, source.sha256), call))
    return VersionId
  }
  throw new Error('a source has at least one part')
}

/** The same for a larger one; nobody sees it before the last request. What fails before that is cleaned up. */
export async function uploadInParts(
  bucket: Bucket,
  key: string,
  source: Source,
  options: UploadOptions & { beforeCompleting(): Promise<void> },
): Promise<string | undefined> {
  const { signal, createOnly } = options
  const created = await bucket.send(
    new CreateMultipartUploadCommand({ ...bucket.at(key), Metadata: { [SHA256_METADATA]: source.sha256 } }),
    { signal, what: key },
  )
  const at = { ...bucket.at(key), UploadId: created.UploadId }
  try {
    const parts = await sendParts(bucket, at, source, signal)
    await options.beforeCompleting()
    const command = new CompleteMultipartUploadCommand({
      ...at,
      MultipartUpload: { Parts: parts },
      ...(createOnly && { IfNoneMatch: '*' }),
    })
    const completed = await unlessThere(bucket.send(command, { signal, write: true, what: key }))
    return completed.VersionId
  } catch (error) {
    // An upload that may have been completed must not be aborted; if it wasn't, it is removed when it is old.
    if (!isStorageError(error, 'outcome_unknown')) await abort(bucket, at)
    throw error
  }
}

type UploadAt = ReturnType<Bucket['at']> & { UploadId: string | undefined }

async function sendParts(bucket: Bucket, at: UploadAt, source: Source, signal?: AbortSignal): Promise<CompletedPart[]> {
  const { partBytes, partsInFlight } = bucket.settings
  const sent: CompletedPart[] = []
  const inFlight = new Set<Promise<void>>()
  // The first failure ends the others, and the wait for the source.
  const failure = new AbortController()
  const forward = () => failure.abort(signal?.reason)
  signal?.addEventListener('abort', forward, { once: true })
  if (signal?.aborted) forward()
  let firstError: unknown
  const send = (part: Part) => {
    const sending = sendPart(bucket, at, part, failure.signal)
      .then(
        (completed) => void sent.push(completed),
        (error: unknown) => {
          firstError ??= error
          failure.abort(error)
        },
      )
      .finally(() => inFlight.delete(sending))
    inFlight.add(sending)
  }
  try {
    for await (const part of partsOf(source, partBytesFor(source.sizeBytes, partBytes), failure.signal)) {
      send(part)
      while (inFlight.size >= partsInFlight) await Promise.race(inFlight)
    }
  } catch (error) {
    firstError ??= error
    failure.abort(error)
  } finally {
    signal?.removeEventListener('abort', forward)
    // A part that arrives after the upload was aborted would stay, so all have ended before that.
    await Promise.all(inFlight)
  }
  if (firstError !== undefined) throw firstError
  return sent.sort((a, b) => (a.PartNumber ?? 0) - (b.PartNumber ?? 0))
}

async function sendPart(bucket: Bucket, at: UploadAt, part: Part, signal: AbortSignal): Promise<CompletedPart> {
  const command = new UploadPartCommand({
    ...at,
    PartNumber: part.number,
    Body: part.bytes,
    ContentLength: part.bytes.length,
  })
  const what = `${at.Key}, part ${part.number}`
  const { ETag } = await bucket.send(announcingSha256(command, part.sha256), { signal, what })
  if (ETag === undefined) throw new StorageError('unavailable', `${bucket.id}: ${what} was answered without an ETag`)
  return { PartNumber: part.number, ETag }
}

async function abort(bucket: Bucket, at: UploadAt): Promise<void> {
  // Where this fails too, the upload is removed when it is old.
  await bucket.sendRaw(new AbortMultipartUploadCommand(at)).catch(() => undefined)
}

async function unlessThere<T>(sending: Promise<T>): Promise<T> {
  try {
    return await sending
  } catch (error) {
    throw isStorageError(error, 'exists_different') ? new AlreadyThere(error.message) : error
  }
}
