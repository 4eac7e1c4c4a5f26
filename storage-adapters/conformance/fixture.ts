import assert from 'node:assert/strict'
import { createHash } from 'node:crypto'
import type { Readable } from 'node:stream'
import { after, before } from 'node:test'
import { setTimeout as delay } from 'node:timers/promises'
import { type GetOptions, isRecallable, type OpenObject, type StorageAdapter } from '../contract/adapter.ts'
import { isStorageError, STORAGE_ERRORS, type StorageErrorCode } from '../contract/errors.ts'
import type { Permit } from '../contract/permit.ts'
import { mintPermit } from '../contract/permit-mint.ts'
import { bytesSource } from '../contract/read-source.ts'

/** How the suite gets at the store that it tests. */
export interface StoreUnderTest {
  /** Not opened yet. The store is empty, and nobody else uses it. */
  adapter: StorageAdapter
  /** Another adapter to the same store, as after a restart. */
  again?: () => StorageAdapter | Promise<StorageAdapter>
  /** Called once, after `close()`. */
  destroy?: () => void | Promise<void>
}

export type StoreFactory = () => StorageAdapter | StoreUnderTest | Promise<StorageAdapter | StoreUnderTest>

export interface ConformanceOptions {
  /** Large enough for whatever the adapter does with large objects only, such as several parts. Default 3 MiB and a bit. */
  largeBytes?: number
  /** How many objects are listed: more than a page of the store. Default 120. */
  listedObjects?: number
  /** How long locks last that are to run out. Default 2,000 ms. */
  lockMs?: number
  /** A store with room for less than `largeBytes`, for the tests of a full one. */
  small?: StoreFactory
}

/** Registers the life of one store with the test runner, and hands out names and bytes. */
export class Suite {
  readonly largeBytes: number
  readonly listedObjects: number
  readonly lockMs: number
  readonly small: StoreFactory | undefined
  #opened: StoreUnderTest | undefined
  #keys = 0

  constructor(factory: StoreFactory, options: ConformanceOptions) {
    this.largeBytes = options.largeBytes ?? 3 * 1024 * 1024 + 17
    this.listedObjects = options.listedObjects ?? 120
    this.lockMs = options.lockMs ?? 2_000
    this.small = options.small
    before(async () => {
      this.#opened = await openStore(factory)
    })
    after(() => this.#opened && closeStore(this.#opened))
  }

  get store(): StorageAdapter {
    assert.ok(this.#opened, 'the store could not be opened')
    return this.#opened.adapter
  }

  get again(): StoreUnderTest['again'] {
    return this.#opened?.again
  }

  /** A key that no other test uses. */
  key(name = 'object.tar'): string {
    this.#keys += 1
    return `conformance/${String(this.#keys).padStart(4, '0')}/${name}`
  }

  /** Stores bytes under a new key. */
  async stored(bytes: Buffer): Promise<string> {
    const key = this.key()
    await this.store.put(key, bytesSource(bytes))
    return key
  }

  /** Opens an object, after a recall if it is cold. */
  async open(key: string, options?: GetOptions): Promise<OpenObject> {
    const { store } = this
    if (isRecallable(store)) {
      await store.requestRecall([key])
      while ((await store.recallState(key)) !== 'online') await delay(20)
    }
    return store.get(key, options)
  }

  async read(key: string, options?: GetOptions): Promise<Buffer> {
    return readAll((await this.open(key, options)).body)
  }

  async assertHolds(key: string, bytes: Buffer): Promise<void> {
    assert.ok((await this.read(key)).equals(bytes), `${key} doesn't hold the bytes that were put`)
    assert.equal((await this.store.stat(key)).sizeBytes, bytes.length)
  }

  async assertNotFound(key: string): Promise<void> {
    await rejectsWith('not_found', this.store.stat(key))
    await rejectsWith('not_found', this.store.get(key))
  }

  /** Neither the key nor one that begins like it. */
  async assertMissing(key: string): Promise<void> {
    await this.assertNotFound(key)
    assert.deepEqual(await keysOf(this.store.list({ prefix: key })), [], 'a missing object is listed')
  }
}

export async function openStore(factory: StoreFactory): Promise<StoreUnderTest> {
  const made = await factory()
  const opened = 'adapter' in made ? made : { adapter: made }
  await opened.adapter.open()
  return opened
}

export async function closeStore({ adapter, destroy }: StoreUnderTest): Promise<void> {
  await adapter.close()
  await destroy?.()
}

/** Bytes that look random and are always the same for the same name. */
export function someBytes(sizeBytes: number, name = 'bytes'): Buffer {
  const block = createHash('sha512').update(name).digest()
  const bytes = Buffer.alloc(sizeBytes, block)
  // Without this every block of 64 bytes would be equal, and a range read at a wrong place look right.
  for (let at = 0; at + 4 <= sizeBytes; at += 64) bytes.writeUInt32BE(at, at)
  return bytes
}

export function sha256(bytes: Buffer): string {
  return createHash('sha256').update(bytes).digest('hex')
}

export async function readAll(body: Readable): Promise<Buffer> {
  const chunks: Buffer[] = []
  for await (const chunk of body) chunks.push(chunk as Buffer)
  return Buffer.concat(chunks)
}

export async function keysOf(listed: AsyncIterable<{ key: string }>): Promise<string[]> {
  const keys: string[] = []
  for await (const { key } of listed) keys.push(key)
  return keys
}

export function permitFor(key: string, bytes: Buffer): Permit {
  return mintPermit({ key, sha256: sha256(bytes), ground: 'disposition' }, new Date())
}

/** The rejection must be one of the contract's errors, with the retry class that belongs to it. */
export async function rejectsWith(code: StorageErrorCode, work: Promise<unknown>): Promise<void> {
  const [outcome] = await Promise.allSettled([within(30_000, work)])
  assert.equal(outcome.status, 'rejected', `should have been refused with ${code}`)
  const { reason } = outcome as PromiseRejectedResult
  assert.ok(isStorageError(reason), `${code} was expected, not ${reason?.stack ?? reason}`)
  assert.equal(reason.code, code, reason.stack)
  assert.equal(reason.retry, STORAGE_ERRORS[code])
}

/** A hang must fail a test, not stall it. */
export async function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`no answer within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([work, late])
  } finally {
    clearTimeout(timer)
  }
}
