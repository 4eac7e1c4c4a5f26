import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import {
  GetObjectCommand,
  type GetObjectCommandOutput,
  HeadBucketCommand,
  ListObjectsV2Command,
  type ListObjectsV2CommandOutput,
} from '@aws-sdk/client-s3'
import type {
  ByteRange,
  Capacity,
  CapacityAware,
  GetOptions,
  ListOptions,
  Lockable,
  ObjectLock,
  ObjectStat,
  OpenObject,
  PutOptions,
  PutReceipt,
  Recoverable,
  StorageAdapter,
} from '../contract/adapter.ts'
import type { Capabilities } from '../contract/capabilities.ts'
import { isStorageError, StorageError, throwIfAborted } from '../contract/errors.ts'
import { checkKey, checkPrefix, isKey } from '../contract/keys.ts'
import { type Permit, permits } from '../contract/permit.ts'
import { resolveRange } from '../contract/range.ts'
import type { Source } from '../contract/source.ts'
import { ResponseBody } from './body.ts'
import { Bucket, statOf } from './bucket.ts'
import { extend, lockOf, setLegalHold } from './locks.ts'
import { OBJECT_BYTES_MAX, type S3Options, settingsOf } from './options.ts'
import { type CreateOnly, capacityOf, cleanUploads, isVersioned, probe } from './probe.ts'
import { AlreadyThere, isInParts, uploadInParts, uploadWhole } from './upload.ts'
import { removeObject, removeVersions, undelete } from './versions.ts'

/** Objects in a bucket of AWS S3, Ceph, MinIO or another that speaks S3. `Lockable` if the options ask for locks. */
export function s3Store(options: S3Options): S3Store {
  const { objectLock = 'none' } = options
  return objectLock === 'none' ? new S3Store(options) : new LockingS3Store({ ...options, objectLock })
}

export class S3Store implements StorageAdapter, CapacityAware, Recoverable {
  readonly id: string
  protected readonly bucket: Bucket
  #capabilities: Capabilities
  #createOnly: CreateOnly = { whole: false, inParts: false }
  #versioned = false

  /** Throws `misconfigured`. */
  constructor(options: S3Options) {
    const settings = settingsOf(options)
    this.id = settings.id
    this.bucket = new Bucket(settings)
    this.#capabilities = {
      rangeRead: true,
      createOnly: 'native',
      objectLock: settings.objectLock,
      capacity: true,
      recall: false,
      backendSha256: true,
      objectBytesMax: OBJECT_BYTES_MAX,
      requestsMax: settings.requestsMax,
      lowered: [],
    }
  }

  get capabilities(): Capabilities {
    return this.#capabilities
  }

  async open(signal?: AbortSignal): Promise<void> {
    const { bucket } = this
    const { objectLock, readOnly, staleUploadMs } = bucket.settings
    await this.#checkBucket(signal)
    const capacity = (await capacityOf(bucket, signal)) !== undefined
    this.#versioned = await isVersioned(bucket, signal)
    const found = await probe(bucket, signal)
    if (!readOnly) await cleanUploads(bucket, new Date(Date.now() - staleUploadMs), signal)
    this.#createOnly = found.createOnly
    const { whole, inParts } = found.createOnly
    const lowered = [...found.lowered]
    if (!capacity) lowered.push({ capability: 'capacity', reason: 'the store tells neither its size nor a quota' })
    this.#capabilities = Object.freeze({
      ...this.#capabilities,
      createOnly: whole && inParts ? 'native' : 'none',
      objectLock: lowered.some(({ capability }) => capability === 'objectLock') ? 'none' : objectLock,
      capacity,
      backendSha256: found.backendSha256,
      lowered,
    })
  }

  async put(key: string, source: Source, { lockUntil, signal }: PutOptions = {}): Promise<PutReceipt> {
    checkKey(key)
    this.#checkWritable()
    this.#checkPossible(source, lockUntil)
    const upload = await this.#uploadUnlessThere(key, source, signal)
    const { objectLock } = this.bucket.settings
    const lock =
      lockUntil && objectLock !== 'none' ? await extend(this.bucket, key, objectLock, lockUntil, signal) : undefined
    return {
      created: upload !== undefined,
      sizeBytes: source.sizeBytes,
      sha256: source.sha256,
      checksumBy: upload && this.#capabilities.backendSha256 ? 'backend' : 'adapter',
      ...(upload?.version !== undefined && { version: upload.version }),
      ...(lock?.until && { lockedUntil: lock.until }),
    }
  }

  #checkWritable(): void {
    if (!this.bucket.settings.readOnly) return
    throw new StorageError('permission_denied', `${this.id} is open for reading only`)
  }

  #checkPossible({ sizeBytes }: Source, lockUntil: Date | undefined): void {
    if (sizeBytes > OBJECT_BYTES_MAX) throw new StorageError('unsupported', `${this.id}: no object is so large`)
    if (lockUntil && this.#capabilities.objectLock === 'none') {
      throw new StorageError('unsupported', `${this.id} has no locks that hold`)
    }
  }

  /** Undefined when the same bytes are there. */
  async #uploadUnlessThere(
    key: string,
    source: Source,
    signal: AbortSignal | undefined,
  ): Promise<{ version: string | undefined } | undefined> {
    const inParts = isInParts(this.bucket, source)
    // Before many bytes are sent in vain, and where nothing else would keep them from replacing what is there.
    if ((inParts || !this.#createOnly.whole) && (await this.#isThere(key, source, signal))) return undefined
    try {
      const version = await (inParts
        ? this.#uploadInParts(key, source, signal)
        : this.#uploadWhole(key, source, signal))
      await this.#verify(key, source, inParts, signal)
      return { version }
    } catch (error) {
      if (!(error instanceof AlreadyThere)) throw error
      if (await this.#isThere(key, source, signal)) return undefined
      throw new StorageError('unavailable', `${this.id}: ${key} is being written, or went away`, { cause: error })
    }
  }

  #uploadWhole(key: string, source: Source, signal: AbortSignal | undefined): Promise<string | undefined> {
    return uploadWhole(this.bucket, key, source, { createOnly: this.#createOnly.whole, signal })
  }

  #uploadInParts(key: string, source: Source, signal: AbortSignal | undefined): Promise<string | undefined> {
    const createOnly = this.#createOnly.inParts
    const beforeCompleting = async () => {
      if (createOnly || (await this.bucket.headIfThere(key, signal)) === undefined) return
      throw new AlreadyThere(`${key} came while its parts were sent`)
    }
    return uploadInParts(this.bucket, key, source, { createOnly, signal, beforeCompleting })
  }

  /** That each part arrived is known from the store; that it put them together, or what it took unchecked, isn't. */
  async #verify(key: string, source: Source, inParts: boolean, signal: AbortSignal | undefined): Promise<void> {
    const { backendSha256 } = this.#capabilities
    if (backendSha256 && !inParts) return
    const { ContentLength } = await this.bucket.head(key, signal)
    if (ContentLength === source.sizeBytes && (backendSha256 || (await this.#digestOf(key, signal)) === source.sha256))
      return
    throw new StorageError('integrity_mismatch', `${this.id}: ${key} isn't what was sent`)
  }

  /** Whether the key has these bytes, by reading them. Throws `exists_different`. */
  async #isThere(key: string, source: Source, signal: AbortSignal | undefined): Promise<boolean> {
    const head = await this.bucket.headIfThere(key, signal)
    if (head === undefined) return false
    if (head.ContentLength === source.sizeBytes && (await this.#digestOf(key, signal)) === source.sha256) return true
    throw new StorageError('exists_different', `${this.id}: ${key} is there with other bytes`)
  }

  async #digestOf(key: string, signal: AbortSignal | undefined): Promise<string> {
    const { body } = await this.get(key, { signal })
    const hash = createHash('sha256')
    for await (const chunk of body) hash.update(chunk as Buffer)
    return hash.digest('hex')
  }

  async get(key: string, { range, signal }: GetOptions = {}): Promise<OpenObject> {
    checkKey(key)
    if (range) resolveRange(range, Number.MAX_SAFE_INTEGER)
    const command = new GetObjectCommand({
      ...this.bucket.at(key),
      ...(range && { Range: `bytes=${range.start}-${range.end - 1}` }),
    })
    const answer = await this.bucket.send(command, { signal, what: key })
    const response = answer.Body as Readable
    try {
      const sizeBytes = range ? this.#sizeOfWhole(answer, range) : (answer.ContentLength ?? 0)
      const { start, end } = resolveRange(range, sizeBytes)
      const limits = {
        expectedBytes: end - start,
        idleMs: this.bucket.settings.idleTimeoutMs,
        what: `${this.id}: ${key}`,
      }
      return { stat: statOf(key, sizeBytes, answer), body: new ResponseBody(response, { ...limits, signal }) }
    } catch (error) {
      response.on('error', () => undefined).destroy()
      throw error
    }
  }

  /** S3 shortens a range that goes past the end instead of refusing it; and a store that knows no ranges gives everything. */
  #sizeOfWhole({ ContentRange = '' }: GetObjectCommandOutput, { start, end }: ByteRange): number {
    const [, first, last, size] = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(ContentRange) ?? []
    if (size === undefined || Number(first) !== start) {
      throw new StorageError('unsupported', `${this.id} doesn't give the range that was asked for`)
    }
    if (Number(last) === end - 1) return Number(size)
    throw new StorageError('range_invalid', `${start} to ${end} is no range of ${size} bytes`)
  }

  async stat(key: string, signal?: AbortSignal): Promise<ObjectStat> {
    checkKey(key)
    const head = await this.bucket.headIfThere(key, signal)
    if (head) return statOf(key, head.ContentLength ?? 0, head)
    // The answer to HEAD doesn't tell whether the object or the whole bucket is missing.
    await this.#checkBucket(signal)
    throw new StorageError('not_found', `${this.id} has no ${key}`)
  }

  async #checkBucket(signal: AbortSignal | undefined): Promise<void> {
    const { bucket } = this.bucket.settings
    try {
      await this.bucket.send(new HeadBucketCommand({ Bucket: bucket }), { signal, what: `bucket ${bucket}` })
    } catch (error) {
      if (!isStorageError(error, 'not_found')) throw error
      throw new StorageError('misconfigured', `${this.id}: there is no bucket ${bucket}`, { cause: error })
    }
  }

  async *list({ prefix = '', after = '', signal }: ListOptions = {}): AsyncGenerator<ObjectStat> {
    checkPrefix(prefix)
    const skip = this.bucket.settings.prefix.length
    let last = after
    let token: string | undefined
    do {
      const page: ListObjectsV2CommandOutput = await this.bucket.send(this.#listCommand(prefix, after, token), {
        signal,
        what: `list of ${prefix}`,
      })
      for (const { Key = '', Size = 0, LastModified } of page.Contents ?? []) {
        throwIfAborted(signal)
        const key = Key.slice(skip)
        if (!isKey(key)) continue
        // Whoever goes through a list to find out what is missing would be misled.
        if (key <= last) throw new StorageError('misconfigured', `${this.id} lists ${key} after ${last}`)
        last = key
        yield { key, sizeBytes: Size, ...(LastModified && { modifiedAt: LastModified }) }
      }
      token = page.NextContinuationToken
    } while (token !== undefined)
  }

  #listCommand(prefix: string, after: string, token: string | undefined): ListObjectsV2Command {
    const [all, start] = [this.bucket.at(prefix), this.bucket.at(after)]
    return new ListObjectsV2Command({
      Bucket: all.Bucket,
      Prefix: all.Key,
      ...(after !== '' && { StartAfter: start.Key }),
      ...(token !== undefined && { ContinuationToken: token }),
    })
  }

  async remove(key: string, permit: Permit, signal?: AbortSignal): Promise<void> {
    checkKey(key)
    throwIfAborted(signal)
    if (!permits(permit, key)) throw new StorageError('permission_denied', `${this.id}: no permit for ${key}`)
    this.#checkWritable()
    await (this.#versioned ? removeVersions : removeObject)(this.bucket, key, permit, signal)
  }

  async recover(key: string, sha256: string, signal?: AbortSignal): Promise<boolean> {
    checkKey(key)
    if (!this.#versioned) return false
    this.#checkWritable()
    return undelete(this.bucket, key, sha256, signal)
  }

  async capacity(signal?: AbortSignal): Promise<Capacity> {
    const capacity = await capacityOf(this.bucket, signal)
    if (capacity) return capacity
    throw new StorageError('unsupported', `${this.id} tells neither its size nor a quota`)
  }

  /** Ends idle connections. The adapter can be used again after another `open()`. */
  async close(): Promise<void> {
    this.bucket.client.destroy()
  }
}

class LockingS3Store extends S3Store implements Lockable {
  readonly #mode: 'governance' | 'compliance'

  constructor(options: S3Options & { objectLock: 'governance' | 'compliance' }) {
    super(options)
    this.#mode = options.objectLock
  }

  async getLock(key: string, signal?: AbortSignal): Promise<ObjectLock> {
    checkKey(key)
    return lockOf(await this.bucket.head(key, signal))
  }

  async extendLock(key: string, until: Date, signal?: AbortSignal): Promise<ObjectLock> {
    checkKey(key)
    return extend(this.bucket, key, this.#mode, until, signal)
  }

  async setLegalHold(key: string, on: boolean, signal?: AbortSignal): Promise<ObjectLock> {
    checkKey(key)
    return setLegalHold(this.bucket, key, on, signal)
  }
}
