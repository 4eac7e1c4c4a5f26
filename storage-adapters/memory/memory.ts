import { createHash, randomUUID } from 'node:crypto'
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
import { bodyOf } from '../contract/body.ts'
import type { Capabilities } from '../contract/capabilities.ts'
import { StorageError, throwIfAborted } from '../contract/errors.ts'
import { checkKey, checkPrefix } from '../contract/keys.ts'
import { type Permit, permits } from '../contract/permit.ts'
import { resolveRange } from '../contract/range.ts'
import { readSource } from '../contract/read-source.ts'
import type { Source } from '../contract/source.ts'
import { type Locks, lockMethods } from './locks.ts'
import { recallMethods } from './recall.ts'

const CHUNK_BYTES = 1024 * 1024

export interface MemoryOptions {
  id?: string
  /** Default 256 MiB. */
  bytesTotal?: number
  objectLock?: 'none' | 'governance' | 'compliance'
  /** Objects are cold from the start, and readable so many milliseconds after they were recalled. */
  recallMs?: number
  requestsMax?: number
  now?: () => Date
}

export interface MemoryObject {
  readonly bytes: Buffer
  readonly stat: ObjectStat & { readonly sha256: string }
  lockedUntil: Date | undefined
  legalHold: boolean
  /** When a recalled object becomes readable. */
  onlineAt: number
}

/** Keeps objects in memory, for tests. Locks and recall are there only if the options ask for them. */
export function memoryStore(options: MemoryOptions = {}): StorageAdapter & CapacityAware {
  const store = new MemoryStore(options)
  const { objectLock = 'none', recallMs } = options
  if (objectLock !== 'none') Object.assign(store, lockMethods(store, objectLock))
  if (recallMs !== undefined) Object.assign(store, recallMethods(store, recallMs))
  return store
}

export class MemoryStore implements StorageAdapter, CapacityAware {
  readonly id: string
  readonly capabilities: Capabilities
  readonly now: () => Date
  readonly #objects = new Map<string, MemoryObject>()
  readonly #bytesTotal: number
  #bytesUsed = 0

  constructor({ id, bytesTotal, objectLock, recallMs, requestsMax, now }: MemoryOptions) {
    this.id = id ?? 'memory'
    this.now = now ?? (() => new Date())
    this.#bytesTotal = bytesTotal ?? 256 * 1024 * 1024
    this.capabilities = Object.freeze({
      rangeRead: true,
      createOnly: 'native',
      objectLock: objectLock ?? 'none',
      capacity: true,
      recall: recallMs !== undefined,
      backendSha256: false,
      requestsMax: requestsMax ?? 64,
      lowered: [],
    })
  }

  async open(signal?: AbortSignal): Promise<void> {
    throwIfAborted(signal)
  }

  async put(key: string, source: Source, { lockUntil, signal }: PutOptions = {}): Promise<PutReceipt> {
    checkKey(key)
    if (lockUntil && this.capabilities.objectLock === 'none') {
      throw new StorageError('unsupported', `${this.id} has no locks`)
    }
    throwIfAborted(signal)
    const existing = this.#objects.get(key)
    if (existing) return this.#receipt(existing, source, lockUntil)
    this.#checkSpace(source.sizeBytes)
    const chunks: Buffer[] = []
    for await (const chunk of readSource(source, signal)) chunks.push(chunk)
    throwIfAborted(signal)
    // Another writer may have come first meanwhile.
    const winner = this.#objects.get(key)
    return winner
      ? this.#receipt(winner, source, lockUntil)
      : this.#store(key, source, Buffer.concat(chunks), lockUntil)
  }

  #checkSpace(sizeBytes: number): void {
    if (this.#bytesUsed + sizeBytes <= this.#bytesTotal) return
    throw new StorageError('out_of_space', `${this.id} is full`)
  }

  #store(key: string, { sizeBytes, sha256 }: Source, bytes: Buffer, lockUntil: Date | undefined): PutReceipt {
    this.#checkSpace(sizeBytes)
    this.#bytesUsed += sizeBytes
    const stat = { key, sizeBytes, sha256, modifiedAt: this.now(), version: randomUUID() }
    this.#objects.set(key, {
      bytes,
      stat,
      lockedUntil: lockUntil,
      legalHold: false,
      onlineAt: Number.POSITIVE_INFINITY,
    })
    return {
      created: true,
      sizeBytes,
      sha256,
      checksumBy: 'adapter',
      version: stat.version,
      ...(lockUntil && { lockedUntil: lockUntil }),
    }
  }

  #receipt(object: MemoryObject, { sizeBytes, sha256 }: Source, lockUntil: Date | undefined): PutReceipt {
    const { key, version } = object.stat
    if (createHash('sha256').update(object.bytes).digest('hex') !== sha256) {
      throw new StorageError('exists_different', `${this.id}: ${key} is there with other bytes`)
    }
    if (lockUntil && (object.lockedUntil ?? 0) < lockUntil) object.lockedUntil = lockUntil
    const { lockedUntil } = object
    return {
      created: false,
      sizeBytes,
      sha256,
      checksumBy: 'adapter',
      ...(version !== undefined && { version }),
      ...(lockedUntil && { lockedUntil }),
    }
  }

  async get(key: string, { range, signal }: GetOptions = {}): Promise<OpenObject> {
    throwIfAborted(signal)
    const { stat, bytes, onlineAt } = this.find(key)
    const { start, end } = resolveRange(range, bytes.length)
    if (this.capabilities.recall && onlineAt > this.now().getTime()) {
      throw new StorageError('recall_needed', `${this.id}: ${key} is cold`)
    }
    return { stat, body: bodyOf(chunksOf(bytes, start, end), { signal }) }
  }

  async stat(key: string, signal?: AbortSignal): Promise<ObjectStat> {
    throwIfAborted(signal)
    return this.find(key).stat
  }

  async *list({ prefix = '', after = '', signal }: ListOptions = {}): AsyncGenerator<ObjectStat> {
    checkPrefix(prefix)
    const keys = [...this.#objects.keys()].filter((key) => key.startsWith(prefix) && key > after).sort()
    for (const key of keys) {
      throwIfAborted(signal)
      const object = this.#objects.get(key)
      if (object) yield object.stat
    }
  }

  async remove(key: string, permit: Permit, signal?: AbortSignal): Promise<void> {
    checkKey(key)
    throwIfAborted(signal)
    // Before the object is looked for, so that no answer depends on it for who has no permit.
    if (!permits(permit, key)) throw new StorageError('permission_denied', `${this.id}: no permit for ${key}`)
    const object = this.find(key)
    if (!permits(permit, key, object.stat.sha256)) {
      throw new StorageError('permission_denied', `${this.id}: the permit for ${key} is for other bytes`)
    }
    if (this.#isLocked(object)) throw new StorageError('locked', `${this.id}: ${key} is locked`)
    this.#objects.delete(key)
    this.#bytesUsed -= object.bytes.length
  }

  #isLocked({ legalHold, lockedUntil }: Locks): boolean {
    return legalHold || (lockedUntil !== undefined && lockedUntil > this.now())
  }

  /** Throws `not_found`. */
  find(key: string): MemoryObject {
    checkKey(key)
    const object = this.#objects.get(key)
    if (!object) throw new StorageError('not_found', `${this.id} has no ${key}`)
    return object
  }

  async capacity(signal?: AbortSignal): Promise<Capacity> {
    throwIfAborted(signal)
    return { bytesTotal: this.#bytesTotal, bytesFree: this.#bytesTotal - this.#bytesUsed }
  }

  /** Opening it again finds the objects that were there. */
  async close(): Promise<void> {}
}

function* chunksOf(bytes: Buffer, start: number, end: number): Generator<Buffer> {
  // Copies, because a reader may scribble over what it was given.
  for (let at = start; at < end; at += CHUNK_BYTES)
    yield Buffer.from(bytes.subarray(at, Math.min(end, at + CHUNK_BYTES)))
}
