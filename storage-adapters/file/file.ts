import { constants } from 'node:fs'
import { type FileHandle, link, lstat, mkdir, open, statfs, unlink } from 'node:fs/promises'
import { dirname, join, resolve } from 'node:path'
import type {
  Capacity,
  CapacityAware,
  GetOptions,
  ListOptions,
  ObjectStat,
  OpenObject,
  PutOptions,
  PutReceipt,
  StorageAdapter,
} from '../contract/adapter.ts'
import type { Capabilities } from '../contract/capabilities.ts'
import { abortedError, isStorageError, StorageError, throwIfAborted } from '../contract/errors.ts'
import { checkKey, checkPrefix } from '../contract/keys.ts'
import { type Permit, permits } from '../contract/permit.ts'
import { resolveRange } from '../contract/range.ts'
import type { Source } from '../contract/source.ts'
import { fileError, hasCode } from './errors.ts'
import { FileBody } from './file-body.ts'
import { Folders, identityOf, syncFolder } from './folders.ts'
import { makeImmutable, probeImmutable, unlinkMarked } from './immutable.ts'
import { cleanIncoming, digestOf, newIncoming, unlinkIncoming, writeIncoming } from './incoming.ts'
import { probeLinks } from './probe.ts'
import { walk } from './walk.ts'

/** Beside the objects, on their file system; no key can be in it. */
const INCOMING = '.firn-incoming'
const DAY_MS = 24 * 60 * 60 * 1000
/** How often a folder that another writer prunes at the same moment is made again. */
const PUBLISH_ATTEMPTS_MAX = 5

/** What a `put` does next. */
export const PUT_STEPS = ['write', 'sync', 'link', 'sync_folder', 'unlink', 'done'] as const
export type PutStep = (typeof PUT_STEPS)[number]

export interface FileOptions {
  id: string
  /** The root of the store. It must exist: a folder that is missing may be a disk that isn't mounted. */
  folder: string
  /** Nothing is written, nor probed by writing: for a file system that is mounted read-only and is to be evacuated. */
  readOnly?: boolean
  /**
   * Files are marked immutable (chattr +i), where the file system and this process's rights allow it; `immutableFiles` tells
   * whether they do. Default false.
   */
  immutable?: boolean
  /** What interrupted writes left is removed at `open()` when it is older than this. Default a day. */
  staleMs?: number
  /** Default 32. */
  requestsMax?: number
  /** For tests that end the process between two steps. */
  beforeStep?: (step: PutStep) => void
}

/**
 * Objects as files, on any POSIX file system that has hard links (ext4, XFS, ZFS, NFS and others). Each is written under
 * another name, synced, and given its own by link(2), which never replaces; then the folder is synced.
 */
export class FileStore implements StorageAdapter, CapacityAware {
  readonly id: string
  #capabilities: Capabilities
  readonly #root: string
  readonly #incoming: string
  readonly #readOnly: boolean
  readonly #immutable: boolean
  readonly #staleMs: number
  readonly #beforeStep: (step: PutStep) => void
  #folders: Folders
  #rootIdentity = ''

  constructor(options: FileOptions) {
    const { id, folder, readOnly = false, immutable = false, staleMs = DAY_MS, requestsMax = 32, beforeStep } = options
    this.id = id
    this.#root = resolve(folder)
    this.#incoming = join(this.#root, INCOMING)
    this.#readOnly = readOnly
    this.#immutable = immutable
    this.#staleMs = staleMs
    this.#beforeStep = beforeStep ?? (() => undefined)
    this.#folders = new Folders(this.#root)
    this.#capabilities = Object.freeze({
      rangeRead: true,
      createOnly: 'link',
      objectLock: 'none',
      capacity: true,
      recall: false,
      backendSha256: false,
      requestsMax,
      lowered: [],
    })
  }

  get capabilities(): Capabilities {
    return this.#capabilities
  }

  async open(signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal)
    this.#rootIdentity = await this.#identity()
    this.#folders = new Folders(this.#root)
    if (this.#readOnly) return
    try {
      await mkdir(this.#incoming, 0o750).catch((error: unknown) => {
        if (!hasCode(error, 'EEXIST')) throw error
      })
      await cleanIncoming(this.#incoming, new Date(Date.now() - this.#staleMs))
      await probeLinks(this.#root, this.#incoming)
      if (this.#immutable) await this.#tryImmutable()
    } catch (error) {
      const failed = fileError(error, this.id)
      // A disk without room for an empty file must still be opened, to be read and evacuated.
      if (!isStorageError(failed, 'out_of_space')) throw failed
    }
  }

  async #tryImmutable(): Promise<void> {
    const reason = await probeImmutable(this.#incoming)
    this.#capabilities = Object.freeze({
      ...this.#capabilities,
      immutableFiles: reason === undefined,
      lowered: reason === undefined ? [] : [{ capability: 'immutableFiles' as const, reason }],
    })
  }

  async #identity(): Promise<string> {
    try {
      return await identityOf(this.#root)
    } catch (error) {
      throw new StorageError('unavailable', `${this.id}: ${this.#root} can't be reached`, { cause: error })
    }
  }

  /**
   * A disk that is unmounted leaves its mount point, an empty folder: whatever is written there would fill the wrong disk,
   * and whatever is missed there isn't lost.
   */
  async #checkRoot(): Promise<void> {
    if ((await this.#identity()) === this.#rootIdentity) return
    throw new StorageError('unavailable', `${this.id}: ${this.#root} isn't the folder that was opened; is it mounted?`)
  }

  async put(key: string, source: Source, { lockUntil, signal }: PutOptions = {}): Promise<PutReceipt> {
    checkKey(key)
    if (lockUntil) throw new StorageError('unsupported', `${this.id} has no locks`)
    this.#checkWritable()
    throwIfAborted(signal)
    await this.#checkRoot()
    const created = await this.#inStorageTerms(key, signal, async () => {
      const isNew = await this.#putUnlessThere(key, source, signal)
      if (this.#capabilities.immutableFiles) await makeImmutable(this.#path(key), this.#incoming)
      return isNew
    })
    this.#beforeStep('done')
    const { sizeBytes, sha256 } = source
    return { created, sizeBytes, sha256, checksumBy: 'adapter' }
  }

  async #putUnlessThere(key: string, source: Source, signal: AbortSignal | undefined): Promise<boolean> {
    if (await this.#isThere(key, source, signal)) return false
    const incoming = newIncoming(this.#incoming)
    this.#beforeStep('write')
    await writeIncoming(incoming, source, signal, () => this.#beforeStep('sync'))
    try {
      return await this.#publish(incoming, key, source, signal)
    } finally {
      this.#beforeStep('unlink')
      await unlink(incoming).catch(() => undefined)
    }
  }

  /** Gives the file its name. False when somebody else came first, with the same bytes. */
  async #publish(incoming: string, key: string, source: Source, signal: AbortSignal | undefined): Promise<boolean> {
    const path = this.#path(key)
    this.#beforeStep('link')
    throwIfAborted(signal)
    await this.#link(incoming, path)
    // A server of NFS that answers a repeated request says EEXIST about the link that it made itself (open(2), O_EXCL).
    const [mine, its] = [await lstat(incoming), await lstat(path)]
    if (mine.ino !== its.ino || mine.dev !== its.dev) {
      if (await this.#isThere(key, source, signal)) return false
      throw new StorageError('unavailable', `${this.id}: ${key} appeared and went away`)
    }
    this.#beforeStep('sync_folder')
    await syncFolder(dirname(path))
    return true
  }

  async #link(incoming: string, path: string): Promise<void> {
    for (let attempts = 1; ; attempts++) {
      try {
        await this.#folders.ensure(dirname(path))
        return await link(incoming, path)
      } catch (error) {
        if (hasCode(error, 'EEXIST')) return
        // An object's name stands where a folder is needed.
        if (hasCode(error, 'ENOTDIR'))
          throw new StorageError('unsupported', `${this.id}: a part of ${path} is an object`)
        if (!hasCode(error, 'ENOENT') || attempts === PUBLISH_ATTEMPTS_MAX) throw error
      }
    }
  }

  /**
   * Whether the key has these bytes, by reading them; then they are made durable too, since their writer may not have come
   * to that. Throws `exists_different`.
   */
  async #isThere(key: string, source: Source, signal: AbortSignal | undefined): Promise<boolean> {
    const path = this.#path(key)
    let file: FileHandle
    try {
      file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW)
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) return false
      throw error
    }
    try {
      const found = await file.stat()
      if (found.isDirectory()) throw new StorageError('unsupported', `${this.id}: ${key} is a folder of other keys`)
      if (found.size !== source.sizeBytes || (await digestOf(file, signal)) !== source.sha256) {
        throw new StorageError('exists_different', `${this.id}: ${key} is there with other bytes`)
      }
      await file.sync()
    } finally {
      await file.close()
    }
    await this.#folders.ensure(dirname(path))
    await syncFolder(dirname(path))
    return true
  }

  async get(key: string, { range, signal }: GetOptions = {}): Promise<OpenObject> {
    checkKey(key)
    throwIfAborted(signal)
    const label = `${this.id}: ${key}`
    const file = await this.#find(key, () => open(this.#path(key), constants.O_RDONLY | constants.O_NOFOLLOW))
    try {
      const found = await file.stat()
      if (!found.isFile()) throw new StorageError('not_found', `${label} is no object`)
      throwIfAborted(signal)
      const stat = { key, sizeBytes: found.size, modifiedAt: found.mtime }
      return { stat, body: new FileBody(file, resolveRange(range, found.size), label, signal) }
    } catch (error) {
      await file.close().catch(() => undefined)
      throw fileError(error, label)
    }
  }

  async stat(key: string, signal?: AbortSignal): Promise<ObjectStat> {
    checkKey(key)
    throwIfAborted(signal)
    const found = await this.#find(key, () => lstat(this.#path(key)))
    if (!found.isFile()) throw new StorageError('not_found', `${this.id} has no ${key}`)
    return { key, sizeBytes: found.size, modifiedAt: found.mtime }
  }

  async *list({ prefix = '', after = '', signal }: ListOptions = {}): AsyncGenerator<ObjectStat> {
    checkPrefix(prefix)
    throwIfAborted(signal)
    await this.#checkRoot()
    try {
      for await (const stat of walk(this.#root, prefix, after)) {
        throwIfAborted(signal)
        yield stat
      }
    } catch (error) {
      await this.#checkRoot()
      throw fileError(error, `${this.id}: list`)
    }
    // What was unmounted meanwhile looks like an end.
    await this.#checkRoot()
  }

  /** The digest that the permit names isn't compared: that would mean reading the whole object. */
  async remove(key: string, permit: Permit, signal?: AbortSignal): Promise<void> {
    checkKey(key)
    throwIfAborted(signal)
    if (!permits(permit, key)) throw new StorageError('permission_denied', `${this.id}: no permit for ${key}`)
    this.#checkWritable()
    await this.#checkRoot()
    const path = this.#path(key)
    const found = await this.#find(key, () => lstat(path))
    if (!found.isFile()) throw new StorageError('not_found', `${this.id} has no ${key}`)
    await this.#find(key, async () => {
      await unlinkMarked(path)
      await this.#folders.syncNearest(dirname(path))
      if (found.nlink > 1) await unlinkIncoming(this.#incoming, found.ino)
    })
    await this.#folders.prune(dirname(path))
  }

  async capacity(signal?: AbortSignal): Promise<Capacity> {
    throwIfAborted(signal)
    await this.#checkRoot()
    try {
      const { bavail, blocks, bsize } = await statfs(this.#root)
      return { bytesTotal: blocks * bsize, bytesFree: bavail * bsize }
    } catch (error) {
      throw fileError(error, this.id)
    }
  }

  async close(): Promise<void> {}

  /** Turns the system's errors into the contract's; that nothing was found is believed only of the right folder. */
  async #find<T>(key: string, act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      if (hasCode(error, 'ENOENT', 'ENOTDIR')) await this.#checkRoot()
      throw fileError(error, `${this.id}: ${key}`)
    }
  }

  /** In a write a path that is missing isn't an object that is missing. */
  async #inStorageTerms<T>(key: string, signal: AbortSignal | undefined, act: () => Promise<T>): Promise<T> {
    try {
      return await act()
    } catch (error) {
      if (signal?.aborted) throw abortedError(signal)
      const what = `${this.id}: ${key}`
      if (hasCode(error, 'ENOENT'))
        throw new StorageError('unavailable', `${what}: its folder went away`, { cause: error })
      throw fileError(error, what)
    }
  }

  #checkWritable(): void {
    if (this.#readOnly) throw new StorageError('permission_denied', `${this.id} is open for reading only`)
  }

  #path(key: string): string {
    return join(this.#root, key)
  }
}
